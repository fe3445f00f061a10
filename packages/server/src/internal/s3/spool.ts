/**
 * Collects a part of an upload in a file instead of in memory, until it is complete. `s3Writer` has one for each upload.
 */
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { BlobsError } from "../../Blobs.ts"

/** What a stalled upload keeps in memory, in bytes. */
const MEMORY_BYTES = 32 * 1024

export interface Spool {
  /** Bytes since the last `take`. */
  readonly size: () => number
  /** Bytes since the last `take` that are in the file. */
  readonly inFile: () => number
  readonly append: (bytes: Uint8Array) => Promise<void>
  /** All bytes since the last `take`, in order. */
  readonly take: () => Promise<Buffer>
  readonly close: () => Promise<void>
}

/** A problem of the disk is none of the store. */
const onDisk = async <A>(run: () => Promise<A>): Promise<A> => {
  try {
    return await run()
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined
    throw new BlobsError({ operation: "write a blob", cause, ...(code === undefined ? {} : { code }) })
  }
}

/** The file is created when it is needed, and unlinked at once, so that nothing of it stays, whatever happens. */
export const make = (folder: string, name: string): Spool => {
  const path = Path.join(folder, name)
  /** A promise, since an upload may be given up while the file is created; it is closed then too. */
  let opened: Promise<Fs.FileHandle> | undefined
  let closed = false
  let gathered: Array<Uint8Array> = []
  let inMemory = 0
  let inFile = 0

  const open = async (): Promise<Fs.FileHandle> => {
    const file = await Fs.open(path, "wx+", 0o600)
    // Windows keeps the name of an open file.
    await Fs.rm(path, { force: true }).catch(() => {})
    return file
  }

  const append = async (bytes: Uint8Array): Promise<void> => {
    gathered.push(bytes)
    inMemory += bytes.length
    if (inMemory < MEMORY_BYTES) return
    if (!closed) opened ??= open()
    const file = await opened
    // What was gathered is gone, and looking for it would never end.
    if (closed || file === undefined) throw new Error("the upload was given up")
    const chunks = gathered
    const end = inFile + inMemory
    gathered = []
    inMemory = 0
    inFile += (await file.writev(chunks, inFile)).bytesWritten
    if (inFile === end) return
    // It may write less than requested.
    const all = Buffer.concat(chunks)
    while (inFile < end) {
      const rest = end - inFile
      inFile += (await file.write(all, all.length - rest, rest, inFile)).bytesWritten
    }
  }

  const take = async (): Promise<Buffer> => {
    const all = Buffer.allocUnsafe(inFile + inMemory)
    let position = 0
    const file = await opened
    while (position < inFile) {
      const { bytesRead } = await file!.read(all, position, inFile - position, position)
      if (bytesRead === 0) throw new Error("the file of an upload became shorter")
      position += bytesRead
    }
    for (const bytes of gathered) {
      all.set(bytes, position)
      position += bytes.length
    }
    gathered = []
    inMemory = 0
    inFile = 0
    return all
  }

  return {
    size: () => inFile + inMemory,
    inFile: () => inFile,
    append: (bytes) => onDisk(() => append(bytes)),
    take: () => onDisk(take),
    close: async () => {
      closed = true
      gathered = []
      if (opened === undefined) return
      await (await opened).close()
      await Fs.rm(path, { force: true })
    }
  }
}
