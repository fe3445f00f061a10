/**
 * The deletion tokens of uploads without an account, so that `fileio delete LINK` works for their sender. Each is a file of
 * this user beside the notes of unfinished uploads. Its name has a hash of the file's key, and its content the token and the
 * hosts that may get it: so a reader of the folder learns no link, and can delete nothing without one. `upload` keeps them,
 * `delete` uses them.
 */
import { makeFolder } from "@effect-fileio/client/Platform"
import type { FileDetails } from "@effect-fileio/core/FileDetails"
import * as FileKey from "@effect-fileio/core/FileKey"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { Report } from "./report.ts"
import * as Settings from "./settings.ts"

const Kept = Schema.fromJsonString(Schema.Struct({
  version: Schema.Literal(1),
  hosts: Schema.Array(Schema.String),
  token: Schema.String
}))
const encode = Schema.encodeSync(Kept)
const decode = Schema.decodeUnknownEffect(Kept)

/** `token-{hash of the key}-{when the file expires, in seconds, or 0}.json` */
const NAME = /^token-[0-9a-f]{32}-(\d{1,12})\.json$/

const prefixOf = (key: string): string =>
  `token-${createHash("sha256").update(`fileio token of ${key}`).digest("hex").slice(0, 32)}-`

const hasExpired = (name: string, now: number): boolean => {
  const expires = Number(NAME.exec(name)?.[1] ?? 0) * 1000
  return expires !== 0 && expires < now
}

const namesIn = (folder: string) =>
  FileSystem.FileSystem.use((fs) => Effect.orElseSucceed(fs.readDirectory(folder), (): Array<string> => []))

/** Keeps the token of an upload; removes those of files that have expired. */
export const keep = Effect.fnUntraced(function*(details: FileDetails, baseUrl: string) {
  const token = details.deleteToken
  if (token === undefined || token === null) return
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const report = yield* Report
  const folder = yield* Settings.notesFolder
  const now = yield* Clock.currentTimeMillis
  const expires = details.expires === undefined || details.expires === null
    ? 0
    : Math.ceil(DateTime.toEpochMillis(details.expires) / 1000)
  const hosts = [...new Set([baseUrl, FileKey.baseUrl(details.link) ?? baseUrl].map(Settings.normalize))]
  yield* Effect.gen(function*() {
    yield* makeFolder(folder, { mode: 0o700 })
    for (const name of yield* namesIn(folder)) {
      if (hasExpired(name, now)) yield* Effect.ignore(fs.remove(path.join(folder, name)))
    }
    const text = encode({ version: 1, hosts, token: Redacted.value(token) })
    // Created exclusively: an existing file or link would be somebody else's.
    yield* fs.writeFileString(path.join(folder, `${prefixOf(details.key)}${expires}.json`), text, {
      flag: "wx",
      mode: 0o600
    })
  }).pipe(
    Effect.catch((error) =>
      report.warn(
        `the token that deletes the file cannot be kept in ${folder} (${error.reason._tag}); --show-token shows it`
      )
    )
  )
})

/** The token that was kept for a file at a host; and removes it. */
export const find = Effect.fnUntraced(function*(key: string, baseUrl: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = yield* Settings.notesFolder
  const name = (yield* namesIn(folder)).find((name) => name.startsWith(prefixOf(key)) && NAME.test(name))
  if (name === undefined) return undefined
  const file = path.join(folder, name)
  const kept = yield* Effect.option(Effect.flatMap(fs.readFileString(file), decode))
  if (kept._tag === "None" || !kept.value.hosts.includes(Settings.normalize(baseUrl))) return undefined
  return { token: Redacted.make(kept.value.token), forget: Effect.ignore(fs.remove(file)) }
})
