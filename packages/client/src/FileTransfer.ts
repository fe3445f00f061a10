/**
 * Files on disk: uploads from a path, downloads to a path or a folder.
 *
 * A download goes to a part file beside its destination and gets its name only when it is complete and safe on the
 * disk, so that a name never holds less than the whole file.
 *
 * @since 0.1.0
 */
import type * as FileDetails from "@effect-fileio/core/FileDetails"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileName from "@effect-fileio/core/FileName"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as Result from "effect/Result"
import * as FileBody from "./FileBody.ts"
import * as FileIo from "./FileIo.ts"
import type {
  BatchOptions,
  DownloadAllOptions,
  DownloadedFile,
  DownloadFileOptions,
  PendingDownload,
  Target,
  UploadAllOptions,
  UploadFileOptions
} from "./FileTransferModels.ts"
import * as Encrypted from "./internal/calls/encrypted.ts"
import { parseLink } from "./internal/calls/shared.ts"
import * as Batch from "./internal/disk/batch.ts"
import * as Destination from "./internal/disk/destination.ts"
import * as PartFile from "./internal/disk/partFile.ts"
import { CurrentPlatform } from "./Platform.ts"
import * as UploadNote from "./UploadNote.ts"

export type * from "./FileTransferModels.ts"

/**
 * Transfers between the host and the disk. Each fails only with `FileIoError`, and requires no services.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /** Uploads a file from disk. */
  readonly uploadFile: (
    path: string,
    options?: UploadFileOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError>
  /**
   * Downloads a file to disk. If an earlier download of the same file into the same folder broke, and the host can
   * resume, it continues from the part file.
   */
  readonly downloadFile: (
    keyOrLink: string,
    target: Target,
    options?: DownloadFileOptions
  ) => Effect.Effect<DownloadedFile, FileIoError.FileIoError>
  /** Looks for the part file of a broken download, without a request. */
  readonly pending: (
    keyOrLink: string,
    target: Target
  ) => Effect.Effect<Option.Option<PendingDownload>, FileIoError.FileIoError>
  /**
   * Uploads several files, a few at once. The results are in the order of the paths, and a failure concerns only its
   * own file.
   */
  readonly uploadAll: (
    paths: Iterable<string>,
    options?: UploadAllOptions
  ) => Effect.Effect<ReadonlyArray<Result.Result<FileDetails.FileDetails, FileIoError.FileIoError>>>
  /** Downloads several files into a folder, a few at once, with results like those of `uploadAll`. */
  readonly downloadAll: (
    keysOrLinks: Iterable<string>,
    target: { readonly directory: string },
    options?: DownloadAllOptions
  ) => Effect.Effect<ReadonlyArray<Result.Result<DownloadedFile, FileIoError.FileIoError>>>
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
 * Makes the transfers over the `FileIo`, file system and paths in the context.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  // Only these services are captured here: spans and policies are the caller's.
  const disk = Context.make(FileSystem.FileSystem, yield* FileSystem.FileSystem).pipe(
    Context.add(Path.Path, yield* Path.Path),
    Context.add(CurrentPlatform, yield* CurrentPlatform)
  )

  const uploadFile: Service["uploadFile"] = Effect.fn("FileTransfer.uploadFile")(
    function*(path, options) {
      const body = yield* FileBody.file(path, options)
      const note = options?.notes === undefined || options.encryption !== undefined || options.resumption !== undefined
        ? undefined
        : yield* UploadNote.open(options.notes, body, options, "")
      if (note === undefined) return yield* fileIo.upload(body, options)
      if (note.state === "changed") {
        yield* Effect.logInfo(`${path} has changed since a part of it was uploaded; the upload starts over`)
      }
      return yield* Effect.tap(fileIo.upload(body, { ...options, resumption: note.resumption }), note.remove)
    },
    Effect.scoped,
    Effect.provideContext(disk)
  )

  const downloadFile: Service["downloadFile"] = Effect.fn("FileTransfer.downloadFile")(
    function*(keyOrLink, target, options) {
      const link = yield* parseLink("download", keyOrLink)
      const secrets = yield* Encrypted.secretsFor(link, options)
      const destination = yield* Destination.prepare(target, link, options, secrets)
      const { bytes, path } = destination.finished !== undefined
        ? yield* destination.finished
        : yield* fileIo.download(keyOrLink, {
          ...options,
          resume: destination.resume,
          // It is decrypted on its way to the disk.
          ...(secrets === undefined ? {} : { decrypt: false, sha256: undefined })
        }).pipe(
          Effect.catch(destination.explain),
          Effect.flatMap(destination.receive)
        )
      const paths = yield* Path.Path
      return { path, name: FileName.sanitize(paths.basename(path)), key: link.key, bytes }
    },
    Effect.scoped,
    Effect.provideContext(disk)
  )

  const pending: Service["pending"] = Effect.fn("FileTransfer.pending")(function*(keyOrLink, target) {
    const { key } = yield* parseLink("download", keyOrLink)
    yield* Destination.checkTarget(target)
    for (const folder of yield* Destination.foldersOf(target)) {
      const found = yield* PartFile.pending(folder, key)
      if (Option.isSome(found)) return found
    }
    return Option.none()
  }, Effect.provideContext(disk))

  const concurrencyOf = (options: BatchOptions | undefined): number =>
    Math.max(1, Math.floor(options?.concurrency ?? 4))

  const uploadAll: Service["uploadAll"] = Effect.fn("FileTransfer.uploadAll")(function*(paths, options) {
    const { concurrency: _, onProgress, ...rest } = options ?? {}
    const fs = yield* FileSystem.FileSystem
    const items = Array.from(paths)
    // Only for the sum of sizes; a missing file fails when its transfer starts.
    const totals = onProgress === undefined ? items.map(() => undefined) : yield* Effect.forEach(
      items,
      (path) =>
        Effect.orElseSucceed(
          Effect.map(fs.stat(path), (info): number | undefined => Number(info.size)),
          () => undefined
        ),
      { concurrency: 16 }
    )
    return yield* Batch.run(
      items,
      { concurrency: concurrencyOf(options), onProgress, totals },
      (path, onProgress) => uploadFile(path, { ...rest, onProgress })
    )
  }, Effect.provideContext(disk))

  const downloadAll: Service["downloadAll"] = Effect.fn("FileTransfer.downloadAll")(
    function*(keysOrLinks, target, options) {
      const { concurrency: _, onProgress, ...rest } = options ?? {}
      const items = Array.from(keysOrLinks)
      return yield* Batch.run(
        items,
        { concurrency: concurrencyOf(options), onProgress, totals: items.map(() => undefined) },
        (keyOrLink, onProgress) => downloadFile(keyOrLink, target, { ...rest, onProgress })
      )
    }
  )

  return FileTransfer.of({ uploadFile, downloadFile, pending, uploadAll, downloadAll })
})

/**
 * The service over the `FileIo`, file system and paths in the context.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<FileTransfer, never, FileIo.FileIo | FileSystem.FileSystem | Path.Path> = Layer.effect(
  FileTransfer,
  make
)
