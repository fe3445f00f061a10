/** The command that repeats a stopped transfer, for an advice: with the flags that were given, and without secrets. */
import * as PlainText from "@effect-fileio/core/PlainText"
import * as Effect from "effect/Effect"
import * as Settings from "./settings.ts"
import * as Text from "./text.ts"

type Value = string | boolean | undefined | ReadonlyArray<string>

/** One flag, whose name is that of its field: `maxDownloads` is `--max-downloads`. */
const flag = ([field, value]: readonly [string, Value]): ReadonlyArray<string> => {
  const name = `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
  if (typeof value === "boolean") return value ? [name] : []
  const values = typeof value === "string" ? [value] : value ?? []
  // A value that begins with a hyphen would be another flag.
  return values.map((one) => `${name}${/^-./.test(one) ? "=" : " "}${Text.quoted(one)}`)
}

/** The value of a header may be a secret, and no output shows it. */
const withoutValue = (header: string): string => header.startsWith("@") ? header : header.replace(/:.*$/s, ": …")

/**
 * The command with its subject and all flags: without one of them, a file would go to another host, unencrypted or with other
 * settings, and an upload would start over.
 */
export const command = Effect.fnUntraced(function*(
  name: string,
  subject: string,
  flags: { readonly [field: string]: Value }
) {
  const { header, proxy, ...network } = yield* Settings.CurrentNetworkFlags
  const all: { readonly [field: string]: Value } = {
    ...flags,
    baseUrl: yield* Settings.BaseUrlFlag,
    proxy: proxy && Settings.withoutPassword(proxy),
    header: header.map(withoutValue),
    ...network
  }
  const words = ["fileio", name, Text.quoted(subject), ...Object.entries(all).flatMap(flag)]
  return PlainText.withoutSecrets(words.join(" "))
})
