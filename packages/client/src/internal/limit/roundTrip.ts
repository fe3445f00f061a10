/**
 * A lower bound of the round trip, from the responses of the last minute or so. The limiter subtracts it from the time that a
 * permit is held. `ARCHITECTURE.md`, "Why the limit holds", has the argument.
 */

/**
 * Samples are kept in two generations; the older one is dropped when the younger has this many samples and this age, in
 * milliseconds.
 */
const GENERATION_SAMPLES = 64
const GENERATION_MILLIS = 30_000
/** Responses that arrive together were late together: those within this many milliseconds count as one observation. */
const INTERVAL_MILLIS = 150
/** With fewer observations the bound is 0. */
const ENOUGH = 3
/** A round trip that is this much shorter than all before means that those were late, so they are dropped. */
const DROP = 0.9
/** Below this many milliseconds there is nothing to gain. */
const WORTH = 25
/** Milliseconds that the programs at both ends may take now and then. */
const SLACK = 3
/**
 * How far above the shortest two imagined samples lie, as a part of it: they represent the spread until there are real ones.
 */
const PRIOR = 0.25
/** The margin in units of the spread: this divided by the root of the number of observations, and never less than the other. */
const CAUTION = 2
const LEAST_CAUTION = 0.15

interface Generation {
  count: number
  intervals: number
  shortest: number
  sum: number
  readonly since: number
}

const generation = (since: number): Generation => ({ count: 0, intervals: 0, shortest: Infinity, sum: 0, since })

export class RoundTripStats {
  #older: Generation
  #younger: Generation
  #intervalUntil = -Infinity
  /** The lower bound: the shortest round trip, less a margin that grows with the spread and shrinks with observations. */
  bound = 0

  constructor(now: number) {
    this.#older = generation(now)
    this.#younger = generation(now)
  }

  get shortest(): number {
    return Math.min(this.#older.shortest, this.#younger.shortest)
  }

  /** The average; 0 without observations. */
  get mean(): number {
    const count = this.#older.count + this.#younger.count
    return count === 0 ? 0 : (this.#older.sum + this.#younger.sum) / count
  }

  /** Records a round trip; one over a new connection counts only if it was faster than all others. */
  observe(millis: number, now: number, isReused: boolean) {
    const shortest = this.shortest
    if (!isReused && !(millis < shortest && shortest !== Infinity)) return
    if (millis < shortest * DROP) {
      this.#older = generation(now)
      this.#younger = generation(now)
      this.#intervalUntil = -Infinity
    } else if (this.#younger.count >= GENERATION_SAMPLES && now - this.#younger.since >= GENERATION_MILLIS) {
      this.#older = this.#younger
      this.#younger = generation(now)
    }
    const younger = this.#younger
    if (now >= this.#intervalUntil) {
      this.#intervalUntil = now + INTERVAL_MILLIS
      younger.intervals++
    }
    younger.count++
    younger.sum += millis
    younger.shortest = Math.min(younger.shortest, millis)
    this.bound = this.#leastRoundTrip()
  }

  #leastRoundTrip(): number {
    const shortest = this.shortest
    const observations = this.#older.intervals + this.#younger.intervals
    if (observations < ENOUGH || shortest < WORTH) return 0
    const spread = ((this.mean - shortest) * observations + 2 * PRIOR * shortest) / (observations + 2)
    const margin = spread * Math.max(CAUTION / Math.sqrt(observations - ENOUGH + 1), LEAST_CAUTION)
    return Math.max(0, shortest - margin - SLACK)
  }
}
