import * as Variable from "@effect-fileio/core/Variable"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Credentials } from "./credentials.ts"

export interface Endpoint {
  /** Address without a trailing slash. */
  readonly baseUrl: string
  /** `host[:port]` for messages. */
  readonly host: string
}

const LOOPBACK = /^(?:localhost|.+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i

const fail = (field: string, problem: string) => Result.fail({ field, problem })

/** Checks the address, and that no secret goes to it over plain HTTP. The error contains neither. */
export const make = (
  baseUrl: string | URL,
  { secretName }: Pick<Credentials, "secretName">,
  allowInsecureKey: boolean
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
  if (secretName !== undefined && url.protocol === "http:" && !LOOPBACK.test(url.hostname) && !allowInsecureKey) {
    return fail(
      "baseUrl",
      `the ${secretName} would go to ${url.host} unencrypted; use https://, or allow it with allowInsecureKey (FILEIO_ALLOW_INSECURE_KEY)`
    )
  }
  return Result.succeed({
    baseUrl: (url.origin + url.pathname).replace(/\/+$/, ""),
    host: url.host
  })
}
