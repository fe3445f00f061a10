import type { Quota } from "../RateLimitStore.ts"

/** Requests a second, from which an account starts whose limit nobody tells. */
export const START = 10
/** One request in about a minute is the slowest. */
const SLOWEST = 1 / 64
const FASTEST = 1000
/** How long a rate that was refused is not tried again. */
const MEMORY = 10 * 60_000
/** A refusal so long after the one before has nothing to do with it. */
const APART = 10_000
const LONGEST_PAUSE = 24 * 3_600_000
const LONGEST_BACKOFF = 60_000

/** A rate of requests a second as a quota of whole requests. */
export const quotaOf = (rate: number): Quota =>
  rate >= 1 ? { limit: Math.floor(rate), window: 1000 } : { limit: 1, window: 1000 / rate }

/**
 * How much of its limit an account uses. One whose limit is known uses all of it, and less for a while when it is refused
 * all the same, because somebody else uses the account too. One whose limit nobody tells starts slowly, goes twice as fast
 * after every full window without a refusal, halves at a refusal, and then comes near the refused rate in small steps.
 */
export class Pace {
  #rate: number | undefined
  /** The lowest rate that was refused, and until when that is remembered. */
  #refusedRate = Infinity
  #refusedUntil = -Infinity
  #refusedAt = -Infinity
  #changedAt = -Infinity
  #strikes = 0

  /** The rate in force. `limit` is the known limit in requests a second. */
  current(now: number, limit: number | undefined): number {
    if (now > this.#refusedUntil) this.#refusedRate = Infinity
    const rate = this.#rate ?? (limit === undefined ? START : limit)
    return Math.min(rate, limit ?? FASTEST)
  }

  /** A place was taken for which somebody had to wait: the account has more to do than the rate allows. */
  wanted(now: number, limit: number | undefined) {
    const rate = this.current(now, limit)
    if (rate >= (limit ?? FASTEST)) {
      this.#rate = undefined
      if (limit === undefined) this.#rate = rate
      return
    }
    const { window } = quotaOf(rate)
    if (this.#changedAt === -Infinity) this.#changedAt = now
    if (now - this.#changedAt < window) return
    this.#changedAt = now
    if (this.#refusedRate === Infinity && limit === undefined) this.#rate = Math.min(FASTEST, rate * 2)
    else {
      const next = rate < 1 ? rate * 1.5 : rate + Math.max(1, 0.1 * (limit ?? rate))
      this.#rate = limit === undefined ? Math.max(Math.min(next, this.#refusedRate * 0.9), Math.min(rate, next)) : next
    }
  }

  /** A request was answered with something else than a refusal. */
  served(sentAt: number) {
    if (sentAt > this.#refusedAt) this.#strikes = 0
  }

  /**
   * A request that was sent then was refused. Gives how long the account shall pause, or `undefined` when that was said
   * already: what was out together is refused together.
   */
  refused(
    now: number,
    sentAt: number,
    asked: number | undefined,
    limit: number | undefined,
    random: number
  ): number | undefined {
    const isNews = sentAt > this.#refusedAt
    if (!isNews && asked === undefined) return undefined
    const rate = this.current(now, limit)
    if (isNews) {
      const again = now - this.#refusedAt < APART || this.#strikes > 0
      this.#refusedAt = now
      this.#changedAt = now
      this.#strikes++
      if (limit === undefined || again) {
        this.#refusedRate = Math.min(this.#refusedRate, rate)
        this.#refusedUntil = now + MEMORY
        const told = limit === undefined && asked !== undefined && asked > 2000 ? 1000 / asked : Infinity
        this.#rate = Math.max(SLOWEST, Math.min(rate / 2, told))
      }
    }
    if (asked !== undefined) return Math.min(asked, LONGEST_PAUSE)
    const backoff = Math.min(LONGEST_BACKOFF, quotaOf(rate).window * 2 ** (this.#strikes - 1))
    return backoff * (1 + 0.2 * random)
  }
}
