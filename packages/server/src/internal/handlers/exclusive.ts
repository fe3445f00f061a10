/** Allows one request at a time for each upload; a newer one ends the older. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Refusal from "../http/refusal.ts"

/** Reads a body until it ends, its connection breaks, or a newer request arrives. */
export type Reading = <A, E, R>(read: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Refusal.Refusal, R>

interface Holder {
  readonly end: Deferred.Deferred<void>
  readonly ended: Deferred.Deferred<void>
}

export const make = () => {
  const holders = new Map<string, Holder>()
  /**
   * Only reading is interrupted: received bytes must be stored even if the connection breaks at once.
   */
  return <A, E, R>(id: string, run: (reading: Reading) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.uninterruptibleMask((restore) => {
      const older = holders.get(id)
      const mine: Holder = { end: Deferred.makeUnsafe(), ended: Deferred.makeUnsafe() }
      holders.set(id, mine)
      const supersede = older === undefined
        ? Effect.void
        : Effect.andThen(Deferred.succeed(older.end, undefined), Deferred.await(older.ended))
      const superseded = Effect.andThen(Deferred.await(mine.end), Effect.fail(Refusal.superseded))
      return Effect.andThen(supersede, run((read) => restore(Effect.raceFirst(read, superseded)))).pipe(
        Effect.ensuring(Effect.suspend(() => {
          if (holders.get(id) === mine) holders.delete(id)
          return Deferred.succeed(mine.ended, undefined)
        }))
      )
    })
}
