/** In place of the client's credentials: a receiver has no key, so what a host says contains none. */
import * as PlainText from "@effect-fileio/core/PlainText"
import * as Result from "effect/Result"

const credentials = {
  hasKey: false,
  fingerprint: undefined,
  secretName: undefined,
  authorize: <Headers>(headers: Headers): Headers => headers,
  quote: (text: string, most = 300): string =>
    PlainText.strip(text.slice(0, most).toWellFormed().replace(/\s+/g, " ")).trim()
}

export const make = () => Result.succeed(credentials)
