/**
 * The files of the catalog in SQLite: rows of the table `files`, and tombstones of deleted ones. Changes run in the catalog's
 * thread, inside a transaction; the main thread only reads.
 */
import type { Changes, Fate, FileRecord, NewFile, Tombstone } from "../../Catalog.ts"
import * as Rows from "./rows.ts"
import { EXPIRED, FATE, IN_TIME, USED_UP } from "./rows.ts"
import type { Database, Reads } from "./sqlite.ts"
import type { SqliteBlobs } from "./sqliteBlobs.ts"

// Nobody can ever ask for an anonymous file that is gone, so it is deleted even if `autoDelete` is false. The indexes
// `files_expiring` and `files_used_up` require exactly this wording.
export const FLEETING = "(auto_delete = 1 OR owner = '')"
const GONE = `(${FLEETING} AND (${EXPIRED} OR ${USED_UP}))`

/** A file is not removed during a download. */
const nobodyDownloads = (key: string): string =>
  `NOT EXISTS (SELECT 1 FROM leases WHERE leases.key = ${key} AND phase <> 'counted')`

const record = (row: Rows.Row | undefined): FileRecord | undefined => row === undefined ? undefined : Rows.toRecord(row)

/** What any connection can ask. */
export const queries = ({ query }: Reads) => {
  const sql = {
    get: query(`SELECT * FROM files WHERE key = :key AND NOT ${GONE}`),
    inTime: query(`SELECT * FROM files WHERE key = :key AND ${IN_TIME}`),
    // Its files, and what unfinished uploads have sent.
    usedBytes: query(`
      SELECT coalesce((SELECT bytes FROM usage WHERE owner = :owner), 0) +
        (SELECT coalesce(sum(received), 0) FROM uploads WHERE owner = :owner) AS bytes`),
    totals: query("SELECT coalesce(sum(files), 0) AS files, coalesce(sum(bytes), 0) AS bytes FROM usage"),
    tombstone: query(`
      SELECT delete_hash, fate FROM tombstones WHERE key = :key
      UNION ALL
      SELECT delete_hash, ${FATE} AS fate FROM files WHERE key = :key AND ${GONE}`)
  }
  return {
    /** A file as its owner sees it. */
    get: (key: string, now: number) => record(sql.get.first({ key, now })),
    /** A file that is gone. */
    tombstone: (key: string, now: number): Tombstone | undefined => {
      const row = sql.tombstone.first({ key, now })
      return row === undefined ? undefined : Rows.toTombstone(row)
    },

    /** A file that has not expired. */
    inTime: (key: string, now: number) => record(sql.inTime.first({ key, now })),

    usedBytes: (owner: string): number => sql.usedBytes.first({ owner })!["bytes"] as number,

    totals: () => {
      const { bytes, files } = sql.totals.first()!
      return { files: files as number, bytes: bytes as number }
    }
  }
}

const statements = ({ change, query, returning }: Database) => ({
  insert: returning(`
    INSERT INTO files (key, id, blob, owner, plan, name, folded_name, title, mime_type, size, expires, downloads,
      max_downloads, count_from, auto_delete, created, modified, delete_hash)
    SELECT :key, :id, :blob, :owner, :plan, :name, :foldedName, :title, :mimeType, :size, :expires, 0,
      :maxDownloads, :countFrom, :autoDelete, :created, :created, :deleteHash
    WHERE NOT EXISTS (SELECT 1 FROM files WHERE key = :key) AND NOT EXISTS (SELECT 1 FROM tombstones WHERE key = :key)
    RETURNING *`),
  update: returning(`
    UPDATE files SET blob = :blob, name = :name, folded_name = :foldedName, title = :title, mime_type = :mimeType,
      size = :size, expires = :expires,
      downloads = iif(:replaced, 0, downloads), attempts = iif(:replaced, 0, attempts),
      last_attempt = iif(:replaced, NULL, last_attempt),
      max_downloads = :maxDownloads, count_from = :countFrom, auto_delete = :autoDelete, modified = :now
    WHERE key = :key RETURNING *`),

  begin: change("UPDATE files SET attempts = attempts + 1, last_attempt = :now WHERE key = :key"),
  countDownload: change("UPDATE files SET downloads = downloads + 1 WHERE key = :key AND blob = :blob"),
  isUsedUp: query(`SELECT 1 FROM files WHERE key = :key AND ${FLEETING} AND ${USED_UP} AND ${nobodyDownloads(":key")}`),

  deleteRow: returning("DELETE FROM files WHERE key = :key RETURNING blob, delete_hash"),
  bury: change(
    "INSERT OR IGNORE INTO tombstones (key, buried, delete_hash, fate) VALUES (:key, :now, :deleteHash, :fate)"
  ),
  buried: query(`
    SELECT key, ${FATE} AS fate FROM files WHERE ${FLEETING} AND ${EXPIRED} AND ${nobodyDownloads("files.key")}
    UNION ALL
    SELECT key, 'downloaded' AS fate FROM files WHERE ${FLEETING} AND ${USED_UP} AND ${nobodyDownloads("files.key")}
    LIMIT :limit`),
  endTombstones: change(`
    DELETE FROM tombstones WHERE key IN (SELECT key FROM tombstones WHERE buried <= :before LIMIT :limit)`)
})

export const make = (db: Database, blobs: SqliteBlobs) => {
  const sql = statements(db)

  /** Deletes a file; its bytes may be removed after that time. */
  const bury = (key: string, fate: Fate, now: number, after: number): void => {
    const row = sql.deleteRow.first({ key })
    if (row === undefined) return
    sql.bury.run({ key, now, fate, deleteHash: row["delete_hash"] as string | null })
    blobs.discard(row["blob"] as string, after)
  }

  return {
    ...queries(db),
    bury,

    /** `undefined`: the key is taken. */
    insert: (key: string, id: string, file: NewFile): FileRecord | undefined => {
      const values = Rows.toInsert(key, id, file)
      const row = sql.insert.first({ ...values, autoDelete: Number(values.autoDelete) })
      if (row !== undefined) blobs.arrived(file)
      return record(row)
    },

    update: (old: FileRecord, changes: Changes, now: number): FileRecord => {
      const { content } = changes
      if (content !== undefined) {
        blobs.discard(old.blob, now)
        blobs.arrived(content)
      }
      const values = Rows.toUpdate(old, changes)
      const { autoDelete, replaced } = values
      return record(sql.update.first({ ...values, now, autoDelete: Number(autoDelete), replaced: Number(replaced) }))!
    },

    /** A download of a file starts. */
    begin: (key: string, now: number) => sql.begin.run({ key, now }),

    /** Counts a download of a file that still has this content, and removes the file if that was the last one. */
    count: (key: string, blob: string, now: number, after: number): void => {
      if (sql.countDownload.run({ key, blob }) > 0 && sql.isUsedUp.first({ key }) !== undefined) {
        bury(key, "downloaded", now, after)
      }
    },

    /** Removes expired and used-up files, at most `limit`; returns how many. */
    burySome: (now: number, limit: number): number => {
      const ended = sql.buried.all({ now, limit })
      for (const { fate, key } of ended) bury(key as string, fate as Fate, now, now)
      return ended.length
    },

    /** Removes tombstones of before a time, at most `limit`. */
    endTombstones: (before: number, limit: number) => sql.endTombstones.run({ before, limit })
  }
}

export type SqliteFiles = ReturnType<typeof make>
