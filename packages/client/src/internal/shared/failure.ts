import * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as Duration from "effect/Duration"

/**
 * How far an attempt came before it failed. Everything that must be decided about a failure follows from this and the
 * operation: what became of the only copy, and whether the attempt may be repeated.
 */
export type Stage =
  /** Nothing was asked of the host. */
  | "local"
  /** No connection was made. */
  | "unsent"
  /** The host said 429. */
  | "limited"
  /** The host said no, and did nothing. */
  | "refused"
  /** The request was sent, wholly or in part, and no answer came. */
  | "broken"
  /** The host failed; `status` says how. */
  | "failed"
  /** The host did it, or began to, and then something went wrong. */
  | "begun"
  /** All bytes of a download came over, and then something went wrong here. */
  | "received"
  /** Our source broke off an upload, so that the host cannot have the whole file. */
  | "withheld"
  /** The answer to an upload was lost; the host was asked since, and does not have the file. */
  | "absent"

export class Failure {
  readonly _tag = "Failure"
  readonly reason: FileIoError.Reason
  readonly stage: Stage
  constructor(stage: Stage, reason: FileIoError.Reason) {
    this.stage = stage
    this.reason = reason
  }
}

/** An answer that says that something was done, and is not what was asked for. */
export const unexpected = (
  status: number,
  problem: string,
  more?: { readonly code?: string; readonly cause?: unknown }
): Failure => new Failure("begun", new FileIoError.UnexpectedResponse({ status, problem, ...more }))

const statusOf = (failure: Failure): number => failure.reason._tag === "ServerFailure" ? failure.reason.status : 0

/** After these nothing was done on the host. */
const UNTOUCHED: ReadonlySet<Stage> = new Set(["local", "unsent", "limited", "refused", "withheld", "absent"])

/** What became of the only copy on the host. */
export const copyOf = (failure: Failure): FileIoError.Copy =>
  failure.stage === "refused" && failure.reason._tag === "FileNotFound"
    ? "absent"
    : UNTOUCHED.has(failure.stage) || (failure.stage === "failed" && statusOf(failure) === 503)
    ? "kept"
    : failure.stage === "received"
    ? "consumed"
    : "unknown"

/** Whether the host may have stored something. */
export const storedOf = (failure: Failure): FileIoError.Stored => UNTOUCHED.has(failure.stage) ? "no" : "unknown"

/**
 * Whether the attempt may be repeated without harm. This is the table of `docs/one-time-promise.md`.
 *
 * @param reopenable whether the request's body can be sent again from its start
 */
export const mayRepeat = (operation: FileIoError.Operation, failure: Failure, reopenable: boolean): boolean => {
  if (!reopenable || !failure.reason.isRetryable) return false
  switch (failure.stage) {
    case "local":
    case "received":
    case "withheld":
      return false
    case "refused":
      // The host did not get the whole request (RFC 9110, 15.5.9), so there is nothing that it could have done.
      return statusOf(failure) === 408
    case "limited":
    case "unsent":
    case "absent":
      return true
    case "broken":
      return operation !== "download" && operation !== "upload"
    case "failed":
      return operation === "upload"
        ? false
        : operation !== "download" || [502, 503, 504].includes(statusOf(failure))
    case "begun":
      return operation === "me" || operation === "list"
  }
}

/** How long the host asked to wait. */
export const retryAfterOf = (failure: Failure): Duration.Duration | undefined =>
  failure.reason._tag === "RateLimited" || failure.reason._tag === "ServerFailure" ||
    failure.reason._tag === "DownloadInProgress"
    ? failure.reason.retryAfter
    : undefined
