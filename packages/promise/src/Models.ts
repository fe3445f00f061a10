/**
 * Results of the calls, as plain data: times are `Date`s, and classes are objects with the same fields.
 *
 * @since 0.1.0
 */
import type * as ClientFileIo from "@effect-fileio/client/FileIo"
import type * as CoreAccount from "@effect-fileio/core/Account"
import type * as CoreFileDetails from "@effect-fileio/core/FileDetails"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as CoreFileList from "@effect-fileio/core/FileList"
import type * as CoreFileStatus from "@effect-fileio/core/FileStatus"
import type * as DateTime from "effect/DateTime"

export type { DownloadedBytes } from "@effect-fileio/client/FileIo"
export type { DownloadedFile, PendingDownload } from "@effect-fileio/client/FileTransfer"

type DateOf<A> = A extends DateTime.DateTime ? Date : A

/** The fields of a class, with `Date` for `DateTime`. */
type Plain<A> = { readonly [K in keyof A]: DateOf<A[K]> }

/**
 * The details of a file. A field is absent if the host did not send it; `expires: null` means never, and `maxDownloads:
 * null` means unlimited.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileDetails extends Plain<CoreFileDetails.FileDetails> {}

/**
 * The status of a file. The fields after `seconds` are those of `FileDetails`, while the file is there.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileStatus extends Plain<CoreFileStatus.FileStatus> {}

/**
 * The plan and state of an account. A field is absent or `null` if the host did not send it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Account extends Plain<CoreAccount.Account> {}

/**
 * One page of an account's files, and totals over all pages.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileList extends Omit<Plain<CoreFileList.FileList>, "files"> {
  readonly files: ReadonlyArray<FileDetails>
}

/**
 * State of a file that others are to download. `Downloaded`: its downloads are used up, or it was deleted before it expired,
 * which looks the same.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileState {
  readonly _tag: ClientFileIo.FileState["_tag"]
  readonly file: FileDetails
}

/**
 * A resource that is held until it is closed. `await using` closes it at the end of the block.
 *
 * @category models
 * @since 0.1.0
 */
export interface Closeable extends AsyncDisposable {
  /** Releases the resource; further calls do nothing. */
  readonly close: () => Promise<void>
}

/**
 * A running download, which the host counts. The bytes can be read once; closing it closes the connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface Download extends Omit<ClientFileIo.Download, "stream" | "open">, Closeable {
  /** The bytes. Their end closes the connection. Fails like `FileIo` of `@effect-fileio/client`. */
  readonly stream: AsyncIterable<Uint8Array>
}

/**
 * A file that is deleted when it is closed.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScopedFile extends FileDetails, Closeable {}

/**
 * Result of one of many transfers, in the form of `Promise.allSettled`.
 *
 * @category models
 * @since 0.1.0
 */
export type Settled<A> =
  | { readonly status: "fulfilled"; readonly value: A }
  | { readonly status: "rejected"; readonly reason: FileIoError.FileIoError }
