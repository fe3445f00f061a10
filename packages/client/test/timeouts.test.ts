import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type Activity, expiry, guarded, make, watch } from "../src/internal/request/timeouts.ts"

const timeouts = { firstByte: Duration.seconds(5), idle: Duration.minutes(1) }

describe("the time-outs of a request", () => {
  it("are positive durations; an invalid option is named", () => {
    assert.isTrue(Result.isSuccess(make("1 second", "1 minute")))
    for (const wrong of ["0 seconds", "-1 seconds"] as const) {
      for (
        const [result, field] of [
          [make(wrong, "1 minute"), "firstByteTimeout"],
          [make("1 minute", wrong), "idleTimeout"]
        ] as const
      ) {
        if (Result.isSuccess(result)) return assert.fail(field)
        assert.strictEqual(result.failure.field, field)
      }
    }
  })

  it.live("start over once after the process was stopped", () =>
    Effect.gen(function*() {
      const live = yield* Clock.Clock
      let stalledMillis = 0
      // Timers fire when they are due, by a clock that has advanced meanwhile: as after a stop of the process.
      const clock: Clock.Clock = Object.assign(Object.create(live), {
        currentTimeMillisUnsafe: () => live.currentTimeMillisUnsafe() + stalledMillis
      })
      const timeout = Duration.millis(200)
      const activity: Activity = { lastAt: clock.currentTimeMillisUnsafe(), phase: "idle" }
      const began = live.currentTimeMillisUnsafe()
      const expired = yield* Effect.forkChild(
        Effect.provideService(expiry(activity, { firstByte: timeout, idle: timeout }), Clock.Clock, clock),
        { startImmediately: true }
      )
      stalledMillis = 3_600_000
      yield* Fiber.await(expired)
      // Once until the stop is detected, and once more.
      assert.isAtLeast(live.currentTimeMillisUnsafe() - began, 2 * 200 - 20)
    }))

  it.effect("follow the phase: a phase with a shorter one ends the request", () =>
    Effect.gen(function*() {
      const activity: { lastAt: number; phase: Activity["phase"] } = { lastAt: 0, phase: "idle" }
      const expired = yield* Effect.forkChild(Effect.flip(expiry(activity, timeouts)), { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      activity.lastAt = 30_000
      activity.phase = "firstByte"
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(expired.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const { after, phase } = yield* Fiber.join(expired)
      assert.deepStrictEqual([phase, Duration.toMillis(after)], ["firstByte", 5000])
    }))

  it.effect("do not run while nobody waits for a chunk, and end a silent stream", () =>
    Effect.gen(function*() {
      const chunk = new Uint8Array(1)
      const source = Stream.concat(Stream.make(chunk, chunk), Stream.never)
      let seen = 0
      const reader = yield* Effect.forkChild(
        Effect.exit(Clock.clockWith((clock) => {
          const guard = watch(clock, { lastAt: Infinity, phase: "firstByte" }, timeouts)
          return Stream.runForEach(guarded(source, guard), () => {
            seen++
            return Effect.sleep("1 hour")
          })
        })),
        { startImmediately: true }
      )
      yield* TestClock.adjust("2 hours")
      assert.deepStrictEqual([seen, reader.pollUnsafe()], [2, undefined])
      yield* TestClock.adjust("5 seconds")
      const exit = yield* Fiber.join(reader)
      assert.isTrue(Exit.isFailure(exit))
    }))

  it.effect("wait until what they ended has released its resources, and leave nothing behind when nothing is late", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const activity: Activity = { lastAt: Infinity, phase: "idle" }
      const guard = watch(clock, activity, timeouts)
      assert.strictEqual(yield* guard(Effect.succeed(1)), 1)
      const inTime = yield* Effect.forkChild(guard(Effect.delay(Effect.succeed(2), "59 seconds")))
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual([yield* Fiber.join(inTime), activity.lastAt], [2, Infinity])
      const events: Array<string> = []
      const release = Effect.delay(Effect.sync(() => events.push("released")), "3 seconds")
      const late = yield* Effect.forkChild(Effect.flip(guard(Effect.onInterrupt(Effect.never, () => release))))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([late.pollUnsafe(), events], [undefined, []])
      yield* TestClock.adjust("3 seconds")
      const error = yield* Fiber.join(late)
      assert.deepStrictEqual([error._tag, events], ["TimedOut", ["released"]])
    }))

  it.effect("an interruption of the caller ends what is guarded, and waits for it", () =>
    Effect.gen(function*() {
      const guard = watch(yield* Clock.Clock, { lastAt: Infinity, phase: "idle" }, timeouts)
      let isReleased = false
      const release = Effect.sync(() => {
        isReleased = true
      })
      const fiber = yield* Effect.forkChild(guard(Effect.onInterrupt(Effect.never, () => release)))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      assert.isTrue(isReleased)
    }))
})
