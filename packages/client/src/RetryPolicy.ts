/**
 * When a call that failed is made again. *Whether* it may be repeated is not a matter of policy: that follows from what
 * the call does to the only copy, see `ARCHITECTURE.md`.
 *
 * @since 0.1.0
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/**
 * When, and for how long, a call is made again.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryPolicy {
  /**
   * The delays between attempts; it ends when there are to be no more. A longer `Retry-After` of the host wins. Refusals (429) in a
   * row are one repetition: the rate limit paces them, within the budget.
   */
  readonly schedule: Schedule.Schedule<unknown, FileIoError.FileIoError>
  /**
   * The most time that a call may spend, from its start to the start of its last attempt, and from its first refusal (429) on.
   * The time that it waits for the account's limit before that is not counted. A wait that the host asks for and that is
   * longer fails at once.
   */
  readonly budget: Duration.Duration
}

/**
 * The delays between attempts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How many times a call is repeated at most. @default 4 */
  readonly times?: number | undefined
  /** The first delay; each one after it is twice as long. @default 250 milliseconds */
  readonly base?: Duration.Input | undefined
  /** The longest delay. @default 10 seconds */
  readonly maxDelay?: Duration.Input | undefined
  /** See `RetryPolicy.budget`. @default 1 minute */
  readonly budget?: Duration.Input | undefined
}

/**
 * Exponential delays, each spread at random between 80 % and 120 %.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): RetryPolicy => {
  const maxDelay = Duration.fromInputUnsafe(options?.maxDelay ?? "10 seconds")
  return {
    schedule: Schedule.exponential(options?.base ?? "250 millis").pipe(
      Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, maxDelay))),
      Schedule.jittered,
      Schedule.upTo({ times: options?.times ?? 4 })
    ),
    budget: Duration.fromInputUnsafe(options?.budget ?? "1 minute")
  }
}

/**
 * Delays by any schedule of yours; it is given the error of the attempt.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromSchedule = (
  schedule: Schedule.Schedule<unknown, FileIoError.FileIoError>,
  options?: Pick<Options, "budget">
): RetryPolicy => ({ schedule, budget: Duration.fromInputUnsafe(options?.budget ?? "1 minute") })

/**
 * Nothing is repeated. A call still waits for its turn when the host has told the account to wait, at most a minute.
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: RetryPolicy = make({ times: 0 })

/**
 * The policy in force. Provide another one with `Effect.provideService(CurrentRetryPolicy, policy)` or
 * `FileIo.withRetry(policy)`, for one call, a region or a whole program.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentRetryPolicy = Context.Reference<RetryPolicy>("@effect-fileio/client/RetryPolicy", {
  defaultValue: () => make()
})
