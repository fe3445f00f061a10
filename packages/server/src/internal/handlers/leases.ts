/** Settles a lease when the last of its transfers in this process ends; `transfers.ts` knows which run. */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Catalog, type CatalogError, type Lease, type LeaseEnded } from "../../Catalog.ts"
import { Health } from "../../Health.ts"
import type { Outcome, Range, Transfer } from "../http/transfer.ts"
import * as Transfers from "./transfers.ts"

/** Retries until the catalog accepts the result, so settling a lease does not fail. */
export class Leases extends Context.Service<Leases, {
  /**
   * Runs a transfer, then counts the download if it handed over the last byte of the file, and gives the lease back if it has no
   * other transfer. Succeeds with how the transfer ended. What `begin` starts must not send the last byte before `beforeLast`
   * resolves.
   */
  readonly run: <E, R>(
    lease: Lease,
    range: Range,
    begin: (beforeLast: () => Promise<void>) => Effect.Effect<Transfer, E, R>
  ) => Effect.Effect<Outcome, E, R>
  /** Gives a lease back that was resumed and has no transfer, unless it has others. */
  readonly release: (lease: Lease) => Effect.Effect<void>
  /** Ends the transfers of a lease where they would send bytes of a range, and waits until those that end at once are settled. */
  readonly makeRoom: (id: string, rangeOf: (size: number) => Range | undefined) => Effect.Effect<void>
  /** Breaks the transfers of a deleted file. */
  readonly endOf: (key: string) => Effect.Effect<void>
}>()("@effect-fileio/server/internal/Leases") {}

const again = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")])

export const layer: Layer.Layer<Leases, never, Catalog | Health> = Layer.effect(
  Leases,
  Effect.gen(function*() {
    const catalog = yield* Catalog
    const health = yield* Health
    const scope = yield* Effect.scope
    const transfers = Transfers.make()

    const settled = (effect: Effect.Effect<void, CatalogError>) =>
      Effect.catch(
        effect,
        (error) =>
          Effect.logError("a download could not be settled; trying again", error.cause).pipe(
            Effect.andThen(Effect.forkIn(Effect.retry(effect, again), scope)),
            Effect.asVoid
          )
      )

    yield* Effect.suspend(() => {
      return catalog.prolong(transfers.progress())
    }).pipe(
      Effect.catch(({ cause, transfers: unreported }) => {
        transfers.restore(unreported)
        return Effect.logWarning("some leases could not be prolonged; trying again", cause.cause)
      }),
      Effect.schedule(Schedule.spaced(catalog.prolongInterval)),
      Effect.forkScoped
    )

    const handOver = (held: Transfers.LeaseTransfers): Effect.Effect<void, CatalogError | LeaseEnded> =>
      Effect.suspend(() => {
        const { newest } = held
        return Effect.catchTag(
          catalog.handOver(newest),
          "LeaseEnded",
          // It may have been resumed meanwhile.
          (ended) => held.newest === newest ? Effect.fail(ended) : handOver(held)
        )
      }).pipe(
        Effect.tapError((error) => error._tag === "CatalogError" ? health.note(error) : Effect.void)
      )

    const run = Effect.fnUntraced(
      function*<E, R>(
        lease: Lease,
        range: Range,
        begin: (beforeLast: () => Promise<void>) => Effect.Effect<Transfer, E, R>
      ) {
        const runPromise = Effect.runPromiseWith(yield* Effect.context<never>())
        const toTheEnd = range.end === lease.size
        const [held, mine] = transfers.join(lease, range)
        let handed = false
        const beforeLast = async () => {
          if (!toTheEnd) return
          await runPromise(handOver(held))
          handed = true
        }
        const transfer = yield* Effect.onError(begin(beforeLast), () =>
          Effect.andThen(
            transfers.leave(held, mine) ? settled(catalog.abandon(held.newest)) : Effect.void,
            Deferred.succeed(mine.settled, undefined)
          ))
        mine.transfer = transfer
        if (mine.stop < range.end) transfer.stopAt(mine.stop)
        yield* Effect.promise(() => transfer.done).pipe(
          Effect.interruptible,
          Effect.onInterrupt(() => Effect.sync(transfer.abort)),
          Effect.exit
        )
        // An interruption does not undo sent bytes.
        const outcome = yield* Effect.promise(() => transfer.done)
        const isLast = transfers.leave(held, mine)
        if (outcome === "whole" && toTheEnd) {
          yield* settled(catalog.commit(held.newest))
        } else if (isLast && (outcome === "unsent" || outcome === "unreadable")) {
          yield* settled(catalog.abandon(held.newest))
        } else if (isLast || handed) {
          // Also where it has other transfers: the catalog must not go on believing that the last byte was sent.
          yield* settled(catalog.release(held.newest, Transfers.takeSent(held)))
        }
        yield* Deferred.succeed(mine.settled, undefined)
        return outcome
      },
      Effect.uninterruptible
    )

    return Leases.of({
      run,
      release: (lease) =>
        Effect.suspend(() => {
          const held = transfers.get(lease.id)
          if (held === undefined) return settled(catalog.release(lease, 0))
          if (lease.generation > held.newest.generation) held.newest = lease
          return Effect.void
        }),
      makeRoom: (id, rangeOf) =>
        Effect.suspend(() =>
          Effect.forEach(transfers.makeRoom(id, rangeOf), ({ settled }) => Deferred.await(settled), { discard: true })
        ),
      endOf: (key) =>
        Effect.sync(() => {
          for (const { abort } of transfers.ofKey(key)) abort()
        })
    })
  })
)
