import * as Effect from "effect/Effect"
import * as JsonLine from "../../JsonLine.ts"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"
import * as Settings from "../settings.ts"
import * as Text from "../text.ts"

const NOT_SET: Settings.Value = { value: "not set", from: "default" }

export const run: Runner<{}> = Effect.fnUntraced(function*() {
  const report = yield* Report
  const { baseUrl, encrypt, expires, key, maxDownloads, network, path } = yield* Settings.resolve
  const settings = [
    { name: "base-url", ...baseUrl },
    { name: "key", ...(key ?? NOT_SET) },
    { name: "expires", ...(expires ?? NOT_SET) },
    { name: "max-downloads", ...(maxDownloads ?? NOT_SET) },
    { name: "encrypt", ...(encrypt ?? NOT_SET) },
    ...network.map(([name, value]) => ({ name, ...(value ?? NOT_SET) }))
  ]
  const rows = settings.map(({ from, name, value }) => [name, value, `(${from})`])
  const [, ...lines] = Text.table(["", "", ""], rows, new Set())
  yield* report.result(
    { v: JsonLine.VERSION, type: "settings", file: path, settings },
    [...lines, `file: ${path}`].join("\n")
  )
})
