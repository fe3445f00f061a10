/**
 * The bytes of files in an S3-compatible store, for several servers with the same files.
 *
 * A blob is one object. It exists when its upload is complete, and not before: small ones take one request, larger ones are
 * sent in parts while the next ones arrive. Credentials are found as the AWS SDK finds them: `AWS_ACCESS_KEY_ID` and
 * `AWS_SECRET_ACCESS_KEY`, a profile, or the machine's role.
 *
 * **Gotchas**
 *
 * - Give the bucket a lifecycle rule that aborts incomplete multipart uploads after a week or more: a server that dies during an
 *   upload cannot. A resumable upload that goes on for longer starts over then.
 * - Several servers write at the same time, so an object without a row may be about to get one: only objects older than a day
 *   are swept as orphans.
 *
 * This module needs the package `@aws-sdk/client-s3`; nothing else loads it.
 *
 * @since 0.1.0
 */
import {
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3ClientConfig
} from "@aws-sdk/client-s3"
import * as DurationInput from "@effect-fileio/core/DurationInput"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Path from "node:path"
import { Blobs, BlobsError } from "./Blobs.ts"
import { DataFolder } from "./DataFolder.ts"
import { makeFolder } from "./internal/disk/folders.ts"
import * as S3Bucket from "./internal/s3/s3Bucket.ts"
import * as S3Reader from "./internal/s3/s3Reader.ts"
import * as S3Store from "./internal/s3/s3Store.ts"
import * as S3Unfinished from "./internal/s3/s3Unfinished.ts"
import * as S3Writer from "./internal/s3/s3Writer.ts"
import * as Spool from "./internal/s3/spool.ts"
import { defaults } from "./ServerOptions.ts"

/**
 * The bucket, and its credentials.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly bucket: string
  /** Prefix of the objects' keys. @default "" */
  readonly prefix?: string | undefined
  /** Options of the client, such as `endpoint`, `region`, `forcePathStyle` and `credentials`. */
  readonly client?: S3ClientConfig | undefined
  /** How long the store may be silent before a call fails and its connection is closed. @default 10 seconds */
  readonly timeout?: DurationInput.DurationInput | undefined
}

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
      // Most stores other than Amazon's have no regions, but the signature needs one.
      ...(region !== null ? { region } : endpoint !== null ? { region: "us-east-1" } : {}),
      forcePathStyle: pathStyle === "true"
    }
  }
}

/** What an operator can do when the bucket cannot be reached at the start. */
const adviceFor = ({ cause, code, reason }: BlobsError): string =>
  code === "CredentialsProviderError"
    ? "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN if they are temporary"
    : code === "ENOENT"
    ? "there is none of that name; create it, or correct the address"
    : cause instanceof Error && cause.message.includes("Region is missing")
    ? "add ?region=… to its address, or set AWS_REGION"
    : reason === "unavailable"
    ? "check that the store runs, and the endpoint in its address"
    : "check the credentials, that they may use the bucket, and its region"

/**
 * Keeps the bytes of files in a bucket.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Blobs, BlobsError, DataFolder | SecureRandom.SecureRandom> =>
  Layer.effect(
    Blobs,
    Effect.gen(function*() {
      const random = yield* SecureRandom.SecureRandom
      const { bucket: Bucket, prefix = "" } = options
      const timeout = DurationInput.parseOptionUnsafe("timeout", options.timeout ?? defaults.engineTimeout)
      const store = yield* S3Store.make(options.client ?? {}, timeout)
      const { call, client } = store
      yield* call("reach the bucket", (abortSignal) => client.send(new HeadBucketCommand({ Bucket }), { abortSignal }))
        .pipe(
          Effect.mapError((error) => new BlobsError({ ...error, cause: error.cause, advice: adviceFor(error) }))
        )

      // A part of an upload is collected here until it is complete.
      const spools = Path.join((yield* DataFolder).path, "incoming")
      yield* Effect.tryPromise({
        try: () => makeFolder(spools),
        catch: (cause) => new BlobsError({ operation: "prepare the data folder", cause })
      })

      const openObject = yield* S3Reader.make(store)
      const ours: S3Bucket.Bucket = { store, bucket: Bucket, prefix }

      const newId = Effect.map(random.randomBytes(16), (bytes) => Buffer.from(bytes).toString("hex"))
      const writer = Effect.gen(function*() {
        const id = yield* newId
        return yield* S3Writer.make(store, Spool.make(spools, id), id, S3Bucket.objectOf(ours, id))
      })

      const open = Effect.fnUntraced(function*(id: string) {
        const object = S3Bucket.objectOf(ours, id)
        // A missing blob must fail before the response has begun.
        yield* call("open a blob", (abortSignal) => client.send(new HeadObjectCommand(object), { abortSignal }))
        return yield* openObject(object)
      })

      const idObject = { Bucket, Key: `${prefix}fileio-store-id` }
      const storeId = call("read the id of the store", async (abortSignal) => {
        const { Body } = await client.send(new GetObjectCommand(idObject), { abortSignal })
        return (await Body?.transformToString())?.trim() || undefined
      }).pipe(Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.undefined))

      return Blobs.of({
        writer,
        unfinished: (id, state) =>
          Effect.flatMap(newId, (unique) => S3Unfinished.open(ours, Spool.make(spools, unique), id, unique, state)),
        open,
        remove: S3Bucket.removing(ours),
        syncRemovals: Effect.void,
        list: S3Bucket.listing(ours),
        tidy: S3Bucket.tidying(ours),
        where: `the bucket s3://${Bucket}/${prefix}`,
        storeId,
        setStoreId: (id) =>
          Effect.asVoid(call(
            "write the id of the store",
            (abortSignal) => client.send(new PutObjectCommand({ ...idObject, Body: id }), { abortSignal })
          )),
        storeIdPlace: `the object ${idObject.Key}`
      })
    })
  )
