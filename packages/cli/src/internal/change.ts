/** The commands `update` and `replace`. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as JsonLine from "../JsonLine.ts"
import { fromError } from "./problem.ts"
import { finish, Report } from "./report.ts"
import type { Runner } from "./services.ts"
import * as Session from "./session.ts"
import * as Settings from "./settings.ts"
import * as Source from "./source.ts"
import * as Text from "./text.ts"

export interface Input {
  readonly key: string
  readonly expires: string | undefined
  readonly maxDownloads: string | undefined
  readonly keep: boolean | undefined
  readonly file: string | undefined
}

export const change = (operation: "update" | "replace"): Runner<Input> =>
  Effect.fnUntraced(function*({ expires, file, keep, key, maxDownloads }) {
    const report = yield* Report
    const limit = maxDownloads === undefined ? undefined : yield* Settings.maxDownloads(maxDownloads, "--max-downloads")
    const body = file === undefined ? undefined : yield* Source.bodyOf(file, {})
    const session = yield* Session.make("one")
    const { fileIo } = yield* session.open(key)
    const track = body === undefined ? undefined : yield* report.view.track(body.name, "sending")
    yield* Effect.gen(function*() {
      const details = yield* fileIo[operation](key, {
        expires,
        maxDownloads: limit,
        autoDelete: keep === undefined ? undefined : !keep,
        file: body,
        onProgress: track?.listener
      })
      if (track !== undefined) yield* track.end("done")
      const fields = JsonLine.fileFields(details)
      yield* report.result(
        operation === "update"
          ? { v: JsonLine.VERSION, type: "updated", ...fields }
          : { v: JsonLine.VERSION, type: "replaced", ...fields },
        Text.visible(details.link)
      )
      const until = details.expires === null
        ? "never expires"
        : details.expires === undefined
        ? ""
        : `expires ${DateTime.formatIso(details.expires)}`
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
          yield* report.problem(problem, key)
          yield* finish([problem])
        }))
    )
  })
