/**
 * Text from an untrusted source, such as a file name, a title or a host's message: limits its length, and shows it so
 * that it does not act on the terminal or page.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The most bytes of UTF-8 in a name, a title or a search.
 *
 * @category constants
 * @since 0.1.0
 */
export const MAX_BYTES = 1024

const encoder = new TextEncoder()

/** Whether a text has more than `maxBytes` of UTF-8; takes no longer for a long text than for one of that length. */
const isLonger = (text: string, maxBytes: number): boolean =>
  text.length > maxBytes || encoder.encode(text).length > maxBytes

// C0 and C1 control characters; terminals act on them, and databases refuse NUL.
const CONTROL = /[\u0000-\u001F\u007F-\u009F]/

/**
 * Why a text cannot be stored, as a sentence for its sender; `undefined` if it can.
 *
 * @category checking
 * @since 0.1.0
 */
export const problem = (text: string): string | undefined =>
  isLonger(text, MAX_BYTES)
    ? `it is longer than ${MAX_BYTES.toLocaleString("en-US")} bytes of UTF-8`
    : CONTROL.test(text)
    ? "it has control characters, such as line breaks; leave them out"
    : text.isWellFormed()
    ? undefined
    : "it is not Unicode text (it has half of a surrogate pair)"

/**
 * A text of at most 1,024 bytes of UTF-8, without control characters and lone surrogates.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PlainText =
  /* @__PURE__ */ (() => Schema.String.check(Schema.makeFilter((text: string) => problem(text))))()

// A joiner belongs to the text after a letter of a script whose letters change their form (Persian, Hindi, Malayalam,
// …), and between two pictures (families, professions). Elsewhere it is invisible and only breaks comparison.
const UNJOINED =
  "\\p{scx=Latn}\\p{scx=Grek}\\p{scx=Cyrl}\\p{scx=Armn}\\p{scx=Geor}\\p{scx=Hebr}\\p{scx=Hani}\\p{scx=Hira}\\p{scx=Kana}" +
  "\\p{scx=Hang}\\p{scx=Bopo}\\p{scx=Zyyy}\\p{scx=Zinh}"
const AFTER_LETTER = `(?<!(?![${UNJOINED}])[\\p{L}\\p{M}].)`
const BETWEEN_PICTURES =
  "(?<!\\p{Extended_Pictographic}[\\uFE0F\\u{1F3FB}-\\u{1F3FF}]?\\u200D(?=\\p{Extended_Pictographic}))"
const STRAY_JOINER = `[\\u200C\\u200D]${AFTER_LETTER}${BETWEEN_PICTURES}`

// The flags of England, Scotland and Wales are written with tags, which elsewhere are invisible characters.
const FLAG = "\\u{1F3F4}[\\u{E0030}-\\u{E0039}\\u{E0061}-\\u{E007A}]{1,6}\\u{E007F}"

// Controls, soft hyphens, direction marks and overrides, line separators, byte-order marks, interlinear marks, fillers,
// tags, noncharacters: a terminal acts on them, or they show a text other than the real one.
const DECEPTIVE =
  "[\\u0000-\\u001F\\u007F-\\u009F\\u00AD\\u061C\\u180E\\u200B\\u200E\\u200F\\u2028-\\u202E\\u2060-\\u206F\\u3164\\uFEFF\\uFFA0\\uFFF0-\\uFFFB]" +
  "|[\\u{1D173}-\\u{1D17A}\\u{E0000}-\\u{E00FF}]|\\p{Noncharacter_Code_Point}|\\p{Surrogate}"

const INVISIBLE = /* @__PURE__ */ new RegExp(`(${FLAG})|${DECEPTIVE}|${STRAY_JOINER}`, "gu")

/** Fast path: most texts have only these characters; ten times faster. */
const ASCII = /^[ -~]*$/

/**
 * Removes invisible and deceptive characters: control characters, overrides of the writing direction, joiners that join
 * nothing. Keeps joiners inside a word, as in Persian, Hindi and composed emoji.
 *
 * @category showing
 * @since 0.1.0
 */
export const strip = (text: string): string => ASCII.test(text) ? text : text.replace(INVISIBLE, "$1")

/**
 * The text for a terminal or a log: each invisible character that a terminal would act on, or that hides the real text,
 * becomes `U+FFFD`. So does a line break.
 *
 * @category showing
 * @since 0.1.0
 */
export const visible = (text: string): string =>
  ASCII.test(text) ? text : text.replace(INVISIBLE, (_, flag?: string) => flag ?? "\uFFFD")

const escape = (character: string): string =>
  Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0").toUpperCase()}`
  ).join("")

/**
 * JSON that a terminal only displays: invisible characters are escaped as `\uXXXX`, so a reader of the JSON gets the
 * same text.
 *
 * @category showing
 * @since 0.1.0
 */
export const escapeJson = (json: string): string =>
  json.replace(INVISIBLE, (found, flag?: string) => flag ?? escape(found))

/**
 * Returns a text, such as a message or a path, without the secrets of encrypted files: those of links in it, and secret keys.
 *
 * @category formatting
 * @since 0.1.0
 */
export const withoutSecrets = (text: string): string =>
  text.replace(/AGE-SECRET-KEY-[\w-]*/gi, "AGE-SECRET-KEY-<redacted>")
    .replace(/(#age=)(?!(?:identity|passphrase|AGE-SECRET-KEY-<redacted>)(?![\w-]))[^\s&"'<>]+/gi, "$1<redacted>")
