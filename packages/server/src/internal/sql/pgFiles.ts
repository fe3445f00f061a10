/** The files of the catalog in PostgreSQL: single statements, and changes made of several. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CatalogError, type Changes, type Completion, type FileRecord, type NewFile } from "../../Catalog.ts"
import type { ListOptions } from "../../FileListing.ts"
import * as Key from "../shared/key.ts"
import * as Listing from "./listing.ts"
import * as PgLeases from "./pgLeases.ts"
import type { Prepared, Run } from "./pgPrepare.ts"
import type * as PgUploads from "./pgUploads.ts"
import * as Postgres from "./postgres.ts"
import * as Rows from "./rows.ts"
import { EXPIRED, FATE, IN_TIME, USED_UP } from "./rows.ts"

const FLEETING = "(auto_delete OR owner = '')"
const GONE = `(${FLEETING} AND (${EXPIRED} OR ${USED_UP}))`
const BURY = `INSERT INTO tombstones (key, buried, delete_hash, fate)
  SELECT key, :now, delete_hash, fate FROM dead ON CONFLICT DO NOTHING`
/** `fate`: what became of the files. `after`: when the bytes may be removed. */
const buryWhere = (condition: string, fate: string, after = ":now") => `
  WITH dead AS (DELETE FROM files WHERE ${condition} RETURNING key, blob, delete_hash, ${fate} AS fate),
    buried AS (${BURY})
  INSERT INTO garbage (blob, after) SELECT blob, ${after} FROM dead ON CONFLICT DO NOTHING`

/**
 * Files per statement of the sweep: few, since uploads of an account wait while its storage is counted. Several servers remove
 * different ones.
 */
const BURY_FILES = 200
const burySome = (condition: string) => `
  WITH dead AS (
    DELETE FROM files WHERE seq IN (
      SELECT seq FROM files WHERE ${condition} LIMIT ${BURY_FILES} FOR UPDATE SKIP LOCKED
    ) RETURNING key, blob, delete_hash, ${FATE} AS fate
  ), buried AS (${BURY}),
    discarded AS (INSERT INTO garbage (blob, after) SELECT blob, :now FROM dead ON CONFLICT DO NOTHING)
  SELECT count(*) AS buried FROM dead`

/** The bytes are there: a sweep does not list them before a change that finds this is done. */
const EXPECTED = `after > :now + ${Rows.EXPECTED_END_MILLIS}`

/** The statements about files. `grace` is in milliseconds. */
export const statements = ({ change, listed, prepare, relaxed }: Prepared, grace: number) => ({
  insert: change<keyof ReturnType<typeof Rows.toInsert> | "isExpected">(`
    WITH inserted AS (INSERT INTO files (key, id, blob, owner, plan, name, folded_name, title, mime_type, size, expires, downloads,
      max_downloads, count_from, auto_delete, created, modified, delete_hash)
    SELECT :key::text, :id::text, :blob::text, :owner::text, :plan::text, :name::text, :foldedName::text, :title::text,
      :mimeType::text, :size::bigint, :expires::bigint, 0, :maxDownloads::bigint, :countFrom::text,
      :autoDelete::boolean, :created::bigint, :created::bigint, :deleteHash::text
    WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE key = :key::text)
      AND (NOT :isExpected::boolean OR EXISTS (SELECT 1 FROM garbage WHERE blob = :blob::text AND ${EXPECTED}))
    ON CONFLICT (key) DO NOTHING RETURNING *),
    arrived AS (DELETE FROM garbage WHERE blob IN (SELECT blob FROM inserted))
    SELECT * FROM inserted`),
  inserted: prepare<"key" | "blob">("SELECT * FROM files WHERE key = :key AND blob = :blob"),
  get: prepare<"key">(`SELECT * FROM files WHERE key = :key AND NOT ${GONE}`),
  lock: prepare<"key" | "owner">(
    `SELECT * FROM files WHERE key = :key AND owner = :owner AND NOT ${GONE} FOR UPDATE`
  ),
  update: prepare<keyof ReturnType<typeof Rows.toUpdate>>(`
    UPDATE files SET blob = :blob, name = :name, folded_name = :foldedName, title = :title::text,
      mime_type = :mimeType, size = :size, expires = :expires::bigint,
      downloads = CASE WHEN :replaced::boolean THEN 0 ELSE downloads END,
      live = CASE WHEN :replaced::boolean THEN 0 ELSE live END,
      attempts = CASE WHEN :replaced::boolean THEN 0 ELSE attempts END,
      last_attempt = CASE WHEN :replaced::boolean THEN NULL ELSE last_attempt END,
      max_downloads = :maxDownloads::bigint, count_from = :countFrom, auto_delete = :autoDelete, modified = :now
    WHERE key = :key RETURNING *`),
  // Its files, and what unfinished uploads have sent.
  usedBytes: prepare<"owner">(`
    SELECT ((SELECT coalesce(sum(bytes), 0) FROM usage WHERE owner = :owner) +
      (SELECT coalesce(sum(received), 0) FROM uploads WHERE owner = :owner))::bigint AS bytes`),
  totals: prepare(
    "SELECT coalesce(sum(files), 0)::bigint AS files, coalesce(sum(bytes), 0)::bigint AS bytes FROM usage"
  ),
  probe: relaxed("UPDATE migrations SET version = version WHERE version = 1"),
  count: listed<"owner">(`
    WITH used AS (SELECT coalesce(sum(files), 0) AS files, coalesce(sum(bytes), 0) AS bytes FROM usage WHERE owner = :owner),
      gone AS (SELECT count(*) AS files, coalesce(sum(size), 0) AS bytes FROM files WHERE owner = :owner AND ${GONE})
    SELECT (used.files - gone.files)::bigint AS count, (used.bytes - gone.bytes)::bigint AS size FROM used, gone`),
  countFound: listed<"owner" | "search">(`
    SELECT count(*) AS count, coalesce(sum(size), 0)::bigint AS size FROM files
    WHERE owner = :owner AND NOT ${GONE} AND strpos(folded_name, :search) > 0`),

  available: prepare<"key">(`
    SELECT 1 AS available FROM files
    WHERE key = :key AND ${IN_TIME} AND (max_downloads IS NULL OR downloads + ${PgLeases.TAKEN} < max_downloads)`),

  remove: change<"key" | "owner">(
    buryWhere(`key = :key AND owner = :owner AND NOT ${GONE}`, "'deleted'") + " RETURNING blob"
  ),
  tombstone: prepare<"key">(`
    SELECT delete_hash, fate FROM tombstones WHERE key = :key
    UNION ALL
    SELECT delete_hash, ${FATE} AS fate FROM files WHERE key = :key AND ${GONE}`),
  isDeleted: prepare<"key">("SELECT 1 FROM tombstones WHERE key = :key AND fate = 'deleted'"),
  // A file is not removed during a download. The last receiver may resume for the grace time, so the bytes stay as long.
  buryUsedUp: relaxed<"key">(
    buryWhere(`key = :key AND ${FLEETING} AND ${USED_UP} AND live = 0`, FATE, `:now + ${grace}`)
  ),
  // A later sweep repeats what a crash of the database undoes.
  buryExpired: relaxed(burySome(`${FLEETING} AND ${EXPIRED} AND live = 0`)),
  buryEnded: relaxed(burySome(`${FLEETING} AND ${USED_UP} AND live = 0`)),
  endTombstones: relaxed(`
    DELETE FROM tombstones WHERE key IN (
      SELECT key FROM tombstones WHERE buried <= :now - ${Key.TOMBSTONE_MILLIS} LIMIT ${Key.END_TOMBSTONES} FOR UPDATE SKIP LOCKED
    )`),
  arrived: prepare<"blob" | "isExpected">(`
    DELETE FROM garbage WHERE blob = :blob AND (NOT :isExpected::boolean OR ${EXPECTED}) RETURNING blob`),
  expected: prepare<"blob">(`SELECT 1 FROM garbage WHERE blob = :blob AND ${EXPECTED}`),
  discard: prepare<"blob">("INSERT INTO garbage (blob, after) VALUES (:blob, :now) ON CONFLICT DO NOTHING")
})

type Statements = ReturnType<typeof statements>

export const first = (rows: ReadonlyArray<Rows.Row>): Option.Option<FileRecord> =>
  Option.map(Option.fromUndefinedOr(rows[0]), Rows.toRecord)

/** A repeated change was made before, and what it made is gone or has other content now. */
const madeBefore = () => new CatalogError({ cause: new Postgres.MadeBefore(), reason: "unknown" })
const late = () => new CatalogError({ cause: new Rows.ArrivedLate(), reason: "unavailable" })

/** A page of a listing; each order has its own statement. */
const pages = ({ listed }: Prepared) => {
  const prepared = new Map<string, Run<string>>()
  return (options: ListOptions) => {
    const { after, limit, offset, owner, search } = options
    const where = `owner = :owner AND NOT ${GONE}${search === undefined ? "" : " AND strpos(folded_name, :search) > 0"}`
    const rows = (condition: string) =>
      `SELECT * FROM files WHERE ${where} ${condition} ${Listing.orderOf(options)} LIMIT :limit`
    const text = after === undefined ? `${rows("")} OFFSET :offset` : Listing.pageAfter({ ...options, after }, rows)
    let run = prepared.get(text)
    if (run === undefined) prepared.set(text, run = listed<string>(text))
    const values = after === undefined ? { offset } : Listing.valuesAfter(after)
    return run({ ...values, owner, limit, search: search === undefined ? "" : Rows.fold(search) })
  }
}

/** `deadline` is how long a change is repeated while its outcome is unknown. */
export const make = (
  prepared: Prepared,
  sql: Statements,
  leases: PgLeases.PgLeases,
  uploads: PgUploads.PgUploads,
  durable: Postgres.Postgres,
  deadline: Duration.Duration
) => {
  const page = pages(prepared)

  const update = Effect.fnUntraced(function*(key: string, owner: string, changes: Changes, again: boolean) {
    const { content } = changes
    const before = first(yield* sql.get({ key }))
    if (Option.isNone(before) || before.value.owner !== owner) {
      return again && content !== undefined ? yield* madeBefore() : Option.none()
    }
    if (content !== undefined) yield* leases.detach(key, content.blob)
    else if (changes.expires !== undefined) yield* leases.expire(key, changes.expires)
    const locked = first(yield* sql.lock({ key, owner }))
    // This change was made before, and the response was lost.
    if (Option.isNone(locked) || locked.value.blob === content?.blob) return locked
    if (content !== undefined) {
      const { blob, isExpected = false } = content
      const arrived = yield* sql.arrived({ blob, isExpected })
      if (isExpected && arrived.length === 0) return yield* again ? madeBefore() : late()
      yield* sql.discard({ blob: locked.value.blob })
    }
    return first(yield* sql.update(Rows.toUpdate(locked.value, changes)))
  })

  return {
    /** Nothing if the key is taken. */
    insert: (key: string, id: string, file: NewFile, completes?: Completion) => {
      const insert = Effect.fnUntraced(function*(again: boolean) {
        const values = { ...Rows.toInsert(key, id, file), isExpected: file.isExpected ?? false }
        const inserted = first(yield* sql.insert(values))
        if (Option.isSome(inserted)) return inserted
        if (again) {
          const before = first(yield* sql.inserted({ key, blob: file.blob }))
          return Option.isSome(before) ? before : yield* madeBefore()
        }
        const isLate = file.isExpected === true && (yield* sql.expected({ blob: file.blob })).length === 0
        return isLate ? yield* late() : inserted
      })
      return Postgres.decided(
        completes === undefined
          ? insert
          : () => durable.transaction(uploads.completing(completes, insert(false))),
        deadline
      )
    },

    list: Effect.fnUntraced(function*(options: ListOptions) {
      const { owner, search } = options
      const [rows, [total]] = yield* Effect.all([
        page(options),
        search === undefined ? sql.count({ owner }) : sql.countFound({ owner, search: Rows.fold(search) })
      ], { concurrency: 2 })
      return { files: rows.map(Listing.toListed), count: Number(total!["count"]), size: Number(total!["size"]) }
    }),

    update: (key: string, owner: string, changes: Changes, completes?: Completion) => {
      const change = (again: boolean) =>
        completes === undefined
          ? update(key, owner, changes, again)
          : uploads.completing(completes, update(key, owner, changes, false))
      return Effect.andThen(
        leases.settleOf(key),
        Postgres.decided((again) => durable.transaction(change(again)), deadline)
      )
    },

    remove: Effect.fnUntraced(function*(key: string, owner: string) {
      yield* leases.settleOf(key)
      const remove = Effect.fnUntraced(function*(again: boolean) {
        const removed = (yield* sql.remove({ key, owner })).length > 0
        return removed || (again && (yield* sql.isDeleted({ key })).length > 0)
      })
      if (!(yield* Postgres.decided(remove, deadline))) return false
      yield* leases.drop(key)
      return true
    }),

    bury: Effect.gen(function*() {
      yield* leases.settleAll
      for (const bury of [sql.buryExpired, sql.buryEnded]) {
        while (Number((yield* bury({}))[0]!["buried"]) === BURY_FILES) yield* Effect.yieldNow
      }
      yield* sql.endTombstones({})
    })
  }
}
