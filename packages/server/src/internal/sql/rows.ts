/** Rows of the table `files`, as both catalogs write and read them, and their shared conditions. */
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import type { Changes, Fate, FileRecord, NewFile, Tombstone, UploadRecord } from "../../Catalog.ts"

export type Row = Record<string, unknown>

const numberOrNull = (value: unknown): number | null => value === null ? null : Number(value)

export const toRecord = (row: Row): FileRecord => ({
  key: row["key"] as string,
  id: row["id"] as string,
  blob: row["blob"] as string,
  owner: row["owner"] as string,
  plan: row["plan"] as string,
  name: row["name"] as string,
  title: row["title"] as string | null,
  mimeType: row["mime_type"] as string,
  size: Number(row["size"]),
  expires: numberOrNull(row["expires"]),
  downloads: Number(row["downloads"]),
  maxDownloads: numberOrNull(row["max_downloads"]),
  attempts: Number(row["attempts"]),
  lastAttempt: numberOrNull(row["last_attempt"]),
  countFrom: row["count_from"] as FileSettings.CountFrom,
  // SQLite has a number, PostgreSQL a boolean.
  autoDelete: Boolean(row["auto_delete"]),
  created: Number(row["created"]),
  modified: Number(row["modified"]),
  deleteHash: row["delete_hash"] as string | null
})

export const toTombstone = (row: Row): Tombstone => ({
  deleteHash: row["delete_hash"] as string | null,
  fate: row["fate"] as Fate | null
})

/** A row of the table `uploads`. */
export const toUpload = (row: Row): UploadRecord => ({
  id: row["id"] as string,
  owner: row["owner"] as string,
  request: row["request"] as string,
  blob: row["blob"] as string,
  state: row["state"] as string | null,
  received: Number(row["received"]),
  length: numberOrNull(row["length"]),
  generation: Number(row["generation"]),
  file: row["file"] === null ? null : JSON.parse(row["file"] as string) as FileRecord,
  ends: Number(row["ends"])
})

/** Databases fold case by different rules (SQLite only ASCII), so searched text is folded here. */
export const fold = (text: string): string => text.normalize("NFC").toLowerCase()

/** The columns that an upload sets, and an update may change. */
const settings = (
  file: Pick<
    FileRecord,
    "blob" | "name" | "title" | "mimeType" | "size" | "expires" | "maxDownloads" | "countFrom" | "autoDelete"
  >
) => ({
  blob: file.blob,
  name: file.name,
  foldedName: fold(file.name),
  title: file.title,
  mimeType: file.mimeType,
  size: file.size,
  expires: file.expires,
  maxDownloads: file.maxDownloads,
  countFrom: file.countFrom,
  autoDelete: file.autoDelete
})

/** The values of the statement that inserts a file. */
export const toInsert = (key: string, id: string, file: NewFile) => ({
  ...settings({ ...file, countFrom: file.countFrom ?? "last-byte" }),
  key,
  id,
  owner: file.owner,
  plan: file.plan,
  created: file.created,
  deleteHash: file.deleteHash ?? null
})

/** The values of the statement that updates a file. */
export const toUpdate = (old: FileRecord, changes: Changes) => ({
  ...settings({ ...old, ...changes, ...changes.content }),
  key: old.key,
  replaced: changes.content !== undefined
})

export const IN_TIME = "(expires IS NULL OR expires > :now)"
export const EXPIRED = "expires IS NOT NULL AND expires <= :now"
export const USED_UP = "max_downloads IS NOT NULL AND downloads >= max_downloads"

/** Why a file is gone that neither was deleted nor is swept yet. */
export const FATE = `CASE WHEN ${USED_UP} THEN 'downloaded' ELSE 'expired' END`

/** Milliseconds after which expected bytes without a file are garbage. */
export const EXPECTED_MILLIS = 60 * 60 * 1000

/** The last of these milliseconds, in which the bytes can become no file's any more: a sweep must not list them meanwhile. */
export const EXPECTED_END_MILLIS = 5 * 60 * 1000

/** A change cannot be made. In SQLite, it is thrown before anything is changed. */
export abstract class Refused extends Error {}

/** The bytes of a blob were expected so long ago that a sweep may have removed them. */
export class ArrivedLate extends Refused {
  constructor() {
    super("storing the bytes took so long that the sweep may have removed them")
  }
}

/** The upload has ended, or another request continues it. */
export class UploadEnded extends Refused {
  constructor() {
    super("the upload has ended, or another request continues it")
  }
}
