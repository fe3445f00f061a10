/**
 * The store of all files' bytes. `FolderBlobs` keeps them in a folder, `S3Blobs` in S3.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

const codeOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

/**
 * Bytes could not be read or written. `code` is the system's, such as `ENOSPC`.
 *
 * @category errors
 * @since 0.1.0
 */
export class BlobsError extends Schema.TaggedError<BlobsError>("@effect-fileio/server/BlobsError")("BlobsError", {
  operation: Schema.String,
  code: Schema.optionalKey(Schema.String),
  /**
   * `unavailable`: the store does not respond, or cannot do it now. `lost`: it does not have all bytes of an unfinished blob any
   * more, so that they have to be sent again from the first one on.
   */
  reason: Schema.optionalKey(Schema.Literals(["unavailable", "lost"])),
  /** What to do about it, if known. */
  advice: Schema.optionalKey(Schema.String),
  cause: Schema.Defect()
}) {
  /** The error of a failed operation, with the code of its cause. */
  static from(operation: string, cause: unknown): BlobsError {
    const code = codeOf(cause)
    return new BlobsError({ operation, cause, ...(code === undefined ? {} : { code }) })
  }

  override get message() {
    return `cannot ${this.operation}${this.code === undefined ? "" : ` (${this.code})`}${
      this.advice === undefined ? "" : `: ${this.advice}`
    }`
  }
}

/**
 * A blob that is being written. It is removed when its scope closes, unless it was finished and kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Writer {
  readonly id: string
  /** Takes over bytes with their memory, which the caller must not use afterwards; writes them in large pieces. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, BlobsError>
  /** Makes the bytes durable and gives the blob its final name. */
  readonly finish: Effect.Effect<void, BlobsError>
  /** The catalog has the blob now. */
  readonly keep: Effect.Effect<void>
}

/**
 * How far an unfinished blob has come. `state` is what the store needs to open the blob again.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  /** Bytes that are stored, from the first one on. */
  readonly size: number
  readonly state?: string
}

/**
 * A blob that grows over several requests, open for one of them. Closing its scope keeps what was stored.
 *
 * @category models
 * @since 0.1.0
 */
export interface Unfinished {
  /** Bytes that were stored when it was opened. */
  readonly offset: number
  /** Takes bytes over, with their memory, and appends them. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, BlobsError>
  /** What is stored so far; not all that was taken over need be. */
  readonly progress: Effect.Effect<Progress, BlobsError>
  /** Makes durable all that was taken over. */
  readonly sync: Effect.Effect<Progress, BlobsError>
  /** Makes all of it durable and gives the blob its place; nothing is appended after it. It may be repeated. */
  readonly finish: Effect.Effect<void, BlobsError>
}

/**
 * A blob that is open for reading; it stays readable if it is removed meanwhile.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reader {
  /** Fills `buffer` from `position`; resolves with fewer bytes only at the end. */
  readonly read: (buffer: Uint8Array, position: number) => Promise<number>
}

/**
 * A stored blob.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stored {
  readonly id: string
  /** Nobody writes it any more: if the catalog does not know it, it will never belong to a file. */
  readonly settled: boolean
}

/**
 * Result of removing blobs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Removal {
  readonly removed: ReadonlyArray<string>
  /** Why the first of the others could not be removed. */
  readonly failure: BlobsError | undefined
}

/** How many blobs are removed at the same time. */
const REMOVALS = 16

/**
 * Removes blobs one by one.
 *
 * @category operations
 * @since 0.1.0
 */
export const removeEach = (
  ids: ReadonlyArray<string>,
  remove: (id: string) => Effect.Effect<void, BlobsError>
): Effect.Effect<Removal> =>
  Effect.map(
    Effect.partition(ids, (id) => Effect.as(remove(id), id), { concurrency: REMOVALS }),
    ([removed, failures]): Removal => ({ removed, failure: failures[0] })
  )

/**
 * The bytes of all files. A stored blob is complete.
 *
 * @category services
 * @since 0.1.0
 */
export class Blobs extends Context.Service<Blobs, {
  /** Location of the store, for messages. */
  readonly where: string
  /** The id of the store, if it has one. */
  readonly storeId: Effect.Effect<string | undefined, BlobsError>
  readonly setStoreId: (id: string) => Effect.Effect<void, BlobsError>
  /** Location of the store's id, for messages. */
  readonly storeIdPlace: string
  readonly writer: Effect.Effect<Writer, BlobsError, Scope.Scope>
  /**
   * Opens a blob that grows over several requests, and makes it where it is not there. `state` is that of its last `Progress`.
   * One user at a time. Absent where the store cannot do it.
   */
  readonly unfinished?:
    | ((id: string, state?: string) => Effect.Effect<Unfinished, BlobsError, Scope.Scope>)
    | undefined
  readonly open: (id: string) => Effect.Effect<Reader, BlobsError, Scope.Scope>
  /** Removes blobs; a missing one counts as removed. A failure does not keep the others from being removed. */
  readonly remove: (ids: ReadonlyArray<string>) => Effect.Effect<Removal>
  /** After it, no power failure restores a blob that was removed before. */
  readonly syncRemovals: Effect.Effect<void, BlobsError>
  /** All stored blobs, unfinished ones included, in pages. */
  readonly list: Stream.Stream<ReadonlyArray<Stored>, BlobsError>
  /** Removes leftovers of interrupted uploads. `unknown` returns those of these blobs that the catalog does not know. */
  readonly tidy: <E>(
    unknown: (blobs: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, E>
  ) => Effect.Effect<void, BlobsError | E>
}>()("@effect-fileio/server/Blobs") {}

/**
 * Whether a name is one that a store gives to a blob. Others are not ours: they are never looked at or removed.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isBlobId = (name: string): boolean => /^[0-9a-f]{32}$/.test(name)
