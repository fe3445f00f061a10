/** Statements of PostgreSQL with named values, prepared for the connections that fit what they do. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { CatalogError } from "../../Catalog.ts"
import * as Postgres from "./postgres.ts"
import type { Row } from "./rows.ts"

export type Value = string | number | boolean | null

/** A statement that was prepared; `:name` in its text are the values, and `:now` is the time, which it knows itself. */
export type Run<Names extends string> = (
  values: { readonly [Name in Names]: Value }
) => Effect.Effect<ReadonlyArray<Row>, CatalogError>

export type Prepare = <const Names extends string = never>(text: string) => Run<Names>

/** The ways to prepare a statement. */
export interface Prepared {
  /** For what must be on the disk when it is done. */
  readonly prepare: Prepare
  /**
   * For what a crash of PostgreSQL may undo: a claim, which gives no last byte before `handOver` is on the disk, and what is done
   * again anyway. It does not wait for the disk.
   */
  readonly relaxed: Prepare
  /** For what may take long: lists and searches, which wait for each other only. */
  readonly listed: Prepare
  /** For what the caller must know the outcome of. */
  readonly change: Prepare
}

/** PostgreSQL's own clock, unless the program was given another one, as tests are. */
const NOW = "coalesce(:now::bigint, (extract(epoch FROM statement_timestamp()) * 1000)::bigint)"
const systemClock = Context.get(Context.empty(), Clock.Clock)
const givenTime = Clock.clockWith((clock) => clock === systemClock ? Effect.succeed(null) : clock.currentTimeMillis)

/**
 * A number is always a `bigint` to PostgreSQL. Of a `change` the caller learns when its outcome is unknown; everything else may be
 * asked again without harm.
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

/** Connects to a database, which ends with the scope. `durable` is what transactions are made with. */
export const connect = Effect.fnUntraced(function*(options: {
  readonly url: Redacted.Redacted
  readonly maxConnections: number
  readonly deadline: Duration.Duration
}) {
  const connections = (synchronousCommit: "on" | "off") =>
    Postgres.make({
      ...options,
      // A statement that waits for a lock delays what comes after it on its connection, so not too many share one.
      multiplex: 8,
      parameters: { synchronous_commit: synchronousCommit }
    })
  const durable = yield* connections("on")
  const unsynced = yield* connections("off")
  const listing = yield* Postgres.make({ ...options, maxConnections: 2, multiplex: 1 })
  const prepared: Prepared = {
    prepare: prepareOn(durable),
    relaxed: prepareOn(unsynced),
    listed: prepareOn(listing),
    change: prepareOn(durable, "change")
  }
  return { durable, prepared }
})
