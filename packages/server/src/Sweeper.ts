/**
 * Removes the bytes of expired and used-up files, at the start and then often enough that they are gone within a minute; and,
 * more rarely, orphans: bytes that belong to no file.
 *
 * @since 0.1.0
 */
import * as DurationInput from "@effect-fileio/core/DurationInput"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Blobs, type BlobsError } from "./Blobs.ts"
import { Catalog, type CatalogError } from "./Catalog.ts"
import type { StoreMismatch } from "./Engines.ts"
import * as Metrics from "./internal/ops/metrics.ts"
import { pair } from "./internal/ops/pairing.ts"
import { defaults } from "./ServerOptions.ts"

/**
 * Removes ended files and orphans.
 *
 * @category services
 * @since 0.1.0
 */
export class Sweeper extends Context.Service<Sweeper, {
  /** Removes ended files, and bytes that nobody may read any more. */
  readonly sweep: Effect.Effect<void, CatalogError | BlobsError>
  /** Removes orphans, if they are a small part of all bytes. */
  readonly removeOrphans: Effect.Effect<void, CatalogError | BlobsError>
}>()("@effect-fileio/server/Sweeper") {}

/**
 * How often it sweeps.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Time between sweeps. @default 15 seconds */
  readonly interval?: DurationInput.DurationInput | undefined
  /** Whether to remove orphans even if they are a large part of all bytes. @default false */
  readonly removeOrphans?: boolean | undefined
}

const BLOB_ID_BYTES = 16
/** Time between two searches for orphans, which list the whole store. */
const ORPHANS_INTERVAL = "6 hours"
/** A power failure can leave some orphans. More than these, and more than this part of all, indicate a wrong catalog. */
const FEW_ORPHANS = 4
const FEW_ORPHANS_PART = 0.01
/** Time between two removals of bytes while rows are removed. */
const COLLECT_INTERVAL = "1 second"
/** How long a start waits for the first sweep, which then continues while the server listens. */
const FIRST_SWEEP = "1 second"

/**
 * Refuses to start if the catalog and the store do not belong together; then sweeps at every interval of Effect's clock.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options
): Layer.Layer<
  Sweeper,
  CatalogError | BlobsError | StoreMismatch,
  Catalog | Blobs | SecureRandom.SecureRandom
> =>
  Layer.effect(
    Sweeper,
    Effect.gen(function*() {
      const catalog = yield* Catalog
      const blobs = yield* Blobs
      const random = yield* SecureRandom.SecureRandom
      const interval = DurationInput.parseOptionUnsafe("interval", options.interval ?? defaults.sweepInterval)
      const removesAll = options.removeOrphans === true
      yield* pair(removesAll)

      // The bytes go first: the next sweep tries again to remove a blob that could not be removed. It does not keep the others
      // from being removed.
      const collectBetween = Effect.fnUntraced(function*(from: string, to?: string) {
        let failed: BlobsError | undefined
        let page = yield* catalog.garbage(from)
        while (page.length > 0) {
          const some = to === undefined ? page : page.filter((blob) => blob <= to)
          const { failure, removed } = yield* blobs.remove(some)
          failed ??= failure
          if (removed.length > 0) {
            yield* blobs.syncRemovals
            yield* catalog.forget(removed)
          }
          page = some.length < page.length ? [] : yield* catalog.garbage(page.at(-1)!)
        }
        if (failed !== undefined) return yield* failed
      })

      // Each sweep starts somewhere else, so that several servers do not remove the same blobs.
      const collect = Effect.flatMap(random.randomBytes(BLOB_ID_BYTES), (bytes) => {
        const middle = Buffer.from(bytes).toString("hex")
        const halves = [collectBetween(middle), collectBetween("", middle)]
        return Effect.validate(halves, identity, { discard: true }).pipe(Effect.mapError(([first]) => first))
      })

      // Of very many files that end at once, bytes go while rows still do: their space is not needed for an hour.
      const buryAndCollect = Effect.scoped(Effect.gen(function*() {
        const burying = yield* Effect.forkScoped(catalog.bury)
        const done = Effect.exit(Fiber.join(burying))
        while (Option.isNone(yield* Effect.timeoutOption(done, COLLECT_INTERVAL))) yield* collect
        yield* Effect.validate([Fiber.join(burying), collect], identity, { discard: true }).pipe(
          Effect.mapError(([first]) => first)
        )
      }))

      // For a full disk, steps that free space come before those that need some; a failure of one does not stop the others.
      const sweep = Effect.validate([collect, buryAndCollect], identity, { discard: true }).pipe(
        Effect.mapError(([first]) => first)
      )

      const removeOrphans = Effect.gen(function*() {
        yield* blobs.tidy(catalog.unknown)
        let stored = 0
        const orphans: Array<string> = []
        yield* Stream.runForEach(blobs.list, (page) => {
          stored += page.length
          const settled = page.filter((blob) => blob.settled).map(({ id }) => id)
          return settled.length === 0 ? Effect.void : Effect.map(catalog.unknown(settled), (unknown) => {
            orphans.push(...unknown)
          })
        })
        if (orphans.length === 0) return
        if (!removesAll && orphans.length > Math.max(FEW_ORPHANS, stored * FEW_ORPHANS_PART)) {
          return yield* Effect.logError(
            `${orphans.length} of ${stored} blobs in ${blobs.where} belong to no file of the catalog (${catalog.where}); ` +
              "they are kept. If it is the right catalog, and not an old copy of it, start once with --remove-orphans"
          )
        }
        const { failure, removed } = yield* blobs.remove(orphans)
        yield* Effect.logWarning(`removed ${removed.length} orphaned blobs: ${removed.slice(0, 10).join(", ")}`)
        if (failure !== undefined) return yield* failure
      })

      const failing = (what: string) =>
        Effect.catchCause((cause) => Effect.logError(`${what} failed; trying again`, cause))
      const sweeps = failing("the sweep")(Effect.andThen(sweep, Metrics.swept))
      const searches = failing("the search for orphans")(removeOrphans)

      const firstSweep = yield* Effect.forkScoped(sweeps)
      const firstSearch = yield* Effect.forkScoped(Effect.andThen(Fiber.join(firstSweep), searches))
      yield* Effect.timeoutOption(Fiber.join(firstSearch), FIRST_SWEEP)
      yield* Effect.forkScoped(
        Effect.andThen(Fiber.join(firstSweep), Effect.schedule(sweeps, Schedule.spaced(interval)))
      )
      yield* Effect.forkScoped(
        Effect.andThen(Fiber.join(firstSearch), Effect.schedule(searches, Schedule.spaced(ORPHANS_INTERVAL)))
      )

      return Sweeper.of({ sweep, removeOrphans })
    })
  )
