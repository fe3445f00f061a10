/**
 * The long form of the fault lab: `node test/lab/main.ts [SECONDS] [SEED]`. It changes to the next seed every two minutes,
 * after the seeds that failed once. Even seeds have a catalog with shards. The last line has the result.
 */
import { hasCeph, withoutCeph } from "../ceph.ts"
import { hasPostgres, hasRedis, skipping } from "../engines.ts"
import { run, type Summary } from "./lab.ts"
import type { Verdict } from "./ledger.ts"
import { FAILED_SEEDS } from "./seeds.ts"

const [seconds = 3600, first = 1] = process.argv.slice(2).map(Number)
const ROUND = 120
/** Databases of the catalog, for even seeds. */
const SHARDS = 3

const VERDICTS: ReadonlyArray<Verdict> = [
  "acknowledged and lost",
  "given too often",
  "wrong bytes",
  "lease stuck",
  "row without bytes",
  "bytes without owner",
  "quota not exact",
  "call without end",
  "wrong answer"
]

skipping("the fault lab")
if (!hasPostgres || !hasRedis) process.exit(0)
withoutCeph("the fault lab")
const summaries: Array<Summary> = []
const seeds = FAILED_SEEDS.map(({ seed }) => seed)
for (let done = 0, next = first; done < seconds; done += ROUND) {
  const seed = seeds.shift() ?? next++
  const summary = await run({ seconds: Math.min(ROUND, seconds - done), seed, shards: seed % 2 === 0 ? SHARDS : 1 })
  summaries.push(summary)
  process.stdout.write(`${JSON.stringify(summary, undefined, 2)}\n`)
}

const found = summaries.flatMap(({ violations }) => violations)
const verdicts = VERDICTS.map((verdict) => `${verdict}: ${found.filter((one) => one.verdict === verdict).length}`)
process.stdout.write(`the fault lab over ${hasCeph ? "Ceph" : "a stand-in for S3"}: ${verdicts.join(", ")}\n`)
process.exit(found.length === 0 ? 0 : 1)
