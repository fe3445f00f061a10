/** Opens the catalog's database, and holds its reserve for a full disk. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Path from "node:path"
import { CatalogError } from "../../Catalog.ts"
import * as Reserve from "../disk/reserve.ts"
import { NewerSchema } from "./newerSchema.ts"
import * as Sqlite from "./sqlite.ts"
import { attempt } from "./sqliteAttempt.ts"
import { migrate } from "./sqliteMigrations.ts"

/** How often the reserve is restored after it was used. */
const RESTORE_INTERVAL = "10 seconds"

/** Holds the reserve now, and restores it after it was used. */
const holdReserve = (reserve: Reserve.Reserve) => {
  let held = true
  return Effect.tryPromise({ try: reserve.restore, catch: (cause) => new CatalogError({ cause }) }).pipe(
    Effect.uninterruptible,
    Effect.catch((error) =>
      Effect.as(Effect.logWarning("the catalog's reserve could not be created", error.cause), held)
    ),
    Effect.tap((holds) =>
      holds || !held ? Effect.void : Effect.logWarning("the disk of the catalog is full; free some space")
    ),
    Effect.tap((holds) =>
      Effect.sync(() => {
        held = holds
      })
    ),
    Effect.repeat(Schedule.spaced(RESTORE_INTERVAL)),
    Effect.forkScoped
  )
}

/** SQLite's message about a file, by its primary result code. */
const PROBLEMS: Readonly<Record<number, string>> = {
  3: "catalog.sqlite in the data folder cannot be opened; check its permissions",
  8: "catalog.sqlite in the data folder cannot be written; check its permissions",
  11: "catalog.sqlite in the data folder is damaged; restore it from a backup",
  14: "catalog.sqlite in the data folder cannot be opened; check its permissions",
  26: "catalog.sqlite in the data folder is damaged, or no catalog; restore it from a backup"
}

const problemOf = (cause: unknown, folder: string): string => {
  if (Reserve.isShort(folder)) return "its disk is full; free at least 1 MiB and start again"
  if (cause instanceof NewerSchema) return cause.message
  const code = cause instanceof Error && "errcode" in cause ? Number(cause.errcode) & 0xff : undefined
  return PROBLEMS[code ?? 14] ?? `catalog.sqlite in the data folder cannot be used (SQLite's error ${code})`
}

/** Opens the catalog in a data folder, and updates its schema. Closed with the scope. */
export const open = Effect.fnUntraced(function*(folder: string) {
  const path = Path.join(folder, "catalog.sqlite")
  const reserve = Reserve.make(folder)
  const db = yield* Effect.acquireRelease(
    Effect.try({
      try: () => {
        // Opening the catalog and recovering from the last process must work on a full disk.
        if (Reserve.isShort(folder)) reserve.release()
        return Sqlite.openDatabase(path, reserve.release)
      },
      catch: (cause) =>
        new CatalogError({
          cause,
          problem: problemOf(cause, folder)
        })
    }),
    (db) => Effect.sync(() => db.close())
  )
  yield* attempt(() => {
    migrate(db)
    // The log then has pages to overwrite that a full disk cannot refuse.
    db.checkpoint()
  }).pipe(Effect.mapError(({ cause }) => new CatalogError({ cause, problem: problemOf(cause, folder) })))
  yield* holdReserve(reserve)
  return { db, path }
})
