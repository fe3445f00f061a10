/**
 * Memory that all connections of a server share, for uses that they could do without: large buffers of downloads, bytes of
 * uploads collected during a write, and pipelined requests. A connection that gets none uses a small buffer, writes at once, or
 * is closed; nobody waits for memory, so no client can block another.
 */
import * as Context from "effect/Context"

export interface MemoryBudget {
  /** Takes bytes if as many are left. */
  readonly tryTake: (bytes: number) => boolean
  /**
   * Takes at most `most` bytes, and less the less is left: at most a sixteenth of the rest, so that some is left for others.
   * Returns how many, 0 if that would be less than `least`.
   */
  readonly takeShare: (most: number, least: number) => number
  readonly release: (bytes: number) => void
}

export const make = (limit: number): MemoryBudget => {
  let left = limit
  return {
    tryTake: (bytes) => {
      if (bytes > left) return false
      left -= bytes
      return true
    },
    takeShare: (most, least) => {
      const share = Math.min(most, Math.floor(left / 16))
      if (share < least) return 0
      left -= share
      return share
    },
    release: (bytes) => {
      left += bytes
    }
  }
}

/** The budget of the server; parts that run without one have no limit. */
export const MemoryBudget = Context.Reference<MemoryBudget>("@effect-fileio/server/internal/MemoryBudget", {
  defaultValue: () => make(Infinity)
})

/**
 * Frees unused memory at once. Node allocates outside the heap for each read of a socket; left to the collector, this causes a
 * full collection every 50 MB, a third of the work of an upload. A chunk that is only a part of its memory is left alone, since
 * somebody may have the rest.
 */
export const giveBack = ({ buffer, byteLength }: Uint8Array): void => {
  if (buffer instanceof ArrayBuffer && byteLength > 0 && byteLength === buffer.byteLength) buffer.transfer(0)
}
