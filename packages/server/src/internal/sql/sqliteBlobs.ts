/**
 * The store's blobs in SQLite's catalog: the store's id, expected blobs, and garbage. Changes run in the catalog's thread, inside
 * a transaction; the main thread only reads.
 */
import type { NewFile } from "../../Catalog.ts"
import { ArrivedLate, EXPECTED_END_MILLIS, EXPECTED_MILLIS } from "./rows.ts"
import type { Database, Reads } from "./sqlite.ts"

/** Ids of small files begin with it: their bytes are in the table `contents`, and not in the store. */
const SMALL = "catalog-"
export const isSmall = (blob: string): boolean => blob.startsWith(SMALL)
/** Ids of files that are uploaded one after another are neighbours, so that few pages of the indexes change. */
export const smallId = (now: number, random: string): string => `${SMALL}${now.toString(16).padStart(12, "0")}${random}`

/** Newest files among which those of the store are looked for. */
const NEWEST = 1000

/** What any connection can ask. */
export const queries = ({ query }: Reads) => {
  const sql = {
    // Receivers of replaced content get the rest of it, and so do those of a file that is used up: its bytes stay until then.
    garbage: query(`
      SELECT blob FROM garbage WHERE blob > :from AND after <= :now
        AND blob NOT IN (SELECT blob FROM leases WHERE phase <> 'broken' AND (until IS NULL OR until > :now))
      ORDER BY blob LIMIT 1000`),
    knows: query(`
      SELECT 1 WHERE EXISTS (SELECT 1 FROM files WHERE blob = :blob) OR EXISTS (SELECT 1 FROM garbage WHERE blob = :blob)
        OR EXISTS (SELECT 1 FROM uploads WHERE blob = :blob)`),
    newest: query(`
      SELECT blob FROM (SELECT blob FROM files ORDER BY seq DESC LIMIT ${NEWEST})
      WHERE blob NOT GLOB '${SMALL}*' LIMIT :limit`),
    // Random ones, from the index of their ids.
    some: query(`SELECT blob FROM files WHERE blob < '${SMALL}' OR blob > '${SMALL}~' LIMIT :limit`),
    content: query("SELECT bytes FROM contents WHERE blob = :blob"),
    storeId: query("SELECT id FROM store")
  }
  return {
    garbage: (from: string, now: number) => sql.garbage.all({ from, now }).map((row) => row["blob"] as string),
    unknown: (blobs: ReadonlyArray<string>) => blobs.filter((blob) => sql.knows.first({ blob }) === undefined),
    /** Blobs in the store: of the newest files, or of any if all of those are small. */
    newest: (limit: number) => {
      const newest = sql.newest.all({ limit })
      return (newest.length > 0 ? newest : sql.some.all({ limit })).map((row) => row["blob"] as string)
    },
    /** The bytes of a small file. */
    content: (blob: string) => sql.content.first({ blob })?.["bytes"] as Uint8Array | undefined,
    storeId: () => sql.storeId.first()?.["id"] as string | undefined
  }
}

export const make = (db: Database) => {
  const sql = {
    expect: db.change("INSERT OR IGNORE INTO garbage (blob, after, expected) VALUES (:blob, :after, 1)"),
    isExpected: db.query("SELECT 1 FROM garbage WHERE blob = :blob AND expected = 1 AND after > :from"),
    forget: db.change("DELETE FROM garbage WHERE blob = :blob"),
    abandoned: db.change("UPDATE garbage SET after = :now, expected = 0 WHERE expected = 1"),
    addContent: db.change("INSERT INTO contents (blob, bytes) VALUES (:blob, :bytes)"),
    removeContent: db.change("DELETE FROM contents WHERE blob = :blob"),
    discard: db.change("INSERT OR IGNORE INTO garbage (blob, after) VALUES (:blob, :after)"),
    setStoreId: db.change("INSERT INTO store (id) VALUES (:id)")
  }

  return {
    expect: (blob: string, now: number) => sql.expect.run({ blob, after: now + EXPECTED_MILLIS }),
    forget: (blobs: ReadonlyArray<string>) => {
      for (const blob of blobs) {
        sql.forget.run({ blob })
        if (isSmall(blob)) sql.removeContent.run({ blob })
      }
    },
    setStoreId: (id: string) => sql.setStoreId.run({ id }),
    /** Throws `ArrivedLate` if the blob is to be expected, and is not any more. */
    check: ({ blob, isExpected = false }: Pick<NewFile, "blob" | "isExpected">, now: number): void => {
      if (isExpected && sql.isExpected.first({ blob, from: now + EXPECTED_END_MILLIS }) === undefined) {
        throw new ArrivedLate()
      }
    },
    /** The blob belongs to a file now. `bytes`: it is a small one. */
    arrived: ({ blob, bytes }: Pick<NewFile, "blob" | "bytes">): void => {
      if (bytes === undefined) sql.forget.run({ blob })
      else sql.addContent.run({ blob, bytes })
    },
    /** The blob belongs to no file any more; its bytes may be removed after that time. */
    discard: (blob: string, after: number) => sql.discard.run({ blob, after }),
    /** At the start: the blobs that the last process expected will not come. */
    abandon: (now: number) => sql.abandoned.run({ now })
  }
}

export type SqliteBlobs = ReturnType<typeof make>
