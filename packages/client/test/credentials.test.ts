import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result } from "effect"
import { inspect } from "node:util"
import * as Credentials from "../src/internal/request/credentials.ts"

const KEY = "SECRETK.1234567-7654321-AbCdEfG-BBBBBBB"
const make = (key: string | undefined, headers: Credentials.Headers = {}) =>
  Result.getOrThrow(Credentials.make(key === undefined ? undefined : Redacted.make(key), headers))

describe("credentials", () => {
  it("authorize a request with the key and the headers, and change nothing else of it", () => {
    const { authorize } = make(`${KEY}\n`, { "X-Team": "storage", "User-Agent": "mine" })
    assert.deepStrictEqual(authorize({ accept: "*/*", "user-agent": "effect-fileio" }), {
      accept: "*/*",
      "user-agent": "mine",
      "x-team": "storage",
      authorization: `Bearer ${KEY}`
    })
    assert.deepStrictEqual(make(undefined).authorize({ accept: "*/*" }), { accept: "*/*" })
  })

  it("distinguish accounts without showing a key", () => {
    const fingerprints = [KEY, `${KEY} `, `${KEY}x`].map((key) => make(key).fingerprint)
    assert.strictEqual(fingerprints[0], fingerprints[1])
    assert.notStrictEqual(fingerprints[0], fingerprints[2])
    assert.match(fingerprints[0]!, /^[0-9a-f]{64}$/)
    assert.isUndefined(make(undefined).fingerprint)
  })

  it("show no secret, however they are looked at", () => {
    const shown = make(KEY, { "X-Gateway": Redacted.make("s3cret-gateway") })
    const text = inspect(shown, { depth: 20, showHidden: true }) + JSON.stringify(shown)
    assert.notInclude(text, KEY)
    assert.notInclude(text, "s3cret-gateway")
  })

  it.each([
    ["the key", KEY, {}, KEY],
    ["a redacted header", undefined, { "x-gateway": Redacted.make("s3cret-gateway") }, "s3cret-gateway"],
    ["the token of a scheme", undefined, { "x-gateway": Redacted.make("Custom s3cret-gateway") }, "s3cret-gateway"],
    ["a password of Basic", undefined, { authorization: "Basic YWRhOnMzY3JldC1wYXNz" }, "s3cret-pass"],
    ["a cookie as plain text", undefined, { Cookie: "session=s3cret-session" }, "session=s3cret-session"],
    ["a token as plain text", undefined, { "CF-Access-Token": "s3cret-token" }, "s3cret-token"],
    ["a key of an API as plain text", undefined, { "X-Api-Key": "s3cret-key" }, "s3cret-key"]
  ])("keep %s out of a host's words, and plain HTTP", (_, key, headers, secret) => {
    const { quote, secretName } = make(key, headers)
    assert.notInclude(quote(`you sent ${secret}, which is wrong`), secret)
    assert.isDefined(secretName)
  })

  it("leave other words and headers alone", () => {
    const { quote, secretName } = make(undefined, { "X-Team": "storage" })
    assert.strictEqual(quote("the storage is full"), "the storage is full")
    assert.isUndefined(secretName)
  })

  it("refuse what no header can carry, without showing it", () => {
    for (
      const [key, headers, field] of [
        ["two words", {}, "apiKey"],
        ["", {}, "apiKey"],
        [undefined, { "x-a": "s3cret\r\nx-b: c" }, "headers"],
        [undefined, { "s3cret\n": "a" }, "headers"],
        [undefined, { Host: "s3cret" }, "headers"],
        [KEY, { Authorization: "Basic s3cret" }, "headers"]
      ] as const
    ) {
      const made = Credentials.make(key === undefined ? undefined : Redacted.make(key), headers)
      if (Result.isSuccess(made)) return assert.fail(field)
      assert.strictEqual(made.failure.field, field)
      assert.notMatch(made.failure.problem, /s3cret|two words/)
    }
  })
})
