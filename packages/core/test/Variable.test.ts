import { assert, describe, it } from "@effect/vitest"
import { type Config, ConfigProvider, Duration, Effect, Redacted, Result } from "effect"
import { inspect } from "node:util"
import { Variable } from "../src/index.ts"
import { assertLinear, EVIL } from "./utils/evil.ts"

const read = <A>(config: Config.Config<A>, value: string | undefined) =>
  config.parse(ConfigProvider.fromEnv({ env: value === undefined ? {} : { NAME: value } }))

const value = <A>(parse: Variable.Parse<A>, text: string): A => {
  const result = parse(text)
  if (Result.isFailure(result)) assert.fail(`refused ${JSON.stringify(text)}: ${result.failure}`)
  return result.success
}

const refusal = (parse: Variable.Parse<unknown>, text: string): string => {
  const result = parse(text)
  if (Result.isSuccess(result)) assert.fail(`accepted ${JSON.stringify(text)} as ${inspect(result.success)}`)
  return result.failure
}

describe("a variable", () => {
  it.effect.each([undefined, "", " ", "\r\n"])("%j is not set", (text) =>
    Effect.gen(function*() {
      assert.isUndefined(yield* read(Variable.optional("NAME", Variable.flag), text))
      assert.isUndefined(yield* read(Variable.secret("NAME"), text))
      assert.strictEqual(yield* read(Variable.withDefault("NAME", Variable.integer(1), 5), text), 5)
    }))

  it.effect.each(["value", "value\n", " value ", "\tvalue\r\n"])("%j is its value", (text) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* read(Variable.optional("NAME", Variable.text), text), "value")
      assert.strictEqual(Redacted.value((yield* read(Variable.secret("NAME"), text))!), "value")
    }))

  it.effect("that cannot be read is one sentence with its name and what is allowed", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(read(Variable.optional("NAME", Variable.duration), "soon\u001B[31m\n"))
      assert.strictEqual(
        error.message,
        "NAME: \"soon\uFFFD[31m\" cannot be read; allowed: a time such as 30s, 30 seconds, 1 min, 2 hours, 90 days or PT30S; a number alone is seconds"
      )
      assert.strictEqual(String(error), error.message)
      assert.strictEqual(error._tag, "ConfigError")
      const long = yield* Effect.flip(read(Variable.optional("NAME", Variable.flag), "x".repeat(10_000)))
      assert.isBelow(long.message.length, 200)
    }))
})

describe("a time", () => {
  it.each([
    ["30", 30_000],
    ["0", 0],
    ["30s", 30_000],
    ["30 s", 30_000],
    ["30 sec", 30_000],
    ["30 secs", 30_000],
    ["1 second", 1000],
    ["30 SECONDS", 30_000],
    ["1.5s", 1500],
    ["500ms", 500],
    ["500 millis", 500],
    ["1m", 60_000],
    ["1 min", 60_000],
    ["2 mins", 120_000],
    ["2 minutes", 120_000],
    ["1h", 3_600_000],
    ["2 hours", 7_200_000],
    ["2 hrs", 7_200_000],
    ["1d", 86_400_000],
    ["90 days", 90 * 86_400_000],
    ["2 weeks", 14 * 86_400_000],
    ["PT30S", 30_000],
    ["pt0.5s", 500],
    ["PT1M30S", 90_000],
    ["PT2H", 7_200_000],
    ["P1D", 86_400_000],
    ["P1DT12H", 36 * 3_600_000],
    ["P2W", 14 * 86_400_000],
    [" 30 seconds\n", 30_000]
  ])("%j is read", (text, millis) => {
    assert.strictEqual(Duration.toMillis(value(Variable.duration, text)), millis)
  })

  it.each([
    "soon",
    "-1",
    "-1s",
    "1 fortnight",
    "1s2",
    "1 2",
    "P",
    "PT",
    "PT1",
    "1e3",
    "NaN",
    "Infinity",
    "１s",
    "1_000"
  ])(
    "%j is refused",
    (text) => {
      assert.include(refusal(Variable.duration, text), "30 seconds")
    }
  )
})

describe("a switch", () => {
  it.each(["1", "true", "TRUE", "True", "yes", "YES", "on", "y", " true\n"])("%j is on", (text) => {
    assert.isTrue(value(Variable.flag, text))
  })

  it.each(["0", "false", "FALSE", "no", "off", "n", "off\n"])("%j is off", (text) => {
    assert.isFalse(value(Variable.flag, text))
  })

  it.each(["2", "ja", "enabled", "truthy", "t rue"])("%j is refused", (text) => {
    assert.strictEqual(refusal(Variable.flag, text), "true, yes, on or 1, and false, no, off or 0")
  })
})

describe("a size", () => {
  it.each([["0", 0], ["0B", 0], ["1024", 1024], ["128MiB", 128 * 1024 ** 2], ["2 GB", 2e9], ["1.5KiB", 1536], [
    " 1kB\n",
    1000
  ]])(
    "%j is read",
    (text, bytes) => {
      assert.strictEqual(value(Variable.bytes, text), bytes)
    }
  )

  it.each(["much", "-1", "1.5", "1 XB", "9".repeat(30), "9".repeat(60), "99999 YiB"])("%j is refused", (text) => {
    assert.include(refusal(Variable.bytes, text), "128MiB")
  })
})

describe("a number", () => {
  it.each([["1", 1], ["65535", 65_535], [" 8080\n", 8080]])("%j is read", (text, number) => {
    assert.strictEqual(value(Variable.integer(1, 65_535), text), number)
  })

  it.each(["0", "65536", "1.5", "1e3", "x", "-1", "0x10", "9".repeat(40)])("%j is refused", (text) => {
    assert.strictEqual(refusal(Variable.integer(1, 65_535), text), "a whole number from 1 to 65535")
  })

  it("or none is read, in any case", () => {
    assert.strictEqual(value(Variable.noneOr(Variable.integer(1)), "None"), "none")
    assert.strictEqual(value(Variable.noneOr(Variable.integer(1)), "7"), 7)
    assert.strictEqual(refusal(Variable.noneOr(Variable.integer(1)), "0"), "a whole number from 1, or none")
  })
})

describe("an address", () => {
  it.each([
    ["https://share.example", "https://share.example/"],
    ["http://127.0.0.1:8080/files/", "http://127.0.0.1:8080/files/"],
    ["HTTPS://Share.Example\n", "https://share.example/"],
    ["http://[::1]:8080", "http://[::1]:8080/"]
  ])("%j is read", (text, url) => {
    assert.strictEqual(value(Variable.address, text).href, url)
  })

  it.each([
    ["share.example:8080", "https://share.example:8080"],
    ["localhost:8080", "http://localhost:8080"],
    ["127.0.0.1:8080/files", "http://127.0.0.1:8080/files"],
    ["share.example", "https://share.example"],
    ["share.example/files", "https://share.example/files"],
    ["ftp://x", "https://share.example"],
    ["file:///etc", "https://share.example"],
    ["javascript:alert(1)", "https://share.example"],
    ["https:/share.example", "https://share.example"],
    ["https://user:pass@share.example", "https://share.example"],
    ["https://share.example/?a=b", "https://share.example"],
    ["https://share.example/#a", "https://share.example"],
    ["https://", "https://share.example"],
    ["two words", "https://share.example"]
  ])("%j is refused with the right form", (text, form) => {
    assert.strictEqual(refusal(Variable.address, text), `an address of http or https, such as ${form}`)
  })
})

describe("a value of any length", () => {
  it.each(EVIL)("is read in linear time: %s", (_, piece) => {
    for (
      const parse of [
        Variable.flag,
        Variable.duration,
        Variable.bytes,
        Variable.integer(1),
        Variable.words,
        Variable.address
      ]
    ) {
      assertLinear(piece, parse)
    }
  })
})
