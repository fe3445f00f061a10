/**
 * What is known of the time that a request and its answer need at least: a lower bound, taken from answers of the last
 * time, which the limiter may take off the time that it keeps a place. See `ARCHITECTURE.md`, "Why the limit holds".
 */

/** Samples are kept in two generations, the older of which is dropped when the younger has this many and this age. */
const GENERATION_SAMPLES = 64
const GENERATION_MILLIS = 30_000
/** Answers that come together were late together: all of such a time count as one observation. */
const SLOT_MILLIS = 250
/** Fewer observations say nothing. */
const ENOUGH = 3
/** A round trip that is this much shorter than any before means that the others were late: what they say is forgotten. */
const DROP = 0.9
/** Below this, what could be gained is not worth being wrong. */
const WORTH = 25
/** What the programs at both ends may take now and then, in milliseconds. */
const SLACK = 3
/** How far above the shortest an imagined sample lies, as a part of it. */
const PRIOR = 0.25
/** The margin in units of the spread: this over the root of the observations, and never less than the other. */
const CAUTION = 2.5
const LEAST_CAUTION = 0.15

interface Generation {
  count: number
  slots: number
  min: number
  sum: number
  readonly since: number
}

const generation = (since: number): Generation => ({ count: 0, slots: 0, min: Infinity, sum: 0, since })

export class RoundTrip {
  private older: Generation = generation(0)
  private younger: Generation
  private slotUntil = -Infinity

  constructor(now: number) {
    this.younger = generation(now)
  }

  /** A round trip that may have had to open a connection first only counts when it is the shortest all the same. */
  observe(roundTrip: number, now: number, warm: boolean) {
    if (!warm && (this.min === Infinity || roundTrip >= this.min)) return
    if (roundTrip < this.min * DROP) {
      this.older = generation(now)
      this.younger = generation(now)
      this.slotUntil = -Infinity
    } else if (this.younger.count >= GENERATION_SAMPLES && now - this.younger.since >= GENERATION_MILLIS) {
      this.older = this.younger
      this.younger = generation(now)
    }
    if (now >= this.slotUntil) {
      this.younger.slots++
      this.slotUntil = now + SLOT_MILLIS
    }
    this.younger.count++
    this.younger.sum += roundTrip
    this.younger.min = Math.min(this.younger.min, roundTrip)
  }

  private get observations(): number {
    return this.older.slots + this.younger.slots
  }

  /** Whether enough was seen to say anything. */
  get isKnown(): boolean {
    return this.observations >= ENOUGH
  }

  get min(): number {
    return Math.min(this.older.min, this.younger.min)
  }

  /** The average, or `otherwise` while nothing is known. */
  mean(otherwise: number): number {
    const count = this.older.count + this.younger.count
    return count === 0 ? otherwise : (this.older.sum + this.younger.sum) / count
  }

  /**
   * The bound, in milliseconds: the shortest round trip that was seen, less a margin for what may not have been seen yet.
   * The margin shrinks with the number of observations and grows with their spread; while there are too few, the bound is 0.
   */
  get bound(): number {
    const { min } = this
    if (!this.isKnown || min < WORTH) return 0
    const count = this.observations
    // Two imagined samples stand for the spread until there are real ones.
    const spread = ((this.mean(0) - min) * count + 2 * PRIOR * min) / (count + 2)
    const margin = spread * Math.max(CAUTION / Math.sqrt(count - ENOUGH + 1), LEAST_CAUTION)
    return Math.max(0, min - margin - SLACK)
  }
}
