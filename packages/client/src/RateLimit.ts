/**
 * The budget of calls that an account may make: learned from the host, shared by all that use the account, kept exactly.
 *
 * **Details**
 *
 * A host that counts the requests of any sliding second sees at most the limit. Each request holds one of as many places
 * as the limit; a place comes free one window after the *latest* time at which the host can have counted its request. That
 * is the time of the answer, less a lower bound of what the way there and back takes at least: the answer took its way back
 * after the host had counted, and the next request has its way there still before it. The bound is taken from the shortest
 * round trips of the last time over open connections, less a margin that shrinks as more are seen; until three were seen it
 * is zero, and then nothing is assumed but that a request arrives before its answer does.
 *
 * What the bound assumes is that the fastest way to the host does not become faster, without having been seen before, by
 * more than the margin. It may then be wrong for as long as one answer takes. Processes that share a limit also assume that
 * their ways are divided alike between there and back.
 *
 * How far a late answer was late on its way there cannot be known, so the highest safe rate is 1 / (1 + e) of the limit,
 * where e is the average time, in seconds, by which a round trip exceeds the shortest one. This comes near it: 0.98 of the
 * limit at 10 ms, and 0.97 up to some 20 ms.
 *
 * **Gotchas**
 *
 * A request whose answer is not known (it broke, or its caller gave up) counts until a second after that. An upload counts
 * from when its head arrives at the host, which is taken to be a second after more than 2 MiB of it have been sent, or
 * 10 seconds after its start; so a long transfer does not hold a place until it ends. A host that counts a request only when
 * it has all of it sees long uploads later than they are counted here.
 *
 * @since 0.1.0
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import * as Accounts from "./internal/accounts.ts"
import * as RedisStore from "./internal/redisStore.ts"
import { millisOf } from "./internal/shared/monotonic.ts"
import { CurrentRateLimitStore, type Quota } from "./RateLimitStore.ts"

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
 * What a call is told that has to wait for its turn.
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
  /** So many requests are allowed … */
  readonly limit: number
  /** … in any time of this length. */
  readonly window: Duration.Duration
}

/**
 * The limit that the host tells in `GET /me`, which is asked once, before the first call that has a key, and again when
 * the lifetime is over or the host refuses a request all the same.
 *
 * **Details**
 *
 * Until it is known, and while it cannot be learned, an account makes one request a second; a call never fails because its
 * limit could not be learned. Calls without a key, and hosts that tell no limit, start at 10 requests a second, which
 * doubles after each second that was used up and halves when the host refuses one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const learned = (options?: {
  /** How long the limit is believed. @default 10 minutes */
  readonly lifetime?: Duration.Input | undefined
}): RateLimit => ({
  _tag: "Learned",
  lifetime: Duration.toMillis(Duration.fromInputUnsafe(options?.lifetime ?? "10 minutes"))
})

/**
 * So many requests in any second, or in any time of another length.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fixed = (limit: number, window: Duration.Input = "1 second"): RateLimit => {
  if (!(limit > 0)) throw new RangeError(`a rate limit is more than 0, not ${limit}`)
  const millis = Duration.toMillis(Duration.fromInputUnsafe(window))
  return {
    _tag: "Fixed",
    quota: limit >= 1 ? { limit: Math.floor(limit), window: millis } : { limit: 1, window: millis / limit }
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

const tellNobody = () => Effect.void

/**
 * Is told when a call has to wait for its turn, before it waits; to show it, for instance.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentOnWait = Context.Reference<(waiting: Waiting) => Effect.Effect<void>>(
  "@effect-fileio/client/RateLimit/OnWait",
  { defaultValue: () => tellNobody }
)

/**
 * The limit for all that is built with this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (limit: RateLimit): Layer.Layer<never> => Layer.succeed(CurrentRateLimit, limit)

/**
 * Where in Redis the budgets are, and what to do without it.
 *
 * @category models
 * @since 0.1.0
 */
export interface RedisOptions {
  /** Put before every key in Redis. @default fileio */
  readonly prefix?: string | undefined
  /**
   * What calls do while Redis does not answer: `"fail"` with `Unreachable`, or keep to their part of the limit, which is
   * divided by this number of processes. Either is logged once. @default "fail"
   */
  readonly whenAway?: "fail" | { readonly processes: number } | undefined
}

/**
 * Shares the budget of each account with all processes that use the same Redis. On Node,
 * `@effect-fileio/platform-node/NodeRateLimit` makes the connection too.
 *
 * **Details**
 *
 * One script on the server takes a place, by the clock of Redis alone. Keys hold a SHA-256 of the host and the API key.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (options?: RedisOptions): Layer.Layer<never, never, Redis.Redis> =>
  Layer.effect(CurrentRateLimitStore, RedisStore.make(options?.prefix ?? "fileio", options?.whenAway ?? "fail"))

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

/**
 * How long a call of this account that came now would wait, as far as that is known. `baseUrl` and `apiKey` are those
 * that the `FileIo` was made with.
 *
 * @category accessors
 * @since 0.1.0
 */
export const waitTime = (account: {
  readonly baseUrl: string | URL
  readonly apiKey?: Redacted.Redacted | undefined
}): Effect.Effect<Duration.Duration> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const store = yield* CurrentRateLimitStore
    const limit = (yield* CurrentRateLimit) ?? learned()
    const url = new URL(account.baseUrl)
    const baseUrl = (url.origin + url.pathname).replace(/\/+$/, "")
    const found = Accounts.get(clock, store, baseUrl, account.apiKey && Redacted.value(account.apiKey))
    return Duration.millis(found.wait(millisOf(clock), limit))
  })
