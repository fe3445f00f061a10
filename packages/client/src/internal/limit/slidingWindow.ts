/**
 * The permits of an account in its sliding window. It uses neither Effect nor a clock: every method gets the time, in
 * milliseconds of a monotonic clock. `ARCHITECTURE.md`, "Why the limit holds", has the argument.
 */
import type { Quota } from "../../RateLimitStore.ts"

/** One request that the host counts, or may count. */
export interface Permit {
  readonly acquiredAt: number
  /** The latest time at which the host may have counted it, plus `leastRoundTrip`. */
  releaseBase: number
}

/**
 * Milliseconds added to every window: hosts that count whole milliseconds, or count both ends, see a second as up to 2 ms
 * longer than it is.
 */
export const GUARD = 2

/**
 * A request without a response reaches the host at most this many milliseconds after it was sent, or never does. This includes
 * the time to connect only if the transport does not report that.
 */
export const ARRIVES_WITHIN = 10_000
/**
 * A request that waits for a connection holds its permit for at most this many milliseconds. Connecting hardly takes as long;
 * but where connections are few, one that is never read must not stop all other users of the account.
 */
export const CONNECTS_WITHIN = 300_000
/** In a permit store, the permit of such a request is renewed after this many milliseconds, again and again. */
export const RENEW_AFTER = 4000

export class SlidingWindow {
  /**
   * The lower bound of a round trip in milliseconds, which is subtracted from the time that a permit is held after its
   * response.
   */
  leastRoundTrip = 0
  /** Sorted by `releaseBase`. Includes some that no longer count. */
  readonly permits: Array<Permit> = []
  /** The longest window so far: nothing that matters to it is dropped. */
  #longest = 1000

  /** Until when a permit counts. No request is counted before it was sent. */
  #until(permit: Permit, window: number): number {
    return Math.max(permit.acquiredAt, permit.releaseBase - this.leastRoundTrip) + window + GUARD
  }

  /** The index of the first permit that still counts. */
  #first(now: number, window: number): number {
    let low = 0
    let high = this.permits.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#until(this.permits[middle]!, window) <= now) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Number of permits that count. */
  inUse(now: number, window: number): number {
    this.#longest = Math.max(this.#longest, window)
    return this.permits.length - this.#first(now, window)
  }

  /** Acquires a permit, whether one is free or not. */
  acquire(now: number): Permit {
    const over = this.#first(now, this.#longest)
    // Removing moves all others, so it waits until it is worthwhile.
    if (over > this.permits.length / 2) this.permits.splice(0, over)
    const permit: Permit = { acquiredAt: now, releaseBase: Infinity }
    this.permits.push(permit)
    this.countedAt(permit, now + ARRIVES_WITHIN)
    return permit
  }

  /** The latest time at which the call behind `ahead` others gets a permit; with `roundTrip`, an estimate. */
  freeAt(now: number, { limit, window }: Quota, ahead = 0, roundTrip = Infinity): number {
    const inUse = this.inUse(now, window)
    const behind = ahead - Math.max(0, limit - inUse)
    if (behind < 0) return now
    // Permits beyond the limit have to be free before the first waiter gets one.
    const index = this.permits.length - inUse + Math.max(0, inUse - limit) + behind % limit
    const permit = this.permits[index]
    // When a permit taken now would end.
    const next = now + window + GUARD
    const until = permit === undefined
      ? next
      : Math.min(this.#until(permit, window), Math.max(next, permit.acquiredAt + roundTrip + window + GUARD))
    return until + Math.floor(behind / limit) * (window + GUARD)
  }

  /** The host counts the request at this time at the latest, which may be later than was known before. */
  #extend(permit: Permit, at: number) {
    this.cancel(permit)
    permit.releaseBase = Infinity
    this.permits.push(permit)
    this.countedAt(permit, at)
  }

  /** The request waits for a connection, so the host counts it only after it departs. */
  waitsForConnection(permit: Permit, now: number) {
    this.#extend(permit, now + CONNECTS_WITHIN)
  }

  /** The head of the request was sent at this time, by which the permit may have ended: it counts from then on. */
  departed(permit: Permit, at: number) {
    this.#extend(permit, at + ARRIVES_WITHIN)
  }

  /** The response of the request arrived at this time, so it was counted before that. */
  responded(permit: Permit, at: number) {
    let index = this.permits.lastIndexOf(permit)
    if (index < 0 || at >= permit.releaseBase) return
    permit.releaseBase = at
    for (; index > 0 && this.permits[index - 1]!.releaseBase > at; index--) {
      this.permits[index] = this.permits[index - 1]!
    }
    this.permits[index] = permit
  }

  /** The host has counted the request by this time, if it ever does. */
  countedAt(permit: Permit, at: number) {
    this.responded(permit, at + this.leastRoundTrip)
  }

  /** The host does not count the request. */
  cancel(permit: Permit) {
    const index = this.permits.lastIndexOf(permit)
    if (index >= 0) this.permits.splice(index, 1)
  }
}
