/**
 * What the host tells of a file.
 *
 * Source of the fields: answers of the live service from 2019 to 2024 and its OpenAPI page; see `test/fixtures`. The
 * oldest answers have only `key`, `link` and `expiry`, so all else may be absent. Fields not known here are ignored.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { FileKey } from "./FileKey.ts"

const nullable = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/**
 * The details of a file. An absent field was not told by the host; `expires: null` means never, and
 * `maxDownloads: null` means unlimited.
 *
 * @category models
 * @since 0.1.0
 */
export class FileDetails extends Schema.Class<FileDetails>("@effect-fileio/core/FileDetails")({
  /** Key of the file on its host. */
  key: FileKey,
  /** Link to give away; opening it in a browser shows a page, an API client gets the bytes. */
  link: Schema.String,
  /** UUID of the file. */
  id: Schema.optionalKey(Schema.String),
  /** Folder of the file; always `/`. */
  path: Schema.optionalKey(Schema.String),
  nodeType: Schema.optionalKey(Schema.String),
  /** Name of the file as it was uploaded. Never use it as a path: see `FileName.sanitize`. */
  name: Schema.optionalKey(Schema.String),
  title: nullable(Schema.String),
  description: nullable(Schema.String),
  /** Size in bytes. */
  size: Schema.optionalKey(Schema.Finite),
  private: Schema.optionalKey(Schema.Boolean),
  /** When the file expires; `null`: never. */
  expires: nullable(Schema.DateTimeUtcFromString),
  /** The expiry in words, such as `14 days`; only in old answers. */
  expiry: Schema.optionalKey(Schema.String),
  /** How often the file was downloaded. */
  downloads: Schema.optionalKey(Schema.Finite),
  /** How often the file may be downloaded; `null`: unlimited. */
  maxDownloads: nullable(Schema.Finite),
  /**
   * How often a download was begun, whether or not it reached the last byte; more than `downloads` where one broke, or is
   * under way. Only the server of this project says so.
   */
  attempts: Schema.optionalKey(Schema.Finite),
  /** When a download was last begun; `null`: never. Only the server of this project says so. */
  lastAttempt: nullable(Schema.DateTimeUtcFromString),
  /** From which byte on a download counts. Only the server of this project says so. */
  countFrom: Schema.optionalKey(Schema.String),
  autoDelete: Schema.optionalKey(Schema.Boolean),
  planId: nullable(Schema.Union([Schema.Finite, Schema.String])),
  /** State of the host's check for harmful content, such as `pending` or `passed`. */
  screeningStatus: nullable(Schema.String),
  mimeType: nullable(Schema.String),
  created: nullable(Schema.DateTimeUtcFromString),
  modified: nullable(Schema.DateTimeUtcFromString)
}) {
  /**
   * How many downloads are left; `undefined` when the host does not tell.
   *
   * @since 0.1.0
   */
  get downloadsLeft(): number | "unlimited" | undefined {
    if (this.maxDownloads === null) return "unlimited"
    if (this.maxDownloads === undefined) return undefined
    return Math.max(0, this.maxDownloads - (this.downloads ?? 0))
  }
}
