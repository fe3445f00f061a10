/**
 * Small calls: `me` one after another and 16 at once, and uploads of 4 KiB, this SDK beside undici with `JSON.parse`.
 *
 * `pnpm bench calls [--count 2000] [--uploads 10000] [--rounds 7]`
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { compare } from "./internal/measure.ts"

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "2000" },
    uploads: { type: "string", default: "10000" },
    rounds: { type: "string", default: "7" }
  }
})
const rounds = Number(values.rounds)
const host = spawn(process.execPath, [join(import.meta.dirname, "internal", "plainHost.ts")], {
  stdio: ["ignore", "pipe", "inherit"]
})
try {
  const [line] = await once(host.stdout, "data")
  const url = String(line).trim()
  const cases = [["me", values.count, "1"], ["me", values.count, "16"], ["upload", values.uploads, "16"]] as const
  for (const [what, count, concurrency] of cases) {
    const contenders = ["undici", "sdk"].map((name) => ({
      name,
      command: process.execPath,
      args: [join(import.meta.dirname, "contenders", "calls.ts"), name, what, url, count, concurrency]
    }))
    await compare(
      "calls",
      { what, count: Number(count), concurrency: Number(concurrency) },
      contenders,
      "undici",
      rounds
    )
  }
} finally {
  host.kill()
}
