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
 * The catalog can be divided into shards, databases for more commits than one takes. Everything that belongs to a file is on one
 * shard, which its key names, so all of this holds unchanged.
 *
 * - The first shard may be the database of an earlier catalog: its files stay where they are.
 * - More shards can be added at the end of the list, and none removed. Each database records which shard it is; a start with
 *   another order or number is refused.
 * - The files of an account are on its home, the shard that follows from its name, so a list or the used storage needs one shard.
 *   After an extension some accounts have another home: their lists are merged from both. Files without an account are spread.
 * - A shard that cannot be reached fails the calls for its files, and no others. Shards are added while all can be reached; any
 *   other start goes on without those that cannot.
 *
 * This module needs the packages `@effect/sql-pg` and PostgreSQL 13 or newer; nothing else loads it.
 *
 * @since 0.1.0
 */
import type { DurationInput } from "@effect-fileio/core/DurationInput"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { Catalog, CatalogError, type Options as CatalogOptions } from "./Catalog.ts"
import { prefixOf } from "./internal/shards/homes.ts"
import * as Members from "./internal/shards/members.ts"
import * as Router from "./internal/shards/router.ts"
import * as PgCatalog from "./internal/sql/pgCatalog.ts"

/**
 * Address of PostgreSQL, and settings of leases.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options extends CatalogOptions {
  /**
   * Such as `postgresql://user:password@host/database`; of a catalog with shards all addresses, in their order, which must not
   * change. New shards come last.
   */
  readonly url: Redacted.Redacted | ReadonlyArray<Redacted.Redacted>
  /** Most connections to the database; each carries many statements at a time. @default 8 */
  readonly maxConnections?: number | undefined
  /** How long a call may take before it fails and its connection is closed. @default 10 seconds */
  readonly timeout?: DurationInput | undefined
}

const AGAIN = Schedule.spaced("5 seconds")

const make = Effect.fnUntraced(function*({ url, ...options }: Options) {
  const urls = Redacted.isRedacted(url) ? [url] : url
  const random = yield* SecureRandom.SecureRandom
  const scope = yield* Effect.scope
  const wheres = urls.map((url, at) =>
    urls.length === 1 ? PgCatalog.whereOf(url) : `shard ${at + 1} (${PgCatalog.whereOf(url)})`
  )

  const open = Effect.fnUntraced(function*(
    at: number,
    check: (shard: PgCatalog.Opened) => Effect.Effect<void, CatalogError> = () => Effect.void
  ) {
    const own = yield* Scope.fork(scope)
    return yield* PgCatalog.open({ ...options, url: urls[at]!, keyPrefix: prefixOf(at) }).pipe(
      Effect.tap(check),
      Scope.provide(own),
      Effect.onError(() => Scope.close(own, Exit.void))
    )
  })

  const attempts = yield* Effect.forEach(urls, (_, at) => Effect.result(open(at)), { concurrency: "unbounded" })
  const opened = attempts.map((attempt) => attempt._tag === "Success" ? attempt.success : undefined)
  const failures = attempts.flatMap((attempt) => attempt._tag === "Failure" ? [attempt.failure] : [])
  // What cannot be reached may come later; what refuses will not.
  const refusal = failures.find(({ reason }) => reason === undefined)
  if (refusal !== undefined) return yield* refusal
  const some = opened.find((shard) => shard !== undefined)
  if (some === undefined) return yield* failures[0]!

  const set = yield* Members.agree(
    opened.map((shard, at) => ({ where: wheres[at]!, identity: shard?.identity })),
    random
  )

  /** Opens a shard that could not be reached at the start. */
  const join = Effect.fnUntraced(function*(at: number) {
    opened[at] = yield* open(
      at,
      ({ identity }) =>
        Effect.flatMap(identity.recorded, (recorded) =>
          recorded?.id === set.ids[at]
            ? Effect.void
            : Effect.andThen(
              Effect.logError(`${wheres[at]} is another database than before; it is not used`),
              Effect.fail(new CatalogError({ cause: new Error("another database") }))
            ))
    )
    yield* Effect.logInfo(`${wheres[at]} can be reached again`)
  })
  for (const [at, shard] of opened.entries()) {
    if (shard !== undefined) continue
    yield* Effect.logError(`${wheres[at]} cannot be reached; the server starts without its files`)
    yield* Effect.forkScoped(Effect.retry(join(at), AGAIN))
  }

  return Router.make({
    shards: wheres.map((where, at) => ({
      where,
      catalog: () => opened[at]?.catalog,
      sizes: Effect.suspend(() =>
        Effect.map(opened[at]!.identity.recorded, (recorded) => recorded?.set.sizes ?? set.sizes)
      )
    })),
    sizes: set.sizes,
    prolongInterval: some.catalog.prolongInterval,
    scope
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
