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
 * | `prolonged`  | all but `broken`, same generation | the same       | –                            |
 *
 * So of two transfers of one lease only the newest can send the last byte, and the older one cannot give the lease back.
 *
 * A lease lasts as long as its bytes go out at the minimum rate. `ends` is when it ends if no more are sent: the bytes that
 * `prolonged` and `broke` report move it, at most to the patience and the grace time from now, and never beyond `latest`,
 * which follows from the size of the file. Asking again moves neither, so nobody holds a file by that.
 *
 * The same holds for a lease that is `counted`: its holder may have requested the end of the file before other ranges, or lost
 * many of the last bytes, so it ends the grace time after the last sign that bytes are sent, and not after the last byte.
 */
import type { LeaseState } from "../../Catalog.ts"

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
  /** When the lease ends unless more bytes are sent; `null`: not by itself, since any rate is allowed. */
  readonly ends: number | null
  /** Its latest end; `null` with `ends`. */
  readonly latest: number | null
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

/**
 * A lease of a file of at most this size, in bytes, is given back as soon as its transfer breaks: about as many fit the buffers
 * of one connection, so a second request soon gets all of them again, and need not wait for a holder who may never come back.
 */
export const RETURNED_AT_ONCE_BYTES = 4 * 1024 * 1024

const earlier = (time: number, end: number | null): number => end === null ? time : Math.min(time, end)

/** How long a lease lasts without sent bytes, in milliseconds. */
export const allowance = ({ grace, patience }: Terms): number => patience + grace

/** Milliseconds that these bytes take at the minimum rate; 0 where any rate will do. */
const millisOf = (bytes: number, { minimumRate }: Terms): number =>
  minimumRate === 0 ? 0 : Math.ceil(bytes * 1000 / minimumRate)

/** The shortest such interval that a short grace time asks for, in milliseconds. */
const SHORTEST_INTERVAL = 1000

/** Milliseconds after which a server prolongs the leases of its transfers: often enough that one that is late does no harm. */
export const prolongInterval = (terms: Terms): number =>
  Math.min(
    10_000,
    Math.min(terms.hold ?? Infinity, allowance(terms)) / 5,
    // A counted lease lasts the grace time from the last sign.
    Math.max(SHORTEST_INTERVAL, terms.grace / 2)
  )

/** Bytes were sent. */
const credited = <A extends Lease>(lease: A, bytes: number, now: number, terms: Terms): A =>
  lease.ends === null
    ? lease
    : {
      ...lease,
      ends: earlier(Math.min(lease.ends + millisOf(bytes, terms), now + allowance(terms)), lease.latest)
    }

/** When a lease with a transfer ends without a further sign of it. */
const held = (now: number, ends: number | null, { hold }: Terms): number | null =>
  hold === undefined ? ends : earlier(now + hold, ends)

export const hasEnded = ({ until }: Lease, now: number): boolean => until !== null && until <= now

export const claimed = (
  file: Pick<Lease, "size" | "expires" | "countsFirst">,
  now: number,
  terms: Terms
): Lease => {
  const ends = terms.minimumRate === 0 ? null : now + allowance(terms)
  const latest = ends === null ? null : ends + millisOf(file.size, terms)
  return { ...file, phase: "flowing", generation: 1, until: held(now, ends, terms), ends, latest }
}

/** `undefined`: it cannot be resumed any more. */
export const resumed = (lease: Lease, now: number, terms: Terms): Lease | undefined => {
  if (hasEnded(lease, now) || (lease.expires !== null && lease.expires <= now)) return undefined
  const generation = lease.generation + 1
  // The last byte may have been sent, so the download counts whatever becomes of this transfer.
  if (lease.phase === "handed" || lease.phase === "counted") return { ...committed(lease, now, terms), generation }
  return { ...lease, phase: "flowing", generation, until: held(now, lease.ends, terms) }
}

/** A lease as its holder sees it; `undefined`: it cannot be resumed any more. */
export const heldBy = (lease: Lease, now: number, terms: Terms): LeaseState | undefined => {
  if (resumed(lease, now, terms) === undefined) return undefined
  const phase = lease.phase === "handed" ? "flowing" : lease.phase
  return { phase, millisLeft: phase === "flowing" || lease.until === null ? null : lease.until - now }
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

/** Bytes of a counted lease were sent: it lasts the grace time from now, while they go out at the minimum rate. */
const keptCounted = <A extends Lease>(lease: A, sent: number, now: number, terms: Terms): A => {
  const after = credited(lease, sent, now, terms)
  return { ...after, until: Math.max(lease.until ?? now, earlier(now + terms.grace, after.ends)) }
}

/** A transfer ended without sending its last byte. `sent`: its bytes that were not reported before. */
export const broke = (lease: Lease, generation: number, now: number, terms: Terms, sent = 0): Lease => {
  if (lease.generation !== generation || hasEnded(lease, now)) return lease
  if (lease.phase === "broken") return lease
  if (lease.phase === "counted") return keptCounted(lease, sent, now, terms)
  const waits = lease.countsFirst || lease.size > RETURNED_AT_ONCE_BYTES
  const after = credited(lease, sent, now, terms)
  return { ...after, phase: "broken", until: earlier(waits ? now + terms.grace : now, after.ends) }
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

/** A sign of the transfer's server, with the bytes that were sent since the last one. */
export const prolonged = (lease: Lease, generation: number, now: number, terms: Terms, sent = 0): Lease => {
  if (lease.generation !== generation || hasEnded(lease, now)) return lease
  if (lease.phase === "broken") return lease
  if (lease.phase === "counted") return keptCounted(lease, sent, now, terms)
  const after = credited(lease, sent, now, terms)
  return { ...after, until: held(now, after.ends, terms) }
}

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
