/**
 * Metrics of the client. Neither they nor their attributes contain a key, a link or a name.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Requests, by `operation` and `outcome`: `ok`, the reason of the failure, such as `RateLimited`, or `Interrupted`. A
 * repeated call counts once for each request.
 *
 * @category metrics
 * @since 0.1.0
 */
export const requests = /* @__PURE__ */ Metric.counter("fileio_requests_total", {
  description: "Requests by operation and outcome",
  incremental: true
})

/**
 * Requests that repeat a failed one, by `operation`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const retries = /* @__PURE__ */ Metric.counter("fileio_retries_total", {
  description: "Requests that repeat a failed one",
  incremental: true
})

/**
 * How long requests waited for a permit, in milliseconds; 0 without a wait.
 *
 * @category metrics
 * @since 0.1.0
 */
export const waits = /* @__PURE__ */ Metric.histogram("fileio_rate_limit_wait_milliseconds", {
  description: "Time that requests waited for the account's limit",
  boundaries: [0, 10, 100, 1000, 10_000, 100_000]
})

/**
 * Bytes of files, by `direction` (`up` or `down`), as sent over the wire: includes broken and interrupted transfers,
 * and counts bytes twice that are sent twice.
 *
 * @category metrics
 * @since 0.1.0
 */
export const bytes = /* @__PURE__ */ Metric.counter("fileio_bytes_total", {
  description: "Bytes of files that were sent and received",
  incremental: true
})

/**
 * Free permits of the account, as of the last request, by `host`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const remaining = /* @__PURE__ */ Metric.gauge("fileio_rate_limit_remaining", {
  description: "Requests that the account may make at once"
})

/**
 * Pauses after a 429, by `host`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pauses = /* @__PURE__ */ Metric.counter("fileio_rate_limit_pauses_total", {
  description: "Pauses that a host asked for (429)",
  incremental: true
})
