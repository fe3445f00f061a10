import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect } from "effect"
import * as Watchdog from "../src/internal/request/timeouts.ts"

const PATIENCE = 200

describe("what is looked after", () => {
  it.live("has all of its patience again after the process stood still, and no more", () =>
    Effect.gen(function*() {
      const live = yield* Clock.Clock
      let stoodStill = 0
      // Timers fire when they are due, by a clock that has gone on meanwhile: so it looks after a stop.
      const clock: Clock.Clock = Object.assign(Object.create(live), {
        currentTimeMillisUnsafe: () => live.currentTimeMillisUnsafe() + stoodStill
      })
      const one = Watchdog.watched(() => Duration.millis(PATIENCE))
      const expired = yield* Deferred.make<void>()
      one.expire = () => {
        Deferred.doneUnsafe(expired, Effect.void)
      }
      const began = live.currentTimeMillisUnsafe()
      yield* Effect.withFiberSucceed((fiber) => {
        one.at = clock.currentTimeMillisUnsafe()
        return Watchdog.add(one, clock, fiber)
      })
      stoodStill = 3_600_000
      yield* Deferred.await(expired)
      // Once until the stop is seen, and once more.
      assert.isAtLeast(live.currentTimeMillisUnsafe() - began, 2 * PATIENCE - 20)
    }))
})
