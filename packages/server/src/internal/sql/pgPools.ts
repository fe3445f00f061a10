/**
 * Pools of connections to PostgreSQL, one at a time: a silent one is replaced. `postgres.ts` uses it.
 *
 * PostgreSQL ends slow statements before the deadline. So if the deadline passes, the connection is silent, or the machine
 * behind it. The other connections to the database are probably silent too, though new ones may work: one call that noticed
 * replaces them all.
 */
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type * as SqlError from "effect/sql/SqlError"
import * as Net from "node:net"
import { within } from "../shared/deadline.ts"

export interface Options {
  readonly url: Redacted.Redacted
  readonly maxConnections: number
  /** Statements that share a connection; 1: none. */
  readonly multiplex: number
  /** How long a call may take, including the wait for a connection. */
  readonly deadline: Duration.Duration
  /** Settings of each session. */
  readonly parameters?: Readonly<Record<string, string>>
  /** The pools of the same database. */
  readonly siblings: Siblings
}

/** Pools of one database, which are replaced together. */
interface Siblings {
  /** How often they were replaced. */
  replaced: number
  readonly replace: Set<Effect.Effect<void>>
}

export const siblings = (): Siblings => ({ replaced: 0, replace: new Set() })

/** A pool, and its sockets: only destroying a socket certainly ends its pending calls. */
interface Generation {
  readonly pool: PgPool.PgPool
  readonly sockets: Set<Net.Socket>
  readonly scope: Scope.Closeable
}

/** The deadline passed. */
export class Late {
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

/** Opens a pool in its own scope. */
const open = Effect.fnUntraced(function*({ deadline, maxConnections, multiplex, parameters, url }: Options) {
  const address = addressOf(url)
  const sockets = new Set<Net.Socket>()
  const scope = yield* Scope.make()
  const pool = yield* PgPool.make({
    url,
    applicationName: "fileio-server",
    connectTimeout: Duration.min(Duration.seconds(5), Duration.times(deadline, 0.5)),
    maxConnections,
    multiplex: multiplex > 1,
    multiplexConcurrency: multiplex,
    stream: () => {
      const socket = Net.connect({ ...address, noDelay: true })
      sockets.add(socket)
      return socket.once("close", () => sockets.delete(socket))
    },
    startupParameters: {
      ...parameters,
      // Sooner than the deadline, so that a call that meets the deadline is no slow statement.
      statement_timeout: String(Math.ceil(Duration.toMillis(deadline) * 0.8))
    }
  }).pipe(Scope.provide(scope), Effect.orDie)
  return { pool, sockets, scope } satisfies Generation
})

export const make = Effect.fnUntraced(function*(options: Options) {
  const { deadline, siblings } = options
  const scope = yield* Effect.scope
  const generations = new Set<Generation>()

  const begin = Effect.tap(open(options), (generation) =>
    Effect.sync(() => {
      generations.add(generation)
    }))

  const close = (generation: Generation) =>
    Effect.suspend(() => {
      generations.delete(generation)
      for (const socket of generation.sockets) socket.destroy()
      return Scope.close(generation.scope, Exit.void)
    })

  let current = yield* begin
  yield* Effect.addFinalizer(() => Effect.forEach([...generations], close, { concurrency: "unbounded", discard: true }))

  /** Running calls may still succeed; the connections are closed when none can any more. */
  const replace = Effect.suspend(() => {
    const last = current
    return Effect.andThen(
      Effect.map(begin, (next) => {
        current = next
      }),
      Effect.asVoid(Effect.forkIn(Effect.delay(close(last), deadline), scope))
    )
  })
  siblings.replace.add(replace)

  /** `replaced`: how often the pools had been replaced when the call began. */
  const replaceAll = (replaced: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (replaced !== siblings.replaced) return Effect.void
      siblings.replaced++
      return Effect.forEach(siblings.replace, (one) => one, { discard: true })
    }).pipe(Effect.uninterruptible)

  /**
   * `mayAsk` is called before PostgreSQL is asked. Waiting for a connection is no reason to replace the pool; and what ends in
   * the background after the deadline must make no change any more, since its caller has reported that there is none.
   */
  const bounded = <A>(
    run: (pool: PgPool.PgPool, mayAsk: () => boolean) => Effect.Effect<A, SqlError.SqlError | Late>,
    time: Duration.Duration
  ): Effect.Effect<A, SqlError.SqlError | Late> =>
    Effect.suspend(() => {
      const { replaced } = siblings
      let asked = false
      let isLate = false
      const running = run(current.pool, () => {
        asked = true
        return !isLate
      })
      const late = () => {
        isLate = true
        return new Late()
      }
      return Effect.tapError(
        within(running, time, late),
        (error) => error._tag === "Late" && asked ? replaceAll(replaced) : Effect.void
      )
    })

  return { bounded }
})
