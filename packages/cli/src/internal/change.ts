/** The commands `update` and `replace`. */
import * as FileKey from "@effect-fileio/core/FileKey"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as JsonLine from "../JsonLine.ts"
import * as Encryption from "./encryption.ts"
import { fromError, usage } from "./problem.ts"
import { finish, Report } from "./report.ts"
import type { Runner } from "./services.ts"
import * as Session from "./session.ts"
import * as Settings from "./settings.ts"
import * as Source from "./source.ts"
import * as Text from "./text.ts"

export interface Input extends Encryption.EncryptInput {
  readonly key: string
  readonly expires: string | undefined
  readonly maxDownloads: string | undefined
  readonly keep: boolean | undefined
  readonly file: string | undefined
}

/** How new content is encrypted. The settings are for new content alone. */
const encryptionOf = Effect.fnUntraced(function*(input: Input, settings: Settings.Settings) {
  if (input.file === undefined) return yield* Encryption.forUpload(input, { ...settings, encrypt: undefined })
  const encryption = yield* Encryption.forUpload(input, settings)
  const isEncrypted = Result.getOrUndefined(FileKey.parse(input.key))?.opener !== undefined
  if (encryption === undefined && isEncrypted && !input.noEncrypt) {
    return yield* usage(
      "the link is of an encrypted file, and the new content would not be encrypted",
      "Nothing was sent. Give --encrypt, or --no-encrypt."
    )
  }
  return encryption
})

export const change = (operation: "update" | "replace"): Runner<Input> =>
  Effect.fnUntraced(function*(input) {
    const { expires, file, keep, key, maxDownloads } = input
    const report = yield* Report
    const limit = maxDownloads === undefined ? undefined : yield* Settings.maxDownloads(maxDownloads, "--max-downloads")
    const body = file === undefined ? undefined : yield* Source.bodyOf(file, {})
    const session = yield* Session.make("one")
    const encryption = yield* encryptionOf(input, session.settings)
    const { fileIo } = yield* session.open(key)
    const track = body === undefined ? undefined : yield* report.view.track(body.name, "sending")
    // Only what comes before the link can be interrupted: it may have the only secret of the new content.
    yield* Effect.gen(function*() {
      const details = yield* Effect.interruptible(fileIo[operation](key, {
        expires,
        maxDownloads: limit,
        autoDelete: keep === undefined ? undefined : !keep,
        file: body,
        encryption,
        onProgress: track?.listener
      }))
      if (track !== undefined) yield* track.end("done")
      const fields = JsonLine.fileFields(details)
      yield* report.result(
        operation === "update"
          ? { v: JsonLine.VERSION, type: "updated", ...fields }
          : { v: JsonLine.VERSION, type: "replaced", ...fields },
        Text.visible(details.link)
      ).pipe(Effect.catch((error) =>
        Effect.flatMap(
          report.lostLink(details.link, error, FileKey.withoutFragment(key)),
          (problem) => finish([problem])
        )
      ))
      const until = details.expires === null
        ? "never expires"
        : details.expires === undefined
        ? ""
        : `expires ${Text.time(DateTime.toDateUtc(details.expires))}`
      const left = details.downloadsLeft
      const downloads = left === undefined
        ? ""
        : left === "unlimited"
        ? "any number of downloads"
        : `${Text.plural(left, "download")} left`
      if (!report.flags.json) yield* report.note([downloads, until].filter((word) => word !== "").join(", "))
    }).pipe(
      Effect.catchTag("FileIoError", (error) =>
        Effect.gen(function*() {
          if (track !== undefined) yield* track.end("failed")
          const problem = fromError(error)
          yield* report.problem(problem, FileKey.withoutFragment(key))
          yield* finish([problem])
        })),
      Effect.uninterruptible
    )
  })
