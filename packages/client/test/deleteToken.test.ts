/** Deleting a file with the token of its upload, in place of a key. */
import { FileBody, FileIo, RateLimit } from "@effect-fileio/client"
import { Fault, FileIoTest } from "@effect-fileio/client/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { inspect } from "node:util"

/** A client without a key. */
const anonymous = (options: FileIoTest.Options = {}) =>
  Effect.gen(function*() {
    const { client, host } = yield* FileIoTest.make({ apiKey, ...options })
    const make = (given: FileIo.Options = {}) =>
      FileIo.make({ baseUrl: "http://fileio.localhost", ...given }).pipe(
        Effect.provideService(HttpClient.HttpClient, client)
      )
    return { host, fileIo: yield* make(), make }
  })

const apiKey = Redacted.make("TESTKEY.DELETION")

const noLimit = Effect.provide(RateLimit.layer(RateLimit.unlimited))

const tokenOf = ({ deleteToken }: { readonly deleteToken?: Redacted.Redacted | null }): Redacted.Redacted => {
  assert.isTrue(Redacted.isRedacted(deleteToken))
  return deleteToken!
}

describe("the deletion token of an upload", () => {
  it.effect("deletes the file without a key, by its key or any link", () =>
    Effect.gen(function*() {
      const { fileIo, host } = yield* anonymous()
      for (const form of ["key", "link"] as const) {
        const file = yield* fileIo.upload(FileBody.text("hello"))
        assert.strictEqual((yield* host.files).length, 1)
        assert.strictEqual(yield* fileIo.delete(file[form], { token: tokenOf(file) }), undefined)
        assert.strictEqual((yield* host.files).length, 0)
      }
      const encrypted = yield* fileIo.upload(FileBody.text("hello"), { encryption: "link" })
      yield* fileIo.delete(encrypted.link, { token: tokenOf(encrypted) })
      assert.strictEqual((yield* host.files).length, 0)
      // Secrets from a file end with a line break.
      const file = yield* fileIo.upload(FileBody.text("hello"))
      yield* fileIo.delete(file.key, { token: Redacted.make(`${Redacted.value(tokenOf(file))}\n`) })
      assert.strictEqual((yield* host.files).length, 0)
      const sent = (yield* host.requests).filter(({ headers }) => headers["delete-token"] !== undefined)
      assert.deepStrictEqual(sent.map(({ method }) => method), Array(4).fill("DELETE"))
      assert.isTrue(
        sent.every(({ headers, target }) => headers["authorization"] === undefined && !/token/.test(target))
      )
    }).pipe(noLimit))

  it.effect("is shown nowhere: not in the link, in text, in JSON, in an error that quotes the host", () =>
    Effect.gen(function*() {
      const { fileIo } = yield* anonymous()
      const file = yield* fileIo.upload(FileBody.text("hello"))
      const secret = Redacted.value(tokenOf(file))
      const shown = [inspect(file, { depth: 9 }), JSON.stringify(file), String(file), file.link]
      const echo = yield* FileIo.make({ baseUrl: "http://fileio.localhost" }).pipe(
        Effect.provideService(
          HttpClient.HttpClient,
          HttpClient.make((request) =>
            Effect.succeed(HttpClientResponse.fromWeb(
              request,
              new Response(
                JSON.stringify({
                  success: false,
                  status: 400,
                  code: "BAD_REQUEST",
                  message: `no: ${request.headers["delete-token"]}, ${btoa(request.headers["delete-token"]!)}`
                }),
                { status: 400, headers: { "content-type": "application/json" } }
              )
            ))
          )
        )
      )
      const error = yield* Effect.flip(echo.delete(file.key, { token: tokenOf(file) }))
      assert.strictEqual(error.reason._tag, "InvalidRequest")
      shown.push(error.message, inspect(error, { depth: 9, showHidden: true }))
      for (const text of shown) {
        assert.notInclude(text, secret)
        assert.notInclude(text, btoa(secret).slice(0, 12))
      }
    }).pipe(noLimit))

  it.effect("that is wrong deletes nothing, and looks like a missing file", () =>
    Effect.gen(function*() {
      const { fileIo, host, make } = yield* anonymous()
      const one = yield* fileIo.upload(FileBody.text("one"))
      const two = yield* fileIo.upload(FileBody.text("two"))
      const error = yield* Effect.flip(fileIo.delete(one.key, { token: tokenOf(two) }))
      assert.strictEqual(error.reason._tag, "FileNotFound")
      assert.match(error.message, /deletion token is not its own/)
      const requests = (yield* host.requests).length
      const invalid: ReadonlyArray<unknown> = [
        "plain",
        "",
        7,
        {},
        Redacted.make(""),
        Redacted.make("a b"),
        Redacted.make("ä")
      ]
      for (const token of invalid) {
        const refused = yield* Effect.flip(fileIo.delete(one.key, { token } as FileIo.TokenOptions))
        assert.strictEqual(refused.reason._tag, "InvalidRequest")
        assert.match(refused.message, /token/)
      }
      for (const token of [undefined, null]) {
        const refused = yield* Effect.flip(fileIo.delete(one.key, { token }))
        assert.strictEqual(refused.reason._tag, "Unauthorized")
      }
      assert.strictEqual((yield* host.requests).length, requests)
      assert.strictEqual((yield* host.files).length, 2)
      // With a key, a wrong token still deletes nothing.
      const keyed = yield* make({ apiKey })
      assert.strictEqual(
        (yield* Effect.flip(keyed.delete(one.key, { token: tokenOf(two) }))).reason._tag,
        "FileNotFound"
      )
      yield* keyed.delete(one.key)
      assert.strictEqual((yield* host.files).length, 1)
    }).pipe(noLimit))

  it.effect("is absent where the host has none; deleting then needs a key, and the error says so", () =>
    Effect.gen(function*() {
      const { fileIo, host, make } = yield* anonymous({ deleteTokens: false })
      const file = yield* fileIo.upload(FileBody.text("hello"))
      assert.isFalse("deleteToken" in file)
      const error = yield* Effect.flip(fileIo.delete(file.key, { token: Redacted.make("of-another-host") }))
      assert.strictEqual(error.reason._tag, "Unauthorized")
      assert.match(error.message, /takes no deletion token here.*set FILEIO_API_KEY/)
      assert.strictEqual((yield* host.files).length, 1)
      const keyed = yield* make({ apiKey })
      yield* keyed.delete(file.key, { token: Redacted.make("of-another-host") })
      assert.strictEqual((yield* host.files).length, 0)
    }).pipe(noLimit))

  it.live("deletes once, also if the response is lost", () =>
    Effect.gen(function*() {
      const { fileIo, host } = yield* anonymous()
      const file = yield* fileIo.upload(FileBody.text("hello"))
      yield* host.inject(Fault.loseResponse, { on: "delete" })
      yield* fileIo.delete(file.key, { token: tokenOf(file) })
      assert.strictEqual((yield* host.files).length, 0)
      const error = yield* Effect.flip(fileIo.delete(file.key, { token: tokenOf(file) }))
      assert.strictEqual(error.reason._tag, "FileNotFound")
    }).pipe(noLimit))
})
