import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Duration, Effect, Result, Schema } from "effect"
import { Expires, FileSettings } from "../src/index.ts"

const read = (input: FileSettings.Input): FileSettings.FileSettings => {
  const result = FileSettings.parse(input)
  if (Result.isFailure(result)) assert.fail(`refused: ${result.failure.field} ${result.failure.problem}`)
  return result.success
}

const refusal = (input: unknown): FileSettings.InvalidField => {
  const result = FileSettings.parse(input as FileSettings.Input)
  if (Result.isSuccess(result)) assert.fail(`accepted ${JSON.stringify(result.success)}`)
  return result.failure
}

const decode = Schema.decodeUnknownResult(FileSettings.FileSettingsFromFields)

describe("FileSettings.parse", () => {
  it("keeps absent what is not given, so that the host's defaults hold", () => {
    assert.deepStrictEqual(Object.keys(read({})), [])
    const given = { expires: undefined, maxDownloads: undefined, autoDelete: undefined, title: undefined }
    assert.deepStrictEqual(Object.keys(read(given)), [])
    assert.deepStrictEqual(FileSettings.toFields(read({})), {})
  })

  it.each([
    [{ expires: "10m" }, { expires: "10m" }],
    [{ expires: "never" }, { expires: "" }],
    [{ expires: null }, { expires: "" }],
    [{ expires: "" }, { expires: "" }],
    [{ expires: "14" }, { expires: "14d" }],
    [{ expires: Duration.hours(1) }, { expires: "1h" }],
    [{ expires: new Date("2030-01-01T00:00:00Z") }, { expires: "2030-01-01T00:00:00.000Z" }],
    [{ expires: DateTime.makeUnsafe("2030-01-01T00:00:00Z") }, { expires: "2030-01-01T00:00:00.000Z" }],
    [{ expires: Expires.hostDefault }, { expires: "14d" }],
    [{ maxDownloads: 1 }, { maxDownloads: "1" }],
    [{ maxDownloads: Number.MAX_SAFE_INTEGER }, { maxDownloads: "9007199254740991" }],
    [{ maxDownloads: "unlimited" as const }, { maxDownloads: "" }],
    [{ maxDownloads: null }, { maxDownloads: "" }],
    [{ autoDelete: true }, { autoDelete: "true" }],
    [{ autoDelete: false }, { autoDelete: "false" }],
    [{ title: "" }, { title: "" }],
    [{ title: "Zoë 🎉" }, { title: "Zoë 🎉" }],
    [{ expires: "1w", maxDownloads: 3, autoDelete: false, title: "t" }, {
      expires: "1w",
      maxDownloads: "3",
      autoDelete: "false",
      title: "t"
    }]
  ])("writes %j as %j", (input, fields) => {
    assert.deepStrictEqual(FileSettings.toFields(read(input)), fields)
  })

  it.each([0, -1, 1.5, NaN, Infinity, 2 ** 53, "1", "", "no", true, {}])(
    "refuses maxDownloads %j",
    (maxDownloads) => {
      assert.deepStrictEqual(refusal({ maxDownloads }), {
        field: "maxDownloads",
        problem: "allowed: a whole number from 1, or unlimited"
      })
    }
  )

  it.each(["0d", "10x", new Date(NaN), Duration.zero, 5, {}])("refuses expires %s", (expires) => {
    const { field, problem } = refusal({ expires })
    assert.strictEqual(field, "expires")
    assert.match(problem, /allowed: |the shortest expiry is/)
  })

  it.each(["true", "false", 0, 1, null, {}])("refuses autoDelete %j", (autoDelete) => {
    assert.deepStrictEqual(refusal({ autoDelete }), { field: "autoDelete", problem: "allowed: true or false" })
  })

  it.each([
    ["x".repeat(1025), "it is longer than 1,024 bytes of UTF-8"],
    ["\u00E4".repeat(513), "it is longer than 1,024 bytes of UTF-8"],
    ["two\nlines", "it has control characters, such as line breaks; leave them out"],
    ["nul\u0000", "it has control characters, such as line breaks; leave them out"],
    ["\u009B31m", "it has control characters, such as line breaks; leave them out"],
    ["\uD800", "it is not Unicode text (it has half of a surrogate pair)"],
    [5, "it is no text"],
    [null, "it is no text"]
  ])("refuses the title %j", (title, problem) => {
    assert.deepStrictEqual(refusal({ title }), { field: "title", problem })
  })

  it.each(["x".repeat(1024), "\u00E4".repeat(512), "Zo\u00EB \u200F \u202E"])("takes the title %s", (title) => {
    assert.strictEqual(FileSettings.toFields(read({ title })).title, title)
  })

  it("what can be constructed can be written", () => {
    assert.throws(() => new FileSettings.FileSettings({ title: "x".repeat(1025) }))
    assert.throws(() => new FileSettings.FileSettings({ maxDownloads: 0 }))
  })
})

describe("FileSettingsFromFields", () => {
  it.effect.prop(
    "settings come back as they were written",
    [Arbitrary.schema(FileSettings.FileSettings)],
    ([settings]) =>
      Effect.gen(function*() {
        const fields = FileSettings.toFields(settings)
        for (const value of Object.values(fields)) assert.isString(value)
        const again = yield* Schema.decodeUnknownEffect(FileSettings.FileSettingsFromFields)(fields)
        assert.deepStrictEqual(new FileSettings.FileSettings(again), settings)
      }),
    { arbitrary: { runs: 300 } }
  )

  it.each([
    [{ expires: "" }, { expires: Expires.never }],
    [{ expires: "never" }, { expires: Expires.never }],
    [{ expires: "14" }, { expires: Expires.hostDefault }],
    [{ maxDownloads: "" }, { maxDownloads: "unlimited" }],
    [{ maxDownloads: "unlimited" }, { maxDownloads: "unlimited" }],
    [{ maxDownloads: "12" }, { maxDownloads: 12 }],
    [{ maxDownloads: "9007199254740991" }, { maxDownloads: 9007199254740991 }],
    [{ autoDelete: "true" }, { autoDelete: true }],
    [{ autoDelete: "True" }, { autoDelete: true }],
    [{ autoDelete: "1" }, { autoDelete: true }],
    [{ autoDelete: "FALSE" }, { autoDelete: false }],
    [{ autoDelete: "0" }, { autoDelete: false }],
    [{ unknown: "x" }, {}],
    [{}, {}]
  ])("reads %j", (fields, expected) => {
    const result = decode(fields)
    if (Result.isFailure(result)) assert.fail(result.failure.message)
    assert.deepStrictEqual<unknown>(result.success, expected)
  })

  it.each([
    [{ expires: "0d" }, "expires", "allowed: a time period"],
    [{ expires: null }, "expires", ""],
    [{ maxDownloads: "0" }, "maxDownloads", "allowed: a whole number from 1, or unlimited"],
    [{ maxDownloads: "-1" }, "maxDownloads", "allowed: a whole number from 1, or unlimited"],
    [{ maxDownloads: "01" }, "maxDownloads", "allowed: a whole number from 1, or unlimited"],
    [{ maxDownloads: "1.0" }, "maxDownloads", "allowed: a whole number from 1, or unlimited"],
    [{ maxDownloads: "1e3" }, "maxDownloads", "allowed: a whole number from 1, or unlimited"],
    [{ maxDownloads: " 1" }, "maxDownloads", "allowed: a whole number from 1, or unlimited"],
    [{ maxDownloads: "9007199254740992" }, "maxDownloads", "allowed: a whole number from 1, or unlimited"],
    [{ maxDownloads: "9".repeat(400) }, "maxDownloads", "allowed: a whole number from 1, or unlimited"],
    [{ maxDownloads: "NaN" }, "maxDownloads", "allowed: a whole number from 1, or unlimited"],
    [{ autoDelete: "" }, "autoDelete", "allowed: true or false"],
    [{ autoDelete: "yes" }, "autoDelete", "allowed: true or false"],
    [{ title: "x".repeat(1025) }, "title", "it is longer than 1,024 bytes"],
    [{ title: "nul\u0000" }, "title", "control characters"]
  ])("refuses %j, names the field and says what is allowed", (fields, field, words) => {
    const result = decode(fields)
    if (Result.isSuccess(result)) assert.fail(`accepted ${JSON.stringify(result.success)}`)
    assert.include(result.failure.message, `["${field}"]`)
    assert.include(result.failure.message, words)
  })
})
