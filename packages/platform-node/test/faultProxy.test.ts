/** `NodeFaultHost.makeProxy` before this project's server: faults happen, and the host is as the verdicts say. */
import { FileBody, FileIo, RateLimit, RetryPolicy } from "@effect-fileio/client"
import { Fault } from "@effect-fileio/client/testing"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { FileIoServer } from "@effect-fileio/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { bytesOf } from "./faults/support.ts"
import { freePort } from "./network.ts"
import { apiKey, server } from "./utils.ts"

const CONTENT = bytesOf(30_000_000)

/** The proxy, and the client over it. */
const overProxy = <A, E>(
  use: (proxy: NodeFaultHost.Proxy, fileIo: FileIo.Service) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const { url } = yield* FileIoServer.FileIoServer
    const proxy = yield* NodeFaultHost.makeProxy(url)
    return yield* FileIo.FileIo.use((fileIo) => use(proxy, fileIo)).pipe(
      Effect.provide(
        Layer.orDie(NodeFileIo.layer({ baseUrl: proxy.baseUrl, apiKey, checkLimits: false, proxy: false }))
      ),
      FileIo.withRetry(RetryPolicy.none),
      Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited)
    )
  }).pipe(Effect.scoped, Effect.provide(server))

describe("a proxy with faults", () => {
  it.live("passes everything on where there is no fault", () =>
    overProxy((proxy, fileIo) =>
      Effect.gen(function*() {
        const file = yield* fileIo.upload(FileBody.bytes(CONTENT, { name: "a.bin" }))
        const { bytes } = yield* fileIo.downloadBytes(file.key)
        assert.isTrue(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).equals(CONTENT))
        const gone = yield* Effect.flip(fileIo.downloadBytes(file.key))
        assert.deepStrictEqual([gone.reason._tag, gone.copy], ["FileNotFound", "absent"])
        yield* fileIo.me
        assert.deepStrictEqual(
          (yield* proxy.requests).flatMap(({ operation }) => operation ?? []),
          ["upload", "download", "download", "me"]
        )
      })
    ))

  it.live("cuts a download, which the host sees too: the file is still there", () =>
    overProxy((proxy, fileIo) =>
      Effect.gen(function*() {
        const { key } = yield* fileIo.upload(FileBody.bytes(CONTENT, { name: "a.bin" }))
        yield* proxy.inject(Fault.ResetBody({ atByte: 100_000 }), { on: "download" })
        const error = yield* Effect.flip(fileIo.downloadBytes(key))
        assert.strictEqual(error.reason._tag, "TransferInterrupted", error.message)
        const listed = (yield* fileIo.list()).files.find((file) => file.key === key)
        assert.strictEqual(listed?.downloads, 0)
        // For its grace time the download that broke is its holder's.
        const again = yield* Effect.flip(fileIo.downloadBytes(key))
        assert.deepStrictEqual([again.reason._tag, again.copy], ["DownloadInProgress", "kept"])
      })
    ))

  it.live("loses the response to an upload, which the host has", () =>
    overProxy((proxy, fileIo) =>
      Effect.gen(function*() {
        yield* proxy.inject(Fault.loseResponse, { on: "upload" })
        const lost = yield* Effect.flip(fileIo.upload(FileBody.text("hello", { name: "lost.txt" })))
        assert.strictEqual(lost.stored, "unknown")
        assert.deepStrictEqual((yield* fileIo.list()).files.map(({ name }) => name), ["lost.txt"])
      })
    ))

  it.live("refuses in the host's place, and the host gets nothing", () =>
    overProxy((proxy, fileIo) =>
      Effect.gen(function*() {
        yield* proxy.inject(Fault.status(503), { on: "upload" })
        const refused = yield* Effect.flip(fileIo.upload(FileBody.text("hello", { name: "a.txt" })))
        assert.strictEqual(refused.reason._tag, "ServerFailure")
        assert.deepStrictEqual((yield* fileIo.list()).files, [])
        yield* proxy.inject(Fault.Refuse())
        const down = yield* Effect.flip(fileIo.me)
        assert.strictEqual(down.reason._tag, "Unreachable")
        yield* proxy.clear
        yield* fileIo.me
      })
    ))

  it.live("says 502 where the host cannot be reached", () =>
    Effect.gen(function*() {
      const proxy = yield* NodeFaultHost.makeProxy(`http://127.0.0.1:${yield* freePort}`)
      const error = yield* Effect.flip(FileIo.FileIo.use((fileIo) => fileIo.me)).pipe(
        Effect.provide(Layer.orDie(NodeFileIo.layer({ baseUrl: proxy.baseUrl, apiKey, proxy: false }))),
        FileIo.withRetry(RetryPolicy.none),
        Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited)
      )
      assert.deepInclude(error.reason, { _tag: "ServerFailure", status: 502 })
    }).pipe(Effect.scoped))
})
