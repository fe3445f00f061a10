/**
 * Repeats failed attempts by the policy of the call, where `shared/failure.ts` allows it, and makes the public error of the last
 * one. The calls use it; every request goes through the rate limiter.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import { CurrentRetryPolicy, type RetryPolicy } from "../../RetryPolicy.ts"
import type { CallPermits, Limiter, RequestHooks, WithPermit } from "../limit/limiter.ts"
import * as Metrics from "../observe/metrics.ts"
import * as Span from "../observe/span.ts"
import { type Content, copyOf, Failure, mayHaveEffect, mayRepeat, retryAfterOf, storedOf } from "../shared/failure.ts"
import { millisOf } from "../shared/monotonic.ts"
import * as Timeouts from "./timeouts.ts"

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

/** The delay after a failure, in milliseconds; `undefined` at the end of the policy. */
export type NextDelay = (
  operation: FileIoError.Operation,
  failure: Failure
) => Effect.Effect<number | undefined>

/** Starts the delays of a policy. A longer wait that the host asks for wins. */
export const startDelays = (policy: RetryPolicy, clock: Clock.Clock): Effect.Effect<NextDelay> =>
  Effect.map(
    Schedule.toStep(policy.schedule),
    (step) => (operation, failure) =>
      step(clock.currentTimeMillisUnsafe(), toError(operation, failure)).pipe(
        Effect.map(([, delay]): number | undefined =>
          Duration.toMillis(Duration.max(delay, retryAfterOf(failure) ?? Duration.zero))
        ),
        Pull.catchDone(() => Effect.undefined)
      )
  )

/** Information about a finished attempt, for the limiter and the metrics. */
const ended = (
  operation: FileIoError.Operation,
  number: number,
  permits: CallPermits,
  requestsBefore: number,
  exit: Exit.Exit<unknown, Failure>,
  fiber: Fiber.Fiber<unknown, unknown>
): Effect.Effect<void> | undefined => {
  Span.annotate(fiber, { "fileio.attempts": number, "fileio.waited_ms": Math.round(permits.stats.waited) })
  const failure = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
  // A failure before any request, or an interruption before the request was sent, is no attempt.
  const isRequest = failure === undefined
    ? Exit.isSuccess(exit) || permits.stats.requests > requestsBefore
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
  return failure !== undefined || Exit.isSuccess(exit) ? permits.recordOutcome(failure) : undefined
}

/** One attempt, which starts now. */
const attempted = <A, R>(
  operation: FileIoError.Operation,
  number: number,
  permits: CallPermits,
  attempt: Effect.Effect<A, Failure, R>,
  fiber: Fiber.Fiber<unknown, unknown>
): Effect.Effect<A, Failure, R> => {
  const before = permits.stats.requests
  return Effect.onExitPrimitive(attempt, (exit) => ended(operation, number, permits, before, exit, fiber))
}

/**
 * The only retry layer. `attempt` gets a function that makes a request once there is a permit, and whether an earlier attempt may
 * have had its effect.
 */
export const run = <A, R>(
  options: {
    readonly operation: FileIoError.Operation
    readonly content: Content
    readonly limiter: Limiter
    readonly onFailure?: ((failure: Failure) => Effect.Effect<void>) | undefined
    /**
     * What is known of a transfer after a failure. `advanced`: so much was stored since the last time that the policy's delays
     * and its budget restart. `reachable`: the host responds, so the time until the failure does not count, such as a time-out.
     */
    readonly progress?: (() => "advanced" | "reachable" | "unknown") | undefined
  },
  attempt: (withPermit: WithPermit, isAfterEffect: boolean) => Effect.Effect<A, Failure, R>
): Effect.Effect<A, FileIoError.FileIoError, R> =>
  Effect.withFiber((fiber) => {
    const { operation } = options
    const permits = options.limiter.permitsFor(operation, fiber)
    const policy = fiber.getRef(CurrentRetryPolicy)
    const clock = fiber.getRef(Clock.Clock)
    let began = millisOf(clock)
    /** For how many milliseconds this process did not run, before the last request. */
    let stalledMillis = 0
    let last: RequestHooks | undefined
    // Neither a long wait for the first permit nor a stop of this process may shorten the retries.
    const spent = () => millisOf(clock) - began - permits.stats.waited - stalledMillis - (last?.stalledMillis ?? 0)
    const budget = Duration.toMillis(policy.budget)
    /** When the host first refused a request of this call (429). */
    let refusedAt = Infinity
    const maxWait = () => Math.max(0, budget - Math.max(spent(), millisOf(clock) - refusedAt))
    const withPermit: WithPermit = (request, hooks) => {
      stalledMillis += last?.stalledMillis ?? 0
      last = hooks
      return permits.run(request, maxWait, hooks)
    }
    const again = (failed: Failure) =>
      Effect.gen(function*(): Effect.fn.Return<A, FileIoError.FileIoError, R> {
        let nextDelay = yield* startDelays(policy, clock)
        let failure = failed
        let isAfterEffect = false
        for (let number = 2;; number++) {
          if (options.onFailure !== undefined) yield* options.onFailure(failure)
          const error = toError(operation, failure)
          const progress = options.progress?.() ?? "unknown"
          if (progress !== "unknown") {
            if (progress === "advanced") nextDelay = yield* startDelays(policy, clock)
            began += spent()
          }
          if (!mayRepeat(operation, failure, options.content)) return yield* Effect.fail(error)
          const isRefused = failure.stage === "limited"
          // However often the host refuses a request, it counts as one repetition for the policy.
          if (!isRefused || refusedAt === Infinity) {
            const delay = yield* nextDelay(operation, failure)
            // A wait that cannot end in time fails at once.
            if (delay === undefined || spent() + delay > budget) return yield* Effect.fail(error)
            if (isRefused) refusedAt = millisOf(clock)
            else stalledMillis += yield* Timeouts.sleep(clock, delay)
          }
          // The limiter waits after a refusal; this only gives up.
          if (isRefused && maxWait() === 0) return yield* Effect.fail(error)
          isAfterEffect ||= mayHaveEffect(operation, failure)
          const result = yield* Effect.result(
            attempted(operation, number, permits, attempt(withPermit, isAfterEffect), fiber)
          )
          if (result._tag === "Success") return result.success
          failure = result.failure
          if (isAfterEffect) failure = new Failure(failure.stage, failure.reason, true)
        }
      })
    return Effect.catch(attempted(operation, 1, permits, attempt(withPermit, false), fiber), again)
  })

/**
 * A request that is not repeated, such as one for the rest of a download; but it waits after a refusal (429), within the
 * policy's budget.
 */
export const once = <A, R>(
  limiter: Limiter,
  operation: FileIoError.Operation,
  attempt: (withPermit: WithPermit) => Effect.Effect<A, Failure, R>
): Effect.Effect<A, Failure, R> =>
  Effect.withFiber((fiber) => {
    const permits = limiter.permitsFor(operation, fiber)
    const clock = fiber.getRef(Clock.Clock)
    const budget = Duration.toMillis(fiber.getRef(CurrentRetryPolicy).budget)
    let refusedAt = Infinity
    const maxWait = () => Math.max(0, budget - Math.max(0, millisOf(clock) - refusedAt))
    const from = (number: number): Effect.Effect<A, Failure, R> =>
      Effect.catch(
        attempted(operation, number, permits, attempt((request, hooks) => permits.run(request, maxWait, hooks)), fiber),
        (failure) => {
          if (failure.stage === "limited") refusedAt = Math.min(refusedAt, millisOf(clock))
          return failure.stage === "limited" && maxWait() > 0 ? from(number + 1) : Effect.fail(failure)
        }
      )
    return from(1)
  })
