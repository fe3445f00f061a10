/**
 * The calls of the file.io API as async functions, over the `fetch` of the platform: in browsers, Deno, Bun, workers.
 * On Node prefer `NodeFileIo`, which also has files on disk.
 *
 * Every call runs the call of the same name of `@effect-fileio/client`, and fails with the same `FileIoError`.
 *
 * @since 0.1.0
 */
import * as FetchFileIo from "@effect-fileio/client/FetchFileIo"
import type * as ClientFileBody from "@effect-fileio/client/FileBody"
import type * as ClientFileIo from "@effect-fileio/client/FileIo"
import type * as Progress from "@effect-fileio/client/Progress"
import type * as RateLimit from "@effect-fileio/client/RateLimit"
import type * as RetryPolicy from "@effect-fileio/client/RetryPolicy"
import type * as Expires from "@effect-fileio/core/Expires"
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { DecryptionOptions, EncryptionOptions } from "./Encryption.ts"
import * as Calls from "./internal/calls.ts"
import * as Input from "./internal/input.ts"
import * as Run from "./internal/run.ts"
import type * as Models from "./Models.ts"

/**
 * Last argument of every call.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions {
  /** Ends the call, which then throws the signal's reason. A download that has begun may count nevertheless. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Content to upload: a body of `FileBody`, or bytes or a `Blob` as they are. A string may be meant as a path, so it
 * needs `FileBody.text` or `NodeFileIo.uploadFile`.
 *
 * @category models
 * @since 0.1.0
 */
export type Content = ClientFileBody.FileBody | ArrayBuffer | ArrayBufferView<ArrayBuffer> | Blob

/**
 * Content that is read once: a body of `FileBody.once`, a `ReadableStream` or an async iterable of bytes or text.
 *
 * @category models
 * @since 0.1.0
 */
export type OnceContent = ClientFileBody.OneShotBody | AsyncIterable<ClientFileBody.Chunk>

/**
 * Called with progress events; the transfer waits for a returned promise.
 *
 * @category models
 * @since 0.1.0
 */
export type ProgressListener = (progress: Progress.Progress) => void | Promise<void>

/**
 * Settings of a new file, and progress of its upload.
 *
 * @category models
 * @since 0.1.0
 */
export interface UploadOptions
  extends FileSettings.Input, CallOptions, EncryptionOptions, Pick<ClientFileIo.UploadOptions, "onUnknown">
{
  /** When the file expires: such as `"2w"`, a `Date`, or `"never"`. @default 14 days, the host's */
  readonly expires?: Expires.Input | undefined
  /** Called with progress events. */
  readonly onProgress?: ProgressListener | undefined
}

/**
 * Changes of a file: its settings, its content, or both.
 *
 * @category models
 * @since 0.1.0
 */
export interface UpdateOptions extends Omit<FileSettings.Input, "title">, CallOptions, EncryptionOptions {
  /** New content of the file. */
  readonly file?: Content | undefined
  /** Called with progress events of the new content. */
  readonly onProgress?: ProgressListener | undefined
}

/**
 * Proof that the caller uploaded a file, in place of a key.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenOptions extends CallOptions {
  /**
   * The `deleteToken` of the upload, as the result has it or as a string. To store it, get the string by `Redacted.value` of
   * `effect`. A host without tokens ignores it, and needs a key. A wrong token fails like a missing file.
   */
  readonly token?: Redacted.Redacted | string | null | undefined
}

/**
 * Progress and checks of a download.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadOptions extends CallOptions, DecryptionOptions, Pick<ClientFileIo.DownloadOptions, "sha256"> {
  /** Called with progress events. */
  readonly onProgress?: ProgressListener | undefined
}

/**
 * Options of a download, and where it starts.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadStreamOptions extends DownloadOptions {
  /** Resumes a broken download. The host may start over instead: then `offset` is 0. */
  readonly resume?:
    | (Omit<ClientFileIo.Resume, "content"> & {
      /** The bytes received so far; without them a digest cannot be checked. */
      readonly content?: AsyncIterable<Uint8Array> | undefined
    })
    | undefined
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
  readonly sentAt: Date
}

/**
 * The calls.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileIo extends Models.Closeable {
  /** Uploads a file; without a key it belongs to no account. */
  readonly upload: (content: Content, options?: UploadOptions) => Promise<Models.FileDetails>
  /** Uploads a stream that can be read only once; the call is never repeated. */
  readonly uploadOnce: (content: OnceContent, options?: UploadOptions) => Promise<Models.FileDetails>
  /** Uploads a file, and deletes it when the result is closed. Needs a key. */
  readonly uploadScoped: (content: Content, options?: UploadOptions) => Promise<Models.ScopedFile>
  /**
   * Looks for the file of an upload whose response was lost, by name, size and time, among the account's files. Fails
   * if several match. Needs a key.
   */
  readonly reconcile: (upload: LostUpload, options?: CallOptions) => Promise<Models.FileDetails | undefined>
  /** The states of a file, one for each change, until it was downloaded or has expired. Needs a key. */
  readonly awaitDownloaded: (
    keyOrLink: string,
    options?: CallOptions & Parameters<ClientFileIo.Service["awaitDownloaded"]>[1]
  ) => AsyncIterable<Models.FileState>
  /** Starts a download of a key or a link. */
  readonly download: (keyOrLink: string, options?: DownloadStreamOptions) => Promise<Models.Download>
  /** Downloads a file into memory. */
  readonly downloadBytes: (keyOrLink: string, options?: DownloadOptions) => Promise<Models.DownloadedBytes>
  /** One page of the account's files. Needs a key. */
  readonly list: (options?: ClientFileIo.ListOptions & CallOptions) => Promise<Models.FileList>
  /** All of the account's files; pages are requested as they are consumed. Needs a key. */
  readonly listAll: (options?: ClientFileIo.ListAllOptions & CallOptions) => AsyncIterable<Models.FileDetails>
  /** The account and its plan. Needs a key. */
  readonly me: (options?: CallOptions) => Promise<Models.Account>
  /** How many milliseconds a call would wait now for the account's rate limit, as far as known. */
  readonly waitTime: (options?: CallOptions) => Promise<number>
  /** Changes the given settings and keeps the others. Needs a key. */
  readonly update: (keyOrLink: string, options: UpdateOptions) => Promise<Models.FileDetails>
  /** Changes the given settings and resets the others to the host's defaults. Needs a key. */
  readonly replace: (keyOrLink: string, options: UpdateOptions) => Promise<Models.FileDetails>
  /**
   * The status of a file: whether it can be downloaded, and, with the `deleteToken` of its upload, what became of it. This is
   * not a download. Only the server of this project reports it.
   */
  readonly status: (keyOrLink: string, options?: TokenOptions) => Promise<Models.FileStatus>
  /** Deletes a file. Needs a key, or the `deleteToken` of its upload. */
  readonly delete: (keyOrLink: string, options?: TokenOptions) => Promise<void>
}

/**
 * The host, the key, and the policies of all calls.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Omit<ClientFileIo.Options, "apiKey" | "headers"> {
  /** The account's key; without one, calls are anonymous. It is kept redacted. */
  readonly apiKey?: string | undefined
  /** Headers for every request to the host, for example for a gateway. They are kept redacted. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** When failed calls are repeated. @default `RetryPolicy.make()` */
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  /** How many requests are sent per second. @default `RateLimit.learned()` */
  readonly rateLimit?: RateLimit.RateLimit | undefined
}

/**
 * The calls of `FileIo` over any layer, such as that of `FileIoTest` in your tests.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromLayer = async <E>(layer: Layer.Layer<ClientFileIo.FileIo, E>): Promise<FileIo> =>
  Calls.make(await Run.make(layer))

/**
 * The calls over `fetch`. Throws `InvalidOption` if an option is invalid.
 *
 * **Example** (An upload)
 *
 * ```ts
 * import { FileBody, FileIo } from "@effect-fileio/promise"
 *
 * const share = async (text: string) => {
 *   await using fileIo = await FileIo.make({ baseUrl: "https://files.example.org" })
 *   const file = await fileIo.upload(FileBody.text(text), { expires: "1d" })
 *   return file.link
 * }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = async (options: Options = {}): Promise<FileIo> =>
  fromLayer(
    FetchFileIo.layer(Input.clientOptions(options)).pipe(Layer.provideMerge(Input.layerPolicies(options)))
  )
