/**
 * The limiter of `FileIo.makeDownloads`: requests wait only for a pause that the host asked for. It needs no account, and
 * little code.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { Failure, retryAfterOf } from "../shared/failure.ts"
import { millisOf } from "../shared/monotonic.ts"
import { pauseOf } from "./adaptiveRate.ts"
import type { Limiter } from "./limiter.ts"

export const make = (): Limiter => {
  let pausedUntil = -Infinity
  return {
    permitsFor: (_operation, fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const stats = { waited: 0, requests: 0 }
      /** Ends when no pause is left. */
      const unpaused = (maxWait: () => number): Effect.Effect<void, Failure> =>
        Effect.suspend(() => {
          const pause = Math.ceil(pausedUntil - millisOf(clock))
          if (pause <= 0) return Effect.void
          const wait = Duration.millis(pause)
          if (pause > maxWait()) {
            return Effect.fail(new Failure("local", new FileIoError.RateLimited({ retryAfter: wait })))
          }
          stats.waited += pause
          return Effect.flatMap(Effect.sleep(wait), () => unpaused(maxWait))
        })
      return {
        stats,
        run: (request, maxWait) =>
          Effect.flatMap(unpaused(maxWait), () => {
            stats.requests++
            return request
          }),
        recordOutcome: (failure) => {
          if (failure?.stage !== "limited") return undefined
          const asked = retryAfterOf(failure)
          const pause = pauseOf(asked && Duration.toMillis(asked), fiber.getRef(Random.Random).nextDoubleUnsafe())
          pausedUntil = Math.max(pausedUntil, millisOf(clock) + pause)
          return undefined
        }
      }
    },
    learnedFrom: () => Effect.void,
    waitTime: Effect.clockWith((clock) => Effect.succeed(Duration.millis(Math.max(0, pausedUntil - millisOf(clock)))))
  }
}
