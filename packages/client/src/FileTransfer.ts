/**
 * Files on disk: uploads from a path, downloads to a path or a folder.
 *
 * A download goes to a part file beside its destination and gets its name only when it is whole and safe on the disk, so
 * that a name never holds less than the whole file.
 *
 * @since 0.1.0
 */
import type * as FileDetails from "@effect-fileio/core/FileDetails"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as FileKey from "@effect-fileio/core/FileKey"
import * as FileName from "@effect-fileio/core/FileName"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as FileBody from "./FileBody.ts"
import * as FileIo from "./FileIo.ts"
import * as Destination from "./internal/destination.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface UploadFileOptions extends FileIo.UploadOptions, FileBody.Options {}

/**
 * What to do when the name of a download is taken: fail, write over it, or add a number (`report (1).pdf`).
 *
 * @category models
 * @since 0.1.0
 */
export type Collision = "fail" | "overwrite" | "number"

/**
 * Where a download goes: a folder, in which it gets its original name, or a path.
 *
 * @category models
 * @since 0.1.0
 */
export type Target = { readonly directory: string } | { readonly path: string }

/**
 * @category models
 * @since 0.1.0
 */
export interface DownloadFileOptions extends FileIo.DownloadOptions {
  /** @default "fail" for a path, "number" in a folder, where the name is not known beforehand */
  readonly onCollision?: Collision | undefined
  /** Waits until the disk holds the file, so that it survives a loss of power. @default true */
  readonly durable?: boolean | undefined
}

/**
 * A file that was downloaded.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadedFile {
  /** Where it lies. */
  readonly path: string
  /** The last component of `path`. */
  readonly name: FileName.FileName
  readonly key: FileKey.FileKey
  /** Its size. */
  readonly bytes: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /** Uploads a file from disk. */
  readonly uploadFile: (
    path: string,
    options?: UploadFileOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError>
  /** Downloads a file to disk. */
  readonly downloadFile: (
    keyOrLink: string,
    target: Target,
    options?: DownloadFileOptions
  ) => Effect.Effect<DownloadedFile, FileIoError.FileIoError>
}

/**
 * Transfers between a host and the disk.
 *
 * **Example** (A file there and back)
 *
 * ```ts
 * import { FileTransfer } from "@effect-fileio/client"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const transfer = yield* FileTransfer.FileTransfer
 *   const file = yield* transfer.uploadFile("report.pdf", { expires: "2w" })
 *   return yield* transfer.downloadFile(file.link, { directory: "inbox" })
 * })
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class FileTransfer extends Context.Service<FileTransfer, Service>()("@effect-fileio/client/FileTransfer") {}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const disk = yield* Effect.context<FileSystem.FileSystem | Path.Path>()

  const uploadFile: Service["uploadFile"] = Effect.fn("FileTransfer.uploadFile")(function*(path, options) {
    const body = yield* FileBody.file(path, options)
    return yield* fileIo.upload(body, options)
  }, Effect.provideContext(disk))

  const downloadFile: Service["downloadFile"] = Effect.fn("FileTransfer.downloadFile")(
    function*(keyOrLink, target, options) {
      const destination = yield* Destination.prepare(target, options)
      const download = yield* fileIo.download(keyOrLink, options)
      const { bytes, path } = yield* destination.receive(download)
      const paths = yield* Path.Path
      return { path, name: FileName.sanitize(paths.basename(path)), key: download.key, bytes }
    },
    Effect.scoped,
    Effect.provideContext(disk)
  )

  return FileTransfer.of({ uploadFile, downloadFile })
})

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<FileTransfer, never, FileIo.FileIo | FileSystem.FileSystem | Path.Path> = Layer.effect(
  FileTransfer,
  make
)
