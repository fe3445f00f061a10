import { assert, describe, it } from "@effect/vitest"
import { MediaType } from "../src/index.ts"
import { assertLinear, EVIL } from "./utils/evil.ts"
import { literals, text } from "./utils/generators.ts"

describe("MediaType.sanitize", () => {
  it.each([
    "text/plain",
    "Text/Plain",
    "text/plain; charset=utf-8",
    "text/plain;charset=\"utf-8\"",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "image/svg+xml"
  ])("leaves %s alone", (type) => {
    assert.strictEqual(MediaType.sanitize(type), type)
  })

  it.each([
    ["", MediaType.UNKNOWN],
    ["text", MediaType.UNKNOWN],
    ["text/", MediaType.UNKNOWN],
    ["text/plain\r\nSet-Cookie: a=b", MediaType.UNKNOWN],
    ["text/pl\u00E4in", MediaType.UNKNOWN],
    ["text/html\u0000", MediaType.UNKNOWN],
    ["text/plain, text/html", MediaType.UNKNOWN],
    [`text/${"x".repeat(128)}`, MediaType.UNKNOWN],
    [" text/plain ", "text/plain"],
    ["text/plain; charset=\u00FC", "text/plain"],
    ["text/plain; charset=utf-8; x=\u202E", "text/plain; charset=utf-8"],
    ["text/plain; charset=\"a\nb\"", "text/plain"],
    [`text/plain; a=b; x=${"y".repeat(255)}`, "text/plain; a=b"]
  ])("makes %j into %s", (raw, expected) => {
    assert.strictEqual(MediaType.sanitize(raw), expected)
  })

  it.prop(
    "returns a valid header value, and leaves that unchanged",
    [literals(["", "a/b", "a/b;", "a/b; c="]), text],
    ([start, raw]) => {
      const type = MediaType.sanitize(start + raw)
      assert.match(type, /^[\t -~]{3,255}$/)
      assert.strictEqual(MediaType.sanitize(type), type)
    },
    { arbitrary: { runs: 1000 } }
  )

  it.each(EVIL)("reads a mebibyte of %s in linear time", (_, piece) => {
    for (const start of ["", "a/b", "a/b;", "a/b; c=", "a/b; c=\""]) {
      assertLinear(piece, (evil) => MediaType.sanitize(start + evil))
    }
  })
})

describe("MediaType.parameter", () => {
  it.each([
    ["multipart/form-data; boundary=b", "b"],
    ["Multipart/Form-Data; Charset=UTF-8; BOUNDARY=B", "B"],
    ["multipart/form-data;boundary=\"a b;c\\\"d\"", "a b;c\"d"],
    ["multipart/form-data; boundary=", ""],
    ["multipart/form-data", undefined],
    ["multipart/form-data; xboundary=b", undefined],
    ["multipart/form-data; boundary=b; boundary=c", undefined]
  ])("of %s: the boundary is %j", (type, expected) => {
    assert.strictEqual(MediaType.parameter(type, "boundary"), expected)
  })
})
