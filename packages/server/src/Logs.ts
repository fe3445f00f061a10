/**
 * The access log and the audit log: files of one JSON line per event. Neither contains keys or names of files.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A log cannot be written.
 *
 * @category errors
 * @since 0.1.0
 */
export class LogError extends Schema.TaggedError<LogError>("@effect-fileio/server/LogError")("LogError", {
  path: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `cannot write the log ${this.path}; check that its folder exists and can be written`
  }
}

/**
 * A line of the audit log, which also has its `time` and, for a request, the `address` or its hash.
 *
 * @category models
 * @since 0.1.0
 */
export interface AuditEvent {
  readonly event: "upload" | "update" | "download" | "delete" | "key-created" | "key-revoked"
  /** Name of the account; empty for callers without a key. */
  readonly account?: string
  /** The file's audit id, which can be computed from its link, but does not reveal it. */
  readonly file?: string
  readonly bytes?: number
  /** Who did it, if not the account of a request: an operator, or the holder of a file's deletion token. */
  readonly by?: "operator" | "token"
  /** Whether all bytes of a download were sent. */
  readonly outcome?: "whole" | "broken"
  /** First block of an API key, which is no secret. */
  readonly key?: string
}
