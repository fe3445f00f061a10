/**
 * The status of a file: whether it can be downloaded, and what became of it. An extension of the server of this project.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const nullable = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/**
 * Whether a file can be downloaded, and what became of one that is gone. `available`: it can be downloaded. `downloading`:
 * somebody is downloading it, and no other download is left. `interrupted`: the download of the browser that sends this request
 * broke, and can begin again. `downloaded`, `expired`, `deleted`: the file is gone.
 *
 * @category schemas
 * @since 0.1.0
 */
export const State = /* @__PURE__ */ Schema.Literals([
  "available",
  "downloading",
  "interrupted",
  "downloaded",
  "expired",
  "deleted"
])

/**
 * @category models
 * @since 0.1.0
 */
export type State = typeof State.Type

/**
 * The status of a file. The fields after `seconds` are those of `FileDetails`, while the file is there.
 *
 * @category models
 * @since 0.1.0
 */
export class FileStatus extends Schema.Class<FileStatus>("@effect-fileio/core/FileStatus")({
  state: State,
  /** Whether the download belongs to the browser that sends this request, which can begin it again. */
  yours: Schema.optionalKey(Schema.Boolean),
  /** Seconds in which that browser can begin again, or after which the file may be available to others. `null`: unknown. */
  seconds: nullable(Schema.Finite),
  name: Schema.optionalKey(Schema.String),
  title: nullable(Schema.String),
  size: Schema.optionalKey(Schema.Finite),
  mimeType: nullable(Schema.String),
  expires: nullable(Schema.DateTimeUtcFromString),
  downloads: Schema.optionalKey(Schema.Finite),
  maxDownloads: nullable(Schema.Finite),
  attempts: Schema.optionalKey(Schema.Finite),
  lastAttempt: nullable(Schema.DateTimeUtcFromString)
}) {
  /**
   * Whether the file is gone.
   *
   * @since 0.1.0
   */
  get isGone(): boolean {
    return this.state === "downloaded" || this.state === "expired" || this.state === "deleted"
  }
}
