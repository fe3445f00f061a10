import { assert, describe, it } from "@effect/vitest"
import * as HostWords from "../src/internal/request/quote.ts"

const KEY = "SECRETK.1234567-7654321-AbCdEfG-BBBBBBB"
const quote = HostWords.make([KEY])
const base64 = (text: string) => Buffer.from(text).toString("base64")
const hex = (text: string) => Buffer.from(text).toString("hex")
const escaped = (text: string, of: (code: string) => string) =>
  Array.from(text, (character) => of(character.charCodeAt(0).toString(16).padStart(2, "0"))).join("")

const echoes: Readonly<Record<string, string>> = {
  "as it is": KEY,
  "in a sentence": `no account has the key ${KEY}, sorry`,
  "as a header": `Authorization: Bearer ${KEY}`,
  "in another case": KEY.toLowerCase(),
  "without its separators": KEY.replace(/[.-]/g, ""),
  "with other separators": KEY.replace(/[.-]/g, " "),
  "with a space after each letter": Array.from(KEY).join(" "),
  "with invisible characters in it": Array.from(KEY).join("\u200B"),
  "cut": `${KEY.slice(0, 20)}…`,
  "cut at its beginning": `…${KEY.slice(15)}`,
  "percent-encoded": escaped(KEY, (code) => `%${code}`),
  "percent-encoded twice": escaped(KEY, (code) => `%25${code}`),
  "as escapes of JSON": escaped(KEY, (code) => `\\u00${code}`),
  "as escapes of JavaScript": escaped(KEY, (code) => `\\x${code}`),
  "as entities": escaped(KEY, (code) => `&#x${code};`),
  "as decimal entities": escaped(KEY, (code) => `&#${Number.parseInt(code, 16)};`),
  "in Base64": `token ${base64(KEY)}`,
  "in Base64 as a user name": `Basic ${base64(`${KEY}:`)}`,
  "in Base64 after one more letter": base64(`x${KEY}`),
  "in Base64 after two more letters": base64(`xy${KEY}`),
  "in Base64 for URLs": Buffer.from(`???${KEY}>>>`).toString("base64url"),
  "in Base64 in a path": `/login/${encodeURIComponent(base64(`Bearer ${KEY}`))}`,
  "in hexadecimal": hex(KEY),
  "in hexadecimal with colons": escaped(KEY, (code) => `${code}:`).toUpperCase(),
  "in hexadecimal after half a byte": `a${hex(KEY)}`
}

describe("a host's words in an error", () => {
  for (const [how, text] of Object.entries(echoes)) {
    it(`do not have the key, ${how}`, () => {
      const quoted = quote(text)
      assert.include(quoted, "<redacted>")
      assert.notMatch(quoted, /1234567|7654321|abcdefg/i)
      // Far behind the point where the text is cut.
      for (const length of [270, 290, 1180]) {
        assert.notMatch(quote("= ".repeat(length / 2) + text), /SECRETK.{0,3}1234567|7654321/i)
      }
    })
  }

  it("are left as they are where they hold no secret", () => {
    for (
      const text of [
        "Too many requests",
        "maxUploadBytes",
        "FILE_NOT_FOUND",
        "a file name: Grüße 日本.txt",
        "https://example.com/a/b?c=d%20e",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "c2VlIHlvdSBhdCBlaWdodA=="
      ]
    ) {
      assert.strictEqual(quote(text), text)
      assert.strictEqual(HostWords.make([])(text), text)
    }
    assert.strictEqual(quote(`the key ${KEY} is unknown`), "the key <redacted> is unknown")
  })

  it("are of one line, without what acts on a terminal, and not long", () => {
    assert.strictEqual(quote("a\u001B[31m\r\nb\u202Ec"), "a [31m bc")
    assert.strictEqual(quote("x".repeat(1000)).length, 300)
    assert.strictEqual(quote("x".repeat(1000), 64).length, 64)
  })

  it("take no longer to read than they are long", () => {
    const began = performance.now()
    for (const text of ["%".repeat(1e6), "a".repeat(1e6), "&#1".repeat(1e5), "<!--".repeat(1e5)]) quote(text)
    assert.isBelow(performance.now() - began, 5000)
  })

  it("lose a short key too", () => {
    assert.strictEqual(HostWords.make(["abc"])("the key abc"), "the key <redacted>")
    assert.strictEqual(HostWords.make(["abcd12"])(base64("key abcd12")), "<redacted>")
    assert.strictEqual(HostWords.make(["--"])("the key -- is"), "the key <redacted> is")
  })
})
