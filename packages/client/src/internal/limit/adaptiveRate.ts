/**
 * How much of its limit an account uses (AIMD). It uses all of the limit that the host gives until the host refuses a request
 * all the same. Then it halves its rate, searches upwards between the rate that held and the rate that was refused, as BIC-TCP
 * does, and stays at what it found. Now and then it tries more, and the more often that is refused, the longer it waits before
 * the next try.
 *
 * A rate that held for a while and is refused all the same means that something else uses the account. Then it climbs slowly,
 * gives way while it has more than half of the limit, and insists on an eighth of it.
 *
 * A limit that nobody gives is searched for in the same way, from a low rate that doubles until it is refused.
 *
 * It knows nothing of Effect and has no clock: every method is given the time in milliseconds. Rates are requests a second.
 */
import type { Quota } from "../../RateLimitStore.ts"

/** The rate from which an account starts whose limit nobody gives. */
const START = 10
/** One request in about a minute is the slowest. */
const SLOWEST = 1 / 64
const FASTEST = 1000

/** What a refusal leaves of the full limit; of a rate that was found; and of one that is small in a shared account. */
const DECREASE = 0.5
const DECREASE_FOUND = 0.7
const DECREASE_SMALL = 0.9
/** A share of a shared account that is small, one that is large, and the least one, as parts of the limit. */
const SMALL = 1 / 4
const LARGE = 1 / 2
const LEAST = 1 / 8

/** A rate has held when this many times its quota was served; in a shared account it takes longer. */
const QUOTAS = 2
const QUOTAS_SHARED = 4
/** The first step beyond a rate that was refused before, as a part of the rate. It doubles with each step that holds. */
const STEP = 0.05
/** The search ends when the refused rate is less than this times the rate that held. A slow rate has no time for more steps. */
const closeTo = (rate: number): number => rate < 2 ? 1.08 : 1.03

/** A refused rate is not tried again for this long nor before this many requests; each refused try doubles the time. */
const HOLD = 60_000
const HOLD_REQUESTS = 300
const MAX_HOLD = 3_600_000
/** The same in a shared account, for one that uses all of the limit; one that uses a part waits for that part of it. */
const HOLD_SHARED = 20_000
const MAX_HOLD_SHARED = 120_000

/** The pause where the host does not tell one, and the longest that is kept to where it does. */
const PAUSE = 1000
const MAX_PAUSE = 60_000
const MAX_SPREAD = 10_000
const MAX_RETRY_AFTER = 24 * 3_600_000

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
  /** The highest rate that held, and the lowest that was refused. */
  #held = 0
  #refused = Infinity
  /** Whether the rate was increased and has not held yet, and whether it has held. */
  #isIncreased = false
  #hasHeld = false
  /** Whether something else seems to use the account. */
  #isShared = false
  #doubtedAt = -Infinity
  #step = STEP
  /** How often a try beyond the refused rate was refused. */
  #refusedTries = 0
  /** How many requests were served that were sent after the last change. */
  #served = 0
  #changedAt = -Infinity
  #rejectedAt = -Infinity
  #wasServed = false
  /** How often the host refused a request since it last served one. */
  consecutiveRejections = 0

  /** Whether it keeps to less than the limit since a request was refused. */
  get isReduced(): boolean {
    return this.#rate !== undefined && this.#rejectedAt !== -Infinity
  }

  /** The rate in force. `limit` is the one that the host gives, where it does. */
  current(limit: number | undefined): number {
    return Math.min(this.#rate ?? limit ?? START, limit ?? FASTEST)
  }

  quota(limit: number | undefined): Quota {
    const rate = this.current(limit)
    return this.isReduced ? quotaOfFound(rate) : quotaOf(rate)
  }

  /** The host gives another limit. Where it refused requests before the first one was known, the account is shared. */
  limitChanged(limit: number | undefined, isFirst: boolean) {
    this.#isShared = isFirst && limit !== undefined && this.#rejectedAt !== -Infinity
    this.#rate = this.#isShared ? limit! * DECREASE : undefined
    this.#held = this.#rate ?? 0
    this.#refused = this.#isShared ? limit! : Infinity
    this.#isIncreased = false
    this.#hasHeld = false
  }

  /**
   * A request was answered with something else than a refusal. `isSaturated`: it had to wait for its permit, so the account has
   * more to do than the rate allows.
   */
  served(now: number, sentAt: number, isSaturated: boolean, limit: number | undefined) {
    this.#wasServed = true
    if (sentAt > this.#rejectedAt) this.consecutiveRejections = 0
    if (isSaturated && sentAt > this.#changedAt) this.#increase(now, limit)
  }

  #increase(now: number, limit: number | undefined) {
    const rate = this.current(limit)
    const ceiling = limit ?? FASTEST
    // The first request after a change came at the distance of before.
    const quotas = this.#rejectedAt === -Infinity ? 1 : this.#isShared ? QUOTAS_SHARED : QUOTAS
    if (++this.#served <= quotas * Math.ceil(rate)) return
    this.#held = rate
    this.#hasHeld = true
    this.#isIncreased = false
    if (rate >= ceiling) return
    const next = this.#next(now, rate, ceiling)
    if (next === rate) return
    this.#isIncreased = true
    this.#served = 0
    this.#changedAt = now
    this.#rate = next >= ceiling && limit !== undefined ? undefined : Math.min(next, ceiling)
  }

  #next(now: number, rate: number, ceiling: number): number {
    if (this.#rejectedAt === -Infinity) return 2 * rate
    if (this.#refused !== Infinity) {
      if (this.#refused / rate > closeTo(rate)) return (rate + this.#refused) / 2
      if (now < this.#rejectedAt + this.#hold(rate, ceiling)) return rate
      this.#refused = Infinity
      this.#step = STEP
    }
    const next = rate * (1 + this.#step)
    this.#step = Math.min(1, 2 * this.#step)
    return next
  }

  #hold(rate: number, ceiling: number): number {
    const times = 2 ** this.#refusedTries
    return this.#isShared
      ? Math.min(MAX_HOLD_SHARED, HOLD_SHARED * times) * rate / ceiling
      : Math.min(MAX_HOLD, Math.max(HOLD * times, HOLD_REQUESTS * 1000 / rate))
  }

  /**
   * A request that was sent at this time was refused. Gives how long the account pauses, in milliseconds, or `undefined` where
   * that was said already: requests that were out together are refused together.
   */
  rejected(
    now: number,
    sentAt: number,
    retryAfter: number | undefined,
    limit: number | undefined,
    random: number
  ): number | undefined {
    const isNew = sentAt > this.#rejectedAt
    if (!isNew && retryAfter === undefined) return undefined
    if (isNew) {
      this.#rejectedAt = now
      this.#changedAt = now
      this.#served = 0
      this.consecutiveRejections++
      // Refused at its first request, or again at the next one, it has not used the rate at all.
      const isUsed = this.#wasServed && (this.consecutiveRejections === 1 || limit === undefined)
      if (isUsed) this.#decrease(this.current(limit), limit)
    }
    return this.#pause(retryAfter, limit, random)
  }

  #decrease(rate: number, limit: number | undefined) {
    const part = this.#isShared && limit !== undefined ? rate / limit : LARGE
    if (this.#isIncreased && part <= LARGE) {
      if (this.#refused === Infinity) this.#refusedTries++
      this.#rate = this.#held
    } else {
      const isFirstDoubt = this.#doubt(rate, limit)
      const isSmall = part < SMALL || isFirstDoubt
      const factor = rate === limit ? DECREASE : isSmall ? DECREASE_SMALL : DECREASE_FOUND
      const least = this.#isShared && limit !== undefined ? LEAST * limit : SLOWEST
      this.#rate = Math.max(least, rate * factor)
      this.#held = this.#rate
      this.#refusedTries = 0
      this.#hasHeld = false
    }
    this.#refused = rate
    this.#isIncreased = false
  }

  /**
   * A rate that held was refused: something else uses the account. A rate that was found may only be too near to what the
   * host takes, so the first time within a minute is a doubt.
   */
  #doubt(rate: number, limit: number | undefined): boolean {
    // Close below one that was refused, it may not have held as long as it takes.
    if (this.#isShared || !this.#hasHeld || rate > 0.9 * this.#refused) return false
    const isFirst = rate !== limit && this.#rejectedAt - this.#doubtedAt > HOLD
    this.#doubtedAt = this.#rejectedAt
    this.#isShared = !isFirst
    return isFirst
  }

  /**
   * The first refusal is followed by a short pause. The next ones are spread at random, or two processes could go on refusing
   * each other in step. They are not much longer than a second, to get hold of a permit that another process leaves free,
   * and every other one is as long as the window, for hosts that count refused requests too.
   */
  #pause(retryAfter: number | undefined, limit: number | undefined, random: number): number {
    const count = this.consecutiveRejections
    const own = count % 2 === 1 ? PAUSE : Math.max(PAUSE, this.quota(limit).window)
    const least = retryAfter ?? own
    const spread = count === 1 ? 0 : this.#wasServed ? 0.5 * Math.max(1, count / 48) : 0.05
    const pause = least + spread * random * Math.min(least, MAX_SPREAD)
    return Math.min(pause, retryAfter === undefined ? MAX_PAUSE : MAX_RETRY_AFTER)
  }
}
