/** Writes an object of S3: a small one by one request, a larger one in parts that are sent while the next ones come in. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand
} from "@aws-sdk/client-s3"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Writer } from "../Blobs.ts"
import { within } from "./deadline.ts"
import type { S3Object } from "./s3Reader.ts"
import type { Store } from "./s3Store.ts"

/** S3 takes 10,000 parts, so 156 GiB; some stores want all parts but the last to be of one size. */
const PART_BYTES = 16 * 1024 * 1024

/** An object that is removed with the scope, unless it was finished and kept. */
export const make = Effect.fnUntraced(function*({ call, client, send, timeout }: Store, id: string, object: S3Object) {
  const parts: Array<{ readonly ETag: string; readonly PartNumber: number }> = []
  let gathered: Array<Uint8Array> = []
  let size = 0
  let sent = 0
  let upload: string | undefined
  let finishing = false
  let discarded = false
  let kept = false
  // One request at a time: a part is on its way while the next one is gathered.
  let running: Promise<void> = Promise.resolve()
  const discarding = new AbortController()
  const abortSignal = discarding.signal

  const start = (run: () => Promise<void>): Promise<void> => {
    if (discarded) throw new Error("the upload was given up")
    running = running.then(run)
    // A later call awaits it; without a listener until then, a failure would end the process.
    running.catch(() => {})
    return running
  }

  /** The last request ends first, as long as the store is not silent: else the object could be put there afterwards. */
  const discard = Effect.gen(function*() {
    discarded = true
    if (kept) return
    const settled = Effect.promise(() => running.catch(() => {}))
    yield* Effect.catch(within(settled, timeout, () => "late"), () => Effect.sync(() => discarding.abort()))
    if (finishing) {
      yield* Effect.ignore(
        call("remove a blob", (abortSignal) => client.send(new DeleteObjectCommand(object), { abortSignal }))
      )
    }
    if (upload !== undefined) {
      const UploadId = upload
      yield* Effect.ignore(
        call(
          "give an upload up",
          (abortSignal) => client.send(new AbortMultipartUploadCommand({ ...object, UploadId }), { abortSignal })
        )
      )
    }
  })
  // What is cut off here is found by the sweep, which knows of the blob since before it was finished.
  yield* Effect.addFinalizer(() => Effect.ignore(within(discard, Duration.times(timeout, 2), () => "late")))

  const take = (): Buffer => {
    const body = Buffer.concat(gathered, size)
    gathered = []
    sent += size
    size = 0
    return body
  }

  const begin = async (): Promise<string> => {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(object), { abortSignal })
    if (UploadId === undefined) throw new Error("the store began no upload")
    return UploadId
  }

  const sendPart = async (Body: Buffer): Promise<void> => {
    upload ??= await begin()
    const PartNumber = parts.length + 1
    const { ETag } = await client.send(new UploadPartCommand({ ...object, UploadId: upload, PartNumber, Body }), {
      abortSignal
    })
    if (ETag === undefined) throw new Error("the store did not say that it has a part")
    parts.push({ ETag, PartNumber })
  }

  /** For an answer that does not say whether the object is there. */
  const verify = async (doubt: Error): Promise<void> => {
    const { ContentLength } = await client.send(new HeadObjectCommand(object), { abortSignal })
    if (ContentLength !== sent) throw doubt
  }

  /** When the answer is lost and the SDK asks again, the store does not know the upload any more, since it is complete. */
  const complete = async (): Promise<void> => {
    try {
      const { ETag } = await client.send(
        new CompleteMultipartUploadCommand({ ...object, UploadId: upload, MultipartUpload: { Parts: parts } }),
        { abortSignal }
      )
      if (ETag === undefined) await verify(new Error("the store did not say that it has the object"))
    } catch (cause) {
      if (!(cause instanceof Error) || cause.name !== "NoSuchUpload") throw cause
      await verify(cause)
    }
    upload = undefined
  }

  const flush = send("write a blob", async () => {
    await running
    void start(() => sendPart(take()))
  })

  return {
    id,
    write: (bytes) =>
      Effect.suspend(() => {
        const room = PART_BYTES - size
        // All parts but the last are of one size.
        gathered.push(bytes.length <= room ? bytes : bytes.subarray(0, room))
        size += Math.min(bytes.length, room)
        if (size < PART_BYTES) return Effect.void
        const more = bytes.subarray(room)
        return Effect.andThen(
          flush,
          Effect.sync(() => {
            if (more.length > 0) gathered.push(more)
            size = more.length
          })
        )
      }),
    finish: send("finish a blob", async () => {
      await running
      await start(async () => {
        finishing = true
        if (upload === undefined) {
          await client.send(new PutObjectCommand({ ...object, Body: take() }), { abortSignal })
          return
        }
        if (size > 0) await sendPart(take())
        await complete()
      })
    }),
    keep: Effect.sync(() => {
      kept = true
    })
  } satisfies Writer
})
