import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Ref } from "effect"
import { TestClock } from "effect/testing"
import { within } from "../src/internal/shared/deadline.ts"

describe("a deadline", () => {
  it.effect("ends a call that never answers, also one that cannot be interrupted, and in an uninterruptible caller", () =>
    Effect.gen(function*() {
      for (const call of [Effect.never, Effect.uninterruptible(Effect.never)]) {
        for (const around of [(effect: Effect.Effect<never, string>) => effect, Effect.uninterruptible]) {
          const fiber = yield* Effect.forkChild(Effect.exit(around(within(call, "10 seconds", () => "late"))))
          yield* TestClock.adjust("9999 millis")
          assert.isUndefined(fiber.pollUnsafe())
          yield* TestClock.adjust("1 millis")
          assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("late"))
        }
      }
    }))

  it.effect("hands on what comes in time", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* within(Effect.succeed(1), "1 second", () => "late"), 1)
      assert.strictEqual(yield* Effect.flip(within(Effect.fail("no"), "1 second", () => "late")), "no")
      assert.strictEqual(
        yield* Effect.flip(Effect.sandbox(within(Effect.die("no"), "1 second", () => "late"))).pipe(
          Effect.map((cause) => cause.reasons[0]!._tag)
        ),
        "Die"
      )
    }))

  it.effect("interrupts the call at the deadline, and when its caller is interrupted", () =>
    Effect.gen(function*() {
      const ended = yield* Ref.make(0)
      const call = Effect.onInterrupt(Effect.never, () => Ref.update(ended, (n) => n + 1))
      const fiber = yield* Effect.forkChild(Effect.exit(within(call, "1 second", () => "late")))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* Ref.get(ended), 1)

      const begun = yield* Deferred.make<void>()
      const other = yield* Effect.forkChild(
        within(Effect.andThen(Deferred.succeed(begun, undefined), call), "1 second", () => "late")
      )
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(other)
      yield* Effect.yieldNow
      assert.strictEqual(yield* Ref.get(ended), 2)
    }))
})
