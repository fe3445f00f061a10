/**
 * The engines of a server: SQLite, a folder and memory, or PostgreSQL, S3 and Redis, which several servers share. Each choice
 * is one address; the packages of an engine are loaded only when it is chosen.
 *
 * @since 0.1.0
 */
import * as DurationInput from "@effect-fileio/core/DurationInput"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Blobs from "./Blobs.ts"
import type * as Catalog from "./Catalog.ts"
import { DataFolder } from "./DataFolder.ts"
import * as FolderBlobs from "./FolderBlobs.ts"
import * as SmallFiles from "./internal/disk/smallFiles.ts"
import { hasFiles, problemOf } from "./internal/sql/sqliteOpen.ts"
import * as RateCounter from "./RateCounter.ts"
import * as SqliteCatalog from "./SqliteCatalog.ts"

/**
 * An engine cannot be used.
 *
 * @category errors
 * @since 0.1.0
 */
export class EngineError extends Schema.TaggedError<EngineError>("@effect-fileio/server/EngineError")("EngineError", {
  /** Its purpose: `catalog`, `blobs` or `rateCounter`. */
  part: Schema.String,
  problem: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return `${this.part}: ${this.problem}`
  }
}

/**
 * The catalog and the store of bytes do not belong together.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreMismatch extends Schema.TaggedError<StoreMismatch>("@effect-fileio/server/StoreMismatch")(
  "StoreMismatch",
  {
    /** Location of the catalog, such as `SQLite in /data/catalog.sqlite`. */
    catalog: Schema.String,
    /** Location of the store, such as `the folder /data/blobs`. */
    store: Schema.String,
    problem: Schema.String
  }
) {
  override get message() {
    return `the catalog (${this.catalog}) and the store (${this.store}) do not belong together: ${this.problem}`
  }
}

/**
 * An address; secret, since it may contain a password.
 *
 * @category models
 * @since 0.1.0
 */
export type Address = string | Redacted.Redacted

/**
 * Where the server keeps its data.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * `postgresql://user:password@host/database` stores the catalog in PostgreSQL. Several addresses, as a list or separated by
   * commas or spaces, divide it into shards; see `PgCatalog`.
   *
   * @default SQLite in the data folder
   */
  readonly catalog?: Address | ReadonlyArray<Address> | undefined
  /**
   * `s3://bucket/prefix?endpoint=…&region=…` stores the bytes in an S3-compatible store; see `S3Blobs.fromUrl`.
   *
   * @default a folder in the data folder
   */
  readonly blobs?: Address | undefined
  /** `redis://user:password@host/0` counts requests in Redis. @default memory */
  readonly rateCounter?: Address | undefined
  /**
   * How long PostgreSQL or S3 may take to respond; then the call fails with a 503 and its connection is closed. Redis has at
   * most 1 second.
   *
   * @default 10 seconds
   */
  readonly engineTimeout?: DurationInput.DurationInput | undefined
}

const textOf = (address: Address): string => Redacted.isRedacted(address) ? Redacted.value(address) : address

/** Separators are followed by another address: a password may contain commas. */
const BETWEEN = /[\s,]+(?=[a-z][a-z0-9+.-]*:\/\/)/i

const addressesOf = (given: Address | ReadonlyArray<Address>): ReadonlyArray<Address> =>
  (typeof given === "string" || Redacted.isRedacted(given) ? [given] : given)
    .flatMap((address) => textOf(address).trim().split(BETWEEN).map((one) => one.replace(/[\s,]+$/, "")))

const parse = (part: string, address: Address, schemes: ReadonlyArray<string>): Effect.Effect<URL, EngineError> => {
  const text = textOf(address)
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url !== undefined && schemes.includes(url.protocol)
    ? Effect.succeed(url)
    : Effect.fail(new EngineError({ part, problem: `not an address that begins with ${schemes[0]}//` }))
}

const load = <A>(part: string, needs: string, module: () => Promise<A>): Effect.Effect<A, EngineError> =>
  Effect.tryPromise({
    try: module,
    catch: (cause) =>
      new EngineError({ part, problem: `it needs the package ${needs}; install it beside this package`, cause })
  })

/**
 * With another catalog over the same folder, each would remove the other's bytes as orphans. The folder alone does not show it:
 * small files are in the catalog.
 */
const refuseOtherCatalog = Effect.gen(function*() {
  const { path } = yield* DataFolder
  const isUsed = yield* Effect.try({
    try: () => hasFiles(path),
    catch: (cause) => new EngineError({ part: "catalog", problem: problemOf(cause, path), cause })
  })
  if (isUsed) {
    return yield* new StoreMismatch({
      catalog: "PostgreSQL",
      store: `the folder ${path}`,
      problem:
        "the folder has a catalog in SQLite with files; start without an address of a catalog, or with another data folder. " +
        "If those files are of no use, remove catalog.sqlite, catalog.sqlite-wal and catalog.sqlite-shm"
    })
  }
})

/**
 * The catalog of the options: SQLite, PostgreSQL, or several databases of it.
 *
 * @category layers
 * @since 0.1.0
 */
export const catalog = (
  { blobs, catalog: addresses, engineTimeout: timeout }: Options,
  options: Catalog.Options
): Layer.Layer<
  Catalog.Catalog,
  Catalog.CatalogError | EngineError | StoreMismatch,
  DataFolder | SecureRandom.SecureRandom
> =>
  addresses === undefined
    // An operator who chose a store for the bytes gets all of them there.
    ? SqliteCatalog.layer({ ...options, ...(blobs === undefined ? {} : { smallFileBytes: 0 }) })
    : Layer.unwrap(Effect.gen(function*() {
      const given = addressesOf(addresses)
      const parsed = yield* Effect.forEach(
        given.length === 0 ? [""] : given,
        (address) => parse("catalog", address, ["postgresql:", "postgres:"])
      )
      const urls = parsed.map(({ href }) => Redacted.make(href))
      if (new Set(parsed.map(({ href }) => href)).size < urls.length) {
        return yield* new EngineError({ part: "catalog", problem: "an address is in the list twice" })
      }
      if (blobs === undefined) yield* refuseOtherCatalog
      const PgCatalog = yield* load("catalog", "@effect/sql-pg", () => import("./PgCatalog.ts"))
      return PgCatalog.layer({ ...options, url: urls, timeout })
    }))

/**
 * The store of the options: a folder, or S3.
 *
 * @category layers
 * @since 0.1.0
 */
export const blobs = (
  { blobs: address, engineTimeout: timeout }: Options
): Layer.Layer<Blobs.Blobs, Blobs.BlobsError | EngineError, DataFolder | SecureRandom.SecureRandom> =>
  address === undefined
    ? FolderBlobs.layer
    : Layer.unwrap(Effect.gen(function*() {
      const url = yield* parse("blobs", address, ["s3:"])
      const S3Blobs = yield* load("blobs", "@aws-sdk/client-s3", () => import("./S3Blobs.ts"))
      return S3Blobs.layer({ ...S3Blobs.fromUrl(url), timeout })
    }))

/**
 * The catalog and the store of the options. The bytes of small files may be in the catalog; callers of the store need not know
 * which.
 *
 * @category layers
 * @since 0.1.0
 */
export const stores = (
  given: Options,
  options: Catalog.Options
): Layer.Layer<
  Catalog.Catalog | Blobs.Blobs,
  Catalog.CatalogError | Blobs.BlobsError | EngineError | StoreMismatch,
  DataFolder | SecureRandom.SecureRandom
> => Layer.provideMerge(SmallFiles.layer(blobs(given)), catalog(given, options))

/**
 * The rate counter of the options: memory, or Redis.
 *
 * @category layers
 * @since 0.1.0
 */
export const rateCounter = (
  { engineTimeout = "1 second", rateCounter: address }: Options
): Layer.Layer<RateCounter.RateCounter, EngineError> =>
  address === undefined
    ? RateCounter.layer
    : Layer.unwrap(Effect.gen(function*() {
      const url = yield* parse("rateCounter", address, ["redis:", "rediss:"])
      const RedisRateCounter = yield* load("rateCounter", "redis", () => import("./RedisRateCounter.ts"))
      return Layer.catch(
        RedisRateCounter.layer({
          url: Redacted.make(url.href),
          timeout: Duration.min(DurationInput.parseOptionUnsafe("engineTimeout", engineTimeout), Duration.seconds(1))
        }),
        (cause) =>
          Layer.effect(
            RateCounter.RateCounter,
            Effect.fail(new EngineError({ part: "rateCounter", problem: "Redis cannot be reached", cause }))
          )
      )
    }))
