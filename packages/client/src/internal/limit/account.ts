/**
 * The rate limit of one account in this process: its permits, its rate, and the host's reports. `limiter.ts` calls it for each
 * request. It uses neither Effect nor a clock: every method gets the time in milliseconds.
 */
import type { RateLimit } from "../../RateLimit.ts"
import type { Quota } from "../../RateLimitStore.ts"
import { AdaptiveRate, type Limit, pauseOf } from "./adaptiveRate.ts"
import { Learning } from "./learning.ts"
import { Queue } from "./queue.ts"
import { RoundTripStats } from "./roundTrip.ts"
import type { SharedWindow } from "./sharedWindow.ts"
import { type Permit, SlidingWindow } from "./slidingWindow.ts"

/**
 * After a failure it is unknown when the host counted the request; a request in transit arrives within this time, in
 * milliseconds.
 */
export const IN_TRANSIT = 1000
/** How long an idle connection is assumed to stay open, in milliseconds, if the transport does not report it. */
const KEEP_ALIVE = 3000
/** Requests that may go out at once; further ones go out at most at twice the rate of the limit. */
const BURST = 25
/** Above this many requests per window, even spacing alone keeps a searched rate. */
const SPACED = 4
/** A timer that fires up to this many milliseconds late does not slow down later requests. */
const LATE = 5
/**
 * A process that always has a request waiting takes every permit the moment it is free, so another process of the account would
 * always be refused without this one noticing. So from time to time a permit is held for longer, by this many milliseconds and
 * a round trip: a gap for another process that tries again each second. This process is then refused, and learns that it is not
 * alone.
 */
const GAP = 1080
/**
 * The first gap comes after this many milliseconds, each further one after twice the time, up to this many permits or
 * milliseconds: a call that is refused for a minute finds one.
 */
const FIRST_GAP = 4000
const GAP_PERMITS = 44
const GAP_TIME = 6000
/** No gap is needed if a permit is free for this part of the window before the response shows it. */
const IDLE = 0.1

/** A request that was sent. */
export interface Sent {
  readonly permit: Permit
  readonly sentAt: number
  /** When its head was sent, and whether over a connection that had been used before. */
  leftAt: number
  isReused: boolean
  /** How much longer the permit is held, in milliseconds, to leave a gap. */
  readonly rest: number
  readonly hasWaited: boolean
}

export class Account {
  readonly host: string
  readonly isAnonymous: boolean
  /** The permits in a store, if other processes use the account too. */
  readonly shared: SharedWindow | undefined
  readonly queue = new Queue()
  readonly learning: Learning
  readonly rate = new AdaptiveRate()
  readonly #window = new SlidingWindow()
  readonly #roundTrips: RoundTripStats
  /** When connections became idle. */
  readonly #idle: Array<number> = []
  pausedUntil = -Infinity
  #pacedUntil = -Infinity
  #nextAt = -Infinity
  #gapAt: number | undefined
  #gapEvery = FIRST_GAP
  /** Pending calls. */
  active = 0
  usedAt: number
  /** Another object represents the same account by now. */
  isForgotten = false
  /** Whether the log has reported that the host refuses requests. */
  saidRefused = false

  constructor(options: {
    readonly host: string
    readonly isAnonymous: boolean
    readonly shared: SharedWindow | undefined
    readonly now: number
  }) {
    this.host = options.host
    this.isAnonymous = options.isAnonymous
    this.shared = options.shared
    this.usedAt = options.now
    this.learning = new Learning(options.host)
    this.#roundTrips = new RoundTripStats(options.now)
  }

  /** Whether it has been unused for this long. */
  isIdle(now: number, millis: number): boolean {
    return this.active === 0 && now - this.usedAt > millis && now > this.pausedUntil
  }

  #limitOf(limit: RateLimit): Limit {
    if (limit._tag === "Fixed") return limit.quota.limit / limit.quota.window * 1000
    return limit._tag === "Unlimited" || this.isAnonymous ? null : this.learning.limit
  }

  /** How many requests may be sent in which window; `undefined` without a limit. */
  quota(limit: RateLimit): Quota | undefined {
    if (limit._tag === "Unlimited") return undefined
    if (limit._tag === "Fixed" && !this.rate.isReduced) return limit.quota
    return this.rate.quota(this.#limitOf(limit))
  }

  /**
   * Milliseconds between two requests, and how many may go out at once before that applies. Under a limit that holds, only
   * large numbers of requests are spaced: they would queue at both ends, and hold their permits longer. A searched rate is
   * spaced evenly.
   */
  #spacing(now: number, { limit, window }: Quota): { readonly millis: number; readonly burst: number } {
    if (this.rate.isReduced || now < this.#pacedUntil) return { millis: window / limit, burst: 1 }
    return { millis: limit <= BURST ? 0 : window / limit / 2, burst: BURST }
  }

  /** When the next request may go out, as known now; `Infinity` while that depends on pending responses. */
  readyAt(now: number, quota: Quota | undefined): number {
    const from = Math.max(now, this.pausedUntil)
    if (quota === undefined) return from
    const { burst, millis } = this.#spacing(from, quota)
    // Evenly spaced requests at a fast rate need no slack for the window.
    const { limit, window } = quota
    const permits = this.rate.isReduced && limit > SPACED ? { limit: limit + 1, window } : quota
    return Math.max(from, this.#window.freeAt(now, permits), this.#nextAt - (burst - 1) * millis)
  }

  /** Whether the next permit leaves a gap. */
  #isGapDue(now: number, { limit, window }: Quota, isRoomLeft: boolean): boolean {
    if (this.#gapAt === undefined || isRoomLeft) {
      this.#gapEvery = FIRST_GAP
      this.#gapAt = now + FIRST_GAP
    }
    const idle = this.#roundTrips.mean - (this.shared === undefined ? this.#roundTrips.bound : 0)
    if (now < this.#gapAt || idle >= IDLE * window) return false
    this.#gapEvery = Math.min(2 * this.#gapEvery, Math.max(GAP_PERMITS * window / limit, GAP_TIME))
    this.#gapAt = now + this.#gapEvery
    return true
  }

  /** A request is sent. */
  acquire(now: number, limit: RateLimit, hasWaited: boolean): Sent {
    const quota = this.quota(limit)
    if (quota !== undefined) {
      const { burst, millis } = this.#spacing(now, quota)
      this.#nextAt = Math.max(this.#nextAt, burst === 1 ? now - LATE : now) + millis
    }
    let rest = 0
    if (quota !== undefined && hasWaited && this.#isGapDue(now, quota, this.rate.leavesRoom(this.#limitOf(limit)))) {
      rest = GAP + this.#roundTrips.mean
    }
    return {
      permit: this.#window.acquire(now),
      sentAt: now,
      leftAt: now,
      isReused: this.#connect(now),
      rest,
      hasWaited
    }
  }

  /** Number of free permits. */
  remaining(now: number, { limit, window }: Quota): number {
    return Math.max(0, limit - this.#window.held(now, window))
  }

  /** How long a call would wait now. */
  wait(now: number, limit: RateLimit, ahead = this.queue.length): number {
    const from = Math.max(now, this.pausedUntil)
    const quota = this.quota(limit)
    const roundTrip = Math.min(this.#roundTrips.mean, 1000)
    return from - now + (quota === undefined ? 0 : this.#window.wait(from, quota, ahead, roundTrip))
  }

  /** Whether the request may use an open connection. */
  #connect(now: number): boolean {
    let closed = 0
    while (closed < this.#idle.length && now - this.#idle[closed]! > KEEP_ALIVE) closed++
    this.#idle.splice(0, closed)
    return this.#idle.pop() !== undefined
  }

  responded(sent: Sent, now: number) {
    this.#idle.push(now)
    this.#roundTrips.observe(now - sent.leftAt, now, sent.isReused)
    this.#window.leastRoundTrip = this.#roundTrips.bound
    this.#window.responded(sent.permit, now + sent.rest)
  }

  /** The response was no refusal. */
  served({ hasWaited, sentAt }: Sent, now: number, limit: RateLimit) {
    this.rate.served(now, sentAt, hasWaited, this.#limitOf(limit))
  }

  /** No response comes, or only long after the host has counted the request: a request in transit arrives within a second. */
  lost(sent: Sent, now: number) {
    this.#window.countedBy(sent.permit, now + IN_TRANSIT)
  }

  /** The request was never sent. */
  cancel(sent: Sent) {
    this.#window.cancel(sent.permit)
  }

  /** The host refused a request. Returns how long the account pauses, if that extends the pause. */
  rejected(
    sent: Sent,
    now: number,
    retryAfter: number | undefined,
    limit: RateLimit,
    random: number
  ): number | undefined {
    // It is repeated as soon as the pause is over.
    this.#window.cancel(sent.permit)
    this.learning.doubt()
    const pause = limit._tag === "Unlimited"
      ? pauseOf(retryAfter, random)
      : this.rate.rejected(now, sent.sentAt, retryAfter, this.#limitOf(limit), random)
    if (pause === undefined || now + pause <= this.pausedUntil) return undefined
    this.pausedUntil = now + pause
    this.#nextAt = this.pausedUntil
    this.#pacedUntil = this.pausedUntil + (this.quota(limit)?.window ?? 0)
    this.queue.pokeAll()
    return pause
  }

  /** `me` reported this limit. */
  learned(now: number, rateLimit: number | null | undefined) {
    const before = this.learning.limit
    this.learning.learned(now, rateLimit)
    const { limit } = this.learning
    if (limit !== before) this.rate.limitChanged(limit, before === undefined)
    this.queue.pokeAll()
  }
}
