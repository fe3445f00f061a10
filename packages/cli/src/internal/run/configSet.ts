import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Variable from "@effect-fileio/core/Variable"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { Edge } from "../edge.ts"
import { local, usage } from "../problem.ts"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"
import * as Settings from "../settings.ts"

export type Name = "base-url" | "key" | "key-command" | "expires" | "max-downloads"

const askKey = Effect.fnUntraced(function*(host: string) {
  const edge = yield* Edge
  const typed = edge.stdin.isTerminal
    ? yield* Effect.orElseSucceed(edge.stdin.ask(`API key for ${host} (not shown): `, true), () => "")
    : yield* Stream.mkString(Stream.decodeText(edge.stdin.bytes)).pipe(
      Effect.mapError((cause) => local("standard input cannot be read", "Nothing was stored.", cause))
    )
  const key = typed.trim()
  if (key === "") return yield* usage("no key was given", "Nothing was stored. Type it, or send it to standard input.")
  if (!/^[\x21-\x7E]+$/.test(key)) {
    return yield* usage("a key is one word of printable ASCII", "Nothing was stored. Copy it again.")
  }
  return key
})

export const run: Runner<{ readonly name: Name; readonly value: string | undefined }> = Effect.fnUntraced(
  function*({ name, value }) {
    const report = yield* Report
    const { baseUrl, file, path } = yield* Settings.resolve
    const host = Settings.normalize(baseUrl.value)
    if (name === "key") {
      if (value !== undefined) {
        return yield* usage(
          "a key on the command line is seen by everybody on this machine, and stays in the history",
          "Nothing was stored; take the line out of your history. Run \"fileio config set key\", which asks for it, or send it to standard input."
        )
      }
      const apiKey = yield* askKey(host)
      yield* Settings.write(path, { ...file, hosts: { ...file.hosts, [host]: { apiKey } } })
    } else if (value === undefined) {
      return yield* usage(`${name} needs a value`, `Give it: fileio config set ${name} VALUE`)
    } else if (name === "key-command") {
      yield* Settings.write(path, { ...file, hosts: { ...file.hosts, [host]: { apiKeyCommand: value } } })
    } else if (name === "base-url") {
      const address = Variable.address(value)
      if (Result.isFailure(address)) return yield* usage("base-url cannot be read", `Allowed: ${address.failure}`)
      yield* Settings.write(path, { ...file, baseUrl: Settings.normalize(value) })
    } else if (name === "expires") {
      const checked = FileSettings.parse({ expires: value })
      if (Result.isFailure(checked)) return yield* usage(`invalid expires: ${checked.failure.problem}`, "Correct it.")
      yield* Settings.write(path, { ...file, expires: value })
    } else {
      yield* Settings.maxDownloads(value, "max-downloads")
      yield* Settings.write(path, { ...file, maxDownloads: value })
    }
    yield* report.note(
      name === "key" || name === "key-command" ? `stored for ${host} in ${path}` : `stored in ${path}`
    )
  }
)
