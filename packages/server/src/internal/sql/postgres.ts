/**
 * PostgreSQL with deadlines: a pool of connections that never keeps a caller longer than it may, and reports of a failed
 * statement whether it can have changed anything.
 *
 * PostgreSQL ends a statement itself before the deadline. So if the deadline passes, the effect of the statement is unknown.
 *
 * `PgCatalog` uses it; this module needs `@effect/sql-pg`.
 */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import type * as PgPool from "@effect/sql-pg/PgPool"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type * as SqlError from "effect/sql/SqlError"
import { CatalogError } from "../../Catalog.ts"
import { within } from "../shared/deadline.ts"
import * as PgPools from "./pgPools.ts"
import type { Row } from "./rows.ts"

/** The caller of a `change` must know whether it was made; `repeatable` may be repeated in any case; a `list` may be too slow. */
export type Kind = "repeatable" | "change" | "list"

export interface Postgres {
  readonly query: (
    kind: Kind,
    text: string,
    values: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, CatalogError>
  /** The statements inside share one connection and are one change. `deadline` is for all of them. */
  readonly transaction: <A>(
    effect: Effect.Effect<A, CatalogError>,
    deadline?: Duration.Duration
  ) => Effect.Effect<A, CatalogError>
}

/** The connection of the current transaction; statements for other databases do not belong to it. */
const InTransaction = Context.Reference<
  { readonly url: PgPools.Options["url"]; readonly connection: PgConnection.PgConnection } | undefined
>(
  "@effect-fileio/server/internal/postgres/InTransaction",
  { defaultValue: () => undefined }
)

const codeOf = (error: SqlError.SqlError): string => {
  const { cause } = error.reason
  return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
}

/** PostgreSQL responded and could not do it now: it has no space, stops, waits for a lock, or cancelled a slow statement. */
const NOT_NOW = /^(?:40|53|55P03|57|25006)/
/** It cancelled a slow statement. */
const CANCELLED = "57014"
/** The server stops, which may come after a commit. */
const ENDING = /^57P0/

/** Whether a failed statement that reached PostgreSQL may have taken effect. */
const mayBeDone = (error: SqlError.SqlError | PgPools.Late): boolean =>
  error._tag === "Late" || error.reason._tag === "ConnectionError" || ENDING.test(codeOf(error))

const isUnavailable = (error: SqlError.SqlError | PgPools.Late): boolean =>
  mayBeDone(error) || NOT_NOW.test(codeOf(error as SqlError.SqlError))

const toCatalogError = (error: SqlError.SqlError | PgPools.Late, asked: boolean, kind?: Kind): CatalogError => {
  const cause = error._tag === "Late" ? new Error("PostgreSQL did not respond in time") : error
  return asked && mayBeDone(error)
    ? new CatalogError({ cause, reason: "unknown" })
    : kind === "list" && error._tag === "SqlError" && codeOf(error) === CANCELLED
    ? new CatalogError({ cause, reason: "slow" })
    : isUnavailable(error)
    ? new CatalogError({ cause, reason: "unavailable" })
    : new CatalogError({ cause })
}

const isDeadlock = (error: SqlError.SqlError | PgPools.Late): boolean =>
  error._tag === "SqlError" && error.reason._tag === "DeadlockError"

const AGAIN = Schedule.spaced("250 millis")

/** The change was made before, and others have undone it or followed it since: what it would have returned is not known. */
export class MadeBefore extends Error {
  constructor() {
    super("the change was made, and another one has followed")
  }
}

/**
 * Makes a change whose response may be lost. While its outcome is unknown, the change is repeated, for `time` at most, with
 * `again`; it must then check whether it was made before.
 */
export const decided = <A>(
  change: (again: boolean) => Effect.Effect<A, CatalogError>,
  time: Duration.Duration
): Effect.Effect<A, CatalogError> =>
  Effect.catchIf(change(false), ({ reason }) => reason === "unknown", (lost) =>
    Effect.mapError(
      within(
        Effect.retry(change(true), { schedule: AGAIN, while: ({ cause }) => !(cause instanceof MadeBefore) }),
        time,
        () => lost
      ),
      ({ cause }) => new CatalogError({ cause, reason: "unknown" })
    ))

export const make = Effect.fnUntraced(function*(options: PgPools.Options) {
  const { deadline, url } = options
  const { bounded } = yield* PgPools.make(options)

  const query: Postgres["query"] = (kind, text, values) =>
    Effect.flatMap(InTransaction, (current) => {
      // Only its commit makes a transaction's changes.
      if (current?.url === url) {
        return Effect.map(current.connection.query(text, values), ({ rows }) => rows).pipe(
          Effect.mapError((error) => toCatalogError(error, false))
        )
      }
      let asked = false
      type Asking = Effect.Effect<{ readonly rows: ReadonlyArray<Row> }, SqlError.SqlError | PgPools.Late>
      const run = bounded((pool, mayAsk) =>
        pool.use((connection): Asking => {
          if (!mayAsk()) return Effect.fail(new PgPools.Late())
          asked = kind === "change"
          return connection.query(text, values)
        }), deadline)
      return run.pipe(
        Effect.retry({ while: isDeadlock, times: 3 }),
        Effect.map(({ rows }) => rows),
        Effect.mapError((error) => toCatalogError(error, asked, kind))
      )
    })

  const transaction = <A>(
    effect: Effect.Effect<A, CatalogError>,
    time: Duration.Duration = deadline
  ): Effect.Effect<A, CatalogError> => {
    let committing = false
    const run = (pool: PgPool.PgPool, mayAsk: () => boolean) =>
      Effect.scoped(Effect.gen(function*() {
        const connection = yield* pool.reserve
        mayAsk()
        let clean = false
        // A connection that may be inside a transaction is unusable.
        yield* Effect.addFinalizer(() => clean ? Effect.void : pool.invalidate(connection))
        yield* connection.query("BEGIN", [], false)
        const exit = yield* Effect.exit(Effect.provideService(effect, InTransaction, { url, connection }))
        committing = Exit.isSuccess(exit) && mayAsk()
        const { command } = yield* connection.query(committing ? "COMMIT" : "ROLLBACK", [], false)
        clean = true
        return committing && command !== "COMMIT"
          ? Exit.fail(
            new CatalogError({ cause: new Error("PostgreSQL rolled the change back"), reason: "unavailable" })
          )
          : exit
      }))
    return bounded(run, time).pipe(
      Effect.mapError((error) => toCatalogError(error, committing)),
      Effect.flatten
    )
  }

  return { query, transaction } satisfies Postgres
})
