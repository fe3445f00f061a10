/**
 * Writes to a file in large pieces: one write runs while the next bytes are collected. `FolderBlobs` has one for each blob that
 * is being written.
 */
import * as Effect from "effect/Effect"
import type * as Fs from "node:fs/promises"
import { BlobsError } from "../../Blobs.ts"
import { giveBack, type MemoryBudget } from "../shared/memoryBudget.ts"

/** Bytes that justify a write: what a stalled upload keeps in memory. */
const WRITE_BYTES = 16 * 1024
/** The most bytes to collect during a write, if the memory budget allows; then reading waits. */
const HELD_BYTES = 2 * 1024 * 1024

export interface GatheredWrites {
  /** Takes over bytes, with their memory. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, BlobsError>
  /** Writes all bytes that were taken over. */
  readonly flush: Effect.Effect<void, BlobsError>
  /** Drops unwritten bytes, and resolves when no write is running. */
  readonly stop: () => Promise<void>
}

export const attempt = <A>(operation: string, run: () => Promise<A>): Effect.Effect<A, BlobsError> =>
  Effect.tryPromise({ try: run, catch: (cause) => BlobsError.from(operation, cause) })

/** `writev` may write less than requested. */
const writeAll = async (file: Fs.FileHandle, chunks: ReadonlyArray<Uint8Array>, size: number): Promise<void> => {
  const { bytesWritten } = await file.writev(chunks)
  if (bytesWritten === size) return
  let rest: Uint8Array = Buffer.concat(chunks).subarray(bytesWritten)
  while (rest.length > 0) rest = rest.subarray((await file.write(rest)).bytesWritten)
}

export const make = (file: Fs.FileHandle, budget: MemoryBudget): GatheredWrites => {
  let gathered: Array<Uint8Array> = []
  let size = 0
  // Bytes of these that are from the budget.
  let taken = 0
  let running: Promise<void> = Promise.resolve()
  let writing = false

  /** Writes the collected bytes, and then those collected meanwhile if that justifies a write; the write before has ended. */
  const start = (): void => {
    const chunks = gathered
    const bytes = size
    const held = taken
    gathered = []
    size = 0
    taken = 0
    writing = true
    running = writeAll(file, chunks, bytes).finally(() => {
      writing = false
      budget.release(held)
      for (const chunk of chunks) giveBack(chunk)
    }).then(() => {
      if (size >= WRITE_BYTES) start()
    })
    // A later write awaits it; without a listener until then, a failure would end the process.
    running.catch(() => {})
  }

  // Reading continues during a write.
  const next = attempt("write a blob", async () => {
    await running
    if (!writing && size > 0) start()
  })
  const flush = attempt("write a blob", async () => {
    do {
      await running
      if (!writing && size > 0) start()
    } while (writing)
  })

  return {
    flush,
    write: (bytes) => {
      gathered.push(bytes)
      size += bytes.length
      if (size < WRITE_BYTES) return Effect.void
      if (!writing) return next
      if (size >= HELD_BYTES || !budget.tryTake(bytes.length)) return flush
      taken += bytes.length
      return Effect.void
    },
    stop: async () => {
      gathered = []
      size = 0
      budget.release(taken)
      taken = 0
      // A failure here loses nothing: the bytes are not wanted any more, or are complete already.
      await running.catch(() => {})
    }
  }
}
