import { FileBody, FileIo } from "@effect-fileio/client"
import { FileIoServer } from "@effect-fileio/server"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { apiKey, server } from "./utils.ts"

/** Core and client alone, over the web platform's fetch, without Node's services. */
const overFetch = Layer.unwrap(
  Effect.map(FileIoServer.FileIoServer, ({ url }) => FileIo.layer({ baseUrl: url, apiKey }))
).pipe(Layer.provide(FetchHttpClient.layer), Layer.provideMerge(server))

describe("the client over fetch", () => {
  layer(overFetch, { excludeTestServices: true })("and a real server", (it) => {
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
})
