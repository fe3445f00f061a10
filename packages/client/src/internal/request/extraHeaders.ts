/** The caller's headers, for example for a gateway before the host. */
import * as Variable from "@effect-fileio/core/Variable"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"

export type Headers = Readonly<Record<string, string | Redacted.Redacted>>

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

/** Checks the headers, by lower-case names. The error contains no value. */
export const read = (
  headers: Headers,
  hasKey: boolean
): Result.Result<
  {
    readonly fields: Readonly<Record<string, string>>
    readonly secrets: ReadonlyArray<string>
    readonly secret?: string
  },
  Problem
> => {
  const fields: Record<string, string> = {}
  const secrets: Array<string> = []
  let secretName: string | undefined
  for (const [given, of] of Object.entries(headers)) {
    const fail = (problem: string) => Result.fail({ field: "headers", problem })
    const name = given.toLowerCase()
    if (!NAME.test(name)) return fail("a name holds characters that a header cannot carry, or none")
    if (OWN.has(name)) return fail(`${name} is set by the client itself`)
    if (name === "authorization" && hasKey) {
      return fail("authorization carries the account's key already; leave out one of the two")
    }
    const value = (Redacted.isRedacted(of) ? Redacted.value(of) : of).trim()
    if (!VALUE.test(value)) return fail(`the value of ${name} holds characters that a header cannot carry`)
    fields[name] = value
    if (!Redacted.isRedacted(of)) continue
    secretName = name
    secrets.push(...secretsOf(value))
  }
  return Result.succeed({ fields, secrets, ...(secretName === undefined ? {} : { secret: secretName }) })
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
