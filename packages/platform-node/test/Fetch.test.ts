import { FetchFileIo, FileBody, FileIo, Transport } from "@effect-fileio/client"
import { FileIoServer } from "@effect-fileio/server"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { setImmediate } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { apiKey, server } from "./utils.ts"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

/** Core and client alone, over the web platform's fetch, without Node's services. */
const overFetch = Layer.unwrap(
  Effect.map(FileIoServer.FileIoServer, ({ url }) => FetchFileIo.layer({ baseUrl: url, apiKey }))
).pipe(Layer.provideMerge(server))

const overClient = Layer.unwrap(
  Effect.map(FileIoServer.FileIoServer, ({ url }) => FileIo.layer({ baseUrl: url, apiKey }))
).pipe(Layer.provide(FetchHttpClient.layer), Layer.provideMerge(server))

describe.each([["fetch", overFetch], ["Effect's client of fetch", overClient]] as const)(
  "the client over %s",
  (_, over) => {
    layer(over, { excludeTestServices: true })("and a real server", (it) => {
      it.effect("makes every call", () =>
        Effect.gen(function*() {
          const fileIo = yield* FileIo.FileIo
          const file = yield* fileIo.upload(FileBody.text("hello", { name: "ünï.txt" }), { maxDownloads: 2 })
          assert.strictEqual((yield* fileIo.list({ search: "ünï" })).count, 1)
          assert.strictEqual((yield* fileIo.me).rateLimit, 100)
          assert.strictEqual((yield* fileIo.update(file.key, { maxDownloads: 3 })).maxDownloads, 3)
          const back = yield* fileIo.downloadBytes(file.link)
          assert.strictEqual(back.name, "ünï.txt")
          assert.strictEqual(new TextDecoder().decode(back.bytes), "hello")
          assert.strictEqual((yield* fileIo.replace(file.key, { file: FileBody.text("x") })).size, 1)
          yield* fileIo.delete(file.key)
          const gone = yield* Effect.flip(fileIo.downloadBytes(file.key))
          assert.strictEqual(gone.reason._tag, "FileNotFound")
        }))

      it.effect("streams a file of several megabytes up and down", () =>
        Effect.gen(function*() {
          const fileIo = yield* FileIo.FileIo
          const chunk = Uint8Array.from({ length: 1 << 20 }, (_, i) => i * 31)
          const file = yield* fileIo.upload(
            FileBody.stream(() => Stream.fromIterable([chunk, chunk, chunk]), { name: "big.bin", size: 3 << 20 })
          )
          assert.strictEqual(file.size, 3 << 20)
          const { bytes } = yield* fileIo.downloadBytes(file.key)
          assert.deepStrictEqual(bytes.subarray(2 << 20), chunk)
        }))
    })
  }
)

describe("FetchFileIo", () => {
  layer(server, { excludeTestServices: true })("over a real server", (it) => {
    /** Collects the requests that a program makes of `fetch`. */
    const recorded = (requests: Array<RequestInit>): typeof globalThis.fetch => (input, init) => {
      requests.push(init!)
      return globalThis.fetch(input, init)
    }

    it.effect("keeps a response until it is read: Node empties the body of one that was collected", () =>
      Effect.gen(function*() {
        const { url } = yield* FileIoServer.FileIoServer
        const requests: Array<RequestInit> = []
        const bytes = new Uint8Array(200_000).fill(7)
        const back = yield* Effect.gen(function*() {
          const fileIo = yield* FileIo.FileIo
          const { key } = yield* fileIo.upload(FileBody.bytes(bytes))
          const { stream } = yield* fileIo.download(key)
          for (let n = 0; n < 10; n++) {
            collectGarbage()
            yield* Effect.promise(() => setImmediate())
          }
          return yield* Stream.mkUint8Array(stream)
        }).pipe(
          Effect.scoped,
          Effect.provideService(FetchHttpClient.Fetch, recorded(requests)),
          Effect.provide(FetchFileIo.layer({ baseUrl: url }))
        )
        assert.deepStrictEqual(back, bytes)
        assert.deepStrictEqual(requests.map(({ method }) => method), ["POST", "GET"])
      }))

    it.effect("calls the fetch in the context, with the options in the context", () =>
      Effect.gen(function*() {
        const { url } = yield* FileIoServer.FileIoServer
        const requests: Array<RequestInit> = []
        const { key } = yield* FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.text("hello"))).pipe(
          Effect.provideService(FetchHttpClient.RequestInit, {
            credentials: "include",
            redirect: "follow",
            headers: { "x-of-all": "1", accept: "text/html" }
          }),
          Effect.provideService(FetchHttpClient.Fetch, recorded(requests)),
          Effect.provide(FetchFileIo.layer({ baseUrl: url, apiKey }))
        )
        const { credentials, headers, redirect } = requests.find(({ method }) => method === "POST")!
        assert.deepStrictEqual({ credentials, redirect }, { credentials: "include", redirect: "manual" })
        const sent = new Headers(headers)
        assert.strictEqual(sent.get("x-of-all"), "1")
        assert.strictEqual(sent.get("accept"), "application/json")
        assert.match(sent.get("content-type")!, /^multipart\/form-data; boundary=/)
        const given: Array<RequestInit> = []
        const { bytes } = yield* FileIo.FileIo.use((fileIo) => fileIo.downloadBytes(key)).pipe(
          Effect.provide(
            FetchFileIo.layer({ baseUrl: url }).pipe(
              Layer.provide(Layer.succeed(FetchHttpClient.Fetch, recorded(given)))
            )
          )
        )
        assert.deepStrictEqual([new TextDecoder().decode(bytes), given.length], ["hello", 1])
      }))

    it.effect("makes the calls of senders or receivers alone", () =>
      Effect.gen(function*() {
        const { url } = yield* FileIoServer.FileIoServer
        const uploads = yield* FileIo.makeUploads({ baseUrl: url, apiKey })
        const downloads = yield* FileIo.makeDownloads({ baseUrl: url })
        const [file, other] = yield* Effect.all([
          uploads.upload(FileBody.text("hello"), { encryption: "link" }),
          uploads.upload(FileBody.text("hello"))
        ])
        assert.strictEqual((yield* uploads.me).rateLimit, 100)
        const { bytes, name } = yield* downloads.downloadBytes(file.link)
        assert.deepStrictEqual([new TextDecoder().decode(bytes), name], ["hello", "text.txt"])
        yield* uploads.delete(other.key)
        const gone = yield* Effect.flip(downloads.downloadBytes(other.link))
        assert.strictEqual(gone.reason._tag, "FileNotFound")
        const refused = yield* Effect.flip(FileIo.makeUploads({ baseUrl: "ftp://host" }))
        assert.strictEqual(refused.option, "baseUrl")
      }).pipe(Effect.provide(FetchFileIo.layerTransport)))

    it.effect("refuses an address that is none before it is requested", () =>
      Effect.gen(function*() {
        const { send } = yield* Effect.provide(Transport.Transport, FetchFileIo.layerTransport)
        const error = yield* send({
          method: "GET",
          url: "http://[x",
          headers: {},
          body: { _tag: "Empty" },
          isRepeatable: true
        }, { onWaiting: () => undefined, onHeadWritten: () => undefined, onCollected: () => undefined }).pipe(
          Effect.scoped,
          Effect.flip
        )
        assert.deepStrictEqual([error.phase, error.part], ["prepare", "url"])
      }))
  })
})
