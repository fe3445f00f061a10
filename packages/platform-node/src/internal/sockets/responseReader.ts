/**
 * Parses HTTP/1.1 responses from the bytes of a connection (RFC 9112), without a socket or a clock. It is strict: it
 * refuses bytes that two programs could read as different messages.
 */

/** The head of a response. */
export interface Head {
  readonly status: number
  /** Names in lower case; lines of the same name are joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
}

/** Callbacks of the parser. Bytes are valid only during the call. */
export interface Listener {
  readonly head: (head: Head) => void
  readonly body: (bytes: Buffer) => void
  readonly end: () => void
}

/** The bytes are no valid response. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError"
  readonly code: string
  constructor(message: string, code = "ERR_HTTP_PROTOCOL") {
    super(message)
    this.code = code
  }
}

/**
 * The longest head of a response, in bytes. It contains the file's name, percent-encoded, and an unreadable response
 * may cost the only copy, so this is near curl's limit, not near the 16 KiB of HTTP libraries for servers.
 */
export const MAX_HEAD_BYTES = 256 * 1024
/** The longest trailers, in bytes. */
const MAX_TRAILER_BYTES = 32 * 1024
/** The longest line before a chunk, in bytes. */
const MAX_CHUNK_LINE_BYTES = 4096

const CR = 13
const LF = 10
const TAB = 9
const SPACE = 32
const DELETE = 127
const NOTHING = Buffer.alloc(0)

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const NOT_IN_VALUE = /[^\t\x20-\x7E\x80-\xFF]/

/** The size of a chunk, and its extensions (RFC 9112, 7.1.1). */
const CHUNK_LINE =
  /^([0-9a-fA-F]{1,13})(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[^"\\]|\\.)*"))?)*$/

/** Whether this is a valid header field, in either direction. */
export const isField = (name: string, value: string): boolean => NAME.test(name) && !NOT_IN_VALUE.test(value)
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: |$)/

/** A parsed head. */
interface ParsedHead extends Head {
  readonly isReusable: boolean
  readonly keepAliveMillis: number | undefined
  /** How the body ends, if the response has one (RFC 9112, 6.3): its number of bytes, or a framing; or the error. */
  readonly framing: number | "chunked" | "untilClose" | ProtocolError
}

const FRAMING = /^(?:content-length|transfer-encoding)$/

/** Fields that would set the body's length after its end (RFC 9110, 6.5.1). */
const IN_NO_TRAILER = /^(?:content-length|transfer-encoding):/i

const isFieldLine = (line: string): boolean => {
  const colon = line.indexOf(":")
  return colon > 0 && isField(line.slice(0, colon), line.slice(colon + 1))
}

/**
 * The end of a head, or -1. Looks at the bytes from `from` on, and refuses at once bytes that no head may contain:
 * control characters, and line ends other than CR LF.
 */
const endOfHead = (bytes: Buffer, from: number): number => {
  for (let at = from; at < bytes.length; at++) {
    const code = bytes[at]!
    const isAfterCr = at > 0 && bytes[at - 1] === CR
    if (
      isAfterCr !== (code === LF) || (code < SPACE && code !== TAB && code !== CR && code !== LF) || code === DELETE
    ) {
      throw new ProtocolError("the head of the response has a character or an end of a line that is not allowed")
    }
    if (code === LF && at >= 3 && bytes[at - 2] === LF) return at + 1
  }
  return -1
}

const parseHead = (text: string): ParsedHead => {
  const lines = text.split("\r\n")
  const line = STATUS_LINE.exec(lines[0]!)
  if (line === null) throw new ProtocolError("the response is not HTTP/1.1")
  const headers: Record<string, string> = Object.create(null)
  for (let n = 1; n < lines.length; n++) {
    const field = lines[n]!
    if (!isFieldLine(field)) throw new ProtocolError("the head of the response has a line that is no header field")
    const colon = field.indexOf(":")
    const name = field.slice(0, colon).toLowerCase()
    const value = trimmed(field, colon + 1)
    // Programs differ on the meaning of a tab beside these.
    if (FRAMING.test(name) && field.includes("\t")) {
      throw new ProtocolError("the length of the response has a tab beside it")
    }
    const before = headers[name]
    headers[name] = before === undefined ? value : `${before}, ${value}`
  }
  const connection = tokens(headers["connection"])
  const timeout = /(?:^|[,;\s])timeout=(\d{1,6})\b/i.exec(headers["keep-alive"] ?? "")
  const framing = framingOf(headers["transfer-encoding"], headers["content-length"])
  return {
    status: Number(line[2]),
    headers,
    // HTTP/1.0 has no chunks, so an intermediary may have read this response differently (RFC 9112, 6.1).
    isReusable: line[1] === "1"
      ? !connection.includes("close")
      : connection.includes("keep-alive") && headers["transfer-encoding"] === undefined,
    keepAliveMillis: timeout === null ? undefined : Number(timeout[1]) * 1000,
    framing
  }
}

const framingOf = (codings: string | undefined, length: string | undefined): ParsedHead["framing"] => {
  if (length === undefined) {
    return codings === undefined
      ? "untilClose"
      : codings.toLowerCase() === "chunked"
      ? "chunked"
      : new ProtocolError("the response has an unknown Transfer-Encoding")
  }
  if (codings !== undefined) return new ProtocolError("the response has both a length and chunks")
  return !/^\d{1,16}$/.test(length) || !Number.isSafeInteger(Number(length))
    ? new ProtocolError("the response has no valid Content-Length")
    : Number(length)
}

type State = "head" | "length" | "chunkSize" | "chunk" | "chunkEnd" | "trailers" | "untilClose" | "done"

const blank = (code: number) => code === SPACE || code === TAB

/** A field's value without surrounding white space. */
const trimmed = (line: string, from: number): string => {
  let to = line.length
  while (from < to && blank(line.charCodeAt(from))) from++
  while (to > from && blank(line.charCodeAt(to - 1))) to--
  return line.slice(from, to)
}

const tokens = (value: string | undefined): ReadonlyArray<string> =>
  value === undefined ? [] : value.split(",").map((token) => token.trim().toLowerCase()).filter((token) => token !== "")

export class ResponseReader {
  private state: State = "head"
  /** An incomplete head, chunk line or trailer section, and how many of its bytes are used. */
  private carry: Buffer = NOTHING
  private carried = 0
  private left = 0
  private trailerBytes = 0
  private readonly method: string
  private readonly listener: Listener
  /** Whether the connection can be used again after this response. */
  isReusable = false
  /** How long the host keeps an idle connection, by its header, in milliseconds. */
  keepAliveMillis: number | undefined

  constructor(method: string, listener: Listener) {
    this.method = method
    this.listener = listener
  }

  get isDone(): boolean {
    return this.state === "done"
  }

  /** How many bytes of the body are still to come: `Infinity` if the host does not say. */
  get remaining(): number {
    return this.state === "length" ? this.left : this.state === "head" || this.state === "done" ? 0 : Infinity
  }

  /** Parses bytes; throws a `ProtocolError` if they are no valid response. */
  read(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length) {
      switch (this.state) {
        case "head": {
          at = this.readHead(bytes, at)
          break
        }
        case "length":
        case "chunk": {
          const end = Math.min(bytes.length, at + this.left)
          this.left -= end - at
          this.listener.body(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end))
          at = end
          if (this.left === 0) {
            if (this.state === "length") this.finish()
            else this.state = "chunkEnd"
          }
          break
        }
        case "untilClose": {
          this.listener.body(at === 0 ? bytes : bytes.subarray(at))
          return
        }
        case "chunkSize":
        case "chunkEnd":
        case "trailers": {
          at = this.readLine(bytes, at)
          break
        }
        case "done": {
          // If a host sends bytes after its response, the start of the next one is not certain.
          this.isReusable = false
          return
        }
      }
    }
  }

  /** The connection has ended. Returns whether the response is complete. */
  close(): boolean {
    this.isReusable = false
    if (this.state === "untilClose") this.finish()
    return this.state === "done"
  }

  private finish() {
    this.state = "done"
    this.listener.end()
  }

  private readHead(bytes: Buffer, from: number): number {
    const before = this.carried
    const text = before === 0 ? bytes.subarray(from) : this.append(bytes.subarray(from))
    const end = endOfHead(text, before)
    if (end > MAX_HEAD_BYTES || (end === -1 && text.length > MAX_HEAD_BYTES)) {
      throw new ProtocolError("the head of the response is too long", "ERR_HTTP_HEADERS_OVERFLOW")
    }
    if (end === -1) {
      if (before === 0) this.append(text)
      return bytes.length
    }
    this.forget()
    this.readFields(text.toString("latin1", 0, end - 4))
    return from + end - before
  }

  /**
   * Buffers bytes, since the socket's buffer is reused. Doubles its memory, so that a host which sends byte by byte
   * does not cause a copy of everything each time.
   */
  private append(bytes: Buffer): Buffer {
    const length = this.carried + bytes.length
    if (length > this.carry.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.carry.length))
      this.carry.copy(grown, 0, 0, this.carried)
      this.carry = grown
    }
    bytes.copy(this.carry, this.carried)
    this.carried = length
    return this.carry.subarray(0, length)
  }

  private forget() {
    this.carry = NOTHING
    this.carried = 0
  }

  private readFields(text: string) {
    const parsed = parseHead(text)
    const { framing, status } = parsed
    if (status === 101) throw new ProtocolError("the host switched to another protocol")
    // An interim response; the final one follows.
    if (status < 200) {
      if (typeof framing === "object") throw framing
      if (!parsed.isReusable) throw new ProtocolError("an interim response says that no response follows it")
      return
    }
    this.isReusable = parsed.isReusable
    this.keepAliveMillis = parsed.keepAliveMillis
    this.state = "length"
    this.left = 0
    if (this.isWithoutBody(status)) {
      // Two programs might still read a wrong length as different messages.
      if (typeof framing === "object") throw framing
      // A host that announces a body may send one, which the next request must not take for its response.
      if (this.method !== "HEAD" && framing !== "untilClose" && framing !== 0) this.isReusable = false
    } else if (typeof framing === "number") this.left = framing
    else if (framing === "chunked") this.state = "chunkSize"
    else if (framing === "untilClose") {
      this.state = "untilClose"
      this.isReusable = false
    } else throw framing
    this.listener.head(parsed)
    // A body without bytes ends with the head.
    if ((this.state as State) === "length" && this.left === 0) this.finish()
  }

  private isWithoutBody(status: number): boolean {
    return this.method === "HEAD" || status === 204 || status === 304
  }

  /** One line of the chunked framing. */
  private readLine(bytes: Buffer, from: number): number {
    const end = bytes.indexOf(LF, from)
    const part = bytes.subarray(from, end === -1 ? bytes.length : end + 1)
    const before = this.carried
    const line = before === 0 ? part : this.append(part)
    const limit = this.state === "trailers" ? MAX_TRAILER_BYTES - this.trailerBytes : MAX_CHUNK_LINE_BYTES
    if (line.length > limit) throw new ProtocolError("the chunks of the response have too much between them")
    if (end === -1) {
      if (before === 0) this.append(line)
      return bytes.length
    }
    this.forget()
    if (line.length < 2 || line[line.length - 2] !== CR) {
      throw new ProtocolError("a line of the response does not end with CR LF")
    }
    const text = line.toString("latin1", 0, line.length - 2)
    if (this.state === "chunkEnd") {
      if (text !== "") throw new ProtocolError("a chunk of the response is longer than it says")
      this.state = "chunkSize"
    } else if (this.state === "trailers") {
      this.trailerBytes += line.length
      if (text === "") this.finish()
      else if (!isFieldLine(text) || IN_NO_TRAILER.test(text)) {
        throw new ProtocolError("the trailers of the response have a line that is no valid trailer")
      }
    } else {
      const size = CHUNK_LINE.exec(text)
      if (size === null || NOT_IN_VALUE.test(text)) throw new ProtocolError("a chunk of the response has no valid size")
      this.left = Number.parseInt(size[1]!, 16)
      this.state = this.left === 0 ? "trailers" : "chunk"
    }
    return end + 1
  }
}
