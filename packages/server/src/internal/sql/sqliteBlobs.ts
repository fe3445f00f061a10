/** The store's blobs in SQLite's catalog: the store's id, expected blobs, and garbage. */
import * as Effect from "effect/Effect"
import type { Catalog } from "../../Catalog.ts"
import type { Database } from "./sqlite.ts"
import { attempt, withNow } from "./sqliteAttempt.ts"

type Stores = Pick<Catalog["Service"], "expect" | "garbage" | "forget" | "unknown" | "newest" | "pair">

/** Milliseconds after which expected bytes without a file are garbage. */
export const EXPECTED_MILLIS = 60 * 60 * 1000

export const make = (db: Database) => {
  const { change, query, transaction } = db
  const sql = {
    expect: change("INSERT OR IGNORE INTO garbage (blob, after, expected) VALUES (:blob, :after, 1)"),
    arrived: change("DELETE FROM garbage WHERE blob = :blob"),
    abandoned: change("UPDATE garbage SET after = :now, expected = 0 WHERE expected = 1"),
    discard: change("INSERT OR IGNORE INTO garbage (blob, after) VALUES (:blob, :after)"),
    // Receivers of replaced content get the rest of it, so its bytes stay until then.
    garbage: query(`
      SELECT blob FROM garbage WHERE blob > :from AND after <= :now
        AND blob NOT IN (
          SELECT blob FROM leases WHERE phase IN ('flowing', 'handed') AND (until IS NULL OR until > :now)
        )
      ORDER BY blob LIMIT 1000`),
    knows: query(`
      SELECT 1 WHERE EXISTS (SELECT 1 FROM files WHERE blob = :blob) OR EXISTS (SELECT 1 FROM garbage WHERE blob = :blob)
        OR EXISTS (SELECT 1 FROM uploads WHERE blob = :blob)`),
    newest: query("SELECT blob FROM files ORDER BY seq DESC LIMIT :limit"),
    storeId: query("SELECT id FROM store"),
    setStoreId: change("INSERT INTO store (id) VALUES (:id)")
  }

  const storeId = () => sql.storeId.first()?.["id"] as string | undefined

  const stores: Stores = {
    // A power failure that undoes it can leave bytes without a row; the sweeper looks for those.
    expect: (blob) =>
      withNow((now) => {
        transaction(() => sql.expect.run({ blob, after: now + EXPECTED_MILLIS }), {
          durable: false,
          usesReserve: false
        })
      }),

    garbage: (from) => withNow((now) => sql.garbage.all({ from, now }).map((row) => row["blob"] as string)),

    // The bytes are gone; if a power failure undoes this, they are removed once more.
    forget: (blobs) =>
      attempt(() =>
        transaction(() => {
          for (const blob of blobs) sql.arrived.run({ blob })
        }, { durable: false })
      ),

    unknown: (blobs) => attempt(() => blobs.filter((blob) => sql.knows.first({ blob }) === undefined)),

    newest: (limit) => attempt(() => sql.newest.all({ limit }).map((row) => row["blob"] as string)),

    // The lock of the data folder keeps other servers out meanwhile.
    pair: Effect.fnUntraced(function*(decide) {
      const known = yield* attempt(storeId)
      const id = yield* decide(known)
      if (known === undefined) yield* attempt(() => transaction(() => sql.setStoreId.run({ id })))
    })
  }

  return {
    stores,
    /** Inside a transaction: the blob belongs to a file now. */
    arrived: (blob: string) => sql.arrived.run({ blob }),
    /** Inside a transaction: the blob belongs to no file any more; its bytes may be removed after that time. */
    discard: (blob: string, after: number) => sql.discard.run({ blob, after }),
    /** Inside a transaction, at the start: the blobs that the last process expected will not come. */
    abandon: (now: number) => sql.abandoned.run({ now })
  }
}

export type SqliteBlobs = ReturnType<typeof make>
