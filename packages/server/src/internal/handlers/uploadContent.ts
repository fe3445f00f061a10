/** The bytes of resumable uploads: appends them, and makes the file when all are stored. `resumable` calls it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Blobs, type Unfinished } from "../../Blobs.ts"
import type { UploadRecord, Uploads } from "../../Catalog.ts"
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
/** Bytes per read of a stored form. */
const READ_BYTES = 256 * 1024

/** An upload whose request is being handled. */
export interface Active {
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

export const make = Effect.fnUntraced(function*(storing: Storing, responses: UploadResponses, uploads: Uploads) {
  const blobs = yield* Blobs
  const { uploadLifetime } = yield* Settings

  /** Appends a body to the stored bytes, and records the progress, however it ends. Returns the number of stored bytes. */
  const append = Effect.fnUntraced(function*(
    { blob, first, request, upload }: Active,
    length: number | null,
    reading: Reading
  ) {
    const { owner } = upload
    const { contentLength } = UploadFields.read(request.headers)
    const { reserve } = yield* storing.limits(owner, contentLength ?? 0, 0)
    const most = responses.maxBytes(owner, first.form !== undefined)
    let total = blob.offset
    let recorded = total

    const record = (progress: typeof blob.progress) =>
      Effect.gen(function*() {
        const { size, state } = yield* progress
        recorded = total
        const ends = (yield* Clock.currentTimeMillis) + uploadLifetime
        yield* uploads.record(upload, { received: size, state: state ?? null, length, ends })
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
      if (total - recorded >= RECORD_BYTES) yield* record(blob.progress)
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

  return { append, complete }
})
