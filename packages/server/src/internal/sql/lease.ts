/**
 * A lease: the right of one receiver to one download of a file. A pure state machine; the catalogs store its states and perform
 * its transitions, `sqliteLeases.ts` by calling these functions, `pgLeases.ts` by equivalent statements.
 *
 * | phase     | meaning                                                   | resumable | ends at `until`, and then |
 * | --------- | --------------------------------------------------------- | --------- | ------------------------- |
 * | `flowing` | a transfer sends bytes, but not the last one              | yes       | is given back             |
 * | `broken`  | no transfer is left                                       | yes       | is given back             |
 * | `handed`  | the last byte may have been sent                          | yes       | counts                    |
 * | `counted` | the download counts; the last bytes may still have to be repeated | yes | is over                |
 *
 * A lease of a file that counts from its first byte (`countsFirst`) is never given back: it counts instead.
 *
 * | event        | from                      | to                     | on the disk before           |
 * | ------------ | ------------------------- | ---------------------- | ---------------------------- |
 * | `claimed`    | –                         | `flowing`              | the first byte, if `countsFirst` |
 * | `resumed`    | `flowing`, `broken`       | `flowing`, generation + 1 | its first byte            |
 * | `resumed`    | `handed`, `counted`       | `counted`, generation + 1 | its first byte            |
 * | `handedOver` | `flowing`, same generation | `handed`              | the last byte                |
 * | `committed`  | any                       | `counted`              | –; `handed` is on the disk   |
 * | `broke`      | `flowing`, `handed`, same generation | `broken`    | –                            |
 * | `abandoned`  | `flowing`, generation 1   | dropped, and never was | –                          |
 * | `interrupted` | `flowing`; `handed`      | `broken`; `counted`    | –                            |
 * | `prolonged`  | `flowing`, `handed`, same generation | the same    | –                            |
 *
 * So of two transfers of one lease only the newest can send the last byte, and the older one cannot give the lease back. No
 * transition moves `ends`, which follows from the size of the file: nobody holds a file longer by asking again.
 */
import * as Duration from "effect/Duration"
import { defaults } from "../../ServerOptions.ts"

export type Phase = "flowing" | "broken" | "handed" | "counted"

export interface Lease {
  readonly phase: Phase
  /** Which transfer of the lease is the newest. */
  readonly generation: number
  /** Whether the download counts however the lease ends. */
  readonly countsFirst: boolean
  /** Bytes of the file. */
  readonly size: number
  /** When the file expires: from then on the lease cannot be resumed. */
  readonly expires: number | null
  /** When the lease ends unless something happens before; `null`: not by itself. */
  readonly until: number | null
  /** Its latest end; `null`: none, since any rate is allowed. */
  readonly ends: number | null
}

/** How long leases last. Times are in milliseconds. */
export interface Terms {
  /** How long the holder may resume a broken transfer, or fetch bytes again after a complete one. */
  readonly grace: number
  /**
   * How long a lease lasts without a sign of its transfer's server. `undefined`: there is only one server, and its next start
   * ends the transfers of the last one (`interrupted`).
   */
  readonly hold?: number | undefined
  /** Minimum average rate of a transfer in bytes per second; 0: any rate, and a lease has no latest end. */
  readonly minimumRate: number
  /** Extra time of a transfer. */
  readonly patience: number
}

/** The operator's settings, in milliseconds and bytes per second. */
export interface Options {
  readonly grace: number
  readonly minimumRate?: number | undefined
  readonly minimumRatePatience?: number | undefined
}

export const termsOf = (
  { grace, minimumRate = defaults.minimumRate, minimumRatePatience = Duration.toMillis(defaults.minimumRatePatience) }:
    Options
): Terms => ({
  // The catalogs have whole milliseconds.
  grace: Math.ceil(grace),
  minimumRate,
  patience: Math.ceil(minimumRatePatience)
})

/**
 * A lease of a file of at most this size, in bytes, is given back as soon as its transfer breaks: about as many fit the buffers
 * of one connection, so a second request soon gets all of them again, and need not wait for a holder who may never come back.
 */
export const RESUMABLE_BYTES = 4 * 1024 * 1024

const earlier = (time: number, end: number | null): number => end === null ? time : Math.min(time, end)

/** How long a lease of a file lasts at most. */
export const lifetime = (size: number, { grace, minimumRate, patience }: Terms): number | null =>
  minimumRate === 0 ? null : Math.ceil(size * 1000 / minimumRate) + patience + grace

/** When a lease with a transfer ends without a further sign of it. */
const held = (now: number, ends: number | null, { hold }: Terms): number | null =>
  hold === undefined ? ends : earlier(now + hold, ends)

export const hasEnded = ({ until }: Lease, now: number): boolean => until !== null && until <= now

export const claimed = (
  file: Pick<Lease, "size" | "expires" | "countsFirst">,
  now: number,
  terms: Terms
): Lease => {
  const longest = lifetime(file.size, terms)
  const ends = longest === null ? null : now + longest
  return { ...file, phase: "flowing", generation: 1, until: held(now, ends, terms), ends }
}

/** `undefined`: it cannot be resumed any more. */
export const resumed = (lease: Lease, now: number, terms: Terms): Lease | undefined => {
  if (hasEnded(lease, now) || (lease.expires !== null && lease.expires <= now)) return undefined
  const generation = lease.generation + 1
  // The last byte may have been sent, so the download counts whatever becomes of this transfer.
  if (lease.phase === "handed" || lease.phase === "counted") return { ...committed(lease, now, terms), generation }
  return { ...lease, phase: "flowing", generation, until: held(now, lease.ends, terms) }
}

/** `undefined`: the last byte must not be sent. */
export const handedOver = (lease: Lease, generation: number, now: number): Lease | undefined => {
  if (lease.generation !== generation || hasEnded(lease, now)) return undefined
  return lease.phase === "flowing" || lease.phase === "handed" ? { ...lease, phase: "handed" } : undefined
}

/** An ended lease counts too, but does not become resumable again. */
export const committed = (lease: Lease, now: number, { grace }: Terms): Lease =>
  lease.phase === "counted"
    ? lease
    : { ...lease, phase: "counted", until: hasEnded(lease, now) ? lease.until : now + grace }

/** A transfer ended without sending its last byte. */
export const broke = (lease: Lease, generation: number, now: number, { grace }: Terms): Lease => {
  if (lease.generation !== generation || hasEnded(lease, now)) return lease
  if (lease.phase === "broken" || lease.phase === "counted") return lease
  const waits = lease.countsFirst || lease.size > RESUMABLE_BYTES
  return { ...lease, phase: "broken", until: earlier(waits ? now + grace : now, lease.ends) }
}

/** Not one byte of a transfer was sent. `undefined`: as if the lease had never been claimed. */
export const abandoned = (lease: Lease, generation: number, now: number, terms: Terms): Lease | undefined =>
  generation === 1 && lease.generation === 1 && lease.phase === "flowing" && !hasEnded(lease, now)
    ? undefined
    : broke(lease, generation, now, terms)

/** The only server died; this is its next start. */
export const interrupted = (lease: Lease, now: number, terms: Terms): Lease =>
  lease.phase === "handed"
    ? committed(lease, now, terms)
    : lease.phase === "flowing"
    ? { ...lease, phase: "broken", until: earlier(now + terms.grace, lease.ends) }
    : lease

/** A sign of the transfer's server. */
export const prolonged = (lease: Lease, generation: number, now: number, terms: Terms): Lease =>
  lease.generation !== generation || hasEnded(lease, now) || (lease.phase !== "flowing" && lease.phase !== "handed")
    ? lease
    : { ...lease, until: held(now, lease.ends, terms) }

/** The result of an ended lease: a download that counts, one that is available again, or nothing. */
export const settled = ({ countsFirst, phase }: Lease): "counts" | "given back" | "over" =>
  phase === "counted" ? "over" : phase === "handed" || countsFirst ? "counts" : "given back"

/** Whether a lease takes one of its file's uncounted downloads. */
export const isLive = (lease: Lease, now: number): boolean => lease.phase !== "counted" && !hasEnded(lease, now)

/**
 * When its download may become available at the earliest, as far as known: if its transfer breaks at once, or its server died.
 */
export const freeAt = ({ ends, phase, until }: Lease, now: number, { grace, hold }: Terms): number =>
  until !== null && (phase === "broken" || hold !== undefined) ? until : earlier(now + grace, ends)
