/**
 * The failure of an attempt, and what follows from it: what became of the only copy, whether the host may have stored something,
 * and whether the attempt may be repeated. `retry.ts` asks it after every failure; the table is in `docs/one-time-promise.md`.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as Duration from "effect/Duration"

/**
 * How far an attempt came before it failed. The stage and the operation decide everything about a failure: what became of the
 * only copy, and whether the attempt may be repeated.
 */
export type Stage =
  /** No request was made. */
  | "local"
  /** No connection was made. */
  | "unsent"
  /** The host refused with a 429. */
  | "limited"
  /** The host refused, and did nothing. */
  | "refused"
  /** The request was sent, at least in part, and no response came. */
  | "broken"
  /** The host failed; `status` says how. */
  | "failed"
  /** The host did it, or began to, and then something failed. */
  | "begun"
  /** All bytes of a download arrived, and then something failed here. */
  | "received"
  /** Our source failed during an upload, so the host cannot have the whole file. */
  | "withheld"
  /** The response of an upload was lost; asked since, the host does not have the file. */
  | "absent"
  /** A resumable upload broke; the host says how much of it is stored when it is asked. */
  | "resumable"

export class Failure {
  readonly _tag = "Failure"
  readonly reason: FileIoError.Reason
  readonly stage: Stage
  /** Whether an earlier attempt at the same call may have had its effect, which this one does not undo. */
  readonly isAfterEffect: boolean
  constructor(stage: Stage, reason: FileIoError.Reason, isAfterEffect = false) {
    this.stage = stage
    this.reason = reason
    this.isAfterEffect = isAfterEffect
  }
}

/** A response that reports a success, but not of what was requested. */
export const unexpected = (
  status: number,
  problem: string,
  more?: { readonly code?: string; readonly cause?: unknown }
): Failure => new Failure("begun", new FileIoError.UnexpectedResponse({ status, problem, ...more }))

/** All bytes of a download arrived, and their digest is another one. */
export const wrongDigest = (
  bytes: { readonly bytesDone: number; readonly bytesExpected?: number; readonly partPath?: string }
): Failure =>
  new Failure(
    "received",
    new FileIoError.TransferInterrupted({ ...bytes, resumable: false, problem: "its SHA-256 is not the expected one" })
  )

const statusOf = (failure: Failure): number => failure.reason._tag === "ServerFailure" ? failure.reason.status : 0

/** After these, the host has done nothing. */
const UNTOUCHED: ReadonlySet<Stage> = new Set([
  "local",
  "unsent",
  "limited",
  "refused",
  "withheld",
  "absent",
  "resumable"
])

/** The host has no room for what was sent (RFC 4918, 11.5), so it did not store it. */
const NO_ROOM = 507

/** What became of the only copy on the host. */
export const copyOf = (failure: Failure): FileIoError.Copy =>
  failure.stage === "received"
    ? "consumed"
    : failure.isAfterEffect
    ? "unknown"
    : failure.stage === "refused" && failure.reason._tag === "FileNotFound"
    ? "absent"
    : UNTOUCHED.has(failure.stage) || (failure.stage === "failed" && statusOf(failure) === 503)
    ? "kept"
    : "unknown"

/** Whether the host may have stored something. */
export const storedOf = (failure: Failure): FileIoError.Stored =>
  (UNTOUCHED.has(failure.stage) || (failure.stage === "failed" && statusOf(failure) === NO_ROOM)) &&
    !failure.isAfterEffect
    ? "no"
    : "unknown"

/**
 * Whether the host may have done what it was asked for, so that a later refusal is not the whole truth. A resumable upload asks
 * the host, so each of its failures says this itself.
 */
export const mayHaveEffect = (operation: FileIoError.Operation, failure: Failure): boolean =>
  failure.stage !== "resumable" && (operation === "download" ? copyOf(failure) : storedOf(failure)) === "unknown"

/** The content of a file that a request sends: whether it can be sent again from its start. */
export type Content = "none" | "reopenable" | "once"

/**
 * Whether the attempt may be repeated without harm: the table of `docs/one-time-promise.md`.
 *
 * New content that was stored may have been downloaded since, and stored again it could be downloaded again.
 */
export const mayRepeat = (operation: FileIoError.Operation, failure: Failure, content: Content): boolean => {
  if (content === "once" || !failure.reason.isRetryable) return false
  switch (failure.stage) {
    case "local":
    case "received":
    case "withheld":
      return false
    case "refused":
      // The host did not get the whole request (RFC 9110, 15.5.9), so it cannot have done anything.
      return statusOf(failure) === 408
    case "limited":
    case "unsent":
    case "absent":
    case "resumable":
      return true
    case "broken":
      return operation !== "download" && content === "none"
    case "failed":
      return operation === "download" ? [502, 503, 504].includes(statusOf(failure)) : content === "none"
    case "begun":
      return operation === "me" || operation === "list" || operation === "status"
  }
}

/** The wait that the host asked for. */
export const retryAfterOf = (failure: Failure): Duration.Duration | undefined =>
  failure.reason._tag === "RateLimited" || failure.reason._tag === "ServerFailure" ||
    failure.reason._tag === "DownloadInProgress"
    ? failure.reason.retryAfter
    : undefined
