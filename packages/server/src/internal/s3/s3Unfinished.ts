/**
 * A blob in S3 that several requests append to, also at different servers: a multipart upload. Bytes that do not fill a part
 * yet are in a separate object, the tail, since S3 takes no small part except the last. The catalog stores the list of parts
 * and the tail: bytes that a server sent without recording them are overwritten by the one that continues.
 */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand
} from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { BlobsError, type Progress, type Unfinished } from "../../Blobs.ts"
import * as S3Bucket from "./s3Bucket.ts"
import { PART_BYTES } from "./s3Writer.ts"
import type { Spool } from "./spool.ts"

const State = Schema.fromJsonString(Schema.Struct({
  upload: Schema.optionalKey(Schema.String),
  /** The ETags of the parts, each of `PART_BYTES`. */
  parts: Schema.Array(Schema.String),
  tail: Schema.optionalKey(Schema.Struct({ etag: Schema.String, size: Schema.Finite }))
}))
const decode = Schema.decodeUnknownOption(State)
const encode = Schema.encodeSync(State)

const isMissing = ({ code }: BlobsError): boolean => code === "ENOENT"

/** A blob that is complete already: the server ended before the catalog had the file. */
const whole = (size: number): Unfinished => ({
  offset: size,
  write: () => Effect.fail(BlobsError.from("write a blob", new Error("the blob is finished"))),
  progress: Effect.succeed({ size }),
  sync: Effect.succeed({ size }),
  finish: Effect.void
})

/** Opens the blob in the state that the catalog has recorded. */
export const open = Effect.fnUntraced(function*(
  bucket: S3Bucket.Bucket,
  spool: Spool,
  id: string,
  recorded: string | undefined
): Effect.fn.Return<Unfinished, BlobsError, Scope.Scope> {
  const { call, client, send, slot } = bucket.store
  const object = S3Bucket.objectOf(bucket, id)
  const tailObject = S3Bucket.tailOf(bucket, id)
  const found = yield* Effect.catchIf(
    call("open an unfinished blob", (abortSignal) => client.send(new HeadObjectCommand(object), { abortSignal })),
    isMissing,
    () => Effect.undefined
  )
  if (found !== undefined) return whole(found.ContentLength ?? 0)
  yield* Effect.addFinalizer(() => Effect.promise(() => spool.close().catch(() => {})))

  const before = Option.getOrUndefined(decode(recorded))
  let upload = before?.upload
  const parts = [...before?.parts ?? []]
  let tail = before?.tail
  /** Whether the spool has the tail's bytes, and those after it. */
  let isLoaded = tail === undefined

  const stored = (): Progress => ({
    size: parts.length * PART_BYTES + (tail?.size ?? 0),
    state: encode({ parts, ...(upload === undefined ? {} : { upload }), ...(tail === undefined ? {} : { tail }) })
  })

  const load = async (): Promise<void> => {
    if (isLoaded) return
    const { Body } = await client.send(new GetObjectCommand({ ...tailObject, IfMatch: tail!.etag }))
    if (Body === undefined) throw new Error("the store gave no body")
    await spool.append(await Body.transformToByteArray())
    isLoaded = true
  }

  const sendPart = async (Body: Buffer): Promise<void> => {
    if (upload === undefined) {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(object))
      if (UploadId === undefined) throw new Error("the store began no upload")
      upload = UploadId
    }
    const PartNumber = parts.length + 1
    const { ETag } = await client.send(new UploadPartCommand({ ...object, UploadId: upload, PartNumber, Body }))
    if (ETag === undefined) throw new Error("the store did not say that it has a part")
    parts.push(ETag)
    tail = undefined
  }

  const append = async (bytes: Uint8Array): Promise<void> => {
    await load()
    for (let rest = bytes; rest.length > 0;) {
      const taken = rest.subarray(0, PART_BYTES - spool.size())
      await spool.append(taken)
      rest = rest.subarray(taken.length)
      if (spool.size() === PART_BYTES) await slot(async () => sendPart(await spool.take()))
    }
  }

  const keepTail = async (): Promise<void> => {
    if (!isLoaded || spool.size() === (tail?.size ?? 0)) return
    const Body = await spool.take()
    const { ETag } = await client.send(new PutObjectCommand({ ...tailObject, Body }))
    if (ETag === undefined) throw new Error("the store did not say that it has a part")
    await spool.append(Body)
    tail = { etag: ETag, size: Body.length }
  }

  const complete = async (size: number): Promise<void> => {
    const Parts = parts.map((ETag, index) => ({ ETag, PartNumber: index + 1 }))
    try {
      await client.send(
        new CompleteMultipartUploadCommand({ ...object, UploadId: upload, MultipartUpload: { Parts } })
      )
    } catch (cause) {
      // The response was lost, and the SDK has asked again: the upload is complete, so the store does not know it any more.
      if (!(cause instanceof Error) || cause.name !== "NoSuchUpload") throw cause
      const { ContentLength } = await client.send(new HeadObjectCommand(object))
      if (ContentLength !== size) throw cause
    }
  }

  const finish = async (): Promise<void> => {
    await load()
    const size = parts.length * PART_BYTES + spool.size()
    const rest = await spool.take()
    if (upload === undefined) await client.send(new PutObjectCommand({ ...object, Body: rest }))
    else {
      if (rest.length > 0) await sendPart(rest)
      await complete(size)
    }
    // Its bytes are in the blob. Otherwise it is removed with that.
    await client.send(new DeleteObjectCommand(tailObject)).catch(() => {})
  }

  return {
    offset: stored().size,
    write: (bytes) => send("write a blob", () => append(bytes)),
    progress: Effect.sync(stored),
    sync: Effect.map(send("write a blob", () => slot(keepTail)), stored),
    finish: send("finish a blob", () => slot(finish))
  }
})
