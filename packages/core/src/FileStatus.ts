/**
 * The status of a file: whether it can be downloaded, and what became of it. An extension of the server of this project.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const nullable = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/**
 * What can be done with a file, or became of it. `available`: it can be downloaded. `downloading`: somebody downloads it, and no further
 * download is left. `interrupted`: the download of the asking browser broke, which may begin again. `downloaded`, `expired`, `deleted`: it is
 * gone.
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
  /** Whether it is the download of the asking browser, which may begin again. */
  yours: Schema.optionalKey(Schema.Boolean),
  /** For how many seconds it may do so; or after which time the file may be available again. `null`: unknown. */
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
