/**
 * The resumable uploads of the catalog in SQLite. Changes run in the catalog's thread, inside a transaction; the main thread only
 * reads.
 */
import type { Completion, FileRecord, UploadProgress, UploadRecord, Uploads } from "../../Catalog.ts"
import * as Rows from "./rows.ts"
import type { Database, Reads } from "./sqlite.ts"
import type { SqliteBlobs } from "./sqliteBlobs.ts"

const record = (row: Rows.Row | undefined): UploadRecord | undefined =>
  row === undefined ? undefined : Rows.toUpload(row)

/** What any connection can ask. */
export const queries = ({ query }: Reads) => {
  const get = query("SELECT * FROM uploads WHERE id = :id AND ends > :now")
  return {
    get: (id: string, now: number) => record(get.first({ id, now }))
  }
}

const statements = ({ change, query, returning }: Database) => ({
  create: change(`
    INSERT INTO uploads (id, owner, request, blob, received, length, generation, ends)
    VALUES (:id, :owner, :request, :blob, 0, :length, 0, :ends)`),
  begin: returning("UPDATE uploads SET generation = generation + 1 WHERE id = :id AND ends > :now RETURNING *"),
  record: change(`
    UPDATE uploads SET received = :received, state = :state, length = :length, ends = :ends
    WHERE id = :id AND generation = :generation AND file IS NULL`),
  isNewest: query("SELECT blob FROM uploads WHERE id = :id AND generation = :generation AND file IS NULL"),
  complete: change(`
    UPDATE uploads SET received = 0, length = :length, state = NULL, file = :file, ends = :ends WHERE id = :id`),
  remove: returning("DELETE FROM uploads WHERE id = :id RETURNING blob, file"),
  ended: query("SELECT id FROM uploads WHERE ends <= :now LIMIT :limit")
})

export const make = (db: Database, blobs: SqliteBlobs) => {
  const sql = statements(db)

  const remove = (id: string, now: number): void => {
    const row = sql.remove.first({ id })
    if (row !== undefined && row["file"] === null) blobs.discard(row["blob"] as string, now)
  }

  return {
    create: (upload: Parameters<Uploads["create"]>[0]): void => {
      const { blob, ends, id, length, owner, request } = upload
      sql.create.run({ id, owner, request, blob, length, ends })
    },

    begin: (id: string, now: number) => record(sql.begin.first({ id, now })),

    // The store knows best how much it has; here it is for the plan.
    record: (id: string, generation: number, { ends, length, received, state }: UploadProgress): void => {
      if (sql.record.run({ received, state, length, ends, id, generation }) === 0) throw new Rows.UploadEnded()
    },

    remove,

    /** Throws `UploadEnded` unless the completion is of the newest request of an upload that is not complete. */
    check: ({ generation, id }: Completion): void => {
      if (sql.isNewest.first({ id, generation }) === undefined) throw new Rows.UploadEnded()
    },

    /** The bytes of an upload became a file, or were read into the blob of one. */
    complete: ({ ends, generation, id, length }: Completion, file: FileRecord, now: number): void => {
      const { blob } = sql.isNewest.first({ id, generation })!
      if (blob !== file.blob) blobs.discard(blob as string, now)
      sql.complete.run({ id, length, ends, file: JSON.stringify(file) })
    },

    /** Ends uploads whose time is over, at most `limit`; returns how many. */
    endSome: (now: number, limit: number): number => {
      const ended = sql.ended.all({ now, limit })
      for (const { id } of ended) remove(id as string, now)
      return ended.length
    }
  }
}

export type SqliteUploads = ReturnType<typeof make>
