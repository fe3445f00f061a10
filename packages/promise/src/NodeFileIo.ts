/**
 * The calls of the file.io API as async functions for Node, with files on disk.
 *
 * @since 0.1.0
 */
import type * as ClientFileIo from "@effect-fileio/client/FileIo"
import * as FileTransfer from "@effect-fileio/client/FileTransfer"
import type * as Progress from "@effect-fileio/client/Progress"
import * as NodeLayer from "@effect-fileio/platform-node/NodeFileIo"
import type * as NodeHttp from "@effect-fileio/platform-node/NodeHttp"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { DecryptionOptions, EncryptionOptions } from "./Encryption.ts"
import type * as FileIo from "./FileIo.ts"
import * as Calls from "./internal/calls.ts"
import * as Input from "./internal/input.ts"
import * as Plain from "./internal/plain.ts"
import * as Run from "./internal/run.ts"
import type * as Models from "./Models.ts"

/**
 * Called with the progress of several transfers together.
 *
 * @category models
 * @since 0.1.0
 */
export type BatchListener = (progress: Progress.Batch) => void | Promise<void>

/**
 * Settings of the new file, with its name and type.
 *
 * @category models
 * @since 0.1.0
 */
export interface UploadFileOptions
  extends
    Omit<FileTransfer.UploadFileOptions, "onProgress" | "encryption" | "resumption">,
    EncryptionOptions,
    FileIo.CallOptions
{
  /** Called with progress events. */
  readonly onProgress?: FileIo.ProgressListener | undefined
}

/**
 * How a file is written to the disk.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadFileOptions
  extends
    Omit<FileTransfer.DownloadFileOptions, "onProgress" | keyof DecryptionOptions>,
    DecryptionOptions,
    FileIo.CallOptions
{
  /** Called with progress events. */
  readonly onProgress?: FileIo.ProgressListener | undefined
}

/**
 * Settings of all new files.
 *
 * @category models
 * @since 0.1.0
 */
export interface UploadAllOptions
  extends
    Omit<FileTransfer.UploadAllOptions, "onProgress" | "encryption" | "resumption">,
    EncryptionOptions,
    FileIo.CallOptions
{
  /** Called with the progress of all files together. */
  readonly onProgress?: BatchListener | undefined
}

/**
 * How all files are written to the disk.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadAllOptions
  extends
    Omit<FileTransfer.DownloadAllOptions, "onProgress" | keyof DecryptionOptions>,
    DecryptionOptions,
    FileIo.CallOptions
{
  /** Called with the progress of all files together. */
  readonly onProgress?: BatchListener | undefined
}

/**
 * The calls of `FileIo`, and transfers from and to the disk.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeFileIo extends FileIo.FileIo {
  /** Uploads a file from disk. */
  readonly uploadFile: (path: string, options?: UploadFileOptions) => Promise<Models.FileDetails>
  /**
   * Downloads a file to disk. If an earlier download of the same file into the same folder broke, and the host can
   * resume, it continues from the part file.
   */
  readonly downloadFile: (
    keyOrLink: string,
    target: FileTransfer.Target,
    options?: DownloadFileOptions
  ) => Promise<Models.DownloadedFile>
  /** Looks for the part file of a broken download, without a request. */
  readonly pending: (
    keyOrLink: string,
    target: FileTransfer.Target,
    options?: FileIo.CallOptions
  ) => Promise<Models.PendingDownload | undefined>
  /**
   * Uploads several files, a few at once. The results are in the order of the paths, and a failure concerns only its
   * own file.
   */
  readonly uploadAll: (
    paths: Iterable<string>,
    options?: UploadAllOptions
  ) => Promise<ReadonlyArray<Models.Settled<Models.FileDetails>>>
  /** Downloads several files into a folder, a few at once, with results like those of `uploadAll`. */
  readonly downloadAll: (
    keysOrLinks: Iterable<string>,
    target: { readonly directory: string },
    options?: DownloadAllOptions
  ) => Promise<ReadonlyArray<Models.Settled<Models.DownloadedFile>>>
}

/**
 * Trusted certificates, and a client certificate, for `https:`: strings or bytes in PEM, or `file:` URLs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tls extends Omit<NodeHttp.Tls, "key" | "passphrase"> {
  /** The key of the client certificate. */
  readonly key?: NodeHttp.Pem | undefined
  /** The passphrase of `key`. It is kept redacted. */
  readonly passphrase?: string | undefined
}

/**
 * The options of `FileIo`, and those of the HTTP client of Node.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends FileIo.Options, Omit<NodeHttp.Options, "proxy" | "tls"> {
  /**
   * The proxy for every host, such as `http://user:password@proxy.example:3128`; it is kept redacted. `false`: no
   * proxy.
   * @default `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` of the environment
   */
  readonly proxy?: string | URL | false | undefined
  /** Certificates and keys. */
  readonly tls?: Tls | undefined
}

const toHttp = ({ connectTimeout, connections, dispatcher, proxy, socketPath, tls }: Options): NodeHttp.Options => ({
  connectTimeout,
  connections,
  dispatcher,
  socketPath,
  proxy: proxy === undefined || proxy === false ? proxy : Redacted.make(String(proxy)),
  tls: tls === undefined
    ? undefined
    : { ...tls, passphrase: tls.passphrase === undefined ? undefined : Redacted.make(tls.passphrase) }
})

/**
 * The calls over any layer of both services.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromLayer = async <E>(
  layer: Layer.Layer<ClientFileIo.FileIo | FileTransfer.FileTransfer, E>
): Promise<NodeFileIo> => {
  const runner = await Run.make(layer)
  const transfer = Context.get(runner.context, FileTransfer.FileTransfer)
  return {
    ...Calls.make(runner),
    uploadFile: (path, options) =>
      runner.promise(
        "upload",
        Effect.map(transfer.uploadFile(path, Input.watched(options)), Plain.fileDetails),
        options
      ),
    downloadFile: (keyOrLink, target, options) =>
      runner.promise("download", transfer.downloadFile(keyOrLink, target, Input.watched(options)), options),
    pending: (keyOrLink, target, options) =>
      runner.promise("download", Effect.map(transfer.pending(keyOrLink, target), Option.getOrUndefined), options),
    uploadAll: (paths, options) =>
      runner.promise(
        "upload",
        Effect.map(
          Input.many("upload", "paths", paths, (paths) => transfer.uploadAll(paths, Input.watched(options))),
          (results) => results.map((result) => Plain.settled(result, Plain.fileDetails))
        ),
        options
      ),
    downloadAll: (keysOrLinks, target, options) =>
      runner.promise(
        "download",
        Effect.map(
          Input.many(
            "download",
            "keysOrLinks",
            keysOrLinks,
            (keysOrLinks) => transfer.downloadAll(keysOrLinks, target, Input.watched(options))
          ),
          (results) => results.map((result) => Plain.settled(result, (file) => file))
        ),
        options
      )
  }
}

/**
 * The calls for Node. Throws `InvalidOption` if an option is invalid.
 *
 * **Example** (A file there and back)
 *
 * ```ts
 * import { FileIoError } from "@effect-fileio/promise"
 * import { NodeFileIo } from "@effect-fileio/promise/node"
 *
 * const move = async (path: string) => {
 *   await using fileIo = await NodeFileIo.make({ baseUrl: "http://localhost:8080" })
 *   const file = await fileIo.uploadFile(path, { expires: "2w" })
 *   try {
 *     return await fileIo.downloadFile(file.link, { directory: "inbox" })
 *   } catch (error) {
 *     if (error instanceof FileIoError.FileIoError && error.reason._tag === "FileNotFound") return undefined
 *     throw error
 *   }
 * }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = async (options: Options = {}): Promise<NodeFileIo> =>
  fromLayer(
    NodeLayer.layer({ ...Input.clientOptions(options), ...toHttp(options) }).pipe(
      Layer.provideMerge(Input.layerPolicies(options))
    )
  )

/**
 * The calls for Node, configured by the environment: `FILEIO_BASE_URL`, `FILEIO_API_KEY` and the other variables of
 * `NodeFileIo.config` of `@effect-fileio/platform-node`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeConfig = (): Promise<NodeFileIo> => fromLayer(NodeLayer.layerConfig())
