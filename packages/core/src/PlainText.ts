/**
 * Text that somebody else wrote, such as a file's name, its title or the words of a host: how long it may be, and how it is
 * shown without acting on the terminal or the page that shows it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The most bytes of UTF-8 that a name, a title or the words of a search may have.
 *
 * @category constants
 * @since 0.1.0
 */
export const MAX_BYTES = 1024

const encoder = new TextEncoder()

/** Whether a text has more than `maxBytes` of UTF-8; a text of any length takes no longer than one of that length. */
const isLonger = (text: string, maxBytes: number): boolean =>
  text.length > maxBytes || encoder.encode(text).length > maxBytes

// C0 and C1 control characters; terminals act on them, and databases refuse NUL.
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001F\u007F-\u009F]/

/**
 * What keeps a text from being stored, as the sentence for whoever sent it; `undefined` where nothing does.
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

// A joiner is a letter's own after a letter of a script whose letters change their form (Persian, Hindi, Malayalam, …),
// and between two pictures (families, professions). Elsewhere it is invisible and changes nothing but the comparison.
const UNJOINED =
  "\\p{scx=Latn}\\p{scx=Grek}\\p{scx=Cyrl}\\p{scx=Armn}\\p{scx=Geor}\\p{scx=Hebr}\\p{scx=Hani}\\p{scx=Hira}\\p{scx=Kana}" +
  "\\p{scx=Hang}\\p{scx=Bopo}\\p{scx=Zyyy}\\p{scx=Zinh}"
const AFTER_LETTER = `(?<!(?![${UNJOINED}])[\\p{L}\\p{M}].)`
const BETWEEN_PICTURES =
  "(?<!\\p{Extended_Pictographic}[\\uFE0F\\u{1F3FB}-\\u{1F3FF}]?\\u200D(?=\\p{Extended_Pictographic}))"
const STRAY_JOINER = `[\\u200C\\u200D]${AFTER_LETTER}${BETWEEN_PICTURES}`

// The flags of England, Scotland and Wales are written with tags, which are invisible characters elsewhere.
const FLAG = "\\u{1F3F4}[\\u{E0030}-\\u{E0039}\\u{E0061}-\\u{E007A}]{1,6}\\u{E007F}"

// Controls, soft hyphens, marks and overrides of direction, separators of lines, byte-order marks, interlinear marks, fillers, tags,
// noncharacters: a terminal acts on them, or they show another text than the one that is there.
const DECEPTIVE =
  "[\\u0000-\\u001F\\u007F-\\u009F\\u00AD\\u061C\\u180E\\u200B\\u200E\\u200F\\u2028-\\u202E\\u2060-\\u206F\\u3164\\uFEFF\\uFFA0\\uFFF0-\\uFFFB]" +
  "|[\\u{1D173}-\\u{1D17A}\\u{E0000}-\\u{E00FF}]|\\p{Noncharacter_Code_Point}|\\p{Surrogate}"

const INVISIBLE = /* @__PURE__ */ new RegExp(`(${FLAG})|${DECEPTIVE}|${STRAY_JOINER}`, "gu")

/** Most texts have nothing else, and are looked at in a tenth of the time. */
const ASCII = /^[ -~]*$/

/**
 * The text without what is invisible and can deceive: control characters, overrides of the writing direction, joiners that
 * join nothing. Joiners inside a word, as Persian, Hindi and pictures of several parts have them, stay.
 *
 * @category showing
 * @since 0.1.0
 */
export const strip = (text: string): string => ASCII.test(text) ? text : text.replace(INVISIBLE, "$1")

/**
 * The text as a terminal or a log may show it: each invisible character that a terminal would act on, or that shows
 * another text than is there, is the replacement character `U+FFFD`. A line break is one too.
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
 * JSON that a terminal only shows: what is invisible is escaped as `\uXXXX`, so a reader of the JSON gets the same text.
 *
 * @category showing
 * @since 0.1.0
 */
export const escapeJson = (json: string): string =>
  json.replace(INVISIBLE, (found, flag?: string) => flag ?? escape(found))
