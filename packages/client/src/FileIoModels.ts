/**
 * What the calls of `FileIo` take and give; `FileIo` exports it too.
 *
 * @since 0.1.0
 */
import type * as FileDetails from "@effect-fileio/core/FileDetails"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as FileKey from "@effect-fileio/core/FileKey"
import type * as FileName from "@effect-fileio/core/FileName"
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import type * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Stream from "effect/Stream"
import type * as Encryption from "./Encryption.ts"
import type * as FileBody from "./FileBody.ts"
import type * as Progress from "./Progress.ts"
import type * as Transport from "./Transport.ts"

/**
 * Settings of a new file, and options of its upload.
 *
 * @category models
 * @since 0.1.0
 */
export interface UploadOptions extends FileSettings.Input {
  /** Called with progress events. */
  readonly onProgress?: Progress.Listener | undefined
  /**
   * Encrypt the file in the age format before it is sent, so that the host cannot read it: see `Encryption`. With `"link"`, the
   * `link` of the result contains the secret, which nobody else has. @default not encrypted
   */
  readonly encryption?: Encryption.Encryption | undefined
  /**
   * What to do if the response is lost, so that nobody knows whether the host has the file. `fail` fails with
   * `stored: "unknown"`. `reconcile` looks for the file in the account's list: if it is there, it is the result; if not, the
   * upload is sent again (as often as the retry policy allows and the body can be opened), or fails with `stored: "no"`. It
   * needs a key. @default fail
   */
  readonly onUnknown?: "fail" | "reconcile" | undefined
  /**
   * Keeps the address of a resumable upload, so that a later call continues it; only for a body of the same content, and not
   * with `encryption`, whose keys live as long as the call. `FileTransfer` keeps it in a note on the disk.
   */
  readonly resumption?: Resumption | undefined
}

/**
 * Keeps the address of an upload that can be resumed, so that another process continues it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resumption {
  /** The address that `save` got for the same content and host. The upload starts over if the host no longer has it. */
  readonly address?: string | undefined
  /** Called with the address before the first byte is sent. Anybody who knows it can continue or cancel the upload. */
  readonly save: (address: string) => Effect.Effect<void>
}

/**
 * An upload whose response was lost.
 *
 * @category models
 * @since 0.1.0
 */
export interface LostUpload {
  /** Name of the file in the upload. */
  readonly name: string
  /** Its size in bytes. */
  readonly size: number
  /** When it was sent, or an earlier time after which no other file of that name and size was sent. */
  readonly sentAt: DateTime.DateTime
}

/**
 * State of a file that others are to download. `Downloaded`: its downloads are used up, or it was deleted before it expired,
 * which looks the same.
 *
 * @category models
 * @since 0.1.0
 */
export type FileState =
  | { readonly _tag: "Available"; readonly file: FileDetails.FileDetails }
  | { readonly _tag: "Downloaded"; readonly file: FileDetails.FileDetails }
  | { readonly _tag: "Expired"; readonly file: FileDetails.FileDetails }

/**
 * Changes of a file: its settings, its content, or both.
 *
 * @category models
 * @since 0.1.0
 */
export interface UpdateOptions extends Omit<FileSettings.Input, "title"> {
  /** New content of the file. A body that can be read only once is never repeated. */
  readonly file?: FileBody.FileBody | FileBody.OneShotBody | undefined
  /** Encrypt the new content. The `link` of the result decrypts it; earlier links do not. @default not encrypted */
  readonly encryption?: Encryption.Encryption | undefined
  /** Called with progress events of the new content. */
  readonly onProgress?: Progress.Listener | undefined
}

/**
 * Proof that the caller uploaded a file, in place of a key.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenOptions {
  /**
   * The `deleteToken` of the upload. A host without tokens ignores it, and needs a key. A wrong token fails like a missing
   * file.
   */
  readonly token?: Redacted.Redacted | null | undefined
}

/**
 * Progress, decryption and checks of a download.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadOptions extends Encryption.DecryptionOptions {
  /** Called with progress events. */
  readonly onProgress?: Progress.Listener | undefined
  /**
   * SHA-256 that the file must have, in hexadecimal; for an encrypted file, that of the plaintext. @default that of the link
   * (`#sha256=…`), if any
   */
  readonly sha256?: string | undefined
}

/**
 * A broken download to resume. `FileTransfer.downloadFile` does this by itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resume {
  /** Number of bytes received so far. */
  readonly offset: number
  /** The `validator` of the broken download. */
  readonly validator: string
  /** Size of the whole file in bytes, if known; the rest of a file of another size is refused. */
  readonly size?: number | undefined
  /** The bytes received so far; without them a digest cannot be checked. */
  readonly content?: Stream.Stream<Uint8Array, FileIoError.FileIoError> | undefined
}

/**
 * Options of a download, and where it starts.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadStreamOptions extends DownloadOptions {
  /**
   * Resumes a broken download. The host may start over instead: then `offset` is 0. For an encrypted file it resumes the
   * encrypted bytes, so it needs `decrypt: false`; `FileTransfer` does this by itself.
   */
  readonly resume?: Resume | undefined
}

/**
 * A running download, which the host counts. The bytes can be read once.
 *
 * @category models
 * @since 0.1.0
 */
export interface Download {
  readonly key: FileKey.FileKey
  /** The file's original name, made safe for any disk. */
  readonly name: FileName.FileName
  /** MIME type, from the host. */
  readonly contentType: string | undefined
  /** Size of the whole file in bytes; `undefined` if the host does not send it. */
  readonly size: number | undefined
  /** Offset of `stream` in the file; 0 unless the download was resumed. */
  readonly offset: number
  /** A strong `ETag`, which identifies this download to the host; `undefined` if the host cannot resume it. */
  readonly validator: string | undefined
  /** Expected SHA-256 in hexadecimal, from the options or the link. */
  readonly sha256: string | undefined
  /**
   * The bytes. If the connection breaks and the host can resume, the stream continues by itself. Fails if the bytes end
   * early, are too many, stop arriving, or do not match `sha256`.
   */
  readonly stream: Stream.Stream<Uint8Array, FileIoError.FileIoError>
  /**
   * The same bytes; with `reused`, a chunk is valid until the next one is requested, which saves memory if chunks are
   * written at once. Read either this or `stream`.
   */
  readonly open: (buffers: Transport.Buffers) => Stream.Stream<Uint8Array, FileIoError.FileIoError>
}

/**
 * A download in memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadedBytes
  extends Omit<Download, "stream" | "open" | "validator" | "size" | "sha256" | "offset">
{
  readonly bytes: Uint8Array
}

/**
 * Fields to sort a list by; a `-` before one reverses the order.
 *
 * @category models
 * @since 0.1.0
 */
export type SortField =
  | "name"
  | "size"
  | "expires"
  | "created"
  | "modified"
  | "downloads"
  | "maxDownloads"
  | "title"
  | "key"
  | "mimeType"

/**
 * Which of the account's files to list, and in which order.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListOptions {
  /** Only files whose name contains this text. */
  readonly search?: string | undefined
  /** Field to sort by, such as `name` or `-created`. @default the host's */
  readonly sort?: SortField | `-${SortField}` | undefined
  /** How many files to skip. @default 0 */
  readonly offset?: number | undefined
  /** `next` of an earlier page, to continue after it; `offset` is then ignored. */
  readonly after?: string | undefined
  /** The most files to return. @default the host's */
  readonly limit?: number | undefined
}

/**
 * Which of the account's files to list, in which order, and how many per call.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListAllOptions extends Omit<ListOptions, "limit" | "after"> {
  /** How many files to request per call. @default 100 */
  readonly pageSize?: number | undefined
}
