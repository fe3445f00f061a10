/**
 * The walk of `leases.test.ts` at its nightly size: `node test/leases/main.ts [STEPS] [SEED]`. PostgreSQL walks a fifth of the
 * steps. With `TMPDIR=/dev/shm` a million take minutes, on a disk hours.
 */
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const [steps = "1000000", seed = "1"] = process.argv.slice(2)
const ROOT = fileURLToPath(new URL("../../../..", import.meta.url))
const VITEST = Path.join(Path.dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs")

const child = spawn(
  process.execPath,
  [VITEST, "run", "--root", ROOT, "--project", "server", "packages/server/test/leases.test.ts"],
  { stdio: "inherit", cwd: ROOT, env: { ...process.env, LEASE_STEPS: steps, LEASE_SEED: seed } }
)
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal))
child.once("exit", (code) => {
  process.exitCode = code ?? 1
})
