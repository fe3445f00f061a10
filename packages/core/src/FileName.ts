/**
 * File names: read from a `Content-Disposition` header, made safe for any disk, and written to a header.
 *
 * A name comes from the uploader and is hostile until made safe.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Disposition from "./internal/disposition.ts"
import * as PlainText from "./PlainText.ts"

/**
 * A name that is safe as one component of a path on every platform: no separators, no control or bidirectional
 * characters, no leading `.` or `-`, no reserved names, in NFC, 1 to 255 bytes of UTF-8.
 *
 * @category schemas
 * @since 0.1.0
 */
export const FileName = /* @__PURE__ */ Schema.brand("FileName")(/* @__PURE__ */ Schema.String.check(
  /* @__PURE__ */ Schema.makeFilter((name: string): boolean => sanitizeText(name) === name, {
    message: "expected a safe file name"
  })
))

/**
 * @category models
 * @since 0.1.0
 */
export type FileName = typeof FileName.Type

/** Longest name of common file systems, in bytes. */
const MAX_BYTES = 255
const FALLBACK = "download"

const SEPARATORS = /[/\\:*?"<>|\u2044\u2215\u29F8\uFF0F\uFF3C]/g
// Windows device names; hidden files and command options (`.bashrc`, `-rf`), which browsers avoid too; files on which
// Windows acts by name.
const RESERVED =
  /^(?:[.-]|(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|CLOCK\$|COM[0-9\u00B9\u00B2\u00B3]|LPT[0-9\u00B9\u00B2\u00B3])(?=$|[\s.])|(?:desktop\.ini|autorun\.inf|thumbs\.db)$)/i

const encoder = new TextEncoder()
const bytesOf = (text: string): number => encoder.encode(text).length

/** The longest prefix of whole code points that fits. */
const truncate = (text: string, maxBytes: number): string => {
  let bytes = 0
  let result = ""
  for (const character of text) {
    bytes += bytesOf(character)
    if (bytes > maxBytes) break
    result += character
  }
  return result
}

const BLANK = /[\s.]/

/** Removes white space at both ends and dots at the end. A regular expression would be quadratic on runs of blanks. */
const trimEnds = (text: string): string => {
  const start = text.trimStart()
  let end = start.length
  while (end > 0 && BLANK.test(start[end - 1]!)) end--
  return start.slice(0, end)
}

/**
 * Splits a name into stem and extension (with the dot; empty if there is none). A leading dot starts no extension, and
 * an extension has at most 32 bytes.
 *
 * @category naming
 * @since 0.1.0
 */
export const splitExtension = (name: string): readonly [stem: string, extension: string] => {
  const double = /\.tar\.[A-Za-z0-9]{1,8}$/.exec(name)
  const dot = double !== null && double.index > 0 ? double.index : name.lastIndexOf(".")
  if (dot <= 0 || bytesOf(name.slice(dot)) > 32) return [name, ""]
  return [name.slice(0, dot), name.slice(dot)]
}

const fit = (name: string, suffix = ""): string => {
  const [stem, extension] = splitExtension(name)
  const room = MAX_BYTES - bytesOf(suffix) - bytesOf(extension)
  const kept = bytesOf(stem) <= room ? stem : trimEnds(truncate(stem, room))
  return kept + suffix + extension
}

/** Old programs on Windows send whole paths as names. Elsewhere a backslash is a character of a name like any other. */
const WINDOWS_PATH = /^(?:[A-Za-z]:|\.{0,2})\\/

/** The last component of a path that is more than blanks and dots. */
const lastPart = (path: string): string => {
  const isWindows = WINDOWS_PATH.test(path)
  let end = path.length
  let isBlank = true
  for (let i = path.length - 1; i >= 0; i--) {
    const isSeparator = path[i] === "/" || (isWindows && path[i] === "\\")
    if (isSeparator && !isBlank) return path.slice(i + 1, end)
    if (isSeparator) end = i
    else if (isBlank) isBlank = BLANK.test(path[i]!)
  }
  return isBlank ? "" : path.slice(0, end)
}

/** Code units of a name that matter: any 1,024 of them leave 255 bytes; an extension is shorter than 64. */
const HEAD = 1024
const TAIL = 64

/** Normalising is slow for many composing characters on one letter, so only few are normalised. */
const shorten = (text: string): string =>
  text.length <= HEAD + TAIL ? text : (text.slice(0, HEAD) + text.slice(-TAIL)).toWellFormed()

/**
 * Makes any text a safe name. Forbidden characters become `_` or are removed; an empty result is `download`. Only the
 * last component of a path stays: `passwd` of `../../etc/passwd`, `a.txt` of `C:\dir\a.txt`; but `a\b.txt`, a name on Linux
 * and macOS, is no path, and becomes `a_b.txt`. `_` is put before names on which a system or a command acts: `.bashrc`,
 * `-rf`, `CON`, `desktop.ini`.
 *
 * @category naming
 * @since 0.1.0
 */
export const sanitize = (raw: string): FileName => sanitizeText(raw) as FileName

const sanitizeText = (raw: string): string => {
  let name = step(shorten(lastPart(PlainText.strip(raw.toWellFormed()))))
  // Cutting can expose a trailing dot, a reserved stem or half of a joined emoji, so the rules run until nothing
  // changes.
  for (let next = step(name); next !== name; next = step(name)) name = next
  return name
}

const step = (name: string): string => {
  const plain = trimEnds(PlainText.strip(name).normalize("NFC").replace(SEPARATORS, "_"))
  const next = trimEnds(fit(RESERVED.test(plain) ? `_${plain}` : plain))
  return next === "" ? FALLBACK : next
}

/**
 * The `n`-th name to try if the first is taken: `report.pdf`, `report (1).pdf`, `report (2).pdf`, …
 *
 * @category naming
 * @since 0.1.0
 */
export const numbered = (name: FileName, n: number): FileName => n === 0 ? name : sanitize(fit(name, ` (${n})`))

/**
 * A name as a host stores and sends it: unchanged, except that invisible and deceptive characters are removed, such as
 * control characters and overrides of the writing direction. It is not safe as a path: see `sanitize`.
 *
 * @category naming
 * @since 0.1.0
 */
export const clean = (name: string): string => PlainText.strip(name.toWellFormed())

/**
 * The file name in the `Content-Disposition` header of a response, not yet safe. Reads it as browsers do: `filename*`
 * (RFC 8187, in any charset that the platform knows) takes precedence over `filename`, quoted or not; UTF-8 in either
 * is read as UTF-8, and so are encoded words (RFC 2047) and names in pieces (RFC 2231).
 *
 * @category headers
 * @since 0.1.0
 */
export const fromContentDisposition = (header: string): Option.Option<string> =>
  Option.fromUndefinedOr(Disposition.ofResponse(header))

/**
 * The field and the file name in the `Content-Disposition` of a form's part; the name is `""` for a file without a
 * name, and `undefined` if the part is no file. The header is UTF-8; browsers and curl each escape characters that a
 * quoted string cannot hold in their own way.
 *
 * @category headers
 * @since 0.1.0
 */
export const ofFormPart: (
  header: string
) => { readonly field: string | undefined; readonly fileName: string | undefined } = Disposition.ofPart

/**
 * Percent-encodes a `filename*` (RFC 8187).
 *
 * @category headers
 * @since 0.1.0
 */
export const encodeExtended = (name: string): string =>
  encodeURIComponent(name.toWellFormed()).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)

/**
 * A `Content-Disposition: attachment` header that no name can break, of at most 1,200 characters; a longer name is cut
 * to the length that a disk takes. A plain name stays unquoted, as the live service sent it and the reference client
 * expects; any other gets a quoted ASCII form and `filename*`.
 *
 * @category headers
 * @since 0.1.0
 */
export const toContentDisposition = (name: string): string => {
  const short = fit(shorten(clean(name)))
  if (/^[A-Za-z0-9!#$&+.^_`|~-]+$/.test(short)) return `attachment; filename=${short}`
  const ascii = short.normalize("NFKD").replace(/[\u0300-\u036F]/g, "").replace(/[^\u0020-\u007E]|["\\%;]/gu, "_")
  return `attachment; filename="${truncate(ascii, MAX_BYTES)}"; filename*=UTF-8''${encodeExtended(short)}`
}
