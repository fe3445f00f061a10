/**
 * Parses `Content-Disposition` headers, in the charsets in which hosts write names. `FileName` calls it for downloads
 * and for parts of forms. All steps are linear in the input.
 */

interface Parameter {
  /** In lower case, such as `filename` or `filename*`. */
  readonly name: string
  /** Raw, as in the header; of a quoted value the part between the quotes, with its backslashes. */
  readonly raw: string
  readonly isQuoted: boolean
}

const isSpace = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0D)

// Characters of a token (RFC 9110), such as a parameter name.
const TOKEN = /* @__PURE__ */ new Set(
  "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

/**
 * Parses the parameters, in order. A value is quoted, or plain up to the next semicolon, since the live service sent
 * plain names with spaces. An unclosed quote ends with the header, as in browsers.
 */
export const parameters = (header: string): ReadonlyArray<Parameter> => {
  const found: Array<Parameter> = []
  const length = header.length
  const skipSpace = (from: number): number => {
    let at = from
    while (at < length && isSpace(header.charCodeAt(at))) at++
    return at
  }
  let at = /^\s{0,8}filename\*?\s{0,8}=/i.test(header) ? 0 : header.indexOf(";") + 1 || length
  while (at < length) {
    const start = skipSpace(at)
    let end = start
    while (end < length && TOKEN.has(header[end]!)) end++
    const equals = skipSpace(end)
    if (end === start || header[equals] !== "=") {
      at = header.indexOf(";", end) + 1 || length
      continue
    }
    const name = header.slice(start, end).toLowerCase()
    const first = skipSpace(equals + 1)
    if (header[first] === "\"") {
      let close = first + 1
      while (close < length && header[close] !== "\"") close += header[close] === "\\" ? 2 : 1
      found.push({ name, raw: header.slice(first + 1, close), isQuoted: true })
      at = header.indexOf(";", close) + 1 || length
    } else {
      const semicolon = header.indexOf(";", first)
      const stop = semicolon === -1 ? length : semicolon
      found.push({ name, raw: header.slice(first, stop).trim(), isQuoted: false })
      at = stop + 1
    }
  }
  return found
}

/** Decodes bytes; `undefined` if the charset is unknown or the bytes are invalid in it. */
const decode = (charset: string, bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

const encoder = new TextEncoder()

/** The original bytes of a header, which HTTP libraries decode as Latin-1; `undefined` if they cannot be restored. */
const latin1 = (text: string): Uint8Array | undefined => {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0xFF) return undefined
    bytes[i] = code
  }
  return bytes
}

const digit = (code: number | undefined): number =>
  code === undefined ? NaN : Number.parseInt(String.fromCharCode(code), 16)

/** Decodes `%C3%A9` or `=C3=A9`; `undefined` if a mark is not followed by two hexadecimal digits. */
const unescaped = (source: Uint8Array, mark: "%" | "="): Uint8Array | undefined => {
  const bytes = new Uint8Array(source.length)
  let length = 0
  for (let i = 0; i < source.length; i++) {
    if (source[i] !== mark.charCodeAt(0)) bytes[length++] = source[i]!
    else {
      const value = digit(source[i + 1]) * 16 + digit(source[i + 2])
      if (Number.isNaN(value)) return undefined
      bytes[length++] = value
      i += 2
    }
  }
  return bytes.subarray(0, length)
}

/** `UTF-8'en'n%C3%A9w.txt` (RFC 8187), in any charset that the platform knows. */
const extended = (value: string): string | undefined => {
  const charset = value.indexOf("'")
  const language = value.indexOf("'", charset + 1)
  if (charset < 1 || language === -1) return undefined
  const text = value.slice(language + 1)
  // An unescaped value: HTTP libraries decode the header as Latin-1, or already as UTF-8.
  for (const source of [latin1(text), encoder.encode(text)]) {
    const bytes = source && unescaped(source, "%")
    const name = bytes && decode(value.slice(0, charset), bytes)
    if (name !== undefined) return name
  }
  return undefined
}

const base64 = (text: string): Uint8Array | undefined => {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}

const ENCODED_WORD = /=\?([\w.:-]{1,40})(?:\*[\w-]{0,40})?\?([BbQq])\?([^?\s]*)\?=/g

/**
 * Encoded words in quotes, as mail programs write them, such as `=?UTF-8?B?5pel5pysLnR4dA==?=` (RFC 2047), read as in
 * browsers.
 */
const encodedWords = (text: string): string => {
  let result = ""
  let end = 0
  for (const match of text.matchAll(ENCODED_WORD)) {
    const [whole, charset, encoding, word] = match as unknown as [string, string, string, string]
    const bytes = encoding.toUpperCase() === "B"
      ? base64(word)
      : unescaped(encoder.encode(word.replaceAll("_", " ")), "=")
    const decoded = bytes && decode(charset, bytes)
    if (decoded === undefined) continue
    const between = text.slice(end, match.index)
    // White space between two words only separates them.
    result += (end > 0 && between.trim() === "" ? "" : between) + decoded
    end = match.index + whole.length
  }
  return end === 0 ? text : result + text.slice(end)
}

/** A name in pieces, `filename*0*=UTF-8''a%20; filename*1=b.txt` (RFC 2231), as mail programs write long ones. */
const continued = (given: ReadonlyArray<Parameter>): string | undefined => {
  const pieces = new Map(given.map((parameter) => [parameter.name, parameter]))
  let text = ""
  for (let n = 0;; n++) {
    const plain = pieces.get(`filename*${n}`)
    const piece = plain ?? pieces.get(`filename*${n}*`)
    if (piece === undefined) break
    text += plain === undefined ? piece.raw : piece.raw.replaceAll("%", "%25")
  }
  return text === "" ? undefined : pieces.has("filename*0*") ? extended(text) : extended(`UTF-8''${text}`)
}

const NON_ASCII = /[\u0080-\uFFFF]/

/** HTTP libraries decode header bytes as Latin-1; this restores UTF-8. */
const fromLatin1 = (text: string): string => {
  const bytes = NON_ASCII.test(text) ? latin1(text) : undefined
  return bytes === undefined ? text : decode("utf-8", bytes) ?? decode("windows-1252", bytes) ?? text
}

const withoutBackslashes = (raw: string): string => raw.replace(/\\([\s\S])/g, "$1")

/**
 * Browsers (WHATWG) escape only `"` and line breaks, as `%22`, `%0D`, `%0A`; curl before 7.81 writes `\"` and `\\`. Any
 * other backslash is part of the name: old Windows clients send whole paths.
 */
const ofForm = (raw: string): string =>
  raw.replace(
    /\\(["\\])|%(22|0D|0A)/gi,
    (_, escaped: string | undefined, hex: string) => escaped ?? String.fromCharCode(Number.parseInt(hex, 16))
  )

const fileName = (
  given: ReadonlyArray<Parameter>,
  plain: (parameter: Parameter) => string
): string | undefined => {
  const first = (name: string) => given.find((parameter) => parameter.name === name)
  const best = first("filename*")
  const name = best === undefined ? undefined : extended(best.raw)
  if (name) return name
  const simple = first("filename")
  return continued(given) || (simple === undefined ? undefined : encodedWords(plain(simple))) || undefined
}

/** The file name in the header of a response. */
export const ofResponse = (header: string): string | undefined =>
  fileName(parameters(header), ({ isQuoted, raw }) => fromLatin1(isQuoted ? withoutBackslashes(raw) : raw))

const ofPartParameter = ({ isQuoted, raw }: Parameter): string => isQuoted ? ofForm(raw) : raw

/** The names in the header of a form's part, already decoded as UTF-8. */
export const ofPart = (
  header: string
): { readonly field: string | undefined; readonly fileName: string | undefined } => {
  const given = parameters(header)
  const field = given.find(({ name }) => name === "name")
  const isFile = given.some(({ name }) => name === "filename" || name.startsWith("filename*"))
  return {
    field: field && ofPartParameter(field),
    fileName: isFile ? fileName(given, ofPartParameter) ?? "" : undefined
  }
}
