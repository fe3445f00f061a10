/**
 * Files on disk: uploads from a path, downloads to a path or a folder.
 *
 * A download goes to a part file beside its destination and gets its name only when it is complete and safe on the
 * disk, so that a name never holds less than the whole file.
 *
 * @since 0.1.0
 */
import type * as FileDetails from "@effect-fileio/core/FileDetails"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileKey from "@effect-fileio/core/FileKey"
import * as FileName from "@effect-fileio/core/FileName"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as FileBody from "./FileBody.ts"
import * as FileIo from "./FileIo.ts"
import * as Encrypted from "./internal/calls/encrypted.ts"
import * as Batch from "./internal/disk/batch.ts"
import * as Destination from "./internal/disk/destination.ts"
import * as PartFile from "./internal/disk/partFile.ts"
import { CurrentPlatform } from "./Platform.ts"
import type * as Progress from "./Progress.ts"
import * as UploadNote from "./UploadNote.ts"

/**
 * Settings of the new file, with its name and type.
 *
 * @category models
 * @since 0.1.0
 */
export interface UploadFileOptions extends FileIo.UploadOptions, FileBody.FileOptions {
  /**
   * Folder for a note about the upload while it is unfinished: the same call in another process continues it, as long as the file
   * and the options are the same and the host keeps what it has. Only for large files on a host that supports resumable uploads,
   * and not with `encryption`, since the note would have to hold the key. See `UploadNote`. @default none
   */
  readonly notes?: string | undefined
}

/**
 * What to do if the name of a download is taken: fail, overwrite it, or add a number (`report (1).pdf`). With
 * overwriting, a link at a path that you give is followed; one with the name that the host sent is not.
 *
 * @category models
 * @since 0.1.0
 */
export type Collision = "fail" | "overwrite" | "number"

/**
 * Destination of a download: a folder, in which it gets its original name, or a path.
 *
 * @category models
 * @since 0.1.0
 */
export type Target = { readonly directory: string } | { readonly path: string }

/**
 * How a file is written to the disk.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadFileOptions extends FileIo.DownloadOptions {
  /** @default "fail" for a path, "number" in a folder, where the name is not known beforehand */
  readonly onCollision?: Collision | undefined
  /** Wait until the disk holds the file, so that it survives a power failure. @default true */
  readonly durable?: boolean | undefined
  /** Size of the file in bytes, if known: then free disk space is checked before the request. */
  readonly size?: number | undefined
  /** Resume the part that an earlier download of this file left in the folder. @default true */
  readonly resume?: boolean | undefined
  /**
   * Folder for the rest of a download whose destination fails, such as on a full disk; best on another disk.
   * @default a new folder among the system's temporary files
   */
  readonly fallbackDirectory?: string | undefined
}

/**
 * A file that was downloaded.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadedFile {
  /** Its path. */
  readonly path: string
  /** The last component of `path`. */
  readonly name: FileName.FileName
  readonly key: FileKey.FileKey
  /** Its size. */
  readonly bytes: number
}

/**
 * A part file in its folder, which the same call resumes.
 *
 * @category models
 * @since 0.1.0
 */
export interface PendingDownload {
  /** Path of the part. */
  readonly path: string
  /** Bytes in the part. */
  readonly bytes: number
  /** Bytes of the whole file. */
  readonly size: number
}

/**
 * How many files are transferred at a time, and their progress.
 *
 * @category models
 * @since 0.1.0
 */
export interface BatchOptions {
  /** Concurrent transfers. @default 4 */
  readonly concurrency?: number | undefined
  /** Called with the progress of all of them together. */
  readonly onProgress?: Progress.BatchListener | undefined
}

/**
 * Settings of all new files.
 *
 * @category models
 * @since 0.1.0
 */
export interface UploadAllOptions extends Omit<UploadFileOptions, "onProgress" | "name">, BatchOptions {}

/**
 * How all files are written to the disk.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadAllOptions extends Omit<DownloadFileOptions, "onProgress" | "size" | "sha256">, BatchOptions {}

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

  const uploadFile: Service["uploadFile"] = Effect.fn("FileTransfer.uploadFile")(function*(path, options) {
    const body = yield* FileBody.file(path, options)
    const note = options?.notes === undefined || options.encryption !== undefined || options.resumption !== undefined
      ? undefined
      : yield* UploadNote.open(options.notes, body, options, "")
    if (note === undefined) return yield* fileIo.upload(body, options)
    if (note.state === "changed") {
      yield* Effect.logInfo(`${path} has changed since a part of it was uploaded; the upload starts over`)
    }
    return yield* Effect.tap(fileIo.upload(body, { ...options, resumption: note.resumption }), note.remove)
  }, Effect.provideContext(disk))

  const downloadFile: Service["downloadFile"] = Effect.fn("FileTransfer.downloadFile")(
    function*(keyOrLink, target, options) {
      const link = FileKey.parse(keyOrLink)
      const secrets = Result.isSuccess(link) ? yield* Encrypted.secretsFor(link.success, options) : undefined
      const destination = yield* Destination.prepare(target, Result.getOrUndefined(link), options, secrets)
      const { bytes, path } = destination.finished !== undefined && Result.isSuccess(link)
        ? yield* destination.finished
        : yield* fileIo.download(keyOrLink, {
          ...options,
          resume: destination.resume,
          // It is decrypted on the disk, once all of it is there.
          ...(secrets === undefined ? {} : { decrypt: false, sha256: undefined })
        }).pipe(
          Effect.catch(destination.explain),
          Effect.flatMap(destination.receive)
        )
      const paths = yield* Path.Path
      const { key } = Result.getOrThrow(link)
      return { path, name: FileName.sanitize(paths.basename(path)), key, bytes }
    },
    Effect.scoped,
    Effect.provideContext(disk)
  )

  const pending: Service["pending"] = Effect.fn("FileTransfer.pending")(function*(keyOrLink, target) {
    const link = FileKey.parse(keyOrLink)
    if (Result.isFailure(link)) {
      const reason = new FileIoError.InvalidRequest({ field: "key", problem: link.failure })
      return yield* new FileIoError.FileIoError({ operation: "download", reason, copy: "kept" })
    }
    yield* Destination.checkTarget(target)
    for (const folder of yield* Destination.foldersOf(target)) {
      const found = yield* PartFile.pending(folder, link.success.key)
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
