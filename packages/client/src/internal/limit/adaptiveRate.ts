/**
 * How much of its limit an account uses: all of it, until the host refuses a request all the same. `account.ts` calls it.
 * `ARCHITECTURE.md`, "Why the limit holds", has the rules and the figures. It uses neither Effect nor a clock: every method gets the
 * time in milliseconds. Rates are requests per second.
 */
import type { Quota } from "../../RateLimitStore.ts"

/** Requests per second that the host allows; `null` if it reports no limit, `undefined` while that is unknown. */
export type Limit = number | null | undefined

/** The rate of an account whose limit is unknown: one request per second is within any limit. */
const UNKNOWN = 1
/** The first rate of an account without a limit, and the highest rate that is tried. */
const START = 10
const FASTEST = 1000
/** The lowest rate: one request in about a minute. */
const SLOWEST = 1 / 64

/**
 * The rate of one of this many equal processes. The part of a request leaves room in which their requests can lie: at one request
 * per second, two processes that each waited exactly two seconds would rarely fit beside each other.
 */
const shareOf = (limit: number, processes: number): number => 0.96 * limit / (processes + 1 / limit)
const processesOf = (limit: number, rate: number): number => 0.96 * limit / rate - 1 / limit
const halfOf = (limit: Limit): number => limit ? shareOf(limit, 2) : 0

/** After a refusal, a rate that is searched falls to this part of itself. */
const DECREASE = 0.7
/** A rate has held when the requests of this many seconds were served; a slow one, in requests per second, after fewer. */
const SECONDS = 3
const SLOW = 2
/** A slow rate that was increased has held after this many requests; beside others, which come at different times, after more. */
const SLOW_TRY = 2
const SLOW_TRY_SHARED = 6
/** The search ends when the refused rate is less than this times the rate that held. A slow rate has no time for more steps. */
const closeTo = (rate: number): number => rate < SLOW ? 1.08 : 1.03
/** A refused rate is remembered as this part of it, since round trips that vary bring requests closer together. */
const MARGIN = 0.97
/** The first step beyond a rate that was refused before, as a part of the rate. It doubles with each step that holds. */
const STEP = 0.05
/** A refused rate is not tried again for this long, nor before this many requests; each refused try doubles the time. */
const HOLD = 60_000
const HOLD_REQUESTS = 300
const MAX_HOLD = 3_600_000

/** For this long after a refusal that shows it, other processes are assumed to use the account. */
const SHARED = 60_000
/** Then half of the limit is kept for the first time after a refusal, less for the second. A step is this part of half. */
const HOLD_HALF = 45_000
const HOLD_LESS = 15_000
const STEP_SHARED = 0.2
/**
 * Half of the limit, or less, is given up after this many refusals, of which one is forgotten in each of these times: the longer of
 * milliseconds and, beside others, requests. A third takes eight times as many refusals: there a process insists.
 */
const FREQUENT = 3
const FORGET_TIME = 10_000
const FORGET_REQUESTS = 40
const INSISTENCE = 8

/** The pause if the host asks for none; it grows with the number of refusals in a row beyond this many, up to a minute. */
const PAUSE = 1000
const MANY = 96
const MAX_PAUSE = 60_000
/** The longest pause if the host asks for one. */
const MAX_RETRY_AFTER = 24 * 3_600_000
/** The random part of a pause is proportional to this many milliseconds of it at most, so that a call's budget is not spent on it. */
const MAX_SPREAD = 2500
/** If a process does not know of others, this many pauses at first may be long, and later every one with a multiple of this number. */
const WIDE = 4
const EVERY = 16

const isLong = (refusals: number): boolean => refusals <= WIDE || refusals % EVERY === 0

/**
 * How much longer a pause may be at random, as a part of it. The first pause is exact: the request then comes just behind the one
 * that was faster, and both can keep their pace. Beside others, later pauses grow. A process that does not know of others tries
 * about every second, so that it finds the gap of a busy one; some long pauses help if the host counts refused requests too.
 */
const spreadOf = (refusals: number, isShared: boolean): number => {
  if (refusals === 1) return 0
  if (isShared) return Math.min(4, 1.5 ** (refusals - 1))
  return isLong(refusals) ? 4 : 0.05
}

/** The quota of a limit that the host reports, or that is configured. */
export const quotaOf = (rate: number): Quota =>
  rate >= 1 ? { limit: Math.floor(rate), window: 1000 } : { limit: 1, window: 1000 / rate }

/** The quota of a rate that was found. It holds in any window, since that of the host is unknown. */
const quotaOfFound = (rate: number): Quota => ({ limit: Math.ceil(rate), window: 1000 * Math.ceil(rate) / rate })

/** The pause of a call without a limit. */
export const pauseOf = (retryAfter: number | undefined, random: number): number =>
  Math.min(MAX_RETRY_AFTER, retryAfter ?? PAUSE * (1 + 0.1 * random))

export class AdaptiveRate {
  /** `undefined`: all of the limit. */
  #rate: number | undefined
  /** The highest rate that held, or to which it fell; and the lowest that was refused. */
  #held = 0
  #refused = Infinity
  /** Whether the rate was increased and has not held yet, and whether it has held. */
  #isIncreased = false
  #hasHeld = false
  #step = STEP
  /** How often a try beyond the refused rate was refused. */
  #refusedTries = 0
  /** Refusals at this rate that are not forgotten. */
  #refusals = 0
  /** Number of requests that were served since the last change or refusal. */
  #served = 0
  #changedAt = -Infinity
  #rejectedAt = -Infinity
  /** When a rate that had held was refused, and until when other processes are assumed to use the account. */
  #doubtedAt = -Infinity
  #sharedUntil = -Infinity
  #wasServed = false
  /** Number of refusals since a request was last served. */
  consecutiveRejections = 0

  /** Whether it stays below the limit because a request was refused. */
  get isReduced(): boolean {
    return this.#rate !== undefined && this.#rejectedAt !== -Infinity
  }

  current(limit: Limit): number {
    return limit === undefined ? UNKNOWN : Math.min(this.#rate ?? limit ?? START, limit ?? FASTEST)
  }

  /** Whether another process finds room beside this one. */
  leavesRoom(limit: Limit): boolean {
    return limit === undefined || this.current(limit) <= halfOf(limit)
  }

  quota(limit: Limit): Quota {
    const rate = this.current(limit)
    return this.isReduced ? quotaOfFound(rate) : quotaOf(rate)
  }

  /** The host reports another limit. If it refused requests before it reported the first one, others use the account. */
  limitChanged(limit: Limit, isFirst: boolean) {
    const isShared = isFirst && typeof limit === "number" && this.#rejectedAt !== -Infinity
    this.#rate = isShared ? halfOf(limit) : undefined
    this.#held = this.#rate ?? 0
    this.#refused = isShared ? limit : Infinity
    this.#sharedUntil = isShared ? this.#rejectedAt + SHARED : -Infinity
    this.#isIncreased = false
    this.#hasHeld = false
  }

  /** A response was no refusal. `isSaturated`: its request had to wait for a permit, so a higher rate would be used. */
  served(now: number, sentAt: number, isSaturated: boolean, limit: Limit) {
    this.#wasServed = true
    if (sentAt <= this.#rejectedAt) return
    this.consecutiveRejections = 0
    if (limit !== undefined && isSaturated && sentAt > this.#changedAt) this.#increase(now, limit)
  }

  #change(now: number, rate: number | undefined) {
    this.#rate = rate
    this.#changedAt = now
    this.#served = 0
    this.#refusals = 0
  }

  #increase(now: number, limit: number | null) {
    const rate = this.current(limit)
    const ceiling = limit ?? FASTEST
    // Before the first refusal, a rate without a limit doubles with each second.
    const slow = !this.#isIncreased ? 1 : now < this.#sharedUntil ? SLOW_TRY_SHARED : SLOW_TRY
    const enough = this.#rejectedAt === -Infinity ? rate : rate >= SLOW ? SECONDS * rate : slow
    if (++this.#served <= enough) return
    this.#held = rate
    this.#hasHeld = true
    this.#isIncreased = false
    if (rate >= ceiling) return
    const next = this.#next(now, rate, limit)
    if (next === rate) return
    this.#change(now, next >= ceiling && limit !== null ? undefined : Math.min(next, ceiling))
    this.#isIncreased = true
  }

  #next(now: number, rate: number, limit: number | null): number {
    if (this.#rejectedAt === -Infinity) return 2 * rate
    const isShared = now < this.#sharedUntil && limit !== null
    const half = halfOf(limit)
    if (this.#refused !== Infinity) {
      if (!isShared && this.#refused / rate > closeTo(rate)) return (rate + this.#refused) / 2
      const hold = isShared
        ? (rate < half ? HOLD_LESS : HOLD_HALF)
        : Math.min(MAX_HOLD, Math.max(HOLD * 2 ** this.#refusedTries, HOLD_REQUESTS * 1000 / rate))
      if (now < this.#rejectedAt + hold) return rate
      this.#refused = Infinity
      this.#step = isShared ? STEP_SHARED : STEP
    }
    if (isShared && rate < half) return Math.min(half, shareOf(limit, Math.max(2, processesOf(limit, rate) - 1)))
    const next = rate + this.#step * (isShared ? half : rate)
    this.#step = Math.min(1, 2 * this.#step)
    // The search does not jump over half of the limit.
    return rate < half ? Math.min(next, half) : next
  }

  /**
   * A request that was sent at this time was refused. Returns how many milliseconds the account pauses; `undefined` if requests that
   * were sent together were refused together.
   */
  rejected(
    now: number,
    sentAt: number,
    retryAfter: number | undefined,
    limit: Limit,
    random: number
  ): number | undefined {
    const isNew = sentAt > this.#rejectedAt
    if (!isNew && retryAfter === undefined) return undefined
    if (isNew) {
      const before = this.#rejectedAt
      this.#rejectedAt = now
      this.#served = 0
      this.consecutiveRejections++
      // If its first request is refused, or the next one again, the process has not used the rate at all.
      const isUsed = this.#wasServed && (limit === null || limit !== undefined && this.consecutiveRejections === 1)
      if (isUsed) this.#decrease(now, before, limit)
    }
    return this.#pause(now, retryAfter, limit, random)
  }

  /** A request was refused at the current rate; the refusal before it was at this time. */
  #decrease(now: number, before: number, limit: Limit) {
    const rate = this.current(limit)
    const half = halfOf(limit)
    if (this.#isIncreased) {
      if (this.#refused === Infinity) this.#refusedTries++
      this.#refused = rate * MARGIN
      this.#isIncreased = false
      return this.#change(now, this.#held)
    }
    if (this.#hasHeld) {
      // A rate close to the refused one may only be too close to what the host allows.
      const isSure = rate === limit || rate < 0.9 * this.#refused || rate <= half && now - this.#doubtedAt < SHARED
      if (isSure || now < this.#sharedUntil) this.#sharedUntil = now + SHARED
      this.#doubtedAt = now
    }
    const isShared = now < this.#sharedUntil && !!limit
    if (rate <= half) {
      const forget = Math.max(FORGET_TIME, isShared ? FORGET_REQUESTS * 1000 / rate : 0)
      this.#refusals = Math.max(0, this.#refusals - (now - Math.max(before, this.#changedAt)) / forget) + 1
      const insistence = isShared ? Math.min(INSISTENCE, INSISTENCE ** (processesOf(limit, rate) - 2)) : 1
      if (this.#refusals < FREQUENT * insistence) return
    }
    this.#refused = rate
    this.#refusedTries = 0
    this.#hasHeld = false
    this.#held = rate === limit
      ? half
      : rate > half
      ? Math.max(half, rate * DECREASE)
      : Math.max(SLOWEST, isShared ? shareOf(limit, processesOf(limit, rate) + 1) : rate * DECREASE)
    this.#change(now, this.#held)
  }

  #pause(now: number, retryAfter: number | undefined, limit: Limit, random: number): number {
    const refusals = this.consecutiveRejections
    // A host that counts refused requests too takes one after its window, of which the rate that was found is a guess.
    const own = Math.max(PAUSE, limit === null && refusals > 1 && isLong(refusals) ? this.quota(limit).window : 0)
    const least = retryAfter ?? Math.min(MAX_PAUSE, own * Math.max(1, refusals / MANY))
    const spread = spreadOf(refusals, now < this.#sharedUntil)
    return Math.min(MAX_RETRY_AFTER, least + spread * random * Math.min(least, MAX_SPREAD))
  }
}
