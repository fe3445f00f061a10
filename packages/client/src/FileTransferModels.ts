/**
 * What the transfers of `FileTransfer` take and give; `FileTransfer` exports it too.
 *
 * @since 0.1.0
 */
import type * as FileKey from "@effect-fileio/core/FileKey"
import type * as FileName from "@effect-fileio/core/FileName"
import type * as FileBody from "./FileBody.ts"
import type { DownloadOptions, UploadOptions } from "./FileIoModels.ts"
import type * as Progress from "./Progress.ts"

/**
 * Settings of the new file, with its name and type.
 *
 * @category models
 * @since 0.1.0
 */
export interface UploadFileOptions extends UploadOptions, FileBody.FileOptions {
  /**
   * Folder for a note about the upload while it is unfinished: the same call in another process continues it, as long as the file
   * and the options are the same and the host keeps what it has. Only for large files on a host that supports resumable uploads,
   * and not with `encryption`, since the note would have to hold the key. See `UploadNote`. @default none
   */
  readonly notes?: string | undefined
}

/**
 * What to do if the name of a download is taken: fail, overwrite it, or add a number (`report (1).pdf`). Overwriting follows a
 * symbolic link at a path that you give, and replaces one that has the host's name. It never replaces a folder: a file whose
 * name on the host is that of a folder gets a number.
 *
 * @category models
 * @since 0.1.0
 */
export type Collision = "fail" | "overwrite" | "number"

/**
 * Destination of a download: a folder, in which it gets its original name, or a path. Missing folders are made, also those of a
 * path.
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
export interface DownloadFileOptions extends DownloadOptions {
  /** @default "fail" for a path, "number" in a folder, where the name is not known beforehand */
  readonly onCollision?: Collision | undefined
  /** Wait until the disk holds the file, so that it survives a power failure. @default true */
  readonly durable?: boolean | undefined
  /** Size of the file in bytes, if known: then free disk space is checked before the request. */
  readonly size?: number | undefined
  /** Resume the part that an earlier download of this file left in the folder. @default true */
  readonly resume?: boolean | undefined
  /**
   * Folder for the rest of a download whose destination fails, such as on a full disk; best on another disk. It must exist.
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
