/** Watches a file until somebody has downloaded it. */
import * as DurationInput from "@effect-fileio/core/DurationInput"
import type { FileDetails } from "@effect-fileio/core/FileDetails"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileKey } from "@effect-fileio/core/FileKey"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { FileState, ListAllOptions } from "../../FileIoModels.ts"
import { toError } from "../request/retry.ts"
import { Failure } from "../shared/failure.ts"
import type { GetPage } from "./list.ts"
import { searchFor } from "./reconcile.ts"
import { type Client, invalid, parseLink, relinked, requireKey } from "./shared.ts"

/** The states of a file until it was downloaded or has expired. */
export const states = (options: {
  readonly getPage: GetPage
  readonly listAll: (options?: ListAllOptions) => Stream.Stream<FileDetails, FileIoError.FileIoError>
  readonly key: FileKey
  readonly every: Duration.Duration
}): Stream.Stream<FileState, FileIoError.FileIoError> => {
  const { every, getPage, key, listAll } = options
  const everywhere = Effect.map(
    Stream.runHead(Stream.filter(listAll(), (file) => file.key === key)),
    Option.getOrUndefined
  )
  const look = (before: FileDetails | undefined): Effect.Effect<FileDetails | undefined, FileIoError.FileIoError> =>
    before?.name === undefined
      ? everywhere
      : Effect.flatMap(getPage({ ...searchFor(before.name), limit: 100 }), ({ list }) => {
        const found = list.files.find((file) => file.key === key)
        // The name may have changed.
        return found === undefined ? everywhere : Effect.succeed(found)
      })

  const stateOf = (file: FileDetails, isThere: boolean, now: number): FileState => {
    const left = file.downloadsLeft
    if (left === 0) return { _tag: "Downloaded", file }
    const isExpired = file.expires != null && DateTime.toEpochMillis(file.expires) <= now
    if (isExpired) return { _tag: "Expired", file }
    return isThere ? { _tag: "Available", file } : { _tag: "Downloaded", file }
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

export const make = (
  client: Client,
  getPage: GetPage,
  listAll: (options?: ListAllOptions) => Stream.Stream<FileDetails, FileIoError.FileIoError>
) =>
(
  keyOrLink: string,
  options?: { readonly every?: DurationInput.DurationInput | undefined }
): Stream.Stream<FileState, FileIoError.FileIoError> =>
  Stream.unwrap(Effect.gen(function*() {
    yield* requireKey(client, "list")
    const link = yield* parseLink("list", keyOrLink)
    const every = Option.filter(
      Result.getSuccess(DurationInput.parse(options?.every ?? "5 seconds")),
      Duration.isPositive
    )
    if (Option.isNone(every)) {
      return yield* invalid("list", "every", "allowed: a positive duration, such as 5 seconds")
    }
    return Stream.map(
      states({ getPage, listAll, key: link.key, every: every.value }),
      (state): FileState => ({ ...state, file: relinked(state.file, link) })
    )
  }))
