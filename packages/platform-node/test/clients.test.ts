/** Connections of `NodeHttp`'s clients: which are used, how many, how they are opened, and their cost. */
import { FileBody, FileIo, RateLimit, RetryPolicy } from "@effect-fileio/client"
import { FileIoTest } from "@effect-fileio/client/testing"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted, Stream } from "effect"
import { createHash } from "node:crypto"
import Dns from "node:dns"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { Connector } from "../src/internal/connect.ts"
import { fixture, freePort, listening, portOf } from "./network.ts"

const apiKey = Redacted.make("TESTKEY.0000001-0000002-0000003-0000004")
const ACCOUNT = { success: true, status: 200, planId: 1, rateLimit: 1000 }
const file = (size: number) => ({
  success: true,
  status: 200,
  key: "abcdefABCDEF",
  link: "http://h/k",
  name: "a",
  size
})

/** A host that keeps connections, and counts them. */
const host = (options: { readonly delay?: number; readonly closesAfter?: number } = {}) =>
  Effect.gen(function*() {
    const state = { open: 0, most: 0, connections: 0, requests: 0 }
    const server = yield* listening(Http.createServer((request, response) => {
      state.requests++
      let size = 0
      request.on("data", (chunk: Buffer) => (size += chunk.length))
      request.on("end", () =>
        setTimeout(() => {
          response.setHeader("content-type", "application/json")
          // Without a header that says how long the connection is kept.
          response.setHeader("connection", "keep-alive")
          response.end(JSON.stringify(request.method === "POST" ? file(5) : ACCOUNT))
        }, options.delay ?? 0))
    }))
    server.keepAliveTimeout = options.closesAfter ?? 10_000
    server.on("connection", (socket) => {
      state.connections++
      state.most = Math.max(state.most, ++state.open)
      socket.on("close", () => state.open--)
    })
    return { state, baseUrl: `http://127.0.0.1:${portOf(server)}` }
  })

const upload = FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.text("hello", { name: "a" })))
const me = FileIo.FileIo.use((fileIo) => fileIo.me)

const busy = (millis: number) => {
  const until = performance.now() + millis
  while (performance.now() < until);
}

describe.each(["undici", "sockets"] as const)("connections over %s", (client) => {
  const provide = (options: NodeFileIo.Options) => <A, E>(effect: Effect.Effect<A, E, FileIo.FileIo>) => {
    const all = { apiKey, checkLimits: false, ...options }
    return effect.pipe(
      Effect.provide(client === "undici" ? NodeFileIo.layer({ proxy: false, ...all }) : NodeFileIo.layerSockets(all)),
      FileIo.withRetry(RetryPolicy.none),
      Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited)
    )
  }

  it.live("that have been idle are only for requests that may be repeated", () =>
    Effect.gen(function*() {
      const { baseUrl, state } = yield* host()
      yield* Effect.gen(function*() {
        for (let n = 0; n < 3; n++) {
          yield* me
          yield* Effect.sleep(60)
        }
        assert.strictEqual(state.connections, 1)
        for (let n = 0; n < 3; n++) {
          yield* upload
          yield* Effect.sleep(60)
        }
        assert.strictEqual(state.connections, 4)
      }).pipe(provide({ baseUrl }))
    }).pipe(Effect.scoped))

  it.live("that a host closes while the program was busy are not used for an upload", () =>
    Effect.gen(function*() {
      const { baseUrl, state } = yield* host({ closesAfter: 50 })
      yield* Effect.gen(function*() {
        for (let n = 0; n < 4; n++) {
          yield* upload
          // The host is in this process too: it closes in the same turn in which the upload is sent.
          yield* Effect.sync(() => busy(120))
        }
      }).pipe(provide({ baseUrl }))
      assert.strictEqual(state.requests, 4)
    }).pipe(Effect.scoped))

  it.live("are at most as many as the option says, and waiting for one is no time-out", () =>
    Effect.gen(function*() {
      const { baseUrl, state } = yield* host({ delay: 500 })
      yield* Effect.all(Array.from({ length: 12 }, (_, n) => n % 2 === 0 ? upload : me), { concurrency: "unbounded" })
        .pipe(
          provide({ baseUrl, connections: 2, firstByteTimeout: "2500 millis", idleTimeout: "2500 millis" })
        )
      assert.strictEqual(state.most, 2)
      assert.strictEqual(state.requests, 12)
    }).pipe(Effect.scoped))

  it.live("make room for an upload where the only one has been idle", () =>
    Effect.gen(function*() {
      const { baseUrl, state } = yield* host()
      yield* Effect.gen(function*() {
        yield* me
        yield* Effect.sleep(60)
        yield* upload
        yield* me
      }).pipe(provide({ baseUrl, connections: 1 }))
      assert.strictEqual(state.connections, 2)
    }).pipe(Effect.scoped))

  it.live("are not waited for by a call that was interrupted", () =>
    Effect.gen(function*() {
      const { baseUrl, state } = yield* host({ delay: 100 })
      yield* Effect.gen(function*() {
        const first = yield* Effect.forkChild(upload, { startImmediately: true })
        const second = yield* Effect.forkChild(upload, { startImmediately: true })
        yield* Effect.sleep(20)
        yield* Fiber.interrupt(second)
        yield* Fiber.join(first)
        yield* me
      }).pipe(provide({ baseUrl, connections: 1 }))
      assert.strictEqual(state.requests, 2)
    }).pipe(Effect.scoped))

  it.live("close with the layer, and calls that wait for one fail unsent", () =>
    Effect.gen(function*() {
      const { baseUrl, state } = yield* host()
      yield* Effect.all([me, me, me], { concurrency: "unbounded" }).pipe(provide({ baseUrl }))
      while (state.open > 0) yield* Effect.sleep(10)
      const error = yield* Effect.flip(provide({ baseUrl, connections: 0 })(me))
      assert.match(error.message, /invalid connections: allowed: a whole number from 1/)
    }).pipe(Effect.scoped))

  it.live("may take longer than the first byte may, since nothing was sent before", () =>
    Effect.gen(function*() {
      const server = yield* listening(Net.createServer((socket) => {
        socket.on("error", () => {})
        socket.pause()
        // TLS starts late.
        setTimeout(() => {
          new Tls.TLSSocket(socket, {
            isServer: true,
            secureContext: Tls.createSecureContext({
              key: readFileSync(fixture("host.key")),
              cert: readFileSync(fixture("host.crt"))
            })
          }).on("error", () => {}).once("data", function(this: Tls.TLSSocket) {
            const body = JSON.stringify(ACCOUNT)
            this.end(
              `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
            )
          })
          socket.resume()
        }, 2500)
      }))
      const account = yield* me.pipe(
        provide({
          baseUrl: `https://localhost:${portOf(server)}`,
          tls: { ca: fixture("ca.crt") },
          firstByteTimeout: "2 seconds"
        })
      )
      assert.strictEqual(account.rateLimit, 1000)
    }).pipe(Effect.scoped))

  it.live("go to the address of a host that answers, in whichever order it has them", () =>
    Effect.gen(function*() {
      const { baseUrl } = yield* host()
      const { port } = new URL(baseUrl)
      const real = Dns.lookup
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const addresses: Record<string, ReadonlyArray<Dns.LookupAddress>> = {
            "first.test": [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }],
            "last.test": [{ address: "::1", family: 6 }, { address: "127.0.0.3", family: 4 }, {
              address: "127.0.0.1",
              family: 4
            }],
            "none.test": [{ address: "::1", family: 6 }, { address: "127.0.0.3", family: 4 }]
          }
          Object.assign(Dns, {
            lookup: (name: string, options: Dns.LookupAllOptions, callback: (error: null, found: unknown) => void) =>
              name in addresses ? setImmediate(callback, null, addresses[name]) : real(name, options, callback as never)
          })
        }),
        () => Effect.sync(() => Object.assign(Dns, { lookup: real }))
      )
      for (const name of ["first.test", "last.test"]) {
        yield* me.pipe(provide({ baseUrl: `http://${name}:${port}`, allowInsecureKey: true }))
      }
      const error = yield* Effect.flip(
        upload.pipe(provide({ baseUrl: `http://none.test:${port}`, allowInsecureKey: true }))
      )
      assert.deepInclude(error, { stored: "no" })
      assert.match(error.message, /\((?:ECONNREFUSED|EADDRNOTAVAIL|ENETUNREACH)\)/)
    }).pipe(Effect.scoped))
})

describe.each(["undici", "sockets"] as const)("memory that is used again, over %s", (client) => {
  /** Chunks of every size in one buffer, which is overwritten as soon as the next chunk is requested. */
  const SIZES = [1, 100, 65_535, 65_536, 65_537, 16_384, 3 << 20, 70_000, 5, 1 << 20, 64, 64, 64]
  const size = SIZES.reduce((sum, each) => sum + each, 0)
  const memory = new Uint8Array(3 << 20)
  const fill = (n: number) => memory.subarray(0, SIZES[n]!).fill(n + 1)
  const body: FileBody.FileBody = {
    ...FileBody.stream(() => Stream.empty, { name: "a", size }),
    open: (buffers) =>
      Stream.fromIterable(SIZES.keys()).pipe(
        Stream.rechunk(1),
        Stream.map((n) => buffers === "reused" ? fill(n) : fill(n).slice())
      )
  }
  const expected = createHash("sha256")
  SIZES.forEach((_, n) => expected.update(fill(n)))
  const digest = expected.digest("hex")

  it.live.each([false, true])(
    "a host gets each byte as it was, also where it reads slowly (TLS: %s)",
    (isSecure) =>
      Effect.gen(function*() {
        let found = ""
        const listener: Http.RequestListener = (request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => {
            chunks.push(chunk)
            request.pause()
            setTimeout(() => request.resume(), 2)
          })
          request.on("end", () => {
            const form = Buffer.concat(chunks)
            const from = form.indexOf("\r\n\r\n") + 4
            found = createHash("sha256").update(form.subarray(from, from + size)).digest("hex")
            response.setHeader("content-type", "application/json")
            response.end(JSON.stringify(file(size)))
          })
        }
        const server = yield* listening(
          isSecure
            ? Https.createServer(
              { key: readFileSync(fixture("host.key")), cert: readFileSync(fixture("host.crt")) },
              listener
            )
            : Http.createServer(listener)
        )
        const options = {
          baseUrl: `${isSecure ? "https" : "http"}://localhost:${portOf(server)}`,
          tls: { ca: fixture("ca.crt") }
        }
        yield* FileIo.FileIo.use((fileIo) => fileIo.upload(body)).pipe(
          Effect.provide(
            client === "undici" ? NodeFileIo.layer({ proxy: false, ...options }) : NodeFileIo.layerSockets(options)
          )
        )
        assert.strictEqual(found, digest)
      }).pipe(Effect.scoped)
  )

  it.live("a reader that keeps its chunks gets memory of its own", () =>
    Effect.gen(function*() {
      const content = Buffer.alloc(8 << 20)
      for (let at = 0; at < content.length; at++) content[at] = at % 251
      const server = yield* listening(Http.createServer((_, response) => {
        response.setHeader("content-disposition", "attachment; filename=a.bin")
        response.end(content)
      }))
      const baseUrl = `http://127.0.0.1:${portOf(server)}`
      yield* Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const kept = yield* Effect.scoped(
          Effect.flatMap(fileIo.download("abcdefABCDEF"), ({ stream }) => Stream.runCollect(stream))
        )
        assert.isTrue(Buffer.concat(kept).equals(content))
        let at = 0
        yield* Effect.scoped(Effect.flatMap(fileIo.download("abcdefABCDEF"), ({ open }) =>
          Stream.runForEach(open("reused"), (chunk) =>
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => {
                assert.isTrue(content.subarray(at, at += chunk.length).equals(chunk))
              })
            ))))
        assert.strictEqual(at, content.length)
      }).pipe(
        Effect.provide(
          client === "undici" ? NodeFileIo.layer({ proxy: false, baseUrl }) : NodeFileIo.layerSockets({ baseUrl })
        )
      )
    }).pipe(Effect.scoped))
})

describe.each(["undici", "sockets"] as const)("a download that is cut while its reader is slow, over %s", (client) => {
  it.live("fails once the reader comes to the cut, and the process lives", () =>
    Effect.gen(function*() {
      let cut: () => void = () => {}
      const server = yield* listening(Http.createServer((_, response) => {
        response.on("error", () => {})
        response.writeHead(200, { "content-disposition": "attachment; filename=a.bin", "content-length": 64 << 20 })
        // More than is read ahead, so that the reader stops reading the socket.
        response.write(new Uint8Array(8 << 20))
        cut = () => response.socket?.resetAndDestroy()
      }))
      const baseUrl = `http://127.0.0.1:${portOf(server)}`
      let bytes = 0
      const error = yield* Effect.scoped(Effect.flatMap(
        FileIo.FileIo.use((fileIo) => fileIo.download("abcdefABCDEF")),
        ({ stream }) =>
          Stream.runForEach(stream, (chunk) => {
            const isFirst = bytes === 0
            bytes += chunk.length
            return isFirst
              ? Effect.andThen(Effect.sleep(300), Effect.andThen(Effect.sync(cut), Effect.sleep(300)))
              : Effect.void
          })
      )).pipe(
        Effect.flip,
        FileIo.withRetry(RetryPolicy.none),
        Effect.provide(Layer.orDie(
          client === "undici" ? NodeFileIo.layer({ proxy: false, baseUrl }) : NodeFileIo.layerSockets({ baseUrl })
        ))
      )
      assert.strictEqual(error.reason._tag, "TransferInterrupted", error.message)
      assert.isAbove(bytes, 0)
      assert.isBelow(bytes, 64 << 20)
    }).pipe(Effect.scoped))
})

describe("an address", () => {
  /** Opens a connection to a name with two addresses, over sockets of the test. */
  const open = (port: number, make: ReadonlyArray<(connect: () => Net.Socket) => Net.Socket>) =>
    Effect.callback<Net.Socket, Error>((resume) => {
      const real = Dns.lookup
      Object.assign(Dns, {
        lookup: (_: string, __: unknown, callback: (error: null, found: unknown) => void) =>
          setImmediate(callback, null, [{ address: "127.0.0.1", family: 4 }, { address: "127.0.0.1", family: 4 }])
      })
      let count = 0
      new Connector({ connectMillis: 8000, socketPath: undefined, tls: undefined }).open(
        { host: "two.test", port, isSecure: false },
        (result) => resume(result instanceof Error ? Effect.fail(result) : Effect.succeed(result)),
        (connect) => make[count++]!(connect)
      )
      Object.assign(Dns, { lookup: real })
    })

  it.live("that does not answer does not keep the next one waiting", () =>
    Effect.gen(function*() {
      const { baseUrl } = yield* host()
      const silent = new Net.Socket()
      const socket = yield* open(Number(new URL(baseUrl).port), [() => silent, (connect) => connect()])
      assert.isTrue(silent.destroyed)
      assert.isFalse(socket.destroyed)
      socket.destroy()
    }).pipe(Effect.scoped))

  it.live("that is slow is not abandoned for a dead one", () =>
    Effect.gen(function*() {
      const { baseUrl } = yield* host()
      const port = Number(new URL(baseUrl).port)
      const dead = yield* freePort
      const slow = new Net.Socket()
      // Far longer than the 250 ms that Node gives an address.
      setTimeout(() => slow.connect(port, "127.0.0.1"), 1200)
      const socket = yield* open(port, [() => slow, () => Net.connect(dead, "127.0.0.1")])
      assert.strictEqual(socket, slow)
      socket.destroy()
    }).pipe(Effect.scoped))
})

describe("memory", () => {
  it.live("an idle connection of layerSockets has no large buffer", () =>
    Effect.gen(function*() {
      const { baseUrl, state } = yield* host({ delay: 50 })
      yield* Effect.gen(function*() {
        yield* me
        const before = process.memoryUsage().arrayBuffers
        yield* Effect.all(Array.from({ length: 60 }, () => me), { concurrency: "unbounded" })
        assert.isAtLeast(state.open, 60)
        assert.isBelow(process.memoryUsage().arrayBuffers - before, 10 * 1024 * 1024)
      }).pipe(
        Effect.provide(NodeFileIo.layerSockets({ apiKey, baseUrl })),
        Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited)
      )
    }).pipe(Effect.scoped))
})

describe("a success that comes too early", () => {
  it.live("is none over undici, which stops sending then", () =>
    Effect.gen(function*() {
      const server = yield* listening(Net.createServer((socket) => {
        socket.on("error", () => {})
        socket.once("data", () => {
          const body = JSON.stringify({ ...file(5), size: undefined })
          socket.write(
            `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
          )
        })
      }))
      const chunk = new Uint8Array(1 << 20)
      const chunks = Array.from({ length: 64 }, () => chunk)
      const body = FileBody.stream(() => Stream.rechunk(Stream.fromIterable(chunks), 1), { name: "a", size: 64 << 20 })
      const error = yield* Effect.flip(FileIo.FileIo.use((fileIo) => fileIo.upload(body))).pipe(
        Effect.provide(NodeFileIo.layer({ baseUrl: `http://127.0.0.1:${portOf(server)}`, proxy: false }))
      )
      assert.strictEqual(error.reason._tag, "UnexpectedResponse")
      assert.strictEqual(error.stored, "unknown")
      assert.include(error.message, "it came before the whole file was sent")
    }).pipe(Effect.scoped))
})

describe("your own HttpClient", () => {
  it.live("is the one that is used", () =>
    Effect.gen(function*() {
      const account = yield* me.pipe(Effect.provide(FileIoTest.layer()))
      assert.isNotNull(account)
    }))
})
