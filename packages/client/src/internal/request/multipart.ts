import * as FileName from "@effect-fileio/core/FileName"
import type { Fields } from "@effect-fileio/core/FileSettings"
import type * as Random from "effect/Random"

/** A form around the bytes of a file: the part before them and the part after. */
export interface Form {
  readonly contentType: string
  readonly head: Uint8Array
  readonly tail: Uint8Array
}

const encoder = new TextEncoder()

/** As in the HTML standard: exactly these three are percent-encoded in a quoted name. */
const quoted = (name: string): string =>
  `"${name.toWellFormed().replace(/\n/g, "%0A").replace(/\r/g, "%0D").replace(/"/g, "%22")}"`

const AMBIGUOUS = /["\\%\u0000-\u001F\u007F]/
const UNQUOTABLE = /[\\\u0000-\u0009\u000B\u000C\u000E-\u001F\u007F]/g

/**
 * The name as browsers and curl send it, and also as `filename*` if the quoted form is ambiguous.
 */
const fileNameParameters = (name: string): string =>
  AMBIGUOUS.test(name)
    ? `filename=${quoted(name.replace(UNQUOTABLE, "_"))}; filename*=UTF-8''${FileName.encodeExtended(name)}`
    : `filename=${quoted(name)}`

const field = (boundary: string, name: string, value: string): string =>
  `--${boundary}\r\nContent-Disposition: form-data; name=${quoted(name)}\r\n\r\n${value}\r\n`

/** The boundary is random, so no file contains it, by intent or by chance. */
const makeBoundary = (random: Random.Random): string => {
  let text = "fileio-"
  for (let i = 0; i < 4; i++) text += Math.floor(random.nextDoubleUnsafe() * 0x7FFFFFFF).toString(36).padStart(6, "0")
  return text
}

/** Settings come before the file, so that a host can refuse them before it has received the bytes. */
export const make = (
  fields: Fields,
  file: { readonly name: string; readonly contentType: string } | undefined,
  random: Random.Random
): Form => {
  const boundary = makeBoundary(random)
  let head = ""
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) head += field(boundary, name, value.toWellFormed())
  }
  if (file !== undefined) {
    head += `--${boundary}\r\nContent-Disposition: form-data; name="file"; ${fileNameParameters(file.name)}\r\n` +
      `Content-Type: ${file.contentType}\r\n\r\n`
  }
  const tail = `${file === undefined ? "" : "\r\n"}--${boundary}--\r\n`
  // The tail is ASCII. One call of the encoder takes as long as ten such texts.
  const bytes = encoder.encode(head + tail)
  const end = bytes.length - tail.length
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    head: bytes.subarray(0, end),
    tail: bytes.subarray(end)
  }
}
