/**
 * Gives the space of deleted files back to the disk: SQLite keeps the pages of what was deleted for what is inserted next, so
 * that a disk that small files have filled would stay full for large ones.
 */
import type { Database, Reads } from "./sqlite.ts"

/** Free pages, of 4 KiB each, that stay for the next files: these, or a part of all. */
const KEPT_PAGES = 4 * 1024
const KEPT_PART = 1 / 8
/** A disk with fewer free bytes is nearly full. */
const SHORT_BYTES = 16 * 1024 * 1024
/** Free pages that one change gives back. */
const STEP_PAGES = 256
/** What a database must be given while it is written once more, as a multiple of its size. */
const REWRITE_FACTOR = 3

const INCREMENTAL = 2

/** The rewrite of a database of an earlier version; sizes in bytes. */
export type Rewrite =
  | { readonly _tag: "began"; readonly size: number }
  | { readonly _tag: "done"; readonly size: number; readonly after: number; readonly millis: number }
  | { readonly _tag: "failed"; readonly size: number; readonly millis: number; readonly reason: string }
  | { readonly _tag: "no-space"; readonly size: number; readonly needed: number; readonly free: number }

const pragma = ({ query }: Reads, name: string) => {
  const sql = query(`PRAGMA ${name}`)
  return (): number => Number(Object.values(sql.first()!)[0])
}

/** `freeBytes`: those of the disk. If it is nearly full, no free page is kept. */
export const make = (db: Database, freeBytes: () => number, keptPages = KEPT_PAGES) => {
  const pages = pragma(db, "page_count")
  const freePages = pragma(db, "freelist_count")
  const canShrink = pragma(db, "auto_vacuum")() === INCREMENTAL
  const keptNow = (): number => freeBytes() < SHORT_BYTES ? 0 : Math.max(keptPages, pages() * KEPT_PART)
  return {
    /** Gives some free pages back, if there are too many; returns whether there may be more. */
    shrinkSome: (): boolean => {
      if (!canShrink || freePages() <= keptNow()) return false
      db.exec(`PRAGMA incremental_vacuum(${STEP_PAGES})`)
      return true
    }
  }
}

/**
 * Makes a database of an earlier version able to shrink, if the disk has the space for it. If it fails, such as without a
 * writable folder for temporary files, the database is as before, and the next start tries it again. `report` is called before
 * and after: a large database delays the start by minutes.
 */
export const prepare = (db: Database, free: number, report: (rewrite: Rewrite) => void): void => {
  if (pragma(db, "auto_vacuum")() === INCREMENTAL) return
  const sizeNow = () => pragma(db, "page_count")() * pragma(db, "page_size")()
  const size = sizeNow()
  const needed = REWRITE_FACTOR * size
  if (free < needed) return report({ _tag: "no-space", size, needed, free })
  report({ _tag: "began", size })
  const began = performance.now()
  const millis = () => Math.round(performance.now() - began)
  try {
    db.rewrite()
    report({ _tag: "done", size, after: sizeNow(), millis: millis() })
  } catch (cause) {
    report({ _tag: "failed", size, millis: millis(), reason: cause instanceof Error ? cause.message : String(cause) })
  }
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / (1024 * 1024)).toLocaleString("en")} MiB`
const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

/** A line for the log, and whether it is a warning. */
export const describe = (rewrite: Rewrite): { readonly text: string; readonly warns: boolean } => {
  const size = mebibytes(rewrite.size)
  const kept = "It works as before, but its file does not shrink when files are deleted"
  switch (rewrite._tag) {
    case "began":
      return {
        text: `the catalog of an earlier version (${size}) is written once more, so that it can shrink`,
        warns: false
      }
    case "done":
      return {
        text: `the catalog was written once more in ${seconds(rewrite.millis)}: ${size} before, ${
          mebibytes(rewrite.after)
        } now`,
        warns: false
      }
    case "failed":
      return {
        text: `the catalog (${size}) could not be written once more (after ${
          seconds(rewrite.millis)
        }): ${rewrite.reason}. ${kept}. The next start tries it again`,
        warns: true
      }
    case "no-space":
      return {
        text: `the catalog of an earlier version (${size}) was not written once more: that takes ${
          mebibytes(rewrite.needed)
        } of free disk, and ${mebibytes(rewrite.free)} are free. ${kept}. Free some space and start again`,
        warns: true
      }
  }
}
