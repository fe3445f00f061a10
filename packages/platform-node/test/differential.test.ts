/**
 * Compares the parser of `NodeHttp.layerSockets` with llhttp in strict mode: whatever ours accepts, llhttp must accept too, as
 * the same response. `FILEIO_ANSWERS=1000000` runs a million of them; a difference is printed so that it can become a test.
 */
import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import * as Http from "node:http"
import * as Net from "node:net"
import { ProtocolError, ResponseReader } from "../src/internal/sockets/responseReader.ts"
import * as Llhttp from "./llhttp.ts"

const ANSWERS = Number(process.env["FILEIO_ANSWERS"] ?? 6000)
/** Node's own client needs a connection for each. */
const OVER_NODE = 200

/** The same numbers for the same seed (mulberry32). */
const numbers = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6D2B79F5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

type Numbers = ReturnType<typeof numbers>

const pick = <A>(next: Numbers, values: ReadonlyArray<A>): A => values[next(values.length)]!

const LINES = [
  "HTTP/1.1 200 OK",
  "HTTP/1.1 200 OK",
  "HTTP/1.1 200 OK",
  "HTTP/1.1 200 OK",
  "HTTP/1.1 200",
  "HTTP/1.1 200 ",
  "HTTP/1.0 200 OK",
  "HTTP/1.1 204 No Content",
  "HTTP/1.1 304 Not Modified",
  "HTTP/1.1 404 N\xF6t Found",
  "HTTP/1.1 599 X",
  "HTTP/1.1 600 X",
  "HTTP/1.1  200 OK",
  "HTTP/1.1 20 OK",
  "HTTP/1.1 2000 OK",
  "HTTP/1.2 200 OK",
  "HTTP/2.0 200 OK",
  "http/1.1 200 OK",
  "ICY 200 OK"
]

const FIELDS = [
  "content-length: 5",
  "Content-Length: 5",
  "content-length: 0",
  "content-length:5",
  "content-length: 05",
  "content-length: 5 ",
  "content-length: +5",
  "content-length: 5, 5",
  "content-length: 0x5",
  "content-length:",
  "content-length: 18446744073709551621",
  "content-length : 5",
  " content-length: 5",
  "transfer-encoding: chunked",
  "transfer-encoding: chunked",
  "Transfer-Encoding: Chunked",
  "transfer-encoding:chunked ",
  "transfer-encoding: gzip, chunked",
  "transfer-encoding: chunked, gzip",
  "transfer-encoding: chunked, chunked",
  "transfer-encoding: identity",
  "transfer-encoding: \x0Bchunked",
  "transfer-encoding : chunked",
  "connection: close",
  "connection: keep-alive",
  "Connection: Upgrade",
  "connection: keep-alive, close",
  "proxy-connection: keep-alive",
  "upgrade: websocket",
  "keep-alive: timeout=5",
  "x-a: b",
  "x-a:",
  "x-a: \t b \t",
  "x-a: \xFF",
  "x-a: \x7F",
  "x-a: a\x00b",
  "x-a: a\x01b",
  "x@a: b",
  "x a: b",
  "x",
  ": b",
  "\tfolded"
]

const BODIES = [
  "hello",
  "hello",
  "hell",
  "helloHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
  "",
  "5\r\nhello\r\n0\r\n\r\n",
  "5\r\nhello\r\n0\r\n\r\n",
  "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
  "5;a=b\r\nhello\r\n0\r\n\r\n",
  "5;a\r\nhello\r\n0;b=\"c d\"\r\n\r\n",
  "5;a=\"b\\\"c\";d\r\nhello\r\n0\r\n\r\n",
  "5 \r\nhello\r\n0\r\n\r\n",
  "5;\r\nhello\r\n0\r\n\r\n",
  "5;a=\r\nhello\r\n0\r\n\r\n",
  "5; a=b\r\nhello\r\n0\r\n\r\n",
  "5 ;a=b\r\nhello\r\n0\r\n\r\n",
  "5\nhello\n0\n\n",
  "5\r\nhello0\r\n\r\n",
  "5\r\nhello\r\n00\r\n\r\n",
  "0x5\r\nhello\r\n0\r\n\r\n",
  "A\r\n0123456789\r\n0\r\n\r\n",
  "a\r\n0123456789\r\n0\r\nx-t: 1\r\nx-u: 2\r\n\r\n",
  "5\r\nhello\r\n0\r\nx-t : 1\r\n\r\n",
  "5\r\nhello\r\n0\r\ncontent-length: 3\r\n\r\n",
  "5\r\nhello\r\n0\r\nnothing\r\n\r\n",
  "5\r\nhello\r\n0\r\n folded\r\n\r\n",
  "5\r\nhello\r\n0\r\nx-t: \x01\r\n\r\n",
  "5\r\nhello\r\n0\r\nx-t: 1\n\r\n",
  "fffffffffffffff0\r\nhello",
  "-5\r\nhello\r\n0\r\n\r\n",
  "\r\nhello"
]

const ENDS = ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n", "\n\r"]
const INTERIM = [
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\ncontent-length: 5\r\n\r\n",
  "HTTP/1.1 102 Processing\r\ntransfer-encoding: chunked\r\n\r\n",
  "\r\n"
]
/** Bytes to insert or to replace others. */
const CHARACTERS = [
  "\r",
  "\n",
  "\r\n",
  " ",
  "\t",
  "\0",
  ":",
  ";",
  ",",
  "0",
  "5",
  "f",
  "\x7F",
  "\x80",
  "\"",
  "\\",
  "=",
  "\x0B"
]

/** A valid response, or nearly one. */
const answer = (next: Numbers): string => {
  // Most line ends are correct, since otherwise no test would reach the body.
  const isTidy = next(4) > 0
  const end = () => isTidy ? "\r\n" : pick(next, ENDS)
  let text = next(12) === 0 ? pick(next, INTERIM) : ""
  text += pick(next, LINES) + end()
  for (let count = next(4); count > 0; count--) text += pick(next, FIELDS) + end()
  text += end() + pick(next, BODIES)
  for (let count = next(3) === 0 ? 1 + next(2) : 0; count > 0; count--) {
    const at = next(text.length)
    text = text.slice(0, at) + (next(4) === 0 ? "" : pick(next, CHARACTERS)) + text.slice(at + next(2))
  }
  return text
}

/** The same bytes in pieces. */
const cut = (next: Numbers, text: string): ReadonlyArray<Buffer> => {
  const bytes = Buffer.from(text, "latin1")
  const at = [
    0,
    ...Array.from({ length: next(5) }, () => next(bytes.length + 1)).toSorted((a, b) => a - b),
    bytes.length
  ]
  return at.slice(1).map((to, n) => bytes.subarray(at[n], to))
}

const ours = (pieces: ReadonlyArray<Buffer>, method: string, isClosed: boolean): Llhttp.Parsed => {
  const statuses: Array<number> = []
  const body: Array<Buffer> = []
  let isComplete = false
  let isRefused = false
  const reader = new ResponseReader(method, {
    head: ({ status }) => statuses.push(status),
    body: (bytes) => body.push(Buffer.from(bytes)),
    end: () => {
      isComplete = true
    }
  })
  try {
    for (const piece of pieces) {
      reader.read(piece)
      if (isComplete) break
    }
    if (isClosed) reader.close()
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    isRefused = true
  }
  return {
    statuses,
    body: Buffer.concat(body).toString("latin1"),
    isComplete,
    isRefused,
    isReusable: reader.isReusable
  }
}

/** The length of a response that is followed by others. */
const lengthOf = (text: string): number => {
  const bytes = Buffer.from(text, "latin1")
  const reader = new ResponseReader("GET", { head: () => {}, body: () => {}, end: () => {} })
  let at = 0
  while (at < bytes.length && !reader.isDone) reader.read(bytes.subarray(at, ++at))
  return at
}

/** What our parser accepted differently; nothing if all is well. */
const difference = (mine: Llhttp.Parsed, other: Llhttp.Parsed): string | undefined => {
  // Only llhttp reports interim responses.
  const status = other.statuses.findLast((status) => status >= 200)
  if (mine.statuses.length > 0 && mine.statuses[0] !== status) return "a head"
  if (!other.body.startsWith(mine.body)) return "bytes of a body"
  if (mine.isComplete && !other.isComplete) return "the end"
  if (mine.isComplete && mine.body !== other.body) return "the end of the body"
  if (mine.isComplete && mine.isReusable && !other.isReusable) return "that the connection can be used again"
  return undefined
}

const METHODS = ["GET", "GET", "GET", "POST", "HEAD"]

describe("the reader takes nothing that llhttp refuses", () => {
  it(`${ANSWERS} answers, cut anywhere`, { timeout: 300_000 + ANSWERS }, () => {
    const llhttp = Llhttp.make()
    let taken = 0
    let refused = 0
    for (let seed = 1; seed <= ANSWERS; seed++) {
      const next = numbers(seed)
      const text = answer(next)
      const method = pick(next, METHODS)
      const isClosed = next(3) === 0
      const mine = ours(cut(next, text), method, isClosed)
      const found = difference(mine, llhttp(cut(next, text), method, isClosed))
      assert.isUndefined(found, `${method} ${JSON.stringify(text)}, seed ${seed}`)
      // The result does not depend on the cuts.
      if (seed % 8 === 0) {
        const bytes = Array.from(Buffer.from(text, "latin1"), (byte) => Buffer.of(byte))
        assert.deepStrictEqual(ours(bytes, method, isClosed), {
          ...mine,
          isReusable: ours(bytes, method, isClosed).isReusable
        }, text)
      }
      if (mine.isComplete) taken++
      if (mine.isRefused) refused++
    }
    // Some responses are valid and some are not, else this would prove nothing.
    assert.isAbove(taken, ANSWERS / 10)
    assert.isAbove(refused, ANSWERS / 10)
  })

  it("and neither does it take what Node's own client refuses", async () => {
    let text = ""
    const server = Net.createServer((socket) => {
      socket.on("error", () => {})
      socket.once("data", () => socket.end(text, "latin1"))
    })
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    const { port } = server.address() as Net.AddressInfo
    const overNode = (): Promise<Llhttp.Parsed> =>
      new Promise((resolve) => {
        const body: Array<Buffer> = []
        let status: number | undefined
        const end = (isComplete: boolean) =>
          resolve({
            statuses: status === undefined ? [] : [status],
            body: Buffer.concat(body).toString("latin1"),
            isComplete,
            isRefused: !isComplete,
            isReusable: true
          })
        const request = Http.get({ port, host: "127.0.0.1", agent: false, insecureHTTPParser: false }, (response) => {
          status = response.statusCode
          response.on("data", (chunk: Buffer) => body.push(chunk))
          response.on("end", () => end(response.complete))
          response.on("error", () => end(false))
        })
        request.on("error", () => end(false))
      })
    for (let seed = 1, compared = 0; compared < OVER_NODE; seed++) {
      const next = numbers(seed)
      text = answer(next)
      const mine = ours(cut(next, text), "GET", true)
      if (!mine.isComplete) continue
      compared++
      // Node's client also fails on bytes after the response.
      text = text.slice(0, lengthOf(text))
      assert.isUndefined(difference({ ...mine, isReusable: false }, await overNode()), JSON.stringify(text))
    }
    server.close()
  })
})
