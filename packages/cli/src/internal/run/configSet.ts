import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Variable from "@effect-fileio/core/Variable"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Network from "../network.ts"
import { local, usage } from "../problem.ts"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"
import * as Settings from "../settings.ts"
import { Stdio } from "../stdio.ts"

export type Name =
  | "base-url"
  | "key"
  | "key-command"
  | "expires"
  | "max-downloads"
  | "encrypt"
  | "proxy"
  | "ca-cert"
  | "client-cert"
  | "client-key"
  | "header-file"

/** Settings with a path that belong to one host. */
const HOST_FILES = { "client-cert": "clientCert", "client-key": "clientKey", "header-file": "headerFile" } as const

const askKey = Effect.fnUntraced(function*(host: string) {
  const stdio = yield* Stdio
  const typed = stdio.stdin.isTerminal
    ? yield* Effect.orElseSucceed(stdio.stdin.ask(`API key for ${host} (not shown): `, true), () => "")
    : yield* Stream.mkString(Stream.decodeText(stdio.stdin.bytes)).pipe(
      Effect.mapError((cause) => local("standard input cannot be read", "Nothing was stored.", cause))
    )
  const key = typed.trim()
  if (key === "") return yield* usage("no key was given", "Nothing was stored. Type it, or send it to standard input.")
  if (!/^[\x21-\x7E]+$/.test(key)) {
    return yield* usage("a key is one word of printable ASCII", "Nothing was stored. Copy it again.")
  }
  return key
})

/** The host, if the setting was stored for one host only. */
const store = Effect.fnUntraced(function*(name: Name, value: string, path: string, file: Settings.File, host: string) {
  const { apiKey: _apiKey, apiKeyCommand: _command, ...others } = file.hosts?.[host] ?? {}
  const write = (changes: Partial<Settings.File>) => Settings.write(path, { ...file, ...changes })
  const ofHost = (changes: object) => write({ hosts: { ...file.hosts, [host]: { ...file.hosts?.[host], ...changes } } })
  switch (name) {
    case "key":
      return yield* write({ hosts: { ...file.hosts, [host]: { ...others, apiKey: value } } })
    case "key-command":
      return yield* write({ hosts: { ...file.hosts, [host]: { ...others, apiKeyCommand: value } } })
    case "base-url": {
      const address = Variable.address(value)
      if (Result.isFailure(address)) return yield* usage("base-url cannot be read", `Allowed: ${address.failure}`)
      return yield* write({ baseUrl: Settings.normalize(value) })
    }
    case "expires": {
      const checked = FileSettings.parse({ expires: value })
      if (Result.isFailure(checked)) return yield* usage(`invalid expires: ${checked.failure.problem}`, "Correct it.")
      return yield* write({ expires: value })
    }
    case "max-downloads":
      yield* Settings.maxDownloads(value, "max-downloads")
      return yield* write({ maxDownloads: value })
    case "encrypt":
      if (value !== "link" && value !== "none") return yield* usage("invalid encrypt", "Allowed: link, none.")
      return yield* write({ encrypt: value })
    case "proxy":
      return yield* write({ proxy: value.trim() })
    case "ca-cert":
      return yield* write({ caCert: yield* Network.stored(name, value) })
    case "client-cert":
    case "client-key":
    case "header-file":
      return yield* ofHost({ [HOST_FILES[name]]: yield* Network.stored(name, value) })
  }
})

export const run: Runner<{ readonly name: Name; readonly value: string | undefined }> = Effect.fnUntraced(
  function*({ name, value }) {
    const report = yield* Report
    const { baseUrl, file, path } = yield* Settings.resolve
    const host = Settings.normalize(baseUrl.value)
    if (name === "key" && value !== undefined) {
      return yield* usage(
        "a key on the command line is seen by everybody on this machine, and stays in the history",
        "Nothing was stored; take the line out of your history. Run \"fileio config set key\", which asks for it, or send it to standard input."
      )
    }
    if (name !== "key" && value === undefined) {
      return yield* usage(`${name} needs a value`, `Give it: fileio config set ${name} VALUE`)
    }
    yield* store(name, value ?? (yield* askKey(host)), path, file, host)
    const isOfHost = name === "key" || name === "key-command" || name in HOST_FILES
    yield* report.note(isOfHost ? `stored for ${host} in ${path}` : `stored in ${path}`)
  }
)
