import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { type Head, ProtocolError, ResponseReader } from "../src/internal/sockets/responseReader.ts"

interface Read {
  readonly head: Head | undefined
  readonly body: string
  readonly isEnded: boolean
  readonly reader: ResponseReader
}

/** Reads pieces one after the other, each in the same buffer, as a socket does. */
const read = (pieces: ReadonlyArray<string>, method = "GET"): Read => {
  let head: Head | undefined
  let body = ""
  let isEnded = false
  const reader = new ResponseReader(method, {
    head: (given) => {
      assert.isUndefined(head)
      head = given
    },
    body: (bytes) => {
      body += bytes.toString("latin1")
    },
    end: () => {
      assert.isFalse(isEnded)
      isEnded = true
    }
  })
  const buffer = Buffer.alloc(Math.max(...pieces.map((piece) => piece.length), 1))
  for (const piece of pieces) {
    buffer.fill("#")
    buffer.write(piece, "latin1")
    reader.read(buffer.subarray(0, piece.length))
  }
  return { head, body, isEnded, reader }
}

describe("an answer", () => {
  const answers: Record<string, readonly [text: string, body: string]> = {
    "with a length": ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: \t b c \t\r\n\r\nhello", "hello"],
    "with an empty body": ["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""],
    "without a reason phrase": ["HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx", "x"],
    "without content": ["HTTP/1.1 204 No Content\r\n\r\n", ""],
    "in chunks": [
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n1\r\n \r\n00005\r\nworld\r\n0\r\nX-T: 1\r\n\r\n",
      "hello world"
    ],
    "after interim ones": [
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
      "ok"
    ]
  }
  for (const [how, [text, body]] of Object.entries(answers)) {
    const cut = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: text.length }))
    it.prop(
      `${how} is read, wherever it is cut`,
      [Arbitrary.schema(Schema.Array(cut).check(Schema.isMaxLength(12)))],
      ([cuts]) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), text.length]
        const result = read(at.slice(1).map((to, n) => text.slice(at[n], to)))
        assert.strictEqual(result.body, body)
        assert.isTrue(result.isEnded && result.reader.isDone && result.reader.isReusable)
      }
    )
    it(`${how} is read byte by byte`, () => {
      assert.strictEqual(read(text.split("")).body, body)
    })
  }

  it("has its fields by their lower-case names, joined where they come twice", () => {
    const { head } = read(["HTTP/1.1 200 OK\r\nX-A:1\r\nx-a:  2 \r\n__proto__: y\r\nKeep-Alive: timeout=7\r\n\r\n"])
    assert.strictEqual(head?.headers["x-a"], "1, 2")
    assert.strictEqual(head?.headers["__proto__"], "y")
  })

  it("without a length ends with the connection, and only then", () => {
    const { isEnded, reader } = read(["HTTP/1.1 200 OK\r\n\r\nhel", "lo"])
    assert.isFalse(isEnded)
    assert.isTrue(reader.close())
    assert.isFalse(reader.isReusable)
  })

  it("that is cut short does not end with the connection", () => {
    for (
      const text of [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
      ]
    ) assert.isFalse(read([text]).reader.close(), text)
  })

  it("to HEAD has no body, whatever length it names", () => {
    const { head, isEnded } = read(["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"], "HEAD")
    assert.isTrue(isEnded)
    assert.strictEqual(head?.headers["content-length"], "9")
  })

  it("says whether and how long its connection can be used again", () => {
    const after = (fields: string, version = "1.1") =>
      read([`HTTP/${version} 200 OK\r\n${fields}content-length: 0\r\n\r\n`]).reader
    assert.isTrue(after("").isReusable)
    assert.isFalse(after("Connection: foo, Close\r\n").isReusable)
    assert.isFalse(after("", "1.0").isReusable)
    // HTTP/1.0 has no chunks, and a 204 has no body.
    const chunked = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    const whole = read([chunked])
    assert.isTrue(whole.isEnded)
    assert.isFalse(whole.reader.isReusable)
    assert.isFalse(read(["HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n"]).reader.isReusable)
    assert.isTrue(after("connection: keep-alive\r\n", "1.0").isReusable)
    assert.strictEqual(after("Keep-Alive: timeout=30, max=5\r\n").keepAliveMillis, 30_000)
    assert.isUndefined(after("").keepAliveMillis)
  })

  it("that goes on after its end makes its connection unusable", () => {
    assert.isFalse(read(["HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxy"]).reader.isReusable)
  })
})

describe("ambiguous messages are refused", () => {
  const head = "HTTP/1.1 200 OK\r\n"
  const chunked = `${head}transfer-encoding: chunked\r\n\r\n`
  const wrong: Record<string, string> = {
    "another protocol": "SSH-2.0-OpenSSH\r\n\r\n",
    "another version": "HTTP/2.0 200 OK\r\n\r\n",
    "a status of no answer": "HTTP/1.1 999 No\r\n\r\n",
    "another protocol from here on": "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    "both a length and chunks": `${head}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n`,
    "two lengths": `${head}content-length: 3\r\ncontent-length: 4\r\n\r\n`,
    "a length that is said twice": `${head}content-length: 3\r\ncontent-length: 3\r\n\r\n`,
    "two lengths in one line": `${head}content-length: 3, 4\r\n\r\n`,
    "an interim answer after which the connection closes": "HTTP/1.1 103 Early Hints\r\nconnection: close\r\n\r\n",
    "an interim answer of HTTP/1.0": "HTTP/1.0 100 Continue\r\n\r\n",
    "a length with a tab behind it": `${head}content-length: 3\t\r\n\r\n`,
    "chunks with a tab behind their name": `${head}transfer-encoding: chunked\t\r\n\r\n`,
    "a length with a sign": `${head}content-length: +3\r\n\r\n`,
    "a length beyond all numbers": `${head}content-length: 99999999999999999999\r\n\r\n`,
    "a transfer encoding that is not known": `${head}transfer-encoding: gzip, chunked\r\n\r\n`,
    "a line that goes on in the next": `${head}a: b\r\n c: d\r\n\r\n`,
    "a space before the colon": `${head}content-length : 3\r\n\r\n`,
    "a line without a colon": `${head}nothing\r\n\r\n`,
    "a lone line feed": `${head}a: b\nc: d\r\n\r\n`,
    "a lone carriage return": `${head}a: b\rc: d\r\n\r\n`,
    "a null byte": `${head}a: b\u0000\r\n\r\n`,
    "a lone line feed before the end of the head": `${head}a: b\n`,
    "a lone carriage return before the end of the head": `${head}a: b\rc`,
    "a trailer that is no field": `${chunked}0\r\nnothing\r\n\r\n`,
    "a trailer that says the length": `${chunked}0\r\ncontent-length: 3\r\n\r\n`,
    "an interim answer with a length that is none": `HTTP/1.1 103 Early Hints\r\ncontent-length: x\r\n\r\n`,
    "a trailer with a space before its colon": `${chunked}0\r\na : b\r\n\r\n`,
    "white space after the size of a chunk": `${chunked}5 \r\nhello`,
    "an extension of a chunk that has no name": `${chunked}5;=a\r\nhello`,
    "a chunk size that is no number": `${chunked}5g\r\nhello`,
    "a chunk size with a sign": `${chunked}-5\r\nhello`,
    "a chunk size beyond all numbers": `${chunked}${"f".repeat(14)}\r\n`,
    "a chunk size after a lone line feed": `${chunked}5\nhello`,
    "a chunk that is longer than it says": `${chunked}5\r\nhello!\r\n`,
    "no end of a head": head + "a: b\r\n".repeat(50_000),
    "no end of a chunk's line": `${chunked}5;${"a".repeat(5000)}`,
    "no end of trailers": `${chunked}0\r\n${"a: b\r\n".repeat(8000)}`
  }
  for (const [what, text] of Object.entries(wrong)) {
    it(`${what}`, () => {
      assert.throws(() => read([text]), ProtocolError)
    })
  }

  const piece = Schema.Union([
    Schema.Literals([
      "HTTP/1.1 200 OK\r\n",
      "content-length: 5\r\n",
      "transfer-encoding: chunked\r\n",
      "\r\n",
      "5\r\n",
      "0\r\n"
    ]),
    Schema.String.check(Schema.isMaxLength(20))
  ])
  it.prop(
    "and no bytes make it do anything but read or refuse",
    [Arbitrary.schema(Schema.Array(piece).check(Schema.isMaxLength(20)))],
    ([pieces]) => {
      try {
        read(pieces)
      } catch (error) {
        assert.instanceOf(error, ProtocolError)
      }
    }
  )
})
