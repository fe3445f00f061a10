import * as Duration from "effect/Duration"
import type { ResponseHead } from "./contentEncoding.ts"

/** An HTTP date starts with the day of the week; `Date.parse` alone would accept `-3` as a date. */
const parseDate = (value: string): number => /^[A-Z][a-z]{2,8},? /.test(value.trim()) ? Date.parse(value) : Number.NaN

/**
 * The wait of a `Retry-After` header: seconds, or a date. A date is compared with the host's own clock, the `Date` header, so
 * that a wrong local clock does not matter.
 */
export const parse = (headers: ResponseHead["headers"], nowMillis: number): Duration.Duration | undefined => {
  const value = headers["retry-after"]?.trim()
  if (value === undefined || value === "") return undefined
  if (/^\d+(?:\.\d+)?$/.test(value)) return Duration.seconds(Math.min(Number(value), 1e9))
  const until = parseDate(value)
  if (Number.isNaN(until)) return undefined
  const hostNow = parseDate(headers["date"] ?? "")
  return Duration.millis(Math.max(0, until - (Number.isNaN(hostNow) ? nowMillis : hostNow)))
}
