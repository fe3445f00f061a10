/** The long form of the fault lab: `node test/lab/main.ts [SECONDS] [SEED]`, again and again with the next seed for an hour's worth. */
import { run } from "./lab.ts"

const [seconds = 3600, seed = 1] = process.argv.slice(2).map(Number)
const ROUND = 120

let failed = false
for (let done = 0, round = 0; done < seconds; done += ROUND, round++) {
  const summary = await run({ seconds: Math.min(ROUND, seconds - done), seed: seed + round })
  process.stdout.write(`${JSON.stringify(summary, undefined, 2)}\n`)
  failed ||= summary.violations.length > 0
}
process.exitCode = failed ? 1 : 0
