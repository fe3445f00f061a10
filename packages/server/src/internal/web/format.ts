/** Sizes, times and counts in the words of a language. */
import type { Language } from "./words/words.ts"

const memoized = <A>(make: (tag: string) => A): (language: Language) => A => {
  const made = new Map<string, A>()
  return ({ tag }) => {
    const known = made.get(tag) ?? make(tag)
    made.set(tag, known)
    return known
  }
}

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"]

/** Arabic has no short form that all of its readers know, and Intl has one for some of the units. */
const shortOf = (tag: string): "long" | "short" => tag === "ar" ? "long" : "short"

const units = memoized((tag) =>
  UNITS.map((unit, index) => ({
    fine: new Intl.NumberFormat(tag, {
      style: "unit",
      unit,
      unitDisplay: index === 0 ? "long" : shortOf(tag),
      maximumFractionDigits: index === 0 ? 0 : 1
    }),
    coarse: new Intl.NumberFormat(tag, { style: "unit", unit, unitDisplay: shortOf(tag), maximumFractionDigits: 0 })
  }))
)

/** Such as `1.5 MB`. */
export const size = (language: Language, bytes: number): string => {
  let value = bytes
  let unit = 0
  for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1000
  const { coarse, fine } = units(language)[unit]!
  return (value >= 99.5 && unit > 0 ? coarse : fine).format(value)
}

const numbers = memoized((tag) => new Intl.NumberFormat(tag))
export const number = (language: Language, value: number): string => numbers(language).format(value)

const bytesOf = memoized((tag) => new Intl.NumberFormat(tag, { style: "unit", unit: "byte", unitDisplay: "long" }))
/** Such as `1,234,567 bytes`. */
export const exactSize = (language: Language, bytes: number): string => bytesOf(language).format(bytes)

const times = memoized((tag) =>
  new Intl.DateTimeFormat(tag === "en" ? "en-GB" : tag, { dateStyle: "long", timeStyle: "short", timeZone: "UTC" })
)
export const dateAndTime = (language: Language, millis: number): string => times(language).format(millis)

/** A length of time, such as `2 weeks`. */
export const duration = ({ tag }: Language, count: number, unit: string): string =>
  new Intl.NumberFormat(tag, { style: "unit", unit, unitDisplay: "long" }).format(count)

/** A short length of time, such as `30 seconds` or `2 minutes`. */
export const wait = (language: Language, millis: number): string =>
  millis < 90_000
    ? duration(language, Math.max(1, Math.ceil(millis / 1000)), "second")
    : duration(language, Math.ceil(millis / 60_000), "minute")

const STEPS: ReadonlyArray<readonly [unit: Intl.RelativeTimeFormatUnit, millis: number]> = [
  ["year", 365.25 * 86_400_000],
  ["month", 30.4375 * 86_400_000],
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000]
]

const relative = memoized((tag) => new Intl.RelativeTimeFormat(tag))

/** Such as `in 14 days`. From two units on, so that rounding loses little. */
export const until = (language: Language, millis: number): string => {
  const words = relative(language)
  for (const [unit, length] of STEPS) {
    if (millis >= 1.9 * length) return words.format(Math.round(millis / length), unit)
  }
  return words.format(Math.max(1, Math.round(millis / 1000)), "second")
}

export const isoTime = (millis: number): string => {
  const iso = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium", timeZone: "UTC" })
  return `${iso.format(millis).replace(" ", "T")}Z`
}
