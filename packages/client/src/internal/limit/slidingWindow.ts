/**
 * The permits of an account in its sliding window. It uses neither Effect nor a clock: every method gets the time, in
 * milliseconds of a monotonic clock. `ARCHITECTURE.md`, "Why the limit holds", has the argument.
 */
import type { Quota } from "../../RateLimitStore.ts"

/** One request that the host counts, or may count. */
export interface Permit {
  readonly acquiredAt: number
  /** The latest time at which the host may have counted it, plus `leastRoundTrip`; `undefined` while unknown. */
  releasedAt: number | undefined
}

/**
 * Milliseconds added to every window: hosts that count whole milliseconds, or count both ends, see a second as up to 2 ms
 * longer than it is.
 */
export const GUARD = 2

/** Connecting takes at most this many milliseconds, so a request without a response has arrived by then or never will. */
export const MAX_CONNECT = 10_000

export class SlidingWindow {
  /**
   * The lower bound of a round trip in milliseconds, which is subtracted from the time that a permit is held after its
   * response.
   */
  leastRoundTrip = 0
  /** Permits with a known release, the earliest first. */
  #released: Array<Permit> = []
  /** Permits of pending requests, in the order in which they were sent. */
  readonly #out = new Set<Permit>()
  /** The longest window so far: nothing that matters to it is dropped. */
  #longest = 1000

  /** Until when a permit counts. No request is counted before it was sent. */
  #until(permit: Permit, window: number): number {
    return Math.max(permit.acquiredAt, permit.releasedAt! - this.leastRoundTrip) + window + GUARD
  }

  #forget(now: number) {
    for (const permit of this.#out) {
      if (permit.acquiredAt + MAX_CONNECT > now) break
      this.countedBy(permit, permit.acquiredAt + MAX_CONNECT)
    }
    const over = this.#first(now, this.#longest)
    // Removing moves all others, so it waits until it is worthwhile.
    if (over > this.#released.length / 2) this.#released.splice(0, over)
  }

  /** The index of the first released permit that still counts. */
  #first(now: number, window: number): number {
    let low = 0
    let high = this.#released.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#until(this.#released[middle]!, window) <= now) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Number of stored permits, including those that no longer count. */
  get size(): number {
    return this.#out.size + this.#released.length
  }

  /** Number of permits that count. */
  held(now: number, window: number): number {
    this.#longest = Math.max(this.#longest, window)
    this.#forget(now)
    return this.#out.size + this.#released.length - this.#first(now, window)
  }

  /** Acquires a permit, whether one is free or not. */
  acquire(now: number): Permit {
    this.#forget(now)
    const permit: Permit = { acquiredAt: now, releasedAt: undefined }
    this.#out.add(permit)
    return permit
  }

  /** When a permit may be free: now, at a known time, or `Infinity` while that depends on pending responses. */
  freeAt(now: number, { limit, window }: Quota): number {
    const surplus = this.held(now, window) - limit
    if (surplus < 0) return now
    const last = this.#first(now, window) + surplus
    if (last < this.#released.length) return this.#until(this.#released[last]!, window)
    let left = last - this.#released.length
    for (const permit of this.#out) if (left-- === 0) return permit.acquiredAt + MAX_CONNECT + window + GUARD
    return Infinity
  }

  /** The response of the request arrived at this time. */
  responded(permit: Permit, at: number) {
    if (!this.#out.delete(permit)) return
    permit.releasedAt = at
    let index = this.#released.length
    while (index > 0 && this.#released[index - 1]!.releasedAt! > at) index--
    this.#released.splice(index, 0, permit)
  }

  /** The host has counted the request by this time, if it ever does. */
  countedBy(permit: Permit, at: number) {
    this.responded(permit, at + this.leastRoundTrip)
  }

  /** The host does not count the request. */
  cancel(permit: Permit) {
    if (this.#out.delete(permit)) return
    const index = this.#released.indexOf(permit)
    if (index >= 0) this.#released.splice(index, 1)
  }

  /** Estimates how long the waiter behind `ahead` others will wait, if a response takes `roundTrip`. */
  wait(now: number, { limit, window }: Quota, ahead: number, roundTrip: number): number {
    const held = this.held(now, window)
    const index = ahead - Math.max(0, limit - held)
    if (index < 0) return 0
    const until = [
      ...this.#released.slice(this.#first(now, window)).map((permit) => this.#until(permit, window)),
      ...Array.from(this.#out, ({ acquiredAt }) => Math.max(now, acquiredAt + roundTrip) + window + GUARD)
    ].toSorted((a, b) => a - b)
    // Permits beyond the limit have to be free before the first waiter gets one.
    const at = Math.max(0, held - limit) + (index % limit)
    const free = until[Math.min(at, until.length - 1)] ?? now
    return Math.max(0, free - now) + Math.floor(index / limit) * (window + GUARD)
  }
}
