/**
 * Checks that a catalog and a store belong together. A store has an id, which the catalog knows: with another store, every
 * download would fail, and the sweep would remove all stored bytes as orphans.
 *
 * `Sweeper` calls this before it removes anything, and so before the server listens.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Blobs } from "../../Blobs.ts"
import { Catalog } from "../../Catalog.ts"
import { StoreMismatch } from "../../Engines.ts"

/** Files of an old catalog whose bytes are checked. */
const SAMPLE = 100
/** The part of them that may be missing. */
const MISSING_PART = 0.1
/** Files whose bytes are checked at each start. */
const FEW = 10

export const pair = Effect.fnUntraced(function*(removeOrphans: boolean) {
  const catalog = yield* Catalog
  const blobs = yield* Blobs
  const random = yield* SecureRandom.SecureRandom
  const refuse = (problem: string) => new StoreMismatch({ catalog: catalog.where, store: blobs.where, problem })

  const isThere = (blob: string) =>
    Effect.scoped(Effect.as(blobs.open(blob), true)).pipe(
      Effect.catch((error) => error.code === "ENOENT" ? Effect.succeed(false) : Effect.fail(error))
    )

  const look = Effect.fnUntraced(function*(limit: number) {
    const newest = yield* catalog.newest(limit)
    const found = yield* Effect.filter(newest, isThere, { concurrency: 8 })
    return { files: newest.length, missing: newest.length - found.length }
  })

  /** A catalog without the id of a store is new, or of an earlier version. */
  const adopt = Effect.gen(function*() {
    const { files, missing } = yield* look(SAMPLE)
    if (missing > files * MISSING_PART) {
      return yield* refuse(`the bytes of ${missing} of its ${files} newest files are not in this store`)
    }
    if (files > 0 || removeOrphans) return
    const stranger = yield* blobs.list.pipe(
      Stream.mapEffect((stored) => catalog.unknown(stored.map(({ id }) => id))),
      Stream.filter((unknown) => unknown.length > 0),
      Stream.runHead
    )
    if (Option.isSome(stranger)) {
      return yield* refuse(
        "the catalog has no files, and the store has some; if those are of no use, start once with --remove-orphans"
      )
    }
  })

  yield* catalog.pair(Effect.fnUntraced(function*(known) {
    const own = yield* blobs.storeId
    if (known !== undefined && own !== undefined) {
      if (known === own) return known
      return yield* refuse(`the catalog is of the store ${known}, and this is the store ${own}`)
    }
    if (known !== undefined) {
      return yield* refuse(
        `the catalog is of the store ${known}, and this one has no id; if it is a copy of that one, write the id into ${blobs.storeIdPlace}`
      )
    }
    yield* adopt
    const id = own ?? (yield* random.uuidV4())
    if (own === undefined) yield* blobs.setStoreId(id)
    return id
  }))

  const { files, missing } = yield* look(FEW)
  if (files > 0 && missing === files) {
    yield* Effect.logError(`none of the newest files has its bytes in ${blobs.where}; is a disk not mounted?`)
  }
})
