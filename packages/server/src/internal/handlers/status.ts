/**
 * The status of a file, for its pages and for its sender: whether it can be downloaded, who is downloading it, and what became
 * of it. Asking takes nothing. Only the holder of its deletion token, and the browser that has just downloaded it, learn what
 * became of a file that is gone.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import { Catalog, type Fate, type FileRecord, type LeaseState, type Unavailable } from "../../Catalog.ts"
import * as Refusal from "../http/refusal.ts"
import * as Receiver from "../web/receiver.ts"
import * as DeleteToken from "./deleteToken.ts"
import * as Responses from "./responses.ts"

interface Status {
  readonly state: "available" | "downloading" | "interrupted" | Fate
  /** Whether it is this browser's own download, which it may begin again. */
  readonly yours?: boolean
  /** Seconds: until when this browser may begin again, or after which the file may be available again. */
  readonly seconds?: number | null
}

const seconds = (millis: number | null): number | null => millis === null ? null : Math.max(1, Math.ceil(millis / 1000))

/** What a receiver may know of a file before downloading it. */
const facts = (
  { attempts, downloads, expires, lastAttempt, maxDownloads, mimeType, name, size, title }: FileRecord
) => ({
  name,
  title,
  size,
  mimeType,
  expires: expires === null ? null : DateTime.formatIso(DateTime.makeUnsafe(expires)),
  downloads,
  maxDownloads,
  attempts,
  lastAttempt: lastAttempt === null ? null : DateTime.formatIso(DateTime.makeUnsafe(lastAttempt))
})

const response = ({ seconds = null, state, yours = false }: Status, file?: FileRecord) =>
  Responses.success({ state, yours, seconds, ...(file === undefined ? {} : facts(file)) })

/** The state for the holder of a lease. */
const ofHolder = ({ millisLeft, phase }: LeaseState): Status => ({
  state: phase === "flowing" ? "downloading" : phase === "broken" ? "interrupted" : "downloaded",
  yours: true,
  seconds: phase === "flowing" ? null : seconds(millisLeft)
})

/** A file that is kept although it has ended. */
const endOf = ({ downloads, maxDownloads }: FileRecord): Fate =>
  maxDownloads !== null && downloads >= maxDownloads ? "downloaded" : "expired"

export const make = Effect.gen(function*() {
  const catalog = yield* Catalog

  /** The file of a sender who proves to be it. */
  const ofSender = Effect.fnUntraced(function*(key: string, token: string, file: FileRecord | undefined) {
    if (file !== undefined) {
      if (!DeleteToken.matches(file.deleteHash, token)) return yield* Refusal.notFound(key)
      const now = yield* catalog.peek(key)
      return response(now._tag === "Gone" ? { state: endOf(file) } : ofAnybody(now), file)
    }
    const tombstone = Option.getOrUndefined(yield* catalog.tombstone(key))
    return DeleteToken.matches(tombstone?.deleteHash, token) && tombstone?.fate != null
      ? response({ state: tombstone.fate })
      : yield* Refusal.notFound(key)
  })

  const ofAnybody = (now: Exclude<Unavailable, { readonly _tag: "Gone" }> | { readonly _tag: "Available" }): Status =>
    now._tag === "Available"
      ? { state: "available" }
      : { state: "downloading", seconds: seconds(now.retryAfter) }

  const status = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest, key: string) {
    const file = Option.getOrUndefined(yield* catalog.get(key))
    const token = DeleteToken.of(request)
    if (token !== undefined) return yield* ofSender(key, token, file)
    const lease = Receiver.leaseOf(request, key)
    const held = lease === undefined ? Option.none() : yield* catalog.held(key, lease)
    if (Option.isSome(held)) return response(ofHolder(held.value), file)
    const now = file === undefined ? undefined : yield* catalog.peek(key)
    return now === undefined || now._tag === "Gone"
      ? yield* Refusal.notFound(key)
      : response(ofAnybody(now), file)
  })
  return status
})
