/** The resumable uploads of the catalog in SQLite. `complete` and `end` run inside a transaction of the catalog. */
import * as Option from "effect/Option"
import type { Completion, FileRecord, Uploads } from "../../Catalog.ts"
import * as Rows from "./rows.ts"
import type { Database } from "./sqlite.ts"
import { UploadEnded, withNow } from "./sqliteAttempt.ts"
import type { SqliteBlobs } from "./sqliteBlobs.ts"

const statements = ({ change, query, returning }: Database) => ({
  create: change(`
    INSERT INTO uploads (id, owner, request, blob, received, length, generation, ends)
    VALUES (:id, :owner, :request, :blob, 0, :length, 0, :ends)`),
  get: query("SELECT * FROM uploads WHERE id = :id AND ends > :now"),
  begin: returning("UPDATE uploads SET generation = generation + 1 WHERE id = :id AND ends > :now RETURNING *"),
  record: change(`
    UPDATE uploads SET received = :received, state = :state, length = :length, ends = :ends
    WHERE id = :id AND generation = :generation AND file IS NULL`),
  isNewest: query("SELECT blob FROM uploads WHERE id = :id AND generation = :generation AND file IS NULL"),
  complete: change(`
    UPDATE uploads SET received = 0, length = :length, state = NULL, file = :file, ends = :ends WHERE id = :id`),
  remove: returning("DELETE FROM uploads WHERE id = :id RETURNING blob, file"),
  ended: query("SELECT id FROM uploads WHERE ends <= :now LIMIT :limit"),
  bytes: query("SELECT coalesce(sum(received), 0) AS bytes FROM uploads WHERE owner = :owner")
})

export const make = (db: Database, blobs: SqliteBlobs) => {
  const sql = statements(db)
  const { transaction } = db
  // Asked for with every piece of an upload; no other process writes in the folder.
  const bytes = new Map<string, number>()

  const remove = (id: string, now: number): void => {
    bytes.clear()
    const row = sql.remove.first({ id })
    if (row !== undefined && row["file"] === null) blobs.discard(row["blob"] as string, now)
  }

  const uploads: Uploads = {
    create: (upload) => withNow(() => void transaction(() => sql.create.run({ ...upload }), { usesReserve: false })),

    get: (id) => withNow((now) => Option.map(Option.fromUndefinedOr(sql.get.first({ id, now })), Rows.toUpload)),

    // A power cut ends all requests, so it may undo which is the newest.
    begin: (id) =>
      withNow((now) => {
        const row = transaction(() => sql.begin.first({ id, now }), { durable: false })
        return Option.map(Option.fromUndefinedOr(row), Rows.toUpload)
      }),

    // The store knows best how much it has; here it is for the plan.
    record: ({ generation, id }, progress) =>
      withNow(() =>
        transaction(() => {
          bytes.clear()
          if (sql.record.run({ ...progress, id, generation }) === 0) throw new UploadEnded()
        }, { durable: false })
      ),

    remove: (id) => withNow((now) => transaction(() => remove(id, now)))
  }

  return {
    uploads,

    /** Bytes of the unfinished uploads of an account. */
    bytesOf: (owner: string): number => {
      let known = bytes.get(owner)
      if (known === undefined) bytes.set(owner, known = Number(sql.bytes.first({ owner })!["bytes"]))
      return known
    },

    /** Throws `UploadEnded` unless the completion is of the newest request of an upload that is not complete. */
    check: ({ generation, id }: Completion): void => {
      if (sql.isNewest.first({ id, generation }) === undefined) throw new UploadEnded()
    },

    /** The bytes of an upload became a file, or were read into the blob of one. */
    complete: ({ ends, generation, id, length }: Completion, file: FileRecord, now: number): void => {
      bytes.clear()
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
