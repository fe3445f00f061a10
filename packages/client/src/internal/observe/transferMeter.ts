import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Progress from "../../Progress.ts"
import * as Metrics from "./metrics.ts"
import * as Span from "./span.ts"

/**
 * Counts the bytes of a transfer for the metrics and the span, and calls its listener. The metrics count bytes as they arrive,
 * so a broken, interrupted or partly read transfer is counted as far as it came.
 */
export const make = (
  fiber: Fiber.Fiber<unknown, unknown>,
  direction: "up" | "down",
  listener: Progress.Listener | undefined
): Progress.Meter => {
  const { context } = fiber
  const meter = Progress.meter(listener, fiber.getRef(Clock.Clock))
  const counter = Metrics.bytes(direction)
  let all = 0
  const tell = Effect.sync(() => {
    if (all > 0) Span.annotate(fiber, { "fileio.bytes": all })
  })
  return {
    started: meter.started,
    advance: (bytes) => {
      all += bytes
      counter.updateUnsafe(bytes, context)
      return meter.advance(bytes)
    },
    finished: listener === undefined ? tell : Effect.andThen(meter.finished, tell),
    failed: listener === undefined ? tell : Effect.andThen(meter.failed, tell)
  }
}
