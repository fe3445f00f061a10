/** Limits of a connection. No client keeps another from being served. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { promisify } from "node:util"
import { anna, call, eventually, incoming, LARGE, pattern, start, temporaryFolder, uploaded } from "./support.ts"

interface Client {
  readonly socket: Net.Socket
  /** All bytes received so far. */
  readonly received: () => Buffer
  readonly text: () => string
  readonly isClosed: () => boolean
}

/** A raw connection. It reads unless told otherwise, and ends with the scope. */
const open = (url: string, options: { readonly from?: string; readonly reads?: boolean } = {}) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      new Promise<Client>((resolve, reject) => {
        const chunks: Array<Buffer> = []
        let isClosed = false
        const socket = Net.connect({
          port: Number(new URL(url).port),
          host: "127.0.0.1",
          localAddress: options.from ?? "127.0.0.1"
        })
        const received = () => Buffer.concat(chunks)
        socket.on("error", reject)
        socket.on("close", () => isClosed = true)
        if (options.reads !== false) socket.on("data", (chunk: Buffer) => chunks.push(chunk))
        socket.on(
          "connect",
          () => resolve({ socket, received, text: () => received().toString("latin1"), isClosed: () => isClosed })
        )
      })
    ),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const get = (path: string, headers = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`

const post = (headers: string, body = "") => `POST / HTTP/1.1\r\nHost: x\r\n${headers}\r\n${body}`

const UPGRADE = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"

const chunked = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`

const multipart = "Content-Type: multipart/form-data; boundary=b\r\n"
const fileHead = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n"

const statusOf = (url: string, key: string) => fetch(`${url}/${key}`, { method: "HEAD" }).then(({ status }) => status)

/** Whether curl is installed and supports HTTP/2. */
const hasCurl = spawnSync("curl", ["--version"]).stdout?.toString().includes("HTTP2") === true
if (!hasCurl) console.warn("SKIPPED: an upload by curl that offers HTTP/2; there is no such curl")

describe("a request that offers an upgrade", () => {
  it.live("gets a normal response, which says that its connection ends", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAA\r\n"
      const form = "Content-Type: application/x-www-form-urlencoded\r\n"
      for (const upgrade of [UPGRADE, websocket]) {
        for (
          const request of [
            get("/openapi.json", upgrade),
            post(`${upgrade}${multipart}Transfer-Encoding: chunked\r\n`, chunked(`${fileHead}hi\r\n--b--\r\n`)),
            post(`${upgrade}${form}Content-Length: 6\r\n`, "text=b")
          ]
        ) {
          const client = yield* open(url)
          // A request behind it gets no response, and the client knows that it will not.
          client.socket.write(request + get("/me"))
          yield* eventually("it is closed", client.isClosed)
          assert.match(client.text(), /^HTTP\/1\.1 200 [\s\S]*\r\nConnection: close\r\n/i)
          assert.notInclude(client.text().slice(1), "HTTP/1.1")
        }
      }
    }))

  it.live("may wait for 100 Continue", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const client = yield* open(url)
      client.socket.write(
        post(
          `${UPGRADE}Expect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n`
        )
      )
      yield* eventually("it has leave", () => client.text().startsWith("HTTP/1.1 100 Continue"))
      client.socket.write("text=b")
      yield* eventually("it is answered", () => client.text().includes("HTTP/1.1 200 OK"))
    }))

  it.live.skipIf(!hasCurl)("by curl uploads", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const content = pattern(3_000_000)
      const file = Path.join(yield* temporaryFolder, "a.bin")
      Fs.writeFileSync(file, content)
      for (const chunks of [[], ["-H", "Transfer-Encoding: chunked"]]) {
        const args = ["-sS", "--http2", ...chunks, "-F", `file=@${file}`, url]
        const { stdout } = yield* Effect.promise(() => promisify(execFile)("curl", args))
        const { link } = JSON.parse(stdout) as { readonly link: string }
        const got = yield* Effect.promise(() => fetch(link).then((response) => response.arrayBuffer()))
        assert.isTrue(Buffer.from(got).equals(content))
      }
    }))

  it.live("has the limits of time of any other", () =>
    Effect.gen(function*() {
      const server = yield* start({ minimumRate: 10_000, minimumRatePatience: "400 millis", grace: "100 millis" })
      const { key } = yield* uploaded(server.url, pattern(LARGE), { headers: anna })
      const reader = yield* open(server.url, { reads: false })
      reader.socket.write(get(`/${key}`, UPGRADE))
      // A slow machine may look only when it is over.
      const attempts = () =>
        Effect.runPromise(call(server.url, { headers: anna })).then(({ json }) => json.nodes[0]!["attempts"])
      yield* eventually("it is taken", async () => (await attempts()) === 1)
      yield* eventually("it is free again", async () => (await statusOf(server.url, key)) === 200)

      const sender = yield* open(server.url)
      sender.socket.write(post(`${UPGRADE}${multipart}Transfer-Encoding: chunked\r\n`, `100\r\n${fileHead}`))
      yield* eventually("it is refused", () => sender.text().startsWith("HTTP/1.1 408 "))
      yield* eventually("nothing is left", () => incoming(server).length === 0)
    }))
})

describe("CONNECT", () => {
  it.live("is refused with an envelope, after the pending responses", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ drainTimeout: "300 millis" })
      const connect = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"
      const alone = yield* open(url)
      alone.socket.write(connect)
      const behind = yield* open(url)
      behind.socket.write(get("/openapi.json") + connect)
      for (const client of [alone, behind]) yield* eventually("it is closed", client.isClosed)
      assert.match(alone.text(), /^HTTP\/1\.1 405 /)
      assert.include(alone.text(), "\"code\":\"METHOD_NOT_ALLOWED\"")
      assert.match(behind.text(), /^HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 405 /)
    }))
})

describe("an early response", () => {
  it.live("is followed by a limited time in which the rest is discarded", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ drainTimeout: "2 seconds" })
      const client = yield* open(url)
      client.socket.write(post("Authorization: Bearer unknown\r\nTransfer-Encoding: chunked\r\n", "5;"))
      yield* eventually("it is answered", () => client.text().startsWith("HTTP/1.1 401 "))
      assert.isFalse(client.isClosed())
      const drip = setInterval(() => client.socket.write("a"), 50)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(drip)))
      client.socket.on("error", () => {})
      yield* eventually("it is closed", client.isClosed)
    }))

  it.live("leaves the connection open where the rest comes", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const client = yield* open(url)
      client.socket.write(post("Authorization: Bearer unknown\r\nContent-Length: 100000\r\n", "x"))
      yield* eventually("it is answered", () => client.text().startsWith("HTTP/1.1 401 "))
      client.socket.write(Buffer.alloc(99_999))
      client.socket.write(get("/openapi.json"))
      yield* eventually("so is the next one", () => client.text().includes("HTTP/1.1 200 "))
      // A part of this body is read before it is refused.
      const form = post("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 250000\r\n")
      client.socket.write(form + "a&".repeat(125_000) + get("/me"))
      yield* eventually("so is the one after it", () => /HTTP\/1\.1 400 [\s\S]*HTTP\/1\.1 401 /.test(client.text()))
    }))

  it.live("is read by a client that sends all of a large body first", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ drainTimeout: "60 seconds" })
      const client = yield* open(url, { reads: false })
      const length = 8_000_000
      const form = post(`Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${length}\r\n`)
      yield* Effect.promise(() =>
        new Promise((resolve) => client.socket.write(form + "a&".repeat(length / 2), resolve))
      )
      let answer = ""
      client.socket.on("data", (chunk) => answer += String(chunk))
      yield* eventually("it is read", () => answer.includes("more than 100 fields"))
    }))

  it.live("reaches a client that sends on and only then reads", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ plans: { premium: { maxUploadBytes: 1000, rateLimit: null } } })
      const client = yield* open(url, { reads: false })
      client.socket.on("error", () => {})
      client.socket.write(post(`${multipart}Content-Length: 8000000\r\n`, fileHead))
      // Longer than half a second, after which Effect's adapter would close.
      for (let i = 0; i < 15; i++) {
        client.socket.write(Buffer.alloc(100_000))
        yield* Effect.sleep("100 millis")
      }
      let answer = ""
      client.socket.on("data", (chunk) => answer += String(chunk))
      yield* eventually("it is read", () => answer.includes("PAYLOAD_TOO_LARGE"))
      assert.match(answer, /^HTTP\/1\.1 413 /)
      assert.match(answer, /\r\nConnection: close\r\n/i)
    }))

  it.live("is not followed by more bytes than are allowed", () =>
    Effect.gen(function*() {
      const { url } = yield* start({
        plans: { premium: { maxUploadBytes: 1000, rateLimit: null } },
        drainTimeout: "30 seconds",
        maxDrainBytes: 1_000_000,
        // The shortest time limit sets the interval of the checks.
        minimumRatePatience: "1 second"
      })
      const client = yield* open(url)
      client.socket.on("error", () => {})
      client.socket.write(post(`${multipart}Content-Length: 8000000000\r\n`, fileHead))
      yield* eventually("it is answered", () => client.text().startsWith("HTTP/1.1 413 "))
      const more = Buffer.alloc(100_000)
      const flood = setInterval(() => client.socket.write(more), 20)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(flood)))
      yield* eventually("it is closed", client.isClosed)
    }))
})

describe("one address", () => {
  it.live("has a limit of connections; others and trusted proxies are served", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ maxConnections: 10, maxConnectionsPerAddress: 3, trustedProxies: ["127.0.0.9"] })
      const held = [yield* open(url), yield* open(url), yield* open(url)]
      // More than the limit: refused connections take no permit.
      for (let i = 0; i < 30; i++) {
        const over = yield* open(url)
        over.socket.write(get("/openapi.json"))
        yield* eventually("it is refused", () => over.text().includes("TOO_MANY_CONNECTIONS"))
        assert.match(over.text(), /^HTTP\/1\.1 429 [\s\S]*retry-after: 5/)
      }
      const ask = Effect.fnUntraced(function*(from: string) {
        const client = yield* open(url, { from })
        client.socket.write(get("/openapi.json"))
        yield* eventually(`${from} is answered`, () => client.text().startsWith("HTTP/1.1 200 "))
      })
      yield* ask("127.0.0.2")
      for (let i = 0; i < 5; i++) yield* ask("127.0.0.9")
      held[0]!.socket.destroy()
      yield* eventually("there is room", async () => {
        const response = await fetch(`${url}/openapi.json`, { headers: { connection: "close" } })
        await response.arrayBuffer()
        return response.status === 200
      })
    }))
})

describe("pipelined requests", () => {
  it.live("are handled in order, and none claims before its turn", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const content = pattern(LARGE)
      const { key: first } = yield* uploaded(url, content)
      const { key: second } = yield* uploaded(url, content)
      const client = yield* open(url, { reads: false })
      client.socket.write(get(`/${first}`) + get(`/${second}`) + get("/openapi.json"))
      yield* eventually("the first is taken", async () => (await statusOf(url, first)) === 423)
      assert.strictEqual(yield* Effect.promise(() => statusOf(url, second)), 200)
      const chunks: Array<Buffer> = []
      client.socket.on("data", (chunk: Buffer) => chunks.push(chunk))
      yield* eventually("all are answered", () => Buffer.concat(chunks.slice(-3)).includes("\"openapi\""))
      const all = Buffer.concat(chunks)
      const bodyAt = all.indexOf("\r\n\r\n") + 4
      assert.isTrue(all.subarray(bodyAt, bodyAt + LARGE).equals(content))
      const nextAt = all.indexOf("\r\n\r\n", bodyAt + LARGE) + 4
      assert.isTrue(all.subarray(nextAt, nextAt + LARGE).equals(content))
      assert.match(String(all.subarray(nextAt + LARGE)), /^HTTP\/1\.1 200 [\s\S]*"openapi"/)
    }))

  /** Turns of the event loop until all of these requests, which are sent at once, have responses. */
  const turnsFor = (url: string, requests: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const client = yield* open(url)
      let turns = 0
      let timer = setImmediate(function count() {
        turns++
        timer = setImmediate(count)
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => clearImmediate(timer)))
      const answers = () => Array.from(client.text().matchAll(/HTTP\/1\.1 ([2-5]\d\d)/g), ([, status]) => status)
      const last = new Promise<number>((resolve, reject) => {
        client.socket.on("data", () => {
          if (answers().length === requests.length) resolve(turns)
        })
        client.socket.on("close", () => reject(new Error(`closed after ${answers().length} responses`)))
      })
      const before = turns
      client.socket.write(requests.join(""))
      const taken = (yield* Effect.promise(() => last)) - before
      return { taken, statuses: [...new Set(answers())] }
    })

  const COUNT = 60

  it.live.each(
    [
      ["of no such path", get("/no/such/path"), "404"],
      ["of a page", get("/developers"), "200"],
      ["for options", "OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", "204"],
      [
        "with an upload each that is refused",
        post(`${multipart}Transfer-Encoding: chunked\r\n`, chunked("--b--\r\n")),
        "400"
      ]
    ] as const
  )(
    "%s are handled one in each turn of the event loop, so that other connections get theirs",
    ([, request, status]) =>
      Effect.gen(function*() {
        const { url } = yield* start()
        const { statuses, taken } = yield* turnsFor(url, Array.from({ length: COUNT }, () => request))
        assert.deepStrictEqual(statuses, [status])
        assert.isAtLeast(taken, COUNT / 2)
      })
  )

  it.live("with bodies are handled in order too", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const client = yield* open(url)
      const length = 30
      for (let i = 0; i < length; i++) {
        const body = `text=${"x".repeat(i + 1)}`
        client.socket.write(
          post(`Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n`, body)
        )
      }
      const sizes = () => Array.from(client.text().matchAll(/"size":(\d+)/g), ([, size]) => Number(size))
      yield* eventually("all are answered", () => sizes().length === length)
      assert.deepStrictEqual(sizes(), Array.from({ length }, (_, i) => i + 1))
    }))

  it.live("beyond a limit are not held", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const { key } = yield* uploaded(url, pattern(LARGE))
      const client = yield* open(url, { reads: false })
      client.socket.on("error", () => {})
      client.socket.write(get(`/${key}`) + get("/openapi.json").repeat(1000))
      client.socket.resume()
      yield* eventually("it is closed", client.isClosed)
    }))

  it.live("that are no HTTP do not spoil earlier responses", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ drainTimeout: "2 seconds", headersTimeout: "2 seconds" })
      const content = pattern(LARGE)
      for (const garbage of ["\0\0 garbage\r\n\r\n", "GET /me HTTP/1.1\r\nHost: x\r\nX-Unfinished: "]) {
        const { key } = yield* uploaded(url, content)
        const client = yield* open(url, { reads: false })
        client.socket.write(get(`/${key}`) + garbage)
        yield* eventually("it is taken", async () => (await statusOf(url, key)) === 423)
        // The headers' time is over before the response is.
        yield* Effect.sleep("2500 millis")
        const chunks: Array<Buffer> = []
        client.socket.on("data", (chunk: Buffer) => chunks.push(chunk))
        yield* eventually("it is closed", client.isClosed)
        const all = Buffer.concat(chunks)
        const bodyAt = all.indexOf("\r\n\r\n") + 4
        assert.isTrue(all.subarray(bodyAt, bodyAt + LARGE).equals(content))
        assert.match(String(all.subarray(bodyAt + LARGE)), /^HTTP\/1\.1 40[08] /)
      }
    }))
})

describe("a connection has a time limit", () => {
  it.live("when it sends empty lines in place of requests", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ idleTimeout: "400 millis", headersTimeout: "400 millis" })
      for (const first of ["", get("/openapi.json")]) {
        const client = yield* open(url)
        client.socket.on("error", () => {})
        client.socket.write(first)
        const drip = setInterval(() => client.socket.write("\r\n"), 50)
        yield* eventually("it is closed", client.isClosed)
        clearInterval(drip)
      }
    }))

  it.live("when it sends or takes a little now and then", () =>
    Effect.gen(function*() {
      const server = yield* start({ minimumRate: 10_000, minimumRatePatience: "1 second", grace: "100 millis" })
      const sender = yield* open(server.url)
      sender.socket.on("error", () => {})
      sender.socket.write(post(`${multipart}Content-Length: 100000000\r\n`, fileHead))
      // Enough for one check, and a third of the required average.
      const bursts = setInterval(() => sender.socket.write(Buffer.alloc(4000)), 1200)
      yield* eventually("it is refused", () => sender.text().startsWith("HTTP/1.1 408 "))
      clearInterval(bursts)
      assert.include(sender.text(), "too slowly")
      yield* eventually("nothing is left", () => incoming(server).length === 0)
    }))
})

describe("a request", () => {
  it.live("with more than a hundred header fields is refused, and loses none in silence", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const fields = (count: number) => Array.from({ length: count }, (_, i) => `X-${i}: y\r\n`).join("")
      const client = yield* open(url)
      client.socket.write(get("/openapi.json", fields(99)))
      yield* eventually("it is answered", () => client.text().startsWith("HTTP/1.1 200 "))
      client.socket.write(get("/openapi.json", fields(100)))
      yield* eventually("it is refused", () => client.text().includes("HTTP/1.1 431 "))
      assert.strictEqual((yield* call(`${url}/openapi.json`)).status, 200)
    }))
})
