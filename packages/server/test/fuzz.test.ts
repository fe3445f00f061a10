import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as FileIoServer from "../src/FileIoServer.ts"
import { accounts, ANNA, blobs, call, eventually, plans, temporaryFolder, uploaded } from "./support.ts"

const started = Effect.gen(function*() {
  const folder = yield* temporaryFolder
  const context = yield* Layer.build(FileIoServer.layer({
    dataDirectory: folder,
    accounts,
    plans: { ...plans, premium: { rateLimit: null, maxUploadBytes: 200_000, maxStorageBytes: 1024 ** 4 } },
    anonymousPlan: "premium",
    admin: {},
    idleTimeout: "3 seconds",
    headersTimeout: "2 seconds"
  }))
  const { adminUrl, url } = yield* FileIoServer.FileIoServer.pipe(Effect.provide(context))
  return { folder, url, adminUrl: adminUrl! }
})

/** Sends bytes and returns everything that comes back; the sending side ends only if the server waits for more. */
const talk = (url: string, bytes: Buffer): Promise<string> =>
  new Promise((resolve) => {
    const chunks: Array<Buffer> = []
    const socket = Net.connect(Number(new URL(url).port), "127.0.0.1")
    let timer = setTimeout(() => socket.end(), 400)
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk)
      clearTimeout(timer)
      timer = setTimeout(() => socket.end(), 200)
    })
    socket.on("error", () => {})
    socket.on("close", () => {
      clearTimeout(timer)
      resolve(Buffer.concat(chunks).toString("latin1"))
    })
    socket.write(bytes)
  })

/**
 * Whatever was sent, the result is nothing, or complete HTTP responses without a 500, and every error is the contract's
 * envelope.
 */
const check = (answer: string): void => {
  let rest = answer
  while (rest !== "") {
    const head = /^HTTP\/1\.1 (\d{3}) [\w' -]+\r\n([\s\S]*?)\r\n\r\n/.exec(rest)
    assert.isNotNull(head, JSON.stringify(rest.slice(0, 200)))
    const status = Number(head![1])
    rest = rest.slice(head![0].length)
    if (status === 100) continue
    assert.isBelow(status, 500, answer.slice(0, 500))
    const length = Number(/content-length: (\d+)/i.exec(head![2]!)?.[1] ?? "0")
    const body = rest.slice(0, length)
    rest = rest.slice(length)
    // A page is for people.
    if (status < 400 || body === "" || /content-type: text\/html/i.test(head![2]!)) continue
    const envelope = JSON.parse(Buffer.from(body, "latin1").toString()) as Record<string, unknown>
    assert.strictEqual(envelope["success"], false)
    assert.strictEqual(envelope["status"], status)
    assert.isString(envelope["code"])
    assert.isString(envelope["message"])
  }
}

type Random = (below: number) => number
type Gen<A> = (random: Random) => A
type Generated<G> = G extends Gen<infer A> ? A : never

const constantFrom = <A>(...values: ReadonlyArray<A>): Gen<A> => (random) => values[random(values.length)]!
const oneof = <A>(...choices: ReadonlyArray<Gen<A>>): Gen<A> => (random) => choices[random(choices.length)]!(random)
const map = <A, B>(gen: Gen<A>, f: (value: A) => B): Gen<B> => (random) => f(gen(random))
const array = <A>(gen: Gen<A>, max: number): Gen<Array<A>> => (random) =>
  Array.from({ length: random(max + 1) }, () => gen(random))
const pair = <A, B>(a: Gen<A>, b: Gen<B>): Gen<readonly [A, B]> => (random) => [a(random), b(random)]
const integer = (min: number, max: number): Gen<number> => (random) => min + random(max - min + 1)
const text = (max: number, codes: number): Gen<string> => (random) =>
  Array.from({ length: random(max + 1) }, () => String.fromCodePoint(random(codes))).join("")
const bytes = (max: number): Gen<Buffer> => (random) =>
  Buffer.from(Array.from({ length: random(max) }, () => random(256)))

const record = <A extends object>(gens: { readonly [K in keyof A]: Gen<A[K]> }): Gen<A> => (random) =>
  Object.fromEntries(Object.entries<Gen<unknown>>(gens).map(([name, gen]) => [name, gen(random)])) as A

/** Each case has a number, and the same number gives the same case. */
const runs = <A>(cases: number, gen: Gen<A>, holds: (value: A) => Promise<void>) =>
  Effect.promise(async () => {
    const one = async (number: number) => {
      let state = number * 2654435761 >>> 0
      const random: Random = (below) => {
        state ^= state << 13
        state ^= state >>> 17
        state ^= state << 5
        return (state >>> 0) % below
      }
      for (let i = 0; i < 8; i++) random(2)
      const value = gen(random)
      try {
        await holds(value)
      } catch (cause) {
        throw new Error(`case ${number}: ${JSON.stringify(value).slice(0, 2000)}`, { cause })
      }
    }
    let next = 0
    const worker = async () => {
      while (++next <= cases) await one(next)
    }
    await Promise.all(Array.from({ length: 24 }, worker))
  })

/** Bytes with a meaning for a parser, and some without. */
const piece = oneof<Buffer>(
  map(
    constantFrom(
      "\r\n",
      "\n",
      "\r",
      "--b",
      "--b--",
      "--",
      "\r\n--b\r\n",
      "\r\n--b--\r\n",
      "\r\n\r\n",
      "Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n",
      "Content-Disposition: form-data; name=\"expires\"\r\n\r\n",
      "Content-Disposition: form-data; name=\"\"; filename=\"\"\r\n\r\n",
      "Content-Disposition: form-data; filename*=UTF-8''%E0%A4%A\r\n",
      "Content-Disposition: attachment\r\n\r\n",
      "Content-Disposition:\r\n",
      "Content-Type: multipart/mixed; boundary=c\r\n",
      "Content-Type: application/json\r\n\r\n",
      "Content-Transfer-Encoding: base64\r\n",
      "1d",
      "\0"
    ),
    (text) => Buffer.from(text)
  ),
  map(text(40, 0xd000), (text) => Buffer.from(text)),
  bytes(60),
  map(integer(1, 70_000), (size) => Buffer.alloc(size, "x"))
)

const body = map(array(piece, 14), (pieces) => Buffer.concat(pieces))

const token = map(
  text(30, 95),
  (text) => Array.from(text, (c) => String.fromCharCode(32 + c.charCodeAt(0))).join("") || "x"
)

describe("random input", () => {
  it.live(
    "as a multipart body gets a response of the contract, and leaves only complete files",
    () =>
      Effect.gen(function*() {
        const server = yield* started
        const gen = record({
          begin: constantFrom(
            "",
            "--b\r\n",
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n"
          ),
          body,
          end: constantFrom("", "\r\n--b--\r\n", "--b--"),
          method: constantFrom("POST", "POST", "PUT", "PATCH"),
          boundary: constantFrom("b", "b", "b", "\"b\"", "", "b; boundary=c", "x".repeat(300)),
          length: constantFrom("exact" as const, "exact", "chunked", "more", "less", "absurd")
        })
        const holds = async ({ begin, body, boundary, end, length, method }: Generated<typeof gen>) => {
          const content = Buffer.concat([Buffer.from(begin), body, Buffer.from(end)])
          const path = method === "POST" ? "/" : "/abcdefghijkl"
          const framing = length === "chunked"
            ? "Transfer-Encoding: chunked"
            : `Content-Length: ${
              {
                exact: content.length,
                more: content.length + 10,
                less: Math.max(0, content.length - 10),
                absurd: 1e18
              }[length]
            }`
          const head =
            `${method} ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ANNA}\r\nConnection: close\r\n` +
            `Content-Type: multipart/form-data; boundary=${boundary}\r\n${framing}\r\n\r\n`
          const sent = length === "chunked"
            ? Buffer.concat([
              Buffer.from(`${content.length.toString(16)}\r\n`),
              content,
              Buffer.from(content.length === 0 ? "\r\n" : "\r\n0\r\n\r\n")
            ])
            : content
          check(await talk(server.url, Buffer.concat([Buffer.from(head), sent])))
        }
        yield* runs(1000, gen, holds)
        yield* eventually("nothing is left", () => Fs.readdirSync(Path.join(server.folder, "incoming")).length === 0)
        // Anything that was accepted as a file is one, with its bytes.
        const health = yield* call(`${server.adminUrl}/healthz`)
        assert.strictEqual(health.json["status"], "ok", health.text)
        const { files } = health.json["catalog"] as { files: number }
        assert.strictEqual(blobs(server).length, files)
        const { key } = yield* uploaded(server.url, "alive")
        assert.strictEqual((yield* call(`${server.url}/${key}`)).text, "alive")
      })
  )

  it.live("as headers, methods and paths gets a response of the contract", () =>
    Effect.gen(function*() {
      const server = yield* started
      const { key } = yield* uploaded(server.url, "precious")
      const name = constantFrom(
        "Range",
        "If-Range",
        "Authorization",
        "Delete-Token",
        "Accept",
        "Content-Type",
        "Content-Length",
        "Transfer-Encoding",
        "Expect",
        "Connection",
        "Host",
        "Upgrade",
        "X-Forwarded-For",
        "User-Agent",
        "Origin",
        "Access-Control-Request-Method",
        "Sec-Purpose"
      )
      const value = oneof(
        token,
        constantFrom(
          "bytes=0-",
          "bytes=-1",
          "bytes=999999999999999999999-",
          "bytes=5-1",
          "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
          "Basic !!!!",
          "Basic Og==",
          "Bearer",
          "Bearer  ",
          "100-continue",
          "200-maybe",
          "chunked, gzip",
          "close",
          "websocket",
          "multipart/form-data",
          "multipart/form-data; boundary=",
          "application/x-www-form-urlencoded",
          "-1",
          "0",
          "1e3",
          "text/html",
          "\u0000",
          "é",
          "y".repeat(9000)
        )
      )
      const target = oneof(
        constantFrom(
          "/",
          "/me",
          "//",
          "/*",
          "*",
          "/%",
          "/%zz",
          "/..",
          "/../../etc/passwd",
          "/%2e%2e/",
          "/a/b",
          "/download/"
        ),
        map(token, (text) => `/${text}`),
        map(token, (text) => `/download/${text}`),
        map(token, (text) => `/status/${text}`),
        constantFrom(`/status/${key}`, `/header/${key}`),
        map(token, (text) => `http://${text}/`),
        token
      )
      const gen = record({
        // A HEAD response has no body whose length could be checked, and a CONNECT response is no HTTP.
        method: constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "FOO", "get"),
        target,
        version: constantFrom("HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", ""),
        headers: array(pair(name, value), 6)
      })
      const holds = async ({ headers, method, target, version }: Generated<typeof gen>) => {
        const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")
        check(await talk(server.url, Buffer.from(`${method} ${target} ${version}\r\nHost: x\r\n${lines}\r\n`)))
      }
      yield* runs(1500, gen, holds)
      assert.strictEqual((yield* call(`${server.url}/${key}`)).text, "precious")
      assert.strictEqual((yield* call(`${server.adminUrl}/healthz`)).json["status"], "ok")
    }))

  it.live("as a query or a form gets a response of the contract", () =>
    Effect.gen(function*() {
      const server = yield* started
      const name = constantFrom(
        "search",
        "sort",
        "offset",
        "limit",
        "expires",
        "maxDownloads",
        "autoDelete",
        "title",
        "text",
        "x"
      )
      const value = oneof(
        token,
        map(text(30, 0x10000), (text) => encodeURIComponent(text.toWellFormed())),
        constantFrom(
          "",
          "%",
          "%zz",
          "%00",
          "%ff",
          "-1",
          "1e9",
          "999999999999999999",
          "NaN",
          "Infinity",
          "created",
          "-name",
          "' OR 1=1 --",
          "%25%5F",
          "10m",
          "99999999999y",
          "2024-02-30",
          "0x10",
          "true",
          "\u0000",
          "a".repeat(5000)
        )
      )
      const query = map(array(pair(name, value), 5), (pairs) => pairs.map((pair) => pair.join("=")).join("&"))
      const gen = record({ query, form: query, method: constantFrom("GET", "POST") })
      const holds = async ({ form, method, query }: Generated<typeof gen>) => {
        const content = method === "POST" ? Buffer.from(form) : Buffer.alloc(0)
        const head =
          `${method} /?${query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ANNA}\r\nConnection: close\r\n` +
          (method === "POST" ? "Content-Type: application/x-www-form-urlencoded\r\n" : "") +
          `Content-Length: ${content.length}\r\n\r\n`
        check(await talk(server.url, Buffer.concat([Buffer.from(head), content])))
      }
      yield* runs(1500, gen, holds)
      assert.strictEqual((yield* call(`${server.adminUrl}/healthz`)).json["status"], "ok")
    }))
})
