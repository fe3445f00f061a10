/** Opens the catalog's database for its thread. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Reserve from "../disk/reserve.ts"
import { NewerSchema } from "./newerSchema.ts"
import * as Sqlite from "./sqlite.ts"
import { migrate } from "./sqliteMigrations.ts"
import * as SqliteSpace from "./sqliteSpace.ts"

/** SQLite's message about a file, by its primary result code. */
const PROBLEMS: Readonly<Record<number, string>> = {
  3: "catalog.sqlite in the data folder cannot be opened; check its permissions",
  8: "catalog.sqlite in the data folder cannot be written; check its permissions",
  11: "catalog.sqlite in the data folder is damaged; restore it from a backup",
  14: "catalog.sqlite in the data folder cannot be opened; check its permissions",
  26: "catalog.sqlite in the data folder is damaged, or no catalog; restore it from a backup"
}

/** Why the catalog cannot be opened, and what to do. */
export const problemOf = (cause: unknown, folder: string): string => {
  if (Reserve.isShort(folder)) return "its disk is full; free at least 1 MiB and start again"
  if (cause instanceof NewerSchema) return cause.message
  const code = Sqlite.codeOf(cause)
  return PROBLEMS[code ?? 14] ?? `catalog.sqlite in the data folder cannot be used (SQLite's error ${code})`
}

export const pathOf = (folder: string): string => Path.join(folder, "catalog.sqlite")

/** Whether the catalog in a data folder has files, if there is one. */
export const hasFiles = (folder: string): boolean => {
  if (!Fs.existsSync(pathOf(folder))) return false
  const { close, query } = Sqlite.openReadOnly(pathOf(folder))
  try {
    return query("SELECT 1 FROM sqlite_master WHERE name = 'files'").first() !== undefined &&
      query("SELECT 1 FROM files LIMIT 1").first() !== undefined
  } finally {
    close()
  }
}

/** Opens the catalog in a data folder, and updates its schema. */
export const open = (folder: string, report: (rewrite: SqliteSpace.Rewrite) => void): Sqlite.Database => {
  const reserve = Reserve.make(folder)
  // Opening the catalog and recovering from the last process must work on a full disk.
  if (Reserve.isShort(folder)) reserve.release()
  const db = Sqlite.openDatabase(pathOf(folder), reserve.release)
  try {
    migrate(db)
    SqliteSpace.prepare(db, Reserve.freeBytes(folder), report)
    // The log then has pages to overwrite that a full disk cannot refuse.
    db.checkpoint()
    return db
  } catch (cause) {
    db.close()
    throw cause
  }
}
