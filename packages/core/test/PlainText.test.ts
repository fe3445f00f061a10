import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { PlainText } from "../src/index.ts"
import { assertLinear, EVIL } from "./utils/evil.ts"
import { text } from "./utils/generators.ts"

const ESCAPE = "\u001B]0;title\u0007\u001B[2J\u009B31m\u202Efdp.exe"

describe("PlainText.problem", () => {
  it.each(["", "report", "Zo\u00EB \u{1F389}", "x".repeat(1024), "\u00E4".repeat(512), "\u200F\u0645\u200C\u062E"])(
    "takes %j",
    (given) => {
      assert.isUndefined(PlainText.problem(given))
      assert.isTrue(Schema.is(PlainText.PlainText)(given))
    }
  )

  it.each([
    ["x".repeat(1025), "longer than 1,024 bytes"],
    ["\u00E4".repeat(513), "longer than 1,024 bytes"],
    ["\u0000", "control characters"],
    ["a\nb", "control characters"],
    ["\u007F", "control characters"],
    ["\u009B", "control characters"],
    ["\uD800", "surrogate"],
    ["\uDC00x", "surrogate"]
  ])("refuses %j: %s", (given, words) => {
    assert.include(PlainText.problem(given), words)
    const result = Schema.decodeUnknownResult(PlainText.PlainText)(given)
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result)) assert.include(result.failure.message, words)
  })
})

describe("PlainText.visible", () => {
  it("leaves nothing that a terminal acts on", () => {
    assert.strictEqual(
      PlainText.visible(ESCAPE),
      "\uFFFD]0;title\uFFFD\uFFFD[2J\uFFFD31m\uFFFDfdp.exe"
    )
  })

  it.prop("shows no control character, no override of the direction, no half character", [text], ([given]) => {
    assert.notMatch(PlainText.visible(given), /[\p{Cc}\p{Bidi_Control}\p{Cs}\u200B\u2028\u2029\uFEFF]/u)
    assert.strictEqual(PlainText.visible(PlainText.visible(given)), PlainText.visible(given))
  }, { arbitrary: { runs: 1000 } })

  it("keeps the joiners inside a word", () => {
    const name = "\u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645 \u{1F468}\u200D\u{1F469}\u200D\u{1F467}"
    assert.strictEqual(PlainText.visible(name), name)
    assert.strictEqual(PlainText.strip(name), name)
  })
})

describe("PlainText.escapeJson", () => {
  it.prop("is the same JSON, and only shown by a terminal", [text], ([given]) => {
    const json = PlainText.escapeJson(JSON.stringify({ given }))
    assert.deepStrictEqual(JSON.parse(json), { given })
    assert.notMatch(json, /[\p{Cc}\p{Bidi_Control}\p{Cs}\u2028\u2029\uFEFF]/u)
  }, { arbitrary: { runs: 1000 } })

  it("escapes what is written in two units as two", () => {
    assert.strictEqual(PlainText.escapeJson("\"\u{E0041}\""), "\"\\uDB40\\uDC41\"")
  })
})

describe("text of any length", () => {
  it.each(EVIL)("is read in linear time: %s", (_, piece) => {
    for (const work of [PlainText.problem, PlainText.strip, PlainText.visible, PlainText.escapeJson]) {
      assertLinear(piece, work)
    }
  })
})
