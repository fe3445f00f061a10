import { giveBack } from "../shared/memoryBudget.ts"

/** Bytes of a small file that arrive in pieces. */
export interface HeldBytes {
  /** Takes over bytes. They are copied, since a small piece may keep a large chunk of memory. */
  readonly add: (bytes: Uint8Array) => void
  /** All bytes, in memory of exactly their size; then it is empty. */
  readonly take: () => Uint8Array
}

export const make = (): HeldBytes => {
  let memory = new ArrayBuffer(0)
  let size = 0
  return {
    add: (bytes) => {
      const needed = size + bytes.length
      if (needed > memory.byteLength) memory = memory.transfer(Math.max(needed, 2 * size))
      new Uint8Array(memory).set(bytes, size)
      size = needed
      giveBack(bytes)
    },
    take: () => {
      const all = new Uint8Array(memory.transfer(size))
      memory = new ArrayBuffer(0)
      size = 0
      return all
    }
  }
}
