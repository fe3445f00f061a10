/** The running transfers of this process, each under a lease. Settles a lease when its transfer ends. */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Catalog, type CatalogError, type Lease } from "../../Catalog.ts"
import { Health } from "../../Health.ts"
import type { Outcome, Transfer } from "../http/transfer.ts"

/** Retries until the catalog accepts the result, so none of these effects fails. */
export class Leases extends Context.Service<Leases, {
  /**
   * Runs a transfer, then counts the download if it handed over the last byte of the file, and gives the lease back otherwise.
   * Succeeds with how the transfer ended. `begin` must not send the last byte before `beforeLast` resolves.
   */
  readonly run: (
    lease: Lease,
    toTheEnd: boolean,
    begin: (beforeLast: () => Promise<void>) => Transfer
  ) => Effect.Effect<Outcome>
  readonly release: (lease: Lease) => Effect.Effect<void>
  /** Gives a lease back whose transfer did not start. */
  readonly abandon: (lease: Lease) => Effect.Effect<void>
  /** Breaks the transfer of a lease, if it runs in this process, and waits until the lease is settled. */
  readonly end: (id: string) => Effect.Effect<void>
  /** Breaks the transfers of a deleted file. */
  readonly endOf: (key: string) => Effect.Effect<void>
}>()("@effect-fileio/server/internal/Leases") {}

interface Running {
  readonly lease: Lease
  readonly abort: () => void
  readonly settled: Deferred.Deferred<void>
}

const again = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")])

export const layer: Layer.Layer<Leases, never, Catalog | Health> = Layer.effect(
  Leases,
  Effect.gen(function*() {
    const catalog = yield* Catalog
    const health = yield* Health
    const scope = yield* Effect.scope
    const running = new Map<string, Running>()

    const settled = (effect: Effect.Effect<void, CatalogError>) =>
      Effect.catch(
        effect,
        (error) =>
          Effect.logError("a download could not be settled; it is tried again", error.cause).pipe(
            Effect.andThen(Effect.forkIn(Effect.retry(effect, again), scope)),
            Effect.asVoid
          )
      )
    const release = (lease: Lease) => settled(catalog.release(lease))
    const abandon = (lease: Lease) => settled(catalog.abandon(lease))

    const run = Effect.fnUntraced(
      function*(lease: Lease, toTheEnd: boolean, begin: (beforeLast: () => Promise<void>) => Transfer) {
        const runPromise = Effect.runPromiseWith(yield* Effect.context<never>())
        const handOver = Effect.tapError(
          catalog.handOver(lease),
          (error) => error._tag === "CatalogError" ? health.note(error) : Effect.void
        )
        const transfer = begin(() => toTheEnd ? runPromise(handOver) : Promise.resolve())
        const mine: Running = { lease, abort: transfer.abort, settled: yield* Deferred.make<void>() }
        const other = running.get(lease.id)
        if (other === undefined || other.lease.generation < lease.generation) {
          other?.abort()
          running.set(lease.id, mine)
        } else transfer.abort()
        yield* Effect.promise(() => transfer.done).pipe(
          Effect.interruptible,
          Effect.onInterrupt(() => Effect.sync(transfer.abort)),
          Effect.exit
        )
        // An interruption does not undo sent bytes.
        const outcome = yield* Effect.promise(() => transfer.done)
        yield* outcome === "whole" && toTheEnd
          ? settled(catalog.commit(lease))
          : outcome === "unsent" || outcome === "unreadable"
          ? abandon(lease)
          : release(lease)
        if (running.get(lease.id) === mine) running.delete(lease.id)
        yield* Deferred.succeed(mine.settled, undefined)
        return outcome
      },
      Effect.uninterruptible
    )

    return Leases.of({
      run,
      release,
      abandon,
      end: (id) =>
        Effect.suspend(() => {
          const transfer = running.get(id)
          if (transfer === undefined) return Effect.void
          transfer.abort()
          return Deferred.await(transfer.settled)
        }),
      endOf: (key) =>
        Effect.sync(() => {
          for (const { abort, lease } of running.values()) if (lease.key === key) abort()
        })
    })
  })
)
