/**
 * The credentials of a service: the account's key and the caller's headers, such as those for a gateway. One value adds them to
 * a request, identifies the account for the rate limiter, and keeps them out of errors; nothing else has the key.
 */
import * as Variable from "@effect-fileio/core/Variable"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { makeSha256 } from "../shared/sha256.ts"
import * as Quoting from "./quote.ts"

export type Headers = Readonly<Record<string, string | Redacted.Redacted>>

export interface Credentials {
  /** Without a key, calls are anonymous. */
  readonly hasKey: boolean
  /** Distinguishes accounts without showing their keys; `undefined` without a key. */
  readonly fingerprint: string | undefined
  /** The name of a secret that a request over plain HTTP would reveal: `key`, or a header. */
  readonly secretName: string | undefined
  /** Adds the key and the headers to those of a request. */
  readonly authorize: (headers: Readonly<Record<string, string>>) => Readonly<Record<string, string>>
  /** Makes a host's text safe for an error: removes the key and the secret headers, among other things. */
  readonly quote: Quoting.Quote
}

interface Problem {
  readonly field: string
  readonly problem: string
}

/** Headers that the client or its transport sets; another value would change the meaning of a request. */
const OWN = new Set([
  "accept",
  "accept-encoding",
  "connection",
  "content-length",
  "content-type",
  "expect",
  "host",
  "if-range",
  "keep-alive",
  "proxy-authorization",
  "range",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
])

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const VALUE = /^[\t\x20-\x7E\x80-\xFF]*$/
/** Shorter values are not treated as secrets: hiding them would mangle errors. */
const MIN_SECRET_LENGTH = 6

/** Secrets to hide in errors: the value, and its decoded form if it is `Basic`. */
const secretsOf = (value: string): ReadonlyArray<string> => {
  const token = /^\S+ +(\S+)$/.exec(value)?.[1] ?? value
  const decoded = /^basic /i.test(value) ? Base64.decodeString(token) : undefined
  const pair = decoded !== undefined && Result.isSuccess(decoded) ? decoded.success : ""
  return [token, pair, pair.slice(pair.indexOf(":") + 1)].filter((secret) => secret.length >= MIN_SECRET_LENGTH)
}

/** Headers whose value is a secret, even if the caller gives it as plain text. */
const isSecret = (name: string): boolean => /^(?:authorization|cookie)$|secret|token|password|api-?key/.test(name)

/** The headers by lower-case names, and which of them are secrets. The error contains no value. */
const readHeaders = (
  headers: Headers,
  hasKey: boolean
): Result.Result<
  { readonly fields: Readonly<Record<string, string>>; readonly secretNames: ReadonlyArray<string> },
  Problem
> => {
  const fields: Record<string, string> = {}
  const secretNames: Array<string> = []
  for (const [given, of] of Object.entries(headers)) {
    const fail = (problem: string) => Result.fail({ field: "headers", problem })
    const name = given.toLowerCase()
    if (!NAME.test(name)) return fail("a name holds characters that a header cannot carry, or none")
    if (OWN.has(name)) return fail(`${name} is set by the client itself`)
    if (name === "authorization" && hasKey) {
      return fail("authorization carries the account's key already; leave out one of the two")
    }
    const value = String(Redacted.isRedacted(of) ? Redacted.value(of) : of).trim()
    if (!VALUE.test(value)) return fail(`the value of ${name} holds characters that a header cannot carry`)
    fields[name] = value
    if (Redacted.isRedacted(of) || isSecret(name)) secretNames.push(name)
  }
  return Result.succeed({ fields, secretNames })
}

const fingerprintOf = (key: string): string => {
  const hasher = makeSha256()
  hasher.update(new TextEncoder().encode(key))
  return hasher.digest()
}

/** Checks the key and the headers. Errors contain neither. */
export const make = (
  apiKey: Redacted.Redacted | undefined,
  headers: Headers
): Result.Result<Credentials, Problem> => {
  // Files and secret stores end it with a line break.
  const key = apiKey === undefined ? undefined : String(Redacted.value(apiKey)).trim()
  if (key !== undefined && !/^[\x21-\x7E]+$/.test(key)) {
    return Result.fail({
      field: "apiKey",
      problem: "it is empty, or holds spaces or characters that a header cannot carry"
    })
  }
  return Result.map(readHeaders(headers, key !== undefined), ({ fields, secretNames }): Credentials => {
    const all = key === undefined ? fields : { ...fields, authorization: `Bearer ${key}` }
    const secrets = secretNames.flatMap((name) => secretsOf(fields[name]!))
    return {
      hasKey: key !== undefined,
      fingerprint: key === undefined ? undefined : fingerprintOf(key),
      secretName: key === undefined ? secretNames[0] : "key",
      authorize: (headers) => ({ ...headers, ...all }),
      quote: Quoting.make(key === undefined ? secrets : [key, ...secrets])
    }
  })
}

/** The headers of `FILEIO_HEADERS`. */
export const config: Config.Config<Readonly<Record<string, Redacted.Redacted>>> =
  /* @__PURE__ */ (() =>
    Config.mapEffect(Variable.secret("FILEIO_HEADERS"), (text) => {
      const read = Variable.headers(text === undefined ? "" : Redacted.value(text))
      return Result.isSuccess(read)
        ? Effect.succeed(read.success)
        : Effect.fail(new Variable.InvalidVariable("FILEIO_HEADERS", `allowed: ${read.failure}`))
    }))()
