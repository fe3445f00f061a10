/**
 * The store of the bytes of all files, as the server uses it. `FolderBlobs` keeps them in a folder, `S3Blobs` in S3.
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
 * Bytes could not be read or written. `code` is the system's word, such as `ENOSPC`.
 *
 * @category errors
 * @since 0.1.0
 */
export class BlobsError extends Schema.TaggedError<BlobsError>("@effect-fileio/server/BlobsError")("BlobsError", {
  operation: Schema.String,
  code: Schema.optionalKey(Schema.String),
  /** `unavailable`: the store does not answer, or cannot do it now. */
  reason: Schema.optionalKey(Schema.Literal("unavailable")),
  cause: Schema.Defect()
}) {
  /** The error of an operation that failed for this cause, with its code. */
  static from(operation: string, cause: unknown): BlobsError {
    const code = codeOf(cause)
    return new BlobsError({ operation, cause, ...(code === undefined ? {} : { code }) })
  }

  override get message() {
    return `cannot ${this.operation}${this.code === undefined ? "" : ` (${this.code})`}`
  }
}

/**
 * A blob that is being written. It is gone when its scope closes, unless it was finished and kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Writer {
  readonly id: string
  /** Takes bytes over, with their memory, which the caller must not use any more; they are written in large pieces. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, BlobsError>
  /** Makes the bytes durable and gives the blob its place. */
  readonly finish: Effect.Effect<void, BlobsError>
  /** The catalog knows the blob now. */
  readonly keep: Effect.Effect<void>
}

/**
 * A blob that is open for reading; it stays readable when it is removed meanwhile.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reader {
  /** Fills `buffer` from `position`; resolves with fewer bytes only at the end. */
  readonly read: (buffer: Uint8Array, position: number) => Promise<number>
}

/**
 * A blob that has its place.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stored {
  readonly id: string
  /** Nobody writes it any more: if the catalog does not know it, no file will ever have it. */
  readonly settled: boolean
}

/**
 * What became of blobs that were to be removed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Removal {
  readonly removed: ReadonlyArray<string>
  /** Why the first of the others could not be removed. */
  readonly failure: BlobsError | undefined
}

/** Blobs that are removed at the same time. */
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
 * The bytes of all files: what is stored is whole, or is not there.
 *
 * @category services
 * @since 0.1.0
 */
export class Blobs extends Context.Service<Blobs, {
  /** Where they are, for messages. */
  readonly where: string
  /** The id of the store, if it has one yet. */
  readonly storeId: Effect.Effect<string | undefined, BlobsError>
  readonly setStoreId: (id: string) => Effect.Effect<void, BlobsError>
  /** Where the id of the store is, for messages. */
  readonly storeIdPlace: string
  readonly writer: Effect.Effect<Writer, BlobsError, Scope.Scope>
  readonly open: (id: string) => Effect.Effect<Reader, BlobsError, Scope.Scope>
  /** Removes blobs; one that is not there is removed already. What cannot be removed keeps none of the others. */
  readonly remove: (ids: ReadonlyArray<string>) => Effect.Effect<Removal>
  /** After it, no power cut brings a blob back that was removed before. */
  readonly syncRemovals: Effect.Effect<void, BlobsError>
  /** All blobs that have their place, in pages. */
  readonly list: Stream.Stream<ReadonlyArray<Stored>, BlobsError>
  /** Removes what uploads left behind whose process was interrupted. */
  readonly tidy: Effect.Effect<void, BlobsError>
}>()("@effect-fileio/server/Blobs") {}

/**
 * Whether a name is one that a store gives to a blob. Others are not ours: they are never looked at, and never removed.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isBlobId = (name: string): boolean => /^[0-9a-f]{32}$/.test(name)
