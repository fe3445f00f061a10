import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./crash/crash.ts"

describe("kill -9 under load", () => {
  it.live(
    "loses no acknowledged upload, gives nothing twice, tears nothing, and counts right",
    () =>
      Effect.gen(function*() {
        const summary = yield* Effect.promise(() => run({ kills: 20, servers: 10 }))
        assert.strictEqual(summary.crashes, 200)
        // Otherwise it would have shown nothing.
        assert.isAbove(summary.acknowledged, 200)
        assert.isAbove(summary.whole, 200)
        assert.isAbove(summary.cut, 20)
        assert.isAbove(summary.resumed, 10)
      }),
    110_000
  )
})
