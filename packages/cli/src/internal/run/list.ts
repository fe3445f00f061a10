import type * as FileIo from "@effect-fileio/client/FileIo"
import type { FileDetails } from "@effect-fileio/core/FileDetails"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as JsonLine from "../../JsonLine.ts"
import { usage } from "../problem.ts"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"
import * as Session from "../session.ts"
import * as Text from "../text.ts"

const HEAD = ["KEY", "NAME", "SIZE", "TAKEN", "EXPIRES"]
const RIGHT = new Set([2])
const PAGE = 100

const row = (file: FileDetails): ReadonlyArray<string> => [
  file.key,
  file.name ?? "",
  file.size === undefined ? "" : Text.bytes(file.size),
  `${file.downloads ?? 0} of ${file.maxDownloads === null ? "unlimited" : file.maxDownloads ?? "?"}`,
  file.expires === null
    ? "never"
    : file.expires === undefined
    ? file.expiry ?? ""
    : Text.time(DateTime.toDateUtc(file.expires))
]

const SORT = /^-?(?:name|size|expires|created|modified|downloads|maxDownloads|title|key|mimeType)$/

export const run: Runner<{
  readonly search: string | undefined
  readonly sort: string | undefined
  readonly offset: number | undefined
  readonly limit: number | undefined
  readonly all: boolean
}> = Effect.fnUntraced(function*({ all, limit, offset, search, sort }) {
  const report = yield* Report
  if (sort !== undefined && !SORT.test(sort)) {
    return yield* usage(
      `--sort ${sort} is no field`,
      "Allowed: name, size, expires, created, modified, downloads, maxDownloads, title, key, mimeType; a - before it reverses the order."
    )
  }
  if (all && limit !== undefined) return yield* usage("--all and --limit exclude each other", "Leave one of them out.")
  const options = { search, sort: sort as FileIo.ListOptions["sort"], offset }
  const session = yield* Session.make(all ? "many" : "one")
  const { fileIo } = yield* session.open()
  const files = all
    ? fileIo.listAll({ ...options, pageSize: PAGE })
    : Stream.unwrap(Effect.map(fileIo.list({ ...options, limit }), ({ files }) => Stream.fromIterable(files)))

  if (report.flags.json) {
    return yield* Stream.runForEach(
      files,
      (file) => report.result({ v: JsonLine.VERSION, type: "file", ...JsonLine.fileFields(file) }, "")
    )
  }
  const rows = Array.from(yield* Stream.runCollect(files), row)
  if (rows.length === 0) return yield* report.note("no files")
  yield* report.text(`${Text.table(HEAD, rows, RIGHT).join("\n")}\n`)
})
