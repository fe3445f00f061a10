import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import { CurrentRetryPolicy } from "../../RetryPolicy.ts"
import type { Budget, InTurn, Turn } from "../budget.ts"
import * as Metrics from "../observe/metrics.ts"
import * as Span from "../observe/span.ts"
import { copyOf, type Failure, mayRepeat, retryAfterOf, storedOf } from "../shared/failure.ts"
import { millisOf } from "../shared/monotonic.ts"

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

/** What is to be known of an attempt when it has ended, whichever way: the limiter learns from it, and it is counted. */
const ended = (
  operation: FileIoError.Operation,
  number: number,
  turn: Turn,
  requestsBefore: number,
  exit: Exit.Exit<unknown, Failure>,
  fiber: Fiber.Fiber<unknown, unknown>
): Effect.Effect<void> | undefined => {
  Span.annotate(fiber, { "fileio.attempts": number, "fileio.waited_ms": Math.round(turn.passage.waited) })
  const failure = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
  // What failed here was no request, nor was one that nobody waited for any more before it was made.
  const isRequest = failure === undefined
    ? Exit.isSuccess(exit) || turn.passage.requests > requestsBefore
    : failure.stage !== "local"
  if (!isRequest) return undefined
  const outcome = failure !== undefined
    ? failure.reason._tag
    : Exit.isSuccess(exit)
    ? "ok"
    : Cause.hasInterruptsOnly(exit.cause)
    ? "Interrupted"
    : "Defect"
  Metrics.requests(operation, outcome).updateUnsafe(1, fiber.context)
  if (number > 1) Metrics.retries(operation).updateUnsafe(1, fiber.context)
  return failure !== undefined || Exit.isSuccess(exit) ? turn.done(failure) : undefined
}

/** One attempt, which begins now. */
const attempted = <A, R>(
  operation: FileIoError.Operation,
  number: number,
  turn: Turn,
  attempt: Effect.Effect<A, Failure, R>,
  fiber: Fiber.Fiber<unknown, unknown>
): Effect.Effect<A, Failure, R> => {
  const before = turn.passage.requests
  return Effect.onExitPrimitive(attempt, (exit) => ended(operation, number, turn, before, exit, fiber))
}

/**
 * The one retry layer. `attempt` is given its number, from 1, the failure before it, and what makes a request in its turn.
 */
export const run = <A, R>(
  options: {
    readonly operation: FileIoError.Operation
    readonly reopenable: boolean
    readonly budget: Budget
    readonly onFailure?: ((failure: Failure) => Effect.Effect<void>) | undefined
  },
  attempt: (number: number, before: Failure | undefined, inTurn: InTurn) => Effect.Effect<A, Failure, R>
): Effect.Effect<A, FileIoError.FileIoError, R> =>
  Effect.withFiber((fiber) => {
    const { operation } = options
    const turn = options.budget.turn(operation, fiber)
    const policy = fiber.getRef(CurrentRetryPolicy)
    const clock = fiber.getRef(Clock.Clock)
    const began = millisOf(clock)
    // The turn of a call may come late because many are before it; that is no reason to give up earlier on a failure.
    const spent = () => millisOf(clock) - began - turn.passage.waited
    const budget = Duration.toMillis(policy.budget)
    const patience = () => Math.max(0, budget - spent())
    const inTurn: InTurn = (request, flow) => turn.run(request, patience, flow)
    const again = (failed: Failure) =>
      Effect.gen(function*(): Effect.fn.Return<A, FileIoError.FileIoError, R> {
        const step = yield* Schedule.toStep(policy.schedule)
        let failure = failed
        for (let number = 2;; number++) {
          if (options.onFailure !== undefined) yield* options.onFailure(failure)
          const error = toError(operation, failure)
          if (!mayRepeat(operation, failure, options.reopenable)) return yield* Effect.fail(error)
          const next = yield* step(clock.currentTimeMillisUnsafe(), error).pipe(
            Effect.map(([, delay]) => Option.some(delay)),
            Pull.catchDone(() => Effect.succeedNone)
          )
          if (Option.isNone(next)) return yield* Effect.fail(error)
          const asked = retryAfterOf(failure)
          const delay = Duration.toMillis(asked === undefined ? next.value : Duration.max(next.value, asked))
          // A wait that cannot end in time is told at once, not slept through.
          if (spent() + delay > budget) return yield* Effect.fail(error)
          yield* Effect.sleep(delay)
          const result = yield* Effect.result(
            attempted(operation, number, turn, attempt(number, failure, inTurn), fiber)
          )
          if (result._tag === "Success") return result.success
          failure = result.failure
        }
      })
    return Effect.catch(attempted(operation, 1, turn, attempt(1, undefined, inTurn), fiber), again)
  })

/** A request that is not repeated, such as the rest of a download. */
export const once = <A, R>(
  budget: Budget,
  operation: FileIoError.Operation,
  attempt: (inTurn: InTurn) => Effect.Effect<A, Failure, R>
): Effect.Effect<A, Failure, R> =>
  Effect.withFiber((fiber) => {
    const turn = budget.turn(operation, fiber)
    const patience = Duration.toMillis(fiber.getRef(CurrentRetryPolicy).budget)
    return attempted(operation, 1, turn, attempt((request, flow) => turn.run(request, () => patience, flow)), fiber)
  })
