/**
 * Deletes the bytes of what has expired or is used up, at the start and then so often that the bytes are gone
 * within a minute.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Blobs, type BlobsError } from "./Blobs.ts"
import { Catalog, type CatalogError } from "./Catalog.ts"

/**
 * Deletes what has ended.
 *
 * @category services
 * @since 0.1.0
 */
export class Sweeper extends Context.Service<Sweeper, {
  /** Buries what has ended and removes the bytes that nobody may read any more. */
  readonly sweep: Effect.Effect<void, CatalogError | BlobsError>
}>()("@effect-fileio/server/Sweeper") {}

/**
 * How often it sweeps.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Time between two sweeps. @default 15 seconds */
  readonly interval?: Duration.Input | undefined
}

/** Blobs that are removed at the same time. */
const REMOVALS = 16

/**
 * Sweeps once before it is ready, orphans included, then at every interval of Effect's clock.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Sweeper, CatalogError | BlobsError, Catalog | Blobs> =>
  Layer.effect(
    Sweeper,
    Effect.gen(function*() {
      const catalog = yield* Catalog
      const blobs = yield* Blobs
      const interval = Duration.fromInputUnsafe(options.interval ?? "15 seconds")

      // The bytes go first: a blob that could not be removed is tried again by the next sweep. It keeps none of the others.
      const collect = Effect.gen(function*() {
        let failure: BlobsError | undefined
        let garbage = yield* catalog.garbage("")
        while (garbage.length > 0) {
          const [removed, failures] = yield* Effect.partition(
            garbage,
            (blob) => Effect.as(blobs.remove(blob), blob),
            { concurrency: REMOVALS }
          )
          failure ??= failures[0]
          yield* catalog.forget(removed)
          garbage = yield* catalog.garbage(garbage.at(-1)!)
        }
        if (failure !== undefined) return yield* failure
      })

      // What frees room goes before what takes some, for a disk that is full; and none keeps the others from what they do.
      const sweep = Effect.validate([collect, catalog.bury, collect], identity, { discard: true }).pipe(
        Effect.mapError(([first]) => first)
      )

      // Only before uploads come in: later, a blob without a row may be one that is about to get it.
      const orphans = Effect.flatMap(
        blobs.list,
        (all) =>
          Effect.flatMap(catalog.unknown(all), (unknown) => Effect.forEach(unknown, blobs.remove, { discard: true }))
      )

      yield* Effect.andThen(sweep, orphans)
      yield* sweep.pipe(
        Effect.catchCause((cause) => Effect.logError("the sweep failed; it is tried again", cause)),
        Effect.schedule(Schedule.spaced(interval)),
        Effect.forkScoped
      )

      return Sweeper.of({ sweep })
    })
  )
