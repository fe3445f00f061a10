import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

/** Runs effects of the same key one after another, in the order in which they came. */
export const make = () => {
  const last = new Map<string, Deferred.Deferred<void>>()
  return <A, E, R>(key: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const before = last.get(key)
      const mine = Deferred.makeUnsafe<void>()
      last.set(key, mine)
      return Effect.andThen(before === undefined ? Effect.void : Deferred.await(before), effect).pipe(
        Effect.ensuring(Effect.suspend(() => {
          if (last.get(key) === mine) last.delete(key)
          return before === undefined
            ? Deferred.succeed(mine, undefined)
            // An interrupted one does not let the next one overtake the one before it.
            : Effect.andThen(Deferred.await(before), Deferred.succeed(mine, undefined))
        }))
      )
    })
}
