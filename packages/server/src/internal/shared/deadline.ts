/** Deadlines of calls that may never end: to PostgreSQL, S3, Redis, or a disk that hangs. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"

/**
 * Fails with `late` at the deadline, whatever `effect` does: it is interrupted, and ends in the background. `Effect.timeout`
 * waits for that end, which takes as long as the other side wants.
 */
export const within = <A, E, R, E2>(
  effect: Effect.Effect<A, E, R>,
  duration: Duration.Input,
  late: () => E2
): Effect.Effect<A, E | E2, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDetach(effect, { startImmediately: true }), (fiber) => {
      const giveUp = Effect.forkDetach(Fiber.interrupt(fiber))
      return restore(Effect.timeoutOption(Fiber.await(fiber), duration)).pipe(
        Effect.onInterrupt(() => giveUp),
        Effect.flatMap((exit): Effect.Effect<A, E | E2> =>
          Option.isSome(exit) ? exit.value : Effect.andThen(giveUp, Effect.suspend(() => Effect.fail(late())))
        )
      )
    })
  )
