/**
 * The running transfers of this process. Settles a lease when its last transfer ends.
 *
 * A lease has several transfers if its holder requests several ranges at the same time, as download managers do. No two of them send the
 * same byte: where a new range overlaps what an older transfer has yet to send, the older one stops there. So a resume ends the
 * broken transfer, and ranges of other parts run beside each other. Any of them may send the last byte: for the catalog they
 * are one transfer, the newest.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Catalog, type CatalogError, type Lease, type LeaseEnded, type Progress } from "../../Catalog.ts"
import { Health } from "../../Health.ts"
import type { Outcome, Range, Transfer } from "../http/transfer.ts"

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

interface Running {
  readonly generation: number
  readonly range: Range
  /** `undefined`: it is yet to begin. */
  transfer: Transfer | undefined
  /** Where another transfer goes on. */
  stop: number
  /** Bytes that the catalog has been told. */
  reported: number
  readonly settled: Deferred.Deferred<void>
}

interface Held {
  /** The newest generation that this process has. */
  newest: Lease
  readonly running: Set<Running>
  /** Bytes of transfers that ended which the catalog has not been told. */
  unreported: number
}

const again = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")])

/** Ends a transfer where it would send bytes of a range. Returns whether it ends at once. */
const giveWay = (running: Running, range: Range): boolean => {
  const position = running.transfer?.position() ?? running.range.start
  if (range.start >= running.range.end || range.end <= position) return false
  running.stop = Math.min(running.stop, range.start)
  running.transfer?.stopAt(running.stop)
  return running.stop <= position
}

/** The bytes of a lease that were sent since it was last asked. */
const takeSent = (held: Held): number => {
  let sent = held.unreported
  held.unreported = 0
  for (const running of held.running) {
    const total = running.transfer?.sent() ?? 0
    sent += total - running.reported
    running.reported = total
  }
  return sent
}

export const layer: Layer.Layer<Leases, never, Catalog | Health> = Layer.effect(
  Leases,
  Effect.gen(function*() {
    const catalog = yield* Catalog
    const health = yield* Health
    const scope = yield* Effect.scope
    const all = new Map<string, Held>()

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
      const transfers = Array.from(all.values(), (held): Progress => ({ lease: held.newest, sent: takeSent(held) }))
      return Effect.tapError(catalog.prolong(transfers), () =>
        Effect.sync(() => {
          for (const { lease, sent } of transfers) {
            const held = all.get(lease.id)
            if (held !== undefined) held.unreported += sent
          }
        }))
    }).pipe(
      Effect.catch((error) => Effect.logWarning("the leases could not be prolonged; it is tried again", error.cause)),
      Effect.schedule(Schedule.spaced(catalog.prolongInterval)),
      Effect.forkScoped
    )

    const join = (lease: Lease, range: Range): readonly [Held, Running] => {
      const running: Running = {
        generation: lease.generation,
        range,
        transfer: undefined,
        stop: range.end,
        reported: 0,
        settled: Deferred.makeUnsafe()
      }
      let held = all.get(lease.id)
      if (held === undefined) all.set(lease.id, held = { newest: lease, running: new Set(), unreported: 0 })
      if (lease.generation > held.newest.generation) held.newest = lease
      for (const other of held.running) {
        if (other.generation < lease.generation) giveWay(other, range)
        else giveWay(running, other.range)
      }
      held.running.add(running)
      return [held, running]
    }

    const handOver = (held: Held): Effect.Effect<void, CatalogError | LeaseEnded> =>
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

    /** Takes a transfer that has ended out of its lease; returns whether that was the last one. */
    const leave = (held: Held, running: Running): boolean => {
      held.unreported += (running.transfer?.sent() ?? 0) - running.reported
      held.running.delete(running)
      if (held.running.size > 0) return false
      all.delete(held.newest.id)
      return true
    }

    const run = Effect.fnUntraced(
      function*<E, R>(
        lease: Lease,
        range: Range,
        begin: (beforeLast: () => Promise<void>) => Effect.Effect<Transfer, E, R>
      ) {
        const runPromise = Effect.runPromiseWith(yield* Effect.context<never>())
        const toTheEnd = range.end === lease.size
        const [held, mine] = join(lease, range)
        let handed = false
        const beforeLast = async () => {
          if (!toTheEnd) return
          await runPromise(handOver(held))
          handed = true
        }
        const transfer = yield* Effect.onError(begin(beforeLast), () =>
          Effect.andThen(
            leave(held, mine) ? settled(catalog.abandon(held.newest)) : Effect.void,
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
        const isLast = leave(held, mine)
        if (outcome === "whole" && toTheEnd) {
          yield* settled(catalog.commit(held.newest))
        } else if (isLast && (outcome === "unsent" || outcome === "unreadable")) {
          yield* settled(catalog.abandon(held.newest))
        } else if (isLast || handed) {
          // Also where it has other transfers: the catalog must not go on believing that the last byte was sent.
          yield* settled(catalog.release(held.newest, takeSent(held)))
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
          const held = all.get(lease.id)
          if (held === undefined) return settled(catalog.release(lease, 0))
          if (lease.generation > held.newest.generation) held.newest = lease
          return Effect.void
        }),
      makeRoom: (id, rangeOf) =>
        Effect.suspend(() => {
          const held = all.get(id)
          const range = held === undefined ? undefined : rangeOf(held.newest.size)
          if (held === undefined || range === undefined) return Effect.void
          const ended = Array.from(held.running).filter((running) => giveWay(running, range))
          return Effect.forEach(ended, ({ settled }) => Deferred.await(settled), { discard: true })
        }),
      endOf: (key) =>
        Effect.sync(() => {
          for (const { newest, running } of all.values()) {
            for (const { transfer } of newest.key === key ? running : []) transfer?.abort()
          }
        })
    })
  })
)
