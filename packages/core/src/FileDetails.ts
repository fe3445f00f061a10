/**
 * The details of a file that a host sends.
 *
 * Source of the fields: responses of the live service from 2019 to 2024 and its OpenAPI page; see `test/fixtures`. The
 * oldest responses have only `key`, `link` and `expiry`, so every other field may be absent. Unknown fields are
 * ignored.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { FileKey } from "./FileKey.ts"

const nullable = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/**
 * The details of a file. A field is absent if the host did not send it; `expires: null` means never, and `maxDownloads:
 * null` means unlimited.
 *
 * @category models
 * @since 0.1.0
 */
export class FileDetails extends Schema.Class<FileDetails>("@effect-fileio/core/FileDetails")({
  /** Key of the file on its host. */
  key: FileKey,
  /** Link to share. A browser gets a page, an API client gets the bytes. */
  link: Schema.String,
  /** UUID of the file. */
  id: Schema.optionalKey(Schema.String),
  /** Folder of the file; always `/`. */
  path: Schema.optionalKey(Schema.String),
  nodeType: Schema.optionalKey(Schema.String),
  /** Name of the file as uploaded. Never use it as a path: see `FileName.sanitize`. */
  name: Schema.optionalKey(Schema.String),
  title: nullable(Schema.String),
  description: nullable(Schema.String),
  /** Size in bytes. */
  size: Schema.optionalKey(Schema.Finite),
  private: Schema.optionalKey(Schema.Boolean),
  /** When the file expires; `null`: never. */
  expires: nullable(Schema.DateTimeUtcFromString),
  /** The expiry in words, such as `14 days`; only in old responses. */
  expiry: Schema.optionalKey(Schema.String),
  /** Number of downloads. */
  downloads: Schema.optionalKey(Schema.Finite),
  /** Number of allowed downloads; `null`: unlimited. */
  maxDownloads: nullable(Schema.Finite),
  /**
   * Number of downloads that began, complete or not; more than `downloads` if one broke or is running. Only the server
   * of this project sends it.
   */
  attempts: Schema.optionalKey(Schema.Finite),
  /** When the last download began; `null`: never. Only the server of this project sends it. */
  lastAttempt: nullable(Schema.DateTimeUtcFromString),
  /** From which byte on a download counts. Only the server of this project sends it. */
  countFrom: Schema.optionalKey(Schema.String),
  autoDelete: Schema.optionalKey(Schema.Boolean),
  planId: nullable(Schema.Union([Schema.Finite, Schema.String])),
  /** State of the host's check for harmful content, such as `pending` or `passed`. */
  screeningStatus: nullable(Schema.String),
  mimeType: nullable(Schema.String),
  /**
   * The secret that deletes the file without a key: `delete` of `FileIo` takes it. Only the response to an upload has it, and
   * only of a host that gives one, such as the server of this project. Keep it as safe as the link, and apart from it.
   */
  deleteToken: nullable(Schema.RedactedFromValue(Schema.String.annotate({
    description: "Deletes the file without a key, as `Delete-Token` of DELETE. Only the response to an upload has it"
  }))),
  created: nullable(Schema.DateTimeUtcFromString),
  modified: nullable(Schema.DateTimeUtcFromString)
}) {
  /**
   * Downloads left; `undefined` if the host does not report it.
   *
   * @since 0.1.0
   */
  get downloadsLeft(): number | "unlimited" | undefined {
    if (this.maxDownloads === null) return "unlimited"
    if (this.maxDownloads === undefined) return undefined
    return Math.max(0, this.maxDownloads - (this.downloads ?? 0))
  }
}
