/**
 * Tests your own program: the same program over a host in memory, with injected faults. In a test of `@effect/vitest` this is
 * `it.effect(…)`, and with `TestClock` files expire.
 */
import { FileBody, FileIo } from "@effect-fileio/client"
import { Fault, FileIoTest } from "@effect-fileio/client/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"

/** The program: shares a text, and returns the outcome in one word. */
const share = (text: string) =>
  FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.text(text))).pipe(
    Effect.as("shared"),
    Effect.catchTag("FileIoError", (error) => Effect.succeed(error.stored === "no" ? "again" : "look first"))
  )

const test = Effect.gen(function*() {
  const host = yield* FileIoTest.FileIoTest

  yield* Console.log("all is well:          ", yield* share("one"))

  yield* host.inject(Fault.tooManyRequests(), { times: 1 })
  yield* Console.log("refused once:         ", yield* share("two"))

  yield* host.inject(Fault.loseResponse, { on: "upload" })
  yield* Console.log("the response was lost:  ", yield* share("three"))

  yield* host.inject(Fault.status(402), { on: "upload" })
  yield* Console.log("refused by the plan:  ", yield* share("four"))

  // The third text is stored, though its upload failed.
  yield* Console.log("files on the host:    ", (yield* host.files).length)
  const uploads = (yield* host.requests).filter(({ method }) => method === "POST")
  yield* Console.log("uploads that came in: ", uploads.length)
})

NodeRuntime.runMain(Effect.provide(test, FileIoTest.layer()))
