/**
 * Settings from environment variables, as people and secret stores write them: spaces and line breaks around a value
 * are ignored, an empty value counts as unset, and an invalid value is one sentence with the variable's name and what
 * is allowed.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as DurationInput from "./DurationInput.ts"
import * as PlainText from "./PlainText.ts"

/**
 * A variable is invalid. The message is one sentence, without the value if that is a secret.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidVariable extends Config.ConfigError {
  readonly variable: string
  readonly problem: string
  constructor(variable: string, problem: string) {
    super(new Schema.SchemaError(new SchemaIssue.InvalidValue({ message: `${variable}: ${problem}` }, undefined, {})))
    this.variable = variable
    this.problem = problem
  }
  override get message(): string {
    return `${this.variable}: ${this.problem}`
  }
  override toString(): string {
    return this.message
  }
}

/**
 * Parses a text, or fails with a sentence that says what is allowed.
 *
 * @category models
 * @since 0.1.0
 */
export type Parse<A> = (text: string) => Result.Result<A, string>

/** The value of a variable without surrounding spaces; `undefined` if nothing is left. */
const present = (name: string): Config.Config<string | undefined> =>
  Config.map(Config.option(Config.String(name)), (value) => Option.getOrUndefined(value)?.trim() || undefined)

const shown = (text: string): string =>
  JSON.stringify(PlainText.visible(text.length > 60 ? `${text.slice(0, 60)}…` : text))

/**
 * Reads a variable with `parse`; `undefined` if it is unset or blank.
 *
 * @category constructors
 * @since 0.1.0
 */
export const optional = <A>(name: string, parse: Parse<A>): Config.Config<A | undefined> =>
  Config.mapEffect(present(name), (value) => {
    if (value === undefined) return Effect.succeed(undefined)
    const parsed = parse(value)
    return Result.isSuccess(parsed)
      ? Effect.succeed(parsed.success)
      : Effect.fail(new InvalidVariable(name, `${shown(value)} cannot be read; allowed: ${parsed.failure}`))
  })

/**
 * Reads a variable with `parse`; a default if it is unset or blank.
 *
 * @category constructors
 * @since 0.1.0
 */
export const withDefault = <A>(name: string, parse: Parse<A>, standard: A): Config.Config<A> =>
  Config.map(optional(name, parse), (value) => value ?? standard)

/**
 * Reads a secret, such as an API key; `undefined` if it is unset or blank.
 *
 * @category constructors
 * @since 0.1.0
 */
export const secret = (name: string): Config.Config<Redacted.Redacted | undefined> =>
  Config.map(present(name), (value) => value === undefined ? undefined : Redacted.make(value))

/**
 * Any text.
 *
 * @category parsing
 * @since 0.1.0
 */
export const text: Parse<string> = (value) => Result.succeed(value)

const YES = /* @__PURE__ */ new Set(["1", "true", "yes", "y", "on"])
const NO = /* @__PURE__ */ new Set(["0", "false", "no", "n", "off"])

/**
 * A switch: `true`, `yes`, `on`, `1`, or `false`, `no`, `off`, `0`, in any case.
 *
 * @category parsing
 * @since 0.1.0
 */
export const flag: Parse<boolean> = (value) => {
  const word = value.trim().toLowerCase()
  return YES.has(word)
    ? Result.succeed(true)
    : NO.has(word)
    ? Result.succeed(false)
    : Result.fail("true, yes, on or 1, and false, no, off or 0")
}

/**
 * A duration: `30s`, `30 sec`, `1 min`, `2 hours`, `90 days`, `500 ms`, `PT1M30S`; a number alone is seconds.
 *
 * @category parsing
 * @since 0.1.0
 */
export const duration: Parse<Duration.Duration> = (value) => {
  const text = value.trim()
  return Result.mapError(
    DurationInput.parseText(/^\d{1,15}(?:\.\d{1,9})?$/.test(text) ? `${text} s` : text),
    (allowed) => `${allowed}; a number alone is seconds`
  )
}

const SIZES = "a size such as 1048576, 128MiB or 2 GB"

/**
 * A number of bytes: `1048576`, `128MiB`, `2 GB`.
 *
 * @category parsing
 * @since 0.1.0
 */
export const bytes: Parse<number> = (value) => {
  const text = value.trim()
  const size = text.length > 40
    ? undefined
    : /^\d+$/.test(text)
    ? Number(text)
    : Option.getOrUndefined(Option.flatMap(ByteSize.fromString(text), ByteSize.toNumber))
  return size === undefined || !Number.isSafeInteger(size) ? Result.fail(SIZES) : Result.succeed(size)
}

/**
 * A whole number within bounds.
 *
 * @category parsing
 * @since 0.1.0
 */
export const integer = (minimum: number, maximum = Number.MAX_SAFE_INTEGER): Parse<number> => (value) => {
  const text = value.trim()
  const number = /^\d{1,16}$/.test(text) ? Number(text) : NaN
  return number >= minimum && number <= maximum
    ? Result.succeed(number)
    : Result.fail(`a whole number from ${minimum}${maximum === Number.MAX_SAFE_INTEGER ? "" : ` to ${maximum}`}`)
}

/**
 * One of these words, in any case.
 *
 * @category parsing
 * @since 0.1.0
 */
export const oneOf = <const A extends ReadonlyArray<string>>(...allowed: A): Parse<A[number]> => (value) => {
  const word = value.trim().toLowerCase()
  return allowed.includes(word) ? Result.succeed(word) : Result.fail(allowed.join(", "))
}

/**
 * The result of `parse`, or the word `none`.
 *
 * @category parsing
 * @since 0.1.0
 */
export const noneOr = <A>(parse: Parse<A>): Parse<A | "none"> => (value) =>
  value.trim().toLowerCase() === "none"
    ? Result.succeed("none" as const)
    : Result.mapError(parse(value), (allowed) => `${allowed}, or none`)

/**
 * Words, separated by commas or spaces.
 *
 * @category parsing
 * @since 0.1.0
 */
export const words: Parse<ReadonlyArray<string>> = (value) =>
  Result.succeed(value.split(/[\s,]+/).filter((word) => word !== ""))

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+)(?:[:/]|$)/

/**
 * An HTTP or HTTPS address without a user name, a query or a fragment.
 *
 * @category parsing
 * @since 0.1.0
 */
export const address: Parse<URL> = (value) => {
  const text = value.trim()
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (
    url !== undefined && /^https?:$/.test(url.protocol) && /^https?:\/\//i.test(text) && url.username === "" &&
    url.password === "" && url.search === "" && url.hash === ""
  ) return Result.succeed(url)
  // If only the scheme is missing, the message shows the address with it.
  const bare = /^(?:[\w-]+\.)*[\w-]+(?::\d{1,5})?(?:\/[\w./~-]*)?$/.exec(text.length > 200 ? "" : text)?.[0]
  const scheme = bare !== undefined && LOOPBACK.test(bare) ? "http" : "https"
  return Result.fail(`an address of http or https, such as ${scheme}://${bare ?? "share.example"}`)
}

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/**
 * Headers, one `Name: value` per line. All values count as secrets, and so does an invalid line.
 *
 * @category parsing
 * @since 0.1.0
 */
export const headers: Parse<Readonly<Record<string, Redacted.Redacted>>> = (value) => {
  const found: Record<string, Redacted.Redacted> = {}
  for (const line of value.split(/\r?\n/)) {
    if (line.trim() === "") continue
    const colon = line.indexOf(":")
    const name = line.slice(0, Math.max(0, colon)).trim()
    if (!HEADER_NAME.test(name)) return Result.fail("lines of the form Name: value")
    found[name] = Redacted.make(line.slice(colon + 1).trim())
  }
  return Result.succeed(found)
}
