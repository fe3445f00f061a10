/**
 * A lower bound of the round trip, from the responses of the last minute or so. The limiter subtracts it from the time that a
 * permit is held. `ARCHITECTURE.md`, "Why the limit holds", has the argument.
 */

/** Samples are kept in two generations; the older one is dropped when the younger has at least this many samples … */
const GENERATION_SAMPLES = 64
/** … and is at least this many milliseconds old. */
const GENERATION_MILLIS = 30_000
/** Responses that arrive together were late together: those within this many milliseconds count as one observation. */
const INTERVAL_MILLIS = 150
/** With fewer observations the bound is 0. */
const ENOUGH = 3
/** A round trip that is this much shorter than all before means that those were late, so they are dropped. */
const DROP = 0.9
/** A round trip shorter than this many milliseconds is not subtracted. */
const WORTH = 25
/** Milliseconds that the programs at both ends may take now and then. */
const SLACK = 3
/** How far above the shortest two imagined samples lie, as a part of it: they represent the spread until there are real ones. */
const PRIOR = 0.25
/** The margin is the spread times a factor: this, divided by the root of the number of observations. */
const CAUTION = 2
/** The least factor. */
const LEAST_CAUTION = 0.15

const generation = (since: number) => ({ count: 0, intervals: 0, shortest: Infinity, sum: 0, since })

export class RoundTripStats {
  #older = generation(-Infinity)
  #younger = generation(-Infinity)
  #intervalUntil = -Infinity
  /** The lower bound: the shortest round trip, less a margin that grows with the spread and shrinks with observations. */
  bound = 0
  /** The average; 0 without observations. */
  mean = 0

  /** Records a round trip; one over a new connection counts only if it was faster than all others. */
  observe(millis: number, now: number, isReused: boolean) {
    const shortest = Math.min(this.#older.shortest, this.#younger.shortest)
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
    this.mean = (this.#older.sum + younger.sum) / (this.#older.count + younger.count)
    this.bound = this.#leastRoundTrip(Math.min(this.#older.shortest, younger.shortest))
  }

  #leastRoundTrip(shortest: number): number {
    const observations = this.#older.intervals + this.#younger.intervals
    if (observations < ENOUGH || shortest < WORTH) return 0
    const spread = ((this.mean - shortest) * observations + 2 * PRIOR * shortest) / (observations + 2)
    const margin = spread * Math.max(CAUTION / Math.sqrt(observations - ENOUGH + 1), LEAST_CAUTION)
    return Math.max(0, shortest - margin - SLACK)
  }
}
