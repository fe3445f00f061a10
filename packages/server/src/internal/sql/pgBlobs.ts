/** The store's blobs in PostgreSQL's catalog: the store's id, expected blobs, and garbage. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Catalog, CatalogError } from "../../Catalog.ts"
import type { Prepared } from "./pgPrepare.ts"
import type { Postgres } from "./postgres.ts"
import { EXPECTED_MILLIS, type Row } from "./rows.ts"

type Stores = Pick<Catalog["Service"], "expect" | "garbage" | "forget" | "unknown" | "newest" | "pair">

/** A constant: servers that start at the same time take turns. */
const PAIRING_LOCK = 4_051_907_434
/** Comparing an old catalog with an old store takes time proportional to the store. */
const PAIRING_DEADLINE = Duration.minutes(30)

/** The sweeper finds and repeats what a crash of the database undoes of `relaxed` statements. */
export const make = ({ prepare, relaxed }: Prepared, durable: Postgres): Stores => {
  const sql = {
    // Durable: a crash that undoes it would leave bytes without a record.
    expect: prepare<"blob">(
      `INSERT INTO garbage (blob, after) VALUES (:blob, :now + ${EXPECTED_MILLIS}) ON CONFLICT DO NOTHING`
    ),
    // Receivers of replaced content get the rest of it, and so do those of a file that is used up: its bytes stay until then.
    garbage: prepare<"from">(`
      SELECT blob FROM garbage WHERE blob > :from AND after <= :now
        AND blob NOT IN (SELECT blob FROM leases WHERE (flowing OR consumed) AND until > :now)
      ORDER BY blob LIMIT 1000`),
    forget: relaxed<"blobs">("DELETE FROM garbage WHERE blob IN (SELECT json_array_elements_text(:blobs::json))"),
    unknown: prepare<"blobs">(`
      SELECT blob FROM json_array_elements_text(:blobs::json) AS given (blob)
      WHERE NOT EXISTS (SELECT 1 FROM files WHERE files.blob = given.blob)
        AND NOT EXISTS (SELECT 1 FROM garbage WHERE garbage.blob = given.blob)
        AND NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.blob = given.blob)`),
    newest: prepare<"limit">("SELECT blob FROM files ORDER BY seq DESC LIMIT :limit")
  }
  const blobsOf = (rows: ReadonlyArray<Row>) => rows.map(({ blob }) => blob as string)

  return {
    expect: (blob) => Effect.as(sql.expect({ blob }), 0),
    garbage: (from) => Effect.map(sql.garbage({ from }), blobsOf),
    forget: (blobs) => Effect.asVoid(sql.forget({ blobs: JSON.stringify(blobs) })),
    unknown: (blobs) => Effect.map(sql.unknown({ blobs: JSON.stringify(blobs) }), blobsOf),
    newest: (limit) => Effect.map(sql.newest({ limit }), blobsOf),

    pair: <E>(decide: (id: string | undefined) => Effect.Effect<string, E>) => {
      let refusal: { readonly error: E } | undefined
      const pairing = Effect.gen(function*() {
        yield* durable.query("change", "SET LOCAL statement_timeout = 0", [])
        yield* durable.query("change", "SELECT pg_advisory_xact_lock($1)", [BigInt(PAIRING_LOCK)])
        const [row] = yield* durable.query("change", "SELECT id FROM store", [])
        const known = row?.["id"] as string | undefined
        const id = yield* Effect.mapError(decide(known), (error) => {
          refusal = { error }
          return new CatalogError({ cause: error })
        })
        if (known === undefined) yield* durable.query("change", "INSERT INTO store (id) VALUES ($1)", [id])
      })
      return Effect.mapError(
        durable.transaction(pairing, PAIRING_DEADLINE),
        (error): CatalogError | E => refusal === undefined ? error : refusal.error
      )
    }
  }
}
