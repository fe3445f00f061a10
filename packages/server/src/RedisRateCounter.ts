/**
 * The rate counter in Redis, for several servers that count together. It is as exact as the one in memory, on Redis' own clock.
 *
 * **Gotchas**
 *
 * While Redis is unavailable, each server counts alone: n servers then allow up to n times the limit, since to refuse every
 * call would make everything depend on a part that only counts. The log reports once that Redis is lost, and once that it is
 * back. Only requests that are waiting when Redis fails are delayed, for one second by default; later ones are not, until a new
 * connection works.
 *
 * This module needs the package `redis`; nothing else loads it.
 *
 * @since 0.1.0
 */
import * as DurationInput from "@effect-fileio/core/DurationInput"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { RedisError } from "effect/persistence/Redis"
import type * as Redacted from "effect/Redacted"
import * as RedisLink from "./internal/redis/redisLink.ts"
import { layer as layerMemory, RateCounter } from "./RateCounter.ts"

/**
 * Address of Redis.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Such as `redis://user:password@host:6379/0`. */
  readonly url: Redacted.Redacted
  /** Prefix of the keys. @default "fileio:rate:" */
  readonly prefix?: string | undefined
  /** How long a request may wait for Redis. @default 1 second */
  readonly timeout?: DurationInput.DurationInput | undefined
}

/** The times of the last second in one sorted set; returns whether it was counted, how many are left, and the wait in µs. */
const TAKE = `
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local limit = tonumber(ARGV[1])
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", string.format("%.0f", now - 1000000))
local held = redis.call("ZCARD", KEYS[1])
local allowed = held < limit and 1 or 0
if allowed == 1 then
  -- Two of one microsecond differ in how many there were before them.
  redis.call("ZADD", KEYS[1], string.format("%.0f", now), string.format("%.0f:%d", now, held))
  redis.call("PEXPIRE", KEYS[1], 1001)
  held = held + 1
end
local oldest = redis.call("ZRANGE", KEYS[1], 0, 0, "WITHSCORES")
local wait = oldest[2] and (tonumber(oldest[2]) + 1000000 - now) or 1000000
return { allowed, math.max(0, limit - held), math.max(1, wait) }
`

/**
 * Counts in Redis, so that several servers share one limit.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<RateCounter, RedisError> =>
  Layer.effect(
    RateCounter,
    Effect.gen(function*() {
      const alone = yield* RateCounter
      const prefix = options.prefix ?? "fileio:rate:"
      const probe = [`${prefix}probe`, "1"] as const
      const run = yield* RedisLink.make({
        url: options.url,
        timeout: DurationInput.parseOptionUnsafe("timeout", options.timeout ?? "1 second"),
        lua: TAKE,
        probe
      })
      return RateCounter.of({
        isComplete: Effect.match(run(...probe), { onFailure: () => false, onSuccess: () => true }),
        take: (id, limit) =>
          run(`${prefix}${id}`, String(limit)).pipe(
            Effect.map((reply) => {
              const [allowed, remaining, micros] = reply as readonly [number, number, number]
              return { allowed: allowed === 1, remaining, reset: Duration.millis(Math.ceil(micros / 1000)) }
            }),
            Effect.catch(() => alone.take(id, limit))
          )
      })
    })
  ).pipe(Layer.provide(layerMemory))
