/**
 * Which transfers of which leases this process runs.
 *
 * A lease has several transfers if its holder requests several ranges at the same time, as download managers do. No two of them
 * send the same byte: where a new range overlaps what an older transfer has yet to send, the older one stops there. So a resume
 * ends the broken transfer, and ranges of other parts run beside each other. Any of them may send the last byte: for the
 * catalog they are one transfer, the newest.
 */
import * as Deferred from "effect/Deferred"
import type { Lease, Progress } from "../../Catalog.ts"
import type { Range, Transfer } from "../http/transfer.ts"

export interface Running {
  readonly generation: number
  readonly range: Range
  /** `undefined`: it is yet to begin. */
  transfer: Transfer | undefined
  /** Where another transfer goes on. */
  stop: number
  /** Bytes that were reported to the catalog. */
  reported: number
  readonly settled: Deferred.Deferred<void>
}

export interface LeaseTransfers {
  /** The newest generation that this process has. */
  newest: Lease
  readonly running: Set<Running>
  /** Bytes of ended transfers that were not reported to the catalog. */
  unreported: number
}

/** Ends a transfer where it would send bytes of a range. Returns whether it ends at once. */
const giveWay = (running: Running, range: Range): boolean => {
  const position = running.transfer?.position() ?? running.range.start
  if (range.start >= running.range.end || range.end <= position) return false
  running.stop = Math.min(running.stop, range.start)
  running.transfer?.stopAt(running.stop)
  return running.stop <= position
}

/** The bytes of a lease that were sent since it was last asked. */
export const takeSent = (held: LeaseTransfers): number => {
  let sent = held.unreported
  held.unreported = 0
  for (const running of held.running) {
    const total = running.transfer?.sent() ?? 0
    sent += total - running.reported
    running.reported = total
  }
  return sent
}

export const make = () => {
  const all = new Map<string, LeaseTransfers>()

  /** Adds a transfer to those of its lease. */
  const join = (lease: Lease, range: Range): readonly [LeaseTransfers, Running] => {
    const running: Running = {
      generation: lease.generation,
      range,
      transfer: undefined,
      stop: range.end,
      reported: 0,
      settled: Deferred.makeUnsafe()
    }
    let held = all.get(lease.id)
    if (held === undefined) all.set(lease.id, held = { newest: lease, running: new Set(), unreported: 0 })
    if (lease.generation > held.newest.generation) held.newest = lease
    for (const other of held.running) {
      if (other.generation < lease.generation) giveWay(other, range)
      else giveWay(running, other.range)
    }
    held.running.add(running)
    return [held, running]
  }

  /** Takes a transfer that has ended out of its lease; returns whether that was the last one. */
  const leave = (held: LeaseTransfers, running: Running): boolean => {
    held.unreported += (running.transfer?.sent() ?? 0) - running.reported
    held.running.delete(running)
    if (held.running.size > 0) return false
    all.delete(held.newest.id)
    return true
  }

  return {
    join,
    leave,

    get: (id: string): LeaseTransfers | undefined => all.get(id),

    /** Ends the transfers of a lease where they would send bytes of a range. Returns those that end at once. */
    makeRoom: (id: string, rangeOf: (size: number) => Range | undefined): ReadonlyArray<Running> => {
      const held = all.get(id)
      const range = held === undefined ? undefined : rangeOf(held.newest.size)
      return held === undefined || range === undefined
        ? []
        : Array.from(held.running).filter((running) => giveWay(running, range))
    },

    ofKey: (key: string): ReadonlyArray<Transfer> =>
      Array.from(all.values()).flatMap(({ newest, running }) =>
        newest.key === key ? Array.from(running).flatMap(({ transfer }) => transfer ?? []) : []
      ),

    /** Pending updates of the catalog, for all leases. */
    progress: (): ReadonlyArray<Progress> =>
      Array.from(all.values(), (held) => ({ lease: held.newest, sent: takeSent(held) })),

    /** The catalog could not be updated. */
    restore: (progress: ReadonlyArray<Progress>): void => {
      for (const { lease, sent } of progress) {
        const held = all.get(lease.id)
        if (held !== undefined) held.unreported += sent
      }
    }
  }
}
