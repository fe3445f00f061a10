/**
 * When a file expires: never, after a time period, or at a time. Parses every form of the API's documentation, writes
 * the wire form, and computes the moment of expiry.
 *
 * Source of the forms: the service's OpenAPI page (`^[1-9]\d*[yQMwdhms]$`, ISO 8601) and the reference wrapper's
 * documentation; a bare number of days is an older form of the API.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"

/**
 * The units of a time period: year, quarter, month, week, day, hour, minute, second. `M` is a month, `m` a minute.
 *
 * @category models
 * @since 0.1.0
 */
export const Unit = /* @__PURE__ */ Schema.Literals(["y", "Q", "M", "w", "d", "h", "m", "s"])

/**
 * @category models
 * @since 0.1.0
 */
export type Unit = typeof Unit.Type

/**
 * The file never expires.
 *
 * @category models
 * @since 0.1.0
 */
export class Never extends Schema.TaggedClass<Never>("@effect-fileio/core/Expires/Never")("Never", {}) {}

/** Approximate seconds per unit, to check the upper bound; `resolve` uses the calendar. */
const SECONDS: Record<Unit, number> = { y: 31557600, Q: 7889400, M: 2629800, w: 604800, d: 86400, h: 3600, m: 60, s: 1 }
const MAX_SECONDS = 1000 * SECONDS.y
const TOO_LONG = "the time period is longer than 1,000 years; use never"

// The wire form has four digits for the year.
const MIN_TIME = -62_167_219_200_000
const MAX_TIME = 253_402_300_799_999
const TOO_FAR = "the time is outside the years 0000 to 9999; use never"
const inYears = (millis: number): boolean => millis >= MIN_TIME && millis <= MAX_TIME

/**
 * The file expires `amount` units after the upload, at most 1,000 years.
 *
 * @category models
 * @since 0.1.0
 */
export class After extends Schema.TaggedClass<After>("@effect-fileio/core/Expires/After")(
  "After",
  Schema.Struct({
    amount: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: MAX_SECONDS })),
    unit: Unit
  }).check(Schema.makeFilter(({ amount, unit }) => amount * SECONDS[unit] <= MAX_SECONDS, { message: TOO_LONG }))
) {}

/**
 * The file expires at a point in time, in the years 0000 to 9999.
 *
 * @category models
 * @since 0.1.0
 */
export class At extends Schema.TaggedClass<At>("@effect-fileio/core/Expires/At")("At", {
  time: Schema.DateTimeUtc.check(
    Schema.makeFilter((time) => inYears(DateTime.toEpochMillis(time)), { message: TOO_FAR })
  )
}) {}

/**
 * When a file expires: never, some time after the upload, or at a point in time.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Expires = /* @__PURE__ */ Schema.Union([Never, After, At])

/**
 * @category models
 * @since 0.1.0
 */
export type Expires = typeof Expires.Type

/**
 * Every form that a caller may use:
 * - `"10m"`, `"2w"`, … (units `y Q M w d h m s`), in words (`"2 weeks"`), or a bare number of days as text;
 * - ISO 8601, basic (`"20221231T235959"`) or extended (`"2022-12-31T23:59:59.5+01:00"`, `"2022-12-31 23:59"`), in UTC
 *   if it has no zone; a space in place of the zone's `+` is accepted, since a query turns `+` into one;
 * - a date (`"2022-12-31"`), which means its end in UTC;
 * - a `Date`, a `DateTime`, a `Duration` (rounded up to whole seconds; infinite means never);
 * - `"never"`, `""` or `null`: never.
 *
 * @category models
 * @since 0.1.0
 */
export type Input = Expires | string | Date | DateTime.DateTime | Duration.Duration | null

/**
 * The file does not expire.
 *
 * @category constructors
 * @since 0.1.0
 */
export const never: Expires = new Never()

/**
 * The host's default for a new file, 14 days.
 *
 * @category constructors
 * @since 0.1.0
 */
export const hostDefault: Expires = /* @__PURE__ */ new After({ amount: 14, unit: "d" })

const ALLOWED =
  "allowed: a time period such as 10m, 12h or 2w (a whole number from 1 and one of y Q M w d h m s), an ISO 8601 time such as 2030-12-31T23:59:59Z, a date such as 2030-12-31, or never"

const PERIOD = /^([1-9]\d*)([yQMwdhms])$/
const DAYS = /^[1-9]\d*$/
/** A time period in words, as Effect and people write it. */
const WORDS = /^([1-9]\d*) ?(year|quarter|month|week|day|hour|minute|min|second|sec)s?$/i
const UNIT_OF: Readonly<Record<string, Unit>> = {
  year: "y",
  quarter: "Q",
  month: "M",
  week: "w",
  day: "d",
  hour: "h",
  minute: "m",
  min: "m",
  second: "s",
  sec: "s"
}
const EXTENDED =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?([Zz]|[+ -]\d{2}(?::?\d{2})?)?$/
const BASIC = /^(\d{4})(\d{2})(\d{2})[Tt](\d{2})(\d{2})(?:(\d{2})(?:[.,](\d{1,9}))?)?([Zz]|[+ -]\d{2}(?::?\d{2})?)?$/
const DATE = /^(\d{4}-\d{2}-\d{2})$/

const after = (digits: string, unit: Unit): Result.Result<Expires, string> => {
  const amount = Number(digits)
  return amount * SECONDS[unit] > MAX_SECONDS
    ? Result.fail(TOO_LONG)
    : Result.succeed(new After({ amount, unit }))
}

const offsetMinutes = (zone: string | undefined): number | undefined => {
  if (zone === undefined || zone === "Z" || zone === "z") return 0
  const hours = Number(zone.slice(1, 3))
  const minutes = Number(zone.slice(3).replace(":", "") || "0")
  if (hours > 23 || minutes > 59) return undefined
  return (zone[0] === "-" ? -1 : 1) * (hours * 60 + minutes)
}

const at = (millis: number): Result.Result<Expires, string> =>
  Number.isNaN(millis)
    ? Result.fail(`the Date is invalid; ${ALLOWED}`)
    : inYears(millis)
    ? Result.succeed(new At({ time: DateTime.makeUnsafe(millis) }))
    : Result.fail(TOO_FAR)

const EPOCH = /* @__PURE__ */ DateTime.makeUnsafe(0)

const isoTime = (match: RegExpExecArray): Result.Result<Expires, string> => {
  const [, y, mo, d, h, mi, s, fraction] = match
  const [year, month, day, hour, minute, second] = [y, mo, d, h, mi, s ?? 0].map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number
  ]
  const offset = offsetMinutes(match[8])
  const millis = Number(((fraction ?? "") + "000").slice(0, 3))
  const inRange = offset !== undefined && month >= 1 && month <= 12 && day >= 1 && hour <= 23 && minute <= 59 &&
    second <= 59
  const time = inRange
    ? DateTime.setPartsUtc(EPOCH, { year, month, day, hour, minute, second, millisecond: millis })
    : undefined
  // 30 February rolls over into March.
  return inRange && time !== undefined && DateTime.getPartUtc(time, "day") === day
    ? at(DateTime.toEpochMillis(time) - offset * 60_000)
    : Result.fail(`not a time that exists; ${ALLOWED}`)
}

const parseText = (text: string): Result.Result<Expires, string> => {
  if (text === "" || text === "never") return Result.succeed(never)
  const period = PERIOD.exec(text)
  if (period !== null) return after(period[1]!, period[2] as Unit)
  if (DAYS.test(text)) return after(text, "d")
  const words = WORDS.exec(text)
  if (words !== null) return after(words[1]!, UNIT_OF[words[2]!.toLowerCase()]!)
  const date = DATE.exec(text)?.[1]
  const iso = EXTENDED.exec(date === undefined ? text : `${date}T23:59:59.999Z`) ?? BASIC.exec(text)
  if (iso !== null) return isoTime(iso)
  return Result.fail(`not an expiry; ${ALLOWED}`)
}

const fromDuration = (duration: Duration.Duration): Result.Result<Expires, string> => {
  if (Duration.isGreaterThan(duration, Duration.zero) && !Duration.isFinite(duration)) return Result.succeed(never)
  const seconds = Math.ceil(Duration.toMillis(duration) / 1000)
  if (seconds < 1) return Result.fail("the duration is not positive; the shortest expiry is 1s")
  const unit = (["w", "d", "h", "m"] as const).find((unit) => seconds % SECONDS[unit] === 0) ?? "s"
  return after(String(seconds / SECONDS[unit]), unit)
}

const isExpires = /* @__PURE__ */ Schema.is(Expires)

/**
 * Parses any form of input; fails with a sentence that says what is allowed.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (input: Input): Result.Result<Expires, string> => {
  if (input === null) return Result.succeed(never)
  if (typeof input === "string") return parseText(input.trim())
  if (isExpires(input)) return Result.succeed(input)
  if (input instanceof Date) return at(input.getTime())
  if (DateTime.isDateTime(input)) return at(DateTime.toEpochMillis(input))
  if (Duration.isDuration(input)) return fromDuration(input)
  return Result.fail(`not an expiry; ${ALLOWED}`)
}

/**
 * The wire form: `""` for never, `"10m"` for a time period, extended ISO 8601 in UTC for a time.
 *
 * @category encoding
 * @since 0.1.0
 */
export const format = (self: Expires): string => {
  switch (self._tag) {
    case "Never":
      return ""
    case "After":
      return `${self.amount}${self.unit}`
    case "At":
      return DateTime.formatIso(self.time)
  }
}

/**
 * `Expires` to and from its wire form.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ExpiresFromString = /* @__PURE__ */ (() =>
  Schema.String.annotate({
    description: "An expiry: a time period, an ISO 8601 time, or empty for never"
  }).pipe(Schema.decodeTo(
    Schema.toType(Expires),
    SchemaTransformation.transformEffect({
      decode: (text: string, options) =>
        Result.match(parseText(text.trim()), {
          onFailure: (message) => Effect.fail(new SchemaIssue.InvalidValue({ message }, text, options)),
          onSuccess: (expires) => Effect.succeed(expires)
        }),
      encode: (expires: Expires) => Effect.succeed(format(expires))
    })
  )))()

/**
 * The moment of expiry of a file uploaded at `receivedAt`; `null` means never. Years, quarters and months follow the
 * calendar (one month after 31 January is the last of February).
 *
 * @category resolving
 * @since 0.1.0
 */
export const resolve = (self: Expires, receivedAt: DateTime.Utc): DateTime.Utc | null => {
  switch (self._tag) {
    case "Never":
      return null
    case "At":
      return self.time
    case "After": {
      const { amount, unit } = self
      switch (unit) {
        case "y":
          return DateTime.add(receivedAt, { years: amount })
        case "Q":
          return DateTime.add(receivedAt, { months: 3 * amount })
        case "M":
          return DateTime.add(receivedAt, { months: amount })
        default:
          return DateTime.add(receivedAt, { seconds: amount * SECONDS[unit] })
      }
    }
  }
}
