/**
 * Joins the bytes of small files, which the catalog holds, with the blobs of a store: what opens or removes a blob need not
 * know which.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Blobs, BlobsError, type Reader } from "../../Blobs.ts"
import { Catalog, type SmallFiles } from "../../Catalog.ts"

const readerOf = (all: Uint8Array): Reader => ({
  read: async (buffer, position) => {
    const some = all.subarray(position, position + buffer.length)
    buffer.set(some)
    return some.length
  }
})

/** The same error as that of a missing file. */
const missing = BlobsError.from(
  "open a blob",
  Object.assign(new Error("the catalog has no such bytes"), { code: "ENOENT" })
)

const join = (blobs: Blobs["Service"], { isOne, read }: SmallFiles): Blobs["Service"] => ({
  ...blobs,
  open: (id) =>
    !isOne(id) ? blobs.open(id) : read(id).pipe(
      Effect.mapError(({ cause }) => BlobsError.from("open a blob", cause)),
      Effect.flatMap(Option.match({
        onNone: () => Effect.fail(missing),
        onSome: (bytes) => Effect.succeed(readerOf(bytes))
      }))
    ),
  // The catalog removes the others when it forgets them.
  remove: (ids) => {
    const small = ids.filter(isOne)
    if (small.length === 0) return blobs.remove(ids)
    return Effect.map(blobs.remove(ids.filter((id) => !isOne(id))), ({ failure, removed }) => ({
      removed: [...small, ...removed],
      failure
    }))
  }
})

export const layer = <E, R>(store: Layer.Layer<Blobs, E, R>): Layer.Layer<Blobs, E, R | Catalog> =>
  Layer.effect(
    Blobs,
    Effect.gen(function*() {
      const { smallFiles } = yield* Catalog
      const blobs = yield* Blobs
      return smallFiles === undefined ? blobs : Blobs.of(join(blobs, smallFiles))
    })
  ).pipe(Layer.provide(store))
