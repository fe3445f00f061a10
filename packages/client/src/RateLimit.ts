/**
 * The limit of requests that an account may make: learned from the host, shared by all that use the account, kept exactly.
 *
 * **Details**
 *
 * A host that counts the requests of any sliding second sees at most the limit. Each request holds one of as many permits as
 * the limit, until a window after the latest time at which the host can have counted it. `ARCHITECTURE.md`, "Why the limit
 * holds", has the argument and what it assumes.
 *
 * A host that refuses requests within the limit that it gives is believed: the account slows down, remembers what was
 * refused, and tries more only now and then. So an account that another program uses too is shared with it.
 *
 * **Gotchas**
 *
 * A request whose answer is not known (it broke, or its caller gave up) counts until a second after that. An upload counts
 * from when its head arrives at the host, which is taken to be a second after more than 2 MiB of it have been sent, or
 * 10 seconds after its start; so a long transfer does not hold a permit until it ends. A host that counts a request only when
 * it has all of it sees long uploads later than they are counted here.
 *
 * @since 0.1.0
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Quota } from "./RateLimitStore.ts"

/**
 * The limit that calls keep to. Make one with `learned`, `fixed` or `unlimited`.
 *
 * @category models
 * @since 0.1.0
 */
export type RateLimit =
  | { readonly _tag: "Learned"; readonly lifetime: number }
  | { readonly _tag: "Fixed"; readonly quota: Quota }
  | { readonly _tag: "Unlimited" }

/**
 * What the listener of `CurrentOnWait` is given.
 *
 * @category models
 * @since 0.1.0
 */
export interface Waiting {
  readonly operation: FileIoError.Operation
  /** Whether it waits for the account's limit, or because the host has refused a request (429). */
  readonly reason: "limit" | "refused"
  /** How long it will take, as far as that is known. */
  readonly expected: Duration.Duration
  /** How many calls are before it. */
  readonly ahead: number
  /** How many requests may be made in any `window`. */
  readonly limit: number
  readonly window: Duration.Duration
}

const millisOf = (duration: Duration.Input): number =>
  Option.match(Duration.fromInput(duration), { onNone: () => Number.NaN, onSome: Duration.toMillis })

/**
 * The limit that the host gives in `GET /me`, which is asked before the first call that has a key, and again when the
 * lifetime is over or the host refuses a request all the same.
 *
 * **Details**
 *
 * Until it is known, and while it cannot be learned, an account makes one request a second; a call never fails because its
 * limit could not be learned. Calls without a key, and hosts that give no limit, start at 10 requests a second, which
 * doubles after each second that was used up and halves when the host refuses one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const learned = (options?: {
  /** How long the limit is believed. @default 10 minutes */
  readonly lifetime?: Duration.Input | undefined
}): RateLimit => ({ _tag: "Learned", lifetime: millisOf(options?.lifetime ?? "10 minutes") })

/**
 * At most `limit` requests in any second, or in any time of another length. Calls fail with `InvalidRequest` when one of the
 * two is not above 0.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fixed = (limit: number, window: Duration.Input = "1 second"): RateLimit => {
  const millis = millisOf(window)
  return {
    _tag: "Fixed",
    quota: limit >= 1
      ? { limit: Math.floor(limit), window: millis }
      : { limit: Math.ceil(limit), window: millis / limit }
  }
}

/**
 * No limit of our own; the host's refusals are still waited out.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unlimited: RateLimit = { _tag: "Unlimited" }

/**
 * The limit in force: that of a `FileIo` when it is made, that of a call when it is provided around the call. `undefined`
 * is `learned()`.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentRateLimit = Context.Reference<RateLimit | undefined>("@effect-fileio/client/RateLimit", {
  defaultValue: () => undefined
})

const ignore = () => Effect.void

/**
 * Called when a call has to wait for a permit, before it waits; to show it, for instance.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentOnWait = Context.Reference<(waiting: Waiting) => Effect.Effect<void>>(
  "@effect-fileio/client/RateLimit/OnWait",
  { defaultValue: () => ignore }
)

/**
 * The limit for all that is built with this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (limit: RateLimit): Layer.Layer<never> => Layer.succeed(CurrentRateLimit, limit)

/**
 * Makes the calls of one effect obey another limit. What the account has already sent is counted all the same.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withRateLimit: {
  (limit: RateLimit): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(effect: Effect.Effect<A, E, R>, limit: RateLimit): Effect.Effect<A, E, R>
} = /* @__PURE__ */ dual(
  2,
  <A, E, R>(effect: Effect.Effect<A, E, R>, limit: RateLimit): Effect.Effect<A, E, R> =>
    Effect.provideService(effect, CurrentRateLimit, limit)
)
