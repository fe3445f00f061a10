/** Prepares PostgreSQL statements with named values, for the connections that suit them. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { CatalogError } from "../../Catalog.ts"
import * as PgPools from "./pgPools.ts"
import * as Postgres from "./postgres.ts"
import type { Row } from "./rows.ts"

type Value = string | number | boolean | null

/** A prepared statement; `:name` in its text are the values, and `:now` is the time, which it adds itself. */
export type Run<Names extends string> = (
  values: { readonly [Name in Names]: Value }
) => Effect.Effect<ReadonlyArray<Row>, CatalogError>

type Prepare = <const Names extends string = never>(text: string) => Run<Names>

/** Kinds of statements. */
export interface Prepared {
  /** For changes that must be on the disk when they return. */
  readonly prepare: Prepare
  /**
   * For changes that a crash of PostgreSQL may undo: a claim, which sends no last byte before `handOver` is on the disk, and
   * changes that are repeated anyway. Does not wait for the disk.
   */
  readonly relaxed: Prepare
  /** For slow queries: lists and searches, which only wait for each other. */
  readonly listed: Prepare
  /** For changes whose outcome the caller must know. */
  readonly change: Prepare
}

/** PostgreSQL's own clock, unless the program has another one, as tests do. */
const NOW = "coalesce(:now::bigint, (extract(epoch FROM statement_timestamp()) * 1000)::bigint)"
const systemClock = Context.get(Context.empty(), Clock.Clock)
const givenTime = Clock.clockWith((clock) => clock === systemClock ? Effect.succeed(null) : clock.currentTimeMillis)

/**
 * PostgreSQL gets every number as a `bigint`. The caller of a `change` learns if its outcome is unknown; everything else may be
 * repeated without harm.
 */
const prepareOn = (client: Postgres.Postgres, kind: Postgres.Kind = "repeatable"): Prepare => (text) => {
  const names: Array<string> = []
  const sql = text.replaceAll(":now", NOW).replace(/(?<!:):([a-z]\w*)/gi, (_, name: string) => {
    if (!names.includes(name)) names.push(name)
    return `$${names.indexOf(name) + 1}`
  })
  return (values) =>
    Effect.flatMap(givenTime, (now) => {
      const all: Readonly<Record<string, Value>> = { ...values, now }
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

/** Connects to a database until the scope closes. `durable` makes transactions. */
export const connect = Effect.fnUntraced(function*(given: {
  readonly url: Redacted.Redacted
  readonly maxConnections: number
  readonly deadline: Duration.Duration
}) {
  const options = { ...given, siblings: PgPools.siblings() }
  const connections = (synchronousCommit: "on" | "off") =>
    Postgres.make({
      ...options,
      // A statement that waits for a lock delays the next ones on its connection, so only a few share one.
      multiplex: 8,
      parameters: { synchronous_commit: synchronousCommit }
    })
  const durable = yield* connections("on")
  const unsynced = yield* connections("off")
  const listing = yield* Postgres.make({ ...options, maxConnections: 2, multiplex: 1 })
  const prepared: Prepared = {
    prepare: prepareOn(durable),
    relaxed: prepareOn(unsynced),
    listed: prepareOn(listing, "list"),
    change: prepareOn(durable, "change")
  }
  return { durable, prepared }
})
