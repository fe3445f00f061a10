/** File systems for tests: one that can be filled to its last byte, or made read-only. Needs root. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

export const mount = (...args: ReadonlyArray<string>): boolean => spawnSync("mount", [...args]).status === 0

export const canMount = (() => {
  if (process.getuid?.() !== 0) return false
  const folder = Fs.mkdtempSync("/tmp/fileio-server-test-")
  try {
    return mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder) && spawnSync("umount", [folder]).status === 0
  } finally {
    Fs.rmdirSync(folder)
  }
})()

if (!canMount) console.warn("SKIPPED: a disk that is full, and one that is read-only; only root can mount them")

/** A file system of this size in MiB. */
export const disk = (size: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = Fs.mkdtempSync("/tmp/fileio-server-test-")
      assert.isTrue(mount("-t", "tmpfs", "-o", `size=${size}m,mode=0700`, "tmpfs", folder))
      return folder
    }),
    (folder) =>
      Effect.sync(() => {
        spawnSync("umount", ["-l", folder])
        Fs.rmdirSync(folder)
      })
  )

export const freeBytes = (folder: string): number => {
  const { bavail, bsize } = Fs.statfsSync(folder)
  return bavail * bsize
}

/** Takes all free space except `left` bytes, like another program; returns how to free it again. */
export const fill = (folder: string, left = 0): () => void => {
  const filler = Path.join(folder, "filler")
  const file = Fs.openSync(filler, "a")
  try {
    for (const size of [1024 * 1024, 4096, 1]) {
      try {
        while (freeBytes(folder) - left >= size || (left === 0 && size === 1)) Fs.writeSync(file, Buffer.alloc(size))
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== "ENOSPC") throw cause
      }
    }
  } finally {
    Fs.closeSync(file)
  }
  if (left === 0) assert.strictEqual(freeBytes(folder), 0)
  return () => Fs.rmSync(filler)
}
