import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as FileIo from "../src/FileIo.ts"
import * as Transport from "../src/Transport.ts"

describe("the calls of receivers alone", () => {
  it.effect("wait after a refusal as long as the host asks, and fail where that is too long", () =>
    Effect.gen(function*() {
      const waits = ["20"]
      let requests = 0
      const transport: Transport.Service = {
        send: ({ url }) =>
          Effect.sync(() => {
            requests++
            const wait = waits.shift()
            return {
              url,
              status: wait === undefined ? 200 : 429,
              headers: wait === undefined
                ? { "content-disposition": "attachment; filename=a.txt" }
                : { "retry-after": wait },
              isDecoded: true,
              body: () => wait === undefined ? Stream.make(Uint8Array.of(1, 2, 3)) : Stream.empty
            }
          })
      }
      const { downloadBytes } = yield* FileIo.makeDownloads({ baseUrl: "https://files.example.org" }).pipe(
        Effect.provideService(Transport.Transport, transport)
      )
      const first = yield* Effect.forkChild(downloadBytes("AbCdEf123456"))
      yield* TestClock.adjust("10 seconds")
      // Another call waits as well, and asks nothing.
      const second = yield* Effect.forkChild(downloadBytes("AbCdEf654321"))
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(requests, 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(first)).name, "a.txt")
      assert.strictEqual((yield* Fiber.join(second)).bytes.length, 3)
      assert.strictEqual(requests, 3)

      waits.push("3600")
      for (const key of ["AbCdEf123456", "AbCdEf654321"]) {
        const { copy, reason } = yield* Effect.flip(downloadBytes(key))
        assert.deepStrictEqual([reason._tag, copy], ["RateLimited", "kept"])
      }
      assert.strictEqual(requests, 4)
    }))
})
