/**
 * The only error of every call: `reason` says why it failed, `copy` and `stored` what became of the only copy. A client that
 * cannot be made fails with `InvalidOption`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { FileKey } from "./FileKey.ts"
import { ENDED, isPublicHost } from "./internal/publicHost.ts"
import { TimedOut, Unreachable } from "./NetworkReasons.ts"
import { visible } from "./PlainText.ts"
import { DecryptionFailed, DestinationFailed, SourceFailed, TransferInterrupted } from "./TransferReasons.ts"

export * from "./NetworkReasons.ts"
export * from "./TransferReasons.ts"

const cause = { cause: Schema.optionalKey(Schema.Defect()) }

const again = (after: Duration.Duration | undefined): string =>
  after === undefined
    ? "try again later"
    : Duration.isZero(after)
    ? "try again"
    : `try again in ${Duration.format(after)}`

const size = (bytes: number) => `${bytes.toLocaleString("en-US")} bytes`

/**
 * The key is missing, unknown, or does not allow the call (401, 403).
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {
  /** The host's status; absent if the call needs a key, has none, and so made no request. */
  status: Schema.optionalKey(Schema.Finite),
  /** Whether the call had a key, if it made a request. */
  hadKey: Schema.optionalKey(Schema.Boolean),
  /** Whether the call had a deletion token, which this host does not accept. */
  hadToken: Schema.optionalKey(Schema.Boolean),
  /** The host's message. */
  detail: Schema.optionalKey(Schema.String),
  ...cause
}) {
  get isRetryable() {
    return false
  }
  /** Whether the call needs a key and had none, as opposed to a wrong one. */
  get isKeyMissing() {
    return this.status === undefined || (this.status === 401 && this.hadKey === false)
  }
  override get message() {
    const detail = this.detail === undefined ? "" : `: ${this.detail}`
    return visible(
      this.status === 403
        ? `the host refuses this to the account (403)${detail}; check that the account's plan allows it`
        : this.isKeyMissing && this.hadToken === true
        ? `the host takes no deletion token here, so deleting needs an API key${detail}; set FILEIO_API_KEY or the apiKey option`
        : this.isKeyMissing
        ? `this call needs an API key${detail}; set FILEIO_API_KEY or the apiKey option`
        : `the host does not accept the API key (401)${detail}; check FILEIO_API_KEY or the apiKey option`
    )
  }
}

/**
 * There is no such file: the key never existed, or the file has expired, was deleted, or was already downloaded.
 *
 * @category reasons
 * @since 0.1.0
 */
export class FileNotFound extends Schema.TaggedError<FileNotFound>()("FileNotFound", {
  key: FileKey,
  /** The host of the link, if it is not the configured one. */
  askedHost: Schema.optionalKey(Schema.String),
  /** Whether the call had a deletion token: a wrong one looks the same. */
  hadToken: Schema.optionalKey(Schema.Boolean),
  ...cause
}) {
  get isRetryable() {
    return false
  }
  override get message() {
    const other = this.askedHost === undefined
      ? this.hadToken === true
        ? "; if it is still there, the deletion token is not its own"
        : "; check the key, or ask the sender to share it again"
      : `; the link names another host than the one asked (${this.askedHost}), set FILEIO_BASE_URL or the baseUrl option`
    return `no such file: it was never there, has expired, was deleted, or has been downloaded already${other}`
  }
}

/**
 * The account's rate limit was reached (429), and the wait would be longer than allowed.
 *
 * @category reasons
 * @since 0.1.0
 */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  /** How long to wait, if the host or the limiter knows. */
  retryAfter: Schema.optionalKey(Schema.Duration),
  ...cause
}) {
  get isRetryable() {
    return true
  }
  override get message() {
    return `too many requests for this account; ${again(this.retryAfter)}`
  }
}

/**
 * The plan does not allow the call (402, 413, or known beforehand from `me`).
 *
 * @category reasons
 * @since 0.1.0
 */
export class PlanLimit extends Schema.TaggedError<PlanLimit>()("PlanLimit", {
  /** Name of the limit, such as `maxUploadBytes`, `maxStorageBytes`, `expires` or `maxDownloads`. */
  limit: Schema.String,
  /** The requested value, in the limit's unit. */
  asked: Schema.optionalKey(Schema.Finite),
  /** The allowed value, in the limit's unit. */
  allowed: Schema.optionalKey(Schema.Finite),
  /** The host's message. */
  detail: Schema.optionalKey(Schema.String),
  ...cause
}) {
  get isRetryable() {
    return false
  }
  override get message() {
    const unit = (value: number) => this.limit.endsWith("Bytes") ? size(value) : String(value)
    const asked = this.asked === undefined ? "" : `, asked ${unit(this.asked)}`
    const allowed = this.allowed === undefined ? "" : `, allowed ${unit(this.allowed)}`
    const detail = this.detail === undefined ? "" : ` (${this.detail})`
    return visible(
      `beyond the plan's ${this.limit}${asked}${allowed}${detail}; ask for less, free storage, or upgrade the plan`
    )
  }
}

/**
 * The input is invalid: found before any request, or refused by the host (400, 415, 422).
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  /** The invalid input, such as `expires` or `key`; `request` if the host did not say. */
  field: Schema.String,
  /** What is wrong, and what is allowed. */
  problem: Schema.String,
  ...cause
}) {
  get isRetryable() {
    return false
  }
  override get message() {
    return visible(`invalid ${this.field}: ${this.problem}`)
  }
}

/**
 * Somebody else is downloading this file (423); it is available again only if that download breaks.
 *
 * @category reasons
 * @since 0.1.0
 */
export class DownloadInProgress extends Schema.TaggedError<DownloadInProgress>()("DownloadInProgress", {
  key: FileKey,
  retryAfter: Schema.optionalKey(Schema.Duration),
  ...cause
}) {
  get isRetryable() {
    return true
  }
  override get message() {
    return `somebody else is downloading the file; it is available again only if that download breaks, ${
      again(this.retryAfter)
    }`
  }
}

/**
 * The host failed (5xx), or did not receive the whole request in time (408).
 *
 * @category reasons
 * @since 0.1.0
 */
export class ServerFailure extends Schema.TaggedError<ServerFailure>()("ServerFailure", {
  status: Schema.Finite,
  code: Schema.optionalKey(Schema.String),
  retryAfter: Schema.optionalKey(Schema.Duration),
  ...cause
}) {
  get isRetryable() {
    return true
  }
  override get message() {
    const code = this.code === undefined ? "" : ` ${this.code}`
    return visible(
      this.status === 408
        ? `the host did not get the whole request in time (408${code}); try again, over a faster connection if there is one`
        : `the host failed (${this.status}${code}); try again later`
    )
  }
}

/**
 * The host does not serve this API: it sent an HTML page, a redirect to another site, or text.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotAnApi extends Schema.TaggedError<NotAnApi>()("NotAnApi", {
  host: Schema.String,
  status: Schema.Finite,
  contentType: Schema.optionalKey(Schema.String),
  /** Target of the redirect. */
  location: Schema.optionalKey(Schema.String),
  ...cause
}) {
  get isRetryable() {
    return false
  }
  /** Whether it is the public host, whose service has ended. */
  get isEnded() {
    return isPublicHost(this.host)
  }
  override get message() {
    const what = this.location === undefined
      ? `responded ${this.status} with ${this.contentType ?? "no content type"}`
      : `redirects (${this.status}) to ${this.location}`
    const advice = this.isEnded
      ? ENDED
      : "set FILEIO_BASE_URL or the baseUrl option to a host that does"
    return visible(`${this.host} does not speak the file.io API: it ${what}; ${advice}`)
  }
}

/**
 * The host shows a page instead of sending the bytes; the file is still there.
 *
 * @category reasons
 * @since 0.1.0
 */
export class DirectDownloadUnavailable extends Schema.TaggedError<DirectDownloadUnavailable>()(
  "DirectDownloadUnavailable",
  {
    /** Address of the page to open in a browser. */
    page: Schema.String,
    ...cause
  }
) {
  get isRetryable() {
    return false
  }
  override get message() {
    return visible(`the account that shared this file has no direct download; open ${this.page} in a browser`)
  }
}

/**
 * The host sent a response that is not in the contract.
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnexpectedResponse extends Schema.TaggedError<UnexpectedResponse>()("UnexpectedResponse", {
  status: Schema.Finite,
  /** What is wrong with the response; never its contents. */
  problem: Schema.String,
  code: Schema.optionalKey(Schema.String),
  ...cause
}) {
  get isRetryable() {
    return false
  }
  override get message() {
    return visible(
      `the host's response (${this.status}) is not what the API promises: ${this.problem}; check FILEIO_BASE_URL or the baseUrl option, or report it to the host`
    )
  }
}

/**
 * Reason of a failed call.
 *
 * @category reasons
 * @since 0.1.0
 */
export const Reason = /* @__PURE__ */ Schema.Union([
  Unauthorized,
  FileNotFound,
  RateLimited,
  PlanLimit,
  InvalidRequest,
  DownloadInProgress,
  ServerFailure,
  Unreachable,
  TimedOut,
  NotAnApi,
  DirectDownloadUnavailable,
  UnexpectedResponse,
  SourceFailed,
  DestinationFailed,
  TransferInterrupted,
  DecryptionFailed
])

/**
 * @category reasons
 * @since 0.1.0
 */
export type Reason = typeof Reason.Type

/**
 * The calls of the SDK, as named in errors, spans and metrics.
 *
 * @category models
 * @since 0.1.0
 */
export const Operation = /* @__PURE__ */ Schema.Literals([
  "upload",
  "download",
  "list",
  "me",
  "update",
  "replace",
  "delete",
  "status"
])

/**
 * @category models
 * @since 0.1.0
 */
export type Operation = typeof Operation.Type

/**
 * The only copy after a failed download. `kept`: the host still has it. `consumed`: the host has given it away and
 * counted the download. `absent`: the host has no such file, so this download took nothing. `unknown`: the client
 * cannot know.
 *
 * @category models
 * @since 0.1.0
 */
export const Copy = /* @__PURE__ */ Schema.Literals(["kept", "consumed", "absent", "unknown"])

/**
 * @category models
 * @since 0.1.0
 */
export type Copy = typeof Copy.Type

/**
 * The effect of a failed upload, update or replacement on the host. `no`: none. `unknown`: the response was lost, so it
 * may have succeeded.
 *
 * @category models
 * @since 0.1.0
 */
export const Stored = /* @__PURE__ */ Schema.Literals(["no", "unknown"])

/**
 * @category models
 * @since 0.1.0
 */
export type Stored = typeof Stored.Type

/**
 * The only error of every call.
 *
 * **Example** (One reason)
 *
 * ```ts
 * import { FileIo } from "@effect-fileio/client"
 * import { Effect } from "effect"
 *
 * const program = FileIo.FileIo.use((fileIo) => fileIo.me).pipe(
 *   Effect.catchReason("FileIoError", "Unauthorized", () => Effect.succeed("no valid key"))
 * )
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class FileIoError extends Schema.TaggedError<FileIoError>()("FileIoError", {
  operation: Operation,
  reason: Reason,
  /** For a download: what became of the only copy. */
  copy: Schema.optionalKey(Copy),
  /** For an upload, update or replacement: whether it may have been stored. */
  stored: Schema.optionalKey(Stored)
}) {
  override get message(): string {
    const verdict = this.copy !== undefined
      ? ` [the file on the host: ${this.copy}]`
      : this.stored !== undefined
      ? ` [stored on the host: ${this.stored}]`
      : ""
    return `${this.operation}: ${this.reason.message}${verdict}`
  }

  /**
   * Whether the same call may succeed later, unchanged.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/**
 * Whether a value is a `FileIoError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isFileIoError: (u: unknown) => u is FileIoError = /* @__PURE__ */ Schema.is(FileIoError)
