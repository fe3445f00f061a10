/**
 * Names of files: out of a `Content-Disposition` header, safe for any disk, and back into a header.
 *
 * A name comes from whoever uploaded the file and is hostile until proven safe.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/**
 * A name that is safe as one component of a path on every platform: no separators, not `.` or `..`, no control or
 * bidirectional characters, no reserved device name, in NFC, 1 to 255 bytes of UTF-8.
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

const MAX_BYTES = 255
const FALLBACK = "download"

// C0 and C1 controls, soft hyphen-like invisibles, bidirectional marks, line separators, byte-order mark, tags,
// noncharacters. They show a name other than the one that is opened.
const INVISIBLE =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]|[\u{E0000}-\u{E007F}]|\p{Noncharacter_Code_Point}/gu
const SEPARATORS = /[/\\:*?"<>|\u2044\u2215\u29F8\uFF0F\uFF3C]/g
const RESERVED =
  /^(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|CLOCK\$|COM[0-9\u00B9\u00B2\u00B3]|LPT[0-9\u00B9\u00B2\u00B3])(?=$|[\s.])/i

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

const trimEnds = (text: string): string => text.replace(/^[\s]+/u, "").replace(/[\s.]+$/u, "")

const withoutReserved = (name: string): string => RESERVED.test(name) ? `_${name}` : name

/**
 * Splits a name into its stem and its extension (with the dot; empty where there is none). A leading dot is no
 * extension, and neither is anything longer than 32 bytes.
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

/**
 * Makes any text a safe name. What is forbidden becomes `_` or goes; a name of which nothing is left is `download`.
 * A path loses its folders: of `../../etc/passwd`, `passwd` is left.
 *
 * @category naming
 * @since 0.1.0
 */
export const sanitize = (raw: string): FileName => sanitizeText(raw) as FileName

const sanitizeText = (raw: string): string => {
  const visible = raw.toWellFormed().replace(INVISIBLE, "").normalize("NFC")
  const last = visible.split(/[/\\]/).filter((part) => !/^[\s.]*$/.test(part)).at(-1) ?? ""
  const plain = trimEnds(last.replace(SEPARATORS, "_"))
  // Cutting can expose a trailing dot or a reserved stem, so the rules run until nothing changes.
  let name = withoutReserved(plain === "" ? FALLBACK : plain)
  for (let next = step(name); next !== name; next = step(name)) name = next
  return name
}

const step = (name: string): string => {
  const next = withoutReserved(trimEnds(fit(name)))
  return next === "" ? FALLBACK : next
}

/**
 * The `n`-th name to try when one is taken: `report.pdf`, `report (1).pdf`, `report (2).pdf`, …
 *
 * @category naming
 * @since 0.1.0
 */
export const numbered = (name: FileName, n: number): FileName => n === 0 ? name : sanitize(fit(name, ` (${n})`))

const utf8 = new TextDecoder("utf-8", { fatal: true })

/** HTTP libraries read header bytes as Latin-1; a host that sent UTF-8 is read as it meant. */
const fromLatin1 = (text: string): string => {
  // oxlint-disable-next-line no-control-regex
  if (!/[\u0080-\u00FF]/.test(text) || /[^\u0000-\u00FF]/.test(text)) return text
  try {
    return utf8.decode(Uint8Array.from(text, (character) => character.charCodeAt(0)))
  } catch {
    return text
  }
}

const decodeExtended = (value: string): string | undefined => {
  const match = /^([A-Za-z0-9_-]+)'[^']*'(.*)$/s.exec(value)
  if (match === null) return undefined
  const charset = match[1]!.toLowerCase()
  try {
    if (charset === "utf-8") return decodeURIComponent(match[2]!)
    if (charset !== "iso-8859-1") return undefined
    return match[2]!.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  } catch {
    return undefined
  }
}

// A parameter: `name=value`, the value quoted with backslash escapes, or plain up to the next semicolon. The live
// service sends plain names with spaces, so a plain value is not only a token.
const PARAMETER = /;\s*([A-Za-z0-9_.-]+\*?)\s*=\s*(?:"((?:[^"\\]|\\[\s\S])*)"|([^;]*))/g

/**
 * The name that a `Content-Disposition` header gives, as it was meant and not yet safe. `filename*` (RFC 6266, RFC 8187)
 * goes before `filename`, quoted or not.
 *
 * @category headers
 * @since 0.1.0
 */
export const fromContentDisposition = (header: string): Option.Option<string> => {
  let plain: string | undefined
  let extended: string | undefined
  const text = /^\s*filename\*?\s*=/i.test(header) ? `;${header}` : header
  for (const match of text.matchAll(PARAMETER)) {
    const name = match[1]!.toLowerCase()
    const value = match[2] !== undefined ? match[2].replace(/\\([\s\S])/g, "$1") : match[3]!.trim()
    if (name === "filename*") extended ??= decodeExtended(value)
    else if (name === "filename") plain ??= fromLatin1(value)
  }
  return Option.filter(Option.fromNullishOr(extended || plain), (name) => name !== "")
}

/**
 * Percent-encodes as RFC 8187 asks for `filename*`.
 *
 * @category headers
 * @since 0.1.0
 */
export const encodeExtended = (name: string): string =>
  encodeURIComponent(name.toWellFormed()).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)

/**
 * A `Content-Disposition: attachment` header that cannot be broken by the name. A plain name stays unquoted, as the live
 * service sent it and the reference client expects; any other gets a quoted ASCII form and `filename*`.
 *
 * @category headers
 * @since 0.1.0
 */
export const toContentDisposition = (name: string): string => {
  if (/^[A-Za-z0-9!#$&+.^_`|~-]+$/.test(name)) return `attachment; filename=${name}`
  const ascii = name.toWellFormed().normalize("NFKD").replace(/[\u0300-\u036F]/g, "").replace(
    /[^\u0020-\u007E]|["\\%;]/gu,
    "_"
  )
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encodeExtended(name)}`
}
