/**
 * The lines that `fileio --json` writes: one JSON object per line, for results and errors, each with the version `v`
 * and its `type`. `schema/v1.json` is made from these schemas.
 *
 * **Details**
 *
 * Within a version, fields and types are only added: ignore those you do not know. Times are ISO 8601 in UTC, sizes are
 * bytes. A field is absent if the host did not send it; `expires: null` means never, `maxDownloads: null` unlimited.
 *
 * @since 0.1.0
 */
import type { FileDetails } from "@effect-fileio/core/FileDetails"
import * as PlainText from "@effect-fileio/core/PlainText"
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"

/**
 * @category constants
 * @since 0.1.0
 */
export const VERSION = 1

const line = <const Type extends string, Fields extends Schema.Struct.Fields>(type: Type, fields: Fields) =>
  Schema.Struct({ v: Schema.Literal(VERSION), type: Schema.Literal(type), ...fields })

const nullable = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const Source = Schema.String.annotate({ description: "The argument: a path, or - for standard input" })

const file = {
  key: Schema.String,
  link: Schema.String,
  name: Schema.optionalKey(Schema.String),
  title: nullable(Schema.String),
  size: Schema.optionalKey(Schema.Finite),
  expires: nullable(Schema.String),
  downloads: Schema.optionalKey(Schema.Finite),
  maxDownloads: nullable(Schema.Finite),
  attempts: Schema.optionalKey(Schema.Finite),
  lastAttempt: nullable(Schema.String),
  countFrom: Schema.optionalKey(Schema.String),
  autoDelete: Schema.optionalKey(Schema.Boolean),
  mimeType: nullable(Schema.String),
  created: nullable(Schema.String),
  modified: nullable(Schema.String)
}

/**
 * `upload`: a file is on the host.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Uploaded = line("uploaded", {
  source: Source,
  ...file,
  deleteToken: Schema.optionalKey(Schema.String.annotate({
    description: "Deletes the file without a key; only with --show-token, and only of a host that gives one"
  }))
})

/**
 * `download`: a file is on the disk, complete. With `--output -` its path is `-`, and the line goes to standard error.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Downloaded = line("downloaded", {
  key: Schema.String,
  path: Schema.String,
  name: Schema.String,
  bytes: Schema.Finite
})

/**
 * `list`: one file of the account.
 *
 * @category schemas
 * @since 0.1.0
 */
export const File = line("file", file)

/**
 * `update`: the file as it is now.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Updated = line("updated", file)

/**
 * `replace`: the file as it is now.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Replaced = line("replaced", file)

/**
 * `delete`: the file is gone.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Deleted = line("deleted", { key: Schema.String })

/**
 * `await`: the state of a file; the last line is the end of the wait.
 *
 * @category schemas
 * @since 0.1.0
 */
export const State = line("state", {
  key: Schema.String,
  state: Schema.Literals(["waiting", "downloaded", "expired"]),
  downloads: Schema.optionalKey(Schema.Finite),
  maxDownloads: nullable(Schema.Finite),
  attempts: Schema.optionalKey(Schema.Finite)
})

/**
 * `me`: the account.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Account = line("account", {
  planId: nullable(Schema.Union([Schema.Finite, Schema.String])),
  maxUploadBytes: nullable(Schema.Finite),
  maxStorageBytes: nullable(Schema.Finite),
  usedStorageBytes: nullable(Schema.Finite),
  rateLimit: nullable(Schema.Finite),
  directDownload: Schema.optionalKey(Schema.Boolean)
})

/**
 * `serve`: the server listens.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Serving = line("serving", {
  url: Schema.String,
  /** All addresses at which it can be reached, `url` first. */
  urls: Schema.Array(Schema.String),
  publicUrl: Schema.String,
  data: Schema.NullOr(Schema.String).annotate({ description: "The data folder; null: a temporary one" })
})

const From = Schema.Literals(["flag", "variable", "file", "default"])

/**
 * `config`: the settings and the source of each; never the key itself.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Settings = line("settings", {
  file: Schema.String,
  settings: Schema.Array(Schema.Struct({ name: Schema.String, value: Schema.String, from: From }))
})

/**
 * What failed, and what to do.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Error = line("error", {
  command: Schema.String,
  reason: Schema.String.annotate({
    description: "A reason of FileIoError, such as FileNotFound, or Usage, Local, Expired, Interrupted, Unexpected"
  }),
  message: Schema.String,
  advice: Schema.String,
  exitCode: Schema.Int,
  /** The argument: a path, a key or a link. */
  subject: Schema.optionalKey(Schema.String),
  copy: Schema.optionalKey(Schema.Literals(["kept", "consumed", "absent", "unknown"])),
  stored: Schema.optionalKey(Schema.Literals(["no", "unknown"])),
  retryAfterMillis: Schema.optionalKey(Schema.Finite),
  bytesDone: Schema.optionalKey(Schema.Finite),
  bytesExpected: Schema.optionalKey(Schema.Finite),
  /** Files with the received bytes, in the order in which they join to the file. */
  parts: Schema.optionalKey(Schema.Array(Schema.String))
})

/**
 * Any line.
 *
 * @category schemas
 * @since 0.1.0
 */
export const JsonLine = Schema.Union([
  Uploaded,
  Downloaded,
  File,
  Updated,
  Replaced,
  Deleted,
  State,
  Account,
  Serving,
  Settings,
  Error
])

/**
 * @category models
 * @since 0.1.0
 */
export type JsonLine = typeof JsonLine.Type

const encode = /* @__PURE__ */ (() => Schema.encodeSync(Schema.fromJsonString(JsonLine)))()

/**
 * Encodes a line, without the line break. Characters on which a terminal would act are escaped as `\uXXXX`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const format = (line: JsonLine): string => {
  const text = PlainText.escapeJson(encode(line))
  return line.type === "error" ? PlainText.withoutSecrets(text) : text
}

/**
 * Fields of a line that describe a file.
 *
 * @category models
 * @since 0.1.0
 */
export type FileFields = Omit<typeof File.Type, "v" | "type">

const time = (value: DateTime.Utc | null) => value === null ? null : DateTime.formatIso(value)

/**
 * The details of a file, as fields of a line.
 *
 * @category mapping
 * @since 0.1.0
 */
export const fileFields = (details: FileDetails): FileFields => ({
  key: details.key,
  link: details.link,
  ...(details.name === undefined ? {} : { name: details.name }),
  ...(details.title === undefined ? {} : { title: details.title }),
  ...(details.size === undefined ? {} : { size: details.size }),
  ...(details.expires === undefined ? {} : { expires: time(details.expires) }),
  ...(details.downloads === undefined ? {} : { downloads: details.downloads }),
  ...(details.maxDownloads === undefined ? {} : { maxDownloads: details.maxDownloads }),
  ...(details.attempts === undefined ? {} : { attempts: details.attempts }),
  ...(details.lastAttempt === undefined ? {} : { lastAttempt: time(details.lastAttempt) }),
  ...(details.countFrom === undefined ? {} : { countFrom: details.countFrom }),
  ...(details.autoDelete === undefined ? {} : { autoDelete: details.autoDelete }),
  ...(details.mimeType === undefined ? {} : { mimeType: details.mimeType }),
  ...(details.created === undefined ? {} : { created: time(details.created) }),
  ...(details.modified === undefined ? {} : { modified: time(details.modified) })
})
