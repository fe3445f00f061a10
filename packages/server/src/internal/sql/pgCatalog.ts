/** Opens a database of PostgreSQL as a catalog, or as a shard of one; `PgCatalog` does so. */
import * as DurationInput from "@effect-fileio/core/DurationInput"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import {
  Catalog,
  CatalogError,
  type Claim,
  LeaseEnded,
  NotProlonged,
  type Options as CatalogOptions
} from "../../Catalog.ts"
import { defaults } from "../../ServerOptions.ts"
import { within } from "../shared/deadline.ts"
import * as Key from "../shared/key.ts"
import * as Machine from "./lease.ts"
import * as LeaseTerms from "./leaseTerms.ts"
import * as PgBlobs from "./pgBlobs.ts"
import * as PgFiles from "./pgFiles.ts"
import * as PgIdentity from "./pgIdentity.ts"
import * as PgLeases from "./pgLeases.ts"
import { migrate } from "./pgMigrations.ts"
import * as PgPrepare from "./pgPrepare.ts"
import * as PgUploads from "./pgUploads.ts"
import * as Rows from "./rows.ts"

export interface Options extends CatalogOptions {
  readonly url: Redacted.Redacted
  readonly maxConnections?: number | undefined
  readonly timeout?: DurationInput.DurationInput | undefined
  /** Begin of new keys. */
  readonly keyPrefix?: string | undefined
}

/** How long, at least, a lease outlives a server that died, in milliseconds. */
const SHORTEST_HOLD = 5000

/** The part of an address that is no secret. */
export const whereOf = (url: Redacted.Redacted): string => {
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
  return new CatalogError({
    cause: error.cause,
    problem,
    ...(error.reason === undefined ? {} : { reason: "unavailable" })
  })
}

const GIVE_BACK = Schedule.spaced("500 millis")

/** Opens a database until the scope closes. Creates missing tables. */
export const open = Effect.fnUntraced(function*(options: Options) {
  const { keyPrefix = "" } = options
  const scope = yield* Effect.scope
  const random = yield* SecureRandom.SecureRandom
  const terms = LeaseTerms.of(options)
  const hold = Math.max(terms.grace, SHORTEST_HOLD)

  const deadline = DurationInput.parseOptionUnsafe("timeout", options.timeout ?? defaults.engineTimeout)
  const { durable, prepared } = yield* PgPrepare.connect({
    url: options.url,
    maxConnections: options.maxConnections ?? 8,
    deadline
  }).pipe(
    // Silent connections are noticed before the migrations, which may take long.
    Effect.tap(({ durable }) => durable.query("repeatable", "SELECT 1", [])),
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

  const catalog = Catalog.of({
    where: whereOf(options.url),
    prolongInterval: Duration.millis(Machine.prolongInterval({ ...terms, hold })),

    insert: Effect.fnUntraced(function*(file, completes) {
      const id = yield* random.uuidV4()
      while (true) {
        const record = yield* files.insert(keyPrefix + (yield* Key.make(random)), id, file, completes)
        if (Option.isSome(record)) return record.value
      }
    }),

    get: (key) => Effect.map(sql.get({ key }), PgFiles.first),

    list: files.list,

    usedBytes: (owner) => Effect.map(sql.usedBytes({ owner }), ([row]) => Number(row!["bytes"])),

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
      const id = isFree ? given : yield* Key.makeLeaseId(random)
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

    prolong: (transfers) =>
      Effect.mapError(leases.prolong(transfers), (cause) => new NotProlonged({ cause, transfers })),

    bury: Effect.andThen(files.bury, uploads.end),
    uploads: uploads.uploads,

    ...PgBlobs.make(prepared, durable)
  })

  return { catalog, identity: PgIdentity.make(durable) }
})

export type Opened = Effect.Success<ReturnType<typeof open>>
