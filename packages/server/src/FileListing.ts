/**
 * A listing of an account's files: its order, its pages, and where the next one continues.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { FileRecord } from "./Catalog.ts"

/**
 * Fields by which a listing can be sorted.
 *
 * @category models
 * @since 0.1.0
 */
export const SortField = Schema.Literals([
  "id",
  "key",
  "name",
  "title",
  "size",
  "mimeType",
  "expires",
  "downloads",
  "maxDownloads",
  "autoDelete",
  "created",
  "modified"
])

/**
 * @category models
 * @since 0.1.0
 */
export type SortField = typeof SortField.Type

/**
 * Which files of an account to list, and in which order.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListOptions {
  readonly owner: string
  /** Text in the name, case-insensitive. */
  readonly search?: string | undefined
  readonly sort: SortField
  readonly descending: boolean
  readonly offset: number
  /** Continues after a file of an earlier page, in the same order; `offset` is then ignored. */
  readonly after?: Position | undefined
  readonly limit: number
}

/**
 * Where a listing continues: behind a file with this value and this place among those with the same value.
 *
 * @category models
 * @since 0.1.0
 */
export interface Position {
  /** What the listing is sorted by; a name as it is compared. */
  readonly value: string | number | boolean | null
  /** Number of its row. */
  readonly seq: number
  /** The shard with the row, from 0. */
  readonly shard: number
}

/**
 * A file with the number of its row.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListedFile extends FileRecord {
  readonly seq: number
  /** The shard with the row, from 0. */
  readonly shard: number
}

/**
 * The files of one page, with the number and bytes of all matching files.
 *
 * @category models
 * @since 0.1.0
 */
export interface Page {
  readonly files: ReadonlyArray<ListedFile>
  readonly count: number
  readonly size: number
}
