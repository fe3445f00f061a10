/** Files and names that survive a power failure. */
import * as Fs from "node:fs/promises"

/** Makes the names in a folder durable: added and removed ones. */
export const syncFolder = async (path: string): Promise<void> => {
  const folder = await Fs.open(path, "r")
  try {
    await folder.sync()
  } catch (cause) {
    // Windows cannot sync folders.
    if (!(cause instanceof Error && "code" in cause && (cause.code === "EPERM" || cause.code === "EISDIR"))) throw cause
  } finally {
    await folder.close()
  }
}

/** Writes a file that only its owner can read; the name is durable once its folder is synced. */
export const writeDurably = async (path: string, text: string): Promise<void> => {
  const file = await Fs.open(path, "w", 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}
