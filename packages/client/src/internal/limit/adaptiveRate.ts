/**
 * How much of its limit an account uses: all of it, until the host refuses a request all the same. `account.ts` calls it. It uses
 * neither Effect nor a clock: every method gets the time in milliseconds. Rates are requests per second.
 *
 * The first refusal lowers the rate to half of the limit, less a little. From there the rate is searched between the one that was
 * proven (served without a refusal) and the one that was refused, and a higher one is tried now and then. If a proven rate is
 * refused, others use the account: for a minute there is no search, and a rate of half the limit is lowered only after several
 * refusals. `ARCHITECTURE.md`, "Why the limit holds", has the reasons and the figures.
 */
import type { Quota } from "../../RateLimitStore.ts"

/** Requests per second that the host allows; `null` if it reports no limit, `undefined` while that is unknown. */
export type HostRate = number | null | undefined

/** The rate of an account whose limit is unknown: one request per second is within any limit. */
const UNKNOWN = 1
/** The first rate of an account without a limit. */
const START = 10
/** The highest rate of an account without a limit. */
const FASTEST = 1000
/** The lowest rate: one request in about a minute. */
const SLOWEST = 1 / 64

/** After a refusal, a rate that is searched falls to this part of itself. */
const DECREASE = 0.7
/** Seconds' worth of served requests after which a rate is proven. */
const SECONDS = 3
/** The fewest served requests after which an increased rate is proven. */
const TRY_REQUESTS = 4
/** The search ends when the refused rate is at most this times the proven one. A slow rate has no time for more steps. */
const closeTo = (rate: number): number => rate < 2 ? 1.08 : 1.03
/** A refused rate is remembered as this part of it, since round trips that vary bring requests closer together. */
const MARGIN = 0.97
/** The first step above a refused rate, as a fraction of the rate; it doubles with each step that is proven. */
const STEP = 0.05
/** The same while others use the account. */
const STEP_SHARED = 0.2
/** A refused rate is not tried again for this many milliseconds; each refused try doubles them. */
const HOLD = 60_000
/** Nor is it tried again before this many requests. */
const HOLD_REQUESTS = 300
/** The most milliseconds for which a refused rate is not tried again. */
const MAX_HOLD = 3_600_000

/** For this many milliseconds after a refusal that shows it, others are assumed to use the account. */
const SHARED = 60_000
/** While others use the account, a refused rate is not tried again for this many milliseconds. */
const HOLD_SHARED = 45_000
/** Refusals that lower a rate of half the limit or less. */
const FREQUENT = 3
/** One refusal is forgotten after this many milliseconds, and not before `FORGET_REQUESTS` requests. */
const FORGET_TIME = 10_000
/** One refusal is forgotten after this many requests, and not before `FORGET_TIME`. */
const FORGET_REQUESTS = 40
/**
 * Below this part of half the limit, a process that shares the account lowers its rate only after `INSISTENCE` × `FREQUENT`
 * refusals.
 */
const LESS_THAN_HALF = 0.8
/** How many times as many refusals lower a rate below `LESS_THAN_HALF`. */
const INSISTENCE = 8

/** The pause after a 429 without `Retry-After`, in milliseconds. */
const PAUSE = 1000
/** From this many refusals in a row on, the pause is `PAUSE` × refusals / `MANY`. */
const MANY = 96
/** The longest pause without `Retry-After`, in milliseconds. */
const MAX_PAUSE = 60_000
/** The longest pause with `Retry-After`, in milliseconds. */
const MAX_RETRY_AFTER = 24 * 3_600_000
/**
 * The random part of a pause is proportional to this many milliseconds of it at most, so that a call's budget is not spent on
 * it.
 */
const MAX_SPREAD = 2500
/** If a process does not know of others, refusals 1 to `WIDE` in a row, then each `EVERY`th, may have a long pause. */
const WIDE = 4
/** See `WIDE`. */
const EVERY = 16

/**
 * The rate of one of two equal processes. The part of a request leaves room in which their requests can lie: at one request per
 * second, two processes that each waited exactly two seconds would rarely fit beside each other.
 */
const halfOf = (hostRate: HostRate): number => hostRate ? 0.96 * hostRate / (2 + 1 / hostRate) : 0
/** Half of the limit becomes a third of it, a third a quarter. */
const besideOneMore = (rate: number, hostRate: number): number => 1 / (1 / rate + 1 / (0.96 * hostRate))

/**
 * How much longer a pause may be at random, as a part of it. The first pause is exact: the request then comes just behind the one
 * that was faster, and both can keep their pace. Beside others, later pauses grow. A process that does not know of others tries
 * about every second, so that it finds the gap of a busy one; some long pauses help if the host counts refused requests too.
 */
const spreadOf = (refusals: number, hasOthers: boolean): number => {
  if (refusals === 1) return 0
  if (hasOthers) return Math.min(4, 1.5 ** (refusals - 1))
  return refusals <= WIDE || refusals % EVERY === 0 ? 4 : 0.05
}

/** The quota of a limit that the host reports, or that is configured. */
export const quotaOf = (rate: number): Quota =>
  rate >= 1 ? { limit: Math.floor(rate), window: 1000 } : { limit: 1, window: 1000 / rate }

/** The pause of a call without a limit. */
export const pauseOf = (retryAfter: number | undefined, random: number): number =>
  Math.min(MAX_RETRY_AFTER, retryAfter ?? PAUSE * (1 + 0.1 * random))

export class AdaptiveRate {
  /** `undefined`: all of the limit. */
  #rate: number | undefined
  /** The highest rate that was proven since the last decrease. */
  #proven: number | undefined
  /** The lowest rate that was refused. */
  #refused = Infinity
  #step = STEP
  #hold = HOLD
  /** Refusals at this rate that are not forgotten. */
  #refusals = 0
  /** Number of requests that were served since the last change or refusal. */
  #served = 0
  #rejectedAt = -Infinity
  /** Until when others are assumed to use the account. */
  #othersUntil = -Infinity
  /** Number of refusals since a request was last served. */
  consecutiveRejections = 0

  /** Whether it stays below the limit because a request was refused. */
  get isReduced(): boolean {
    return this.#rate !== undefined && this.#rejectedAt !== -Infinity
  }

  current(hostRate: HostRate): number {
    return hostRate === undefined ? UNKNOWN : Math.min(this.#rate ?? hostRate ?? START, hostRate ?? FASTEST)
  }

  /** Whether another process finds room beside this one. */
  leavesRoom(hostRate: HostRate): boolean {
    return hostRate === undefined || this.current(hostRate) <= halfOf(hostRate)
  }

  /** A reduced rate is one quota over a fractional window, so the average is exact. */
  quota(hostRate: HostRate): Quota {
    const rate = this.current(hostRate)
    return this.isReduced ? { limit: Math.ceil(rate), window: 1000 * Math.ceil(rate) / rate } : quotaOf(rate)
  }

  #change(rate: number | undefined) {
    this.#rate = rate
    this.#served = 0
    this.#refusals = 0
  }

  /** The host reports another limit. If it refused requests before it reported the first one, others use the account. */
  hostRateChanged(hostRate: HostRate, isFirst: boolean) {
    const hasOthers = isFirst && typeof hostRate === "number" && this.#rejectedAt !== -Infinity
    this.#change(hasOthers ? halfOf(hostRate) : undefined)
    this.#proven = undefined
    this.#refused = hasOthers ? hostRate : Infinity
    this.#othersUntil = hasOthers ? this.#rejectedAt + SHARED : -Infinity
  }

  /** A response was no refusal. `isSaturated`: its request had to wait for a permit, so a higher rate would be used. */
  served(now: number, sentAt: number, isSaturated: boolean, hostRate: HostRate) {
    if (sentAt <= this.#rejectedAt) return
    this.consecutiveRejections = 0
    if (hostRate === undefined || !isSaturated) return
    const rate = this.current(hostRate)
    const isTry = this.#proven !== undefined && rate > this.#proven
    // Before the first refusal, a rate without a limit doubles with each second.
    const enough = this.#rejectedAt === -Infinity ? rate : Math.max(SECONDS * rate, isTry ? TRY_REQUESTS : 1)
    if (++this.#served <= enough) return
    this.#proven = rate
    const ceiling = hostRate ?? FASTEST
    const next = rate < ceiling ? this.#next(now, rate, hostRate) : rate
    if (next > rate) this.#change(next < ceiling ? next : hostRate === null ? ceiling : undefined)
  }

  /** The rate after a proven one. */
  #next(now: number, rate: number, hostRate: number | null): number {
    if (this.#rejectedAt === -Infinity) return 2 * rate
    const hasOthers = now < this.#othersUntil
    if (this.#refused !== Infinity) {
      if (!hasOthers && this.#refused / rate > closeTo(rate)) return (rate + this.#refused) / 2
      const hold = hasOthers ? HOLD_SHARED : Math.max(this.#hold, HOLD_REQUESTS * 1000 / rate)
      if (now < this.#rejectedAt + hold) return rate
      this.#refused = Infinity
      this.#step = hasOthers ? STEP_SHARED : STEP
    }
    const next = rate * (1 + this.#step)
    this.#step = Math.min(1, 2 * this.#step)
    // The search does not jump over half of the limit.
    return rate < halfOf(hostRate) ? Math.min(next, halfOf(hostRate)) : next
  }

  /**
   * A request that was sent at this time was refused. Returns how many milliseconds the account pauses; `undefined` if requests
   * that were sent together were refused together.
   */
  rejected(
    now: number,
    sentAt: number,
    retryAfter: number | undefined,
    hostRate: HostRate,
    random: number
  ): number | undefined {
    const isNew = sentAt > this.#rejectedAt
    if (!isNew && retryAfter === undefined) return undefined
    if (isNew) {
      const before = this.#rejectedAt
      this.#rejectedAt = now
      this.#served = 0
      this.consecutiveRejections++
      // With a limit, only the first refusal in a row counts: no request was served since, so a further one says nothing about
      // the rate.
      if (hostRate === null || hostRate !== undefined && this.consecutiveRejections === 1) {
        this.#decrease(now, before, hostRate)
      }
    }
    const refusals = this.consecutiveRejections
    // A host that counts refused requests accepts the next one only after a whole window without any; 1 / rate estimates that
    // window.
    const windowSeconds = hostRate === null ? 1 / this.current(hostRate) : 0
    const least = retryAfter ?? Math.min(MAX_PAUSE, PAUSE * Math.max(1, refusals / MANY, windowSeconds))
    const spread = spreadOf(refusals, now < this.#othersUntil)
    return Math.min(MAX_RETRY_AFTER, least + spread * random * Math.min(least, MAX_SPREAD))
  }

  /** A request was refused at the current rate; the refusal before it was at this time. */
  #decrease(now: number, before: number, hostRate: number | null) {
    const rate = this.current(hostRate)
    const half = halfOf(hostRate)
    if (this.#proven !== undefined && rate > this.#proven) {
      if (this.#refused === Infinity) this.#hold = Math.min(MAX_HOLD, 2 * this.#hold)
      this.#refused = rate * MARGIN
      return this.#change(this.#proven)
    }
    // A rate close to the refused one may only be too close to what the host allows.
    const isSure = this.#proven !== undefined && (rate === hostRate || rate < 0.9 * this.#refused)
    if (hostRate !== null && (isSure || now < this.#othersUntil)) this.#othersUntil = now + SHARED
    if (rate <= half) {
      const forget = Math.max(FORGET_TIME, FORGET_REQUESTS * 1000 / rate)
      this.#refusals = Math.max(0, this.#refusals - (now - before) / forget) + 1
      const insists = now < this.#othersUntil && rate < LESS_THAN_HALF * half
      if (this.#refusals < FREQUENT * (insists ? INSISTENCE : 1)) return
    }
    this.#refused = rate
    this.#hold = HOLD
    this.#proven = undefined
    const lower = rate <= half && now < this.#othersUntil ? besideOneMore(rate, hostRate!) : rate * DECREASE
    this.#change(rate === hostRate ? half : Math.max(rate > half ? half : SLOWEST, lower))
  }
}
