/**
 * A page of a listing whose files are on several shards. Files are ordered by their value, then by their shard, then by their
 * row there; so one position says where each shard continues.
 */
import * as Effect from "effect/Effect"
import type { CatalogError } from "../../Catalog.ts"
import type { ListedFile, ListOptions, Page, Position } from "../../FileListing.ts"
import { compare, positionOf } from "../sql/listing.ts"

type List = (shard: number, options: ListOptions) => Effect.Effect<Page, CatalogError>

/** Files that a listing with an offset skips at a time. */
const SKIPPED = 1000

/** Where a shard continues after a position: rows with the same value are all before or all behind that of another shard. */
const onShard = ({ seq, shard: last, value }: Position, shard: number): Position => ({
  value,
  seq: shard === last ? seq : shard > last ? -1 : Number.MAX_SAFE_INTEGER,
  shard
})

const onOne = (list: List, shard: number, options: ListOptions): Effect.Effect<Page, CatalogError> => {
  const { after } = options
  return Effect.map(
    list(shard, after === undefined ? options : { ...options, after: onShard(after, shard) }),
    (page) => ({ ...page, files: page.files.map((file) => ({ ...file, shard })) })
  )
}

export const list = (
  shards: ReadonlyArray<number>,
  list: List,
  options: ListOptions
): Effect.Effect<Page, CatalogError> => {
  if (shards.length === 1) return onOne(list, shards[0]!, options)
  const { descending, sort } = options
  const sign = descending ? -1 : 1
  const order = (one: ListedFile, other: ListedFile) =>
    sign * (compare(one, other, sort) || one.shard - other.shard || one.seq - other.seq)

  const merged = (part: Pick<ListOptions, "after" | "limit">) =>
    Effect.map(
      Effect.forEach(shards, (shard) => onOne(list, shard, { ...options, ...part, offset: 0 }), {
        concurrency: "unbounded"
      }),
      (pages): Page => ({
        files: pages.flatMap(({ files }) => files).toSorted(order).slice(0, part.limit),
        count: pages.reduce((total, { count }) => total + count, 0),
        size: pages.reduce((total, { size }) => total + size, 0)
      })
    )

  return Effect.gen(function*() {
    let { after } = options
    // `offset` counts from the beginning.
    for (let left = after === undefined ? options.offset : 0; left > 0;) {
      const limit = Math.min(left, SKIPPED)
      const { files } = yield* merged({ after, limit })
      const last = files.at(-1)
      if (last !== undefined) after = positionOf(last, sort)
      if (files.length < limit) break
      left -= limit
    }
    return yield* merged({ after, limit: options.limit })
  })
}
