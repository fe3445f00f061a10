/**
 * What the client counts. Nothing in here or in its attributes tells a key, a link or a name.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Requests, by `operation` and `outcome`: `ok`, the reason of the failure, such as `RateLimited`, or `Interrupted` when
 * nobody waited for the answer any more. A call that is repeated counts once for each request.
 *
 * @category metrics
 * @since 0.1.0
 */
export const requests = Metric.counter("fileio_requests_total", {
  description: "Requests by operation and outcome",
  incremental: true
})

/**
 * Requests that repeat one that failed, by `operation`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const retries = Metric.counter("fileio_retries_total", {
  description: "Requests that repeat a failed one",
  incremental: true
})

/**
 * How long requests waited for a place in the account's limit, in milliseconds. Those that need not wait count as 0.
 *
 * @category metrics
 * @since 0.1.0
 */
export const waits = Metric.histogram("fileio_rate_limit_wait_milliseconds", {
  description: "Time that requests waited for the account's limit",
  boundaries: [0, 10, 100, 1000, 10_000, 100_000]
})

/**
 * Bytes of files, by `direction` (`up` or `down`), as they go over the wire: those of transfers that break off or are
 * interrupted are in it, and those that are sent twice count twice.
 *
 * @category metrics
 * @since 0.1.0
 */
export const bytes = Metric.counter("fileio_bytes_total", {
  description: "Bytes of files that were sent and received",
  incremental: true
})

/**
 * Places that are left in the account's limit, as of the last request, by `host`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const remaining = Metric.gauge("fileio_rate_limit_remaining", {
  description: "Requests that the account may make at once"
})

/**
 * Pauses that a host asked for (429), by `host`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pauses = Metric.counter("fileio_rate_limit_pauses_total", {
  description: "Times that a host told an account to wait",
  incremental: true
})
