/** The bytes of resumable uploads: appends them, and makes the file when all are stored. `resumable` calls it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Blobs, type BlobsError, type Unfinished } from "../../Blobs.ts"
import type { CatalogError, UploadRecord, Uploads } from "../../Catalog.ts"
import * as Forwarded from "../http/forwarded.ts"
import * as ParseUpload from "../http/parseUpload.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import * as UploadFields from "../http/uploadFields.ts"
import * as DeleteToken from "./deleteToken.ts"
import type { Reading } from "./exclusive.ts"
import type { Storing } from "./storing.ts"
import type { UploadResponses } from "./uploadResponses.ts"
import type { FirstRequest } from "./uploadTarget.ts"

/** Bytes between two records of the progress: a plan does not count these if the process is killed. */
const RECORD_BYTES = 16 * 1024 * 1024
/**
 * The part of its lifetime after which an upload is recorded in any case: one whose bytes arrive slowly must not end meanwhile.
 */
const RECORD_PART = 1 / 4
/** Bytes per read of a stored form. */
const READ_BYTES = 256 * 1024

type Problem = Refusal.Refusal | CatalogError | BlobsError

/** An upload whose request is being handled. */
interface Active {
  readonly request: HttpServerRequest
  readonly upload: UploadRecord
  readonly first: FirstRequest
  readonly blob: Unfinished
}

/** The bytes of a blob, from the first one on. */
const bytesOf = (blobs: Blobs["Service"], id: string, size: number): ParseUpload.Body["stream"] =>
  Stream.unwrap(Effect.map(blobs.open(id), (reader) =>
    Stream.paginate(0, (position) =>
      Effect.promise(async () => {
        const buffer = new Uint8Array(Math.min(READ_BYTES, size - position))
        await reader.read(buffer, position)
        const next = position + buffer.length
        return [[buffer], next < size ? Option.some(next) : Option.none()] as const
      }))))

/**
 * Ends an upload whose bytes the store has lost, so that its client starts over; nothing came of it. A server that has lost the
 * upload itself cannot know that, and may end nothing: recording tells.
 */
const unlessLost = <A, R>(uploads: Uploads, { upload }: Active, effect: Effect.Effect<A, Problem, R>) =>
  Effect.catchIf(
    effect,
    (problem) => problem._tag === "BlobsError" && problem.reason === "lost",
    (problem) =>
      Effect.gen(function*() {
        const { ends, id, length } = upload
        yield* uploads.record(upload, { received: 0, state: null, length, ends })
        yield* uploads.remove(id)
        yield* Effect.logWarning("an upload starts over, since the store has lost its bytes", problem)
        return yield* Refusal.uploadNotFound
      })
  )

export const make = Effect.fnUntraced(function*(storing: Storing, responses: UploadResponses, uploads: Uploads) {
  const blobs = yield* Blobs
  const { uploadLifetime } = yield* Settings

  /** Bytes that the file of an upload takes the place of; none if that file was deleted meanwhile. */
  const freedBy = ({ owner }: UploadRecord, { target }: FirstRequest) =>
    target._tag === "new" ? Effect.succeed(0) : Effect.map(storing.changed(owner, target.key), ({ size }) => size).pipe(
      Effect.catchTag("Refusal", () => Effect.succeed(0))
    )

  /** Appends a body to the stored bytes, and records the progress, however it ends. Returns the number of stored bytes. */
  const append = Effect.fnUntraced(function*(
    { blob, first, request, upload }: Active,
    length: number | null,
    reading: Reading
  ) {
    const { owner } = upload
    const { contentLength } = UploadFields.read(request.headers)
    const { recorded: counted, reserve } = yield* storing.limits(
      owner,
      contentLength ?? 0,
      yield* freedBy(upload, first)
    )
    const most = responses.maxBytes(owner, first.form !== undefined)
    let total = blob.offset
    let recorded = total
    const clock = yield* Clock.Clock
    let recordedAt = clock.currentTimeMillisUnsafe()
    const isDue = () =>
      total - recorded >= RECORD_BYTES || clock.currentTimeMillisUnsafe() - recordedAt >= uploadLifetime * RECORD_PART
    /** Bytes that the catalog counts. */
    let known = total

    const record = (progress: typeof blob.progress) =>
      Effect.gen(function*() {
        const { size, state } = yield* progress
        recorded = total
        recordedAt = clock.currentTimeMillisUnsafe()
        const ends = recordedAt + uploadLifetime
        yield* uploads.record(upload, { received: size, state: state ?? null, length, ends })
        counted(Math.max(0, size - known))
        known = Math.max(known, size)
      })

    const take = Effect.fnUntraced(function*(chunk: Uint8Array) {
      total += chunk.length
      if (length !== null && total > length) {
        // The client sends something else than it declared; nothing can repair that later.
        yield* uploads.remove(upload.id)
        return yield* Refusal.inconsistentLength
      }
      if (total > most) return yield* responses.tooLarge(owner, total)
      yield* reserve(chunk.length)
      yield* blob.write(chunk)
      if (isDue()) yield* record(blob.progress)
    })

    const takeAll = Effect.forEach(take, { discard: true })
    // Bytes taken from the body must be written, wherever this is interrupted.
    const read = Stream.runForEachArray(
      ParseUpload.bodyOf(request).stream,
      (chunks) => Effect.uninterruptible(takeAll(chunks))
    )
    yield* reading(read).pipe(
      Effect.onExit((exit) =>
        Exit.isSuccess(exit)
          ? record(blob.sync)
          : Effect.ignore(takeAll(ParseUpload.restOf(request, exit, total - blob.offset))).pipe(
            Effect.andThen(Effect.ignore(record(Effect.catch(blob.sync, () => blob.progress))))
          )
      )
    )
    return total
  })

  /** Makes the file of an upload whose bytes are all stored. */
  const store = Effect.fnUntraced(function*({ blob, first, request, upload }: Active, size: number) {
    const { id, owner } = upload
    const { form, mimeType, name, query, target } = first
    const ends = (yield* Clock.currentTimeMillis) + uploadLifetime
    const options = {
      token: DeleteToken.ofUpload(id),
      completes: { id, generation: upload.generation, length: size, ends }
    }
    if (size === 0) return yield* ParseUpload.empty
    if (form === undefined) {
      const writer = { id: upload.blob, finish: blob.finish, keep: Effect.void }
      const file = { writer, isRecorded: true, name, mimeType, size }
      return yield* storing.store(request, owner, target, { file, settings: query }, options)
    }
    // Parses the form as if it had come in one request; its own bytes are removed in favour of the file's copy.
    const old = target._tag === "change" ? yield* storing.changed(owner, target.key) : undefined
    const most = yield* storing.limits(owner, size, size + (old?.size ?? 0))
    yield* blob.finish
    const headers = { "content-type": form, "content-length": String(size) }
    const body = { headers, stream: bytesOf(blobs, upload.blob, size) }
    return yield* storing.store(request, owner, target, yield* ParseUpload.receive(body, most, query), options)
  })

  /** A refusal is the target's response, and no further bytes will change it; a failure of the host may be temporary. */
  const complete = (active: Active, size: number) =>
    Effect.tapError(
      store(active, size),
      (problem) =>
        problem._tag === "Refusal" && problem.status < 500
          ? Effect.andThen(
            uploads.remove(active.upload.id),
            Effect.sync(() => Forwarded.setHeaders(active.request, UploadFields.stateHeaders({ isComplete: true })))
          )
          : Effect.void
    )

  return {
    append: (active: Active, length: number | null, reading: Reading) =>
      unlessLost(uploads, active, append(active, length, reading)),
    complete: (active: Active, size: number) => unlessLost(uploads, active, complete(active, size))
  }
})
