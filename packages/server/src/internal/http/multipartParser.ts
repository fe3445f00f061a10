/**
 * Parses `multipart/form-data` (RFC 7578) in pieces, in linear time. `parseUpload` calls it with the chunks of a body.
 *
 * Effect's parser refuses what real clients send: folded headers, blanks behind a boundary, a part without a name, names in
 * Latin-1, bare line feeds. Like it, this one refuses what can be read in two ways.
 *
 * All lines of a body end as its first one does. A line that only begins like a delimiter is content (RFC 2046, 5.1.1), also
 * one with more than blanks behind the last delimiter's dashes: else a file that contains it would be cut in silence.
 */
import * as FileName from "@effect-fileio/core/FileName"
import * as MediaType from "@effect-fileio/core/MediaType"
import type { Parser, Sink } from "./formParser.ts"

/** The parsed headers of a part. */
export interface Part {
  /** Name of the field; `undefined` only for a file. */
  readonly field: string | undefined
  /** Name of the file, `""` without one; `undefined` if the part is no file. */
  readonly fileName: string | undefined
  /** The part's own type. */
  readonly contentType: string | undefined
}

interface Options {
  /** The `Content-Type` of the body. */
  readonly contentType: string
  /** Most parts of a body. */
  readonly maxParts: number
  /** Called for each part; returns the receiver of its bytes. */
  readonly onPart: (part: Part) => Sink
  /** Called once if there are more than `maxParts`; the rest is not parsed. */
  readonly onTooMany: () => void
  /** Called once with the error; the rest is not parsed. */
  readonly onMalformed: (problem: string) => void
}

const MAX_BOUNDARY_BYTES = 200
const MAX_HEADER_BYTES = 16 * 1024
/** Most blanks behind a boundary. */
const MAX_PADDING_BYTES = 256

const CR = 0x0D
const LF = 0x0A
const DASH = 0x2D
const EMPTY = Buffer.alloc(0)

const utf8 = new TextDecoder("utf-8", { fatal: true })
/** Old Windows clients send it; every byte sequence is valid in it. */
const windows1252 = new TextDecoder("windows-1252")

const decode = (bytes: Uint8Array): string => {
  try {
    return utf8.decode(bytes)
  } catch {
    return windows1252.decode(bytes)
  }
}

const HEADER = /^([!#$%&'*+.^\w`|~-]+)[ \t]*:([^]*)$/

/** Parses the headers of a part; returns the error if they are invalid. */
const readPart = (block: Buffer): Part | string => {
  const headers = new Map<string, string>()
  // A line that begins with a blank continues the one before (RFC 5322).
  const lines = decode(block).replace(/\r?\n[ \t]+/g, " ").split(/\r?\n/)
  for (const line of lines) {
    const [, name, value] = HEADER.exec(line) ?? []
    if (name === undefined) return "a part has a line that is no header"
    const key = name.toLowerCase()
    if (headers.has(key) && key.startsWith("content-")) return `a part has two ${name} headers`
    headers.set(key, value!.trim())
  }
  const disposition = headers.get("content-disposition")
  if (disposition === undefined) return "a part has no Content-Disposition"
  const { field, fileName } = FileName.ofFormPart(disposition)
  if (field === undefined && fileName === undefined) return "a part has neither a name nor a file name"
  const encoding = headers.get("content-transfer-encoding")?.toLowerCase() ?? "binary"
  // Stored undecoded, it would be another file than was meant.
  if (!/^(?:binary|[78]bit)$/.test(encoding)) return `a part has the Content-Transfer-Encoding ${encoding.slice(0, 40)}`
  return { field, fileName, contentType: headers.get("content-type") }
}

const isBlank = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09

/** How lines end; `undefined` before the first one has. */
type LineBreak = "\r\n" | "\n" | undefined

interface Delimiter {
  /** Where the next line begins. */
  readonly end: number
  readonly isLast: boolean
  readonly lineBreak: LineBreak
}

/**
 * The rest of a delimiter's line, from behind the boundary on: `undefined` if it is no delimiter, `more` if that depends on
 * bytes that have not come yet. `isWhole`: none will come, so the last line ends anyhow.
 */
const readDelimiter = (
  data: Buffer,
  from: number,
  lineBreak: LineBreak,
  isWhole: boolean
): Delimiter | "more" | undefined => {
  const isLast = data[from] === DASH && data[from + 1] === DASH
  const padded = isLast ? from + 2 : from
  let at = padded
  while (isBlank(data[at]) && at - padded < MAX_PADDING_BYTES) at++
  if (data[at] === LF && lineBreak !== "\r\n") return { end: at + 1, isLast, lineBreak: "\n" }
  if (data[at] === CR && data[at + 1] === LF && lineBreak !== "\n") return { end: at + 2, isLast, lineBreak: "\r\n" }
  const left = data.length - at
  const isCut = left === 0 ||
    (left === 1 && (data[at] === CR || (data[at] === LF && isLast) || (data[at] === DASH && at === from))) ||
    (left === 2 && data[at] === CR && data[at + 1] === LF && isLast)
  if (isCut && isWhole) return isLast ? { end: data.length, isLast, lineBreak } : undefined
  return isCut ? "more" : undefined
}

/** A copy, since a view of a chunk keeps all of it in memory, even if the view is empty. */
const keep = (bytes: Buffer): Buffer => bytes.length === 0 ? EMPTY : Buffer.copyBytesFrom(bytes)

/** Where a prefix of `word` is cut off by the end of `data`; its length if it is not. */
const cutAt = (data: Buffer, word: Buffer): number => {
  let at = data.indexOf(word[0]!, Math.max(0, data.length - word.length + 1))
  while (at !== -1 && !data.subarray(at).equals(word.subarray(0, data.length - at))) at = data.indexOf(word[0]!, at + 1)
  return at === -1 ? data.length : at
}

export const make = (options: Options): Parser => {
  const boundary = MediaType.parameter(options.contentType, "boundary") ?? ""
  const dashed = Buffer.from(`--${boundary}`, "latin1")
  let lineBreak: LineBreak
  /** A line break and the boundary. */
  let delimiter = Buffer.concat([Buffer.from("\r\n"), dashed])
  let state: "body" | "headers" | "end" = "body"
  /** Whether a line begins here, so that a boundary needs no line break before it. */
  let isLineStart = true
  /** Incomplete bytes: the beginning of a boundary, or of headers. */
  let rest: Buffer = EMPTY
  let sink: Sink | undefined
  let parts = 0

  const stop = (tell: () => void): Buffer => {
    state = "end"
    sink = undefined
    tell()
    return EMPTY
  }
  const malformed = (problem: string) => stop(() => options.onMalformed(problem))

  const keepFrom = (data: Buffer, at: number): Buffer => {
    if (at > 0) {
      sink?.(data.subarray(0, at))
      isLineStart = false
    }
    rest = keep(data.subarray(at))
    return EMPTY
  }

  /** Passes the bytes before the next boundary to the part, or drops them before the first; returns the rest after its line. */
  const readBody = (data: Buffer, isWhole = false): Buffer => {
    let from = 0
    for (;;) {
      const isBare = isLineStart && from === 0 && data.subarray(0, dashed.length).equals(dashed)
      const at = isBare ? 0 : data.indexOf(delimiter, from)
      if (at === -1) {
        const mayBeBare = isLineStart && data.equals(dashed.subarray(0, data.length))
        return keepFrom(data, mayBeBare ? 0 : cutAt(data, delimiter))
      }
      const end = at + (isBare ? dashed : delimiter).length
      const found = readDelimiter(data, end, lineBreak ?? (isBare ? undefined : "\r\n"), isWhole)
      if (found === "more") return keepFrom(data, at)
      if (found === undefined) {
        from = at + 1
        continue
      }
      if (at > 0) sink?.(data.subarray(0, at))
      sink?.(null)
      sink = undefined
      if (found.isLast) {
        state = "end"
        return EMPTY
      }
      if (lineBreak === undefined) {
        lineBreak = found.lineBreak
        delimiter = Buffer.concat([Buffer.from(lineBreak!), dashed])
      }
      state = "headers"
      return data.subarray(found.end)
    }
  }

  const readHeaders = (data: Buffer): Buffer => {
    if (data[0] === LF || (data[0] === CR && data[1] === LF)) return malformed("a part has no headers")
    const head = data.subarray(0, MAX_HEADER_BYTES + 4)
    const blankLine = `${lineBreak}${lineBreak}`
    const end = head.indexOf(blankLine)
    if (end === -1 && data.length <= MAX_HEADER_BYTES) {
      rest = keep(data)
      return EMPTY
    }
    if (end === -1) return malformed(`a part has more than ${MAX_HEADER_BYTES} bytes of headers`)
    if (++parts > options.maxParts) return stop(options.onTooMany)
    const part = readPart(data.subarray(0, end))
    if (typeof part === "string") return malformed(part)
    sink = options.onPart(part)
    state = "body"
    isLineStart = true
    return data.subarray(end + blankLine.length)
  }

  if (boundary === "") malformed("the content type has no boundary, or more than one")
  else if (dashed.length > MAX_BOUNDARY_BYTES) malformed(`the boundary is longer than ${MAX_BOUNDARY_BYTES} bytes`)
  return {
    write: (chunk) => {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      let data = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
      rest = EMPTY
      while (data.length > 0 && state !== "end") data = state === "headers" ? readHeaders(data) : readBody(data)
    },
    end: () => {
      if (state === "body") readBody(rest, true)
      if (state !== "end") malformed("it ends early")
    }
  }
}
