/** Parses the body of an error response leniently: numbers and booleans may be text, and a field of another type is ignored. */
import * as ErrorEnvelope from "@effect-fileio/core/ErrorEnvelope"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as ParseJson from "./parseJson.ts"

const NO = new Set<unknown>([false, 0, "false", "0", "no"])

const lower = (value: unknown): unknown => typeof value === "string" ? value.trim().toLowerCase() : value

const numberOf = (value: unknown): number | undefined =>
  typeof value === "number" || (typeof value === "string" && /^\s*\d{1,15}\s*$/.test(value)) ? Number(value) : undefined

const textOf = (value: unknown): string | undefined => typeof value === "string" ? value : undefined

const FIELDS = new Set(Object.keys(ErrorEnvelope.ErrorEnvelope.fields))

/**
 * Whether a response says that the call failed: by `success`, or, without it, by a status and nothing else.
 */
const isRefusal = (value: Readonly<Record<string, unknown>>): boolean => {
  const { error, status, success } = value
  if (success !== undefined && success !== null) return NO.has(lower(success))
  return [status, error].some((code) => (numberOf(code) ?? 0) >= 400) &&
    Object.keys(value).every((name) => FIELDS.has(name))
}

/** The fields that have a value. */
const present = <A extends object>(fields: A): { readonly [K in keyof A]?: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never

/** Parses an error response from JSON; `undefined` if it is none. */
export const of = (value: unknown): ErrorEnvelope.ErrorEnvelope | undefined => {
  if (!Predicate.isObject(value) || !isRefusal(value as Readonly<Record<string, unknown>>)) return undefined
  const fields = value as Readonly<Record<string, unknown>>
  return new ErrorEnvelope.ErrorEnvelope({
    success: false,
    ...present({
      status: numberOf(fields["status"]),
      error: numberOf(fields["error"]) ?? textOf(fields["error"]),
      code: textOf(fields["code"]),
      message: textOf(fields["message"]),
      limit: textOf(fields["limit"]),
      asked: numberOf(fields["asked"]),
      allowed: numberOf(fields["allowed"])
    })
  })
}

/** Parses an error response from text; `undefined` if it is none. */
export const parse = (text: string): ErrorEnvelope.ErrorEnvelope | undefined => {
  const value = ParseJson.parse(text)
  return Result.isSuccess(value) ? of(value.success) : undefined
}
