/**
 * Rate limits that several processes share through Redis. On Node, `@effect-fileio/platform-node/NodeRateLimit` also
 * connects to it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Scripts from "./internal/limit/redis.ts"
import * as RateLimitStore from "./RateLimitStore.ts"

/**
 * Options of the permits in Redis, and what to do without it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Prefix of every key in Redis. @default fileio */
  readonly prefix?: string | undefined
  /**
   * What calls do while Redis is unavailable: `"fail"` with `Unreachable`, or use a share of the limit, divided by this
   * number of processes. Either is logged once. @default "fail"
   */
  readonly whenAway?: RateLimitStore.Store["whenAway"] | undefined
}

/**
 * A permit store in Redis. One Lua script acquires a permit, by Redis' clock alone. Keys contain a SHA-256 of the host and the
 * API key, and expire.
 *
 * **Gotchas**
 *
 * The processes together keep the limit as long as each request reaches the host within 10 seconds after it was sent. While
 * one waits for a connection, its permit is renewed, for 5 minutes at most. The permits of a process that has died are
 * free after 10 seconds and a window.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options?: Options
): Effect.fn.Return<RateLimitStore.Store, never, Redis.Redis> {
  const redis = yield* Redis.Redis
  const acquire = redis.eval(Scripts.acquire)
  const renew = redis.eval(Scripts.renew)
  const release = redis.eval(Scripts.release)
  const pause = redis.eval(Scripts.pause)
  const keys = (account: string) => Scripts.keysOf(options?.prefix ?? "fileio", account)
  return {
    acquire: ({ account, isReduced, permit, quota }) =>
      Effect.map(
        acquire(keys(account), [permit, quota?.limit ?? 0, quota?.window ?? 0, isReduced ? 1 : 0]),
        ([_tag, wait]): RateLimitStore.Acquired => ({ _tag, wait: Number(wait) })
      ),
    renew: (account, permit) => renew(keys(account), [permit]),
    release: (account, permit, countedIn) =>
      countedIn === undefined
        ? redis.send("ZREM", keys(account)[0]!, permit)
        : release(keys(account), [permit, countedIn.toFixed(3)]),
    pause: (account, millis) => pause(keys(account), [millis.toFixed(3)]),
    whenAway: options?.whenAway ?? "fail"
  }
})

/**
 * Shares the rate limit of each account with all processes that use the same Redis.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<never, never, Redis.Redis> =>
  Layer.unwrap(Effect.map(make(options), RateLimitStore.layer))
