/**
 * What the server knows of its files, in SQLite: one writer, and every change is on the disk before it is answered.
 *
 * A download is a lease: *available → claimed → consumed*.
 * - `claim` takes one of a file's downloads by one conditional statement, so that any number of simultaneous requests
 *   gets exactly as many as are left.
 * - `handOver` says that the last byte is about to go out, and is on the disk before it does: after a crash from there
 *   on the download counts, so that no crash gives a file twice. Its holder, who has all bytes but one, may resume.
 * - `commit` counts it, when the last byte was handed over. The holder may still fetch bytes again for the grace time:
 *   bytes handed to a socket may not have arrived.
 * - `release` gives it back after the grace time, in which only the holder may resume.
 *
 * A file that is used up or deleted leaves a tombstone: its key is a 404 for good and is never given again.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Path from "node:path"
import { DataFolder } from "./DataFolder.ts"
import * as Key from "./internal/key.ts"
import { COLUMNS, escapeLike, fold } from "./internal/listing.ts"
import { migrate } from "./internal/migrations.ts"
import * as Reserve from "./internal/reserve.ts"
import * as Sqlite from "./internal/sqlite.ts"

/**
 * The catalog could not be read or written.
 *
 * @category errors
 * @since 0.1.0
 */
export class CatalogError extends Schema.TaggedError<CatalogError>("@effect-fileio/server/CatalogError")(
  "CatalogError",
  {
    cause: Schema.Defect(),
    /**
     * `unavailable`: it cannot do this now, and nothing was changed. `unknown`: it was to make a change, and whether it has is not
     * known. Without a reason, it refused for good, and nothing was changed.
     */
    reason: Schema.optionalKey(Schema.Literals(["unavailable", "unknown"])),
    /** What is wrong and what to do, where that is known. */
    problem: Schema.optionalKey(Schema.String)
  }
) {
  override get message() {
    return this.reason === "unknown"
      ? "the catalog did not say whether it made a change"
      : `cannot use the catalog${this.problem === undefined ? "" : `: ${this.problem}`}`
  }
}

/**
 * A file. Times are milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileRecord {
  readonly key: string
  readonly id: string
  readonly blob: string
  /** Name of the account; empty for anonymous files. */
  readonly owner: string
  /** Name of the plan that it was uploaded under. */
  readonly plan: string
  readonly name: string
  readonly title: string | null
  readonly mimeType: string
  readonly size: number
  readonly expires: number | null
  readonly downloads: number
  readonly maxDownloads: number | null
  readonly autoDelete: boolean
  readonly created: number
  readonly modified: number
}

/**
 * What is recorded of a file when it comes. Times are milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export interface NewFile {
  readonly blob: string
  readonly owner: string
  readonly plan: string
  readonly name: string
  readonly title: string | null
  readonly mimeType: string
  readonly size: number
  readonly expires: number | null
  readonly maxDownloads: number | null
  readonly autoDelete: boolean
  readonly created: number
}

/**
 * What is to change; an absent field stays. New content makes the file available again: its count of downloads starts
 * over, and leases of the old content end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Changes {
  readonly content?: { readonly blob: string; readonly name: string; readonly mimeType: string; readonly size: number }
  readonly title?: string | null
  readonly expires?: number | null
  readonly maxDownloads?: number | null
  readonly autoDelete?: boolean
}

/**
 * The right to fetch one download of a file.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lease {
  /** Unguessable; whoever knows it holds the lease. */
  readonly id: string
  /** Which transfer of the lease this is; only the newest may release it. */
  readonly generation: number
  readonly blob: string
  readonly name: string
  readonly mimeType: string
  readonly size: number
}

/**
 * Why a file cannot be had.
 *
 * @category models
 * @since 0.1.0
 */
export type Unavailable =
  /** All downloads that are left are under way; `retryAfter` is in milliseconds. */
  | { readonly _tag: "InProgress"; readonly retryAfter: number }
  | { readonly _tag: "Gone" }

/**
 * Whether a file can be had.
 *
 * @category models
 * @since 0.1.0
 */
export type Availability = { readonly _tag: "Available" } | Unavailable

/**
 * A lease on one download, or why there is none.
 *
 * @category models
 * @since 0.1.0
 */
export type Claim = { readonly _tag: "Claimed"; readonly lease: Lease } | Unavailable

/**
 * The fields that a listing can be sorted by.
 *
 * @category models
 * @since 0.1.0
 */
export const SortField = Schema.Literals([
  "id",
  "key",
  "name",
  "title",
  "size",
  "mimeType",
  "expires",
  "downloads",
  "maxDownloads",
  "autoDelete",
  "created",
  "modified"
])

/**
 * @category models
 * @since 0.1.0
 */
export type SortField = typeof SortField.Type

/**
 * Which files of an account are listed, in which order.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListOptions {
  readonly owner: string
  /** Text that the name contains, in any case. */
  readonly search?: string | undefined
  readonly sort: SortField
  readonly descending: boolean
  readonly offset: number
  readonly limit: number
}

/**
 * The files of one page, with the number and the bytes of all that match.
 *
 * @category models
 * @since 0.1.0
 */
export interface Page {
  readonly files: ReadonlyArray<FileRecord>
  readonly count: number
  readonly size: number
}

/**
 * What is known of all files, and who downloads them now.
 *
 * @category services
 * @since 0.1.0
 */
export class Catalog extends Context.Service<Catalog, {
  /** Adds a file under a key that was never given before. */
  readonly insert: (file: NewFile) => Effect.Effect<FileRecord, CatalogError>
  /** A file that can be seen by its owner: not expired or used up, unless it is kept then. */
  readonly get: (key: string) => Effect.Effect<Option.Option<FileRecord>, CatalogError>
  readonly list: (options: ListOptions) => Effect.Effect<Page, CatalogError>
  readonly usedBytes: (owner: string) => Effect.Effect<number, CatalogError>
  /** Fails where the catalog cannot be written. */
  readonly probe: Effect.Effect<void, CatalogError>
  /** All files and their bytes, whoever they belong to. */
  readonly totals: Effect.Effect<{ readonly files: number; readonly bytes: number }, CatalogError>
  readonly update: (
    key: string,
    owner: string,
    changes: Changes
  ) => Effect.Effect<Option.Option<FileRecord>, CatalogError>
  /** Whether there was such a file. */
  readonly remove: (key: string, owner: string) => Effect.Effect<boolean, CatalogError>

  /** What `claim` would say, without claiming. */
  readonly peek: (key: string) => Effect.Effect<Availability, CatalogError>
  readonly claim: (key: string) => Effect.Effect<Claim, CatalogError>
  /** Takes a lease up again, for its holder. */
  readonly resume: (key: string, lease: string) => Effect.Effect<Option.Option<Lease>, CatalogError>
  /** The last byte goes out once this is done: a lease that a crash leaves so is committed by the next start. */
  readonly handOver: (lease: Lease) => Effect.Effect<void, CatalogError>
  readonly commit: (lease: Lease) => Effect.Effect<void, CatalogError>
  readonly release: (lease: Lease) => Effect.Effect<void, CatalogError>

  /** Buries what is expired or used up, and drops leases that ended. */
  readonly bury: Effect.Effect<void, CatalogError>
  /** Blobs that nobody may read any more, in order: at most 1,000 of those after the one named. */
  readonly garbage: (after: string) => Effect.Effect<ReadonlyArray<string>, CatalogError>
  readonly forget: (blobs: ReadonlyArray<string>) => Effect.Effect<void, CatalogError>
  /** Those of these blobs that are neither a file's nor garbage. */
  readonly unknown: (blobs: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, CatalogError>
}>()("@effect-fileio/server/Catalog") {}

/**
 * How the catalog keeps leases.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Milliseconds that the holder of a lease has to resume a transfer that broke. */
  readonly grace: number
}

const toRecord = (row: Sqlite.Row): FileRecord => ({
  key: row["key"] as string,
  id: row["id"] as string,
  blob: row["blob"] as string,
  owner: row["owner"] as string,
  plan: row["plan"] as string,
  name: row["name"] as string,
  title: row["title"] as string | null,
  mimeType: row["mime_type"] as string,
  size: row["size"] as number,
  expires: row["expires"] as number | null,
  downloads: row["downloads"] as number,
  maxDownloads: row["max_downloads"] as number | null,
  autoDelete: row["auto_delete"] === 1,
  created: row["created"] as number,
  modified: row["modified"] as number
})

const toLease = (row: Sqlite.Row): Lease => ({
  id: row["id"] as string,
  generation: row["generation"] as number,
  blob: row["blob"] as string,
  name: row["name"] as string,
  mimeType: row["mime_type"] as string,
  size: row["size"] as number
})

// Nobody can ever ask for an anonymous file that is gone, so it is deleted even where `autoDelete` is false.
// The indexes `files_expiring` and `files_used_up` hold for exactly these words.
const FLEETING = "(auto_delete = 1 OR owner = '')"
const EXPIRED = "expires IS NOT NULL AND expires <= :now"
const USED_UP = "max_downloads IS NOT NULL AND downloads >= max_downloads"
const GONE = `(${FLEETING} AND (${EXPIRED} OR ${USED_UP}))`
/** The same as a set: what is gone but not yet swept is little, so the rest need not be looked at row by row. */
const GONE_OF_OWNER = `(
  SELECT seq FROM files WHERE owner = :owner AND ${FLEETING} AND ${EXPIRED}
  UNION SELECT seq FROM files WHERE owner = :owner AND ${FLEETING} AND ${USED_UP})`
const LIVE_LEASES = `(SELECT count(*) FROM leases WHERE leases.key = files.key AND consumed = 0
  AND (until IS NULL OR until > :now))`
const AVAILABLE = `(expires IS NULL OR expires > :now)
  AND (max_downloads IS NULL OR downloads + ${LIVE_LEASES} < max_downloads)`

/** How often room is kept back again after it was used. */
const RESTORE_INTERVAL = "10 seconds"
/** Files that one transaction buries: few enough for the reserve, and for the requests that wait meanwhile. */
const BURY_FILES = 16

const make = Effect.fnUntraced(function*(options: Options) {
  const { path } = yield* DataFolder
  const random = yield* SecureRandom.SecureRandom
  const { grace } = options

  const attempt = <A>(run: () => A): Effect.Effect<A, CatalogError> =>
    Effect.try({ try: run, catch: (cause) => new CatalogError({ cause }) })

  const reserve = Reserve.make(path)
  const db = yield* Effect.acquireRelease(
    Effect.try({
      try: () => {
        // Opening the catalog and taking up what the last process left must be possible on a full disk.
        if (Reserve.isShort(path)) reserve.release()
        return Sqlite.openDatabase(Path.join(path, "catalog.sqlite"), reserve.release)
      },
      catch: (cause) =>
        new CatalogError({
          cause,
          problem: Reserve.isShort(path)
            ? "its disk is full; free at least 1 MiB and start again"
            : "catalog.sqlite in the data folder cannot be opened; check its permissions"
        })
    }),
    (db) => Effect.sync(() => db.close())
  )
  yield* attempt(() => {
    migrate(db)
    // The log then has pages to write over that a full disk cannot refuse.
    db.checkpoint()
  })
  let held = true
  yield* Effect.tryPromise({ try: reserve.restore, catch: (cause) => new CatalogError({ cause }) }).pipe(
    Effect.uninterruptible,
    Effect.catch((error) =>
      Effect.as(Effect.logWarning("no room could be kept back for the catalog", error.cause), held)
    ),
    Effect.tap((holds) =>
      holds || !held ? Effect.void : Effect.logWarning("the disk of the catalog is full; free some room")
    ),
    Effect.tap((holds) =>
      Effect.sync(() => {
        held = holds
      })
    ),
    Effect.repeat(Schedule.spaced(RESTORE_INTERVAL)),
    Effect.forkScoped
  )
  const { change, query, returning, transaction } = db

  const withNow = <A>(run: (now: number) => A): Effect.Effect<A, CatalogError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => attempt(() => run(now)))

  const sql = yield* attempt(() => ({
    insert: returning(`
      INSERT INTO files (key, id, blob, owner, plan, name, folded_name, title, mime_type, size, expires, downloads,
        max_downloads, auto_delete, created, modified)
      SELECT :key, :id, :blob, :owner, :plan, :name, :foldedName, :title, :mimeType, :size, :expires, 0,
        :maxDownloads, :autoDelete, :created, :created
      WHERE NOT EXISTS (SELECT 1 FROM files WHERE key = :key) AND NOT EXISTS (SELECT 1 FROM tombstones WHERE key = :key)
      RETURNING *`),
    get: query(`SELECT * FROM files WHERE key = :key AND NOT ${GONE}`),
    update: returning(`
      UPDATE files SET blob = :blob, name = :name, folded_name = :foldedName, title = :title, mime_type = :mimeType,
        size = :size, expires = :expires, downloads = :downloads, max_downloads = :maxDownloads,
        auto_delete = :autoDelete, modified = :now
      WHERE key = :key RETURNING *`),
    usedBytes: query("SELECT bytes FROM usage WHERE owner = :owner"),
    totals: query("SELECT coalesce(sum(files), 0) AS files, coalesce(sum(bytes), 0) AS bytes FROM usage"),
    count: query(`
      SELECT coalesce((SELECT files FROM usage WHERE owner = :owner), 0) - count(*) AS count,
        coalesce((SELECT bytes FROM usage WHERE owner = :owner), 0) - coalesce(sum(size), 0) AS size
      FROM files WHERE seq IN ${GONE_OF_OWNER}`),
    probe: change("UPDATE migrations SET version = version WHERE version = 1"),
    countFound: query(`
      SELECT count(*) AS count, coalesce(sum(size), 0) AS size FROM files
      WHERE owner = :owner AND folded_name LIKE :search ESCAPE '\\' AND seq NOT IN ${GONE_OF_OWNER}`),

    available: query(`SELECT 1 FROM files WHERE key = :key AND ${AVAILABLE}`),
    claim: returning(`
      INSERT INTO leases (id, key, generation, blob, name, mime_type, size, expires, consumed, until)
      SELECT :lease, key, 1, blob, name, mime_type, size, expires, 0, NULL FROM files
      WHERE key = :key AND ${AVAILABLE}
      RETURNING *`),
    underWay: query(`
      SELECT count(*) AS count, min(coalesce(until, :now + :grace)) AS until FROM leases JOIN files USING (key)
      WHERE key = :key AND consumed = 0 AND (until IS NULL OR until > :now)
        AND (files.expires IS NULL OR files.expires > :now)`),
    resume: returning(`
      UPDATE leases SET generation = generation + 1, until = CASE consumed WHEN 1 THEN until END
      WHERE id = :lease AND key = :key AND (until IS NULL OR until > :now) AND (expires IS NULL OR expires > :now)
      RETURNING *`),
    handOver: change(`
      UPDATE leases SET handed = 1
      WHERE id = :lease AND generation = :generation AND (consumed = 1 OR until IS NULL)`),
    handedOver: query("SELECT id FROM leases WHERE handed = 1 AND consumed = 0"),
    consume: returning(`
      UPDATE leases SET consumed = 1, until = :now + :grace
      WHERE id = :lease AND (consumed = 0 OR key = '') RETURNING key, blob`),
    countDownload: change("UPDATE files SET downloads = downloads + 1 WHERE key = :key AND blob = :blob"),
    release: change(`
      UPDATE leases SET until = :now + :grace, handed = 0
      WHERE id = :lease AND generation = :generation AND (consumed = 0 OR key = '')`),
    // The content is no longer the file's. A transfer of it may go on to its end, but counts for nothing, and nobody may
    // resume it.
    detachLeases: change("UPDATE leases SET key = '', consumed = 1 WHERE key = :key"),
    endLeases: change("DELETE FROM leases WHERE until IS NOT NULL AND until <= :now"),
    interrupted: change("UPDATE leases SET until = :now + :grace WHERE until IS NULL"),

    deleteRow: returning("DELETE FROM files WHERE key = :key RETURNING blob"),
    bury: change("INSERT OR IGNORE INTO tombstones (key, buried) VALUES (:key, :now)"),
    discard: change("INSERT OR IGNORE INTO garbage (blob, after) VALUES (:blob, :after)"),
    buried: query(`
      SELECT key, 1 AS expired FROM files WHERE ${FLEETING} AND ${EXPIRED}
      UNION ALL
      SELECT key, 0 FROM files WHERE ${FLEETING} AND ${USED_UP} AND (expires IS NULL OR expires > :now)
        AND ${LIVE_LEASES} = 0
      LIMIT :limit`),
    isUsedUp: query(`
      SELECT 1 FROM files WHERE key = :key AND (auto_delete = 1 OR owner = '') AND max_downloads IS NOT NULL
        AND downloads >= max_downloads`),
    garbage: query("SELECT blob FROM garbage WHERE blob > :from AND after <= :now ORDER BY blob LIMIT 1000"),
    forget: change("DELETE FROM garbage WHERE blob = :blob"),
    knows: query(`
      SELECT 1 WHERE EXISTS (SELECT 1 FROM files WHERE blob = :blob) OR EXISTS (SELECT 1 FROM garbage WHERE blob = :blob)`)
  }))

  // One statement for each order and each kind of search, prepared when it is first asked for.
  const pages = new Map<string, Sqlite.Query>()
  const page = ({ descending, search, sort }: ListOptions): Sqlite.Query => {
    const direction = descending ? "DESC" : "ASC"
    const where = search === undefined ? "" : "AND folded_name LIKE :search ESCAPE '\\'"
    const order = `ORDER BY ${COLUMNS[sort]} ${direction}, seq ${direction}`
    // An index has the whole inner query, so what `offset` passes over is never read.
    const text = `SELECT * FROM files WHERE seq IN (
        SELECT seq FROM files WHERE owner = :owner AND seq NOT IN ${GONE_OF_OWNER} ${where}
        ${order} LIMIT :limit OFFSET :offset
      ) ${order}`
    let statement = pages.get(text)
    if (statement === undefined) pages.set(text, statement = query(text))
    return statement
  }

  // Asked for with every piece of an upload and every look at an account, and changed only here: no other process writes
  // in the folder. Forgotten whenever a file comes, goes or changes its size.
  const used = new Map<string, number>()
  const usedBytes = (owner: string): number => {
    let bytes = used.get(owner)
    if (bytes === undefined) used.set(owner, bytes = (sql.usedBytes.first({ owner })?.["bytes"] ?? 0) as number)
    return bytes
  }

  const buryKey = (key: string, now: number, after: number) => {
    const row = sql.deleteRow.first({ key })
    if (row === undefined) return
    used.clear()
    sql.bury.run({ key, now })
    sql.discard.run({ blob: row["blob"] as string, after })
  }

  // What a power cut undoes of this is done again by a later sweep.
  const buryMany = withNow((now) =>
    transaction(() => {
      const ended = sql.buried.all({ now, limit: BURY_FILES })
      for (const { expired, key } of ended) {
        if (expired === 1) sql.detachLeases.run({ key: key as string })
        buryKey(key as string, now, now)
      }
      return ended.length
    }, { durable: false })
  )

  const getRecord = (key: string, now: number): FileRecord | undefined => {
    const row = sql.get.first({ key, now })
    return row === undefined ? undefined : toRecord(row)
  }

  const unavailable = (key: string, now: number): Unavailable => {
    const { count, until } = sql.underWay.first({ key, now, grace })!
    return count === 0 ? { _tag: "Gone" } : { _tag: "InProgress", retryAfter: (until as number) - now }
  }

  const commit = (lease: string, now: number) => {
    const row = sql.consume.first({ lease, now, grace })
    if (row === undefined) return
    const key = row["key"] as string
    sql.countDownload.run({ key, blob: row["blob"] as string })
    if (sql.isUsedUp.first({ key }) !== undefined) buryKey(key, now, now + grace)
  }

  // Whoever was downloading when the last process ended has the grace time to come back.
  yield* withNow((now) =>
    transaction(() => {
      for (const { id } of sql.handedOver.all()) commit(id as string, now)
      sql.interrupted.run({ now, grace })
    })
  )

  const insertUnder = (key: string, id: string, file: NewFile) =>
    attempt(() => {
      used.clear()
      const row = transaction(() =>
        sql.insert.first({
          key,
          id,
          created: file.created,
          blob: file.blob,
          owner: file.owner,
          plan: file.plan,
          name: file.name,
          foldedName: fold(file.name),
          title: file.title,
          mimeType: file.mimeType,
          size: file.size,
          expires: file.expires,
          maxDownloads: file.maxDownloads,
          autoDelete: file.autoDelete ? 1 : 0
        }), { usesReserve: false })
      return row === undefined ? undefined : toRecord(row)
    })

  return Catalog.of({
    insert: Effect.fnUntraced(function*(file) {
      const id = yield* random.uuidV4()
      while (true) {
        const record = yield* insertUnder(yield* Key.make(random), id, file)
        if (record !== undefined) return record
      }
    }),

    get: (key) => withNow((now) => Option.fromUndefinedOr(getRecord(key, now))),

    list: (options) =>
      withNow((now) => {
        const { limit, offset, owner } = options
        const search: Sqlite.Values = options.search === undefined
          ? {}
          : { search: `%${escapeLike(fold(options.search))}%` }
        const files = page(options).all({ owner, now, limit, offset, ...search }).map(toRecord)
        const total = (options.search === undefined ? sql.count : sql.countFound).first({ owner, now, ...search })!
        return { files, count: total["count"] as number, size: total["size"] as number }
      }),

    usedBytes: (owner) => attempt(() => usedBytes(owner)),

    probe: attempt(() => {
      transaction(() => sql.probe.run(), { durable: false, usesReserve: false })
    }),

    totals: attempt(() => {
      const row = sql.totals.first()!
      return { files: row["files"] as number, bytes: row["bytes"] as number }
    }),

    update: (key, owner, changes) =>
      withNow((now) =>
        transaction(() => {
          const old = getRecord(key, now)
          if (old === undefined || old.owner !== owner) return Option.none()
          const { content } = changes
          const next = { ...old, ...changes, ...content }
          if (content !== undefined) {
            used.clear()
            sql.detachLeases.run({ key })
            sql.discard.run({ blob: old.blob, after: now })
          }
          const row = sql.update.first({
            key,
            now,
            blob: next.blob,
            name: next.name,
            foldedName: fold(next.name),
            title: next.title,
            mimeType: next.mimeType,
            size: next.size,
            expires: next.expires,
            downloads: content === undefined ? old.downloads : 0,
            maxDownloads: next.maxDownloads,
            autoDelete: next.autoDelete ? 1 : 0
          })!
          return Option.some(toRecord(row))
        }, { usesReserve: changes.content === undefined })
      ),

    remove: (key, owner) =>
      withNow((now) =>
        transaction(() => {
          if (getRecord(key, now)?.owner !== owner) return false
          sql.detachLeases.run({ key })
          buryKey(key, now, now)
          return true
        })
      ),

    peek: (key) =>
      withNow((now) => sql.available.first({ key, now }) === undefined ? unavailable(key, now) : { _tag: "Available" }),

    claim: Effect.fnUntraced(function*(key) {
      const id = Buffer.from(yield* random.randomBytes(24)).toString("base64url")
      return yield* withNow((now): Claim => {
        // A claim that a power cut undoes has given no last byte: `handOver` would have made it durable.
        const row = transaction(() => sql.claim.first({ key, now, lease: id }), { durable: false })
        return row === undefined ? unavailable(key, now) : { _tag: "Claimed", lease: toLease(row) }
      })
    }),

    resume: (key, lease) =>
      withNow((now) => {
        const row = transaction(() => sql.resume.first({ key, lease, now }))
        return row === undefined ? Option.none() : Option.some(toLease(row))
      }),

    handOver: (lease) =>
      attempt(() => {
        const changed = transaction(() => sql.handOver.run({ lease: lease.id, generation: lease.generation }))
        if (changed === 0) throw new Error("the lease has ended before the last byte was sent")
      }),

    // `handOver` is durable, so this need not be.
    commit: (lease) => withNow((now) => transaction(() => commit(lease.id, now), { durable: false })),

    release: (lease) =>
      withNow((now) => {
        transaction(() => sql.release.run({ lease: lease.id, generation: lease.generation, now, grace }))
      }),

    bury: Effect.gen(function*() {
      yield* withNow((now) => transaction(() => sql.endLeases.run({ now }), { durable: false }))
      while ((yield* buryMany) === BURY_FILES) yield* Effect.yieldNow
    }),

    garbage: (from) => withNow((now) => sql.garbage.all({ from, now }).map((row) => row["blob"] as string)),

    // The bytes are gone; where a power cut undoes this, they are removed once more.
    forget: (blobs) =>
      attempt(() =>
        transaction(() => {
          for (const blob of blobs) sql.forget.run({ blob })
        }, { durable: false })
      ),

    unknown: (blobs) => attempt(() => blobs.filter((blob) => sql.knows.first({ blob }) === undefined))
  })
})

/**
 * A catalog in the data folder.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Catalog, CatalogError, DataFolder | SecureRandom.SecureRandom> =>
  Layer.effect(Catalog, make(options))
