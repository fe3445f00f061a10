/**
 * Writes an object of S3: a small one with one request, a larger one in parts that are sent while the next ones arrive. A part
 * is collected in a file, so that idle uploads need no memory; a few parts of all uploads are in memory to be sent.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand
} from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import type { Writer } from "../../Blobs.ts"
import { within } from "../shared/deadline.ts"
import type { S3Object } from "./s3Reader.ts"
import type { Store } from "./s3Store.ts"
import type { Spool } from "./spool.ts"

/** S3 takes 10,000 parts, so 156 GiB; some stores want all parts but the last to have one size. */
export const PART_BYTES = 16 * 1024 * 1024

/** The requests that store an object: one, or one for each part and one that completes them. */
const requests = (client: S3Client, object: S3Object, abortSignal: AbortSignal) => {
  const parts: Array<{ readonly ETag: string; readonly PartNumber: number }> = []
  let sent = 0
  let upload: string | undefined

  const begin = async (): Promise<string> => {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(object), { abortSignal })
    if (UploadId === undefined) throw new Error("the store began no upload")
    return UploadId
  }

  const sendPart = async (Body: Buffer): Promise<void> => {
    sent += Body.length
    upload ??= await begin()
    const PartNumber = parts.length + 1
    const { ETag } = await client.send(new UploadPartCommand({ ...object, UploadId: upload, PartNumber, Body }), {
      abortSignal
    })
    if (ETag === undefined) throw new Error("the store did not say that it has a part")
    parts.push({ ETag, PartNumber })
  }

  /** For a response that does not say whether the object exists. */
  const verify = async (doubt: Error): Promise<void> => {
    const { ContentLength } = await client.send(new HeadObjectCommand(object), { abortSignal })
    if (ContentLength !== sent) throw doubt
  }

  /** When the response is lost and the SDK asks again, the store does not know the upload any more, since it is complete. */
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

  return {
    /** The multipart upload that was started and not completed. */
    unfinished: () => upload,
    sendPart,
    /** Stores the rest, after which the object exists. */
    finish: async (rest: Buffer): Promise<void> => {
      if (upload === undefined) {
        await client.send(new PutObjectCommand({ ...object, Body: rest }), { abortSignal })
        return
      }
      if (rest.length > 0) await sendPart(rest)
      await complete()
    }
  }
}

/** An object that is removed with the scope, unless it was finished and kept. */
export const make = Effect.fnUntraced(function*(
  { aside, call, client, send, slot, timeout }: Store,
  spool: Spool,
  id: string,
  object: S3Object
) {
  let finishing = false
  let discarded = false
  let kept = false
  // One request at a time: a part is sent while the next one is collected.
  let running: Promise<void> = Promise.resolve()
  const discarding = new AbortController()
  const { finish, sendPart, unfinished } = requests(client, object, discarding.signal)

  const start = (run: () => Promise<void>): Promise<void> => {
    if (discarded) throw new Error("the upload was abandoned")
    running = running.then(run)
    // A later call awaits it; without a listener until then, a failure would end the process.
    running.catch(() => {})
    return running
  }

  /** The last request ends first, unless the store is silent: else it could create the object afterwards. */
  const discard = Effect.gen(function*() {
    discarded = true
    const settled = Effect.promise(() => running.catch(() => {}))
    yield* Effect.catch(within(settled, timeout, () => "late"), () => Effect.sync(() => discarding.abort())).pipe(
      // A server that stops does not wait for a silent store.
      Effect.ensuring(Effect.promise(() => spool.close().catch(() => {})))
    )
    if (kept) return
    if (finishing) {
      yield* Effect.ignore(
        call("remove a blob", (abortSignal) => client.send(new DeleteObjectCommand(object), { abortSignal }))
      )
    }
    const UploadId = unfinished()
    if (UploadId !== undefined) {
      yield* Effect.ignore(
        call(
          "give an upload up",
          (abortSignal) => client.send(new AbortMultipartUploadCommand({ ...object, UploadId }), { abortSignal })
        )
      )
    }
  })
  // The sweep finds what is interrupted here: the catalog has the blob since before it was finished.
  yield* Effect.addFinalizer(() => aside(discard))

  const append = async (bytes: Uint8Array): Promise<void> => {
    // All parts but the last have one size.
    const room = PART_BYTES - spool.size()
    await spool.append(bytes.length <= room ? bytes : bytes.subarray(0, room))
    if (spool.size() < PART_BYTES) return
    await running
    await new Promise<void>((resolve, reject) => {
      start(() =>
        slot(async () => {
          const part = await spool.take()
          // The file is free for the next part.
          resolve()
          await sendPart(part)
        })
      ).catch(reject)
    })
    if (bytes.length > room) await append(bytes.subarray(room))
  }

  return {
    id,
    write: (bytes) => send("write a blob", () => append(bytes)),
    finish: send("finish a blob", async () => {
      await running
      const last = async () => {
        finishing = true
        await finish(await spool.take())
      }
      await start(() => spool.inFile() > 0 ? slot(last) : last())
    }),
    keep: Effect.sync(() => {
      kept = true
    })
  } satisfies Writer
})
