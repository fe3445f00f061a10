/**
 * The limit that the host reports in `GET /me`, and when to request it. `limiter.ts` makes the requests. Times are in
 * milliseconds.
 */

/** The longest time that calls wait for the first response of `me`. */
const MAX_AWAIT = 5000
/** After a failure, or a response that changes nothing, `me` is requested after this time, which then doubles. */
const APART = 30_000
/** The longest time between two such requests. */
const MAX_APART = 600_000
/** With a limit of 0 nothing would ever be sent. */
const LOWEST = 1 / 3600

export class Learning {
  /** Requests per second; `null` if the host reports no limit, `undefined` while it is unknown. */
  hostRate: number | null | undefined
  isRunning = false
  /** Until when calls wait for the first response. */
  #awaitedUntil = Infinity
  #learnedAt = -Infinity
  /** Whether a request was refused since, so that the limit may have changed. */
  isDoubted = false
  #apart = APART
  #notBefore = -Infinity

  /** Whether to request `me`. */
  isDue(now: number, lifetime: number): boolean {
    return !this.isRunning && now >= this.#notBefore &&
      (this.hostRate === undefined || this.isDoubted || now - this.#learnedAt > lifetime)
  }

  started(now: number) {
    this.isRunning = true
    this.#awaitedUntil = Math.min(this.#awaitedUntil, now + MAX_AWAIT)
  }

  /** How many milliseconds calls wait for the response. */
  awaitedFor(now: number): number {
    return this.isRunning && this.hostRate === undefined ? Math.max(0, this.#awaitedUntil - now) : 0
  }

  /** The next request waits, longer each time. */
  #delay(now: number) {
    this.#notBefore = now + this.#apart
    this.#apart = Math.min(MAX_APART, 2 * this.#apart)
  }

  /** The request has ended. `hasFailed`: `me` failed with something other than a 429; the next one then waits longer. */
  ended(now: number, hasFailed: boolean) {
    this.isRunning = false
    this.#awaitedUntil = -Infinity
    if (hasFailed) this.#delay(now)
  }

  /** Uses the limit in a response of `me`. */
  learned(now: number, rateLimit: number | null | undefined) {
    // An invalid limit counts as none.
    const hostRate = typeof rateLimit === "number" && rateLimit > 0 ? Math.max(rateLimit, LOWEST) : null
    if (this.isDoubted && hostRate === this.hostRate) this.#delay(now)
    else this.#apart = APART
    this.hostRate = hostRate
    this.#learnedAt = now
    this.isDoubted = false
  }
}
