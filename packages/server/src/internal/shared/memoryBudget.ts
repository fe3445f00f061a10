/**
 * Bytes of memory that all connections of a server share, for what they could do without: large buffers of downloads, bytes
 * of uploads that are gathered while others are written, and requests that are sent ahead. Who gets none works with a
 * small buffer, writes at once, or is closed; nobody waits for memory, so nobody can hold it up.
 */
import * as Context from "effect/Context"

export interface MemoryBudget {
  /** Takes bytes if there are as many left. */
  readonly tryTake: (bytes: number) => boolean
  /**
   * Takes at most `most` bytes, and less the less there is left: a sixteenth of it, so that there is always some for the
   * next one. Returns how many, 0 where that would be less than `least`.
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

/** The budget of the server; parts that are used without one have no limit. */
export const MemoryBudget = Context.Reference<MemoryBudget>("@effect-fileio/server/internal/MemoryBudget", {
  defaultValue: () => make(Infinity)
})

/**
 * Gives memory back at once that nobody uses any more. Node takes new memory outside of the heap for each read of a socket; left
 * to the collector, it starts a full collection every 50 MB, which is a third of the work of an upload. A chunk that has only a
 * part of its memory is left alone, since somebody may have the rest.
 */
export const giveBack = ({ buffer, byteLength }: Uint8Array): void => {
  if (buffer instanceof ArrayBuffer && byteLength > 0 && byteLength === buffer.byteLength) buffer.transfer(0)
}
