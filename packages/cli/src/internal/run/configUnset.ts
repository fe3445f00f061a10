import * as Effect from "effect/Effect"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"
import * as Settings from "../settings.ts"
import type { Name } from "./configSet.ts"

/** The field of the file, and whether it belongs to one host. */
const FIELDS = {
  "base-url": ["baseUrl", false],
  key: ["apiKey", true],
  "key-command": ["apiKeyCommand", true],
  expires: ["expires", false],
  "max-downloads": ["maxDownloads", false],
  encrypt: ["encrypt", false],
  proxy: ["proxy", false],
  "ca-cert": ["caCert", false],
  "client-cert": ["clientCert", true],
  "client-key": ["clientKey", true],
  "header-file": ["headerFile", true]
} as const satisfies Record<Name, readonly [field: string, isOfHost: boolean]>

const omit = (record: object, field: string) =>
  Object.fromEntries(Object.entries(record).filter(([name]) => name !== field))

const without = (file: Settings.File, name: Name, host: string): Settings.File => {
  const [field, isOfHost] = FIELDS[name]
  if (!isOfHost) return omit(file, field)
  const { hosts, ...rest } = file
  const mine = omit(hosts?.[host] ?? {}, field)
  const left = { ...omit(hosts ?? {}, host), ...(Object.keys(mine).length === 0 ? {} : { [host]: mine }) }
  return Object.keys(left).length === 0 ? rest : { ...rest, hosts: left }
}

export const run: Runner<{ readonly name: Name }> = Effect.fnUntraced(function*({ name }) {
  const report = yield* Report
  const { baseUrl, file, path } = yield* Settings.resolve
  yield* Settings.write(path, without(file, name, Settings.normalize(baseUrl.value)))
  yield* report.note(`removed from ${path}`)
})
