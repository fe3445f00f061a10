import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { hasPostgres, hasRedis, skipping } from "./engines.ts"
import { run } from "./lab/lab.ts"

/**
 * Some seconds here, with a catalog in three databases; two minutes over Ceph beside the tests in CI, and hours, by
 * `soak:engines`.
 */
const SECONDS = Number(process.env["FILEIO_LAB_SECONDS"] ?? 15)
skipping("the fault lab: servers over engines that are silent, cut and lose answers")
describe.skipIf(!hasPostgres || !hasRedis)("the fault lab", () => {
  it.live(
    "loses nothing acknowledged, gives nothing twice, and leaves nothing stuck or orphaned",
    () =>
      Effect.gen(function*() {
        const summary = yield* Effect.promise(() =>
          run({ seconds: SECONDS, seed: 1, clients: 6, ceph: false, shards: 3 })
        )
        const found = JSON.stringify(summary)
        assert.deepStrictEqual(summary.violations, [], found)
        // Otherwise it would have proved nothing.
        for (const what of ["upload 200", "download 200"]) assert.isAtLeast(summary.counts[what] ?? 0, 5, found)
      }),
    (SECONDS * 10 + 600) * 1000
  )
})
