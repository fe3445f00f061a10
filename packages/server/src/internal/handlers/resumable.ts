/**
 * Uploads that continue after a broken connection, by "Resumable Uploads for HTTP". Each is a resource with a secret address:
 * HEAD reports how much of it is stored, PATCH appends, DELETE cancels it. The response to its last request is that of an
 * ordinary upload, and is repeated for a client that lost it.
 *
 * An upload has one request at a time. A newer one ends the older first, so that the offset that it gets is the accepted one.
 * The generation of the upload keeps servers with a shared catalog apart.
 */
import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Blobs, type Unfinished } from "../../Blobs.ts"
import { Catalog, type FileRecord, type UploadRecord } from "../../Catalog.ts"
import * as Forwarded from "../http/forwarded.ts"
import * as Methods from "../http/methods.ts"
import * as ParseUpload from "../http/parseUpload.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import * as UploadFields from "../http/uploadFields.ts"
import * as Responses from "./responses.ts"
import type { Storing, Target } from "./storing.ts"

type Request = HttpServerRequest.HttpServerRequest
type Query = typeof FileSettings.FileSettingsFromFields.Type

const ID_BYTES = 24
const BLOB_BYTES = 16
/** Bytes between two records of the progress: a plan does not count these if the process is killed. */
const RECORD_BYTES = 16 * 1024 * 1024
/** Bytes per read of a stored form. */
const READ_BYTES = 256 * 1024

/** The first request of an upload, as the catalog stores it. */
const FirstRequest = Schema.fromJsonString(Schema.Struct({
  target: Schema.Union([
    Schema.TaggedStruct("new", { name: Schema.optionalKey(Schema.String) }),
    Schema.TaggedStruct("change", { key: Schema.String, resets: Schema.Boolean })
  ]),
  query: FileSettings.FileSettingsFromFields,
  /** The type of the form that the bytes are; absent if they are the file itself. */
  form: Schema.optionalKey(Schema.String),
  /** The name and the type of the file, if the bytes are the file itself. */
  name: Schema.String,
  mimeType: Schema.String
}))
type FirstRequest = typeof FirstRequest.Type
const encode = Schema.encodeEffect(FirstRequest)
const decode = Schema.decodeEffect(FirstRequest)

/** Reads a body until it ends, its connection breaks, or a newer request arrives. */
type Reading = <A, E, R>(read: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Refusal.Refusal, R>

/** Allows one request at a time for each upload; a newer one ends the older. */
const makeExclusive = () => {
  interface Holder {
    readonly end: Deferred.Deferred<void>
    readonly ended: Deferred.Deferred<void>
  }
  const holders = new Map<string, Holder>()
  /**
   * Only reading is interrupted: received bytes must be stored even if the connection breaks at once.
   */
  return <A, E, R>(id: string, run: (reading: Reading) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.uninterruptibleMask((restore) => {
      const older = holders.get(id)
      const mine: Holder = { end: Deferred.makeUnsafe(), ended: Deferred.makeUnsafe() }
      holders.set(id, mine)
      const supersede = older === undefined
        ? Effect.void
        : Effect.andThen(Deferred.succeed(older.end, undefined), Deferred.await(older.ended))
      const superseded = Effect.andThen(Deferred.await(mine.end), Effect.fail(Refusal.superseded))
      return Effect.andThen(supersede, run((read) => restore(Effect.raceFirst(read, superseded)))).pipe(
        Effect.ensuring(Effect.suspend(() => {
          if (holders.get(id) === mine) holders.delete(id)
          return Deferred.succeed(mine.ended, undefined)
        }))
      )
    })
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

const noContent = (headers: Record<string, string>) =>
  HttpServerResponse.empty({ status: 204, headers: { "cache-control": "no-store", ...headers } })

/** Absent if the catalog or the store does not support it. */
export const make = Effect.fnUntraced(function*(storing: Storing) {
  const catalog = yield* Catalog
  const blobs = yield* Blobs
  const random = yield* SecureRandom.SecureRandom
  const { baseOf, uploadLifetime } = yield* Settings
  const { details, planOf } = yield* Responses.make
  const { uploads } = catalog
  const { unfinished } = blobs
  if (uploads === undefined || unfinished === undefined) return undefined

  const exclusive = makeExclusive()
  // Without the host, so that it leads back the way the request came.
  const locationOf = (request: Request, id: string): string =>
    `${new URL(baseOf(request)).pathname.replace(/\/+$/, "")}/uploads/${id}`

  /** What a complete upload reports of its file, also to a client that lost the response with its details. */
  const fileHeaders = (request: Request, { key }: FileRecord) => ({ "file-link": `${baseOf(request)}/${key}` })

  const hex = (bytes: number, encoding: "hex" | "base64url") =>
    Effect.map(random.randomBytes(bytes), (value) => Buffer.from(value).toString(encoding))

  const maxBytes = (owner: string, isForm: boolean): number =>
    planOf(owner).maxUploadBytes + (isForm ? ParseUpload.MAX_OVERHEAD : 0)

  const tooLarge = (owner: string, asked: number): Refusal.Refusal => {
    const { maxUploadBytes } = planOf(owner)
    const refusal = Refusal.tooLarge("maxUploadBytes", asked, maxUploadBytes)
    return new Refusal.Refusal({
      ...refusal,
      headers: { "upload-limit": UploadFields.limit(maxUploadBytes, uploadLifetime) }
    })
  }

  const limitOf = (upload: Pick<UploadRecord, "owner" | "ends">, now: number): Record<string, string> => ({
    "upload-limit": UploadFields.limit(planOf(upload.owner).maxUploadBytes, upload.ends - now)
  })

  /** Appends a body to the stored bytes, and records the progress, however it ends. Returns the number of stored bytes. */
  const append = Effect.fnUntraced(function*(
    request: Request,
    upload: UploadRecord,
    first: FirstRequest,
    blob: Unfinished,
    length: number | null,
    reading: Reading
  ) {
    const { owner } = upload
    const { contentLength } = UploadFields.read(request.headers)
    const { reserve } = yield* storing.limits(owner, contentLength ?? 0, 0)
    const most = maxBytes(owner, first.form !== undefined)
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
      if (total > most) return yield* tooLarge(owner, total)
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
  const complete = Effect.fnUntraced(
    function*(request: Request, upload: UploadRecord, first: FirstRequest, blob: Unfinished, size: number) {
      const { id, owner } = upload
      const { form, mimeType, name, query } = first
      const target: Target = first.target
      const ends = (yield* Clock.currentTimeMillis) + uploadLifetime
      const completion = { id, generation: upload.generation, length: size, ends }
      if (size === 0) return yield* ParseUpload.empty
      if (form === undefined) {
        const writer = { id: upload.blob, finish: blob.finish, keep: Effect.void }
        const file = { writer, isRecorded: true, name, mimeType, size }
        return yield* storing.store(request, owner, target, { file, settings: query }, completion)
      }
      // Parses the form as if it had come in one request; its own bytes are removed in favour of the file's copy.
      const old = target._tag === "change" ? yield* storing.changed(owner, target.key) : undefined
      const most = yield* storing.limits(owner, size, size + (old?.size ?? 0))
      yield* blob.finish
      const headers = { "content-type": form, "content-length": String(size) }
      const body = { headers, stream: bytesOf(blobs, upload.blob, size) }
      return yield* storing.store(request, owner, target, yield* ParseUpload.receive(body, most, query), completion)
    }
  )

  /** A refusal is the target's response, and no further bytes will change it; a failure of the host may be temporary. */
  const completeOnce = (request: Request, upload: UploadRecord, first: FirstRequest, blob: Unfinished, size: number) =>
    Effect.tapError(
      complete(request, upload, first, blob, size),
      (problem) =>
        problem._tag === "Refusal" && problem.status < 500
          ? Effect.andThen(
            uploads.remove(upload.id),
            Effect.sync(() => Forwarded.setHeaders(request, UploadFields.stateHeaders({ isComplete: true })))
          )
          : Effect.void
    )

  /** Responds to a request to a complete upload. */
  const again = ({ file, length }: UploadRecord, request: Request, fields: UploadFields.UploadFields) =>
    Effect.suspend(() => {
      if (ParseUpload.hasBody(request)) return Effect.fail(Refusal.inconsistentLength)
      if (fields.isLast !== true || fields.offset !== length) return Effect.fail(Refusal.completed)
      Forwarded.setHeaders(request, {
        ...UploadFields.stateHeaders({ isComplete: true, offset: length! }),
        ...fileHeaders(request, file!)
      })
      return Effect.succeed(details(request, file!))
    })

  /** Appends the body of a request that starts at an offset, and completes the upload if it is the last one. */
  const transfer = Effect.fnUntraced(function*(
    request: Request,
    id: string,
    fields: UploadFields.UploadFields,
    offset: number,
    status: 201 | 204,
    reading: Reading
  ) {
    const found = yield* uploads.begin(id)
    if (Option.isNone(found)) return yield* Refusal.uploadNotFound
    const upload = found.value
    if (upload.file !== null) return yield* again(upload, request, fields)
    const blob = yield* unfinished(upload.blob, upload.state ?? undefined)
    if (offset !== blob.offset) return yield* Refusal.wrongOffset(blob.offset, offset)
    const length = yield* Effect.fromResult(UploadFields.lengthOf(fields, offset, upload.length))
    const first = yield* Effect.orDie(decode(upload.request))
    if (length !== null && length > maxBytes(upload.owner, first.form !== undefined)) {
      return yield* tooLarge(upload.owner, length)
    }
    const total = yield* append(request, upload, first, blob, length, reading)
    if (fields.isLast === true || (fields.endsByLength && total > 0 && total === length)) {
      if (length !== null && total !== length) return yield* Refusal.inconsistentLength
      const record = yield* completeOnce(request, upload, first, blob, total)
      Forwarded.setHeaders(request, {
        ...UploadFields.stateHeaders({ isComplete: true, offset: total }),
        ...fileHeaders(request, record)
      })
      return details(request, record)
    }
    const headers = {
      ...UploadFields.stateHeaders({ isComplete: false, offset: total, length }),
      ...limitOf({ ...upload, ends: uploadLifetime }, 0),
      "cache-control": "no-store",
      ...(status === 201 ? { location: locationOf(request, id) } : {})
    }
    return HttpServerResponse.empty({ status, headers })
  }, Effect.scoped)

  /** Creates an upload with the request for its target. */
  const create = Effect.fnUntraced(function*(request: Request, owner: string, target: Target, query: Query) {
    const fields = UploadFields.read(request.headers)
    const isForm = !ParseUpload.hasRawType(request)
    // A form without a file is small, and continuing it would require how far its text was decoded.
    if (isForm && !ParseUpload.hasMultipartType(request)) return yield* Refusal.unsupported
    const old = target._tag === "change" ? yield* storing.changed(owner, target.key) : undefined
    yield* storing.granted(owner, target, query)
    const length = yield* Effect.fromResult(UploadFields.lengthOf(fields, 0, null))
    if (length !== null && length > maxBytes(owner, isForm)) return yield* tooLarge(owner, length)
    const described = isForm ? { name: "", mimeType: "" } : yield* ParseUpload.describeRaw(request, {
      path: target._tag === "new" ? target.name : undefined,
      present: old?.name
    })
    const first: FirstRequest = {
      target: target._tag === "new" && target.name === undefined ? { _tag: "new" } : target as FirstRequest["target"],
      query,
      ...(isForm ? { form: request.headers["content-type"]! } : {}),
      ...described
    }
    const id = yield* hex(ID_BYTES, "base64url")
    const now = yield* Clock.currentTimeMillis
    const ends = now + uploadLifetime
    const upload = {
      id,
      owner,
      request: yield* Effect.orDie(encode(first)),
      blob: yield* hex(BLOB_BYTES, "hex"),
      length,
      ends
    }
    return yield* exclusive(id, (reading) =>
      Effect.andThen(
        uploads.create(upload),
        Effect.suspend(() => {
          if (ParseUpload.hasBody(request)) {
            UploadFields.inform(request, { location: locationOf(request, id), ...limitOf(upload, now) })
          }
          return transfer(request, id, fields, 0, 201, reading)
        })
      ))
  })

  /** The upload at an address, for its owner, or for the holder of the address. */
  const find = Effect.fnUntraced(function*(id: string, account: string | undefined) {
    const found = yield* uploads.get(id)
    return Option.isSome(found) && (account === undefined || found.value.owner === "" || found.value.owner === account)
      ? found.value
      : yield* Refusal.uploadNotFound
  })

  const patch = Effect.fnUntraced(function*(request: Request, id: string, account: string | undefined) {
    yield* find(id, account)
    const fields = UploadFields.read(request.headers)
    if ((request.headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase() !== UploadFields.PARTIAL) {
      return yield* Refusal.notPartial
    }
    const { offset } = fields
    if (offset === undefined || fields.isLast === undefined) return yield* Refusal.incompleteAppend
    return yield* exclusive(id, (reading) => transfer(request, id, fields, offset, 204, reading))
  })

  const stateOf = Effect.fnUntraced(function*(request: Request, id: string) {
    const found = yield* uploads.begin(id)
    if (Option.isNone(found)) return yield* Refusal.uploadNotFound
    const upload = found.value
    const now = yield* Clock.currentTimeMillis
    const { ends, length } = upload
    const completed = (file: FileRecord) =>
      noContent({
        ...UploadFields.stateHeaders({ isComplete: true, offset: length!, length }),
        ...fileHeaders(request, file),
        ...limitOf(upload, now)
      })
    if (upload.file !== null) return completed(upload.file)
    const blob = yield* unfinished(upload.blob, upload.state ?? undefined)
    const { size, state } = yield* blob.sync
    yield* uploads.record(upload, { received: size, state: state ?? null, length, ends })
    if (UploadFields.read(request.headers).endsByLength && size > 0 && size === length) {
      const first = yield* Effect.orDie(decode(upload.request))
      return completed(yield* completeOnce(request, upload, first, blob, size))
    }
    return noContent({
      ...UploadFields.stateHeaders({ isComplete: false, offset: size, length }),
      ...limitOf(upload, now)
    })
  }, Effect.scoped)

  const head = (request: Request, id: string, account: string | undefined) =>
    Effect.andThen(find(id, account), exclusive(id, () => stateOf(request, id)))

  const remove = (id: string, account: string | undefined) =>
    Effect.andThen(find(id, account), exclusive(id, () => Effect.as(uploads.remove(id), noContent({}))))

  /** Reports that uploads can be resumed, and the largest size. */
  const options = (request: Request, owner: string) =>
    noContent({
      allow: Methods.of(request).join(", "),
      "accept-patch": UploadFields.PARTIAL,
      ...limitOf({ owner, ends: uploadLifetime }, 0)
    })

  /** Adds this to the response of any request. */
  const advertise = (request: Request, owner: string): void =>
    Forwarded.setHeaders(request, limitOf({ owner, ends: uploadLifetime }, 0))

  return { create, patch, head, remove, options, advertise }
})
