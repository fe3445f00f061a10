/**
 * The catalog in PostgreSQL, for several servers over one set of files. It keeps the promises of `Catalog`, and this one:
 * what one server claims, no other gives.
 *
 * - A claim is one conditional statement: it counts up the downloads under way in the file's own row, where there are any
 *   left. PostgreSQL re-reads a row that another claim has changed, so simultaneous claims get exactly as many as are left.
 * - A lease ends by itself. The server that holds it prolongs it all the time; when the server dies, others take the
 *   download over after the grace time, at least 5 seconds.
 * - `handOver` is the fence: a server that was cut off for so long that its lease has ended cannot give the last byte.
 *
 * This module needs the packages `@effect/sql-pg` and PostgreSQL 13 or newer; nothing else loads it. The servers' clocks
 * must agree to well below the grace time, as any time service sees to.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import {
  Catalog,
  CatalogError,
  type Claim,
  type FileRecord,
  type Lease,
  type ListOptions,
  type Unavailable
} from "./Catalog.ts"
import * as Key from "./internal/key.ts"
import { COLUMNS, escapeLike, fold } from "./internal/listing.ts"
import { MIGRATIONS } from "./internal/pgMigrations.ts"
import * as Postgres from "./internal/postgres.ts"

/**
 * Where PostgreSQL is, and how the catalog keeps leases.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Such as `postgresql://user:password@host/database`. */
  readonly url: Redacted.Redacted
  /** Milliseconds that the holder of a lease has to resume a transfer that broke. */
  readonly grace: number
  /** Most connections to the database; each takes many statements at a time. @default 8 */
  readonly maxConnections?: number | undefined
  /** How long a call may take before it fails and its connection is closed. @default 10 seconds */
  readonly timeout?: Duration.Input | undefined
}

/** A lease outlives a server that died by at least this; in milliseconds. */
const SHORTEST_HOLD = 5000
const HANDED_WAIT = "20 millis"
const HANDED_WAITS = 25
/** Ever the same number: servers that start at the same time take turns with the migrations. */
const MIGRATION_LOCK = 4_051_907_433
/** A migration of many files may take long, and waits for the one of another server. */
const MIGRATION_DEADLINE = Duration.hours(1)

interface UnderWay {
  readonly unavailable: Unavailable
  /** Leases that have run out, and are still counted. */
  readonly ended: number
}

type Value = string | number | boolean | null
type Run<Names extends string> = (
  values: { readonly [Name in Names]: Value }
) => Effect.Effect<ReadonlyArray<Postgres.Row>, CatalogError>

const numberOrNull = (value: unknown): number | null => value === null ? null : Number(value)

const toRecord = (row: Postgres.Row): FileRecord => ({
  key: row["key"] as string,
  id: row["id"] as string,
  blob: row["blob"] as string,
  owner: row["owner"] as string,
  plan: row["plan"] as string,
  name: row["name"] as string,
  title: row["title"] as string | null,
  mimeType: row["mime_type"] as string,
  size: Number(row["size"]),
  expires: numberOrNull(row["expires"]),
  downloads: Number(row["downloads"]),
  maxDownloads: numberOrNull(row["max_downloads"]),
  autoDelete: row["auto_delete"] as boolean,
  created: Number(row["created"]),
  modified: Number(row["modified"])
})

const toLease = (row: Postgres.Row): Lease => ({
  id: row["id"] as string,
  generation: Number(row["generation"]),
  blob: row["blob"] as string,
  name: row["name"] as string,
  mimeType: row["mime_type"] as string,
  size: Number(row["size"])
})

const FLEETING = "(auto_delete OR owner = '')"
const EXPIRED = "expires IS NOT NULL AND expires <= :now"
const USED_UP = "max_downloads IS NOT NULL AND downloads >= max_downloads"
const GONE = `(${FLEETING} AND (${EXPIRED} OR ${USED_UP}))`
const IN_TIME = "(expires IS NULL OR expires > :now)"
/** Leases of content that was replaced meanwhile are not the file's any more, hence the blob. */
const LIVE_LEASES = `(SELECT count(*) FROM leases
  WHERE leases.key = files.key AND leases.blob = files.blob AND NOT consumed AND until > :now)`

const buryWhere = (condition: string) => `
  WITH dead AS (DELETE FROM files WHERE ${condition} RETURNING key, blob),
    buried AS (INSERT INTO tombstones (key, buried) SELECT key, :now FROM dead ON CONFLICT DO NOTHING)
  INSERT INTO garbage (blob, after) SELECT blob, :after FROM dead ON CONFLICT DO NOTHING`

/** Leases that ended: those that handed their last byte over count, the others give their download back. */
const settleWhere = (condition: string) => `
  WITH ended AS (
    DELETE FROM leases WHERE NOT consumed AND until <= :now AND ${condition} RETURNING key, blob, handed
  ), counts AS (
    SELECT key, blob, count(*) AS leases, count(*) FILTER (WHERE handed) AS done FROM ended GROUP BY key, blob
  )
  UPDATE files SET live = live - counts.leases, downloads = downloads + counts.done
  FROM counts WHERE files.key = counts.key AND files.blob = counts.blob RETURNING files.key, counts.done`

// Every statement takes a lease's row before its file's, so that no two wait for each other.
const make = Effect.fnUntraced(function*(options: Options) {
  const random = yield* SecureRandom.SecureRandom
  const server = yield* random.uuidV4()
  const { grace } = options
  const hold = Math.max(grace, SHORTEST_HOLD)

  const deadline = Duration.fromInputUnsafe(options.timeout ?? "10 seconds")
  const connect = (synchronousCommit: "on" | "off") =>
    Postgres.make({
      url: options.url,
      deadline,
      maxConnections: options.maxConnections ?? 8,
      // A statement that waits for a lock delays what comes after it on its connection, so not too many share one.
      multiplex: 8,
      parameters: { synchronous_commit: synchronousCommit }
    })

  const durable = yield* connect("on")
  // What a crash of the database may undo: a claim, which gives no last byte before `handOver` is on the disk, and what
  // is done again anyway. It does not wait for the disk.
  const unsynced = yield* connect("off")
  // Lists and searches may take long, so they have connections of their own, and wait for each other only.
  const listing = yield* Postgres.make({ url: options.url, deadline, maxConnections: 2, multiplex: 1 })

  /**
   * `:name` are the values; a number is always a `bigint` to PostgreSQL. Of a `change` the caller learns when its outcome is unknown;
   * everything else may be asked again without harm.
   */
  const prepare = <const Names extends string = never>(
    text: string,
    client: Postgres.Postgres = durable,
    kind: Postgres.Kind = "repeatable"
  ): Run<Names> => {
    const names: Array<Names> = []
    const sql = text.replace(/(?<!:):([a-z]\w*)/gi, (_, name: Names) => {
      if (!names.includes(name)) names.push(name)
      return `$${names.indexOf(name) + 1}`
    })
    return (values) =>
      client.query(
        kind,
        sql,
        names.map((name) => {
          const value: Value = values[name]
          return typeof value === "number" ? BigInt(value) : value
        })
      )
  }

  const change = <const Names extends string>(text: string): Run<Names> => prepare(text, durable, "change")

  const migrate = Effect.gen(function*() {
    const one = (text: string, values: ReadonlyArray<unknown> = []) => durable.query("change", text, values)
    yield* one("SET LOCAL statement_timeout = 0")
    yield* one("SELECT pg_advisory_xact_lock($1)", [BigInt(MIGRATION_LOCK)])
    yield* one("CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY)")
    const [row] = yield* one("SELECT coalesce(max(version), 0) AS version FROM migrations")
    const done = Number(row!["version"])
    if (done > MIGRATIONS.length) {
      return yield* new CatalogError({
        cause: new Error(`the catalog is of a newer server (schema ${done}, known ${MIGRATIONS.length}); use that one`)
      })
    }
    for (const [index, statements] of MIGRATIONS.slice(done).entries()) {
      for (const statement of statements) yield* one(statement)
      yield* one("INSERT INTO migrations (version) VALUES ($1)", [BigInt(done + index + 1)])
    }
  })
  yield* durable.transaction(migrate, MIGRATION_DEADLINE)

  const sql = {
    insert: change<
      | "key"
      | "id"
      | "blob"
      | "owner"
      | "plan"
      | "name"
      | "foldedName"
      | "title"
      | "mimeType"
      | "size"
      | "expires"
      | "maxDownloads"
      | "autoDelete"
      | "created"
    >(`
      INSERT INTO files (key, id, blob, owner, plan, name, folded_name, title, mime_type, size, expires, downloads,
        max_downloads, auto_delete, created, modified)
      SELECT :key::text, :id::text, :blob::text, :owner::text, :plan::text, :name::text, :foldedName::text, :title::text,
        :mimeType::text, :size::bigint, :expires::bigint, 0, :maxDownloads::bigint, :autoDelete::boolean,
        :created::bigint, :created::bigint
      WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE key = :key::text)
      ON CONFLICT (key) DO NOTHING RETURNING *`),
    get: prepare<"key" | "now">(`SELECT * FROM files WHERE key = :key AND NOT ${GONE}`),
    lock: prepare<"key" | "owner" | "now">(
      `SELECT * FROM files WHERE key = :key AND owner = :owner AND NOT ${GONE} FOR UPDATE`
    ),
    update: prepare<
      | "key"
      | "blob"
      | "name"
      | "foldedName"
      | "title"
      | "mimeType"
      | "size"
      | "expires"
      | "downloads"
      | "maxDownloads"
      | "autoDelete"
      | "now"
      | "replaced"
    >(`
      UPDATE files SET blob = :blob, name = :name, folded_name = :foldedName, title = :title::text,
        mime_type = :mimeType, size = :size, expires = :expires::bigint, downloads = :downloads,
        live = CASE WHEN :replaced::boolean THEN 0 ELSE live END, max_downloads = :maxDownloads::bigint,
        auto_delete = :autoDelete, modified = :now
      WHERE key = :key RETURNING *`),
    usedBytes: prepare<"owner">(
      "SELECT coalesce(sum(bytes), 0)::bigint AS bytes FROM usage WHERE owner = :owner"
    ),
    totals: prepare(
      "SELECT coalesce(sum(files), 0)::bigint AS files, coalesce(sum(bytes), 0)::bigint AS bytes FROM usage"
    ),
    probe: prepare("UPDATE migrations SET version = version WHERE version = 1", unsynced),
    count: prepare<"owner" | "now">(
      `
      WITH used AS (SELECT coalesce(sum(files), 0) AS files, coalesce(sum(bytes), 0) AS bytes FROM usage WHERE owner = :owner),
        gone AS (SELECT count(*) AS files, coalesce(sum(size), 0) AS bytes FROM files WHERE owner = :owner AND ${GONE})
      SELECT (used.files - gone.files)::bigint AS count, (used.bytes - gone.bytes)::bigint AS size FROM used, gone`,
      listing
    ),
    countFound: prepare<"owner" | "now" | "search">(
      `
      SELECT count(*) AS count, coalesce(sum(size), 0)::bigint AS size FROM files
      WHERE owner = :owner AND NOT ${GONE} AND folded_name LIKE :search`,
      listing
    ),

    available: prepare<"key" | "now">(`
      SELECT 1 AS available FROM files
      WHERE key = :key AND ${IN_TIME} AND (max_downloads IS NULL OR downloads + ${LIVE_LEASES} < max_downloads)`),
    claim: prepare<"key" | "now" | "lease" | "server" | "until">(
      `
      WITH taken AS (
        UPDATE files SET live = live + 1
        WHERE key = :key AND ${IN_TIME} AND (max_downloads IS NULL OR downloads + live < max_downloads)
        RETURNING key, blob, name, mime_type, size, expires
      )
      INSERT INTO leases (id, key, generation, blob, name, mime_type, size, expires, consumed, handed, server, flowing, until)
      SELECT :lease::text, key, 1, blob, name, mime_type, size, expires, FALSE, FALSE, :server::text, TRUE, :until::bigint
      FROM taken RETURNING *`,
      unsynced
    ),
    settleOf: prepare<"key" | "now">(settleWhere("key = :key"), unsynced),
    settleAll: prepare<"now">(settleWhere("TRUE"), unsynced),
    underWay: prepare<"key" | "now">(`
      SELECT count(*) FILTER (WHERE until > :now) AS count, min(until) FILTER (WHERE until > :now) AS until,
        count(*) FILTER (WHERE until <= :now) AS ended, bool_and(handed) AS handed
      FROM leases JOIN files USING (key, blob)
      WHERE key = :key AND NOT consumed AND (files.expires IS NULL OR files.expires > :now)`),
    resume: prepare<"key" | "lease" | "now" | "server" | "until">(`
      UPDATE leases SET generation = generation + 1, server = :server, flowing = NOT consumed,
        until = CASE WHEN consumed THEN until ELSE greatest(until, :until) END
      WHERE id = :lease AND key = :key AND until > :now AND ${IN_TIME}
      RETURNING *`),
    handOver: prepare<"lease" | "generation" | "now">(`
      UPDATE leases SET handed = handed OR NOT consumed AND generation = :generation
      WHERE id = :lease AND until > :now RETURNING id`),
    commit: prepare<"lease" | "until">(
      `
      WITH done AS (
        UPDATE leases SET consumed = TRUE, flowing = FALSE, until = :until
        WHERE id = :lease AND (NOT consumed OR key = '')
        RETURNING key, blob
      )
      UPDATE files SET downloads = downloads + 1, live = live - 1
      FROM done WHERE files.key = done.key AND files.blob = done.blob RETURNING files.key`,
      unsynced
    ),
    release: prepare<"lease" | "generation" | "until">(
      `
      UPDATE leases SET flowing = FALSE, handed = FALSE, until = :until
      WHERE id = :lease AND generation = :generation AND (NOT consumed OR key = '')`,
      unsynced
    ),
    prolong: prepare<"server" | "now" | "until">(
      "UPDATE leases SET until = :until WHERE server = :server AND flowing AND until > :now",
      unsynced
    ),
    // The content is no longer the file's. Whoever is reading it may have it to the end, but it counts for nothing, and
    // nobody may resume it.
    detachLeases: prepare<"key">("UPDATE leases SET key = '', consumed = TRUE WHERE key = :key"),
    endLeases: prepare<"now">("DELETE FROM leases WHERE consumed AND until <= :now", unsynced),

    remove: change<"key" | "owner" | "now" | "after">(
      buryWhere(`key = :key AND owner = :owner AND NOT ${GONE}`) + " RETURNING blob"
    ),
    buryUsedUp: prepare<"key" | "now" | "after">(buryWhere(`key = :key AND ${FLEETING} AND ${USED_UP}`), unsynced),
    buryAllExpired: prepare<"now" | "after">(buryWhere(`${FLEETING} AND ${EXPIRED}`)),
    buryAllUsedUp: prepare<"now" | "after">(buryWhere(`${FLEETING} AND ${USED_UP} AND live = 0`)),
    discard: prepare<"blob" | "after">(
      "INSERT INTO garbage (blob, after) VALUES (:blob, :after) ON CONFLICT DO NOTHING"
    ),
    garbage: prepare<"from" | "now">(
      "SELECT blob FROM garbage WHERE blob > :from AND after <= :now ORDER BY blob LIMIT 1000"
    ),
    forget: prepare<"blobs">("DELETE FROM garbage WHERE blob IN (SELECT json_array_elements_text(:blobs::json))"),
    unknown: prepare<"blobs">(`
      SELECT blob FROM json_array_elements_text(:blobs::json) AS given (blob)
      WHERE NOT EXISTS (SELECT 1 FROM files WHERE files.blob = given.blob)
        AND NOT EXISTS (SELECT 1 FROM garbage WHERE garbage.blob = given.blob)`)
  }

  const pages = new Map<string, Run<"owner" | "now" | "search" | "limit" | "offset">>()
  const page = ({ descending, search, sort }: ListOptions) => {
    const direction = descending ? "DESC NULLS LAST" : "ASC NULLS FIRST"
    const where = search === undefined ? "" : "AND folded_name LIKE :search"
    const text = `SELECT * FROM files WHERE owner = :owner AND NOT ${GONE} ${where}
      ORDER BY ${COLUMNS[sort]} ${direction}, seq ${descending ? "DESC" : "ASC"} LIMIT :limit OFFSET :offset`
    let run = pages.get(text)
    if (run === undefined) pages.set(text, run = prepare(text, listing))
    return run
  }

  const first = <A>(rows: ReadonlyArray<A>): Option.Option<A> => Option.fromUndefinedOr(rows[0])

  const underWay = (key: string, now: number, waits = HANDED_WAITS): Effect.Effect<UnderWay, CatalogError> =>
    Effect.flatMap(sql.underWay({ key, now }), ([row]) => {
      const unavailable: Unavailable = Number(row!["count"]) === 0
        ? { _tag: "Gone" }
        : { _tag: "InProgress", retryAfter: Math.max(1, Number(row!["until"]) - now) }
      const ended = Number(row!["ended"])
      // Whoever has the last byte may ask again at once, and must hear that the file is gone: its server is just about to
      // say so.
      return row!["handed"] === true && ended === 0 && waits > 0
        ? Effect.delay(Effect.suspend(() => underWay(key, now, waits - 1)), HANDED_WAIT)
        : Effect.succeed({ unavailable, ended })
    })

  const claim = (key: string, lease: string, now: number) => sql.claim({ key, now, lease, server, until: now + hold })

  /** Ends the leases of a file that have run out. */
  const settle = Effect.fnUntraced(function*(key: string, now: number) {
    const freed = yield* sql.settleOf({ key, now })
    if (freed.some(({ done }) => Number(done) > 0)) yield* sql.buryUsedUp({ key, now, after: now + grace })
  })

  const update: Catalog["Service"]["update"] = Effect.fnUntraced(function*(key, owner, changes) {
    const now = yield* Clock.currentTimeMillis
    const { content } = changes
    const before = first(yield* sql.get({ key, now }))
    if (Option.isNone(before) || before.value["owner"] !== owner) return Option.none()
    if (content !== undefined) yield* sql.detachLeases({ key })
    const locked = first(yield* sql.lock({ key, owner, now }))
    if (Option.isNone(locked)) return Option.none()
    const old = toRecord(locked.value)
    const next = { ...old, ...changes, ...content }
    if (content !== undefined) yield* sql.discard({ blob: old.blob, after: now })
    const rows = yield* sql.update({
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
      replaced: content !== undefined,
      maxDownloads: next.maxDownloads,
      autoDelete: next.autoDelete
    })
    return Option.map(first(rows), toRecord)
  })

  yield* Effect.flatMap(Clock.currentTimeMillis, (now) => sql.prolong({ server, now, until: now + hold })).pipe(
    Effect.catch((error) => Effect.logWarning("the leases could not be prolonged; it is tried again", error.cause)),
    Effect.schedule(Schedule.spaced(Duration.millis(hold / 5))),
    Effect.forkScoped
  )

  return Catalog.of({
    insert: Effect.fnUntraced(function*(file) {
      const id = yield* random.uuidV4()
      while (true) {
        const rows = yield* sql.insert({
          key: yield* Key.make(random),
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
          autoDelete: file.autoDelete
        })
        if (rows.length > 0) return toRecord(rows[0]!)
      }
    }),

    get: Effect.fnUntraced(function*(key) {
      const now = yield* Clock.currentTimeMillis
      return Option.map(first(yield* sql.get({ key, now })), toRecord)
    }),

    list: Effect.fnUntraced(function*(options) {
      const now = yield* Clock.currentTimeMillis
      const { limit, offset, owner } = options
      const search = options.search === undefined ? undefined : `%${escapeLike(fold(options.search))}%`
      const [rows, [total]] = yield* Effect.all([
        page(options)({ owner, now, limit, offset, search: search ?? "" }),
        search === undefined ? sql.count({ owner, now }) : sql.countFound({ owner, now, search })
      ], { concurrency: 2 })
      return { files: rows.map(toRecord), count: Number(total!["count"]), size: Number(total!["size"]) }
    }),

    usedBytes: (owner) => Effect.map(sql.usedBytes({ owner }), ([row]) => Number(row!["bytes"])),

    probe: Effect.asVoid(sql.probe({})),

    totals: Effect.map(sql.totals({}), ([row]) => ({ files: Number(row!["files"]), bytes: Number(row!["bytes"]) })),

    update: (key, owner, changes) => durable.transaction(update(key, owner, changes)),

    remove: Effect.fnUntraced(function*(key, owner) {
      const now = yield* Clock.currentTimeMillis
      if ((yield* sql.remove({ key, owner, now, after: now })).length === 0) return false
      yield* sql.detachLeases({ key })
      return true
    }),

    peek: Effect.fnUntraced(function*(key) {
      const now = yield* Clock.currentTimeMillis
      const available = yield* sql.available({ key, now })
      return available.length > 0 ? { _tag: "Available" as const } : (yield* underWay(key, now)).unavailable
    }),

    claim: Effect.fnUntraced(function*(key) {
      const lease = Buffer.from(yield* random.randomBytes(24)).toString("base64url")
      const now = yield* Clock.currentTimeMillis
      const [row] = yield* claim(key, lease, now)
      if (row !== undefined) return { _tag: "Claimed", lease: toLease(row) } satisfies Claim
      const { ended, unavailable } = yield* underWay(key, now)
      if (ended === 0) return unavailable
      // Only where nothing is left does it matter that leases have run out.
      yield* settle(key, now)
      const [freed] = yield* claim(key, lease, now)
      return freed === undefined
        ? (yield* underWay(key, now)).unavailable
        : { _tag: "Claimed", lease: toLease(freed) } satisfies Claim
    }),

    resume: Effect.fnUntraced(function*(key, lease) {
      const now = yield* Clock.currentTimeMillis
      return Option.map(first(yield* sql.resume({ key, lease, now, server, until: now + hold })), toLease)
    }),

    handOver: Effect.fnUntraced(function*(lease) {
      const now = yield* Clock.currentTimeMillis
      const held = yield* sql.handOver({ lease: lease.id, generation: lease.generation, now })
      if (held.length === 0) {
        return yield* new CatalogError({ cause: new Error("the lease has ended before the last byte was sent") })
      }
    }),

    commit: Effect.fnUntraced(function*(lease) {
      const now = yield* Clock.currentTimeMillis
      const [counted] = yield* sql.commit({ lease: lease.id, until: now + grace })
      if (counted !== undefined) yield* sql.buryUsedUp({ key: counted["key"] as string, now, after: now + grace })
    }),

    release: Effect.fnUntraced(function*(lease) {
      const now = yield* Clock.currentTimeMillis
      yield* sql.release({ lease: lease.id, generation: lease.generation, until: now + grace })
    }),

    bury: Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      yield* sql.endLeases({ now })
      yield* sql.settleAll({ now })
      yield* sql.buryAllExpired({ now, after: now })
      yield* sql.buryAllUsedUp({ now, after: now })
    }),

    garbage: Effect.fnUntraced(function*(from) {
      const now = yield* Clock.currentTimeMillis
      return (yield* sql.garbage({ from, now })).map(({ blob }) => blob as string)
    }),

    forget: (blobs) => Effect.asVoid(sql.forget({ blobs: JSON.stringify(blobs) })),

    unknown: (blobs) =>
      Effect.map(sql.unknown({ blobs: JSON.stringify(blobs) }), (rows) => rows.map(({ blob }) => blob as string))
  })
})

/**
 * A catalog in PostgreSQL. Its tables are made when they are not there.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Catalog, CatalogError, SecureRandom.SecureRandom> =>
  Layer.effect(Catalog, make(options))
