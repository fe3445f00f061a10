import * as Effect from "effect/Effect"
import * as Progress from "../Progress.ts"
import * as Series from "./series.ts"
import * as Traced from "./traced.ts"

/**
 * Counts the bytes of a transfer for the metrics and the span, besides telling its listener. The metrics have them as they
 * come, so that a transfer which breaks off, is interrupted, or is not read to its end is counted as far as it came.
 */
export const meter = (
  direction: "up" | "down",
  listener: Progress.Listener | undefined
): Effect.Effect<Progress.Meter> =>
  Effect.withFiber((fiber) =>
    Effect.map(Progress.meter(listener), (meter) => {
      const { context } = fiber
      const counter = Series.bytes(direction)
      let all = 0
      const tell = Effect.sync(() => {
        if (all > 0) Traced.annotate(fiber, { "fileio.bytes": all })
      })
      return {
        started: (total, from) => meter.started(total, from),
        advance: (bytes) => {
          all += bytes
          counter.updateUnsafe(bytes, context)
          return meter.advance(bytes)
        },
        finished: Effect.andThen(meter.finished, tell),
        failed: Effect.andThen(meter.failed, tell)
      }
    })
  )
