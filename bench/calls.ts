/**
 * Small calls, `me` and uploads of 4 KiB: 100 a second, the most that a plan allows, and one after another; this SDK beside
 * undici with `JSON.parse`. `cpuMicrosEach` is the processor time of a call, so 100 at 100 calls a second are 1 % of a core.
 *
 * `pnpm bench calls [--count 2000] [--seconds 20] [--rounds 5]`
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { compare } from "./internal/measure.ts"

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "2000" },
    seconds: { type: "string", default: "20" },
    rounds: { type: "string", default: "5" }
  }
})
const PER_SECOND = 100
const paced = Math.round(Number(values.seconds) * PER_SECOND)
const host = spawn(process.execPath, [join(import.meta.dirname, "internal", "plainHost.ts")], {
  stdio: ["ignore", "pipe", "inherit"]
})
try {
  const [line] = await once(host.stdout, "data")
  const url = String(line).trim()
  for (const what of ["me", "upload"]) {
    for (const [perSecond, count] of [[PER_SECOND, paced], [undefined, Number(values.count)]] as const) {
      const contenders = ["undici", "sdk"].map((name) => ({
        name,
        command: process.execPath,
        args: [
          join(import.meta.dirname, "contenders", "calls.ts"),
          name,
          what,
          url,
          String(count),
          ...(perSecond === undefined ? [] : [String(perSecond)])
        ]
      }))
      const facts = { what, count, ...(perSecond === undefined ? {} : { paced: perSecond }) }
      await compare("calls", facts, contenders, "undici", Number(values.rounds))
    }
  }
} finally {
  host.kill()
}
