/**
 * What the server knows of its files, whichever engine keeps it: `SqliteCatalog`, or `PgCatalog` for several servers.
 *
 * A download is a lease, a state machine that `internal/sql/lease.ts` has in full:
 * - `claim` takes one of a file's downloads, if one is left, so that any number of simultaneous requests gets exactly as
 *   many as are left.
 * - `handOver` is the fence before the last byte: it succeeds only for the newest transfer of a lease that has not ended,
 *   and is on the disk before that byte goes out. After a crash from there on the download counts.
 * - `commit` counts it, when the last byte was handed over. The holder may still fetch bytes again for the grace time:
 *   bytes handed to a socket may not have arrived.
 * - `release` gives it back after the grace time, in which only the holder may resume.
 * - `resume` begins a new transfer of the lease; the ones before it can neither send the last byte nor release it.
 *
 * A file that is used up or deleted leaves a tombstone: its key is a 404, and is not given again for 90 days,
 * after which that is as unlikely as a guess.
 *
 * @since 0.1.0
 */
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/**
 * The catalog could not be read or written.
 *
 * @category errors
 * @since 0.1.0
 */
export class CatalogError extends Schema.TaggedError<CatalogError>("@effect-fileio/server/CatalogError")(
  "CatalogError",
  {
    cause: Schema.Defect(),
    /**
     * `unavailable`: it cannot do this now, and nothing was changed. `unknown`: it was to make a change, and whether it has is not
     * known. Without a reason, it refused for good, and nothing was changed.
     */
    reason: Schema.optionalKey(Schema.Literals(["unavailable", "unknown"])),
    /** What is wrong and what to do, where that is known. */
    problem: Schema.optionalKey(Schema.String)
  }
) {
  override get message() {
    return this.reason === "unknown"
      ? "the catalog did not say whether it made a change"
      : `cannot use the catalog${this.problem === undefined ? "" : `: ${this.problem}`}`
  }
}

/**
 * The last byte of a transfer must not be sent: its lease has ended, or its holder has begun a newer transfer.
 *
 * @category errors
 * @since 0.1.0
 */
export class LeaseEnded extends Schema.TaggedError<LeaseEnded>("@effect-fileio/server/LeaseEnded")("LeaseEnded", {}) {
  override get message() {
    return "the lease has ended, or its holder has begun a newer transfer: the last byte is not sent"
  }
}

/**
 * A file. Times are milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileRecord {
  readonly key: string
  readonly id: string
  readonly blob: string
  /** Name of the account; empty for anonymous files. */
  readonly owner: string
  /** Name of the plan that it was uploaded under. */
  readonly plan: string
  readonly name: string
  readonly title: string | null
  readonly mimeType: string
  readonly size: number
  readonly expires: number | null
  readonly downloads: number
  readonly maxDownloads: number | null
  /** Downloads that were begun, whether or not they reached the last byte. Resuming one is no other. */
  readonly attempts: number
  /** When the last of them was begun. */
  readonly lastAttempt: number | null
  readonly countFrom: FileSettings.CountFrom
  readonly autoDelete: boolean
  readonly created: number
  readonly modified: number
}

/**
 * What is recorded of a file when it comes. Times are milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export interface NewFile {
  readonly blob: string
  readonly owner: string
  readonly plan: string
  readonly name: string
  readonly title: string | null
  readonly mimeType: string
  readonly size: number
  readonly expires: number | null
  readonly maxDownloads: number | null
  /** @default "last-byte" */
  readonly countFrom?: FileSettings.CountFrom
  readonly autoDelete: boolean
  readonly created: number
}

/**
 * What is to change; an absent field stays. New content makes the file available again: its counts of downloads and
 * attempts start over. Leases of the old content end, but who is reading it has it to its end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Changes {
  readonly content?: { readonly blob: string; readonly name: string; readonly mimeType: string; readonly size: number }
  readonly title?: string | null
  readonly expires?: number | null
  readonly maxDownloads?: number | null
  readonly countFrom?: FileSettings.CountFrom
  readonly autoDelete?: boolean
}

/**
 * The right to fetch one download of a file.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lease {
  /** Unguessable; who knows it holds the lease. */
  readonly id: string
  /** Key of the file. */
  readonly key: string
  /** Which transfer of the lease this is; only the newest may send the last byte, and release it. */
  readonly generation: number
  /** The download counts already: its holder may have the last byte again. */
  readonly counted: boolean
  readonly blob: string
  readonly name: string
  readonly mimeType: string
  readonly size: number
}

/**
 * Why a file cannot be had.
 *
 * @category models
 * @since 0.1.0
 */
export type Unavailable =
  /** All downloads that are left are under way; `retryAfter` is in milliseconds. */
  | { readonly _tag: "InProgress"; readonly retryAfter: number }
  | { readonly _tag: "Gone" }

/**
 * Whether a file can be had.
 *
 * @category models
 * @since 0.1.0
 */
export type Availability = { readonly _tag: "Available" } | Unavailable

/**
 * A lease on one download, or why there is none.
 *
 * @category models
 * @since 0.1.0
 */
export type Claim = { readonly _tag: "Claimed"; readonly lease: Lease } | Unavailable

/**
 * The fields that a listing can be sorted by.
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
 * Which files of an account are listed, in which order.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListOptions {
  readonly owner: string
  /** Text that the name contains, in any case. */
  readonly search?: string | undefined
  readonly sort: SortField
  readonly descending: boolean
  readonly offset: number
  readonly limit: number
}

/**
 * The files of one page, with the number and the bytes of all that match.
 *
 * @category models
 * @since 0.1.0
 */
export interface Page {
  readonly files: ReadonlyArray<FileRecord>
  readonly count: number
  readonly size: number
}

/**
 * What is known of all files, and who downloads them now.
 *
 * @category services
 * @since 0.1.0
 */
export class Catalog extends Context.Service<Catalog, {
  /** Where it is, for messages. */
  readonly where: string
  /** Adds a file under a new key. */
  readonly insert: (file: NewFile) => Effect.Effect<FileRecord, CatalogError>
  /** A file that can be seen by its owner: not expired or used up, unless it is kept then. */
  readonly get: (key: string) => Effect.Effect<Option.Option<FileRecord>, CatalogError>
  readonly list: (options: ListOptions) => Effect.Effect<Page, CatalogError>
  readonly usedBytes: (owner: string) => Effect.Effect<number, CatalogError>
  /** Fails where the catalog cannot be written. */
  readonly probe: Effect.Effect<void, CatalogError>
  /** All files and their bytes, whoever they belong to. */
  readonly totals: Effect.Effect<{ readonly files: number; readonly bytes: number }, CatalogError>
  readonly update: (
    key: string,
    owner: string,
    changes: Changes
  ) => Effect.Effect<Option.Option<FileRecord>, CatalogError>
  /** Whether there was such a file. Nobody who is reading it gets its last byte. */
  readonly remove: (key: string, owner: string) => Effect.Effect<boolean, CatalogError>

  /** What `claim` would say, without claiming. */
  readonly peek: (key: string) => Effect.Effect<Availability, CatalogError>
  /** `lease` is the id of the new lease, if it is not taken; it must be unguessable. */
  readonly claim: (key: string, lease?: string) => Effect.Effect<Claim, CatalogError>
  /** Begins a new transfer of a lease, for its holder. */
  readonly resume: (key: string, lease: string) => Effect.Effect<Option.Option<Lease>, CatalogError>
  /** The last byte must not go out unless this succeeds. It fails for all but the newest transfer of a lease. */
  readonly handOver: (lease: Lease) => Effect.Effect<void, CatalogError | LeaseEnded>
  readonly commit: (lease: Lease) => Effect.Effect<void, CatalogError>
  readonly release: (lease: Lease) => Effect.Effect<void, CatalogError>
  /** `release` for a transfer of which not one byte was sent: nobody was given anything, so it is free again and no attempt. */
  readonly abandon: (lease: Lease) => Effect.Effect<void, CatalogError>

  /** Buries what is expired or used up, and drops leases that ended. */
  readonly bury: Effect.Effect<void, CatalogError>
  /**
   * Records a blob before its bytes are stored: they are garbage an hour later, unless a file has them by then. So nothing that
   * goes wrong in between leaves bytes that nobody knows of.
   */
  readonly expect: (blob: string) => Effect.Effect<void, CatalogError>
  /** Blobs that nobody may read any more, in order: at most 1,000 of those after the one named. */
  readonly garbage: (after: string) => Effect.Effect<ReadonlyArray<string>, CatalogError>
  readonly forget: (blobs: ReadonlyArray<string>) => Effect.Effect<void, CatalogError>
  /** Those of these blobs that are neither a file's nor garbage. */
  readonly unknown: (blobs: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, CatalogError>
  /** Blobs of the files that came last. */
  readonly newest: (limit: number) => Effect.Effect<ReadonlyArray<string>, CatalogError>
  /**
   * Calls `decide` with the id of the store that the catalog knows, and records what it gives where none is known. One server at
   * a time.
   */
  readonly pair: <E>(
    decide: (storeId: string | undefined) => Effect.Effect<string, E>
  ) => Effect.Effect<void, E | CatalogError>
}>()("@effect-fileio/server/Catalog") {}

/**
 * How the catalog keeps leases.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Milliseconds that the holder of a lease has to resume a transfer that broke. */
  readonly grace: number
  /**
   * Bytes a second that a download must make on average: a lease lasts as long as the file takes at this rate, and
   * `minimumRatePatience` and `grace` more, however often it is resumed. 0: any rate will do.
   *
   * @default 1024
   */
  readonly minimumRate?: number | undefined
  /** Milliseconds; see `minimumRate`. @default 60000 */
  readonly minimumRatePatience?: number | undefined
  /** Downloads of a file that may break without being counted; the ones after that count from their first byte. @default 100 */
  readonly maxBrokenDownloads?: number | undefined
}
