/** Finds the file of an upload whose response was lost. */
import type { FileDetails } from "@effect-fileio/core/FileDetails"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileKey } from "@effect-fileio/core/FileKey"
import * as FileName from "@effect-fileio/core/FileName"
import * as PlainText from "@effect-fileio/core/PlainText"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { LostUpload } from "../../FileIoModels.ts"
import * as Span from "../observe/span.ts"
import { toError } from "../request/retry.ts"
import { unexpected } from "../shared/failure.ts"
import type { GetPage } from "./list.ts"

/** The `Date` header has whole seconds, and a response takes time. */
const SLACK_MILLIS = 3000
/** Assumed difference of the clocks without a `Date` header, in milliseconds. */
const BLIND_SLACK_MILLIS = 2 * 60 * 1000

/** Keys of uploads whose result is known, so that no other upload adopts them; only the newest. */
const MAX_KNOWN = 10_000

export const makeKnownKeys = () => {
  const keys = new Set<FileKey>()
  return {
    add: (key: FileKey) => {
      keys.add(key)
      if (keys.size > MAX_KNOWN) keys.delete(keys.values().next().value!)
    },
    has: (key: FileKey) => keys.has(key)
  }
}

export type KnownKeys = ReturnType<typeof makeKnownKeys>

/** A search that finds the name; none if a host could refuse it, or stores the name in another form. */
export const searchFor = (name: string): { readonly search?: string } =>
  PlainText.problem(name) === undefined && FileName.clean(name) === name ? { search: name } : {}

/**
 * Looks for the file of an upload whose response was lost, by name, size and time. Ignores files that other uploads of this
 * service created.
 */
export const reconcile = (
  getPage: GetPage,
  known: KnownKeys,
  upload: LostUpload
): Effect.Effect<Option.Option<FileDetails>, FileIoError.FileIoError> =>
  Effect.gen(function*() {
    const { hostTime, list } = yield* getPage({ ...searchFor(upload.name), sort: "-created", limit: 100 })
    const now = yield* Clock.currentTimeMillis
    const skew = hostTime === undefined ? 0 : hostTime - now
    const slack = hostTime === undefined ? BLIND_SLACK_MILLIS : SLACK_MILLIS
    const earliest = DateTime.toEpochMillis(upload.sentAt) + skew - slack
    const names = [upload.name, FileName.clean(upload.name), FileName.sanitize(upload.name)]
    const found = list.files.filter((file) =>
      file.size === upload.size && names.includes(file.name ?? "") && !known.has(file.key) &&
      file.created != null && DateTime.toEpochMillis(file.created) >= earliest
    )
    if (found.length > 1) {
      const problem = `${found.length} files have this name, size and time; which one it is cannot be determined`
      return yield* toError("list", unexpected(200, problem))
    }
    const file = found[0]
    if (file !== undefined) known.add(file.key)
    return Option.fromUndefinedOr(file)
  })

/** A host may need a moment to list a file that it has just stored. */
const LOOKS = ["0 millis", "500 millis", "1500 millis"] as const

/** Looks several times before it reports that the file is not there. */
export const reconcilePatiently = (
  once: Effect.Effect<Option.Option<FileDetails>, FileIoError.FileIoError>
): Effect.Effect<Option.Option<FileDetails>, FileIoError.FileIoError> =>
  Effect.gen(function*() {
    for (const delay of LOOKS) {
      yield* Effect.sleep(delay)
      const found = yield* once
      if (Option.isSome(found)) return found
    }
    return Option.none()
  })

export const make = (getPage: GetPage, known: KnownKeys) =>
  Span.fn("FileIo.reconcile", "list", (lost: LostUpload) => reconcile(getPage, known, lost))
