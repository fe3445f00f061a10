/**
 * The progress of a transfer, as events.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/**
 * One event. A transfer gives one `Started`, then `Advanced` at most ten times a second, and at the end always one of
 * `Finished` and `Failed`. When an attempt is repeated, `Started` comes again and the count begins anew.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly _tag: "Started" | "Advanced" | "Finished" | "Failed"
  /** Bytes of the file that went over the wire in this attempt. */
  readonly bytes: number
  /** Bytes of the whole file; `undefined` when it is not known. */
  readonly total: number | undefined
  /** Milliseconds since `Started`. */
  readonly elapsedMillis: number
  /** Average bytes a second since `Started`. */
  readonly bytesPerSecond: number
}

/**
 * What a caller gives to watch a transfer. It is run in the transfer's fiber, so it should be short.
 *
 * @category models
 * @since 0.1.0
 */
export type Listener = (progress: Progress) => Effect.Effect<void>

const INTERVAL_MILLIS = 100

/**
 * Counts the bytes of one transfer and tells a listener.
 *
 * @category models
 * @since 0.1.0
 */
export interface Meter {
  readonly started: (total: number | undefined) => Effect.Effect<void>
  /** Adds bytes; gives an effect only when an event is due, so that a chunk costs an addition. */
  readonly advance: (bytes: number) => Effect.Effect<void> | undefined
  readonly finished: Effect.Effect<void>
  readonly failed: Effect.Effect<void>
}

const silent: Meter = {
  started: () => Effect.void,
  advance: () => undefined,
  finished: Effect.void,
  failed: Effect.void
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const meter = (listener: Listener | undefined): Effect.Effect<Meter> =>
  listener === undefined ? Effect.succeed(silent) : Clock.clockWith((clock) => {
    let bytes = 0
    let total: number | undefined
    let began = clock.currentTimeMillisUnsafe()
    let told = began
    let running = false
    const tell = (_tag: Progress["_tag"]): Effect.Effect<void> => {
      told = clock.currentTimeMillisUnsafe()
      const elapsedMillis = told - began
      const bytesPerSecond = elapsedMillis === 0 ? 0 : Math.round(bytes * 1000 / elapsedMillis)
      return listener({ _tag, bytes, total, elapsedMillis, bytesPerSecond })
    }
    const end = (_tag: Progress["_tag"]) =>
      Effect.suspend(() => {
        if (!running) return Effect.void
        running = false
        return tell(_tag)
      })
    return Effect.succeed<Meter>({
      started: (size) =>
        Effect.suspend(() => {
          bytes = 0
          total = size
          began = clock.currentTimeMillisUnsafe()
          running = true
          return tell("Started")
        }),
      advance: (count) => {
        bytes += count
        return clock.currentTimeMillisUnsafe() - told >= INTERVAL_MILLIS ? tell("Advanced") : undefined
      },
      finished: end("Finished"),
      failed: end("Failed")
    })
  })
