/**
 * The store's blobs in SQLite's catalog: the store's id, expected blobs, and garbage. Changes run in the catalog's thread, inside
 * a transaction; the main thread only reads.
 */
import type { Database, Reads } from "./sqlite.ts"

/** Milliseconds after which expected bytes without a file are garbage. */
const EXPECTED_MILLIS = 60 * 60 * 1000

/** What any connection can ask. */
export const queries = ({ query }: Reads) => {
  const sql = {
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
    storeId: query("SELECT id FROM store")
  }
  return {
    garbage: (from: string, now: number) => sql.garbage.all({ from, now }).map((row) => row["blob"] as string),
    unknown: (blobs: ReadonlyArray<string>) => blobs.filter((blob) => sql.knows.first({ blob }) === undefined),
    newest: (limit: number) => sql.newest.all({ limit }).map((row) => row["blob"] as string),
    storeId: () => sql.storeId.first()?.["id"] as string | undefined
  }
}

export const make = (db: Database) => {
  const sql = {
    expect: db.change("INSERT OR IGNORE INTO garbage (blob, after, expected) VALUES (:blob, :after, 1)"),
    arrived: db.change("DELETE FROM garbage WHERE blob = :blob"),
    abandoned: db.change("UPDATE garbage SET after = :now, expected = 0 WHERE expected = 1"),
    discard: db.change("INSERT OR IGNORE INTO garbage (blob, after) VALUES (:blob, :after)"),
    setStoreId: db.change("INSERT INTO store (id) VALUES (:id)")
  }

  return {
    expect: (blob: string, now: number) => sql.expect.run({ blob, after: now + EXPECTED_MILLIS }),
    forget: (blobs: ReadonlyArray<string>) => {
      for (const blob of blobs) sql.arrived.run({ blob })
    },
    setStoreId: (id: string) => sql.setStoreId.run({ id }),
    /** The blob belongs to a file now. */
    arrived: (blob: string) => sql.arrived.run({ blob }),
    /** The blob belongs to no file any more; its bytes may be removed after that time. */
    discard: (blob: string, after: number) => sql.discard.run({ blob, after }),
    /** At the start: the blobs that the last process expected will not come. */
    abandon: (now: number) => sql.abandoned.run({ now })
  }
}

export type SqliteBlobs = ReturnType<typeof make>
