import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./crash/crash.ts"

describe("kill -9 under load", () => {
  it.live(
    "loses no acknowledged upload, gives nothing twice, tears nothing, and counts right",
    () =>
      Effect.gen(function*() {
        const summary = yield* Effect.promise(() => run({ kills: 10, servers: 10, within: 12_000 }))
        const found = JSON.stringify(summary)
        // Otherwise it would have proved nothing; a busy machine makes fewer rounds, and `soak` makes hundreds.
        assert.isAtLeast(summary.crashes, 20, found)
        assert.isAbove(summary.acknowledged, 20, found)
        assert.isAbove(summary.whole, 20, found)
        assert.isAbove(summary.cut, 2, found)
        assert.isAbove(summary.withdrawn, 2, found)
      })
  )
})
