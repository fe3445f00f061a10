import * as Effect from "effect/Effect"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"
import * as Settings from "../settings.ts"
import type { Name } from "./configSet.ts"

const without = (file: Settings.File, name: Name, host: string): Settings.File => {
  const { baseUrl, expires, hosts, maxDownloads } = file
  const { [host]: mine, ...others } = hosts ?? {}
  const { apiKey, apiKeyCommand } = mine ?? {}
  const kept = {
    ...(apiKey === undefined || name === "key" ? {} : { apiKey }),
    ...(apiKeyCommand === undefined || name === "key-command" ? {} : { apiKeyCommand })
  }
  const rest = Object.keys(kept).length === 0 ? others : { ...others, [host]: kept }
  return {
    ...(baseUrl === undefined || name === "base-url" ? {} : { baseUrl }),
    ...(expires === undefined || name === "expires" ? {} : { expires }),
    ...(maxDownloads === undefined || name === "max-downloads" ? {} : { maxDownloads }),
    ...(Object.keys(rest).length === 0 ? {} : { hosts: rest })
  }
}

export const run: Runner<{ readonly name: Name }> = Effect.fnUntraced(function*({ name }) {
  const report = yield* Report
  const { baseUrl, file, path } = yield* Settings.resolve
  yield* Settings.write(path, without(file, name, Settings.normalize(baseUrl.value)))
  yield* report.note(`removed from ${path}`)
})
