/**
 * The TypeScript compiler as patched by `@effect/tsgo`: the same version and the same output, plus diagnostics about Effect (an
 * effect that is never run, a `yield` without its star, a global clock). It runs from its own folder; the `tsc` in
 * node_modules, whose file pnpm may share with other projects, is not patched.
 */
import { execFileSync, spawnSync } from "node:child_process"

// By the command line: the function `@effect/tsgo/lib/getExePath` of 0.45.0 rejects the metadata of its own release.
const executable = execFileSync("effect-tsgo", ["get-exe-path"], {
  encoding: "utf8",
  shell: process.platform === "win32"
}).trim()

const { error, signal, status } = spawnSync(executable, process.argv.slice(2), { stdio: "inherit" })
if (error !== undefined) throw error
if (signal !== null) process.kill(process.pid, signal)
process.exitCode = status ?? 1
