/**
 * The calls of the file.io API as async functions, over the `fetch` of the platform: in browsers, Deno, Bun, workers. On Node
 * prefer `NodeFileIo`, which also has files on disk.
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
import * as Calls from "./internal/calls.ts"
import * as Input from "./internal/input.ts"
import * as Run from "./internal/run.ts"
import type * as Models from "./Models.ts"

/**
 * The last argument of every call.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions {
  /** Ends the call, which then throws the signal's reason. A download that has begun may count as taken all the same. */
  readonly signal?: AbortSignal | undefined
}

/**
 * What can be uploaded: a body of `FileBody`, or bytes or a `Blob` as they are. A text may be meant as a path, so it needs
 * `FileBody.text` or `NodeFileIo.uploadFile`.
 *
 * @category models
 * @since 0.1.0
 */
export type Content = ClientFileBody.FileBody | ArrayBuffer | ArrayBufferView<ArrayBuffer> | Blob

/**
 * Called with the progress of a transfer; the transfer waits for a promise that it returns.
 *
 * @category models
 * @since 0.1.0
 */
export type ProgressListener = (progress: Progress.Progress) => void | Promise<void>

/**
 * Settings of a new file, and how its upload is watched.
 *
 * @category models
 * @since 0.1.0
 */
export interface UploadOptions extends FileSettings.Input, CallOptions, Pick<ClientFileIo.UploadOptions, "onUnknown"> {
  /** When the file expires: such as `"2w"`, a `Date`, or `"never"`. @default 14 days, the host's */
  readonly expires?: Expires.Input | undefined
  /** Called with progress events. */
  readonly onProgress?: ProgressListener | undefined
}

/**
 * What is changed of a file: its settings, its content, or both.
 *
 * @category models
 * @since 0.1.0
 */
export interface UpdateOptions extends Omit<FileSettings.Input, "title">, CallOptions {
  /** New content of the file. */
  readonly file?: Content | undefined
  /** Called with progress events of the new content. */
  readonly onProgress?: ProgressListener | undefined
}

/**
 * How a download is watched and checked.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadOptions extends CallOptions, Pick<ClientFileIo.DownloadOptions, "sha256"> {
  /** Called with progress events. */
  readonly onProgress?: ProgressListener | undefined
}

/**
 * As for any download, and where it begins.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadStreamOptions extends DownloadOptions {
  /** Goes on with a download that broke. The host may begin again instead: then `offset` is 0. */
  readonly resume?:
    | (Omit<ClientFileIo.Resume, "content"> & {
      /** The bytes that are there already; without them a digest cannot be checked. */
      readonly content?: AsyncIterable<Uint8Array> | undefined
    })
    | undefined
}

/**
 * An upload whose answer was lost.
 *
 * @category models
 * @since 0.1.0
 */
export interface LostUpload {
  /** Name that the file was sent with. */
  readonly name: string
  /** Its size in bytes. */
  readonly size: number
  /** When it was sent, or any time before that at which no other file of that name and size was sent. */
  readonly sentAt: Date
}

/**
 * The calls.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileIo extends Models.Closeable {
  /** Uploads a file; without a key it belongs to nobody. */
  readonly upload: (content: Content, options?: UploadOptions) => Promise<Models.FileDetails>
  /** Uploads a stream that can be read once; the call is never repeated. */
  readonly uploadOnce: (body: ClientFileBody.OneShotBody, options?: UploadOptions) => Promise<Models.FileDetails>
  /** Uploads a file that is deleted when the result is closed. Needs a key. */
  readonly uploadScoped: (content: Content, options?: UploadOptions) => Promise<Models.ScopedFile>
  /**
   * Looks for the file of an upload whose answer was lost, by its name, size and time, among the files of the account.
   * Fails when several fit. Needs a key.
   */
  readonly reconcile: (upload: LostUpload, options?: CallOptions) => Promise<Models.FileDetails | undefined>
  /** The states of a file, whenever they change, until it was taken or has expired. Needs a key. */
  readonly awaitDownloaded: (
    keyOrLink: string,
    options?: CallOptions & Parameters<ClientFileIo.Service["awaitDownloaded"]>[1]
  ) => AsyncIterable<Models.FileState>
  /** Begins a download of a key or a link. */
  readonly download: (keyOrLink: string, options?: DownloadStreamOptions) => Promise<Models.Download>
  /** Downloads a file into memory. */
  readonly downloadBytes: (keyOrLink: string, options?: DownloadOptions) => Promise<Models.DownloadedBytes>
  /** One page of the account's files. Needs a key. */
  readonly list: (options?: ClientFileIo.ListOptions & CallOptions) => Promise<Models.FileList>
  /** All of the account's files, page by page as they are taken. Needs a key. */
  readonly listAll: (options?: ClientFileIo.ListAllOptions & CallOptions) => AsyncIterable<Models.FileDetails>
  /** The account and its plan. Needs a key. */
  readonly me: (options?: CallOptions) => Promise<Models.Account>
  /** How many milliseconds a call that came now would wait for the account's limit, as far as that is known. */
  readonly waitTime: (options?: CallOptions) => Promise<number>
  /** Changes what is given and keeps the rest. Needs a key. */
  readonly update: (keyOrLink: string, options: UpdateOptions) => Promise<Models.FileDetails>
  /** Changes what is given and resets the rest to the host's defaults. Needs a key. */
  readonly replace: (keyOrLink: string, options: UpdateOptions) => Promise<Models.FileDetails>
  /** Deletes a file. Needs a key. */
  readonly delete: (keyOrLink: string, options?: CallOptions) => Promise<void>
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
  /** Headers that every request to the host has, such as those that a gateway before it wants. They are kept redacted. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** When calls that failed are made again. @default `RetryPolicy.make()` */
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  /** How many calls are made in a second. @default `RateLimit.learned()` */
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
 * The calls over `fetch`. Throws `FileIoError` with `InvalidRequest` when an option is wrong.
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
export const make = (options: Options = {}): Promise<FileIo> =>
  fromLayer(
    FetchFileIo.layer(Input.clientOptions(options)).pipe(Layer.provideMerge(Input.layerPolicies(options)))
  )
