import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Readable } from "node:stream"
import * as BodyStream from "../src/internal/http/bodyStream.ts"

const make = () => new Readable({ read() {} })
const texts = (readable: Readable) =>
  Stream.runCollect(
    Stream.map(BodyStream.of(readable, "ended early" as const), (bytes) => Buffer.from(bytes).toString())
  )
const events = ["readable", "end", "close"]
const listeners = (readable: Readable) => events.map((event) => readable.listenerCount(event))
const later = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

describe("the bytes of a request", () => {
  it.live("come in order, whenever they arrive, and their end is the end of the stream", () =>
    Effect.gen(function*() {
      const readable = make()
      const before = listeners(readable)
      readable.push("1")
      const reading = yield* Effect.forkChild(texts(readable), { startImmediately: true })
      for (const text of ["2", "3"]) {
        yield* later
        readable.push(text)
      }
      yield* later
      readable.push("4")
      readable.push(null)
      assert.deepStrictEqual(yield* Fiber.join(reading), ["1", "2", "3", "4"])
      assert.deepStrictEqual(listeners(readable), before)
    }))

  it.live("fail if the connection breaks before their end, also where nobody waited for it", () =>
    Effect.gen(function*() {
      const waiting = make()
      const reading = yield* Effect.forkChild(Effect.flip(texts(waiting)), { startImmediately: true })
      yield* later
      waiting.destroy(new Error("reset"))
      assert.strictEqual(yield* Fiber.join(reading), "ended early")

      const broken = make()
      broken.push("1")
      broken.destroy()
      assert.strictEqual(yield* Effect.flip(texts(broken)), "ended early")
    }))

  it.live("may break while their reader is interrupted: an error that nobody listens to would end the process", () =>
    Effect.gen(function*() {
      const readable = make()
      const reading = yield* Effect.forkChild(texts(readable), { startImmediately: true })
      yield* later
      const broken = new Promise((resolve) => readable.once("close", resolve))
      readable.destroy(new Error("reset"))
      yield* Fiber.interrupt(reading)
      assert.isAbove(readable.listenerCount("error"), 0)
      yield* Effect.promise(() => broken)
    }))

  it.live("are an empty stream where all of them were read before", () =>
    Effect.gen(function*() {
      const readable = make()
      readable.push(null)
      readable.resume()
      yield* later
      assert.deepStrictEqual(yield* texts(readable), [])
    }))

  it.live("are left in the request by a reader that is interrupted", () =>
    Effect.gen(function*() {
      const readable = make()
      const before = listeners(readable)
      const reading = yield* Effect.forkChild(texts(readable), { startImmediately: true })
      yield* later
      yield* Fiber.interrupt(reading)
      readable.push("1")
      assert.deepStrictEqual(listeners(readable), before)
      assert.strictEqual(String(readable.read()), "1")
    }))
})
