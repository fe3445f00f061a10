/**
 * The duration of an option, in every form that Effect takes, and in the short forms that people write: `"30s"`, `"1d"`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { InvalidOption } from "./InvalidOption.ts"

/**
 * A unit in its short form; `m` is a minute. For months there is none: their length differs.
 *
 * @category models
 * @since 0.1.0
 */
export type Unit = "ms" | "s" | "m" | "h" | "d" | "w"

/**
 * A duration: `"30 seconds"`, `"1 day"`, `"30s"`, `"1d"`, a `Duration`, an object such as `{ minutes: 5 }`; a number is
 * milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export type DurationInput = Duration.Input | `${number}${Unit}` | `${number} ${Unit}`

const MILLIS: Readonly<Record<string, number>> = {
  nano: 1e-6,
  micro: 1e-3,
  ms: 1,
  milli: 1,
  millisecond: 1,
  s: 1000,
  sec: 1000,
  second: 1000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hr: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  w: 604_800_000,
  week: 604_800_000
}

const AMOUNT = /^(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]+)$/
const ISO = /^P(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?$/i
const ALLOWED = "a time such as 30s, 30 seconds, 1 min, 2 hours, 90 days or PT30S"

const millisOf = (unit: string): number | undefined => {
  // A month in the text of an expiry.
  if (unit === "M") return undefined
  const name = unit.toLowerCase()
  return MILLIS[name] ?? (name.endsWith("s") ? MILLIS[name.slice(0, -1)] : undefined)
}

/**
 * Parses a text: an amount and a unit, or ISO 8601 (`PT1M30S`); fails with what is allowed.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseText = (value: string): Result.Result<Duration.Duration, string> => {
  const text = value.trim()
  const amount = AMOUNT.exec(text)
  if (amount !== null) {
    const millis = millisOf(amount[2]!)
    return millis === undefined ? Result.fail(ALLOWED) : Result.succeed(Duration.millis(Number(amount[1]) * millis))
  }
  const iso = ISO.exec(text)
  if (iso === null || iso.slice(1).every((part) => part === undefined)) return Result.fail(ALLOWED)
  const [weeks, days, hours, minutes, seconds] = iso.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number
  ]
  return Result.succeed(Duration.seconds((((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds))
}

/**
 * Parses any form; a negative duration and `NaN` fail like an unknown form.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (input: DurationInput): Result.Result<Duration.Duration, string> => {
  if (typeof input === "string" && input !== "Infinity") return parseText(input)
  if (Number.isNaN(input)) return Result.fail(ALLOWED)
  return Result.filterOrFail(
    Result.fromOption(Duration.fromInput(input), () => ALLOWED),
    (duration) => !Duration.isNegative(duration),
    () => ALLOWED
  )
}

/**
 * Parses the duration of an option; fails with an error that names the option.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseOption = (option: string, input: DurationInput): Result.Result<Duration.Duration, InvalidOption> =>
  Result.mapError(parse(input), (allowed) => new InvalidOption({ option, problem: `allowed: ${allowed}` }))

/**
 * Parses the duration of an option like `parseOption`, but throws the `InvalidOption`.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseOptionUnsafe = (option: string, input: DurationInput): Duration.Duration =>
  Result.getOrThrow(parseOption(option, input))
