import type { FileDetails } from "@effect-fileio/core/FileDetails"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileKey } from "@effect-fileio/core/FileKey"
import type { FileList } from "@effect-fileio/core/FileList"
import * as FileName from "@effect-fileio/core/FileName"
import * as PlainText from "@effect-fileio/core/PlainText"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { FileState, ListAllOptions, ListOptions, LostUpload } from "../../FileIo.ts"
import { toError } from "../request/retry.ts"
import { Failure, unexpected } from "../shared/failure.ts"

/** A page of the list, and the host's clock when it answered. */
export interface Page {
  readonly list: FileList
  readonly hostTime: number | undefined
}

/** The `Date` header has whole seconds, and an answer takes its time. */
const SLACK_MILLIS = 3000
/** Without a `Date` header the clocks may differ by so much. */
const BLIND_SLACK_MILLIS = 2 * 60 * 1000

/** The keys of uploads that are accounted for, so that no other upload adopts them; the newest ones. */
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

/** The words that find a name; none where a host could refuse them, or keeps the name in another form. */
const searchFor = (name: string): { readonly search?: string } =>
  PlainText.problem(name) === undefined && FileName.clean(name) === name ? { search: name } : {}

/**
 * Looks for the file of an upload whose answer was lost: by its name, its size and the time. Files that other uploads of
 * this service have got are left out.
 */
export const reconcile = (
  page: (options: ListOptions) => Effect.Effect<Page, FileIoError.FileIoError>,
  known: KnownKeys,
  upload: LostUpload
): Effect.Effect<Option.Option<FileDetails>, FileIoError.FileIoError> =>
  Effect.gen(function*() {
    const { hostTime, list } = yield* page({ ...searchFor(upload.name), sort: "-created", limit: 100 })
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
      const problem = `${found.length} files have this name, size and time, so it cannot be told which one it is`
      return yield* toError("list", unexpected(200, problem))
    }
    const file = found[0]
    if (file !== undefined) known.add(file.key)
    return Option.fromUndefinedOr(file)
  })

/** A host may need a moment to list what it has just stored. */
export const LOOKS = ["0 millis", "500 millis", "1500 millis"] as const

/** Looks several times before it says that the file is not there. */
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

/** The states of a file until it was taken or has expired. */
export const awaitDownloaded = (options: {
  readonly page: (options: ListOptions) => Effect.Effect<Page, FileIoError.FileIoError>
  readonly listAll: (options?: ListAllOptions) => Stream.Stream<FileDetails, FileIoError.FileIoError>
  readonly key: FileKey
  readonly every: Duration.Duration
}): Stream.Stream<FileState, FileIoError.FileIoError> => {
  const { every, key, listAll, page } = options
  const everywhere = Effect.map(
    Stream.runHead(Stream.filter(listAll(), (file) => file.key === key)),
    Option.getOrUndefined
  )
  const look = (before: FileDetails | undefined): Effect.Effect<FileDetails | undefined, FileIoError.FileIoError> =>
    before?.name === undefined
      ? everywhere
      : Effect.flatMap(page({ ...searchFor(before.name), limit: 100 }), ({ list }) => {
        const found = list.files.find((file) => file.key === key)
        // It may have got another name.
        return found === undefined ? everywhere : Effect.succeed(found)
      })

  const stateOf = (file: FileDetails, isThere: boolean, now: number): FileState => {
    const left = file.downloadsLeft
    if (left === 0) return { _tag: "Taken", file }
    const isExpired = file.expires != null && DateTime.toEpochMillis(file.expires) <= now
    if (isExpired) return { _tag: "Expired", file }
    return isThere ? { _tag: "Available", file } : { _tag: "Taken", file }
  }

  return Stream.paginate(
    undefined as FileDetails | undefined,
    Effect.fnUntraced(function*(before) {
      if (before !== undefined) yield* Effect.sleep(every)
      const found = yield* look(before)
      const file = found ?? before
      if (file === undefined) {
        return yield* toError("list", new Failure("refused", new FileIoError.FileNotFound({ key })))
      }
      const state = stateOf(file, found !== undefined, yield* Clock.currentTimeMillis)
      const isNews = before === undefined || state._tag !== "Available" || before.downloads !== file.downloads ||
        before.attempts !== file.attempts
      return [isNews ? [state] : [], state._tag === "Available" ? Option.some(file) : Option.none()] as const
    })
  )
}
