/**
 * Uploads that continue after a broken connection, by "Resumable Uploads for HTTP". Each is a resource with a secret address:
 * HEAD reports how much of it is stored, PATCH appends, DELETE cancels it. The response to its last request is that of an
 * ordinary upload, and is repeated for a client that lost it.
 *
 * An upload has one request at a time. A newer one ends the older first, so that the offset that it gets is the accepted one.
 * The generation of the upload keeps servers with a shared catalog apart.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import type { HttpServerRequest as Request } from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import { Blobs } from "../../Blobs.ts"
import { Catalog, type UploadRecord, type Uploads } from "../../Catalog.ts"
import * as ParseUpload from "../http/parseUpload.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import * as UploadFields from "../http/uploadFields.ts"
import { unreadUntil } from "../node/socket.ts"
import * as Exclusive from "./exclusive.ts"
import type { Storing, Target } from "./storing.ts"
import * as UploadContent from "./uploadContent.ts"
import * as UploadResponses from "./uploadResponses.ts"
import * as UploadTarget from "./uploadTarget.ts"

const ID_BYTES = 24
const BLOB_BYTES = 16

const found = (upload: Option.Option<UploadRecord>) =>
  Option.match(upload, { onNone: () => Effect.fail(Refusal.uploadNotFound), onSome: Effect.succeed })

/** A new upload, with a secret id. */
const makeUpload = Effect.fnUntraced(function*(
  { idPrefix }: Uploads,
  random: SecureRandom.SecureRandom["Service"],
  owner: string,
  first: UploadTarget.FirstRequest,
  length: number | null,
  ends: number
) {
  const blob = Buffer.from(yield* random.randomBytes(BLOB_BYTES)).toString("hex")
  const purpose = { owner, ...(first.target._tag === "change" ? { key: first.target.key } : {}) }
  const id = (idPrefix?.(purpose, blob) ?? "") + Buffer.from(yield* random.randomBytes(ID_BYTES)).toString("base64url")
  return { id, owner, request: yield* UploadTarget.encode(first), blob, length, ends }
})

/** Absent if the catalog or the store does not support it. */
export const make = Effect.fnUntraced(function*(storing: Storing) {
  const { uploads } = yield* Catalog
  const { unfinished } = yield* Blobs
  const random = yield* SecureRandom.SecureRandom
  const { uploadLifetime } = yield* Settings
  const responses = yield* UploadResponses.make
  if (uploads === undefined || unfinished === undefined) return undefined
  const content = yield* UploadContent.make(storing, responses, uploads)
  const exclusive = Exclusive.make()

  /** Responds to a request to a complete upload. */
  const again = ({ file, id, length }: UploadRecord, request: Request, fields: UploadFields.UploadFields) =>
    Effect.suspend(() => {
      if (ParseUpload.hasBody(request)) return Effect.fail(Refusal.inconsistentLength)
      if (fields.isLast !== true || fields.offset !== length) return Effect.fail(Refusal.completed)
      return Effect.succeed(responses.completed(request, id, file!, length!))
    })

  /** Appends the body of a request that starts at an offset, and completes the upload if it is the last one. */
  const transfer = Effect.fnUntraced(function*(
    request: Request,
    id: string,
    fields: UploadFields.UploadFields,
    offset: number,
    status: 201 | 204,
    reading: Exclusive.Reading
  ) {
    const upload = yield* Effect.flatMap(uploads.begin(id), found)
    if (upload.file !== null) return yield* again(upload, request, fields)
    const blob = yield* unfinished(upload.blob, upload.state ?? undefined)
    if (offset !== blob.offset) return yield* Refusal.wrongOffset(blob.offset, offset)
    const length = yield* Effect.fromResult(UploadFields.lengthOf(fields, offset, upload.length))
    const first = yield* UploadTarget.decode(upload.request)
    if (length !== null && length > responses.maxBytes(upload.owner, first.form !== undefined)) {
      return yield* responses.tooLarge(upload.owner, length)
    }
    const active = { request, upload, first, blob }
    const total = yield* content.append(active, length, reading)
    const isLast = fields.isLast === true || (fields.endsByLength && total > 0 && total === length)
    if (!isLast) return responses.appended(request, { ...upload, length }, total, status)
    if (length !== null && total !== length) return yield* Refusal.inconsistentLength
    return responses.completed(request, id, yield* content.complete(active, total), total)
  }, Effect.scoped)

  /** Creates an upload with the request for its target. */
  const create = Effect.fnUntraced(function*(
    request: Request,
    owner: string,
    target: Target,
    query: UploadTarget.Query
  ) {
    const fields = UploadFields.read(request.headers)
    const isForm = UploadTarget.isForm(request)
    // A form without a file is small, and continuing it would require how far its text was decoded.
    if (isForm && !ParseUpload.hasMultipartType(request)) return yield* Refusal.unsupported
    const old = target._tag === "change" ? yield* storing.changed(owner, target.key) : undefined
    yield* storing.granted(owner, target, query)
    const length = yield* Effect.fromResult(UploadFields.lengthOf(fields, 0, null))
    if (length !== null && length > responses.maxBytes(owner, isForm)) return yield* responses.tooLarge(owner, length)
    const first = yield* UploadTarget.of(request, target, query, old?.name)
    const ends = (yield* Clock.currentTimeMillis) + uploadLifetime
    const upload = yield* makeUpload(uploads, random, owner, first, length, ends)
    return yield* unreadUntil(
      NodeHttpServerRequest.toIncomingMessage(request).socket,
      exclusive(upload.id, (reading) =>
        Effect.andThen(
          uploads.create(upload),
          Effect.suspend(() => {
            if (ParseUpload.hasBody(request)) responses.inform(request, upload.id, owner)
            return transfer(request, upload.id, fields, 0, 201, reading)
          })
        ))
    )
  })

  /** The upload at an address, for its owner, or for the holder of the address. */
  const find = (id: string, account: string | undefined) =>
    Effect.flatMap(
      uploads.get(id),
      (upload) =>
        found(Option.filter(upload, ({ owner }) => account === undefined || owner === "" || owner === account))
    )

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
    const upload = yield* Effect.flatMap(uploads.begin(id), found)
    const { ends, length } = upload
    const lifetime = ends - (yield* Clock.currentTimeMillis)
    if (upload.file !== null) {
      return responses.state(request, upload, { file: upload.file, offset: length!, lifetime })
    }
    const blob = yield* unfinished(upload.blob, upload.state ?? undefined)
    const { size, state } = yield* blob.sync
    yield* uploads.record(upload, { received: size, state: state ?? null, length, ends })
    const isWhole = UploadFields.read(request.headers).endsByLength && size > 0 && size === length
    const file = isWhole
      ? yield* content.complete({ request, upload, first: yield* UploadTarget.decode(upload.request), blob }, size)
      : null
    return responses.state(request, upload, { file, offset: size, lifetime })
  }, Effect.scoped)

  const head = (request: Request, id: string, account: string | undefined) =>
    Effect.andThen(find(id, account), exclusive(id, () => stateOf(request, id)))

  const remove = (id: string, account: string | undefined) =>
    Effect.andThen(find(id, account), exclusive(id, () => Effect.as(uploads.remove(id), responses.removed)))

  const { advertise, options } = responses
  return { create, patch, head, remove, options, advertise }
})
