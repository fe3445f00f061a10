import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Metrics from "../Metrics.ts"
import * as Progress from "../Progress.ts"

/** Counts the bytes of a transfer for the metrics and the span, besides telling its listener. */
export const meter = (
  direction: "up" | "down",
  listener: Progress.Listener | undefined
): Effect.Effect<Progress.Meter> =>
  Effect.map(Progress.meter(listener), (meter) => {
    const counter = Metric.withAttributes(Metrics.bytes, { direction })
    let all = 0
    let told = 0
    const tell = Effect.suspend(() => {
      const news = all - told
      if (news === 0) return Effect.void
      told = all
      return Effect.andThen(Metric.update(counter, news), Effect.annotateCurrentSpan("fileio.bytes", all))
    })
    return {
      started: (total, from) => meter.started(total, from),
      advance: (bytes) => {
        all += bytes
        return meter.advance(bytes)
      },
      finished: Effect.andThen(meter.finished, tell),
      failed: Effect.andThen(meter.failed, tell)
    }
  })
