/**
 * An account with very many files, of which some expire at once: how long the catalog takes to start, list, search and sweep, and
 * how long it holds the event loop meanwhile.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { Effect, Exit, Layer, Redacted, Scope } from "effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Catalog } from "../../src/Catalog.ts"
import * as DataFolder from "../../src/DataFolder.ts"
import * as FileListing from "../../src/FileListing.ts"
import { positionOf } from "../../src/internal/sql/listing.ts"
import * as PgCatalog from "../../src/PgCatalog.ts"
import * as SqliteCatalog from "../../src/SqliteCatalog.ts"
import { postgres } from "../engines.ts"

const OWNER = "anna"
const HOUR = 60 * 60 * 1000
const PAGE = 1000

export interface Options {
  readonly engine: "SQLite" | "PostgreSQL"
  readonly files: number
  /** Files that have expired and are not swept yet. */
  readonly expired: number
}

interface Step {
  readonly name: string
  readonly millis: number
  /** Most processor time, in milliseconds, that this thread used without a turn of the event loop. */
  readonly held: number
}

const COLUMNS = `key, id, blob, owner, plan, name, folded_name, title, mime_type, size, expires, downloads,
  max_downloads, auto_delete, created, modified`

/** Fills the account, and returns its files. */
const fillSqlite = (folder: string, { expired, files }: Options, now: number): void => {
  const db = new DatabaseSync(Path.join(folder, "catalog.sqlite"))
  db.exec(`
    PRAGMA synchronous = OFF;
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${files - 1})
    INSERT INTO files (${COLUMNS})
    SELECT printf('key%09d', i), printf('id%d', i), 'blob' || i, '${OWNER}', 'premium', printf('Report %d.pdf', i * 31 % ${files}),
      printf('report %d.pdf', i * 31 % ${files}), 'title ' || i % 100, 'text/plain', 1 + i % 5000,
      CASE WHEN i < ${expired} THEN ${now - 1000} WHEN i % 3 = 0 THEN NULL ELSE ${
    now + HOUR
  } + i END, 0, 1 + i % 5, 1, ${now} + i, i
    FROM n`)
  db.close()
}

const fillPostgres = (url: string, { expired, files }: Options, now: number): void => {
  // The trigger counts each file in a few rows, of which one change may not make a million versions.
  execFileSync("psql", [
    url,
    "-q",
    "-c",
    `ALTER TABLE files DISABLE TRIGGER USER;
    INSERT INTO files (${COLUMNS})
    SELECT 'key' || lpad(i::text, 9, '0'), 'id' || i, 'blob' || i, '${OWNER}', 'premium', 'Report ' || i::bigint * 31 % ${files} || '.pdf',
      'report ' || i::bigint * 31 % ${files} || '.pdf', 'title ' || i % 100, 'text/plain', 1 + i % 5000,
      CASE WHEN i < ${expired} THEN ${now - 1000} WHEN i % 3 = 0 THEN NULL ELSE ${
      now + HOUR
    } + i END, 0, 1 + i % 5, TRUE, ${now} + i, i
    FROM generate_series(0, ${files - 1}) AS i;
    INSERT INTO usage (owner, part, bytes, files) SELECT owner, seq & 15, sum(size), count(*) FROM files GROUP BY 1, 2;
    ALTER TABLE files ENABLE TRIGGER USER`
  ])
  execFileSync("psql", [url, "-q", "-c", "VACUUM ANALYZE"])
}

export const run = (options: Options): Effect.Effect<ReadonlyArray<Step>, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "fileio-large-"))),
      (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true, force: true }))
    )
    const url = options.engine === "SQLite" ? undefined : yield* Effect.flatMap(postgres(), ({ database }) => database)
    const open = Layer.build(
      (url === undefined ? SqliteCatalog.layer({ grace: 1000 }) : PgCatalog.layer({ url, grace: 1000 })).pipe(
        Layer.provide([NodeCrypto.layerSecureRandom, DataFolder.layer(folder)])
      )
    ).pipe(Effect.flatMap((context) => Catalog.pipe(Effect.provide(context))))
    yield* Effect.scoped(open)
    const now = Date.now()
    if (url === undefined) fillSqlite(folder, options, now)
    else fillPostgres(Redacted.value(url), options, now)

    const steps: Array<Step> = []
    const timed = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.gen(function*() {
        // Not the time that passes, in which the machine may do other work.
        let cpu = process.threadCpuUsage()
        let held = 0
        const turn = () => {
          const { system, user } = process.threadCpuUsage(cpu)
          held = Math.max(held, (system + user) / 1000)
          cpu = process.threadCpuUsage()
        }
        const turns = setInterval(turn, 1)
        const began = performance.now()
        const result = yield* effect
        const millis = performance.now() - began
        turn()
        clearInterval(turns)
        steps.push({ name, millis, held })
        return result
      })

    const scope = yield* Scope.make()
    const catalog = yield* timed("start", Scope.provide(open, scope))
    const list = (options: Partial<FileListing.ListOptions>) =>
      catalog.list({ owner: OWNER, sort: "created", descending: true, offset: 0, limit: PAGE, ...options })
    yield* timed("first list", list({}))
    for (const sort of FileListing.SortField.literals) {
      for (const descending of [false, true]) {
        const name = `${descending ? "-" : ""}${sort}`
        const { files } = yield* timed(`list ${name}`, list({ sort, descending }))
        yield* timed(`list ${name}, next page`, list({ sort, descending, after: positionOf(files.at(-1)!, sort) }))
      }
    }
    for (const offset of [options.files / 2, options.files - options.expired - PAGE]) {
      const { files } = yield* timed(`list -created, offset ${offset}`, list({ offset }))
      yield* timed(`list -created, behind it`, list({ after: positionOf(files[0]!, "created") }))
    }
    yield* timed("search that finds few", list({ search: "report 4242" }))
    yield* timed("search that finds all", list({ search: "report" }))
    yield* timed("search that finds nothing", list({ search: "nothing" }))
    yield* timed("storage in use", catalog.usedBytes(OWNER))
    const before = (yield* list({ limit: 1 })).count
    yield* timed("sweep of what expired", catalog.bury)
    const after = yield* timed("list after the sweep", list({}))
    if (after.count !== before || before !== options.files - options.expired) throw new Error("files are missing")
    yield* Scope.close(scope, Exit.void)
    return steps
  })
