/**
 * PostgreSQL with deadlines: a pool of connections that never keeps a caller longer than it may, and says of a statement that failed
 * whether it can have changed anything.
 *
 * PostgreSQL ends a statement itself before the deadline. So when the deadline comes, it is not the statement that is slow: the
 * connection is silent, or the machine behind it. What it may have done is unknown, and the other connections of the pool are
 * likely to be silent too, though new ones may work: the pool is replaced by a new one.
 *
 * `PgCatalog` uses it; this module needs `@effect/sql-pg`.
 */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type * as SqlError from "effect/sql/SqlError"
import * as Net from "node:net"
import { CatalogError } from "../../Catalog.ts"
import { within } from "../shared/deadline.ts"

export type Row = Record<string, unknown>

export interface Options {
  readonly url: Redacted.Redacted
  readonly maxConnections: number
  /** Statements that share a connection; 1: each has one of its own. */
  readonly multiplex: number
  /** How long a call may take, the wait for a connection included. */
  readonly deadline: Duration.Duration
  /** Settings of each session. */
  readonly parameters?: Readonly<Record<string, string>>
}

/** Of a `change` the caller must know whether it was made; `repeatable` may be asked again whatever became of it. */
export type Kind = "repeatable" | "change"

export interface Postgres {
  readonly query: (
    kind: Kind,
    text: string,
    values: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, CatalogError>
  /** The statements inside have one connection and are one change. `deadline` is for all of them. */
  readonly transaction: <A>(
    effect: Effect.Effect<A, CatalogError>,
    deadline?: Duration.Duration
  ) => Effect.Effect<A, CatalogError>
}

/** The connection of the transaction that a statement is part of. */
const InTransaction = Context.Reference<PgConnection.PgConnection | undefined>(
  "@effect-fileio/server/internal/postgres/InTransaction",
  { defaultValue: () => undefined }
)

/** A pool, and its sockets: only a destroyed socket is certain to end what waits for it. */
interface Generation {
  readonly pool: PgPool.PgPool
  readonly sockets: Set<Net.Socket>
  readonly scope: Scope.Closeable
}

class Late {
  readonly _tag = "Late"
}

const addressOf = (
  url: Redacted.Redacted
): { readonly path: string } | { readonly host: string; readonly port: number } => {
  const { hostname, port, searchParams } = new URL(Redacted.value(url))
  const host = searchParams.get("host") ?? decodeURIComponent(hostname.replace(/^\[(.*)\]$/, "$1"))
  const number = Number(searchParams.get("port") ?? (port === "" ? 5432 : port))
  return host.startsWith("/")
    ? { path: `${host}/.s.PGSQL.${number}` }
    : { host: host === "" ? "localhost" : host, port: number }
}

const codeOf = (error: SqlError.SqlError): string => {
  const { cause } = error.reason
  return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
}

/** PostgreSQL is there and could not do it now: it has no room, stops, waits for a lock, or ends what takes too long. */
const NOT_NOW = /^(?:40|53|55P03|57|25006)/
/** The server ends, which may come after a commit. */
const ENDING = /^57P0/

/** Whether a statement that reached PostgreSQL may be done although it failed. */
const mayBeDone = (error: SqlError.SqlError | Late): boolean =>
  error._tag === "Late" || error.reason._tag === "ConnectionError" || ENDING.test(codeOf(error))

const isUnavailable = (error: SqlError.SqlError | Late): boolean =>
  mayBeDone(error) || NOT_NOW.test(codeOf(error as SqlError.SqlError))

const toCatalogError = (error: SqlError.SqlError | Late, asked: boolean): CatalogError => {
  const cause = error._tag === "Late" ? new Error("PostgreSQL gave no answer in time") : error
  return asked && mayBeDone(error)
    ? new CatalogError({ cause, reason: "unknown" })
    : isUnavailable(error)
    ? new CatalogError({ cause, reason: "unavailable" })
    : new CatalogError({ cause })
}

const isDeadlock = (error: SqlError.SqlError | Late): boolean =>
  error._tag === "SqlError" && error.reason._tag === "DeadlockError"

const AGAIN = Schedule.spaced("250 millis")

/**
 * Makes a change whose outcome may be lost. While it is unknown the change is made again, for `time` at most; `again` says so, and
 * the change must then see by itself whether it was made before.
 */
export const decided = <A>(
  change: (again: boolean) => Effect.Effect<A, CatalogError>,
  time: Duration.Duration
): Effect.Effect<A, CatalogError> =>
  Effect.catchIf(change(false), ({ reason }) => reason === "unknown", (lost) =>
    Effect.mapError(
      within(Effect.retry(change(true), AGAIN), time, () => lost),
      ({ cause }) => new CatalogError({ cause, reason: "unknown" })
    ))

export const make = Effect.fnUntraced(function*(options: Options) {
  const { deadline } = options
  const address = addressOf(options.url)
  const scope = yield* Effect.scope
  const generations = new Set<Generation>()

  const open = Effect.gen(function*() {
    const sockets = new Set<Net.Socket>()
    const generationScope = yield* Scope.make()
    const pool = yield* PgPool.make({
      url: options.url,
      applicationName: "fileio-server",
      connectTimeout: Duration.min(Duration.seconds(5), Duration.times(deadline, 0.5)),
      maxConnections: options.maxConnections,
      multiplex: options.multiplex > 1,
      multiplexConcurrency: options.multiplex,
      stream: () => {
        const socket = Net.connect({ ...address, noDelay: true })
        sockets.add(socket)
        return socket.once("close", () => sockets.delete(socket))
      },
      startupParameters: {
        ...options.parameters,
        // Sooner than the deadline, so that what comes at the deadline is no slow statement.
        statement_timeout: String(Math.ceil(Duration.toMillis(deadline) * 0.8))
      }
    }).pipe(Scope.provide(generationScope), Effect.orDie)
    const generation: Generation = { pool, sockets, scope: generationScope }
    generations.add(generation)
    return generation
  })

  const close = (generation: Generation) =>
    Effect.suspend(() => {
      generations.delete(generation)
      for (const socket of generation.sockets) socket.destroy()
      return Scope.close(generation.scope, Exit.void)
    })

  let current = yield* open
  yield* Effect.addFinalizer(() => Effect.forEach([...generations], close, { concurrency: "unbounded", discard: true }))

  /** What runs in the pool may still end well; when it cannot any more, its connections are closed. */
  const retire = (generation: Generation): Effect.Effect<void> =>
    Effect.suspend(() =>
      generation !== current ? Effect.void : Effect.andThen(
        Effect.map(open, (next) => {
          current = next
        }),
        Effect.asVoid(Effect.forkIn(Effect.delay(close(generation), deadline), scope))
      )
    ).pipe(Effect.uninterruptible)

  /** `asking` is called before PostgreSQL is asked: a wait for a connection alone is no reason to retire the pool. */
  const bounded = <A>(
    run: (pool: PgPool.PgPool, asking: () => void) => Effect.Effect<A, SqlError.SqlError>,
    time: Duration.Duration
  ): Effect.Effect<A, SqlError.SqlError | Late> =>
    Effect.suspend(() => {
      const generation = current
      let asked = false
      const running = run(generation.pool, () => {
        asked = true
      })
      return Effect.tapError(
        within(running, time, () => new Late()),
        (error) => error._tag === "Late" && asked ? retire(generation) : Effect.void
      )
    })

  const query: Postgres["query"] = (kind, text, values) =>
    Effect.flatMap(InTransaction, (connection) => {
      // What a transaction changes is done by its commit alone.
      if (connection !== undefined) {
        return Effect.map(connection.query(text, values), ({ rows }) => rows).pipe(
          Effect.mapError((error) => toCatalogError(error, false))
        )
      }
      let asked = false
      const run = bounded((pool, asking) =>
        pool.use((connection) => {
          asking()
          asked = kind === "change"
          return connection.query(text, values)
        }), deadline)
      return run.pipe(
        Effect.retry({ while: isDeadlock, times: 3 }),
        Effect.map(({ rows }) => rows),
        Effect.mapError((error) => toCatalogError(error, asked))
      )
    })

  const transaction = <A>(
    effect: Effect.Effect<A, CatalogError>,
    time: Duration.Duration = deadline
  ): Effect.Effect<A, CatalogError> => {
    let committing = false
    const run = (pool: PgPool.PgPool, asking: () => void) =>
      Effect.scoped(Effect.gen(function*() {
        const connection = yield* pool.reserve
        asking()
        let clean = false
        // A connection that may be inside a transaction is of no more use.
        yield* Effect.addFinalizer(() => clean ? Effect.void : pool.invalidate(connection))
        yield* connection.query("BEGIN", [], false)
        const exit = yield* Effect.exit(Effect.provideService(effect, InTransaction, connection))
        committing = Exit.isSuccess(exit)
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
