/**
 * The rate limit of an account: learned from the host, shared by all fibers and layers of this process, and through a
 * permit store (`RateLimitStore`) by other processes.
 *
 * **Details**
 *
 * A host that counts the requests of any sliding second sees at most the limit. There is one permit per request that
 * the limit allows, and each request holds one until a window after the latest time at which the host can have counted
 * it. `ARCHITECTURE.md`, "Why the limit holds", has the argument and its assumptions.
 *
 * If a host refuses requests within its own limit, the account slows down, remembers the refused rate, and seldom tries a
 * higher one. So programs that use the same account share it.
 *
 * **Gotchas**
 *
 * A request whose response is lost (it broke, or was interrupted) may still be on its way, so it is assumed to reach the
 * host up to a second later: it holds its permit for a second, a window and 2 ms after that. An upload counts from the arrival
 * of its head at the host, assumed a second after more than 2 MiB of it have been sent, or 10 seconds after its start; so
 * a long transfer does not hold a permit until it ends. A host that counts a request only when it has received all of it
 * counts long uploads later than the client does.
 *
 * A request that waits for a connection holds its permit until it is sent, for 5 minutes at most: that is more than any
 * time to connect, but where `connections` are few, a request may wait longer for one. A transport that does not report
 * the wait, such as `fetch`, is assumed to connect within 10 seconds.
 *
 * @since 0.1.0
 */
import * as DurationInput from "@effect-fileio/core/DurationInput"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { Quota } from "./RateLimitStore.ts"

/**
 * A rate limit for calls. Make one with `learned`, `fixed` or `unlimited`.
 *
 * @category models
 * @since 0.1.0
 */
export type RateLimit =
  | { readonly _tag: "Learned"; readonly lifetime: number }
  | { readonly _tag: "Fixed"; readonly quota: Quota }
  | { readonly _tag: "Unlimited" }

/**
 * Argument of the listener `CurrentOnWait`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Waiting {
  readonly operation: FileIoError.Operation
  /** Whether the call waits for the account's limit, or because the host refused a request (429). */
  readonly reason: "limit" | "refused"
  /** Expected duration, as far as known. */
  readonly expected: Duration.Duration
  /** Number of calls before it. */
  readonly ahead: number
  /** Requests allowed in any `window`. */
  readonly limit: number
  readonly window: Duration.Duration
}

const millisOf = (duration: DurationInput.DurationInput): number =>
  Result.match(DurationInput.parse(duration), { onFailure: () => Number.NaN, onSuccess: Duration.toMillis })

/**
 * The limit from `GET /me`, which is requested before the first call that has a key, and again after the lifetime or an
 * unexpected refusal.
 *
 * **Details**
 *
 * While the limit is unknown, an account makes one request per second; a call never fails because its limit could not
 * be learned. Calls without a key, and hosts without a limit, start at 10 requests per second, which doubles after each
 * second that was used up and falls by 30 % after a refusal.
 *
 * @category constructors
 * @since 0.1.0
 */
export const learned = (options?: {
  /** How long a learned limit is used. @default 10 minutes */
  readonly lifetime?: DurationInput.DurationInput | undefined
}): RateLimit => ({ _tag: "Learned", lifetime: millisOf(options?.lifetime ?? "10 minutes") })

/**
 * At most `limit` requests in any second, or in any other window. Calls fail with `InvalidRequest` if `limit` or
 * `window` is not positive. A fraction above 1 is rounded down.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fixed = (limit: number, window: DurationInput.DurationInput = "1 second"): RateLimit => {
  const millis = millisOf(window)
  return {
    _tag: "Fixed",
    quota: limit >= 1
      ? { limit: Math.floor(limit), window: millis }
      : { limit: Math.ceil(limit), window: millis / limit }
  }
}

/**
 * No limit; the client still waits after a 429.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unlimited: RateLimit = { _tag: "Unlimited" }

/**
 * The rate limit. Read when a `FileIo` is made; provided around a call, it replaces that limit. `undefined` is
 * `learned()`.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentRateLimit = /* @__PURE__ */ Context.Reference<RateLimit | undefined>(
  "@effect-fileio/client/RateLimit",
  {
    defaultValue: () => undefined
  }
)

const ignore = () => Effect.void

/**
 * Called before a call waits for a permit, for example to show it.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentOnWait = /* @__PURE__ */ Context.Reference<(waiting: Waiting) => Effect.Effect<void>>(
  "@effect-fileio/client/RateLimit/OnWait",
  { defaultValue: () => ignore }
)

/**
 * The limit for everything built with this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (rateLimit: RateLimit): Layer.Layer<never> => Layer.succeed(CurrentRateLimit, rateLimit)

/**
 * Applies another limit to the calls of an effect. Requests that the account has already sent count too.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withRateLimit: {
  (rateLimit: RateLimit): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(effect: Effect.Effect<A, E, R>, rateLimit: RateLimit): Effect.Effect<A, E, R>
} = /* @__PURE__ */ dual(
  2,
  <A, E, R>(effect: Effect.Effect<A, E, R>, rateLimit: RateLimit): Effect.Effect<A, E, R> =>
    Effect.provideService(effect, CurrentRateLimit, rateLimit)
)
