/**
 * Counts the requests of each account or address in any second.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/**
 * Result of counting a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Taken {
  /** Whether the request was within the limit, and was counted. */
  readonly allowed: boolean
  /** How many more are allowed now. */
  readonly remaining: number
  /** How long until one more is allowed. */
  readonly reset: Duration.Duration
}

/**
 * Counts the requests of each account in any second.
 *
 * @category services
 * @since 0.1.0
 */
export class RateCounter extends Context.Service<RateCounter, {
  /** Counts a request of `id`, unless `limit` of them were counted in the last second. */
  readonly take: (id: string, limit: number) => Effect.Effect<Taken>
  /** Whether it counts for all servers; `false` while each server counts alone although several should count together. */
  readonly isComplete: Effect.Effect<boolean>
}>()("@effect-fileio/server/RateCounter") {}

const WINDOW = 1000
const SWEEP_EVERY = 1024

/**
 * Exact and in memory: keeps the times of the last second, not sums of intervals.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<RateCounter> = Layer.sync(RateCounter, () => {
  const counted = new Map<string, Array<number>>()
  let calls = 0

  const forgetIdle = (now: number) => {
    for (const [id, times] of counted) if (now - times.at(-1)! >= WINDOW) counted.delete(id)
  }

  return RateCounter.of({
    isComplete: Effect.succeed(true),
    take: (id, limit) =>
      Effect.map(Clock.currentTimeNanos, (nanos) => {
        const now = Number(nanos) / 1e6
        if (++calls % SWEEP_EVERY === 0) forgetIdle(now)
        let times = counted.get(id)
        if (times === undefined) counted.set(id, times = [])
        while (times.length > 0 && now - times[0]! >= WINDOW) times.shift()
        const allowed = times.length < limit
        if (allowed) times.push(now)
        const wait = times.length === 0 ? WINDOW : times[0]! + WINDOW - now
        return {
          allowed,
          remaining: Math.max(0, limit - times.length),
          reset: Duration.millis(Math.max(1, Math.ceil(wait)))
        }
      })
  })
})
