import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as FetchFileIo from "../src/FetchFileIo.ts"
import * as FileBody from "../src/FileBody.ts"
import * as FileIo from "../src/FileIo.ts"
import * as RetryPolicy from "../src/RetryPolicy.ts"
import * as Transport from "../src/Transport.ts"

/** A request as Firefox and Safari make it: they send the text of a stream, and know no `duplex`. */
class RequestWithoutStreams {
  readonly headers = new Headers({ "content-type": "text/plain;charset=UTF-8" })
}

describe("a browser whose fetch cannot stream a request's body", () => {
  const sent: Array<RequestInit> = []
  beforeEach(() => {
    sent.length = 0
    vi.stubGlobal("document", {})
    vi.stubGlobal("Request", RequestWithoutStreams)
    vi.stubGlobal("fetch", async (_: unknown, init: RequestInit) => {
      sent.push(init)
      return new Response(null, { status: 204 })
    })
  })
  afterEach(() => vi.unstubAllGlobals())

  const post = (stream: Stream.Stream<Uint8Array>) =>
    Transport.Transport.use(({ send }) =>
      send({
        method: "POST",
        url: "http://host/",
        headers: {},
        body: { _tag: "Stream", contentType: "text/plain", length: 6, open: () => stream },
        isRepeatable: false
      }, { onWaiting: () => undefined, onHeadWritten: () => undefined, onCollected: () => undefined })
    ).pipe(Effect.scoped, Effect.provide(FetchFileIo.layerTransport))

  it.effect("sends a stream as a blob, with its type", () =>
    Effect.gen(function*() {
      const { status } = yield* post(Stream.make(Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6)))
      assert.strictEqual(status, 204)
      const [{ body, headers }] = sent as [RequestInit]
      assert.instanceOf(body, Blob)
      assert.deepStrictEqual([...yield* Effect.promise(() => (body as Blob).bytes())], [1, 2, 3, 4, 5, 6])
      assert.strictEqual(new Headers(headers).get("content-type"), "text/plain")
    }))

  it.live("a cancelled upload stops reading its source, and sends nothing", () =>
    Effect.gen(function*() {
      const reading = Promise.withResolvers<void>()
      const stopped = Promise.withResolvers<void>()
      const endless = Stream.fromReadableStream<Uint8Array, never>({
        evaluate: () =>
          new ReadableStream({ pull: () => reading.resolve(), cancel: () => stopped.resolve() }, { highWaterMark: 0 }),
        onError: (cause) => cause as never
      })
      const fiber = yield* Effect.forkChild(post(endless))
      yield* Effect.promise(() => reading.promise)
      yield* Fiber.interrupt(fiber)
      yield* Effect.promise(() => stopped.promise)
      assert.deepStrictEqual(sent, [])
    }))

  it.effect("an upload that it collects gets the time that a slow network takes for it, and no more", () =>
    Effect.gen(function*() {
      const isSending = yield* Deferred.make<void>()
      vi.stubGlobal("fetch", (_: unknown, { signal }: RequestInit) => {
        Deferred.doneUnsafe(isSending, Effect.void)
        return new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)))
      })
      const body = FileBody.bytes(new Uint8Array(3 * 1024 * 1024), { name: "a" })
      const { upload } = yield* FileIo.FileIo
      const fiber = yield* Effect.forkChild(FileIo.withRetry(Effect.flip(upload(body)), RetryPolicy.none))
      yield* Deferred.await(isSending)
      // The option, and a second for each 8 KiB.
      yield* TestClock.adjust("440 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("10 seconds")
      const { reason } = yield* Fiber.join(fiber)
      assert.strictEqual(reason._tag, "TimedOut")
    }).pipe(Effect.provide(FetchFileIo.layer({ baseUrl: "http://host", firstByteTimeout: "1 minute" }))))
})
