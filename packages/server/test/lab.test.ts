import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { hasPostgres, hasRedis, skipping } from "./engines.ts"
import { run } from "./lab/lab.ts"

/** Two minutes in CI, hours by `soak:engines`. */
const SECONDS = Number(process.env["FILEIO_LAB_SECONDS"] ?? 15)

skipping("the fault lab: servers over engines that are silent, cut and lose answers")
describe.skipIf(!hasPostgres || !hasRedis)("the fault lab", () => {
  it.live(
    "loses nothing that was acknowledged, gives nothing twice, and leaves nothing stuck or without owner",
    () =>
      Effect.gen(function*() {
        const summary = yield* Effect.promise(() => run({ seconds: SECONDS, seed: 1, clients: 6 }))
        const found = JSON.stringify(summary)
        assert.deepStrictEqual(summary.violations, [], found)
        // Otherwise it would have shown nothing; a busy machine does less.
        assert.isAtLeast(summary.counts["upload 200"] ?? 0, 10, found)
        assert.isAtLeast(summary.counts["download 200"] ?? 0, 5, found)
        assert.isAtLeast(Object.values(summary.faults).reduce((sum, count) => sum + count, 0), 5, found)
      }),
    (SECONDS + 120) * 1000
  )
})
