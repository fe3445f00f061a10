/**
 * `NodeHttp.layerSockets`, against hosts that behave as real ones do, or wrongly.
 */
import { FetchFileIo, FileBody, FileIo, FileTransfer, RateLimit, RetryPolicy, Transport } from "@effect-fileio/client"
import type { InvalidOption } from "@effect-fileio/core"
import { NodeFileIo, NodeHttp } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, FileSystem, Layer, Stream } from "effect"
import { HttpClient } from "effect/http"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { apiKey, fetchBytes, send, server } from "./utils.ts"

const listening = <S extends Net.Server>(server: S) =>
  Effect.acquireRelease(
    Effect.callback<S>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))),
    (server) =>
      Effect.callback<void>((resume) => {
        if (server instanceof Http.Server) server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  )

const portOf = (server: Net.Server) => (server.address() as Net.AddressInfo).port

/** A host of scripted bytes: its response to the n-th request of each connection. */
const scripted = (answer: (request: number, socket: Net.Socket) => string | undefined) =>
  Effect.gen(function*() {
    const connections: Array<Net.Socket> = []
    const server = yield* listening(Net.createServer((socket) => {
      connections.push(socket)
      let request = 0
      socket.on("error", () => {})
      socket.on("data", () => {
        const text = answer(request++, socket)
        if (text !== undefined) socket.write(text, "latin1")
      })
    }))
    yield* Effect.addFinalizer(() => Effect.sync(() => connections.forEach((socket) => socket.destroy())))
    return { url: `http://127.0.0.1:${portOf(server)}/`, connections }
  })

const text = (url: string) => Effect.map(fetchBytes(url), (bytes) => new TextDecoder().decode(bytes))

const ok = (body: string, fields = "") => `HTTP/1.1 200 OK\r\n${fields}content-length: ${body.length}\r\n\r\n${body}`

const http = NodeHttp.layerSockets({ connectTimeout: "2 seconds" })

describe("connections", () => {
  it.live("are used again, one after the other, and as many as are needed at once", () =>
    Effect.gen(function*() {
      const host = yield* scripted((request) => ok(String(request)))
      for (let n = 0; n < 5; n++) assert.strictEqual(yield* text(host.url), String(n))
      assert.strictEqual(host.connections.length, 1)
      yield* Effect.all(Array.from({ length: 4 }, () => text(host.url)), { concurrency: "unbounded" })
      assert.strictEqual(host.connections.length, 4)
    }).pipe(Effect.scoped, Effect.provide(http)))

  it.live("close when the host says so, and the next request makes another", () =>
    Effect.gen(function*() {
      const host = yield* scripted((request) => ok(String(request), "connection: close\r\n"))
      for (let n = 0; n < 3; n++) assert.strictEqual(yield* text(host.url), "0")
      assert.strictEqual(host.connections.length, 3)
    }).pipe(Effect.scoped, Effect.provide(http)))

  it.live("that the host closed while they were idle are not used", () =>
    Effect.gen(function*() {
      const host = yield* scripted((request) => ok(String(request)))
      yield* text(host.url)
      host.connections[0]!.end()
      yield* Effect.sleep(50)
      assert.strictEqual(yield* text(host.url), "0")
      assert.strictEqual(host.connections.length, 2)
    }).pipe(Effect.scoped, Effect.provide(http)))

  it.live("are not kept longer than the host says", () =>
    Effect.gen(function*() {
      const host = yield* scripted((request) => ok(String(request), "keep-alive: timeout=1\r\n"))
      yield* text(host.url)
      assert.strictEqual(yield* text(host.url), "0")
      assert.strictEqual(host.connections.length, 2)
    }).pipe(Effect.scoped, Effect.provide(http)))

  it.live("on which a host sends bytes without a request are closed: they answer no later request", () =>
    Effect.gen(function*() {
      for (const when of ["at once", "later"]) {
        const host = yield* scripted((request, socket) => {
          if (request > 0) return ok("honest")
          if (when === "later") setTimeout(() => socket.write(ok("smuggled")), 20)
          return when === "later" ? ok("first") : ok("first") + ok("smuggled")
        })
        assert.strictEqual(yield* text(host.url), "first")
        yield* Effect.sleep(60)
        assert.strictEqual(yield* text(host.url), "first", when)
        assert.strictEqual(host.connections.length, 2)
      }
    }).pipe(Effect.scoped, Effect.provide(http)))

  for (
    const [name, layer] of [["undici", NodeFileIo.layer], ["sockets", NodeFileIo.layerSockets]] as const
  ) {
    it.live(`over which a host speaks before it is asked are none: nothing is sent, over ${name}`, () =>
      Effect.gen(function*() {
        let requests = 0
        const server = yield* listening(Net.createServer((socket) => {
          socket.on("error", () => {})
          socket.on("data", () => requests++)
          socket.write(ok(JSON.stringify({ success: true, planId: 666, nodes: [] })))
        }))
        const errors = yield* Effect.gen(function*() {
          const fileIo = yield* FileIo.FileIo
          return [
            yield* Effect.flip(fileIo.me),
            yield* Effect.flip(fileIo.list()),
            yield* Effect.flip(fileIo.upload(FileBody.text("hello"))),
            yield* Effect.flip(fileIo.downloadBytes("abcdefgh1234"))
          ]
        }).pipe(
          FileIo.withRetry(RetryPolicy.none),
          Effect.provide(
            Layer.provide(
              layer({ baseUrl: `http://127.0.0.1:${portOf(server)}`, apiKey, checkLimits: false }),
              RateLimit.layer(RateLimit.unlimited)
            )
          )
        )
        for (const { copy, message, reason, stored } of errors) {
          assert(reason._tag === "Unreachable", message)
          assert.deepStrictEqual([reason.sent, reason.code], ["no", "ERR_SPOKEN_UNASKED"])
          assert.include(["kept", undefined], copy)
          assert.include(["no", undefined], stored)
        }
        assert.strictEqual(requests, 0)
      }).pipe(Effect.scoped))
  }

  it.live("close when nobody reads an answer to its end", () =>
    Effect.gen(function*() {
      const host = yield* scripted(() => `HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nbeginning`)
      const { body } = yield* send(host.url)
      const [first] = yield* Stream.runCollect(Stream.take(body("owned"), 1))
      assert.strictEqual(new TextDecoder().decode(first), "beginning")
      yield* Effect.callback<void>((resume) => void host.connections[0]!.once("close", () => resume(Effect.void)))
    }).pipe(Effect.scoped, Effect.provide(http), Effect.timeout("4 minutes")))

  it.live("close with the scope of a request whose response nobody reads", () =>
    Effect.gen(function*() {
      const host = yield* scripted(() => `HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nbeginning`)
      yield* Effect.scoped(send(host.url))
      const [connection] = host.connections
      if (connection!.closed) return
      yield* Effect.callback<void>((resume) => void connection!.once("close", () => resume(Effect.void)))
    }).pipe(Effect.scoped, Effect.provide(http), Effect.timeout("4 minutes")))

  it.live("close when a download is dropped with its scope", () =>
    Effect.gen(function*() {
      const host = yield* scripted(() =>
        "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\ncontent-disposition: attachment; filename=a\r\n\r\nbeginning"
      )
      yield* Effect.scoped(
        FileIo.FileIo.use((fileIo) => fileIo.download("abcdefABCDEF")).pipe(
          Effect.provide(NodeFileIo.layerSockets({ baseUrl: host.url }))
        )
      )
      yield* Effect.callback<void>((resume) => {
        const [socket] = host.connections
        if (socket!.destroyed) return resume(Effect.void)
        socket!.once("close", () => resume(Effect.void))
      })
    }).pipe(Effect.scoped, Effect.timeout("4 minutes")))

  it.live("are as many as requests begin in one turn, and each request has its own answer", () =>
    Effect.gen(function*() {
      const server = yield* listening(Http.createServer((request, response) => response.end(request.url)))
      const paths = Array.from({ length: 100 }, (_, n) => `/${n}`)
      const answers = yield* Effect.forEach(paths, (path) => text(`http://127.0.0.1:${portOf(server)}${path}`), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(answers, paths)
    }).pipe(Effect.scoped, Effect.provide(http)))

  it.live("are not made for a request that is interrupted before it starts, and its neighbours go on", () =>
    Effect.gen(function*() {
      const host = yield* scripted((request) => ok(String(request)))
      const gone = yield* Effect.forkChild(text(host.url), { startImmediately: true })
      const stays = yield* Effect.forkChild(text(host.url), { startImmediately: true })
      yield* Fiber.interrupt(gone)
      assert.strictEqual(yield* Fiber.join(stays), "0")
      assert.strictEqual(host.connections.length, 1)
    }).pipe(Effect.scoped, Effect.provide(http)))

  const derived = Layer.effect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, HttpClient.mapRequest((r) => r))
  ).pipe(Layer.provide(NodeHttp.layerUndici()))
  const over = (client: Layer.Layer<HttpClient.HttpClient, InvalidOption.InvalidOption>) =>
    Layer.provide(Transport.layerHttpClient, client)
  it.live.each(
    [
      ["sockets", http],
      ["undici", over(NodeHttp.layerUndici())],
      ["a client that is derived from it", over(derived)],
      ["node:http", over(NodeHttpClient.layerNodeHttp)],
      ["fetch", FetchFileIo.layerTransport]
    ] as const
  )(
    "close when a call is interrupted before the end of the response: %s",
    ([, transport]) =>
      Effect.gen(function*() {
        const begun = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\ncontent-disposition: attachment\r\n\r\n{"
        for (const [said, phase] of [["", "firstByte"], [begun, "idle"]] as const) {
          for (const call of ["me", "download"] as const) {
            const host = yield* scripted(() => said === "" ? undefined : said)
            const error = yield* FileIo.FileIo.use((fileIo) =>
              Effect.flip(
                call === "me" ? Effect.asVoid(fileIo.me) : Effect.asVoid(fileIo.downloadBytes("abcdefABCDEF"))
              )
            ).pipe(
              Effect.provide(
                FileIo.layerTransport({
                  baseUrl: host.url,
                  apiKey,
                  // Only the expected one can end it, however slow the machine is.
                  firstByteTimeout: phase === "firstByte" ? "700 millis" : "1 minute",
                  idleTimeout: phase === "idle" ? "700 millis" : "1 minute"
                }).pipe(Layer.provide(transport))
              ),
              Effect.provideService(RetryPolicy.CurrentRetryPolicy, RetryPolicy.none),
              Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited)
            )
            const { reason } = error
            assert.strictEqual(reason._tag === "TimedOut" ? reason.phase : reason._tag, phase, call)
            const [connection] = host.connections
            // On a busy machine a call may end before it has connected.
            if (connection?.closed === false) {
              yield* Effect.callback<void>((resume) => void connection.once("close", () => resume(Effect.void)))
            }
          }
        }
      }).pipe(Effect.scoped, Effect.timeout("4 minutes"))
  )

  it.live("report bytes that are no HTTP as a broken response", () =>
    Effect.gen(function*() {
      const host = yield* scripted(() => "220 smtp.example ESMTP\r\n\r\n")
      const error = yield* Effect.flip(
        FileIo.withRetry(FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.text("x"))), RetryPolicy.none)
      ).pipe(
        Effect.provide(NodeFileIo.layerSockets({ baseUrl: host.url }))
      )
      assert.strictEqual(error.reason._tag, "Unreachable")
      assert.strictEqual(error.stored, "unknown")
    }).pipe(Effect.scoped))

  it.live("are closed with the layer, and an idle one does not keep a program alive", () =>
    Effect.gen(function*() {
      const host = yield* scripted((request) => ok(String(request)))
      yield* Effect.provide(text(host.url), http)
      yield* Effect.sleep(20)
      assert.isTrue(host.connections.every((socket) => socket.destroyed || socket.readableEnded))
    }).pipe(Effect.scoped))
})

describe("an early success", () => {
  it.live("does not stop the request that is still being sent", () =>
    Effect.gen(function*() {
      let received = 0
      const ended = yield* Deferred.make<void>()
      const server = yield* listening(Http.createServer((request, response) => {
        response.writeHead(200, { "content-length": 2 }).end("ok")
        request.on("data", (chunk: Uint8Array) => received += chunk.length)
        request.on("close", () => Deferred.doneUnsafe(ended, Effect.void))
      }))
      const body = FileBody.stream(
        () => Stream.fromIterable(Array.from({ length: 64 }, () => new Uint8Array(65_536))),
        {
          size: 64 * 65_536
        }
      )
      // The response is not one of the API; what counts here is that everything was sent before.
      yield* Effect.exit(FileIo.FileIo.use((fileIo) => fileIo.upload(body))).pipe(
        Effect.provide(NodeFileIo.layerSockets({ baseUrl: `http://127.0.0.1:${portOf(server)}` }))
      )
      // Sent bytes may still be in transit.
      yield* Deferred.await(ended)
      assert.isAtLeast(received, 64 * 65_536)
    }).pipe(Effect.scoped, Effect.timeout("4 minutes")))

  it.live("is none when the connection ends before the request is out", () =>
    Effect.gen(function*() {
      const host = yield* scripted((_, socket) => {
        socket.end(ok("{\"success\":true,\"key\":\"abcdefABCDEF\",\"link\":\"http://a/b\"}"))
        return undefined
      })
      const body = FileBody.stream(() => Stream.forever(Stream.make(new Uint8Array(65_536))), { size: 1e12 })
      const error = yield* Effect.flip(FileIo.FileIo.use((fileIo) => fileIo.upload(body))).pipe(
        Effect.provide(NodeFileIo.layerSockets({ baseUrl: host.url })),
        FileIo.withRetry(RetryPolicy.none),
        Effect.timeout("4 minutes")
      )
      assert.strictEqual(error._tag, "FileIoError", String(error))
      if (error._tag === "FileIoError") assert.strictEqual(error.stored, "unknown")
    }).pipe(Effect.scoped))
})

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

const noise = (size: number) => {
  const bytes = new Uint8Array(size)
  for (let i = 0, x = 1; i < size; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0
    bytes[i] = x >>> 16
  }
  return bytes
}

/** `NodeFileIo.layerSockets` over a real server. */
const keyed = Layer.unwrap(
  Effect.map(FileIoServer.FileIoServer, ({ url }) => NodeFileIo.layerSockets({ baseUrl: url, apiKey }))
).pipe(Layer.provideMerge(server), Layer.merge(NodeServices.layer))

describe("buffers that are reused", () => {
  const content = noise(12_000_000)

  it.live("arrive whole on a disk that is slower than the network", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const fileIo = yield* FileIo.FileIo
      const slow: FileSystem.FileSystem = {
        ...fs,
        open: (path, options) =>
          Effect.map(fs.open(path, options), (file) => {
            const write: FileSystem.File["write"] = (bytes) => Effect.delay(file.write(bytes), 5)
            return Object.assign(Object.create(file) as FileSystem.File, { write })
          })
      }
      const folder = yield* fs.makeTempDirectoryScoped()
      const { link } = yield* fileIo.upload(FileBody.bytes(content))
      const saved = yield* FileTransfer.FileTransfer.use((transfer) =>
        transfer.downloadFile(link, { directory: folder })
      ).pipe(
        Effect.provide(Layer.fresh(FileTransfer.layer)),
        Effect.provideService(FileSystem.FileSystem, slow)
      )
      assert.strictEqual(sha256(yield* fs.readFile(saved.path)), sha256(content))
    }).pipe(Effect.scoped, Effect.provide(keyed)))

  it.live("are not given to a reader of the stream, who may keep its chunks", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const { link } = yield* fileIo.upload(FileBody.bytes(content))
      const download = yield* fileIo.download(link)
      const kept = yield* Stream.runCollect(download.stream)
      assert.strictEqual(sha256(Buffer.concat(kept)), sha256(content))
    }).pipe(Effect.scoped, Effect.provide(keyed)))

  it.live("leave whole from a file, to a host that reads slowly", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* fs.makeTempDirectoryScoped()}/noise.bin`
      yield* fs.writeFile(path, content)
      let form: Uint8Array | undefined
      const echo = Http.createServer((request, response) => {
        const chunks: Array<Uint8Array> = []
        request.on("data", (chunk: Uint8Array) => {
          chunks.push(chunk)
          request.pause()
          setTimeout(() => request.resume(), 1)
        })
        request.on("end", () => {
          form = Buffer.concat(chunks)
          response.end(JSON.stringify({ success: true, key: "abcdefABCDEF", link: "http://a/b" }))
        })
      })
      const host = yield* listening(echo)
      yield* FileTransfer.FileTransfer.use((transfer) => transfer.uploadFile(path)).pipe(
        Effect.provide(NodeFileIo.layerSockets({ baseUrl: `http://127.0.0.1:${portOf(host)}` }))
      )
      const from = Buffer.from(form!).indexOf("\r\n\r\n") + 4
      assert.strictEqual(sha256(form!.subarray(from, from + content.length)), sha256(content))
    }).pipe(Effect.scoped, Effect.provide(keyed)))
})

describe("over TLS", () => {
  const file = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8")
  const secure = listening(
    Https.createServer({ key: file("localhost.key"), cert: file("localhost.crt") }, (request, response) => {
      request.resume()
      request.on("end", () => response.end(JSON.stringify({ success: true, rateLimit: 5, planId: 1 })))
    })
  )
  const trusting = Effect.acquireRelease(
    Effect.sync(() => {
      const before = Tls.getCACertificates("default")
      Tls.setDefaultCACertificates([...before, file("localhost.crt")])
      return before
    }),
    (before) => Effect.sync(() => Tls.setDefaultCACertificates(before))
  )

  it.live("calls are made, and bodies of any size are sent and read", () =>
    Effect.gen(function*() {
      yield* trusting
      const server = yield* listening(Https.createServer(
        { key: file("localhost.key"), cert: file("localhost.crt") },
        (request, response) => void request.pipe(response)
      ))
      const content = noise(3_000_000)
      const body = { _tag: "Bytes", contentType: "application/octet-stream", chunks: [content] } as const
      for (const host of ["localhost", "127.0.0.1"]) {
        const bytes = yield* fetchBytes(`https://${host}:${portOf(server)}/`, { method: "POST", body })
        assert.strictEqual(sha256(bytes), sha256(content), host)
      }
    }).pipe(Effect.scoped, Effect.provide(http)))

  it.live("an untrusted certificate is refused before anything is sent", () =>
    Effect.gen(function*() {
      const server = yield* secure
      const error = yield* Effect.flip(FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.text("secret")))).pipe(
        Effect.provide(NodeFileIo.layerSockets({ baseUrl: `https://localhost:${portOf(server)}` })),
        FileIo.withRetry(RetryPolicy.none)
      )
      assert.strictEqual(error.reason._tag, "Unreachable")
      assert.strictEqual(error.stored, "no")
    }).pipe(Effect.scoped))
})
