/**
 * The database of files and leases: `SqliteCatalog`, or `PgCatalog` for several servers.
 *
 * A download is a lease, a state machine that `internal/sql/lease.ts` defines in full:
 * - `claim` takes one of a file's downloads, if one is left; of any number of simultaneous requests, exactly as many succeed as
 *   downloads are left.
 * - `handOver` is the fence before the last byte: it succeeds only for the newest transfer of a lease that has not ended, and
 *   is on the disk before that byte is sent. After a crash from then on, the download counts.
 * - `commit` counts the download after the last byte was handed over. The holder may fetch bytes again for the grace time:
 *   bytes handed to a socket may not have arrived.
 * - `release` gives the download back after the grace time, in which only the holder may resume.
 * - `resume` starts a new transfer of the lease; earlier ones can neither send the last byte nor release it.
 *
 * A used-up or deleted file leaves a tombstone: its key is a 404, and is not used again for 90 days, after which a collision is
 * as unlikely as a correct guess.
 *
 * @since 0.1.0
 */
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { ListOptions, Page } from "./FileListing.ts"

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
     * `unavailable`: it cannot do this now. `unknown`: whether the change was made is unknown. `ended`: the resumable upload has
     * ended, or a newer request continues it. `slow`: the list takes longer than it may. Without a reason, it refused for good.
     * Only after `unknown` can something have changed.
     */
    reason: Schema.optionalKey(Schema.Literals(["unavailable", "unknown", "ended", "slow"])),
    /** What is wrong and what to do, if known. */
    problem: Schema.optionalKey(Schema.String)
  }
) {
  override get message() {
    return this.reason === "unknown"
      ? "the catalog did not report whether it made a change"
      : `cannot use the catalog${this.problem === undefined ? "" : `: ${this.problem}`}`
  }
}

/**
 * The last byte of a transfer must not be sent: its lease has ended, or its holder has started a newer transfer.
 *
 * @category errors
 * @since 0.1.0
 */
export class LeaseEnded extends Schema.TaggedError<LeaseEnded>("@effect-fileio/server/LeaseEnded")("LeaseEnded", {}) {
  override get message() {
    return "the lease has ended, or its holder has started a newer transfer: the last byte is not sent"
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
  /** Name of the plan at the upload. */
  readonly plan: string
  readonly name: string
  readonly title: string | null
  readonly mimeType: string
  readonly size: number
  readonly expires: number | null
  readonly downloads: number
  readonly maxDownloads: number | null
  /** Downloads that began, complete or not. Resuming is not a new one. */
  readonly attempts: number
  /** When the last of them began. */
  readonly lastAttempt: number | null
  readonly countFrom: FileSettings.CountFrom
  readonly autoDelete: boolean
  readonly created: number
  readonly modified: number
  /** Hash of the token with which its sender deletes it; `null`: there is none. */
  readonly deleteHash: string | null
}

/**
 * A new file. Times are milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export interface NewFile extends
  Omit<
    FileRecord,
    "key" | "id" | "downloads" | "attempts" | "lastAttempt" | "modified" | "countFrom" | "deleteHash"
  >
{
  /** The bytes, if the catalog is to hold them: `blob` is then an id of `SmallFiles`. @default in the store */
  readonly bytes?: Uint8Array | undefined
  /**
   * Whether `expect` recorded the blob. If that is too long ago, its bytes may be removed, and the change fails.
   * @default false
   */
  readonly isExpected?: boolean | undefined
  /** @default "last-byte" */
  readonly countFrom?: FileSettings.CountFrom
  /** @default null */
  readonly deleteHash?: string | null
  /** The shard that expects its blob, which gets the file too. @default the shard of the owner, or of the blob without one */
  readonly shard?: number | undefined
}

/**
 * A change of a file; absent fields stay. New content makes the file available again: its downloads and attempts start over.
 * Leases of the old content end, but their receivers get the rest of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Changes {
  readonly content?: Pick<NewFile, "blob" | "bytes" | "isExpected" | "name" | "mimeType" | "size">
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
  /** Unguessable: anybody who knows it holds the lease. */
  readonly id: string
  /** Key of the file. */
  readonly key: string
  /** Which transfer of the lease this is; only the newest may send the last byte or release the lease. */
  readonly generation: number
  /** The download counts already: its holder may fetch the last byte again. */
  readonly counted: boolean
  readonly blob: string
  readonly name: string
  readonly mimeType: string
  readonly size: number
}

/**
 * How many bytes of a lease were sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly lease: Lease
  readonly sent: number
}

/**
 * Some leases were not prolonged.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotProlonged extends Data.TaggedError("NotProlonged")<{
  /** Why; where several shards failed, the error of one. */
  readonly cause: CatalogError
  /**
   * Those whose bytes may not count yet, so that they are to be reported again. After a lost response they count twice, which
   * gives a lease no more than a faster receiver gets: the patience and the grace time from now, and never more than its latest
   * end.
   */
  readonly transfers: ReadonlyArray<Progress>
}> {
  override get message() {
    return `${this.transfers.length} leases were not prolonged: ${this.cause.message}`
  }
}

/**
 * Why a file is not available.
 *
 * @category models
 * @since 0.1.0
 */
export type Unavailable =
  /** All remaining downloads are running; `retryAfter` is in milliseconds. */
  | { readonly _tag: "InProgress"; readonly retryAfter: number }
  | { readonly _tag: "Gone" }

/**
 * Whether a file is available.
 *
 * @category models
 * @since 0.1.0
 */
export type Availability = { readonly _tag: "Available" } | Unavailable

/**
 * What became of a file that is gone.
 *
 * @category models
 * @since 0.1.0
 */
export type Fate = "downloaded" | "expired" | "deleted"

/**
 * A file that is gone, for 90 days; a file of an older server has neither a hash nor a fate.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tombstone {
  /** Hash of its deletion token. */
  readonly deleteHash: string | null
  readonly fate: Fate | null
}

/**
 * A lease, as its holder sees it.
 *
 * @category models
 * @since 0.1.0
 */
export interface LeaseState {
  /** `flowing`: a transfer runs. `broken`: none does. `counted`: the download counts. Its holder may begin again in each. */
  readonly phase: "flowing" | "broken" | "counted"
  /** How long its holder may begin again, in milliseconds; `null`: as long as bytes are sent. */
  readonly millisLeft: number | null
}

/**
 * A lease on one download, or why there is none.
 *
 * @category models
 * @since 0.1.0
 */
export type Claim = { readonly _tag: "Claimed"; readonly lease: Lease } | Unavailable

/**
 * A resumable upload: what its first request said, and how far it has come. Times are milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export interface UploadRecord {
  /** Unguessable; who knows it may go on with the upload. */
  readonly id: string
  /** Name of the account; empty for those without a key. */
  readonly owner: string
  /** The first request, as its handler wrote it down. */
  readonly request: string
  /** Where its bytes are. */
  readonly blob: string
  /** What the store wants to be given when it opens the blob again. */
  readonly state: string | null
  /** Bytes that were stored when the catalog was last updated. */
  readonly received: number
  /** Bytes of the whole, once they are known. */
  readonly length: number | null
  /** Which request has it now; only the newest may record, and complete it. */
  readonly generation: number
  /** The file that came of it, once it is complete. */
  readonly file: FileRecord | null
  /** When it ends. */
  readonly ends: number
}

/**
 * What a request has made of its upload.
 *
 * @category models
 * @since 0.1.0
 */
export interface UploadProgress {
  readonly received: number
  readonly state: string | null
  readonly length: number | null
  readonly ends: number
}

/**
 * The upload that a file completes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Completion {
  readonly id: string
  readonly generation: number
  /** Bytes of the whole. */
  readonly length: number
  readonly ends: number
}

/**
 * What is about to become of a blob: a new file of the account `owner`, or new content of its file `key`; and the resumable
 * upload that is completed by it, if any.
 *
 * @category models
 * @since 0.1.0
 */
export interface Purpose {
  readonly owner: string
  readonly key?: string | undefined
  readonly upload?: string | undefined
}

/**
 * A database of a catalog that has several.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shard {
  /** Its number, from 1, and its location, for messages. */
  readonly where: string
  /** Fails if it cannot be written. */
  readonly probe: Effect.Effect<void, CatalogError>
  /** Number and bytes of its files. */
  readonly totals: Effect.Effect<Totals, CatalogError>
}

/**
 * Number and bytes of files.
 *
 * @category models
 * @since 0.1.0
 */
export interface Totals {
  readonly files: number
  readonly bytes: number
}

/**
 * The resumable uploads. Their bytes count as used by their owner until they are complete.
 *
 * @category models
 * @since 0.1.0
 */
export interface Uploads {
  /** Begin of the id of an upload for this purpose, by which the catalog finds it. @default none */
  readonly idPrefix?: ((purpose: Purpose, blob: string) => string) | undefined
  /** Adds an empty upload. */
  readonly create: (
    upload: Pick<UploadRecord, "id" | "owner" | "request" | "blob" | "length" | "ends">
  ) => Effect.Effect<void, CatalogError>
  /** The upload with that id, if it has not ended. */
  readonly get: (id: string) => Effect.Effect<Option.Option<UploadRecord>, CatalogError>
  /** Begins a request that goes on with the upload. The ones before it can neither record nor complete anything. */
  readonly begin: (id: string) => Effect.Effect<Option.Option<UploadRecord>, CatalogError>
  /** Fails with the reason `ended` for all but the newest request. */
  readonly record: (
    upload: Pick<UploadRecord, "id" | "generation">,
    progress: UploadProgress
  ) => Effect.Effect<void, CatalogError>
  /** Ends an upload; if it is not complete, its bytes are garbage. */
  readonly remove: (id: string) => Effect.Effect<void, CatalogError>
}

/**
 * Bytes of small files in the catalog: stored by `insert` and `update` in the same step as the file's row, and removed by
 * `forget` as those of any blob. So an upload of a small file takes one sync of the disk, where the store takes two more.
 *
 * @category models
 * @since 0.1.0
 */
export interface SmallFiles {
  /** Size of the largest new one. */
  readonly maxBytes: number
  /** The id of a new one. The store has no such ids. */
  readonly newId: Effect.Effect<string>
  /** Whether it is the id of one. */
  readonly isOne: (blob: string) => boolean
  /** Its bytes, if it was not removed. */
  readonly read: (blob: string) => Effect.Effect<Option.Option<Uint8Array>, CatalogError>
}

/**
 * The files and the leases on them.
 *
 * @category services
 * @since 0.1.0
 */
export class Catalog extends Context.Service<Catalog, {
  /** Location of the catalog, for messages. */
  readonly where: string
  /** Absent if the catalog is a single database. */
  readonly shards?: ReadonlyArray<Shard> | undefined
  /** Absent if all bytes are in the store. */
  readonly smallFiles?: SmallFiles | undefined
  /** Adds a file under a new key, and completes the upload that it is of in the same step. */
  readonly insert: (file: NewFile, completes?: Completion) => Effect.Effect<FileRecord, CatalogError>
  /** A file as its owner sees it: not expired or used up, unless it is kept then. */
  readonly get: (key: string) => Effect.Effect<Option.Option<FileRecord>, CatalogError>
  readonly list: (options: ListOptions) => Effect.Effect<Page, CatalogError>
  readonly usedBytes: (owner: string) => Effect.Effect<number, CatalogError>
  /** Fails if the catalog cannot be written. */
  readonly probe: Effect.Effect<void, CatalogError>
  /** Number and bytes of all files of all accounts. */
  readonly totals: Effect.Effect<Totals, CatalogError>
  readonly update: (
    key: string,
    owner: string,
    changes: Changes,
    completes?: Completion
  ) => Effect.Effect<Option.Option<FileRecord>, CatalogError>
  /** Resumable uploads; absent where the catalog cannot keep them. */
  readonly uploads?: Uploads | undefined
  /** Returns whether the file existed. Running downloads do not get their last byte. */
  readonly remove: (key: string, owner: string) => Effect.Effect<boolean, CatalogError>
  /** What became of a file that `get` does not find. */
  readonly tombstone: (key: string) => Effect.Effect<Option.Option<Tombstone>, CatalogError>

  /** What `resume` would find now, without a new transfer. */
  readonly held: (key: string, lease: string) => Effect.Effect<Option.Option<LeaseState>, CatalogError>
  /** The result of a `claim` now, without claiming. */
  readonly peek: (key: string) => Effect.Effect<Availability, CatalogError>
  /** `lease` is the id of the new lease, if it is not used yet; it must be unguessable. */
  readonly claim: (key: string, lease?: string) => Effect.Effect<Claim, CatalogError>
  /** Starts a new transfer of a lease, for its holder. */
  readonly resume: (key: string, lease: string) => Effect.Effect<Option.Option<Lease>, CatalogError>
  /** The last byte must not be sent unless this succeeds. It fails for all but the newest transfer of a lease. */
  readonly handOver: (lease: Lease) => Effect.Effect<void, CatalogError | LeaseEnded>
  readonly commit: (lease: Lease) => Effect.Effect<void, CatalogError>
  /** `sent`: bytes of its transfers that `prolong` has not reported. */
  readonly release: (lease: Lease, sent: number) => Effect.Effect<void, CatalogError>
  /** `release` for a transfer of which not one byte was sent: the download is available at once, and counts as no attempt. */
  readonly abandon: (lease: Lease) => Effect.Effect<void, CatalogError>

  /**
   * Says which transfers go on, and the bytes that each has sent since the last time. A lease whose bytes go out more slowly than
   * the minimum rate ends, and so does one of a server that says nothing.
   */
  readonly prolong: (transfers: ReadonlyArray<Progress>) => Effect.Effect<void, NotProlonged>
  /** How often `prolong` has to be called. */
  readonly prolongInterval: Duration.Duration

  /** Removes expired and used-up files, and drops ended leases. */
  readonly bury: Effect.Effect<void, CatalogError>
  /**
   * Records a blob before its bytes are stored: they are garbage an hour later, unless they belong to a file by then. So no
   * failure in between leaves unrecorded bytes, but for a power failure with SQLite, whose record waits for no sync of the disk:
   * the sweeper finds them as orphans. A change that comes shortly before the end of the hour, or later, fails.
   * Returns the shard that has the record, for `insert`; 0 if there is one database.
   */
  readonly expect: (blob: string, purpose: Purpose) => Effect.Effect<number, CatalogError>
  /** Blobs that nobody may read any more, in order: at most 1,000, after the given one. */
  readonly garbage: (after: string) => Effect.Effect<ReadonlyArray<string>, CatalogError>
  readonly forget: (blobs: ReadonlyArray<string>) => Effect.Effect<void, CatalogError>
  /** Those of these blobs that are neither a file's nor garbage. */
  readonly unknown: (blobs: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, CatalogError>
  /** Blobs in the store, of the newest files if some of these are there. */
  readonly newest: (limit: number) => Effect.Effect<ReadonlyArray<string>, CatalogError>
  /**
   * Calls `decide` with the recorded id of the store, and records its result if there is none. One server at a time.
   */
  readonly pair: <E>(
    decide: (storeId: string | undefined) => Effect.Effect<string, E>
  ) => Effect.Effect<void, E | CatalogError>
}>()("@effect-fileio/server/Catalog") {}

/**
 * Settings of leases.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** How long the holder of a lease may resume a broken transfer, in milliseconds. */
  readonly grace: number
  /**
   * Minimum average rate of a download in bytes per second. A lease whose bytes are sent more slowly ends, after
   * `minimumRatePatience` and `grace`; and so does one that takes longer than the whole file at this rate. Resuming gives no
   * more time. 0: any rate.
   *
   * @default 4096
   */
  readonly minimumRate?: number | undefined
  /** Milliseconds; see `minimumRate`. @default 60000 */
  readonly minimumRatePatience?: number | undefined
  /** Downloads of a file that may break without being counted; later ones count from their first byte. @default 100 */
  readonly maxBrokenDownloads?: number | undefined
}
