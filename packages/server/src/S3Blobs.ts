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
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3ClientConfig
} from "@aws-sdk/client-s3"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { Blobs, BlobsError, isBlobId, type Removal, removeEach, type Stored } from "./Blobs.ts"
import { DataFolder } from "./DataFolder.ts"
import * as S3Reader from "./internal/s3/s3Reader.ts"
import * as S3Store from "./internal/s3/s3Store.ts"
import * as S3Writer from "./internal/s3/s3Writer.ts"
import * as Spool from "./internal/s3/spool.ts"
import { defaults } from "./ServerOptions.ts"

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
  /** How long the store may be silent before a call fails and its connection is closed. @default 10 seconds */
  readonly timeout?: Duration.Input | undefined
}

/** Objects that one request removes; S3 takes 1,000, but a slower store must have done it within the time limit. */
const DELETED_AT_ONCE = 250
const ORPHAN_AGE = 24 * 60 * 60 * 1000

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
      const timeout = Duration.fromInputUnsafe(options.timeout ?? defaults.engineTimeout)
      const store = yield* S3Store.make(options.client ?? {}, timeout)
      const { call, client } = store
      yield* call("reach the bucket", (abortSignal) => client.send(new HeadBucketCommand({ Bucket }), { abortSignal }))

      // A part of an upload waits here until it is whole.
      const spools = Path.join((yield* DataFolder).path, "incoming")
      yield* Effect.tryPromise({
        try: () => Fs.mkdir(spools, { recursive: true, mode: 0o700 }),
        catch: (cause) => new BlobsError({ operation: "prepare the data folder", cause })
      })

      const openObject = yield* S3Reader.make(client, timeout)
      const objectOf = (id: string): S3Reader.S3Object => ({ Bucket, Key: `${prefix}${id}` })

      const idOf = (key: string | undefined) => key?.slice(prefix.length) ?? ""

      const removeOne = (id: string) =>
        Effect.asVoid(call(
          "remove a blob",
          (abortSignal) => client.send(new DeleteObjectCommand(objectOf(id)), { abortSignal })
        ))

      const removeSome = Effect.fnUntraced(function*(ids: ReadonlyArray<string>) {
        const Objects = ids.map((id) => ({ Key: objectOf(id).Key }))
        const { Errors = [] } = yield* call(
          "remove blobs",
          (abortSignal) =>
            client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }), { abortSignal })
        )
        const kept = new Map(Errors.map(({ Code, Key, Message }) => [idOf(Key), { Code, Message }]))
        const [cause] = kept.values()
        return {
          removed: ids.filter((id) => !kept.has(id)),
          failure: cause === undefined ? undefined : new BlobsError({ operation: "remove blobs", cause })
        } satisfies Removal
      })

      const remove = Effect.fnUntraced(function*(ids: ReadonlyArray<string>) {
        const removed: Array<string> = []
        let failure: BlobsError | undefined
        for (let at = 0; at < ids.length; at += DELETED_AT_ONCE) {
          const some = ids.slice(at, at + DELETED_AT_ONCE)
          const result = yield* removeSome(some).pipe(
            // Not every store can remove many at once, or not with the checksum that the SDK sends.
            Effect.catch((error) =>
              error.reason === "unavailable"
                ? Effect.succeed({ removed: [], failure: error })
                : removeEach(some, removeOne)
            )
          )
          removed.push(...result.removed)
          failure ??= result.failure
        }
        return { removed, failure } satisfies Removal
      })

      const writer = Effect.gen(function*() {
        const id = Buffer.from(yield* random.randomBytes(16)).toString("hex")
        return yield* S3Writer.make(store, Spool.make(spools, id), id, objectOf(id))
      })

      const open = Effect.fnUntraced(function*(id: string) {
        const object = objectOf(id)
        // A missing blob is an error before the answer has begun.
        yield* call("open a blob", (abortSignal) => client.send(new HeadObjectCommand(object), { abortSignal }))
        return yield* openObject(object)
      })

      const before = Effect.map(Clock.currentTimeMillis, (now) => now - ORPHAN_AGE)

      const list = Stream.paginate(undefined as string | undefined, (ContinuationToken) =>
        Effect.gen(function*() {
          const old = yield* before
          const { Contents = [], NextContinuationToken } = yield* call("list the blobs", (abortSignal) =>
            client.send(
              new ListObjectsV2Command({
                Bucket,
                Prefix: prefix,
                ...(ContinuationToken === undefined ? {} : { ContinuationToken })
              }),
              { abortSignal }
            ))
          const page = Contents.map(({ Key, LastModified }): Stored => ({
            id: idOf(Key),
            settled: LastModified !== undefined && LastModified.getTime() < old
          }))
          return [[page.filter(({ id }) => isBlobId(id))], Option.fromUndefinedOr(NextContinuationToken)]
        }))

      const tidy = Effect.gen(function*() {
        const old = yield* before
        let markers: { readonly KeyMarker?: string; readonly UploadIdMarker?: string } | undefined = {}
        while (markers !== undefined) {
          const page: ListMultipartUploadsCommandOutput = yield* call(
            "list unfinished uploads",
            (abortSignal) =>
              client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: prefix, ...markers }), { abortSignal })
          )
          for (const { Initiated, Key, UploadId } of page.Uploads ?? []) {
            if (!isBlobId(idOf(Key)) || Initiated === undefined || Initiated.getTime() >= old) {
              continue
            }
            yield* call(
              "give an upload up",
              (abortSignal) => client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), { abortSignal })
            )
          }
          const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = page
          markers = IsTruncated === true && NextKeyMarker !== undefined
            ? {
              KeyMarker: NextKeyMarker,
              ...(NextUploadIdMarker === undefined ? {} : { UploadIdMarker: NextUploadIdMarker })
            }
            : undefined
        }
      }).pipe(
        // Such a store needs a lifecycle rule.
        Effect.catchIf(({ code }) => code === "NotImplemented", (error) => Effect.logDebug(error.message))
      )

      const idObject = { Bucket, Key: `${prefix}fileio-store-id` }
      const storeId = call("read the id of the store", async (abortSignal) => {
        const { Body } = await client.send(new GetObjectCommand(idObject), { abortSignal })
        return (await Body?.transformToString())?.trim() || undefined
      }).pipe(Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.undefined))

      return Blobs.of({
        writer,
        open,
        remove,
        syncRemovals: Effect.void,
        list,
        tidy,
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
