/** How a download ends, whatever the catalog's state at that moment. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Catalog, type CatalogError, type Lease } from "../Catalog.ts"

/** As `Catalog` has them, but they never fail: what the catalog cannot take now is told to it until it does. */
export class Leases extends Context.Service<Leases, {
  readonly commit: (lease: Lease) => Effect.Effect<void>
  readonly release: (lease: Lease) => Effect.Effect<void>
}>()("@effect-fileio/server/internal/Leases") {}

const again = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")])

export const layer: Layer.Layer<Leases, never, Catalog> = Layer.effect(
  Leases,
  Effect.gen(function*() {
    const catalog = yield* Catalog
    const scope = yield* Effect.scope

    const settled = (effect: Effect.Effect<void, CatalogError>) =>
      Effect.catch(
        effect,
        (error) =>
          Effect.logError("a download could not be settled; it is tried again", error.cause).pipe(
            Effect.andThen(Effect.forkIn(Effect.retry(effect, again), scope)),
            Effect.asVoid
          )
      )

    return Leases.of({
      commit: (lease) => settled(catalog.commit(lease)),
      release: (lease) => settled(catalog.release(lease))
    })
  })
)
