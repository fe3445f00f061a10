import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import { CurrentRetryPolicy } from "../RetryPolicy.ts"
import { copyOf, type Failure, mayRepeat, retryAfterOf, storedOf } from "./failure.ts"

/** The public error of a failed attempt. */
export const toError = (operation: FileIoError.Operation, failure: Failure): FileIoError.FileIoError =>
  new FileIoError.FileIoError({
    operation,
    reason: failure.reason,
    ...(operation === "download" ? { copy: copyOf(failure) } : {}),
    ...(operation === "upload" || operation === "update" || operation === "replace"
      ? { stored: storedOf(failure) }
      : {})
  })

/**
 * The one retry layer. `attempt` is given its number, from 1, and the failure before it.
 */
export const run = Effect.fnUntraced(function*<A, R>(
  options: {
    readonly operation: FileIoError.Operation
    readonly reopenable: boolean
    readonly onFailure: (failure: Failure) => Effect.Effect<void>
  },
  attempt: (number: number, before: Failure | undefined) => Effect.Effect<A, Failure, R>
): Effect.fn.Return<A, FileIoError.FileIoError, R> {
  const policy = yield* CurrentRetryPolicy
  const clock = yield* Clock.Clock
  const began = clock.currentTimeMillisUnsafe()
  const budget = Duration.toMillis(policy.budget)
  const step = yield* Schedule.toStep(policy.schedule)
  let before: Failure | undefined
  for (let number = 1;; number++) {
    const result = yield* Effect.result(attempt(number, before))
    if (result._tag === "Success") {
      yield* Effect.annotateCurrentSpan("fileio.attempts", number)
      return result.success
    }
    const failure = result.failure
    yield* options.onFailure(failure)
    const error = toError(options.operation, failure)
    const giveUp = Effect.andThen(Effect.annotateCurrentSpan("fileio.attempts", number), Effect.fail(error))
    if (!mayRepeat(options.operation, failure, options.reopenable)) return yield* giveUp
    const now = clock.currentTimeMillisUnsafe()
    const next = yield* step(now, error).pipe(
      Effect.map(([, delay]) => Option.some(delay)),
      Pull.catchDone(() => Effect.succeedNone)
    )
    if (Option.isNone(next)) return yield* giveUp
    const asked = retryAfterOf(failure)
    const delay = Duration.toMillis(asked === undefined ? next.value : Duration.max(next.value, asked))
    // A wait that cannot end in time is told at once, not slept through.
    if (now - began + delay > budget) return yield* giveUp
    yield* Effect.sleep(delay)
    before = failure
  }
})
