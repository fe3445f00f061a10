/**
 * The catalog in PostgreSQL, for several servers with the same files. It keeps the promises of `Catalog`, and one more: a file
 * claimed by one server is not given by another.
 *
 * - A claim is one conditional statement: it increments the taken downloads in the file's row, if any are left. PostgreSQL
 *   evaluates the condition again on a row that another claim has changed, so exactly as many simultaneous claims succeed as
 *   downloads are left. See `internal/sql/pgLeases.ts` for the other transitions of a lease.
 * - A lease ends by itself. A server prolongs the leases of its own transfers, and no others; if it dies, or never learns of a
 *   claim that was made for it, others take the download over after the grace time, at least 5 seconds.
 * - `handOver` is the fence: neither a server that was disconnected until its lease ended, nor an older transfer of a lease,
 *   can send the last byte.
 * - Time is PostgreSQL's. The servers' clocks only affect the expiry of a file.
 *
 * This module needs the packages `@effect/sql-pg` and PostgreSQL 13 or newer; nothing else loads it.
 *
 * @since 0.1.0
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { Catalog, CatalogError, type Claim, LeaseEnded, type Options as CatalogOptions } from "./Catalog.ts"
import { within } from "./internal/shared/deadline.ts"
import * as Key from "./internal/shared/key.ts"
import * as Machine from "./internal/sql/lease.ts"
import * as PgBlobs from "./internal/sql/pgBlobs.ts"
import * as PgFiles from "./internal/sql/pgFiles.ts"
import * as PgLeases from "./internal/sql/pgLeases.ts"
import { migrate } from "./internal/sql/pgMigrations.ts"
import * as PgPrepare from "./internal/sql/pgPrepare.ts"
import * as PgUploads from "./internal/sql/pgUploads.ts"
import * as Rows from "./internal/sql/rows.ts"
import { defaults } from "./ServerOptions.ts"

/**
 * Address of PostgreSQL, and settings of leases.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options extends CatalogOptions {
  /** Such as `postgresql://user:password@host/database`. */
  readonly url: Redacted.Redacted
  /** Most connections to the database; each carries many statements at a time. @default 8 */
  readonly maxConnections?: number | undefined
  /** How long a call may take before it fails and its connection is closed. @default 10 seconds */
  readonly timeout?: Duration.Input | undefined
}

/** How long, at least, a lease outlives a server that died, in milliseconds. */
const SHORTEST_HOLD = 5000

/** The part of an address that is no secret. */
const whereOf = (url: Redacted.Redacted): string => {
  const { host, pathname } = new URL(Redacted.value(url))
  return `PostgreSQL at ${host}${pathname}`
}

/** The code of the system or PostgreSQL, somewhere in the causes. */
const codeOf = (error: unknown): string | undefined =>
  typeof error !== "object" || error === null
    ? undefined
    : "code" in error && typeof error.code === "string"
    ? error.code
    : codeOf("cause" in error ? error.cause : "reason" in error ? error.reason : undefined)

/** Why a server cannot start with its catalog in PostgreSQL, and what to do. */
const startProblem = (url: Redacted.Redacted) => (error: CatalogError): CatalogError => {
  if (error.problem !== undefined) return error
  const code = codeOf(error.cause)
  const problem = `${whereOf(url)} cannot be used${
    code === undefined ? "" : ` (${code})`
  }; check that it runs, and its address, user and password`
  return new CatalogError({ cause: error.cause, problem })
}

const GIVE_BACK = Schedule.spaced("500 millis")

const make = Effect.fnUntraced(function*(options: Options) {
  const scope = yield* Effect.scope
  const random = yield* SecureRandom.SecureRandom
  const terms = Machine.termsOf(options)
  const hold = Math.max(terms.grace, SHORTEST_HOLD)

  const deadline = Duration.fromInputUnsafe(options.timeout ?? defaults.engineTimeout)
  const { durable, prepared } = yield* PgPrepare.connect({
    url: options.url,
    maxConnections: options.maxConnections ?? 8,
    deadline
  }).pipe(
    Effect.tap(({ durable }) => migrate(durable)),
    Effect.mapError(startProblem(options.url))
  )

  const sql = PgFiles.statements(prepared, terms.grace)
  const leases = PgLeases.make(
    prepared,
    { ...terms, hold },
    options.maxBrokenDownloads ?? defaults.maxBrokenDownloads,
    (key) => sql.buryUsedUp({ key })
  )
  const uploads = PgUploads.make(prepared)
  const files = PgFiles.make(prepared, sql, leases, uploads, durable, deadline)

  return Catalog.of({
    where: whereOf(options.url),
    prolongInterval: Duration.millis(Machine.prolongInterval({ ...terms, hold })),

    insert: Effect.fnUntraced(function*(file, completes) {
      const id = yield* random.uuidV4()
      while (true) {
        const record = yield* files.insert(yield* Key.make(random), id, file, completes)
        if (Option.isSome(record)) return record.value
      }
    }),

    get: (key) => Effect.map(sql.get({ key }), PgFiles.first),

    list: files.list,

    usedBytes: (owner) =>
      Effect.zipWith(
        sql.usedBytes({ owner }),
        uploads.bytesOf(owner),
        ([row], unfinished) => Number(row!["bytes"]) + unfinished
      ),

    probe: Effect.asVoid(sql.probe({})),

    totals: Effect.map(sql.totals({}), ([row]) => ({ files: Number(row!["files"]), bytes: Number(row!["bytes"]) })),

    update: files.update,

    remove: files.remove,

    tombstone: (key) =>
      Effect.map(sql.tombstone({ key }), ([row]) => Option.map(Option.fromUndefinedOr(row), Rows.toTombstone)),

    held: (key, lease) => Effect.map(leases.held(key, lease), Option.fromUndefinedOr),

    peek: Effect.fnUntraced(function*(key) {
      const available = yield* sql.available({ key })
      return available.length > 0 ? { _tag: "Available" as const } : (yield* leases.underWay(key)).unavailable
    }),

    claim: Effect.fnUntraced(function*(key, given) {
      const isFree = given !== undefined && !(yield* leases.has(given))
      const id = isFree ? given : Buffer.from(yield* random.randomBytes(24)).toString("base64url")
      // A claim whose response was lost holds the file until it ends by itself, although nobody has it.
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

    release: (lease, sent) => Effect.asVoid(leases.release(lease, sent)),

    abandon: leases.abandon,

    prolong: leases.prolong,

    bury: Effect.andThen(files.bury, uploads.end),
    uploads: uploads.uploads,

    ...PgBlobs.make(prepared, durable)
  })
})

/**
 * A catalog in PostgreSQL. Creates missing tables.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Catalog, CatalogError, SecureRandom.SecureRandom> =>
  Layer.effect(Catalog, make(options))
