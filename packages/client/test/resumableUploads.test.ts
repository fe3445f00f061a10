/** The faults of an upload to a host that supports resumable uploads; `uploads.test.ts` has those without. */
import { FileBody, FileIo, RateLimit } from "@effect-fileio/client"
import { Fault, FileIoTest } from "@effect-fileio/client/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { RESUMABLE_FAULTS } from "./utils/resumableFaults.ts"

const host = (options?: FileIoTest.Options) =>
  FileIoTest.layer({ resumableUploads: true, resumableFrom: 1, ...options }).pipe(
    Layer.provide(RateLimit.layer(RateLimit.unlimited))
  )

/** Advances the clock while the effect waits. */
const passing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust(1000)
      yield* TestClock.withLive(Effect.sleep(1))
    }
    return yield* Fiber.join(fiber)
  })

const SIZES = { small: 1000, large: 700_000 }

describe("a fault of the request with the bytes", () => {
  for (const [size, bytes] of Object.entries(SIZES)) {
    const content = new Uint8Array(bytes).map((_, i) => i * 7)
    for (const [name, fault, fails] of RESUMABLE_FAULTS) {
      it.effect(`${name}, ${size}`, () =>
        Effect.gen(function*() {
          const test = yield* FileIoTest.FileIoTest
          const fileIo = yield* FileIo.FileIo
          // The first request creates the upload.
          yield* test.inject(fault, { on: "upload", after: 1 })
          const result = yield* Effect.result(passing(fileIo.upload(FileBody.bytes(content, { name: "a.bin" }))))
          const files = yield* test.files
          if (fails === undefined) {
            assert(result._tag === "Success", result._tag === "Failure" ? result.failure.message : "")
            assert.deepStrictEqual(files.map(({ key }) => key), [result.success.key])
            assert.isTrue(Buffer.from(files[0]!.bytes).equals(content))
          } else {
            assert(result._tag === "Failure")
            assert.deepStrictEqual<unknown>([result.failure.reason._tag, result.failure.stored], fails)
            if (result.failure.stored === "no") assert.deepStrictEqual(files, [])
          }
          const created = (yield* test.requests).filter(({ method, target }) => method === "POST" && target === "/")
          assert.strictEqual(created.length, 1)
        }).pipe(Effect.provide(host())))
    }
  }
})

describe("a resumable upload", () => {
  const body = FileBody.bytes(new Uint8Array(1000).fill(3), { name: "a.bin" })

  it.effect("is created again if the request that creates it is lost, and stored once", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.loseResponse, { on: "upload" })
      const file = yield* passing(fileIo.upload(body))
      assert.deepStrictEqual((yield* test.files).map(({ key }) => key), [file.key])
    }).pipe(Effect.provide(host())))

  it.effect("is `unknown` only where the host cannot be asked any more after the last byte", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.loseResponse, { on: "upload", after: 1 })
      yield* test.inject(Fault.Refuse(), { after: 1, times: 100 })
      const error = yield* Effect.flip(passing(fileIo.upload(body)))
      assert.strictEqual(error.reason._tag, "Unreachable")
      assert.strictEqual(error.stored, "unknown")
      yield* test.clear
      yield* test.inject(Fault.ResetRequest({ atByte: 300_000 }), { on: "upload", after: 1 })
      yield* test.inject(Fault.Refuse(), { times: 100 })
      assert.strictEqual(
        (yield* Effect.flip(passing(fileIo.upload(FileBody.bytes(new Uint8Array(700_000)))))).stored,
        "no"
      )
    }).pipe(Effect.provide(host({ checkLimits: false }))))

  it.effect("is never sent twice where the host forgets it once it is stored", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* fileIo.upload(body)
      // Forgotten when the client asks, or after it has heard that the upload is complete.
      for (
        const [count, after, onUnknown] of [[1, 0, "fail"], [2, 1, "fail"], [3, 0, "reconcile"], [
          4,
          1,
          "reconcile"
        ]] as const
      ) {
        yield* test.inject(Fault.loseResponse, { on: "upload", after: 1 })
        yield* test.inject(Fault.status(404), { after })
        const name = `${count}.bin`
        const result = yield* Effect.result(
          passing(fileIo.upload(FileBody.bytes(new Uint8Array(1000), { name }), { onUnknown }))
        )
        // With a key, the client can look for the file.
        if (onUnknown === "reconcile") assert(result._tag === "Success")
        else {
          assert(result._tag === "Failure")
          assert.deepStrictEqual([result.failure.reason._tag, result.failure.stored], ["UnexpectedResponse", "unknown"])
        }
        assert.lengthOf(yield* test.files, count + 1)
      }
    }).pipe(Effect.provide(host({ checkLimits: false }))))

  it.effect("starts over where the host forgets it before its end, and continues where it has another offset", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      const keys: Array<string> = []
      const wrongOffset = Fault.Status({
        status: 409,
        statusLine: 409,
        code: "OFFSET",
        headers: { "upload-offset": "7" }
      })
      for (const fault of [Fault.status(404), Fault.status(410), wrongOffset]) {
        yield* test.inject(fault, { on: "upload", after: 1 })
        keys.push((yield* passing(fileIo.upload(body))).key)
        assert.deepStrictEqual((yield* test.files).map(({ key }) => key), keys)
      }
    }).pipe(Effect.provide(host({ checkLimits: false }))))

  it.effect("is not what a host without the extension sees, nor a body that can only be opened from the start", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      const seen = Effect.map(
        test.requests,
        (requests) => requests.map(({ headers, method, target }) => [method, target, headers["upload-complete"]])
      )
      yield* fileIo.upload(FileBody.stream(() => Stream.make("x"), { name: "a", size: 1 }))
      assert.deepStrictEqual(yield* seen, [["GET", "/me", undefined], ["POST", "/", undefined]])
      const other = yield* Layer.build(Layer.fresh(host({ resumableUploads: false })))
      yield* Effect.gen(function*() {
        const test = yield* FileIoTest.FileIoTest
        yield* (yield* FileIo.FileIo).upload(body)
        assert.deepStrictEqual(
          (yield* test.requests).map(({ headers, method, target }) => [method, target, headers["upload-complete"]]),
          [["GET", "/me", undefined], ["POST", "/", undefined]]
        )
      }).pipe(Effect.provide(other))
    }).pipe(Effect.provide(host()), Effect.scoped))

  it.effect("that does not exist any more starts over", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const test = yield* FileIoTest.FileIoTest
      const saved: Array<string> = []
      const resumption = {
        address: `${test.baseUrl}/uploads/upload-99`,
        save: (address: string) => Effect.sync(() => void saved.push(address))
      }
      const file = yield* fileIo.upload(body, { resumption })
      assert.strictEqual(file.size, 1000)
      assert.deepStrictEqual(saved, [`${test.baseUrl}/uploads/upload-1`])
      // An address of another host is never asked, whatever a note says.
      yield* test.clear
      yield* fileIo.upload(body, {
        resumption: { ...resumption, address: "https://elsewhere.example/uploads/upload-1" }
      })
      assert.isFalse((yield* test.requests).some(({ method }) => method === "HEAD"))
    }).pipe(Effect.provide(host())))
})

describe("a host that does not know the question whether it supports resumable uploads", () => {
  const body = FileBody.bytes(new Uint8Array(1000).fill(3), { name: "a.bin" })
  const RESPONSES: ReadonlyArray<readonly [name: string, fault: Fault.Fault, seconds?: number]> = [
    ["404", Fault.status(404)],
    ["405", Fault.status(405)],
    ["401", Fault.status(401)],
    ["429", Fault.tooManyRequests(60)],
    ["500", Fault.status(500)],
    ["503", Fault.status(503)],
    ["a page", Fault.Html({ status: 200 })],
    ["a redirect", Fault.Redirect({ to: "https://elsewhere.example/" })],
    ["a reset", Fault.ResetBeforeHeaders({ handled: false })],
    ["nothing", Fault.StallBeforeHeaders({ handled: false }), 5]
  ]
  for (const [name, fault, seconds = 0] of RESPONSES) {
    it.effect(`gets the upload as ever, and no second question: ${name}`, () =>
      Effect.gen(function*() {
        const test = yield* FileIoTest.FileIoTest
        const fileIo = yield* FileIo.FileIo
        yield* test.inject(fault)
        const uploading = yield* Effect.forkChild(fileIo.upload(body))
        if (seconds > 0) {
          // One request is out, and the clock has not moved.
          while ((yield* test.requests).length === 0) yield* TestClock.withLive(Effect.sleep(1))
          yield* TestClock.adjust(seconds * 1000)
        }
        yield* Fiber.join(uploading)
        const again = yield* Effect.forkChild(passing(fileIo.upload(body)))
        yield* Fiber.join(again)
        assert.deepStrictEqual(
          (yield* test.requests).map(({ method, target }) => `${method} ${target}`),
          ["OPTIONS /", "POST /", "POST /"]
        )
        assert.lengthOf(yield* test.files, 2)
      }).pipe(Effect.provide(host({ checkLimits: false, resumableUploads: false }))))
  }
})
