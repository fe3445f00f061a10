/** Files and names that survive a power failure. */
import { fsync } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { promisify } from "node:util"

const sync = promisify(fsync)

/** Makes the bytes of a file durable. Not by `FileHandle.sync`, which Yarn's Plug'n'Play replaces by one that throws. */
export const syncFile = (file: Fs.FileHandle): Promise<void> => sync(file.fd)

const isFolder = (path: string): Promise<boolean> => Fs.stat(path).then((info) => info.isDirectory(), () => false)

/**
 * Makes a folder of this user, with those above it, unless it exists. Node's `recursive` never returns where the system says of
 * a new folder in an existing one that it is not found, as in `/proc`.
 */
export const makeFolder = async (path: string): Promise<void> => {
  if (await isFolder(path)) return
  const parent = Path.dirname(path)
  if (parent !== path) await makeFolder(parent)
  try {
    await Fs.mkdir(path, { mode: 0o700 })
  } catch (cause) {
    // Somebody else may make it at the same time.
    if (!await isFolder(path)) throw cause
  }
}

/** Makes the names in a folder durable: added and removed ones. */
export const syncFolder = async (path: string): Promise<void> => {
  const folder = await Fs.open(path, "r")
  try {
    await syncFile(folder)
  } catch (cause) {
    // Windows cannot sync folders.
    if (!(cause instanceof Error && "code" in cause && (cause.code === "EPERM" || cause.code === "EISDIR"))) throw cause
  } finally {
    await folder.close()
  }
}

/**
 * Runs `sync` once for all that ask while it runs: it begins after they asked, so it has their changes too. All of them get its
 * outcome.
 */
export const shared = (sync: () => Promise<void>): () => Promise<void> => {
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  const start = (): Promise<void> => {
    const mine = sync().finally(() => {
      if (running === mine) running = undefined
    })
    return running = mine
  }
  const startNext = (): Promise<void> => {
    next = undefined
    return start()
  }
  return () => next ?? (running === undefined ? start() : next = running.then(startNext, startNext))
}

/** Writes a file that only its owner can read; the name is durable once its folder is synced. */
export const writeDurably = async (path: string, text: string): Promise<void> => {
  const file = await Fs.open(path, "w", 0o600)
  try {
    await file.writeFile(text)
    await syncFile(file)
  } finally {
    await file.close()
  }
}
