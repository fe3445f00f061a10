/**
 * A blob in S3 that several requests append to, also at different servers: a multipart upload. Bytes that do not fill a part
 * yet are in a separate object, the tail, since S3 takes no small part except the last. The catalog stores the list of parts
 * and the tail, and only the server that has the upload can record them. A server that has lost the upload may still be
 * writing: so each tail is an object of its own that nothing overwrites, and a part is overwritten by the same bytes.
 */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
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
  tail: Schema.optionalKey(Schema.Struct({ name: Schema.String, etag: Schema.String, size: Schema.Finite })),
  /** The tail before this state. It is removed once the state is recorded, so by the next server that opens the blob. */
  replaced: Schema.optionalKey(Schema.String)
}))
const decode = Schema.decodeUnknownOption(State)
const encode = Schema.encodeSync(State)

const isMissing = ({ code }: BlobsError): boolean => code === "ENOENT"

/**
 * Parts or the tail are gone: somebody aborted the multipart upload, or a server that has lost the upload replaced a part. That
 * has another ETag then, even with the same bytes if the store encrypts them with keys of its own (SSE-KMS).
 */
const LOST: ReadonlySet<string | undefined> = new Set([
  "NoSuchUpload",
  "InvalidPart",
  "PreconditionFailed",
  "NoSuchTail"
])
const orLost = <A>(effect: Effect.Effect<A, BlobsError>): Effect.Effect<A, BlobsError> =>
  Effect.mapError(
    effect,
    (error) => LOST.has(error.code) ? new BlobsError({ ...error, cause: error.cause, reason: "lost" }) : error
  )
const noTail = (cause: unknown) =>
  cause instanceof Error && cause.name === "NoSuchKey"
    ? new BlobsError({ operation: "write a blob", code: "NoSuchTail", cause })
    : cause

/** Joins the parts of a blob. */
const complete = async (
  client: S3Client,
  object: { readonly Bucket: string; readonly Key: string },
  UploadId: string,
  etags: ReadonlyArray<string>,
  size: number
): Promise<void> => {
  const Parts = etags.map((ETag, index) => ({ ETag, PartNumber: index + 1 }))
  try {
    await client.send(new CompleteMultipartUploadCommand({ ...object, UploadId, MultipartUpload: { Parts } }))
  } catch (cause) {
    // The response was lost, and the SDK has asked again: the upload is complete, so the store does not know it any more.
    if (!(cause instanceof Error) || cause.name !== "NoSuchUpload") throw cause
    const { ContentLength } = await client.send(new HeadObjectCommand(object))
    if (ContentLength !== size) throw cause
  }
}

/** A blob that is complete already: the server ended before the catalog had the file. */
const whole = (size: number): Unfinished => ({
  offset: size,
  write: () => Effect.fail(BlobsError.from("write a blob", new Error("the blob is finished"))),
  progress: Effect.succeed({ size }),
  sync: Effect.succeed({ size }),
  finish: Effect.void
})

/** Opens the blob in the state that the catalog has recorded. `unique` is a name that no tail has yet. */
export const open = Effect.fnUntraced(function*(
  bucket: S3Bucket.Bucket,
  spool: Spool,
  id: string,
  unique: string,
  recorded: string | undefined
): Effect.fn.Return<Unfinished, BlobsError, Scope.Scope> {
  const { aside, call, client, send, slot } = bucket.store
  const object = S3Bucket.objectOf(bucket, id)
  const tailObject = (name: string) => S3Bucket.tailOf(bucket, id, name)
  const removeTails = async (...names: ReadonlyArray<string | undefined>): Promise<void> => {
    for (const name of new Set(names)) {
      // What stays is removed when the store is tidied.
      if (name !== undefined) await client.send(new DeleteObjectCommand(tailObject(name))).catch(() => {})
    }
  }
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
  let tails = 0
  yield* aside(Effect.promise(() => removeTails(before?.replaced)))
  /** Whether the spool has the tail's bytes, and those after it. */
  let isLoaded = tail === undefined

  const stored = (): Progress => ({
    size: parts.length * PART_BYTES + (tail?.size ?? 0),
    state: encode({
      parts,
      ...(upload === undefined ? {} : { upload }),
      ...(tail === undefined ? {} : { tail }),
      ...(before?.tail === undefined || before.tail === tail ? {} : { replaced: before.tail.name })
    })
  })

  const load = async (): Promise<void> => {
    if (isLoaded) return
    const { etag, name, size } = tail!
    const { Body } = await client.send(new GetObjectCommand({ ...tailObject(name), IfMatch: etag })).catch((cause) => {
      throw noTail(cause)
    })
    const bytes = await Body?.transformToByteArray()
    if (bytes?.length !== size) throw new Error(`the store gave ${bytes?.length ?? 0} of the ${size} bytes of a tail`)
    await spool.append(bytes)
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
    const name = `${unique}-${++tails}`
    const { ETag } = await client.send(new PutObjectCommand({ ...tailObject(name), Body }))
    if (ETag === undefined) throw new Error("the store did not say that it has a part")
    await spool.append(Body)
    tail = { name, etag: ETag, size: Body.length }
  }

  const finish = async (): Promise<void> => {
    await load()
    const size = parts.length * PART_BYTES + spool.size()
    // Sending the last part clears the tail.
    const lastTail = tail?.name
    const rest = await spool.take()
    if (upload === undefined) await client.send(new PutObjectCommand({ ...object, Body: rest }))
    else {
      if (rest.length > 0) await sendPart(rest)
      await complete(client, object, upload, parts, size)
    }
    await removeTails(before?.tail?.name, lastTail)
  }

  return {
    offset: stored().size,
    write: (bytes) => orLost(send("write a blob", () => append(bytes))),
    progress: Effect.sync(stored),
    sync: Effect.map(send("write a blob", () => slot(keepTail)), stored),
    finish: orLost(send("finish a blob", () => slot(finish)))
  }
})
