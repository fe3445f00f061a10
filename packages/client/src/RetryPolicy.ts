/**
 * When a failed call is repeated. *Whether* it may be repeated is not a matter of policy: that follows from what the
 * call does to the only copy, see `docs/one-time-promise.md`.
 *
 * @since 0.1.0
 */
import * as DurationInput from "@effect-fileio/core/DurationInput"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/**
 * When, and for how long, a call is repeated.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryPolicy {
  /**
   * The delays between attempts. When it ends, the call is not repeated again. A longer `Retry-After` of the host takes
   * precedence. Consecutive refusals (429) count as one repetition: the rate limit paces them, within the budget.
   */
  readonly schedule: Schedule.Schedule<unknown, FileIoError.FileIoError>
  /**
   * The most time that a call may take, from its start to the start of its last attempt, and from its first refusal
   * (429) on. Waiting for the account's limit before that does not count, nor does time in which this process did not run,
   * as on a laptop that sleeps. If the host asks for a longer wait, the call
   * fails at once.
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
  /** The most repetitions of a call. @default 4 */
  readonly times?: number | undefined
  /** The first delay; each further one is twice as long. @default 250 milliseconds */
  readonly base?: DurationInput.DurationInput | undefined
  /** The longest delay. @default 10 seconds */
  readonly maxDelay?: DurationInput.DurationInput | undefined
  /** See `RetryPolicy.budget`. @default 1 minute */
  readonly budget?: DurationInput.DurationInput | undefined
}

const budgetOf = (options: Pick<Options, "budget"> | undefined): Duration.Duration =>
  DurationInput.parseOptionUnsafe("budget", options?.budget ?? "1 minute")

/**
 * Exponential delays, each multiplied by a random factor between 0.8 and 1.2.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): RetryPolicy => {
  const maxDelay = DurationInput.parseOptionUnsafe("maxDelay", options?.maxDelay ?? "10 seconds")
  return {
    schedule: Schedule.exponential(DurationInput.parseOptionUnsafe("base", options?.base ?? "250 millis")).pipe(
      Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, maxDelay))),
      Schedule.jittered,
      Schedule.upTo({ times: options?.times ?? 4 })
    ),
    budget: budgetOf(options)
  }
}

/**
 * Delays by your own schedule; its input is the error of the attempt.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromSchedule = (
  schedule: Schedule.Schedule<unknown, FileIoError.FileIoError>,
  options?: Pick<Options, "budget">
): RetryPolicy => ({ schedule, budget: budgetOf(options) })

/**
 * Nothing is repeated. A call still waits, at most a minute, for a pause that the host asked for.
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: RetryPolicy = make({ times: 0 })

/**
 * The current policy. Provide another one with `Effect.provideService(CurrentRetryPolicy, policy)` or
 * `FileIo.withRetry(policy)`, for one call, a region or a whole program.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentRetryPolicy = /* @__PURE__ */ Context.Reference<RetryPolicy>("@effect-fileio/client/RetryPolicy", {
  defaultValue: () => make()
})
