/** Blobs in a store that speaks S3, without a server. */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { Context, Effect, Layer } from "effect"
import { Blobs } from "../src/Blobs.ts"
import * as DataFolder from "../src/DataFolder.ts"
import * as S3Blobs from "../src/S3Blobs.ts"

/** The blobs at an address such as `s3://bucket/prefix?endpoint=…`, until the scope closes. */
export const blobsAt = (address: string, data: typeof DataFolder.layerTemporary = DataFolder.layerTemporary) =>
  Effect.map(
    Layer.build(
      S3Blobs.layer(S3Blobs.fromUrl(new URL(address))).pipe(Layer.provide([NodeCrypto.layerSecureRandom, data]))
    ),
    (context) => Context.get(context, Blobs)
  )

/** Stores bytes; returns the id of their blob. */
export const storeBlob = ({ writer }: Blobs["Service"], bytes: Uint8Array) =>
  Effect.scoped(Effect.gen(function*() {
    const { finish, id, keep, write } = yield* writer
    yield* write(bytes)
    yield* finish
    yield* keep
    return id
  }))
