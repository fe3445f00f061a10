/**
 * The budget of calls that an account may make.
 *
 * @since 0.1.0
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

/**
 * The budget of one account.
 *
 * @category models
 * @since 0.1.0
 */
export interface Budget {
  /** Makes one request when it is its turn. */
  readonly run: <A, E, R>(request: Effect.Effect<A, E, R>) => Effect.Effect<A, E | FileIoError.RateLimited, R>
  /** The host has refused a request of this account (429). */
  readonly refused: (retryAfter: Duration.Duration | undefined) => Effect.Effect<void>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface RateLimit {
  readonly open: (account: {
    readonly baseUrl: string
    readonly apiKey: Redacted.Redacted | undefined
  }) => Effect.Effect<Budget>
}

/**
 * No limit of our own; the host's refusals are still waited out.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unlimited: RateLimit = {
  open: () => Effect.succeed({ run: (request) => request, refused: () => Effect.void })
}

/**
 * The limit in force.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentRateLimit = Context.Reference<RateLimit>("@effect-fileio/client/RateLimit", {
  defaultValue: () => unlimited
})
