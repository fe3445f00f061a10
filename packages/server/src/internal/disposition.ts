/**
 * Reading the name of an uploaded part, exactly as it was meant.
 *
 * `core`'s reader is for downloads, where a host may send UTF-8 as Latin-1. A part's header is UTF-8, and browsers and
 * curl escape what a quoted string cannot hold in ways of their own.
 */

const PARAMETER = /;[ \t]*([!#$%&'*+.^\w`|~-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\[\s\S])*)"|([^;]*))/gu
const EXTENDED = /^(utf-8|iso-8859-1)'[^']*'(.*)$/is

const extended = (value: string): string | undefined => {
  const match = EXTENDED.exec(value)
  if (match === null) return undefined
  const text = match[2]!
  if (match[1]!.toLowerCase() === "iso-8859-1") {
    return text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  }
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/**
 * Browsers (WHATWG) write `"` and line breaks as `%22`, `%0D`, `%0A` and nothing else so; curl before 7.81 writes `\"`
 * and `\\`. Any other backslash is part of the name: old Windows clients send whole paths.
 */
const quoted = (value: string): string =>
  value.replace(
    /\\(["\\])|%(22|0D|0A)/gi,
    (_, escaped: string | undefined, hex: string) => escaped ?? String.fromCharCode(parseInt(hex, 16))
  )

/** The file name of a `Content-Disposition`; `filename*` goes before `filename`. */
export const fileName = (header: string): string | undefined => {
  let plain: string | undefined
  let exact: string | undefined
  for (const match of header.matchAll(PARAMETER)) {
    const name = match[1]!.toLowerCase()
    if (name === "filename*") exact ??= extended((match[2] ?? match[3]!).trim())
    else if (name === "filename") plain ??= match[2] === undefined ? match[3]!.trim() : quoted(match[2])
  }
  return exact ?? plain
}
