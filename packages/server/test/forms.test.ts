/** Limits of a body: of its fields and sizes, and linear time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Net from "node:net"
import * as FormParser from "../src/internal/http/formParser.ts"
import { anna, assertRefused, blobs, call, eventually, incoming, pattern, sendParts, start } from "./support.ts"

const FORM = "application/x-www-form-urlencoded"

/** Numbers from 0 up to a bound, the same in each run. */
const random = (seed: number) => {
  let state = seed * 2654435761 >>> 0 || 1
  return (below: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const parse = (chunks: ReadonlyArray<Uint8Array>, maxFields = 1000) => {
  const fields: Array<[string, string]> = []
  let tooMany = 0
  const parser = FormParser.make({
    maxFields,
    onField: (name) => {
      const value: Array<number> = []
      return (bytes) => {
        if (bytes === null) fields.push([name, Buffer.from(value).toString()])
        else value.push(...bytes)
      }
    },
    onTooMany: () => tooMany++
  })
  for (const chunk of chunks) parser.write(chunk)
  parser.end()
  return { fields, tooMany }
}

/** Cuts bytes at random positions. */
const cut = (bytes: Uint8Array, below: (bound: number) => number): Array<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length;) {
    const size = 1 + below(4)
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return chunks
}

/** Sends raw bytes and returns the response, which may come before all of them are sent. */
const send = (url: string, head: string, body: Uint8Array) =>
  Effect.promise(() =>
    new Promise<string>((resolve) => {
      let answer = ""
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => {
        socket.write(`POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${head}\r\n\r\n`)
        socket.write(body)
      })
      socket.on("data", (chunk) => answer += String(chunk))
      socket.on("error", () => {})
      socket.on("close", () => resolve(answer))
    })
  )

/** A chunked body whose chunks have one byte each. */
const byteByByte = (text: string): Buffer =>
  Buffer.from(`${Array.from(text, (byte) => `1\r\n${byte}\r\n`).join("")}0\r\n\r\n`, "latin1")

const fileHead = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n"

describe("the parser of urlencoded forms", () => {
  it("reads what URLSearchParams reads, however it is cut", () => {
    const alphabet = [
      "a",
      "b",
      "text",
      "%",
      "%4",
      "%41",
      "%e2%82%ac",
      "%zz",
      "%%",
      "&",
      "&&",
      "=",
      "==",
      "+",
      "?",
      "\0"
    ]
    for (let seed = 1; seed <= 3000; seed++) {
      const below = random(seed)
      const text = Array.from({ length: below(12) }, () => alphabet[below(alphabet.length)]!).join("")
      // `URLSearchParams` removes a leading question mark.
      const expected = [...new URLSearchParams(text.replace(/^\?/, "%3F"))]
      assert.deepStrictEqual(parse(cut(Buffer.from(text), below)).fields, expected, JSON.stringify(text))
    }
  })

  it("stops at the limit of fields, and says so once", () => {
    const { fields, tooMany } = parse([Buffer.from("a&".repeat(100)), Buffer.from("b=1&c=2")], 3)
    assert.deepStrictEqual(fields, [["a", ""], ["a", ""], ["a", ""]])
    assert.strictEqual(tooMany, 1)
  })
})

describe("a form", () => {
  it.live("of a million fields is refused after the first hundred", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (const field of ["a&", "a=1&", "%61=%62&", "text=&"]) {
        const body = Buffer.from(field.repeat(4 * 1024 * 1024))
        const before = process.cpuUsage()
        const answer = yield* send(url, `Content-Type: ${FORM}\r\nContent-Length: ${body.length}`, body)
        const { system, user } = process.cpuUsage(before)
        assert.include(answer, "HTTP/1.1 400 ", field)
        assert.include(answer, "more than 100 fields")
        // It once took minutes, since its time was quadratic in the fields.
        assert.isBelow((system + user) / 1e6, 10)
      }
    }))

  it.live("of nothing but separators is a form without fields", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const body = "&".repeat(1024 * 1024)
      assertRefused(
        yield* call(url, { method: "POST", body, headers: { "content-type": FORM } }),
        400,
        "INVALID_REQUEST"
      )
    }))

  it.live(
    "has its text stored unchanged, whatever its size and the position of its fields",
    () =>
      Effect.gen(function*() {
        const server = yield* start()
        const text = "päper & ink = 100%+\r\n".repeat(500_000)
        const settings = { title: "a title", maxDownloads: "2" }
        for (const fields of [{ text, ...settings }, { ...settings, text }]) {
          const encoded = yield* call(server.url, { method: "POST", body: new URLSearchParams(fields), headers: anna })
          assert.strictEqual(encoded.status, 200, encoded.text)
          assert.strictEqual(encoded.json["title"], "a title")
          assert.strictEqual(encoded.json["maxDownloads"], 2)
          assert.strictEqual(encoded.json["size"], Buffer.byteLength(text))
          assert.strictEqual((yield* call(`${server.url}/${encoded.json.key}`)).text, text)
          const multipart = yield* sendParts(
            server.url,
            Object.entries(fields).map(([name, value]) => [[`Content-Disposition: form-data; name="${name}"`], value])
          )
          assert.strictEqual(multipart.status, 200, multipart.text)
          assert.strictEqual(multipart.json["title"], "a title")
          assert.strictEqual((yield* call(`${server.url}/${multipart.json.key}`)).text, text)
        }
      })
  )

  it.live("with a file and a text is refused, whichever comes first, and nothing of it stays", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const text = [["Content-Disposition: form-data; name=\"text\""], "text ".repeat(100_000)] as const
      const file = [["Content-Disposition: form-data; name=\"file\"; filename=\"f.bin\""], pattern(100_000)] as const
      for (const parts of [[text, file], [file, text], [text, text, file]]) {
        assertRefused(yield* sendParts(server.url, parts), 400, "INVALID_REQUEST")
      }
      assert.strictEqual(blobs(server).length, 0)
      yield* eventually("nothing is left", () => incoming(server).length === 0)
    }))

  it.live("takes the first of two fields of one name", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const field = (name: string, value: string) =>
        [[`Content-Disposition: form-data; name="${name}"`], value] as const
      const { json } = yield* sendParts(url, [
        field("text", "first"),
        field("title", "one"),
        field("text", "second"),
        field("title", "two")
      ])
      assert.strictEqual(json["title"], "one")
      assert.strictEqual((yield* call(`${url}/${json.key}`)).text, "first")
    }))

  it.live("is refused where a setting is too long, and says which", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const title = "a".repeat(100_000)
      const encoded = yield* call(url, { method: "POST", body: new URLSearchParams({ title, text: "x" }) })
      assertRefused(encoded, 400, "INVALID_REQUEST")
      assert.match(String(encoded.json["message"]), /^title: /)
      const multipart = yield* sendParts(url, [[["Content-Disposition: form-data; name=\"title\""], title]])
      assertRefused(multipart, 400, "INVALID_REQUEST")
      assert.match(String(multipart.json["message"]), /^title: /)
    }))

  it.live("of many parts, or with a long boundary, is refused", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const parts = Buffer.from("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n".repeat(200_000))
      const many = yield* send(
        url,
        `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: ${parts.length}`,
        parts
      )
      assert.include(many, "more than 100 fields")
      const boundary = "-".repeat(8000)
      const long = yield* send(
        url,
        `Content-Type: multipart/form-data; boundary=${boundary}\r\nContent-Length: 10`,
        Buffer.alloc(10)
      )
      assert.include(long, "HTTP/1.1 400 ")
      assert.include(long, "the boundary is longer")
    }))

  it.live("that comes byte by byte is stored, and takes linear time", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const content = "\r\n--" + "-".repeat(200_000)
      const before = process.cpuUsage()
      const answers = [
        yield* send(server.url, `Content-Type: ${FORM}\r\nTransfer-Encoding: chunked`, byteByByte(`text=${content}`)),
        yield* send(
          server.url,
          "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked",
          byteByByte(`${fileHead}${content}\r\n--b--\r\n`)
        )
      ]
      const { system, user } = process.cpuUsage(before)
      for (const answer of answers) {
        assert.include(answer, "HTTP/1.1 200 ")
        const { key } = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n"))) as { readonly key: string }
        assert.strictEqual((yield* call(`${server.url}/${key}`)).text, content)
      }
      assert.isBelow((system + user) / 1e6, 10)
    }))
})

describe("a query", () => {
  it.effect("of more than a hundred parameters is refused", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (const path of ["/", "/me", "/abcdefghijkl"]) {
        const refused = yield* call(`${url}${path}?${"a&".repeat(101)}`, { headers: anna })
        assertRefused(refused, 400, "INVALID_REQUEST")
        assert.include(String(refused.json["message"]), "100 parameters")
      }
      assert.strictEqual((yield* call(`${url}/me?${"a&".repeat(50)}`, { headers: anna })).status, 200)
    }))
})
