import { FileBody, FileIo, RetryPolicy } from "@effect-fileio/client"
import { Fault, FileIoTest } from "@effect-fileio/client/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"

const bytesOf = (size: number) => Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) % 251)

describe("FileIoTest", () => {
  it.effect("keeps the contract: up, listed, down once, gone", () =>
    Effect.gen(function*() {
      const host = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      const content = bytesOf(300_000)
      const file = yield* fileIo.upload(FileBody.bytes(content, { name: "a \"b\"\n.bin" }), {
        expires: "1d",
        title: "t"
      })
      assert.strictEqual(file.name, "a \"b\"\n.bin")
      assert.strictEqual((yield* fileIo.list()).files[0]?.key, file.key)
      const got = yield* fileIo.downloadBytes(file.link)
      assert.deepStrictEqual(got.bytes, content)
      const error = yield* Effect.flip(fileIo.downloadBytes(file.link))
      assert.strictEqual(error.reason._tag, "FileNotFound")
      assert.deepStrictEqual(
        (yield* host.requests).filter((request) => request.operation !== "me").map((request) => request.operation),
        ["upload", "list", "download", "download"]
      )
    }).pipe(Effect.provide(FileIoTest.layer({ resumable: false }))))

  it.effect("lets files expire by the test clock", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const file = yield* fileIo.upload(FileBody.text("soon gone"), { expires: "1h" })
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual((yield* fileIo.list()).count, 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* fileIo.list()).count, 0)
      assert.strictEqual((yield* Effect.flip(fileIo.downloadBytes(file.key))).reason._tag, "FileNotFound")
    }).pipe(Effect.provide(FileIoTest.layer())))

  it.effect("fails the calls with injected faults, and only those", () =>
    Effect.gen(function*() {
      const host = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* host.inject(Fault.status(500), { on: "list", after: 1 })
      yield* fileIo.me
      yield* fileIo.list()
      const error = yield* Effect.flip(fileIo.list().pipe(FileIo.withRetry(RetryPolicy.none)))
      assert.strictEqual(error.reason._tag, "ServerFailure")
      yield* fileIo.list()
    }).pipe(Effect.provide(FileIoTest.layer())))

  it.effect("stalls until the client gives up, and sees that it did", () =>
    Effect.gen(function*() {
      const host = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      const { key } = yield* host.put({ bytes: bytesOf(100_000) })
      yield* host.inject(Fault.StallBody({ atByte: 50_000 }), { times: 9 })
      const fiber = yield* Effect.forkChild(
        Effect.flip(Effect.scoped(Effect.flatMap(fileIo.download(key), ({ stream }) => Stream.runDrain(stream))))
          .pipe(FileIo.withRetry(RetryPolicy.none))
      )
      while (fiber.pollUnsafe() === undefined) {
        yield* TestClock.adjust("20 seconds")
        yield* TestClock.withLive(Effect.sleep(1))
      }
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason._tag, "TimedOut")
      const download = (yield* host.requests).find((request) => request.operation === "download")
      assert.isTrue(download?.aborted)
    }).pipe(Effect.provide(FileIoTest.layer())))
})
