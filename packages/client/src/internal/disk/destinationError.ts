/** Errors of a download whose disk fails, with the paths of its received bytes. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { PlatformError } from "effect/PlatformError"
import { toError } from "../request/retry.ts"
import { Failure, type Stage } from "../shared/failure.ts"
import { present } from "../shared/present.ts"
import * as SystemError from "../shared/systemError.ts"

export const TAKEN = "the name is taken; ask for overwriting or a number, or give another path"
export const FULL = "the disk is full"

const PROBLEMS: Record<string, string> = {
  NotFound: "the folder does not exist",
  PermissionDenied: "no permission to write there",
  AlreadyExists: TAKEN
}

const CODES: Record<string, string> = {
  ENOSPC: FULL,
  ENOTDIR: "a part of the path is a file, and no folder",
  EDQUOT: "the disk quota is used up",
  EROFS: "the disk is read-only",
  EFBIG: "the file system does not take a file this large",
  ENAMETOOLONG: "the path is too long"
}

export const problemOf = (error: PlatformError): string =>
  CODES[SystemError.find(error.reason.cause)?.code ?? ""] ?? PROBLEMS[error.reason._tag] ?? "it failed"

/** The received bytes, and their paths. */
export interface Received {
  readonly parts?: ReadonlyArray<string>
  readonly bytesDone?: number
  readonly bytesExpected?: number
}

export const destinationFailed = (stage: Stage, path: string, problem: string, cause?: unknown, received?: Received) =>
  toError(
    "download",
    new Failure(
      stage,
      new FileIoError.DestinationFailed({ path, problem, ...received, ...(cause === undefined ? {} : { cause }) })
    )
  )

/** Before the request. */
export const local = (path: string) => (error: PlatformError) =>
  destinationFailed("local", path, problemOf(error), error)

/** Adds the paths of the received bytes to an error of the transfer. */
export const withPart = (
  error: FileIoError.FileIoError,
  partPath: string | undefined,
  bytesDone: number
): FileIoError.FileIoError => {
  const { reason } = error
  if (partPath === undefined) return error
  // The cause of an error is not enumerable.
  const received = { ...present("cause", reason.cause), bytesDone, partPath }
  return reason._tag === "TimedOut"
    ? new FileIoError.FileIoError({ ...error, reason: new FileIoError.TimedOut({ ...reason, ...received }) })
    : reason._tag === "TransferInterrupted"
    ? new FileIoError.FileIoError({ ...error, reason: new FileIoError.TransferInterrupted({ ...reason, ...received }) })
    : error
}
