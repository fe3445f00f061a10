/** Removes and lists objects of a bucket, and aborts unfinished uploads. `S3Blobs` uses it. */
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput
} from "@aws-sdk/client-s3"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type Blobs, BlobsError, isBlobId, type Removal, removeEach, type Stored } from "../../Blobs.ts"
import type { S3Object } from "./s3Reader.ts"
import type { Store } from "./s3Store.ts"

/** Objects per deletion request; S3 takes 1,000, but a slower store must finish within the time limit. */
const DELETED_AT_ONCE = 250
const ORPHAN_AGE = 24 * 60 * 60 * 1000

/** A bucket, and the prefix of the server's objects. */
export interface Bucket {
  readonly store: Store
  readonly bucket: string
  readonly prefix: string
}

export const objectOf = ({ bucket, prefix }: Bucket, id: string): S3Object => ({
  Bucket: bucket,
  Key: `${prefix}${id}`
})

/** Prefix of the tails of blobs that several requests append to: bytes that do not fill a part yet. */
const TAILS = "tails/"

export const tailOf = ({ bucket, prefix }: Bucket, id: string, name: string): S3Object => ({
  Bucket: bucket,
  Key: `${prefix}${TAILS}${id}/${name}`
})

const idOf = ({ prefix }: Bucket, key: string | undefined): string => key?.slice(prefix.length) ?? ""

/** Removes objects, many at once if the store can. */
export const removing = (bucket: Bucket) => {
  const { bucket: Bucket, store: { call, client } } = bucket
  const removeOne = (id: string) =>
    Effect.asVoid(call(
      "remove a blob",
      (abortSignal) => client.send(new DeleteObjectCommand(objectOf(bucket, id)), { abortSignal })
    ))

  const removeSome = Effect.fnUntraced(function*(ids: ReadonlyArray<string>) {
    const Objects = ids.map((id) => ({ Key: objectOf(bucket, id).Key }))
    const { Errors = [] } = yield* call(
      "remove blobs",
      (abortSignal) =>
        client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }), { abortSignal })
    )
    const kept = new Map(Errors.map(({ Code, Key, Message }) => [idOf(bucket, Key), { Code, Message }]))
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
        // Not every store can remove many at once, or not with the checksum that the SDK sends; and one that fails at a single
        // object of many must not keep the others.
        Effect.catch((error) =>
          error.reason === "unavailable" && error.code !== "InternalError"
            ? Effect.succeed({ removed: [], failure: error })
            : removeEach(some, removeOne)
        )
      )
      removed.push(...result.removed)
      failure ??= result.failure
    }
    return { removed, failure } satisfies Removal
  })

  return remove
}

/** Older ones may be removed: no server is about to give them a row. */
const orphansBefore = Effect.map(Clock.currentTimeMillis, (now) => now - ORPHAN_AGE)

export const listing = (bucket: Bucket): Blobs["Service"]["list"] => {
  const { bucket: Bucket, prefix, store: { call, client } } = bucket
  return Stream.paginate(undefined as string | undefined, (ContinuationToken) =>
    Effect.gen(function*() {
      const old = yield* orphansBefore
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
        id: idOf(bucket, Key),
        settled: LastModified !== undefined && LastModified.getTime() < old
      }))
      return [[page.filter(({ id }) => isBlobId(id))], Option.fromUndefinedOr(NextContinuationToken)]
    }))
}

/**
 * Nobody continues an upload that is older than this, unless the catalog knows it: a resumable one lasts as long as bytes come.
 */
const UNFINISHED_AGE = 7 * 24 * 60 * 60 * 1000

const isOld = Effect.map(
  Clock.currentTimeMillis,
  (now) => (begun: Date | undefined) => begun !== undefined && begun.getTime() < now - UNFINISHED_AGE
)

type Unknown<E> = (blobs: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, E>

/** Gives up those of these leftovers whose blobs the catalog does not know. */
const giveUp = Effect.fnUntraced(function*<A extends { readonly id: string }, E>(
  { store: { call } }: Bucket,
  unknown: Unknown<E>,
  leftovers: ReadonlyArray<A>,
  remove: (leftover: A, abortSignal: AbortSignal) => Promise<unknown>
) {
  if (leftovers.length === 0) return
  const gone = new Set(yield* unknown([...new Set(leftovers.map(({ id }) => id))]))
  for (const leftover of leftovers) {
    if (gone.has(leftover.id)) yield* call("give an upload up", (abortSignal) => remove(leftover, abortSignal))
  }
})

/** Removes the tails of cancelled uploads. */
const tidyTails = Effect.fnUntraced(function*<E>(bucket: Bucket, unknown: Unknown<E>) {
  const { bucket: Bucket, prefix, store: { call, client } } = bucket
  const isLeft = yield* isOld
  const Prefix = `${prefix}${TAILS}`
  let ContinuationToken: string | undefined
  do {
    const page: ListObjectsV2CommandOutput = yield* call(
      "list unfinished uploads",
      (abortSignal) =>
        client.send(
          new ListObjectsV2Command({
            Bucket,
            Prefix,
            ...(ContinuationToken === undefined ? {} : { ContinuationToken })
          }),
          { abortSignal }
        )
    )
    const left = (page.Contents ?? []).flatMap(({ Key, LastModified }) =>
      Key !== undefined && isLeft(LastModified) ? [{ Key, id: Key.slice(Prefix.length).split("/")[0]! }] : []
    )
    yield* giveUp(
      bucket,
      unknown,
      left,
      ({ Key }, abortSignal) => client.send(new DeleteObjectCommand({ Bucket, Key }), { abortSignal })
    )
    ContinuationToken = page.NextContinuationToken
  } while (ContinuationToken !== undefined)
})

/** Aborts uploads that nobody continues. */
export const tidying = (bucket: Bucket): Blobs["Service"]["tidy"] => (unknown) => {
  const { bucket: Bucket, prefix, store: { call, client } } = bucket
  const abort = Effect.gen(function*() {
    const isLeft = yield* isOld
    let markers: { readonly KeyMarker?: string; readonly UploadIdMarker?: string } | undefined = {}
    while (markers !== undefined) {
      const page: ListMultipartUploadsCommandOutput = yield* call(
        "list unfinished uploads",
        (abortSignal) =>
          client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: prefix, ...markers }), { abortSignal })
      )
      const left = (page.Uploads ?? []).flatMap(({ Initiated, Key, UploadId }) => {
        const id = idOf(bucket, Key)
        return isBlobId(id) && isLeft(Initiated) ? [{ id, Key, UploadId }] : []
      })
      yield* giveUp(
        bucket,
        unknown,
        left,
        ({ Key, UploadId }, abortSignal) =>
          client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), { abortSignal })
      )
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
    Effect.catchIf(
      (error) => error instanceof BlobsError && error.code === "NotImplemented",
      (error) => Effect.logDebug((error as BlobsError).message)
    )
  )
  return Effect.andThen(abort, tidyTails(bucket, unknown))
}
