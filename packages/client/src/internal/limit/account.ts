/**
 * The rate limit of one account in this process: its permits, its rate, and the host's reports. `limiter.ts` calls it for each
 * request. It uses no clock: every method gets the time in milliseconds.
 */
import type * as Fiber from "effect/Fiber"
import type * as Metric from "effect/Metric"
import type { RateLimit } from "../../RateLimit.ts"
import type { Quota } from "../../RateLimitStore.ts"
import * as Series from "../observe/metrics.ts"
import { AdaptiveRate, type HostRate, pauseOf } from "./adaptiveRate.ts"
import { Learning } from "./learning.ts"
import { Queue } from "./queue.ts"
import { RoundTripStats } from "./roundTrip.ts"
import type { SharedWindow } from "./sharedWindow.ts"
import { type Permit, SlidingWindow } from "./slidingWindow.ts"

/** After a failure it is unknown when the host counted the request; one in transit arrives within this time, in milliseconds. */
export const IN_TRANSIT = 1000
/** How long an idle connection is assumed to stay open, in milliseconds, if the transport does not report it. */
const KEEP_ALIVE = 3000
/** Requests that may go out at once; further ones go out at most at twice the rate of the limit. */
const BURST = 25
/** From this many requests per window on, spacing is enough and the window check gets one permit more. */
const SPACED = 5
/** A timer that fires up to this many milliseconds late does not slow down later requests. */
const LATE = 5
/**
 * A process that always has a request waiting takes every permit the moment it is free, so another process of the account would
 * always be refused without this one noticing. So from time to time a permit is held for longer, by this many milliseconds and
 * a round trip: a gap for another process that tries again each second. This process is then refused, and learns that it is not
 * alone.
 */
const GAP = 1080
/** The first gap, in milliseconds after calls began to wait. */
const FIRST_GAP = 4000
/** The least milliseconds between gaps. */
const GAP_TIME = 6000
/** Permits before the second gap; half as many again before each further one. */
const GAP_PERMITS = 4
/** The most permits between gaps. */
const MAX_GAP_PERMITS = 50
/** If the mean round trip exceeds the bound by this part of the window, others find room anyway. */
const IDLE = 0.1

/** A request that was sent. */
export interface Sent {
  readonly permit: Permit
  readonly sentAt: number
  /** When its head was sent, as far as known. */
  leftAt: number
  /** Whether that was over a connection that had been used before. */
  isReused: boolean
  /** Whether its head has arrived, long before its response. */
  isUnderway: boolean
  /** How much longer the permit is held, in milliseconds, to leave a gap. */
  readonly extraHold: number
  readonly hasWaited: boolean
  /** The name of its permit in the permit store, until that is released. */
  storePermit: string | undefined
  /** Renews it while the request waits for a connection. */
  renewal: Fiber.Fiber<unknown> | undefined
}

export class Account {
  readonly host: string
  readonly isAnonymous: boolean
  /** The metric of its free permits. */
  readonly gauge: Metric.Gauge<number>
  /** The permits in a permit store, if there is one. */
  readonly sharedWindow: SharedWindow | undefined
  readonly queue = new Queue()
  readonly learning = new Learning()
  readonly rate = new AdaptiveRate()
  readonly #window = new SlidingWindow()
  readonly #roundTrips = new RoundTripStats()
  /** When connections became idle. */
  readonly #idle: Array<number> = []
  pausedUntil = -Infinity
  #nextAt = -Infinity
  #gapAt = Infinity
  #gapPermits = GAP_PERMITS
  #usedAt: number
  /** Whether the log has reported that the host refuses requests, and that its limit cannot be learned. */
  hasLoggedRefusal = false
  hasLoggedUnknownLimit = false

  constructor(options: {
    readonly host: string
    readonly isAnonymous: boolean
    readonly sharedWindow: SharedWindow | undefined
    readonly now: number
  }) {
    this.host = options.host
    this.isAnonymous = options.isAnonymous
    this.sharedWindow = options.sharedWindow
    this.#usedAt = options.now
    this.gauge = Series.remaining(options.host)
  }

  /** Whether it has not been used for this long. */
  isUnused(now: number, millis: number): boolean {
    return this.queue.waiters.length === 0 && now - this.#usedAt > millis && now > this.pausedUntil
  }

  #hostRate(policy: RateLimit): HostRate {
    if (policy._tag === "Fixed") return policy.quota.limit / policy.quota.window * 1000
    return policy._tag === "Unlimited" || this.isAnonymous ? null : this.learning.hostRate
  }

  /** How many requests may be sent in which window; `undefined` without a limit. */
  quota(policy: RateLimit): Quota | undefined {
    if (policy._tag === "Unlimited") return undefined
    if (policy._tag === "Fixed" && !this.rate.isReduced) return policy.quota
    return this.rate.quota(this.#hostRate(policy))
  }

  /**
   * Milliseconds between two requests, and how many may go out at once before that applies. Under a limit that holds, only
   * large numbers of requests are spaced: they would queue at both ends, and hold their permits longer. A searched rate is
   * spaced evenly.
   */
  #spacing({ limit, window }: Quota): { readonly millis: number; readonly burst: number } {
    if (this.rate.isReduced) return { millis: window / limit, burst: 1 }
    return { millis: limit <= BURST ? 0 : window / limit / 2, burst: BURST }
  }

  /** When the next request may go out, if no response changes that. */
  readyAt(now: number, quota: Quota | undefined): number {
    const from = Math.max(now, this.pausedUntil)
    if (quota === undefined) return from
    const { burst, millis } = this.#spacing(quota)
    // Even spacing keeps the rate, so the window gets one permit more and never delays an evenly spaced request.
    const { limit, window } = quota
    const permits = this.rate.isReduced && limit >= SPACED ? { limit: limit + 1, window } : quota
    return Math.max(from, this.#window.freeAt(now, permits), this.#nextAt - (burst - 1) * millis)
  }

  /** How long the call behind `ahead` others would wait now. */
  wait(now: number, policy: RateLimit, ahead: number): number {
    const from = Math.max(now, this.pausedUntil)
    const quota = this.quota(policy)
    const roundTrip = Math.min(this.#roundTrips.mean, 1000)
    return (quota === undefined ? from : this.#window.freeAt(from, quota, ahead, roundTrip)) - now
  }

  /** Number of free permits. */
  remaining(now: number, { limit, window }: Quota): number {
    return Math.max(0, limit - this.#window.inUse(now, window))
  }

  /** How much longer the next permit is held: not at all, or for a gap. */
  #extraHold(now: number, { limit, window }: Quota, isRoomLeft: boolean): number {
    const { bound, mean } = this.#roundTrips
    if (this.#gapAt === Infinity || isRoomLeft) {
      this.#gapAt = now + FIRST_GAP
      this.#gapPermits = GAP_PERMITS
    }
    if (now < this.#gapAt || mean - (this.sharedWindow === undefined ? bound : 0) >= IDLE * window) return 0
    this.#gapAt = now + Math.max(this.#gapPermits * window / limit, GAP_TIME)
    this.#gapPermits = Math.min(MAX_GAP_PERMITS, 1.5 * this.#gapPermits)
    return GAP + mean
  }

  /** A request is sent. */
  acquire(now: number, policy: RateLimit, hasWaited: boolean, storePermit?: string): Sent {
    this.#usedAt = now
    const quota = this.quota(policy)
    let extraHold = 0
    if (quota !== undefined) {
      const { burst, millis } = this.#spacing(quota)
      this.#nextAt = Math.max(this.#nextAt, burst === 1 ? now - LATE : now) + millis
      if (hasWaited) extraHold = this.#extraHold(now, quota, this.rate.leavesRoom(this.#hostRate(policy)))
    }
    let closed = 0
    while (this.#idle[closed]! < now - KEEP_ALIVE) closed++
    this.#idle.splice(0, closed)
    const isReused = this.#idle.pop() !== undefined
    return {
      permit: this.#window.acquire(now),
      sentAt: now,
      leftAt: now,
      isReused,
      isUnderway: false,
      extraHold,
      hasWaited,
      storePermit,
      renewal: undefined
    }
  }

  /** The request waits for a connection. */
  waitsForConnection(sent: Sent, now: number) {
    this.#window.waitsForConnection(sent.permit, now)
  }

  /** The head of the request is sent. */
  departed(sent: Sent, now: number, isReused: boolean) {
    sent.leftAt = now
    sent.isReused = isReused
    if (!sent.isUnderway) this.#window.departed(sent.permit, now)
  }

  responded(sent: Sent, now: number) {
    this.#usedAt = now
    this.#idle.push(now)
    this.#roundTrips.observe(now - sent.leftAt, now, sent.isReused)
    this.#window.leastRoundTrip = this.#roundTrips.bound
    this.#window.responded(sent.permit, now + sent.extraHold)
  }

  /** The response was no refusal. */
  served({ hasWaited, sentAt }: Sent, now: number, policy: RateLimit) {
    this.rate.served(now, sentAt, hasWaited, this.#hostRate(policy))
  }

  /** The host counts the request within `IN_TRANSIT`, if ever: its response is lost, or comes long after that. */
  countedSoon(sent: Sent, now: number) {
    this.#window.countedAt(sent.permit, now + IN_TRANSIT)
  }

  /** The host does not count the request: it was never sent, or is repeated after a refusal. */
  cancel(sent: Sent) {
    this.#window.cancel(sent.permit)
  }

  /** The host refused a request. Returns how long the account pauses, if that extends the pause. */
  rejected(sent: Sent, now: number, retryAfter: number | undefined, policy: RateLimit, random: number) {
    this.cancel(sent)
    this.learning.isDoubted = true
    const pause = policy._tag === "Unlimited"
      ? pauseOf(retryAfter, random)
      : this.rate.rejected(now, sent.sentAt, retryAfter, this.#hostRate(policy), random)
    if (pause === undefined || now + pause <= this.pausedUntil) return undefined
    this.pausedUntil = now + pause
    this.#nextAt = this.pausedUntil
    this.queue.pokeAll()
    return pause
  }

  /** `me` reported this limit. */
  learned(now: number, rateLimit: number | null | undefined) {
    const before = this.learning.hostRate
    this.learning.learned(now, rateLimit)
    const { hostRate } = this.learning
    if (hostRate !== before) this.rate.hostRateChanged(hostRate, before === undefined)
    this.queue.pokeAll()
  }
}
