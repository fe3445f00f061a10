import { FileBody, FileIo, Progress, RateLimit, RetryPolicy } from "@effect-fileio/client"
import { Fault, FileIoTest } from "@effect-fileio/client/testing"
import { FileDetails } from "@effect-fileio/core/FileDetails"
import type { FileKey } from "@effect-fileio/core/FileKey"
import { FileList } from "@effect-fileio/core/FileList"
import { assert, describe, it } from "@effect/vitest"
import { Cause, DateTime, Duration, Effect, Exit, Fiber, Layer, Option, Redacted, Stream } from "effect"
import { HttpClient, HttpClientError, type HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as AwaitDownloaded from "../src/internal/calls/awaitDownloaded.ts"

const CONTENT = new TextEncoder().encode("the only copy")
const body = FileBody.bytes(CONTENT, { name: "a.txt" })

const host = (options?: FileIoTest.Options) =>
  FileIoTest.layer(options).pipe(Layer.provide(RateLimit.layer(RateLimit.unlimited)))

const counts = Effect.flatMap(FileIoTest.FileIoTest, (host) =>
  Effect.map(host.requests, (requests) => {
    const of = (operation: Fault.Operation) => requests.filter((one) => one.operation === operation).length
    return { upload: of("upload"), list: of("list"), me: of("me"), delete: of("delete") }
  }))

/** Advances the clock while the effect waits. */
const passing = <A, E, R>(effect: Effect.Effect<A, E, R>, step: number = 250) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust(step)
      yield* TestClock.withLive(Effect.sleep(1))
    }
    return yield* Fiber.join(fiber)
  })

describe("an upload whose response is lost", () => {
  it.effect("is adopted: a reset after the last byte ends with exactly one file", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.loseResponse, { on: "upload" })
      const file = yield* passing(fileIo.upload(body, { onUnknown: "reconcile" }))
      const files = yield* test.files
      assert.deepStrictEqual(files.map(({ key }) => key), [file.key])
      const { list, upload } = yield* counts
      assert.deepStrictEqual({ upload, list }, { upload: 1, list: 1 })
    }).pipe(Effect.provide(host())))

  it.effect("is sent again when the host does not have it, and only then", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.ResetBeforeHeaders({ handled: false }), { on: "upload" })
      const file = yield* passing(fileIo.upload(body, { onUnknown: "reconcile" }))
      assert.deepStrictEqual((yield* test.files).map(({ key }) => key), [file.key])
      const { list, upload } = yield* counts
      assert.deepStrictEqual({ upload, list }, { upload: 2, list: 3 })
    }).pipe(Effect.provide(host())))

  it.effect("of a body that can be read once: `stored` becomes `no`, and nothing is sent twice", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.ResetBeforeHeaders({ handled: false }), { on: "upload" })
      const once = FileBody.once(Stream.make(CONTENT), { name: "a.txt" })
      const error = yield* passing(Effect.flip(fileIo.uploadOnce(once, { onUnknown: "reconcile" })))
      assert.strictEqual(error.reason._tag, "Unreachable")
      assert.strictEqual(error.stored, "no")
      assert.strictEqual((yield* counts).upload, 1)
      // And a file that the host has is adopted, though its size was not known beforehand.
      yield* test.inject(Fault.loseResponse, { on: "upload" })
      const file = yield* passing(
        fileIo.uploadOnce(FileBody.once(Stream.make(CONTENT), { name: "b.txt" }), { onUnknown: "reconcile" })
      )
      assert.deepStrictEqual((yield* test.files).map(({ key }) => key), [file.key])
    }).pipe(Effect.provide(host())))

  it.effect("after a time-out stays unknown if it is not found, since the host may still be working", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.StallBeforeHeaders({ handled: false }), { on: "upload" })
      const error = yield* passing(Effect.flip(fileIo.upload(body, { onUnknown: "reconcile" })), 5000)
      assert.strictEqual(error.reason._tag, "TimedOut")
      assert.strictEqual(error.stored, "unknown")
      yield* test.inject(Fault.StallBeforeHeaders({ handled: true }), { on: "upload" })
      const file = yield* passing(fileIo.upload(body, { onUnknown: "reconcile" }), 5000)
      assert.strictEqual((yield* test.files)[0]?.key, file.key)
      assert.strictEqual((yield* counts).upload, 2)
    }).pipe(Effect.provide(host())))

  it.effect("keeps its own error when the list fails too", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.loseResponse, { on: "upload" })
      yield* test.inject(Fault.Html({ status: 404 }), { on: "list", times: 9 })
      const error = yield* passing(Effect.flip(fileIo.upload(body, { onUnknown: "reconcile" })))
      assert.strictEqual(error.operation, "upload")
      assert.strictEqual(error.stored, "unknown")
    }).pipe(Effect.provide(host())))

  it.effect("without a key cannot be looked up, which fails before it is sent", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const error = yield* Effect.flip(fileIo.upload(body, { onUnknown: "reconcile" }))
      assert.strictEqual(error.reason._tag, "Unauthorized")
      assert.strictEqual(error.stored, "no")
      assert.strictEqual((yield* counts).upload, 0)
    }).pipe(Effect.provide(FileIoTest.layer({ apiKey: undefined }))))

  it.effect("does not adopt an older file of the same name and size, nor one of another upload", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      const old = yield* test.put({ bytes: CONTENT, name: "a.txt" })
      yield* TestClock.adjust("10 seconds")
      const sibling = yield* fileIo.upload(body)
      yield* test.inject(Fault.loseResponse, { on: "upload" })
      const file = yield* passing(fileIo.upload(body, { onUnknown: "reconcile" }))
      assert.notInclude([old.key, sibling.key], file.key)
      assert.strictEqual((yield* test.files).length, 3)
    }).pipe(Effect.provide(host())))

  it.effect("among many of the same name and size gets its own, when one response is lost", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.loseResponse, { on: "upload", after: 4 })
      const files = yield* passing(Effect.forEach(
        Array.from({ length: 10 }),
        () => fileIo.upload(body, { onUnknown: "reconcile" })
      ))
      assert.strictEqual(new Set(files.map(({ key }) => key)).size, 10)
      assert.strictEqual((yield* test.files).length, 10)
    }).pipe(Effect.provide(host())))

  it.effect("can be looked up by hand; several that fit are an error, not a guess", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      const sentAt = yield* DateTime.now
      const lost = { name: "a.txt", size: CONTENT.length, sentAt }
      assert.isTrue(Option.isNone(yield* fileIo.reconcile(lost)))
      yield* test.inject(Fault.loseResponse, { on: "upload" })
      assert.strictEqual((yield* Effect.flip(fileIo.upload(body))).stored, "unknown")
      const found = yield* fileIo.reconcile(lost)
      assert.strictEqual(Option.getOrThrow(found).key, (yield* test.files)[0]!.key)
      yield* test.put({ bytes: CONTENT, name: "a.txt" })
      yield* test.put({ bytes: CONTENT, name: "a.txt" })
      assert.strictEqual((yield* Effect.flip(fileIo.reconcile(lost))).reason._tag, "UnexpectedResponse")
    }).pipe(Effect.provide(host())))
})

describe("limits of the plan", () => {
  const cases: Record<string, [Record<string, string | number>, FileIo.UploadOptions, object]> = {
    "a file that is too large": [{ maxUploadBytes: 10 }, {}, { limit: "maxUploadBytes", asked: 13, allowed: 10 }],
    "no storage left": [{ maxStorageBytes: 12 }, {}, { limit: "maxStorageBytes", asked: 13, allowed: 12 }],
    "too many downloads": [{ maxDownloads: 1 }, { maxDownloads: 2 }, { limit: "maxDownloads", asked: 2, allowed: 1 }],
    "unlimited downloads": [{ maxDownloads: 1 }, { maxDownloads: "unlimited" }, { limit: "maxDownloads", allowed: 1 }],
    "an expiry too far": [{ maxExpires: 3600 }, { expires: "1d" }, { limit: "expires", asked: 86400, allowed: 3600 }],
    "no expiry": [{ maxExpires: "1h" }, { expires: "never" }, { limit: "expires", allowed: 3600 }]
  }
  for (const [name, [account, options, expected]] of Object.entries(cases)) {
    it.effect(`${name}: refused before the first byte`, () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const error = yield* Effect.flip(fileIo.upload(body, options))
        assert.strictEqual(error.reason._tag, "PlanLimit", error.message)
        assert.strictEqual(error.stored, "no")
        for (const [field, value] of Object.entries(expected)) {
          assert.strictEqual(error.reason[field as keyof typeof error.reason], value, field)
        }
        assert.deepStrictEqual(yield* counts, { upload: 0, list: 0, me: 1, delete: 0 })
      }).pipe(Effect.provide(host({ account }))))
  }

  it.effect("are requested once in a while, and later uploads count", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      for (let i = 0; i < 3; i++) yield* fileIo.upload(body)
      assert.strictEqual((yield* counts).me, 1)
      // 39 of 40 bytes are used: the kept plan would refuse, so the client asks the host before it refuses.
      assert.strictEqual((yield* Effect.flip(fileIo.upload(body))).reason._tag, "PlanLimit")
      assert.deepStrictEqual(yield* counts, { upload: 3, list: 0, me: 2, delete: 0 })
      const [first] = (yield* fileIo.list()).files
      yield* fileIo.delete(first!.key)
      yield* fileIo.upload(body)
    }).pipe(Effect.provide(host({ account: { maxStorageBytes: 40 } }))))

  it.effect("are left to a host that does not report them", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.status(404), { on: "me", times: 99 })
      for (let i = 0; i < 3; i++) yield* fileIo.upload(body)
      assert.strictEqual((yield* counts).me, 1)
    }).pipe(Effect.provide(host())))

  it.effect("with an unknown key: fails before the file is sent", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.status(401), { on: "me", times: 99 })
      const error = yield* Effect.flip(fileIo.upload(body))
      assert.strictEqual(error.reason._tag, "Unauthorized")
      assert.strictEqual(error.operation, "upload")
      assert.strictEqual(error.stored, "no")
      assert.strictEqual((yield* counts).upload, 0)
    }).pipe(Effect.provide(host())))
})

describe("uploadScoped", () => {
  const ends: Record<string, Effect.Effect<void, string>> = {
    success: Effect.void,
    failure: Effect.fail("no"),
    interruption: Effect.interrupt
  }
  for (const [how, end] of Object.entries(ends)) {
    it.effect(`deletes the file on ${how}`, () =>
      Effect.gen(function*() {
        const test = yield* FileIoTest.FileIoTest
        const fileIo = yield* FileIo.FileIo
        yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
          yield* fileIo.uploadScoped(body)
          assert.strictEqual((yield* test.files).length, 1)
          yield* end
        })))
        assert.strictEqual((yield* test.files).length, 0)
        assert.strictEqual((yield* counts).delete, 1)
      }).pipe(Effect.provide(host())))
  }

  it.effect("deletes a file whose response was lost", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.loseResponse, { on: "upload" })
      const exit = yield* passing(Effect.exit(Effect.scoped(fileIo.uploadScoped(body))))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual((yield* test.files).length, 0)
    }).pipe(Effect.provide(host())))

  it.effect("deletes a file whose upload was interrupted after it was stored", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* test.inject(Fault.StallBeforeHeaders({ handled: true }), { on: "upload" })
      const fiber = yield* Effect.forkChild(Effect.scoped(fileIo.uploadScoped(body)))
      while ((yield* test.files).length === 0) yield* TestClock.withLive(Effect.sleep(1))
      yield* passing(Fiber.interrupt(fiber))
      assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
      assert.strictEqual((yield* test.files).length, 0)
    }).pipe(Effect.provide(host())))

  it.effect("ignores that the file was downloaded, and says when it cannot delete it", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      yield* Effect.scoped(Effect.flatMap(fileIo.uploadScoped(body), ({ key }) => fileIo.downloadBytes(key)))
      yield* test.inject(Fault.status(403), { on: "delete", times: 9 })
      const exit = yield* Effect.exit(Effect.scoped(fileIo.uploadScoped(body)))
      assert.isTrue(Exit.isSuccess(exit))
    }).pipe(Effect.provide(host({ resumable: false }))))
})

describe("awaitDownloaded", () => {
  const watch = (key: string) =>
    FileIo.FileIo.use((fileIo) => Stream.runCollect(fileIo.awaitDownloaded(key, { every: "2 seconds" })))

  it.effect("emits each download until the last one", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const file = yield* fileIo.upload(body, { maxDownloads: 2 })
      yield* fileIo.upload(FileBody.text("another"))
      const fiber = yield* Effect.forkChild(watch(file.link))
      yield* passing(Effect.sleep("5 seconds"))
      yield* fileIo.downloadBytes(file.key)
      yield* passing(Effect.sleep("5 seconds"))
      yield* fileIo.downloadBytes(file.key)
      const states = yield* passing(Fiber.join(fiber), 1000)
      assert.deepStrictEqual(states.map(({ _tag, file }) => [_tag, file.downloads]), [
        ["Available", 0],
        ["Available", 1],
        ["Downloaded", 1]
      ])
    }).pipe(Effect.provide(host({ resumable: false }))))

  it.effect("keeps what the link has for its file", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const sha256 = `sha256=${"a".repeat(64)}`
      for (
        const [encryption, more] of [
          ["link", ""],
          ["link", `&${sha256}`],
          [{ passphrase: Redacted.make("a passphrase") }, ""],
          [undefined, `#${sha256}`],
          [undefined, ""]
        ] as const
      ) {
        const { link } = yield* fileIo.upload(body, { encryption, expires: "10s" })
        const states = yield* passing(watch(link + more), 1000)
        assert.deepStrictEqual(states.map(({ file }) => file.link), [link + more, link + more])
      }
    }).pipe(Effect.provide(host())))

  it.effect("emits a download that began and does not count, if the host reports it", () =>
    Effect.gen(function*() {
      const key = "abcdefghijkl" as FileKey
      const looks = [[0, 0], [1, 0], [1, 0], [2, 1], [2, 1], [3, 2]]
      let look = 0
      const seen = Effect.sync(() => {
        const [attempts, downloads] = looks[look++]!
        const link = `https://host/${key}`
        return new FileDetails({ key, link, name: "f", attempts: attempts!, downloads: downloads!, maxDownloads: 2 })
      })
      const states = yield* passing(
        Stream.runCollect(AwaitDownloaded.states({
          key,
          every: Duration.seconds(2),
          listAll: () => Stream.fromEffect(seen),
          getPage: () =>
            Effect.map(seen, (file) => ({ list: new FileList({ files: [file], count: 1 }), hostTime: undefined }))
        })),
        1000
      )
      assert.deepStrictEqual(
        states.map(({ _tag, file }) => [_tag, file.attempts, file.downloads]),
        [["Available", 0, 0], ["Available", 1, 0], ["Available", 2, 1], ["Downloaded", 3, 2]]
      )
    }))

  it.effect("emits an expiry", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const { key } = yield* fileIo.upload(body, { expires: "10s" })
      const states = yield* passing(watch(key), 1000)
      assert.deepStrictEqual(states.map(({ _tag }) => _tag), ["Available", "Expired"])
    }).pipe(Effect.provide(host())))

  it.effect("of a file that is not there fails", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(watch("neverwas1234"))).reason._tag, "FileNotFound")
    }).pipe(Effect.provide(host())))
})

describe("progress", () => {
  it.effect("ends with one last event, also when the upload fails or is interrupted", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      const run = (effect: (onProgress: Progress.Listener) => Effect.Effect<unknown, unknown>) =>
        Effect.gen(function*() {
          const events: Array<Progress.Progress> = []
          yield* passing(Effect.exit(effect((event) => Effect.sync(() => void events.push(event)))), 10_000)
          return events.map(({ _tag }) => _tag)
        })
      const upload = (onProgress: Progress.Listener) => fileIo.upload(body, { onProgress })
      assert.deepStrictEqual(yield* run(upload), ["Started", "Finished"])
      yield* test.inject(Fault.status(500), { on: "upload" })
      assert.deepStrictEqual(yield* run(upload), ["Started", "Failed"])
      yield* test.inject(Fault.StallBeforeHeaders({ handled: false }), { on: "upload" })
      assert.deepStrictEqual(yield* run((onProgress) => Effect.timeout(upload(onProgress), "5 seconds")), [
        "Started",
        "Failed"
      ])
      const { key } = yield* fileIo.upload(body)
      yield* test.inject(Fault.StallBody({ atByte: 3 }), { on: "download" })
      const download = (onProgress: Progress.Listener) => fileIo.downloadBytes(key, { onProgress })
      assert.deepStrictEqual(yield* run((onProgress) => Effect.timeout(download(onProgress), "5 seconds")), [
        "Started",
        "Failed"
      ])
      const next = yield* fileIo.upload(body)
      const again = (onProgress: Progress.Listener) => fileIo.downloadBytes(next.key, { onProgress })
      assert.deepStrictEqual((yield* run(again)).at(-1), "Finished")
    }).pipe(
      Effect.provide(host({ resumable: false, account: { maxUploadBytes: 1e6 } })),
      FileIo.withRetry(RetryPolicy.none)
    ))

  it.effect("as a stream: the events, and the result last", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const events = yield* Stream.runCollect(
        Progress.stream((onProgress) => fileIo.upload(body, { onProgress }))
      )
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Started", "Finished", "Done"])
      const last = events.at(-1)!
      assert.strictEqual(last._tag === "Done" ? last.value.name : "", "a.txt")
      const failed = yield* Effect.exit(Stream.runCollect(
        Progress.stream((onProgress) => fileIo.downloadBytes("neverwas1234", { onProgress }))
      ))
      assert.isTrue(Exit.isFailure(failed) && Cause.hasFails(failed.cause))
    }).pipe(Effect.provide(host())))

  it.effect("comes at most ten times a second, however many chunks there are", () =>
    Effect.gen(function*() {
      const test = yield* FileIoTest.FileIoTest
      const fileIo = yield* FileIo.FileIo
      const { key } = yield* test.put({ bytes: new Uint8Array(5000).fill(7) })
      yield* test.inject(Fault.Drip({ bytes: 10, every: "10 millis" }), { on: "download" })
      const times: Array<number> = []
      yield* passing(
        fileIo.downloadBytes(key, { onProgress: (event) => Effect.sync(() => void times.push(event.elapsedMillis)) }),
        10
      )
      // 500 chunks in 5 seconds.
      assert.isAtMost(times.length, 53)
      assert.isAtLeast(times.length, 20)
    }).pipe(Effect.provide(host())))
})

describe("a network that goes away", () => {
  const down = (syscall: string) =>
    Object.assign(new Error(`${syscall} EHOSTUNREACH`), { code: "EHOSTUNREACH", syscall })
  const failing = (syscall: string) => (request: HttpClientRequest.HttpClientRequest) =>
    Effect.fail(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({ request, cause: down(syscall) })
      })
    )
  const answering = (request: HttpClientRequest.HttpClientRequest) =>
    Effect.sync(() => {
      const content = new ReadableStream({ start: (controller) => controller.error(down("connect")) })
      return HttpClientResponse.fromWeb(request, new Response(content, { headers: { "content-length": "9" } }))
    })
  const cases = [
    ["before there is a connection: nothing is stored, and it is repeated", failing("connect"), "no", 5],
    ["while the answer is awaited: nobody knows, and it is sent once", failing("read"), "unknown", 1],
    ["while the file is sent: nobody knows, and it is sent once", failing("write"), "unknown", 1],
    ["while the answer is read: nobody knows, and it is sent once", answering, "unknown", 1]
  ] as const
  for (const [when, answer, stored, times] of cases) {
    it.effect(when, () =>
      Effect.gen(function*() {
        let requests = 0
        const client = HttpClient.make((request) =>
          Effect.suspend(() => {
            requests++
            return answer(request)
          })
        )
        const error = yield* Effect.flip(passing(FileIo.FileIo.use((fileIo) => fileIo.upload(body)))).pipe(
          Effect.provide(FileIo.layer({ baseUrl: "http://localhost" })),
          Effect.provideService(HttpClient.HttpClient, client),
          Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited)
        )
        assert.strictEqual(error.stored, stored)
        assert.strictEqual(requests, times)
      }))
  }
})
