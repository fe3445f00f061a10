/**
 * The exit codes of `fileio`: one per class of error, so that a script can distinguish them.
 *
 * @since 0.1.0
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"

/**
 * The meaning of each code, for `fileio --help`.
 *
 * @category constants
 * @since 0.1.0
 */
export const table = [
  [0, "done"],
  [1, "an error of fileio itself"],
  [2, "usage: a command, flag or setting is wrong"],
  [3, "not found, or already taken"],
  [4, "not authorised"],
  [5, "rate-limited beyond the wait"],
  [6, "beyond the plan's limits"],
  [7, "network, or the host failed"],
  [8, "a local file or folder"],
  [9, "the copy is lost, or may be"],
  [130, "interrupted (Ctrl-C)"]
] as const

/**
 * @category models
 * @since 0.1.0
 */
export type ExitCode = (typeof table)[number][0]

const ofReason = (reason: FileIoError.Reason): ExitCode => {
  switch (reason._tag) {
    case "InvalidRequest":
      // An empty file is a problem of the file, not of the command line.
      return reason.field === "file" || reason.field === "size" ? 8 : 2
    case "FileNotFound":
    case "DownloadInProgress":
      return 3
    case "Unauthorized":
      return 4
    case "RateLimited":
      return 5
    case "PlanLimit":
    case "DirectDownloadUnavailable":
      return 6
    case "ServerFailure":
    case "Unreachable":
    case "TimedOut":
    case "NotAnApi":
    case "UnexpectedResponse":
    case "TransferInterrupted":
      return 7
    case "SourceFailed":
    case "DestinationFailed":
    case "DecryptionFailed":
      return 8
  }
}

/**
 * The exit code of an error. What became of the only copy comes first: 9 if the host may not have it any more, or may
 * have stored something unconfirmed.
 *
 * @category mapping
 * @since 0.1.0
 */
export const ofError = (error: FileIoError.FileIoError): ExitCode =>
  error.copy === "consumed" || error.copy === "unknown" || error.stored === "unknown" ? 9 : ofReason(error.reason)

/**
 * The code of several failures: 9 if one of them is, else that of the first.
 *
 * @category mapping
 * @since 0.1.0
 */
export const ofAll = (codes: ReadonlyArray<ExitCode>): ExitCode => codes.includes(9) ? 9 : codes[0] ?? 0
