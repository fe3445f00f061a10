/**
 * The bytes of files in an S3-compatible store, for several servers over one set of files.
 *
 * A blob is one object. It is there when its upload is complete, as a whole or not at all: small ones by one request,
 * larger ones in parts that are sent while the next ones come in. Credentials are found as the AWS SDK finds them:
 * `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a profile, or the machine's role.
 *
 * **Gotchas**
 *
 * - Give the bucket a lifecycle rule that aborts incomplete multipart uploads after a day or more: a server that dies
 *   during an upload cannot.
 * - Several servers write at the same time, so an object without a row may be one that is about to get it: only those
 *   older than a day are swept as orphans.
 *
 * This module needs the package `@aws-sdk/client-s3`; nothing else loads it.
 *
 * @since 0.1.0
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand
} from "@aws-sdk/client-s3"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Blobs, BlobsError, type Writer } from "./Blobs.ts"
import * as S3Reader from "./internal/s3Reader.ts"

/**
 * Where the bucket is, and how to sign for it.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly bucket: string
  /** What the objects' keys begin with. @default "" */
  readonly prefix?: string | undefined
  /** Of the client, such as `endpoint`, `region`, `forcePathStyle` and `credentials`. */
  readonly client?: S3ClientConfig | undefined
}

/** S3 takes 10,000 parts, so 156 GiB; some stores want all parts but the last to be of one size. */
const PART_BYTES = 16 * 1024 * 1024
const ORPHAN_AGE = 24 * 60 * 60 * 1000
/** Seconds in which a store may send nothing before it is asked again. */
const PATIENCE = 10
/**
 * No bound here: each connection to the server needs at most one to the store, and the server bounds its own. With a smaller
 * bound, receivers who read slowly would keep everybody else from the store.
 */
const AGENT = { maxSockets: Infinity }

/**
 * Options of an address such as `s3://bucket/prefix?endpoint=https://minio.example&region=eu-central-1&pathStyle=true`.
 * Without `endpoint` it is Amazon's; `pathStyle` is `true` by default where there is an endpoint.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromUrl = (url: URL): Options => {
  const path = url.pathname.replace(/^\/+|\/+$/g, "")
  const endpoint = url.searchParams.get("endpoint")
  const region = url.searchParams.get("region")
  const pathStyle = url.searchParams.get("pathStyle") ?? String(endpoint !== null)
  return {
    bucket: url.hostname,
    prefix: path === "" ? "" : `${path}/`,
    client: {
      ...(endpoint === null ? {} : { endpoint }),
      // A store that is not Amazon's mostly has no regions, but the signature needs one.
      ...(region !== null ? { region } : endpoint !== null ? { region: "us-east-1" } : {}),
      forcePathStyle: pathStyle === "true"
    }
  }
}

/** What is missing has the system's word for that, as in a folder. */
const codeOf = (cause: unknown): string | undefined =>
  cause instanceof Error
    ? cause.name === "NotFound" || cause.name === "NoSuchKey" ? "ENOENT" : cause.name
    : undefined

const attempt = <A>(operation: string, run: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, BlobsError> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => {
      const code = codeOf(cause)
      return new BlobsError({ operation, cause, ...(code === undefined ? {} : { code }) })
    }
  })

/**
 * Keeps the bytes of files in a bucket.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Blobs, BlobsError, SecureRandom.SecureRandom> =>
  Layer.effect(
    Blobs,
    Effect.gen(function*() {
      const random = yield* SecureRandom.SecureRandom
      const { bucket: Bucket, prefix = "" } = options
      const client = yield* Effect.acquireRelease(
        Effect.sync(() =>
          // Not every store knows the checksums that the SDK adds by default.
          new S3Client({
            requestChecksumCalculation: "WHEN_REQUIRED",
            responseChecksumValidation: "WHEN_REQUIRED",
            requestHandler: { httpAgent: AGENT, httpsAgent: AGENT },
            ...options.client
          })
        ),
        (client) => Effect.sync(() => client.destroy())
      )
      yield* attempt(
        "reach the bucket",
        (abortSignal) => client.send(new HeadBucketCommand({ Bucket }), { abortSignal })
      )

      const openObject = yield* S3Reader.make(client, PATIENCE)
      const keyOf = (id: string) => `${prefix}${id}`
      const remove = (id: string) =>
        Effect.asVoid(
          attempt(
            "remove a blob",
            (abortSignal) => client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(id) }), { abortSignal })
          )
        )

      const writer = Effect.gen(function*() {
        const id = Buffer.from(yield* random.randomBytes(16)).toString("hex")
        const Key = keyOf(id)
        const parts: Array<{ readonly ETag: string; readonly PartNumber: number }> = []
        let gathered: Array<Uint8Array> = []
        let size = 0
        let upload: string | undefined
        let placed = false
        let kept = false
        // One part is on its way while the next one is gathered.
        let running: Promise<void> = Promise.resolve()

        yield* Effect.addFinalizer(() =>
          Effect.promise(async () => {
            await running.catch(() => {})
            if (kept) {
              return
            }
            if (placed) await client.send(new DeleteObjectCommand({ Bucket, Key })).catch(() => {})
            else if (upload !== undefined) {
              await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: upload })).catch(() => {})
            }
          })
        )

        const take = (): Buffer => {
          const body = Buffer.concat(gathered, size)
          gathered = []
          size = 0
          return body
        }

        const sendPart = async (body: Buffer): Promise<void> => {
          if (upload === undefined) {
            const begun = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }))
            upload = begun.UploadId!
          }
          const PartNumber = parts.length + 1
          const { ETag } = await client.send(
            new UploadPartCommand({ Bucket, Key, UploadId: upload, PartNumber, Body: body })
          )
          parts.push({ ETag: ETag!, PartNumber })
        }

        const flush = attempt("write a blob", async () => {
          await running
          running = sendPart(take())
          // Awaited by the next one; without a listener until then, a failure would end the process.
          running.catch(() => {})
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
          finish: attempt("finish a blob", async () => {
            await running
            if (upload === undefined) {
              await client.send(new PutObjectCommand({ Bucket, Key, Body: take() }))
            } else {
              if (size > 0) await sendPart(take())
              await client.send(
                new CompleteMultipartUploadCommand({ Bucket, Key, UploadId: upload, MultipartUpload: { Parts: parts } })
              )
            }
            placed = true
          }),
          keep: Effect.sync(() => {
            kept = true
          })
        } satisfies Writer
      })

      const open = Effect.fnUntraced(function*(id: string) {
        const Key = keyOf(id)
        // A blob that is missing is told before the answer has begun.
        yield* attempt(
          "open a blob",
          (abortSignal) => client.send(new HeadObjectCommand({ Bucket, Key }), { abortSignal })
        )
        return yield* openObject({ Bucket, Key })
      })

      const list = Effect.gen(function*() {
        const before = (yield* Clock.currentTimeMillis) - ORPHAN_AGE
        const ids: Array<string> = []
        let token: string | undefined
        do {
          const page = yield* attempt("list the blobs", (abortSignal) =>
            client.send(
              new ListObjectsV2Command({
                Bucket,
                Prefix: prefix,
                ...(token === undefined ? {} : { ContinuationToken: token })
              }),
              { abortSignal }
            ))
          for (const { Key, LastModified } of page.Contents ?? []) {
            if (Key !== undefined && LastModified !== undefined && LastModified.getTime() < before) {
              ids.push(Key.slice(prefix.length))
            }
          }
          token = page.NextContinuationToken
        } while (token !== undefined)
        return ids
      })

      return Blobs.of({ writer, open, remove, list })
    })
  )
