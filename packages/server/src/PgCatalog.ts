/**
 * The catalog in PostgreSQL, for several servers over one set of files. It keeps the promises of `Catalog`, and this one:
 * what one server claims, no other gives.
 *
 * - A claim is one conditional statement: it counts up the downloads that are taken in the file's own row, where there are
 *   any left. PostgreSQL reads a row again that another claim has changed, so simultaneous claims get exactly as many as
 *   are left. See `internal/pgLeases.ts` for the other transitions of a lease.
 * - A lease ends by itself. A server prolongs the leases of the transfers that it has, and no others; when it dies, or never
 *   heard of a claim that was made for it, others take the download over after the grace time, at least 5 seconds.
 * - `handOver` is the fence: neither a server that was cut off for so long that its lease has ended, nor an older transfer of
 *   a lease, can give the last byte.
 * - Time is PostgreSQL's. The servers' clocks matter for the expiry of a file alone.
 *
 * This module needs the packages `@effect/sql-pg` and PostgreSQL 13 or newer; nothing else loads it.
 *
 * @since 0.1.0
 */
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import {
  Catalog,
  CatalogError,
  type Claim,
  type FileRecord,
  LeaseEnded,
  type ListOptions,
  type Options as CatalogOptions
} from "./Catalog.ts"
import { within } from "./internal/shared/deadline.ts"
import * as Key from "./internal/shared/key.ts"
import * as Machine from "./internal/sql/lease.ts"
import { COLUMNS, fold } from "./internal/sql/listing.ts"
import * as PgBlobs from "./internal/sql/pgBlobs.ts"
import * as PgLeases from "./internal/sql/pgLeases.ts"
import { MIGRATIONS } from "./internal/sql/pgMigrations.ts"
import * as Postgres from "./internal/sql/postgres.ts"
import { defaults } from "./ServerOptions.ts"

/**
 * Where PostgreSQL is, and how the catalog keeps leases.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options extends CatalogOptions {
  /** Such as `postgresql://user:password@host/database`. */
  readonly url: Redacted.Redacted
  /** Most connections to the database; each takes many statements at a time. @default 8 */
  readonly maxConnections?: number | undefined
  /** How long a call may take before it fails and its connection is closed. @default 10 seconds */
  readonly timeout?: Duration.Input | undefined
}

/** A lease outlives a server that died by at least this; in milliseconds. */
const SHORTEST_HOLD = 5000
/** Ever the same number: servers that start at the same time take turns with the migrations. */
const MIGRATION_LOCK = 4_051_907_433
/** A migration of many files may take long, and waits for the one of another server. */
const MIGRATION_DEADLINE = Duration.hours(1)

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
  attempts: Number(row["attempts"]),
  lastAttempt: numberOrNull(row["last_attempt"]),
  countFrom: row["count_from"] as FileSettings.CountFrom,
  autoDelete: row["auto_delete"] as boolean,
  created: Number(row["created"]),
  modified: Number(row["modified"])
})

/** Of an address, what is no secret. */
const whereOf = (url: Redacted.Redacted): string => {
  const { host, pathname } = new URL(Redacted.value(url))
  return `PostgreSQL at ${host}${pathname}`
}

const FLEETING = "(auto_delete OR owner = '')"
const EXPIRED = "expires IS NOT NULL AND expires <= :now"
const USED_UP = "max_downloads IS NOT NULL AND downloads >= max_downloads"
const GONE = `(${FLEETING} AND (${EXPIRED} OR ${USED_UP}))`
const IN_TIME = "(expires IS NULL OR expires > :now)"
/** `after`: when the bytes may go. */
const buryWhere = (condition: string, after = ":now") => `
  WITH dead AS (DELETE FROM files WHERE ${condition} RETURNING key, blob),
    buried AS (INSERT INTO tombstones (key, buried) SELECT key, :now FROM dead ON CONFLICT DO NOTHING)
  INSERT INTO garbage (blob, after) SELECT blob, ${after} FROM dead ON CONFLICT DO NOTHING`

/**
 * Files that one statement of the sweep buries: few, since uploads of an account wait while it is counted what is gone. Several
 * servers bury different ones.
 */
const BURY_FILES = 200
const burySome = (condition: string) => `
  WITH dead AS (
    DELETE FROM files WHERE seq IN (
      SELECT seq FROM files WHERE ${condition} LIMIT ${BURY_FILES} FOR UPDATE SKIP LOCKED
    ) RETURNING key, blob
  ), buried AS (INSERT INTO tombstones (key, buried) SELECT key, :now FROM dead ON CONFLICT DO NOTHING),
    discarded AS (INSERT INTO garbage (blob, after) SELECT blob, :now FROM dead ON CONFLICT DO NOTHING)
  SELECT count(*) AS buried FROM dead`

/** PostgreSQL's own clock, unless the program was given another one, as tests are. */
const NOW = "coalesce(:now::bigint, (extract(epoch FROM statement_timestamp()) * 1000)::bigint)"
const systemClock = Context.get(Context.empty(), Clock.Clock)
const givenTime = Clock.clockWith((clock) => clock === systemClock ? Effect.succeed(null) : clock.currentTimeMillis)

const GIVE_BACK = Schedule.spaced("500 millis")

interface Prepared {
  /** For what must be on the disk when it is done. */
  readonly prepare: PgLeases.Prepare
  /** For what a crash of PostgreSQL may undo. */
  readonly relaxed: PgLeases.Prepare
  /** For what may take long. */
  readonly listed: PgLeases.Prepare
  /** For what the caller must know the outcome of. */
  readonly change: PgLeases.Prepare
}

const statements = ({ change, listed, prepare, relaxed }: Prepared, grace: number) => ({
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
    | "countFrom"
    | "autoDelete"
    | "created"
  >(`
    WITH arrived AS (DELETE FROM garbage WHERE blob = :blob::text)
    INSERT INTO files (key, id, blob, owner, plan, name, folded_name, title, mime_type, size, expires, downloads,
      max_downloads, count_from, auto_delete, created, modified)
    SELECT :key::text, :id::text, :blob::text, :owner::text, :plan::text, :name::text, :foldedName::text, :title::text,
      :mimeType::text, :size::bigint, :expires::bigint, 0, :maxDownloads::bigint, :countFrom::text,
      :autoDelete::boolean, :created::bigint, :created::bigint
    WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE key = :key::text)
    ON CONFLICT (key) DO NOTHING RETURNING *`),
  inserted: prepare<"key" | "blob">("SELECT * FROM files WHERE key = :key AND blob = :blob"),
  get: prepare<"key">(`SELECT * FROM files WHERE key = :key AND NOT ${GONE}`),
  lock: prepare<"key" | "owner">(
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
    | "maxDownloads"
    | "countFrom"
    | "autoDelete"
    | "replaced"
  >(`
    UPDATE files SET blob = :blob, name = :name, folded_name = :foldedName, title = :title::text,
      mime_type = :mimeType, size = :size, expires = :expires::bigint,
      downloads = CASE WHEN :replaced::boolean THEN 0 ELSE downloads END,
      live = CASE WHEN :replaced::boolean THEN 0 ELSE live END,
      attempts = CASE WHEN :replaced::boolean THEN 0 ELSE attempts END,
      last_attempt = CASE WHEN :replaced::boolean THEN NULL ELSE last_attempt END,
      max_downloads = :maxDownloads::bigint, count_from = :countFrom, auto_delete = :autoDelete, modified = :now
    WHERE key = :key RETURNING *`),
  usedBytes: prepare<"owner">(
    "SELECT coalesce(sum(bytes), 0)::bigint AS bytes FROM usage WHERE owner = :owner"
  ),
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
    buryWhere(`key = :key AND owner = :owner AND NOT ${GONE}`) + " RETURNING blob"
  ),
  isBuried: prepare<"key">("SELECT 1 FROM tombstones WHERE key = :key"),
  // A file is not buried while somebody downloads it. The last receiver may come back for the grace time, so the bytes stay as long.
  buryUsedUp: relaxed<"key">(
    buryWhere(`key = :key AND ${FLEETING} AND ${USED_UP} AND live = 0`, `:now + ${grace}`)
  ),
  // What a crash of the database undoes of these is done again by a later sweep.
  buryExpired: relaxed(burySome(`${FLEETING} AND ${EXPIRED} AND live = 0`)),
  buryEnded: relaxed(burySome(`${FLEETING} AND ${USED_UP} AND live = 0`)),
  endTombstones: relaxed(`
    DELETE FROM tombstones WHERE key IN (
      SELECT key FROM tombstones WHERE buried <= :now - ${Key.TOMBSTONE_MILLIS} LIMIT ${Key.END_TOMBSTONES} FOR UPDATE SKIP LOCKED
    )`),
  arrived: prepare<"blob">("DELETE FROM garbage WHERE blob = :blob"),
  discard: prepare<"blob">("INSERT INTO garbage (blob, after) VALUES (:blob, :now) ON CONFLICT DO NOTHING")
})

const make = Effect.fnUntraced(function*(options: Options) {
  const scope = yield* Effect.scope
  const random = yield* SecureRandom.SecureRandom
  const terms = Machine.termsOf(options)
  const hold = Math.max(terms.grace, SHORTEST_HOLD)

  const deadline = Duration.fromInputUnsafe(options.timeout ?? defaults.engineTimeout)
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
   * A number is always a `bigint` to PostgreSQL. Of a `change` the caller learns when its outcome is unknown; everything else may be
   * asked again without harm.
   */
  const prepareOn = (client: Postgres.Postgres, kind: Postgres.Kind = "repeatable"): PgLeases.Prepare => (text) => {
    const names: Array<string> = []
    const sql = text.replaceAll(":now", NOW).replace(/(?<!:):([a-z]\w*)/gi, (_, name: string) => {
      if (!names.includes(name)) names.push(name)
      return `$${names.indexOf(name) + 1}`
    })
    return (values) =>
      Effect.flatMap(givenTime, (now) => {
        const all: Readonly<Record<string, PgLeases.Value>> = { ...values, now }
        return client.query(
          kind,
          sql,
          names.map((name) => {
            const value = all[name]!
            return typeof value === "number" ? BigInt(value) : value
          })
        )
      })
  }
  const prepare = prepareOn(durable)
  const relaxed = prepareOn(unsynced)
  const listed = prepareOn(listing)
  const change = prepareOn(durable, "change")

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

  const sql = statements({ change, listed, prepare, relaxed }, terms.grace)

  const pages = new Map<string, PgLeases.Run<"owner" | "search" | "limit" | "offset">>()
  const page = ({ descending, search, sort }: ListOptions) => {
    const direction = descending ? "DESC NULLS LAST" : "ASC NULLS FIRST"
    const where = search === undefined ? "" : "AND strpos(folded_name, :search) > 0"
    const text = `SELECT * FROM files WHERE owner = :owner AND NOT ${GONE} ${where}
      ORDER BY ${COLUMNS[sort]} ${direction}, seq ${descending ? "DESC" : "ASC"} LIMIT :limit OFFSET :offset`
    let run = pages.get(text)
    if (run === undefined) pages.set(text, run = listed(text))
    return run
  }

  const first = <A>(rows: ReadonlyArray<A>): Option.Option<A> => Option.fromUndefinedOr(rows[0])

  const leases = PgLeases.make(
    prepare,
    relaxed,
    { ...terms, hold },
    options.maxBrokenDownloads ?? defaults.maxBrokenDownloads,
    (key) => sql.buryUsedUp({ key })
  )

  const update: Catalog["Service"]["update"] = Effect.fnUntraced(function*(key, owner, changes) {
    const { content } = changes
    const before = first(yield* sql.get({ key }))
    if (Option.isNone(before) || before.value["owner"] !== owner) return Option.none()
    if (content !== undefined) yield* leases.detach(key, content.blob)
    else if (changes.expires !== undefined) yield* leases.expire(key, changes.expires)
    const locked = first(yield* sql.lock({ key, owner }))
    if (Option.isNone(locked)) return Option.none()
    const old = toRecord(locked.value)
    // This change was made before, and the answer was lost.
    if (old.blob === content?.blob) return Option.some(old)
    const next = { ...old, ...changes, ...content }
    if (content !== undefined) {
      yield* sql.discard({ blob: old.blob })
      yield* sql.arrived({ blob: content.blob })
    }
    const rows = yield* sql.update({
      key,
      blob: next.blob,
      name: next.name,
      foldedName: fold(next.name),
      title: next.title,
      mimeType: next.mimeType,
      size: next.size,
      expires: next.expires,
      replaced: content !== undefined,
      maxDownloads: next.maxDownloads,
      countFrom: next.countFrom,
      autoDelete: next.autoDelete
    })
    return Option.map(first(rows), toRecord)
  })

  yield* leases.prolong.pipe(
    Effect.catch((error) => Effect.logWarning("the leases could not be prolonged; it is tried again", error.cause)),
    Effect.schedule(Schedule.spaced(Duration.millis(hold / 5))),
    Effect.forkScoped
  )

  return Catalog.of({
    where: whereOf(options.url),

    insert: Effect.fnUntraced(function*(file) {
      const id = yield* random.uuidV4()
      while (true) {
        const key = yield* Key.make(random)
        const values = {
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
          autoDelete: file.autoDelete
        }
        const insert = Effect.fnUntraced(function*(again: boolean) {
          const [row] = yield* sql.insert(values)
          if (row !== undefined || !again) return row
          const [inserted] = yield* sql.inserted({ key, blob: file.blob })
          return inserted ??
            (yield* new CatalogError({ cause: new Error("the file came and is gone"), reason: "unknown" }))
        })
        const row = yield* Postgres.decided(insert, deadline)
        if (row !== undefined) return toRecord(row)
      }
    }),

    get: (key) => Effect.map(sql.get({ key }), (rows) => Option.map(first(rows), toRecord)),

    list: Effect.fnUntraced(function*(options) {
      const { limit, offset, owner } = options
      const search = options.search === undefined ? undefined : fold(options.search)
      const [rows, [total]] = yield* Effect.all([
        page(options)({ owner, limit, offset, search: search ?? "" }),
        search === undefined ? sql.count({ owner }) : sql.countFound({ owner, search })
      ], { concurrency: 2 })
      return { files: rows.map(toRecord), count: Number(total!["count"]), size: Number(total!["size"]) }
    }),

    usedBytes: (owner) => Effect.map(sql.usedBytes({ owner }), ([row]) => Number(row!["bytes"])),

    probe: Effect.asVoid(sql.probe({})),

    totals: Effect.map(sql.totals({}), ([row]) => ({ files: Number(row!["files"]), bytes: Number(row!["bytes"]) })),

    update: (key, owner, changes) =>
      Effect.andThen(
        leases.settleOf(key),
        Postgres.decided(() => durable.transaction(update(key, owner, changes)), deadline)
      ),

    remove: Effect.fnUntraced(function*(key, owner) {
      yield* leases.settleOf(key)
      const remove = Effect.fnUntraced(function*(again: boolean) {
        const removed = (yield* sql.remove({ key, owner })).length > 0
        return removed || (again && (yield* sql.isBuried({ key })).length > 0)
      })
      if (!(yield* Postgres.decided(remove, deadline))) return false
      yield* leases.drop(key)
      return true
    }),

    peek: Effect.fnUntraced(function*(key) {
      const available = yield* sql.available({ key })
      return available.length > 0 ? { _tag: "Available" as const } : (yield* leases.underWay(key)).unavailable
    }),

    claim: Effect.fnUntraced(function*(key, given) {
      const isFree = given !== undefined && !(yield* leases.has(given))
      const id = isFree ? given : Buffer.from(yield* random.randomBytes(24)).toString("base64url")
      // A claim whose answer was lost holds the file although nobody has it, until it ends by itself.
      const giveBack = Effect.retry(leases.abandon({ id, generation: 1 }), {
        schedule: GIVE_BACK,
        while: ({ reason }) => reason !== undefined
      })
      return yield* Effect.catch(
        leases.claim(key, id),
        (error): Effect.Effect<Claim, CatalogError> =>
          error.reason === undefined && isFree
            // Another claim with this id was faster, and has the lease.
            ? Effect.succeed({ _tag: "InProgress", retryAfter: terms.grace })
            : Effect.andThen(
              Effect.forkIn(Effect.ignore(within(giveBack, Duration.millis(hold), () => undefined)), scope),
              Effect.fail(error)
            )
      )
    }),

    resume: (key, id) => Effect.map(leases.resume(key, id), Option.fromUndefinedOr),

    handOver: (lease) =>
      lease.counted ? Effect.void : Effect.flatMap(
        leases.handOver(lease),
        (isNewest) => isNewest ? Effect.void : Effect.fail(new LeaseEnded())
      ),

    commit: leases.commit,

    release: (lease) => Effect.asVoid(leases.release(lease)),

    abandon: leases.abandon,

    bury: Effect.gen(function*() {
      yield* leases.settleAll
      for (const bury of [sql.buryExpired, sql.buryEnded]) {
        while (Number((yield* bury({}))[0]!["buried"]) === BURY_FILES) yield* Effect.yieldNow
      }
      yield* sql.endTombstones({})
    }),

    ...PgBlobs.make(prepare, relaxed, durable)
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
