/**
 * The reserve: a file on the catalog's disk that is removed when no other space is left, so that operations which free space (a
 * deletion, the count of a download, the sweep, a start) can still be written.
 */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { promisify } from "node:util"
import { syncFile } from "./folders.ts"

/** Bytes of the reserve, if the disk has them: a few of the catalog's largest transactions. */
const RESERVE_BYTES = 2 * 1024 * 1024
/** Bytes left free beside it, so that it takes no space from a running write; also the smallest useful reserve. */
const MARGIN_BYTES = 256 * 1024

export const freeBytes = (folder: string): number => {
  const { bavail, bsize } = Fs.statfsSync(folder)
  return bavail * bsize
}

const randomFill = promisify<Buffer, Buffer>(Crypto.randomFill)

export interface Reserve {
  /** Releases the reserve. Returns whether there was any. */
  readonly release: () => boolean
  /** Restores as much of the reserve as the disk has space for. Returns whether there is any now. */
  readonly restore: () => Promise<boolean>
}

export const make = (folder: string): Reserve => {
  const path = Path.join(folder, "reserve")
  const next = `${path}.new`
  return {
    release: () => {
      if (!Fs.existsSync(path)) return false
      Fs.rmSync(path, { force: true })
      return true
    },
    restore: async () => {
      const held = Fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0
      const size = Math.min(RESERVE_BYTES, held + freeBytes(folder) - MARGIN_BYTES)
      if (size < held + MARGIN_BYTES) return held > 0
      for (const old of [path, next]) await Fs.promises.rm(old, { force: true })
      // Random, since some file systems store no blocks for zeros.
      const bytes = await randomFill(Buffer.allocUnsafe(size))
      try {
        const file = await Fs.promises.open(next, "wx", 0o600)
        try {
          await file.writeFile(bytes)
          await syncFile(file)
        } finally {
          await file.close()
        }
        await Fs.promises.rename(next, path)
        return true
      } catch (cause) {
        await Fs.promises.rm(next, { force: true })
        throw cause
      }
    }
  }
}

/** Whether the disk has less space than opening the catalog may need. */
export const isShort = (folder: string): boolean => freeBytes(folder) < MARGIN_BYTES
