/**
 * The metrics of `Metrics.ts` with their attributes. Each series is created once: `Metric.withAttributes` builds the name of
 * the series at every update, which costs more than everything else in a small call.
 */
import * as Metric from "effect/Metric"
import * as Metrics from "../../Metrics.ts"

const cached = <Key extends string, A>(make: (key: Key) => A): (key: Key) => A => {
  const made = new Map<Key, A>()
  return (key) => {
    let value = made.get(key)
    if (value === undefined) made.set(key, value = make(key))
    return value
  }
}

const counter = (metric: Metric.Counter<number>, attributes: Record<string, string>) =>
  Metric.counter(metric.id, { description: metric.description, attributes, incremental: true })

const byOperation = cached((operation: string) =>
  cached((outcome: string) => counter(Metrics.requests, { operation, outcome }))
)

export const requests = (operation: string, outcome: string): Metric.Counter<number> => byOperation(operation)(outcome)

export const retries = cached((operation: string) => counter(Metrics.retries, { operation }))

export const bytes = cached((direction: "up" | "down") => counter(Metrics.bytes, { direction }))

export const pauses = (host: string): Metric.Counter<number> => counter(Metrics.pauses, { host })

export const remaining = (host: string): Metric.Gauge<number> =>
  Metric.gauge(Metrics.remaining.id, { description: Metrics.remaining.description, attributes: { host } })
