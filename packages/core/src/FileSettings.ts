/**
 * The settings of a file: expiry, number of downloads, automatic deletion, title.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Expires from "./Expires.ts"
import * as PlainText from "./PlainText.ts"

/**
 * Number of allowed downloads: a whole number from 1, or `"unlimited"`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const MaxDownloads = /* @__PURE__ */ Schema.Union([
  Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  Schema.Literal("unlimited")
])

/**
 * @category models
 * @since 0.1.0
 */
export type MaxDownloads = typeof MaxDownloads.Type

const MAX_DOWNLOADS_ALLOWED = "allowed: a whole number from 1, or unlimited"
const isMaxDownloads = /* @__PURE__ */ Schema.is(MaxDownloads)

/**
 * From which byte on a download counts: `last-byte`, so that a broken one is given back, or `first-byte`, so that
 * nobody can read a part of the file uncounted. An extension of the contract; other hosts ignore it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CountFrom = /* @__PURE__ */ Schema.Literals(["last-byte", "first-byte"])

/**
 * @category models
 * @since 0.1.0
 */
export type CountFrom = typeof CountFrom.Type

const isCountFrom = /* @__PURE__ */ Schema.is(CountFrom)

/** Digits, or empty for no limit. */
const formatMaxDownloads = (value: MaxDownloads): string => value === "unlimited" ? "" : String(value)

/** The wire form of `MaxDownloads`. */
const MaxDownloadsFromString = /* @__PURE__ */ (() =>
  Schema.String.pipe(Schema.decodeTo(
    MaxDownloads,
    SchemaTransformation.transformEffect({
      decode: (text: string, options): Effect.Effect<MaxDownloads, SchemaIssue.Issue> =>
        text === "" || text === "unlimited"
          ? Effect.succeed("unlimited" as const)
          : /^[1-9]\d*$/.test(text) && Number.isSafeInteger(Number(text))
          ? Effect.succeed(Number(text))
          : Effect.fail(new SchemaIssue.InvalidValue({ message: MAX_DOWNLOADS_ALLOWED }, text, options)),
      encode: (value: MaxDownloads) => Effect.succeed(formatMaxDownloads(value))
    })
  )))()

const BooleanFromField = /* @__PURE__ */ (() =>
  Schema.String.pipe(Schema.decodeTo(
    Schema.Boolean,
    SchemaTransformation.transformEffect({
      decode: (text: string, options): Effect.Effect<boolean, SchemaIssue.Issue> => {
        const lower = text.toLowerCase()
        return lower === "true" || lower === "1"
          ? Effect.succeed(true)
          : lower === "false" || lower === "0"
          ? Effect.succeed(false)
          : Effect.fail(new SchemaIssue.InvalidValue({ message: "allowed: true or false" }, text, options))
      },
      encode: (value: boolean) => Effect.succeed(String(value))
    })
  )))()

/**
 * The settings of a file. An absent one is the host's default in an upload (14 days, one download, deleted afterwards),
 * unchanged in PATCH, and reset to the default in PUT.
 *
 * @category models
 * @since 0.1.0
 */
export class FileSettings extends Schema.Class<FileSettings>("@effect-fileio/core/FileSettings")({
  expires: Schema.optionalKey(Expires.Expires),
  maxDownloads: Schema.optionalKey(MaxDownloads),
  autoDelete: Schema.optionalKey(Schema.Boolean),
  title: Schema.optionalKey(PlainText.PlainText),
  countFrom: Schema.optionalKey(CountFrom)
}) {}

/**
 * `FileSettings` to and from the text fields of a form or a query, such as
 * `{ expires: "10m", maxDownloads: "", autoDelete: "false" }`. An empty `expires` or `maxDownloads` means "none".
 *
 * @category schemas
 * @since 0.1.0
 */
export const FileSettingsFromFields = /* @__PURE__ */ (() =>
  Schema.Struct({
    expires: Schema.optionalKey(Expires.ExpiresFromString),
    maxDownloads: Schema.optionalKey(MaxDownloadsFromString),
    autoDelete: Schema.optionalKey(BooleanFromField),
    title: Schema.optionalKey(PlainText.PlainText),
    countFrom: Schema.optionalKey(CountFrom)
  }))()

/**
 * The text fields of a form in their wire form.
 *
 * @category models
 * @since 0.1.0
 */
export type Fields = typeof FileSettingsFromFields.Encoded

/**
 * Settings as a caller writes them; see `Expires.Input` for the forms of an expiry.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  /** When the file expires. @default 14 days, the host's */
  readonly expires?: Expires.Input | undefined
  /** Number of allowed downloads; `null`, as a file has it, is `"unlimited"`. @default 1, the host's */
  readonly maxDownloads?: MaxDownloads | null | undefined
  /** Whether the host deletes the file after it has expired or been downloaded. @default true, the host's */
  readonly autoDelete?: boolean | undefined
  /** A title of at most 1,024 bytes of UTF-8 without control characters; only for an upload. */
  readonly title?: string | undefined
  /**
   * Whether a broken download is given back (`"last-byte"`) or counts (`"first-byte"`). Only the server of this project
   * supports it, and confirms it with `countFrom` in its response.
   *
   * @default "last-byte"
   */
  readonly countFrom?: CountFrom | undefined
}

/**
 * An invalid input: the field, and a sentence that says what is allowed.
 *
 * @category models
 * @since 0.1.0
 */
export interface InvalidField {
  readonly field: string
  readonly problem: string
}

/**
 * Checks an input, field by field.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (input: Input): Result.Result<FileSettings, InvalidField> => {
  const fields: { -readonly [K in keyof typeof FileSettings.Type]?: (typeof FileSettings.Type)[K] } = {}
  if (input.expires !== undefined) {
    const expires = Expires.parse(input.expires)
    if (Result.isFailure(expires)) return Result.fail({ field: "expires", problem: expires.failure })
    fields.expires = expires.success
  }
  if (input.maxDownloads !== undefined) {
    const maxDownloads = input.maxDownloads ?? "unlimited"
    if (!isMaxDownloads(maxDownloads)) {
      return Result.fail({ field: "maxDownloads", problem: MAX_DOWNLOADS_ALLOWED })
    }
    fields.maxDownloads = maxDownloads
  }
  if (input.autoDelete !== undefined) {
    if (typeof input.autoDelete !== "boolean") {
      return Result.fail({ field: "autoDelete", problem: "allowed: true or false" })
    }
    fields.autoDelete = input.autoDelete
  }
  if (input.title !== undefined) {
    const problem = typeof input.title === "string" ? PlainText.problem(input.title) : "it is no text"
    if (problem !== undefined) return Result.fail({ field: "title", problem })
    fields.title = input.title
  }
  if (input.countFrom !== undefined) {
    if (!isCountFrom(input.countFrom)) {
      return Result.fail({ field: "countFrom", problem: "allowed: last-byte or first-byte" })
    }
    fields.countFrom = input.countFrom
  }
  return Object.keys(fields).length === 0
    ? DEFAULTS
    : Result.succeed(new FileSettings(fields as typeof FileSettings.Type))
}

/** Fast path: most uploads use the host's defaults. */
const DEFAULTS = /* @__PURE__ */ (() => Result.succeed(new FileSettings({})))()

/**
 * The wire fields of checked settings, as `FileSettingsFromFields` encodes them, for a client that never decodes them.
 *
 * @category encoding
 * @since 0.1.0
 */
export const toFields = ({ autoDelete, countFrom, expires, maxDownloads, title }: FileSettings): Fields => ({
  ...(expires === undefined ? {} : { expires: Expires.format(expires) }),
  ...(maxDownloads === undefined ? {} : { maxDownloads: formatMaxDownloads(maxDownloads) }),
  ...(autoDelete === undefined ? {} : { autoDelete: String(autoDelete) }),
  ...(title === undefined ? {} : { title }),
  ...(countFrom === undefined ? {} : { countFrom })
})
