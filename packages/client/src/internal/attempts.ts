import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Metrics from "../Metrics.ts"
import { CurrentRetryPolicy } from "../RetryPolicy.ts"
import type { Budget, InTurn } from "./budget.ts"
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
 * The one retry layer. `attempt` is given its number, from 1, the failure before it, and what makes a request in its turn.
 */
export const run = Effect.fnUntraced(function*<A, R>(
  options: {
    readonly operation: FileIoError.Operation
    readonly reopenable: boolean
    readonly budget: Budget
    readonly onFailure?: ((failure: Failure) => Effect.Effect<void>) | undefined
  },
  attempt: (number: number, before: Failure | undefined, inTurn: InTurn) => Effect.Effect<A, Failure, R>
): Effect.fn.Return<A, FileIoError.FileIoError, R> {
  const { operation } = options
  const policy = yield* CurrentRetryPolicy
  const clock = yield* Clock.Clock
  const turn = yield* options.budget.turn(operation)
  const began = nowOf(clock)
  // The turn of a call may come late because many are before it; that is no reason to give up earlier on a failure.
  const spent = () => nowOf(clock) - began - turn.waited()
  const budget = Duration.toMillis(policy.budget)
  const inTurn: InTurn = (request, flow) => Effect.suspend(() => turn.run(request, Math.max(0, budget - spent()), flow))
  const step = yield* Schedule.toStep(policy.schedule)
  let before: Failure | undefined
  for (let number = 1;; number++) {
    const result = yield* Effect.result(attempt(number, before, inTurn))
    const failure = result._tag === "Failure" ? result.failure : undefined
    // What failed here was no request.
    if (failure?.stage !== "local") {
      yield* turn.done(failure)
      yield* count(operation, number, failure)
    }
    yield* Effect.annotateCurrentSpan({ "fileio.attempts": number, "fileio.waited_ms": Math.round(turn.waited()) })
    if (result._tag === "Success") return result.success
    if (options.onFailure !== undefined) yield* options.onFailure(result.failure)
    const error = toError(operation, result.failure)
    if (!mayRepeat(operation, result.failure, options.reopenable)) return yield* Effect.fail(error)
    const next = yield* step(clock.currentTimeMillisUnsafe(), error).pipe(
      Effect.map(([, delay]) => Option.some(delay)),
      Pull.catchDone(() => Effect.succeedNone)
    )
    if (Option.isNone(next)) return yield* Effect.fail(error)
    const asked = retryAfterOf(result.failure)
    const delay = Duration.toMillis(asked === undefined ? next.value : Duration.max(next.value, asked))
    // A wait that cannot end in time is told at once, not slept through.
    if (spent() + delay > budget) return yield* Effect.fail(error)
    yield* Effect.sleep(delay)
    before = result.failure
  }
})

/** A request that is not repeated, such as the rest of a download. */
export const once = Effect.fnUntraced(function*<A, R>(
  budget: Budget,
  operation: FileIoError.Operation,
  attempt: (inTurn: InTurn) => Effect.Effect<A, Failure, R>
): Effect.fn.Return<A, Failure, R> {
  const { budget: patience } = yield* CurrentRetryPolicy
  const turn = yield* budget.turn(operation)
  const result = yield* Effect.result(attempt((request, flow) => turn.run(request, Duration.toMillis(patience), flow)))
  const failure = result._tag === "Failure" ? result.failure : undefined
  if (failure?.stage !== "local") {
    yield* turn.done(failure)
    yield* count(operation, 1, failure)
  }
  return yield* Effect.fromResult(result)
})

const nowOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

const count = (operation: FileIoError.Operation, number: number, failure: Failure | undefined): Effect.Effect<void> => {
  const outcome = failure === undefined ? "ok" : failure.reason._tag
  const counted = Metric.update(Metric.withAttributes(Metrics.requests, { operation, outcome }), 1)
  return number === 1
    ? counted
    : Effect.andThen(counted, Metric.update(Metric.withAttributes(Metrics.retries, { operation }), 1))
}
