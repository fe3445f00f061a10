/**
 * Where the places of an account are kept when several processes share them. Without a store they are kept in memory,
 * shared by all that runs in the process.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import { Sharing } from "./internal/sharing.ts"

/**
 * So many requests in any window of so many milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Quota {
  readonly limit: number
  readonly window: number
}

/**
 * The answer to the wish for places. `bound` is what the taker's way takes at least, in milliseconds, by what all
 * processes have seen.
 *
 * @category models
 * @since 0.1.0
 */
export type Taken =
  /** So many of them were taken, the first ones; at least one. */
  | { readonly _tag: "Taken"; readonly count: number; readonly bound: number }
  /** There is none; ask again after so many milliseconds. */
  | { readonly _tag: "Full"; readonly wait: number; readonly bound: number }
  /** The host has told the account to wait so many milliseconds. */
  | { readonly _tag: "Paused"; readonly wait: number }

/**
 * What a process has seen of its way to the host and back, in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Way {
  /** The shortest round trip; `Infinity` when nothing was seen. */
  readonly shortest: number
  /** The average. */
  readonly mean: number
  /** How often something was seen; 0 when nothing was. */
  readonly observations: number
  /** Since when. */
  readonly age: number
  /** Whether it was only over new connections, so that it says little to others. */
  readonly isNew: boolean
}

/**
 * What a process says of itself when it takes places.
 *
 * @category models
 * @since 0.1.0
 */
export interface Taker {
  /** Tells it from other processes. The names of its places begin with this and a colon. */
  readonly id: string
  readonly way: Way
}

/**
 * A store of places, by a name of the account that does not give its key away. Every time is a length, in milliseconds:
 * the store has a clock of its own, and no clock of a process is compared with it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Operations {
  /**
   * Takes places under these names, as many as there are while fewer than the quota are held. For this taker, a place is
   * held until a window after its answer, less what the ways of both, the taker's and that of the place's process, take at
   * least. A process with a way of its own that is not clearly shorter than what others have seen is believed to be as far
   * from the host as they are; of one that has seen nothing, nothing is assumed.
   */
  readonly take: (
    account: string,
    places: ReadonlyArray<string>,
    quota: Quota,
    taker: Taker
  ) => Effect.Effect<Taken, unknown>
  /**
   * The request of this place was answered, and counted at least `ago` milliseconds before that on top of what the taker's
   * way takes. Without a taker there was no answer, and it was counted `ago` milliseconds ago, which may be in the future.
   */
  readonly settle: (
    account: string,
    place: string,
    ago: number,
    taker: Taker | undefined
  ) => Effect.Effect<void, unknown>
  /** The requests of these places were never sent. */
  readonly giveBack: (account: string, places: ReadonlyArray<string>) => Effect.Effect<void, unknown>
  /** Nobody gets a place for so long; afterwards they come free one by one. */
  readonly pause: (account: string, millis: number, quota: Quota) => Effect.Effect<void, unknown>
  /** The limit that another process has learned. */
  readonly recall: (account: string) => Effect.Effect<number | undefined, unknown>
  /** Tells the others of a limit for so long. */
  readonly remember: (account: string, limit: number, millis: number) => Effect.Effect<void, unknown>
  /** What calls do while the store is away: fail, or keep to their part of the limit in this process. */
  readonly whenAway: "fail" | { readonly processes: number }
}

/**
 * What this process has of one account in a store; the limiter alone knows more of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shared {
  /** What the ways of all processes take at least, in milliseconds; 0 while that is not known. */
  readonly bound: number
}

/**
 * A store that was made with `make`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Store extends Operations {
  /** The places of one account, named by its host and key, which the store sees hashed. */
  readonly share: (account: string) => Shared
}

/**
 * A store out of what it can do.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (operations: Operations): Store => ({
  ...operations,
  share: (account) => new Sharing(operations, account)
})

/**
 * The store in force when a `FileIo` is made; `undefined`: memory.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentRateLimitStore = Context.Reference<Store | undefined>("@effect-fileio/client/RateLimitStore", {
  defaultValue: () => undefined
})
