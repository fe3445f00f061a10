import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Duration, Effect, Result, Schema } from "effect"
import { Expires } from "../src/index.ts"
import { assertLinear, EVIL } from "./utils/evil.ts"
import { int, oneOf, text } from "./utils/generators.ts"

const utc = (iso: string): DateTime.Utc => DateTime.toUtc(DateTime.makeUnsafe(iso))
const at = (iso: string): Expires.Expires => new Expires.At({ time: utc(iso) })
const after = (amount: number, unit: Expires.Unit): Expires.Expires => new Expires.After({ amount, unit })

const read = (input: Expires.Input): Expires.Expires => {
  const result = Expires.parse(input)
  if (Result.isFailure(result)) assert.fail(`refused: ${result.failure}`)
  return result.success
}

const refusal = (input: unknown): string => {
  const result = Expires.parse(input as Expires.Input)
  if (Result.isSuccess(result)) assert.fail(`accepted ${String(input)} as ${JSON.stringify(result.success)}`)
  return result.failure
}

const resolved = (expires: Expires.Expires, receivedAt: string): string | null => {
  const time = Expires.resolve(expires, utc(receivedAt))
  return time === null ? null : DateTime.formatIso(time)
}

describe("Expires.parse", () => {
  it.each([
    ["1y", after(1, "y")],
    ["2Q", after(2, "Q")],
    ["3M", after(3, "M")],
    ["4w", after(4, "w")],
    ["5d", after(5, "d")],
    ["6h", after(6, "h")],
    ["10m", after(10, "m")],
    ["90s", after(90, "s")],
    ["1 day", after(1, "d")],
    ["2 weeks", after(2, "w")],
    ["90 Minutes", after(90, "m")],
    ["3months", after(3, "M")],
    ["7", after(7, "d")],
    ["14", after(14, "d")],
    [" 10m\n", after(10, "m")]
  ])("reads the period %j", (input, expected) => {
    assert.deepStrictEqual(read(input), expected)
  })

  it.each([
    ["20221231T235959", "2022-12-31T23:59:59.000Z"],
    ["20221231T235959Z", "2022-12-31T23:59:59.000Z"],
    ["20221231T235959.25+0130", "2022-12-31T22:29:59.250Z"],
    ["20221231T235959-01:00", "2023-01-01T00:59:59.000Z"],
    ["2022-12-31T23:59:59", "2022-12-31T23:59:59.000Z"],
    ["2022-12-31T23:59:59Z", "2022-12-31T23:59:59.000Z"],
    ["2022-12-31T23:59:59+00:00", "2022-12-31T23:59:59.000Z"],
    ["2022-12-31T23:59:59-00:00", "2022-12-31T23:59:59.000Z"],
    ["2022-12-31T23:59:59+01:00", "2022-12-31T22:59:59.000Z"],
    ["2022-12-31T23:59:59-0530", "2023-01-01T05:29:59.000Z"],
    ["2022-12-31T23:59:59+14:00", "2022-12-31T09:59:59.000Z"],
    ["2022-12-31T23:59:59.1", "2022-12-31T23:59:59.100Z"],
    ["2022-12-31T23:59:59.123456", "2022-12-31T23:59:59.123Z"],
    ["2022-12-31T23:59:59.123456789Z", "2022-12-31T23:59:59.123Z"],
    ["2022-12-31T23:59:59.999999999Z", "2022-12-31T23:59:59.999Z"],
    ["2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"],
    ["0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"],
    ["0099-01-01T00:00:00Z", "0099-01-01T00:00:00.000Z"],
    ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
    // A date lasts until its end.
    ["2022-12-31", "2022-12-31T23:59:59.999Z"],
    ["2024-02-29", "2024-02-29T23:59:59.999Z"],
    ["2022-12-31T23:59", "2022-12-31T23:59:00.000Z"],
    ["20221231T2359+01", "2022-12-31T22:59:00.000Z"],
    ["2022-12-31 23:59:59", "2022-12-31T23:59:59.000Z"],
    ["2022-12-31t23:59:59z", "2022-12-31T23:59:59.000Z"],
    // What a query makes of a +.
    ["2022-12-31T23:59:59 01:00", "2022-12-31T22:59:59.000Z"],
    ["2022-12-31 23:59:59.5 0530", "2022-12-31T18:29:59.500Z"]
  ])("reads the time %s", (input, expected) => {
    assert.strictEqual(Expires.format(read(input)), expected)
  })

  it.prop(
    "reads every number of fraction digits to the millisecond, never later than written",
    [int(0, 999_999_999), int(1, 9)],
    ([nanos, digits]) => {
      const fraction = String(nanos).padStart(9, "0").slice(0, digits)
      const millis = fraction.padEnd(3, "0").slice(0, 3)
      assert.strictEqual(Expires.format(read(`2030-06-01T12:00:00.${fraction}Z`)), `2030-06-01T12:00:00.${millis}Z`)
      assert.deepStrictEqual(read(`20300601T120000.${fraction}`), read(`2030-06-01T12:00:00.${fraction}Z`))
    }
  )

  it.each(["", " ", "never", null])("reads %j as never", (input) => {
    assert.deepStrictEqual(read(input), new Expires.Never())
  })

  it("reads a Date and a DateTime of any zone as that moment", () => {
    const time = "2030-01-02T03:04:05.678Z"
    const zoned = DateTime.makeZonedUnsafe("2030-01-02T04:04:05.678+01:00", { timeZone: "Europe/Berlin" })
    assert.deepStrictEqual(read(new Date(time)), at(time))
    assert.deepStrictEqual(read(utc(time)), at(time))
    assert.deepStrictEqual(read(zoned), at(DateTime.formatIso(zoned)))
    assert.strictEqual(Expires.format(read(zoned)), DateTime.formatIso(DateTime.toUtc(zoned)))
  })

  it.each([
    [Duration.minutes(10), "10m"],
    [Duration.seconds(90), "90s"],
    [Duration.hours(36), "36h"],
    [Duration.days(2), "2d"],
    [Duration.days(14), "2w"],
    [Duration.millis(1), "1s"],
    [Duration.millis(1001), "2s"],
    [Duration.nanos(1n), "1s"],
    [Duration.nanos(60_000_000_001n), "61s"],
    [Duration.infinity, ""]
  ])("reads the duration %s as the shortest period that is not shorter", (duration, wire) => {
    assert.strictEqual(Expires.format(read(duration)), wire)
  })

  it.prop("a duration gives a period of that many whole seconds, rounded up", [int(1, 40_000_000_000)], ([millis]) => {
    const receivedAt = DateTime.makeUnsafe(0)
    const time = Expires.resolve(read(Duration.millis(millis)), receivedAt)
    assert.strictEqual(DateTime.toEpochMillis(time!), Math.ceil(millis / 1000) * 1000)
  })

  it("gives an Expires back as it is", () => {
    for (const expires of [Expires.never, Expires.hostDefault, at("2030-01-01T00:00:00Z")]) {
      assert.strictEqual(read(expires), expires)
    }
    assert.deepStrictEqual(Expires.hostDefault, after(14, "d"))
  })

  it.each([
    "0",
    "0d",
    "00",
    "01d",
    "10x",
    "10D",
    "1|d",
    "|",
    "10 m",
    "10 d",
    "-1d",
    "+1d",
    "1.5d",
    "1e3",
    "1e3d",
    "d",
    "d1",
    "10m10s",
    "P1D",
    "PT10M",
    "14 fortnights",
    "Never",
    "null",
    "undefined",
    "NaN",
    "Infinity",
    "∞",
    "１d",
    "1\u0660d",
    "2022-12",
    "2022-12-31T",
    "2022-12-31T23",
    "2022-12-31  23:59:59",
    "2022-12-31T23:59.5",
    "2022-1-1T00:00:00",
    "2022-12-31T23:59:59.",
    "2022-12-31T23:59:59.1234567890",
    "20221231T23:59:59",
    "2022-12-31T235959",
    "2022-W01-1T00:00:00",
    "2022-12-31T23:59:59 Z",
    "2022-12-31T23:59:59+1",
    "2022-12-31T23:59:59[Europe/Berlin]",
    "+012022-12-31T23:59:59Z",
    "Sat, 31 Dec 2022 23:59:59 GMT",
    "1672531199000ms"
  ])("refuses %j and says what is allowed", (input) => {
    assert.include(refusal(input), "allowed: a time period such as 10m")
    assert.include(refusal(input), "y Q M w d h m s")
    assert.include(refusal(input), "ISO 8601")
  })

  it.each([
    "2022-02-30T00:00:00",
    "2022-02-30",
    "2022-13-01",
    "2022-02-29T00:00:00",
    "1900-02-29T00:00:00",
    "2022-04-31T00:00:00",
    "2022-00-10T00:00:00",
    "2022-13-01T00:00:00",
    "2022-01-00T00:00:00",
    "2022-01-32T00:00:00",
    "2022-12-31T24:00:00",
    "2022-12-31T25:00:00",
    "2022-12-31T23:60:00",
    "2022-12-31T23:59:60",
    "20220230T000000",
    "20221231T240000",
    "2022-12-31T23:59:59+25:00",
    "2022-12-31T23:59:59+24:00",
    "2022-12-31T23:59:59+01:60",
    "2022-12-31T23:59:59-9900"
  ])("refuses %s, a time that does not exist", (input) => {
    assert.match(refusal(input), /^not a time that exists; allowed: .*ISO 8601/)
  })

  it.each(EVIL)("reads a mebibyte of %s in linear time", (_, piece) => {
    for (const start of ["", "1", "2022-12-31T23:59:59."]) assertLinear(piece, (evil) => Expires.parse(start + evil))
  })

  it("refuses a Date without a time", () => {
    assert.match(refusal(new Date(NaN)), /^the Date is invalid; allowed: /)
  })

  it.each([Duration.zero, Duration.millis(-1), Duration.seconds(-5), Duration.negativeInfinity])(
    "refuses %s, which is not positive",
    (duration) => {
      assert.include(refusal(duration), "the shortest expiry is 1s")
    }
  )

  it.each([
    5,
    0,
    true,
    undefined,
    {},
    [],
    { _tag: "Never" },
    { _tag: "After", amount: 0, unit: "d" },
    Symbol.iterator,
    1n
  ])(
    "refuses a value of another type",
    (input) => {
      assert.include(refusal(input), "allowed: ")
    }
  )

  it.each(["1000y", "4000Q", "12000M", "52178w", "365250d", "365250", "8766000h", "525960000m", "31557600000s"])(
    "allows 1,000 years as %s",
    (input) => {
      assert.isTrue(Result.isSuccess(Expires.parse(input)))
    }
  )

  it.each([
    "1001y",
    "4001Q",
    "12001M",
    "52179w",
    "365251d",
    "365251",
    "20221231",
    "8766001h",
    "525960001m",
    "31557600001s",
    "99999999999999999999y",
    `${"9".repeat(400)}s`
  ])("refuses %s, more than 1,000 years", (input) => {
    assert.strictEqual(refusal(input), "the time period is longer than 1,000 years; use never")
  })

  it("refuses more than 1,000 years as a duration or as a constructed value too", () => {
    assert.include(refusal(Duration.days(365_251)), "1,000 years")
    assert.include(refusal(Duration.millis(Number.MAX_SAFE_INTEGER)), "1,000 years")
    assert.throws(() => new Expires.After({ amount: 1001, unit: "y" }))
    assert.throws(() => new Expires.After({ amount: Number.MAX_SAFE_INTEGER, unit: "s" }))
    assert.throws(() => new Expires.After({ amount: 0, unit: "d" }))
    assert.throws(() => new Expires.After({ amount: 1.5, unit: "d" }))
  })

  it.each([
    new Date(8.64e15),
    new Date(-8.64e15),
    new Date(Date.UTC(10_000, 0, 1)),
    DateTime.makeUnsafe(253_402_300_800_000),
    "9999-12-31T23:59:59-00:01",
    "0000-01-01T00:00:00+00:01"
  ])("refuses %s, whose year has no four digits on the wire", (input) => {
    assert.strictEqual(refusal(input), "the time is outside the years 0000 to 9999; use never")
  })

  it("never repeats what it refuses", () => {
    assert.notInclude(refusal("s3cret-value"), "s3cret")
  })

  it.prop("a text is either refused or means the same after it was written and read again", [
    oneOf([
      text,
      Arbitrary.map(Arbitrary.all([int(0, 400_000), text]), ([n, rest]) => `${n}${rest}`),
      Arbitrary.map(
        Arbitrary.all([int(0, 9999), int(0, 14), int(0, 33), int(0, 25), int(0, 61), int(-26, 26)]),
        ([y, mo, d, h, m, zone]) => {
          const two = (n: number) => String(n).padStart(2, "0")
          const sign = zone < 0 ? "-" : "+"
          return `${String(y).padStart(4, "0")}-${two(mo)}-${two(d)}T${two(h)}:${two(m)}:00${sign}${
            two(Math.abs(zone))
          }:00`
        }
      )
    ])
  ], ([input]) => {
    const result = Expires.parse(input)
    if (Result.isFailure(result)) return
    assert.deepStrictEqual(read(Expires.format(result.success)), result.success)
  }, { arbitrary: { runs: 500 } })
})

const generated = oneOf<Expires.Expires>([
  Arbitrary.schema(Expires.Expires),
  Arbitrary.map(
    int(-62_167_219_200_000, 253_402_300_799_999),
    (millis) => new Expires.At({ time: DateTime.makeUnsafe(millis) })
  ),
  Arbitrary.map(Arbitrary.all([int(1, 1000), Arbitrary.schema(Expires.Unit)]), ([amount, unit]) => after(amount, unit))
])

describe("Expires.format and ExpiresFromString", () => {
  it.prop("what is written is read back unchanged", [generated], ([expires]) => {
    assert.deepStrictEqual(read(Expires.format(expires)), expires)
  }, { arbitrary: { runs: 500 } })

  it.effect.prop("the codec and parse agree, both ways", [generated], ([expires]) =>
    Effect.gen(function*() {
      const wire = yield* Schema.encodeEffect(Expires.ExpiresFromString)(expires)
      assert.strictEqual(wire, Expires.format(expires))
      assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(Expires.ExpiresFromString)(wire), expires)
    }), { arbitrary: { runs: 300 } })

  it.prop("the wire form has only characters that need no escape in a header or a form", [generated], ([expires]) => {
    assert.match(Expires.format(expires), /^(?:|[1-9]\d*[yQMwdhms]|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)$/)
  })

  it.effect.each(["0d", "10x", "2022-02-30T00:00:00", "tomorrow"])(
    "the codec refuses %s with the same words",
    (input) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Schema.decodeUnknownEffect(Expires.ExpiresFromString)(input))
        assert.include(error.message, refusal(input))
      })
  )

  it.each([5, null, undefined, {}])("the codec refuses %j, which is no text", (input) => {
    assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(Expires.ExpiresFromString)(input)))
  })
})

describe("Expires.resolve", () => {
  it.each([
    ["1M", "2023-01-31T10:00:00.000Z", "2023-02-28T10:00:00.000Z"],
    ["1M", "2024-01-31T10:00:00.000Z", "2024-02-29T10:00:00.000Z"],
    ["1M", "2023-03-31T10:00:00.000Z", "2023-04-30T10:00:00.000Z"],
    ["1M", "2023-12-31T23:59:59.999Z", "2024-01-31T23:59:59.999Z"],
    ["13M", "2023-01-31T00:00:00.000Z", "2024-02-29T00:00:00.000Z"],
    ["1Q", "2023-11-30T00:00:00.000Z", "2024-02-29T00:00:00.000Z"],
    ["1Q", "2022-11-30T00:00:00.000Z", "2023-02-28T00:00:00.000Z"],
    ["4Q", "2023-05-15T12:00:00.000Z", "2024-05-15T12:00:00.000Z"],
    ["1y", "2024-02-29T12:00:00.000Z", "2025-02-28T12:00:00.000Z"],
    ["4y", "2024-02-29T12:00:00.000Z", "2028-02-29T12:00:00.000Z"],
    ["1y", "2023-07-01T00:00:00.000Z", "2024-07-01T00:00:00.000Z"],
    ["1w", "2024-02-25T00:00:00.000Z", "2024-03-03T00:00:00.000Z"],
    ["14", "2024-02-20T00:00:00.000Z", "2024-03-05T00:00:00.000Z"],
    ["1d", "2024-02-28T01:02:03.004Z", "2024-02-29T01:02:03.004Z"],
    ["24h", "2024-03-31T00:30:00.000Z", "2024-04-01T00:30:00.000Z"],
    ["10m", "2024-12-31T23:55:00.000Z", "2025-01-01T00:05:00.000Z"],
    ["1s", "2024-12-31T23:59:59.500Z", "2025-01-01T00:00:00.500Z"],
    ["1000y", "2024-02-29T00:00:00.000Z", "3024-02-29T00:00:00.000Z"]
  ])("%s after %s is %s", (input, receivedAt, expected) => {
    assert.strictEqual(resolved(read(input), receivedAt), expected)
  })

  it("a time stays that time, and never has none", () => {
    assert.strictEqual(resolved(at("2030-01-01T00:00:00.000Z"), "2024-01-01T00:00:00Z"), "2030-01-01T00:00:00.000Z")
    assert.isNull(resolved(Expires.never, "2024-01-01T00:00:00Z"))
  })

  it.prop("a period always ends later than it began, and a larger amount never earlier", [
    int(0, 4_102_444_800_000),
    int(1, 999),
    Arbitrary.schema(Expires.Unit)
  ], ([millis, amount, unit]) => {
    const receivedAt = DateTime.makeUnsafe(millis)
    const ends = (n: number) => DateTime.toEpochMillis(Expires.resolve(after(n, unit), receivedAt)!)
    assert.isAbove(ends(amount), millis)
    assert.isAbove(ends(amount + 1), ends(amount))
  })
})
