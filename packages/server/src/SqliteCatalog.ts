/**
 * The catalog in SQLite, in the data folder: one writer, and every change is on the disk before it is answered, unless a power cut
 * may undo it. The leases are in `internal/sql/sqliteLeases.ts`.
 *
 * @since 0.1.0
 */
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Path from "node:path"
import {
  Catalog,
  CatalogError,
  type Claim,
  type FileRecord,
  type Lease,
  LeaseEnded,
  type NewFile,
  type Options,
  type Unavailable
} from "./Catalog.ts"
import { DataFolder } from "./DataFolder.ts"
import * as Reserve from "./internal/disk/reserve.ts"
import * as Key from "./internal/shared/key.ts"
import * as Machine from "./internal/sql/lease.ts"
import { fold } from "./internal/sql/listing.ts"
import * as Sqlite from "./internal/sql/sqlite.ts"
import * as SqliteBlobs from "./internal/sql/sqliteBlobs.ts"
import * as SqliteLeases from "./internal/sql/sqliteLeases.ts"
import { EXPIRED, FLEETING, GONE, statements, USED_UP } from "./internal/sql/sqliteLists.ts"
import { migrate } from "./internal/sql/sqliteMigrations.ts"
import * as SqliteReader from "./internal/sql/sqliteReader.ts"
import { defaults } from "./ServerOptions.ts"

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
  attempts: row["attempts"] as number,
  lastAttempt: row["last_attempt"] as number | null,
  countFrom: row["count_from"] as FileSettings.CountFrom,
  autoDelete: row["auto_delete"] === 1,
  created: row["created"] as number,
  modified: row["modified"] as number
})

const toLease = ({ blob, generation, id, key, mimeType, name, phase, size }: SqliteLeases.Held): Lease => ({
  id,
  key,
  generation,
  counted: phase === "counted",
  blob,
  name,
  mimeType,
  size
})

/** A file is not buried while somebody downloads it. */
const NOBODY_DOWNLOADS = "NOT EXISTS (SELECT 1 FROM leases WHERE leases.key = KEY AND phase <> 'counted')"

/** How often room is kept back again after it was used. */
const RESTORE_INTERVAL = "10 seconds"
/** Files that one transaction buries: few enough for the reserve, and for the requests that wait meanwhile. */
const BURY_FILES = 16

const fileStatements = ({ change, query, returning }: Sqlite.Database) => ({
  insert: returning(`
    INSERT INTO files (key, id, blob, owner, plan, name, folded_name, title, mime_type, size, expires, downloads,
      max_downloads, count_from, auto_delete, created, modified)
    SELECT :key, :id, :blob, :owner, :plan, :name, :foldedName, :title, :mimeType, :size, :expires, 0,
      :maxDownloads, :countFrom, :autoDelete, :created, :created
    WHERE NOT EXISTS (SELECT 1 FROM files WHERE key = :key) AND NOT EXISTS (SELECT 1 FROM tombstones WHERE key = :key)
    RETURNING *`),
  get: query(`SELECT * FROM files WHERE key = :key AND NOT ${GONE}`),
  update: returning(`
    UPDATE files SET blob = :blob, name = :name, folded_name = :foldedName, title = :title, mime_type = :mimeType,
      size = :size, expires = :expires, downloads = :downloads, attempts = :attempts,
      last_attempt = :lastAttempt, max_downloads = :maxDownloads, count_from = :countFrom, auto_delete = :autoDelete,
      modified = :now
    WHERE key = :key RETURNING *`),
  usedBytes: query("SELECT bytes FROM usage WHERE owner = :owner"),
  totals: query("SELECT coalesce(sum(files), 0) AS files, coalesce(sum(bytes), 0) AS bytes FROM usage"),
  probe: change("UPDATE migrations SET version = version WHERE version = 1"),

  inTime: query("SELECT * FROM files WHERE key = :key AND (expires IS NULL OR expires > :now)"),
  begin: change("UPDATE files SET attempts = attempts + 1, last_attempt = :now WHERE key = :key"),
  countDownload: change("UPDATE files SET downloads = downloads + 1 WHERE key = :key AND blob = :blob"),

  deleteRow: returning("DELETE FROM files WHERE key = :key RETURNING blob"),
  bury: change("INSERT OR IGNORE INTO tombstones (key, buried) VALUES (:key, :now)"),
  endTombstones: change(`
    DELETE FROM tombstones WHERE key IN (SELECT key FROM tombstones WHERE buried <= :before LIMIT ${Key.END_TOMBSTONES})`),
  buried: query(`
    SELECT key FROM files WHERE ${FLEETING} AND ${EXPIRED} AND ${NOBODY_DOWNLOADS.replace("KEY", "files.key")}
    UNION ALL
    SELECT key FROM files WHERE ${FLEETING} AND ${USED_UP} AND ${NOBODY_DOWNLOADS.replace("KEY", "files.key")}
    LIMIT :limit`),
  isUsedUp: query(`
    SELECT 1 FROM files WHERE key = :key AND ${FLEETING} AND ${USED_UP} AND ${NOBODY_DOWNLOADS.replace("KEY", ":key")}`)
})

const make = Effect.fnUntraced(function*(options: Options) {
  const { path } = yield* DataFolder
  const random = yield* SecureRandom.SecureRandom
  const terms = Machine.termsOf(options)
  const maxBroken = options.maxBrokenDownloads ?? defaults.maxBrokenDownloads

  const attempt = <A>(run: () => A): Effect.Effect<A, CatalogError> =>
    Effect.try({
      try: run,
      catch: (cause) =>
        new CatalogError({ cause, ...(cause instanceof Sqlite.UnknownOutcome ? { reason: "unknown" } : {}) })
    })

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
  const { transaction } = db

  const reader = yield* SqliteReader.make(Path.join(path, "catalog.sqlite"))

  const withNow = <A>(run: (now: number) => A): Effect.Effect<A, CatalogError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => attempt(() => run(now)))

  const sql = yield* attempt(() => fileStatements(db))

  const blobs = yield* attempt(() => SqliteBlobs.make(db, attempt))

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
    blobs.discard(row["blob"] as string, after)
  }

  const getRecord = (key: string, now: number): FileRecord | undefined => {
    const row = sql.get.first({ key, now })
    return row === undefined ? undefined : toRecord(row)
  }

  const leases = yield* attempt(() =>
    SqliteLeases.make(db, terms, (key, blob, now, after) => {
      if (sql.countDownload.run({ key, blob }) > 0 && sql.isUsedUp.first({ key }) !== undefined) {
        buryKey(key, now, after)
      }
    })
  )

  // What a power cut undoes of these is done again by a later sweep.
  const settleMany = withNow((now) => transaction(() => leases.settleSome(now, BURY_FILES), { durable: false }))
  const endTombstones = withNow((now) =>
    transaction(() => sql.endTombstones.run({ before: now - Key.TOMBSTONE_MILLIS }), { durable: false })
  )
  const buryMany = withNow((now) =>
    transaction(() => {
      const ended = sql.buried.all({ now, limit: BURY_FILES })
      for (const { key } of ended) buryKey(key as string, now, now)
      return ended.length
    }, { durable: false })
  )

  // The receivers of downloads that the last process did not end have the grace time to come back.
  yield* withNow((now) =>
    transaction(() => {
      leases.interrupt(now)
      blobs.abandon(now)
    })
  )

  /** A file of which a download is left, with how many of its downloads broke without being counted; or why there is none. */
  const available = (
    key: string,
    now: number
  ): { readonly file: FileRecord; readonly broken: number } | Unavailable => {
    const row = sql.inTime.first({ key, now })
    if (row === undefined) return { _tag: "Gone" }
    const file = toRecord(row)
    const { live, taken } = leases.takenOf(key, now)
    if (file.maxDownloads === null || file.downloads + taken < file.maxDownloads) {
      return { file, broken: file.attempts - file.downloads - live }
    }
    const freeAt = leases.freeAt(key, now)
    return freeAt === undefined ? { _tag: "Gone" } : { _tag: "InProgress", retryAfter: freeAt - now }
  }

  const insertUnder = (key: string, id: string, file: NewFile) =>
    attempt(() => {
      used.clear()
      const row = transaction(() => {
        blobs.arrived(file.blob)
        return sql.insert.first({
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
          countFrom: file.countFrom ?? "last-byte",
          autoDelete: file.autoDelete ? 1 : 0
        })
      }, { usesReserve: false })
      return row === undefined ? undefined : toRecord(row)
    })

  return Catalog.of({
    where: `SQLite in ${Path.join(path, "catalog.sqlite")}`,

    insert: Effect.fnUntraced(function*(file) {
      const id = yield* random.uuidV4()
      while (true) {
        const record = yield* insertUnder(yield* Key.make(random), id, file)
        if (record !== undefined) return record
      }
    }),

    get: (key) => withNow((now) => Option.fromUndefinedOr(getRecord(key, now))),

    list: (options) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => reader.read(statements(options, now))).pipe(
        Effect.map(([rows, totals]) => {
          const { count, size } = totals![0]!
          return { files: rows!.map(toRecord), count: count as number, size: size as number }
        }),
        Effect.mapError(({ cause, unavailable }) =>
          new CatalogError({ cause, ...(unavailable ? { reason: "unavailable" } : {}) })
        )
      ),

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
          leases.settleOf(key, now)
          const old = getRecord(key, now)
          if (old === undefined || old.owner !== owner) return Option.none()
          const { content } = changes
          const next = { ...old, ...changes, ...content }
          if (content !== undefined) {
            used.clear()
            leases.detach(key)
            blobs.discard(old.blob, now)
            blobs.arrived(content.blob)
          } else leases.expire(key, next.expires)
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
            attempts: content === undefined ? old.attempts : 0,
            lastAttempt: content === undefined ? old.lastAttempt : null,
            maxDownloads: next.maxDownloads,
            countFrom: next.countFrom,
            autoDelete: next.autoDelete ? 1 : 0
          })!
          return Option.some(toRecord(row))
        }, { usesReserve: changes.content === undefined })
      ),

    remove: (key, owner) =>
      withNow((now) =>
        transaction(() => {
          leases.settleOf(key, now)
          if (getRecord(key, now)?.owner !== owner) return false
          leases.drop(key)
          buryKey(key, now, now)
          return true
        })
      ),

    peek: (key) =>
      withNow((now) => {
        const found = available(key, now)
        return "_tag" in found ? found : { _tag: "Available" }
      }),

    claim: Effect.fnUntraced(function*(key, given) {
      const other = Buffer.from(yield* random.randomBytes(24)).toString("base64url")
      return yield* withNow((now): Claim => {
        const found = available(key, now)
        if ("_tag" in found) return found
        const { broken, file } = found
        const countsFirst = file.countFrom === "first-byte" || broken >= maxBroken
        const claim = () => {
          // From here on no lease of the file that has ended can come to life again, whatever the clock does.
          leases.settleOf(key, now)
          sql.begin.run({ key, now })
          const id = given === undefined || leases.has(given) ? other : given
          return leases.claim({ ...file, id, countsFirst }, now)
        }
        // A claim that a power cut undoes has given no last byte: `handOver` would have made it durable.
        return { _tag: "Claimed", lease: toLease(transaction(claim, { durable: countsFirst })) }
      })
    }),

    // A power cut ends all transfers, so it may undo which is the newest.
    resume: (key, id) =>
      withNow((now) => {
        const lease = transaction(() => leases.resume(id, key, now), { durable: false })
        return Option.map(Option.fromUndefinedOr(lease), toLease)
      }),

    handOver: (lease) =>
      lease.counted ? Effect.void : Effect.flatMap(
        withNow((now) => transaction(() => leases.handOver(lease.id, lease.generation, now))),
        (isNewest) => isNewest ? Effect.void : Effect.fail(new LeaseEnded())
      ),

    // `handOver` is durable, so this need not be.
    commit: (lease) => withNow((now) => transaction(() => leases.commit(lease.id, now), { durable: false })),

    abandon: (lease) => withNow((now) => transaction(() => leases.abandon(lease.id, lease.generation, now))),

    // The next start would release it as well.
    release: (lease) =>
      withNow((now) => transaction(() => leases.release(lease.id, lease.generation, now), { durable: false })),

    bury: Effect.gen(function*() {
      while ((yield* settleMany) === BURY_FILES) yield* Effect.yieldNow
      while ((yield* buryMany) === BURY_FILES) yield* Effect.yieldNow
      yield* endTombstones
    }),

    ...blobs.stores
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
