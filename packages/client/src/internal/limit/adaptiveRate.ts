/**
 * How much of its limit an account uses: all of it, until the host refuses a request all the same. `account.ts` calls it.
 *
 * A refusal has one of two causes, which look alike at first: the host's real limit is lower, or other processes use the account.
 * So the rate falls to a fair half of the limit. From there it is searched for between the rate that held and the rate that was
 * refused, as BIC-TCP does, and what was found is kept. More is tried now and then, and the more often that is refused, the longer
 * it waits before the next try.
 *
 * A rate that held for a while and is refused all the same means that others use the account. Two rules make their rates equal.
 * Above the fair half, a process gives way at every refusal. At or below it, a process insists: it goes lower only where refusals
 * are frequent, and the lower it is, the sooner it tries more.
 *
 * It knows nothing of Effect and has no clock: every method is given the time in milliseconds. Rates are requests a second.
 */
import type { Quota } from "../../RateLimitStore.ts"

/** Requests a second that the host allows; `null`: it gives no limit; `undefined`: that is not known yet. */
export type Limit = number | null | undefined

/** The rate of an account whose limit is not known yet: one request a second is within any limit. */
const UNKNOWN = 1
/** The rate from which an account starts whose limit nobody gives, and the highest one that is tried. */
const START = 10
const FASTEST = 1000
/** One request in about a minute is the slowest. */
const SLOWEST = 1 / 64

/**
 * Half of the limit, less 5 % for the spread of round trips, and less half a request: two processes that each send one request
 * a second to a host that takes one would find room beside each other only by chance.
 */
const fairHalf = (limit: Limit): number => limit ? 0.95 * limit / (2 + 1 / limit) : 0

/** What a refusal leaves of a rate. */
const DECREASE = 0.7
/** A rate has held when the requests of this many seconds were served. A slow rate, in requests a second, has no time for that. */
const SECONDS = 3
const SLOW = 2
/** The search ends when the refused rate is less than this times the rate that held. A slow rate has no time for more steps. */
const closeTo = (rate: number): number => rate < SLOW ? 1.08 : 1.03
/** A refused rate is remembered as this part of it, since round trips that vary bring requests closer together. */
const MARGIN = 0.97
/** The first step beyond a rate that was refused before, as a part of the rate. It doubles with each step that holds. */
const STEP = 0.05
/** A refused rate is not tried again for this long nor before this many requests; each refused try doubles the time. */
const HOLD = 60_000
const HOLD_REQUESTS = 300
const MAX_HOLD = 3_600_000

/** For this long after a refusal that shows it, others are taken to use the account. */
const SHARED = 60_000
/** Then the fair half is held for this long after a refusal, a part of it for that part, and a step is this part of it. */
const HOLD_SHARED = 20_000
const STEP_SHARED = 0.2
/** Refusals are frequent when this many of them come within this time of each other, on average. */
const FREQUENT = 2
const FREQUENT_TIME = 10_000
/** A process with a part of the fair half takes that many times as many refusals, and at most this many times. */
const MAX_INSISTENCE = 4

/** The pause where the host asks for none; it grows with the number of refusals in a row beyond this many, up to a minute. */
const PAUSE = 1000
const MANY = 96
const MAX_PAUSE = 60_000
/** The longest pause that is kept to where the host asks for one. */
const MAX_RETRY_AFTER = 24 * 3_600_000
/**
 * Pauses are spread at random, by a part of them, so that processes which refuse each other get out of step: widely after the
 * second refusal to the eighth, and after every fourth. The others are close to a second, to fit into the gap of a busy process.
 */
const SPREAD_WIDE = 1.2
const SPREAD_NARROW = 0.05
const WIDE = 8
const LONG = 4
const MAX_SPREAD = 10_000

/** The quota of a limit that the host gives, or that is set. */
export const quotaOf = (rate: number): Quota =>
  rate >= 1 ? { limit: Math.floor(rate), window: 1000 } : { limit: 1, window: 1000 / rate }

/** The quota of a rate that was found: this rate in any window, since that of the host is not known. */
const quotaOfFound = (rate: number): Quota => ({ limit: Math.ceil(rate), window: 1000 * Math.ceil(rate) / rate })

/** The pause of a call that has no limit: about a second where the host does not tell. */
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
  /** Refusals at this rate, less what time has passed between them. */
  #refusals = 0
  /** How many requests were served that were sent after the last change. */
  #served = 0
  #changedAt = -Infinity
  #rejectedAt = -Infinity
  /** When a rate that had held was refused, and until when that means that others use the account. */
  #doubtedAt = -Infinity
  #sharedUntil = -Infinity
  #wasServed = false
  /** How often the host refused a request since it last served one. */
  consecutiveRejections = 0

  /** Whether it keeps to less than the limit since a request was refused. */
  get isReduced(): boolean {
    return this.#rate !== undefined && this.#rejectedAt !== -Infinity
  }

  /** The rate in force. */
  current(limit: Limit): number {
    return limit === undefined ? UNKNOWN : Math.min(this.#rate ?? limit ?? START, limit ?? FASTEST)
  }

  /** Whether another process finds room beside this one. */
  leavesRoom(limit: Limit): boolean {
    return limit === undefined || this.current(limit) <= fairHalf(limit)
  }

  quota(limit: Limit): Quota {
    const rate = this.current(limit)
    return this.isReduced ? quotaOfFound(rate) : quotaOf(rate)
  }

  /** The host gives another limit. Where it refused requests before the first one was known, others use the account. */
  limitChanged(limit: Limit, isFirst: boolean) {
    const isShared = isFirst && typeof limit === "number" && this.#rejectedAt !== -Infinity
    this.#rate = isShared ? fairHalf(limit) : undefined
    this.#held = this.#rate ?? 0
    this.#refused = isShared ? limit : Infinity
    this.#sharedUntil = isShared ? this.#rejectedAt + SHARED : -Infinity
    this.#isIncreased = false
    this.#hasHeld = false
  }

  /**
   * The response to a request was no refusal. `isSaturated`: it had to wait for its permit, so the account has
   * more to do than the rate allows.
   */
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
    // Before the first refusal, a rate that nobody gave doubles with each second.
    const enough = this.#rejectedAt === -Infinity ? rate : rate >= SLOW ? SECONDS * rate : this.#isIncreased ? 2 : 1
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
    const fair = fairHalf(limit)
    if (this.#refused !== Infinity) {
      if (!isShared && this.#refused / rate > closeTo(rate)) return (rate + this.#refused) / 2
      const hold = isShared
        ? HOLD_SHARED * (rate / fair)
        : Math.min(MAX_HOLD, Math.max(HOLD * 2 ** this.#refusedTries, HOLD_REQUESTS * 1000 / rate))
      if (now < this.#rejectedAt + hold) return rate
      this.#refused = Infinity
      this.#step = isShared ? STEP_SHARED : STEP
    }
    const next = rate + this.#step * (isShared ? fair : rate)
    this.#step = Math.min(1, 2 * this.#step)
    // The fair half is no step to jump over.
    return rate < fair ? Math.min(next, fair) : next
  }

  /**
   * A request that was sent at this time was refused. Gives how long the account pauses, in milliseconds, or `undefined` where
   * that was said already: requests that were out together are refused together.
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
      // Refused at its first request, or again at the next one, it has not used the rate at all.
      const isUsed = this.#wasServed && (limit === null || limit !== undefined && this.consecutiveRejections === 1)
      if (isUsed) this.#decrease(now, before, limit)
    }
    return this.#pause(retryAfter, limit, random)
  }

  /** A request was refused at the rate in force; the refusal before it was at this time. */
  #decrease(now: number, before: number, limit: Limit) {
    const rate = this.current(limit)
    const fair = fairHalf(limit)
    if (this.#isIncreased) {
      if (this.#refused === Infinity) this.#refusedTries++
      this.#refused = rate * MARGIN
      this.#isIncreased = false
      return this.#change(now, this.#held)
    }
    if (this.#hasHeld && (rate === limit || rate < 0.9 * this.#refused)) {
      // A rate that was found may only be too near to what the host takes, so the first time within a minute is a doubt.
      if (rate === limit || now - this.#doubtedAt < SHARED) this.#sharedUntil = now + SHARED
      this.#doubtedAt = now
    }
    const passed = (now - Math.max(before, this.#changedAt)) / FREQUENT_TIME
    this.#refusals = Math.max(0, this.#refusals - passed) + 1
    if (rate <= fair) {
      const insistence = now < this.#sharedUntil ? Math.min(MAX_INSISTENCE, fair / rate) : 1
      if (this.#refusals < FREQUENT * insistence) return
    }
    this.#refused = rate
    this.#refusedTries = 0
    this.#hasHeld = false
    const lower = rate === limit ? fair : rate * DECREASE
    this.#held = Math.max(SLOWEST, rate > fair ? Math.max(fair, lower) : lower)
    this.#change(now, this.#held)
  }

  /**
   * Every fourth pause is as long as the window, for hosts that count refused requests too. A host that refuses everything is asked
   * less and less often.
   */
  #pause(retryAfter: number | undefined, limit: Limit, random: number): number {
    const count = this.consecutiveRejections
    const isLong = count % LONG === 2
    const own = Math.max(PAUSE, isLong ? this.quota(limit).window : 0) * Math.max(1, count / MANY)
    const least = retryAfter ?? Math.min(MAX_PAUSE, own)
    // The first refusal says nothing of others.
    const spread = count === 1 ? 0 : isLong || count <= WIDE ? SPREAD_WIDE : SPREAD_NARROW
    return Math.min(MAX_RETRY_AFTER, least + spread * random * Math.min(least, MAX_SPREAD))
  }
}
