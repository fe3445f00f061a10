import { FileBody, FileIo } from "@effect-fileio/client"
import { FileIoTest } from "@effect-fileio/client/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, References } from "effect"
import { recordingTracer } from "./utils/recordingTracer.ts"

const causeOf = (exit: Exit.Exit<unknown, unknown>): string => Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""

/** One call of each kind, inside a caller's span. */
const calls = Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const { link } = yield* fileIo.upload(FileBody.text("hello"))
  yield* fileIo.me
  yield* fileIo.downloadBytes(link)
  const failed = yield* Effect.exit(fileIo.delete("nope"))
  return { failed, mine: yield* Effect.currentSpan }
}).pipe(Effect.withSpan("mine"))

describe("without a tracer", () => {
  it.effect("a call adds nothing to the span of its caller", () =>
    Effect.gen(function*() {
      const { mine } = yield* calls
      assert.deepStrictEqual([...mine.attributes], [])
    }).pipe(Effect.provide(FileIoTest.layer())))

  it.effect("a failure has the stack of its calls", () =>
    Effect.gen(function*() {
      const { failed } = yield* calls
      assert.match(causeOf(failed), /at FileIo\.delete \(.*traced\.test\.ts:\d+:\d+\)/)
      assert.match(causeOf(failed), /at mine/)
      const outer = Effect.fn("outer")(function*() {
        return yield* FileIo.FileIo.use((fileIo) => fileIo.downloadBytes("nope!"))
      })
      const pretty = causeOf(yield* Effect.exit(outer()))
      assert.match(pretty, /at FileIo\.download \(/)
      assert.match(pretty, /at outer \(.*traced\.test\.ts/)
    }).pipe(Effect.provide(FileIoTest.layer())))

  it.effect("lines that are logged name the operation", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const logger = Logger.make(({ fiber }) => {
        seen.push(fiber.getRef(References.CurrentLogAnnotations)["fileio.operation"])
      })
      yield* FileIo.FileIo.use((fileIo) =>
        fileIo.upload(FileBody.text("hello"), { onProgress: () => Effect.log("on the way") })
      ).pipe(Effect.provide(Logger.layer([logger])))
      assert.isNotEmpty(seen)
      assert.isTrue(seen.every((operation) => operation === "upload"), seen.join())
    }).pipe(Effect.provide(FileIoTest.layer())))
})

describe("with a tracer", () => {
  it.effect("every call has a span below that of its caller, with its attributes", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      const { failed } = yield* Effect.withTracer(calls, tracer)
      const names = spans.filter(({ parent }) => parent._tag === "Some").map(({ name }) => name)
      for (const name of ["FileIo.upload", "FileIo.me", "FileIo.downloadBytes", "FileIo.download", "FileIo.delete"]) {
        assert.include(names, name)
      }
      const upload = spans.find(({ name }) => name === "FileIo.upload")
      assert.strictEqual(upload?.attributes.get("fileio.bytes"), 5)
      assert.strictEqual(upload?.attributes.get("fileio.attempts"), 1)
      assert.match(causeOf(failed), /at FileIo\.delete \(.*traced\.test\.ts:\d+:\d+\)/)
    }).pipe(Effect.provide(FileIoTest.layer())))
})
