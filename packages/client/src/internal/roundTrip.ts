/**
 * What is known of the time that a request and its answer need at least: a lower bound, taken from answers of the last
 * time, which the limiter may take off the time that it keeps a place. See `ARCHITECTURE.md`, "Why the limit holds".
 */

/** Samples are kept in two generations, the older of which is dropped when the younger has this many and this age. */
const GENERATION_SAMPLES = 64
const GENERATION_MILLIS = 30_000
/** Answers that come together were late together: all of such a time count as one observation. */
export const SLOT_MILLIS = 150
/** Fewer observations say nothing. */
export const ENOUGH = 3
/** A round trip that is this much shorter than any before means that the others were late: what they say is forgotten. */
export const DROP = 0.9
/** Below this, what could be gained is not worth being wrong. */
export const WORTH = 25
/** What the programs at both ends may take now and then, in milliseconds. */
export const SLACK = 3
/** How far above the shortest an imagined sample lies, as a part of it. */
export const PRIOR = 0.25
/** The margin in units of the spread: this over the root of the observations, and never less than the other. */
export const CAUTION = 2
export const LEAST_CAUTION = 0.15

/** How a request left. */
export type Connection =
  /** Over a connection that had served before; or so it is guessed. */
  | "reused"
  /** Over one that was open, but had not served before: as its transport told. */
  | "new"
  /** Perhaps it had to wait for a connection. */
  | "unknown"

interface Generation {
  count: number
  slots: number
  min: number
  sum: number
  /** Of new connections: when something was seen of them, and half of the shortest. */
  newSlots: number
  newMin: number
  readonly since: number
}

const generation = (since: number): Generation => ({
  count: 0,
  slots: 0,
  min: Infinity,
  sum: 0,
  newSlots: 0,
  newMin: Infinity,
  since
})

/** What was seen of a way, in milliseconds. */
export interface Seen {
  /** The shortest round trip; `Infinity` when nothing was seen. */
  readonly shortest: number
  readonly mean: number
  readonly observations: number
  /** Since when it is observed. */
  readonly since: number
  /** Whether all that is known is of new connections. */
  readonly isOfNewConnections: boolean
}

/**
 * The bound: the shortest round trip that was seen, less a margin for what may not have been seen yet. The margin shrinks
 * with the number of observations and grows with their spread; while there are too few, the bound is 0.
 *
 * The script in `redisStore.ts` does the same for several processes.
 */
export const boundOf = (
  { mean, observations, shortest }: Pick<Seen, "mean" | "observations" | "shortest">
): number => {
  if (observations < ENOUGH || shortest < WORTH) return 0
  // Two imagined samples stand for the spread until there are real ones.
  const spread = ((mean - shortest) * observations + 2 * PRIOR * shortest) / (observations + 2)
  const margin = spread * Math.max(CAUTION / Math.sqrt(observations - ENOUGH + 1), LEAST_CAUTION)
  return Math.max(0, shortest - margin - SLACK)
}

/** What several together have seen of one way: those that come near the shortest, since the others do something else too. */
export const together = (all: ReadonlyArray<Seen>, now: number): Seen => {
  let shortest = Infinity
  for (const seen of all) shortest = Math.min(shortest, seen.shortest)
  let sum = 0
  let observations = 0
  let since = now
  let isOfNewConnections = true
  for (const seen of all) {
    if (seen.observations === 0 || seen.shortest * DROP > shortest) continue
    sum += seen.mean * seen.observations
    observations += seen.observations
    since = Math.min(since, seen.since)
    isOfNewConnections &&= seen.isOfNewConnections
  }
  return {
    shortest,
    mean: observations === 0 ? shortest : sum / observations,
    // What several see at the same time is one observation.
    observations: Math.min(observations, Math.floor((now - since) / SLOT_MILLIS) + 1),
    since,
    isOfNewConnections
  }
}

export class RoundTrip implements Seen {
  #older: Generation
  #younger: Generation
  #slotUntil = -Infinity
  /** See `boundOf`. */
  bound = 0

  constructor(now: number) {
    this.#older = generation(now)
    this.#younger = generation(now)
  }

  observe(roundTrip: number, now: number, connection: Connection) {
    const min = this.#min
    // Whatever it had to wait for: when it is the shortest all the same, it counts.
    const isTypical = connection === "reused" || (min !== Infinity && roundTrip < min)
    if (!isTypical && connection === "unknown") return
    if (isTypical && roundTrip < min * DROP) {
      this.#older = generation(now)
      this.#younger = generation(now)
      this.#slotUntil = -Infinity
    } else if (
      this.#younger.count + this.#younger.newSlots >= GENERATION_SAMPLES &&
      now - this.#younger.since >= GENERATION_MILLIS
    ) {
      this.#older = this.#younger
      this.#younger = generation(now)
    }
    const isNewSlot = now >= this.#slotUntil
    if (isNewSlot) this.#slotUntil = now + SLOT_MILLIS
    const younger = this.#younger
    if (isTypical) {
      if (isNewSlot) younger.slots++
      younger.count++
      younger.sum += roundTrip
      younger.min = Math.min(younger.min, roundTrip)
    } else {
      // What a host sets up behind a new connection takes it a round trip more at most: half of it is the least.
      if (isNewSlot) younger.newSlots++
      younger.newMin = Math.min(younger.newMin, roundTrip / 2)
    }
    this.bound = boundOf(this)
  }

  /** The shortest over connections that had served before. */
  get #min(): number {
    return Math.min(this.#older.min, this.#younger.min)
  }

  get #newMin(): number {
    return Math.min(this.#older.newMin, this.#younger.newMin)
  }

  get isOfNewConnections(): boolean {
    return this.#min === Infinity
  }

  get shortest(): number {
    return this.isOfNewConnections ? this.#newMin : this.#min
  }

  /** The average, which is never below the shortest. */
  get mean(): number {
    const count = this.#older.count + this.#younger.count
    return count === 0 ? this.shortest : (this.#older.sum + this.#younger.sum) / count
  }

  get observations(): number {
    const slots = this.#older.slots + this.#younger.slots
    // New connections bear out what was seen over others, unless they say that there is a shorter way.
    return this.#newMin < this.#min * DROP && !this.isOfNewConnections
      ? slots
      : slots + this.#older.newSlots + this.#younger.newSlots
  }

  get since(): number {
    return this.#older.since
  }
}
