/**
 * Reads HTTP/1.1 answers out of the bytes of a connection (RFC 9112), without a socket and without a clock. It is strict:
 * where two programs could read the same bytes as different messages, it refuses them.
 */

/** What an answer's head says. The same one may be told of several answers. */
export interface Head {
  readonly status: number
  /** Names in lower case; lines of the same name are joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
}

/** Is told of an answer while it is read. Bytes are only valid during the call. */
export interface Listener {
  readonly head: (head: Head) => void
  readonly body: (bytes: Buffer) => void
  readonly end: () => void
}

/** Bytes that are no answer. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError"
  readonly code = "ERR_HTTP_PROTOCOL"
}

/** The head and the trailers may be this long together, in bytes, and so may the extensions of a chunk. */
const MAX_HEAD_BYTES = 32 * 1024
const MAX_CHUNK_LINE_BYTES = 4096

const CR = 13
const LF = 10
const NOTHING = Buffer.alloc(0)
const END_OF_HEAD = Buffer.from("\r\n\r\n")

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const NOT_IN_VALUE = /[^\t\x20-\x7E\x80-\xFF]/
/** Control characters, and ends of lines that are not whole. */
const NOT_IN_HEAD = /[^\t\r\n\x20-\x7E\x80-\xFF]|\r(?!\n)|(?<!\r)\n/

/** Whether this can stand as a field in a head, in either direction. */
export const isField = (name: string, value: string): boolean => NAME.test(name) && !NOT_IN_VALUE.test(value)
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: |$)/

/** All that a head says, which is the same whenever it comes. */
interface Said extends Head {
  readonly text: string
  readonly isReusable: boolean
  readonly keepAliveMillis: number | undefined
  /** How the body ends, if the answer has one (RFC 9112, 6.3): a number of bytes, or a way; or what is wrong with that. */
  readonly framing: number | "chunked" | "untilClose" | ProtocolError
}

/** A host answers many small requests with the same head, within one second of its clock. */
let last: Said | undefined

const readSaid = (text: string): Said => {
  const lines = text.split("\r\n")
  const line = STATUS_LINE.exec(lines[0]!)
  if (line === null || NOT_IN_HEAD.test(text)) throw new ProtocolError("the answer is not HTTP/1.1")
  const headers: Record<string, string> = Object.create(null)
  for (let n = 1; n < lines.length; n++) {
    const field = lines[n]!
    const colon = field.indexOf(":")
    const name = field.slice(0, colon).toLowerCase()
    const value = trimmed(field, colon + 1)
    if (colon <= 0 || !NAME.test(name)) {
      throw new ProtocolError("the head of the answer has a line that is no header field")
    }
    const before = headers[name]
    headers[name] = before === undefined ? value : `${before}, ${value}`
  }
  const connection = tokens(headers["connection"])
  const timeout = /(?:^|[,;\s])timeout=(\d{1,6})\b/i.exec(headers["keep-alive"] ?? "")
  const framing = framingOf(headers["transfer-encoding"], headers["content-length"])
  // The same length said twice is one length.
  if (typeof framing === "number") headers["content-length"] = String(framing)
  return {
    text,
    status: Number(line[2]),
    headers,
    isReusable: line[1] === "1" ? !connection.includes("close") : connection.includes("keep-alive"),
    keepAliveMillis: timeout === null ? undefined : Number(timeout[1]) * 1000,
    framing
  }
}

const framingOf = (codings: string | undefined, length: string | undefined): Said["framing"] => {
  if (length === undefined) {
    return codings === undefined
      ? "untilClose"
      : codings.toLowerCase() === "chunked"
      ? "chunked"
      : new ProtocolError("the answer has an unknown Transfer-Encoding")
  }
  if (codings !== undefined) return new ProtocolError("the answer has both a length and chunks")
  const [only, ...others] = new Set(length.split(",").map((text) => text.trim()))
  return others.length > 0 || !/^\d{1,16}$/.test(only!) || !Number.isSafeInteger(Number(only))
    ? new ProtocolError("the answer has no valid Content-Length")
    : Number(only)
}

type State = "head" | "length" | "chunkSize" | "chunk" | "chunkEnd" | "trailers" | "untilClose" | "done"

const blank = (code: number) => code === 32 || code === 9

/** A field's value without the white space around it. */
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
  /** What has come of a head, a chunk's line or trailers, while it is not whole. */
  private carry: Buffer = NOTHING
  private left = 0
  private trailerBytes = 0
  private readonly method: string
  private readonly listener: Listener
  /** Whether the connection can be used again after this answer. */
  isReusable = false
  /** How long the host says that it keeps an idle connection, in milliseconds. */
  keepAliveMillis: number | undefined

  constructor(method: string, listener: Listener) {
    this.method = method
    this.listener = listener
  }

  get isDone(): boolean {
    return this.state === "done"
  }

  /** Reads bytes; throws a `ProtocolError` when they cannot be of an answer. */
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
          // A host that goes on speaking cannot be trusted to begin the next answer where we think.
          this.isReusable = false
          return
        }
      }
    }
  }

  /** The connection has ended. Gives whether the answer ends with it as it should. */
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
    const before = this.carry.length
    const text = before === 0 ? bytes.subarray(from) : Buffer.concat([this.carry, bytes.subarray(from)])
    const end = text.indexOf(END_OF_HEAD, Math.max(0, before - 3))
    if (end > MAX_HEAD_BYTES || (end === -1 && text.length > MAX_HEAD_BYTES)) {
      throw new ProtocolError("the head of the answer is too long")
    }
    if (end === -1) {
      this.carry = before === 0 ? Buffer.from(text) : text
      return bytes.length
    }
    this.carry = NOTHING
    this.readFields(text.toString("latin1", 0, end))
    return from + end + 4 - before
  }

  private readFields(text: string) {
    const said = last?.text === text ? last : last = readSaid(text)
    const { framing, status } = said
    if (status === 101) throw new ProtocolError("the host switched to another protocol")
    // An interim answer; the answer itself is still to come.
    if (status < 200) return
    this.isReusable = said.isReusable
    this.keepAliveMillis = said.keepAliveMillis
    this.state = "length"
    this.left = 0
    if (this.isWithoutBody(status)) {
      // Two programs might still read a wrong length as different messages.
      if (typeof framing === "object" && said.headers["content-length"] !== undefined) throw framing
    } else if (typeof framing === "number") this.left = framing
    else if (framing === "chunked") this.state = "chunkSize"
    else if (framing === "untilClose") {
      this.state = "untilClose"
      this.isReusable = false
    } else throw framing
    this.listener.head(said)
    // A body that has no bytes ends with the head.
    if ((this.state as State) === "length" && this.left === 0) this.finish()
  }

  private isWithoutBody(status: number): boolean {
    return this.method === "HEAD" || status === 204 || status === 304
  }

  /** One line of the chunked framing. */
  private readLine(bytes: Buffer, from: number): number {
    const end = bytes.indexOf(LF, from)
    const part = bytes.subarray(from, end === -1 ? bytes.length : end + 1)
    const line = this.carry.length === 0 ? part : Buffer.concat([this.carry, part])
    const limit = this.state === "trailers" ? MAX_HEAD_BYTES - this.trailerBytes : MAX_CHUNK_LINE_BYTES
    if (line.length > limit) throw new ProtocolError("the chunks of the answer have too much between them")
    if (end === -1) {
      // The buffer of the socket is used again.
      this.carry = Buffer.from(line)
      return bytes.length
    }
    this.carry = NOTHING
    if (line.length < 2 || line[line.length - 2] !== CR) {
      throw new ProtocolError("a line of the answer does not end as it should")
    }
    const text = line.toString("latin1", 0, line.length - 2)
    if (this.state === "chunkEnd") {
      if (text !== "") throw new ProtocolError("a chunk of the answer is longer than it says")
      this.state = "chunkSize"
    } else if (this.state === "trailers") {
      this.trailerBytes += line.length
      if (text === "") this.finish()
    } else {
      const size = /^([0-9a-fA-F]{1,13})[ \t]*(?:;|$)/.exec(text)
      if (size === null || NOT_IN_VALUE.test(text)) throw new ProtocolError("a chunk of the answer has no valid size")
      this.left = Number.parseInt(size[1]!, 16)
      this.state = this.left === 0 ? "trailers" : "chunk"
    }
    return end + 1
  }
}
