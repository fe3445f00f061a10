import * as Variable from "@effect-fileio/core/Variable"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as ExtraHeaders from "./extraHeaders.ts"
import * as Quoting from "./quote.ts"

/** The host's address, the key, and the headers of every request. */
export interface Endpoint {
  /** Address without a trailing slash. */
  readonly baseUrl: string
  /** `host[:port]` for messages. */
  readonly host: string
  readonly apiKey: Redacted.Redacted | undefined
  readonly headers: Readonly<Record<string, string>>
  /** Makes a host's text safe for an error: removes the key, among other things. */
  readonly quote: Quoting.Quote
}

const LOOPBACK = /^(?:localhost|.+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i

const fail = (field: string, problem: string) => Result.fail({ field, problem })

/** Checks the address, the key and the headers. The error contains none of them. */
export const make = (
  baseUrl: string | URL,
  apiKey: Redacted.Redacted | undefined,
  allowInsecureKey: boolean,
  headers: ExtraHeaders.Headers
): Result.Result<Endpoint, { readonly field: string; readonly problem: string }> => {
  const text = String(baseUrl).trim()
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    return fail(
      "baseUrl",
      `allowed: ${Result.getFailure(Variable.address(text)).pipe(Option.getOrElse(() => "https://"))}`
    )
  }
  if (url.username !== "" || url.password !== "") {
    return fail("baseUrl", "it holds a user name or password; give the key as apiKey (FILEIO_API_KEY)")
  }
  if (url.search !== "" || url.hash !== "") return fail("baseUrl", "it may have neither a query nor a fragment")
  // Files and secret stores append a line break.
  const key = apiKey === undefined ? undefined : Redacted.value(apiKey).trim()
  if (key !== undefined && !/^[\x21-\x7E]+$/.test(key)) {
    return fail("apiKey", "it is empty, or holds spaces or characters that a header cannot carry")
  }
  const extra = ExtraHeaders.read(headers, key !== undefined)
  if (Result.isFailure(extra)) return Result.fail(extra.failure)
  const { fields, secret, secrets } = extra.success
  const secretName = key === undefined ? secret : "key"
  if (secretName !== undefined && url.protocol === "http:" && !LOOPBACK.test(url.hostname) && !allowInsecureKey) {
    return fail(
      "baseUrl",
      `the ${secretName} would go to ${url.host} unencrypted; use https://, or allow it with allowInsecureKey (FILEIO_ALLOW_INSECURE_KEY)`
    )
  }
  return Result.succeed({
    baseUrl: (url.origin + url.pathname).replace(/\/+$/, ""),
    host: url.host,
    apiKey: key === undefined ? undefined : Redacted.make(key),
    headers: {
      "user-agent": "effect-fileio",
      ...fields,
      // The bytes of a file must not be encoded, so that they can be counted and resumed.
      "accept-encoding": "identity",
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` })
    },
    quote: Quoting.make(key === undefined ? secrets : [key, ...secrets])
  })
}
