/**
 * The places of an account in its sliding window, without Effect and without a clock of its own: every method is told the
 * time, in milliseconds of a monotonic clock. `ARCHITECTURE.md`, "Why the limit holds", has the argument.
 */

import type { Quota } from "../RateLimitStore.ts"

/** When a request was answered, and what its way takes at least. */
export interface Answered {
  readonly at: number
  /** What is known of it, which may be more by the time at which it matters. */
  readonly bound: () => number
}

/** A request that may count on the host. */
export interface Place {
  readonly sentAt: number
  /** The latest time at which the host may have counted it; `undefined` while it is not known. */
  arrivedBy: number | undefined
  answered: Answered | undefined
}

/**
 * Added to every window: hosts that count in whole milliseconds, or count both ends, see a second as up to 2 ms longer
 * than it is.
 */
export const GUARD = 2

/** A request that has no connection by then fails (that is how long connecting may take), so it has arrived or never will. */
export const PATIENCE = 10_000

/** No request is counted before it was sent. */
const latestArrival = ({ answered, arrivedBy, sentAt }: Place): number =>
  answered === undefined ? arrivedBy! : Math.max(sentAt, answered.at - answered.bound())

export class SlidingWindow {
  /** Those whose latest arrival is known, by that time, the earliest first. */
  #settled: Array<Place> = []
  /** So many of `settled` are over; they are cut off now and then, since cutting moves all others. */
  #over = 0
  /** Those that are out, in the order in which they were sent. */
  readonly #out = new Set<Place>()
  /** The longest window asked about, so that no place is forgotten that matters to it. */
  #longest = 1000

  #forget(now: number, window: number) {
    this.#longest = Math.max(this.#longest, window)
    for (const place of this.#out) {
      if (place.sentAt + PATIENCE > now) break
      this.settle(place, place.sentAt + PATIENCE)
    }
    while (this.#over < this.#settled.length && this.#settled[this.#over]!.arrivedBy! + this.#longest + GUARD <= now) {
      this.#over++
    }
    if (this.#over > this.#settled.length / 2) this.#cut()
  }

  #cut() {
    this.#settled = this.#settled.slice(this.#over)
    this.#over = 0
  }

  /** The first of `settled` that still counts. */
  #first(now: number, window: number): number {
    let low = this.#over
    let high = this.#settled.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#settled[middle]!.arrivedBy! + window + GUARD <= now) low = middle + 1
      else high = middle
    }
    return low
  }

  #insert(place: Place) {
    let at = this.#settled.length
    while (at > this.#over && this.#settled[at - 1]!.arrivedBy! > place.arrivedBy!) at--
    this.#settled.splice(at, 0, place)
  }

  /** How many places are remembered; up to as many again are still to be cut off. */
  get size(): number {
    return this.#out.size + this.#settled.length - this.#over
  }

  /** How many places are held. */
  held(now: number, quota: Quota): number {
    this.#forget(now, quota.window)
    return this.#out.size + this.#settled.length - this.#first(now, quota.window)
  }

  /** Takes a place whether there is one or not. */
  take(now: number): Place {
    // Calls without a limit take places too, and ask for nothing else by which old ones are forgotten.
    this.#forget(now, 0)
    const place: Place = { sentAt: now, arrivedBy: undefined, answered: undefined }
    this.#out.add(place)
    return place
  }

  /**
   * When there may be a place: now, at a known time, or `Infinity` while that depends on answers that are still out.
   */
  freeAt(now: number, quota: Quota): number {
    const surplus = this.held(now, quota) - quota.limit
    if (surplus < 0) return now
    const last = this.#first(now, quota.window) + surplus
    const release = (arrivedBy: number) => arrivedBy + quota.window + GUARD
    if (last < this.#settled.length) return release(this.#settled[last]!.arrivedBy!)
    let left = last - this.#settled.length
    for (const place of this.#out) if (left-- === 0) return release(place.sentAt + PATIENCE)
    return Infinity
  }

  /** The request of this place has been counted by then, if it ever is. */
  settle(place: Place, arrivedBy: number) {
    if (!this.#out.delete(place)) return
    place.arrivedBy = arrivedBy
    this.#insert(place)
  }

  /** The request of this place was answered: the host has counted it so long before as its way takes at least. */
  answered(place: Place, answered: Answered) {
    if (!this.#out.has(place)) return
    place.answered = answered
    this.settle(place, latestArrival(place))
  }

  /** More, or less, is known of the ways by now. */
  revise() {
    this.#cut()
    for (const place of this.#settled) place.arrivedBy = latestArrival(place)
    this.#settled.sort((a, b) => a.arrivedBy! - b.arrivedBy!)
  }

  /** The request of this place was never made. */
  giveBack(place: Place) {
    this.#out.delete(place)
  }

  /**
   * Fills what is free after `from` with places that come free one by one, so that work which has piled up until then
   * starts at the pace of the quota and not all at once.
   */
  pace(from: number, quota: Quota) {
    const free = Math.min(quota.limit, 1000) - 1 - this.held(from, quota)
    for (let n = 1; n <= free; n++) {
      const arrivedBy = from - quota.window - GUARD + n * quota.window / quota.limit
      this.#insert({ sentAt: from, arrivedBy, answered: undefined })
    }
  }

  /** An estimate of how long the waiter after `ahead` others will wait, when an answer takes `roundTrip`. */
  wait(now: number, quota: Quota, ahead: number, roundTrip: number): number {
    const held = this.held(now, quota)
    const index = ahead - Math.max(0, quota.limit - held)
    if (index < 0) return 0
    const cycle = quota.window + GUARD
    const releases = [
      ...this.#settled.slice(this.#first(now, quota.window)).map((place) => place.arrivedBy! + cycle),
      ...Array.from(this.#out, (place) => Math.max(now, place.sentAt + roundTrip) + cycle)
    ].toSorted((a, b) => a - b)
    // Places beyond the quota have to come free before the first waiter gets one.
    const from = Math.max(0, held - quota.limit)
    const at = from + (index % quota.limit)
    const release = releases[Math.min(at, releases.length - 1)] ?? now
    return Math.max(0, release - now) + Math.floor(index / quota.limit) * cycle
  }
}
