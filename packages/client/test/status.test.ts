/** The status of a file, which takes nothing. */
import { FileBody, FileIo, RateLimit, RetryPolicy } from "@effect-fileio/client"
import { Fault, FileIoTest } from "@effect-fileio/client/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"

const host = (options: FileIoTest.Options = {}) =>
  FileIoTest.layer(options).pipe(Layer.provide(RateLimit.layer(RateLimit.unlimited)))

const body = FileBody.text("see you at eight", { name: "a.txt" })

describe("the status of a file", () => {
  it.effect("says what is there to anyone who has the link, and takes nothing", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const test = yield* FileIoTest.FileIoTest
      const file = yield* fileIo.upload(body)
      for (const form of [file.key, file.link]) {
        const status = yield* fileIo.status(form)
        assert.deepInclude({ ...status }, {
          state: "available",
          name: "a.txt",
          size: 16,
          downloads: 0,
          maxDownloads: 1
        })
        assert.isFalse(status.isGone)
      }
      assert.strictEqual((yield* test.files)[0]!.downloads, 0)
      const arrived = (yield* test.requests).filter(({ operation }) => operation === "status")
      assert.deepStrictEqual(arrived.map(({ method, target }) => [method, target]), [
        ["GET", `/status/${file.key}`],
        ["GET", `/status/${file.key}`]
      ])
      assert.strictEqual((yield* Effect.flip(fileIo.status("abcdefghijkl"))).reason._tag, "FileNotFound")
      assert.strictEqual((yield* Effect.flip(fileIo.status("no key"))).reason._tag, "InvalidRequest")
    }).pipe(Effect.provide(host())))

  it.effect("says with the token of the upload what became of it, and nothing with another one", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const files = {
        available: yield* fileIo.upload(body),
        downloaded: yield* fileIo.upload(body),
        deleted: yield* fileIo.upload(body),
        expired: yield* fileIo.upload(body, { expires: "1h" })
      }
      yield* fileIo.downloadBytes(files.downloaded.key)
      yield* fileIo.delete(files.deleted.key, { token: files.deleted.deleteToken })
      yield* TestClock.adjust("2 hours")
      for (const [state, { deleteToken, key }] of Object.entries(files)) {
        const status = yield* fileIo.status(key, { token: deleteToken })
        assert.deepStrictEqual([status.state, status.isGone], [state, state !== "available"])
        const other = state === "deleted" ? files.expired : files.deleted
        const wrong = yield* Effect.flip(fileIo.status(key, { token: other.deleteToken }))
        assert.strictEqual(wrong.reason._tag, "FileNotFound")
        assert.match(wrong.message, /deletion token is not its own/)
        assert.notInclude(inspect(wrong, { depth: 9, showHidden: true }), Redacted.value(other.deleteToken!))
        if (state === "available") continue
        assert.strictEqual((yield* Effect.flip(fileIo.status(key))).reason._tag, "FileNotFound")
      }
    }).pipe(Effect.provide(host())))

  it.effect("is refused by a host that does not know it, which then downloads nothing", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const test = yield* FileIoTest.FileIoTest
      const { key } = yield* fileIo.upload(body)
      const unknown = yield* Effect.flip(fileIo.status(key))
      assert.strictEqual(unknown.reason._tag, "UnexpectedResponse")
      assert.match(unknown.message, /does not report the status of files/)
      yield* test.inject(Fault.Html({ status: 404 }), { on: "status" })
      assert.strictEqual((yield* Effect.flip(fileIo.status(key))).reason._tag, "NotAnApi")
      assert.strictEqual((yield* test.files)[0]!.downloads, 0)
    }).pipe(Effect.provide(host({ deleteTokens: false }))))

  it.live("is asked again after a lost response", () =>
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const test = yield* FileIoTest.FileIoTest
      const { key } = yield* fileIo.upload(body)
      yield* test.inject(Fault.loseResponse, { on: "status", times: 2 })
      const status = yield* FileIo.withRetry(fileIo.status(key), RetryPolicy.make({ times: 2, base: 1 }))
      assert.strictEqual(status.state, "available")
    }).pipe(Effect.provide(host())))
})
