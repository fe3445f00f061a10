/**
 * The rate counter in Redis, for several servers that count together. It counts as the one in memory does: exactly, any
 * second of Redis' own clock.
 *
 * **Gotchas**
 *
 * While Redis cannot be reached, each server counts for itself: the limits are looser then, but the service goes on.
 *
 * This module needs the package `redis`; nothing else loads it.
 *
 * @since 0.1.0
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import { layer as layerMemory, RateCounter } from "./RateCounter.ts"

/**
 * Where Redis is.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Such as `redis://user:password@host:6379/0`. */
  readonly url: Redacted.Redacted
  /** What the keys begin with. @default "fileio:rate:" */
  readonly prefix?: string | undefined
}

/** The times of the last second in one sorted set; gives whether it was taken, how many are left, and the wait in µs. */
const take = Redis.script((key: string, limit: number) => [key, limit], {
  numberOfKeys: 1,
  lua: `
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
}).withReturnType<readonly [allowed: number, remaining: number, micros: number]>()

/**
 * Counts in Redis, so that several servers keep to one limit.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<RateCounter, Redis.RedisError> =>
  Layer.effect(
    RateCounter,
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const alone = yield* RateCounter
      const run = redis.eval(take)
      const prefix = options.prefix ?? "fileio:rate:"
      // Said once for each time that Redis is away, not for every request.
      let away = false
      const goAlone = (error: unknown) =>
        Effect.suspend(() => {
          if (away) return Effect.void
          away = true
          return Effect.logWarning("Redis does not answer; requests are counted without it for now", error)
        })
      return RateCounter.of({
        take: (id, limit) =>
          run(`${prefix}${id}`, limit).pipe(
            Effect.timeout("2 seconds"),
            Effect.map(([allowed, remaining, micros]) => {
              away = false
              return { allowed: allowed === 1, remaining, reset: Duration.millis(Math.ceil(micros / 1000)) }
            }),
            Effect.catch((error) => Effect.andThen(goAlone(error), alone.take(id, limit)))
          )
      })
    })
  ).pipe(
    Layer.provide(layerMemory),
    Layer.provide(NodeRedis.layer({ url: Redacted.value(options.url), disableOfflineQueue: true }))
  )
