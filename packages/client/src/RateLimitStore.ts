/**
 * Where several processes keep the permits of an account together. Without a store each process keeps its own. `RateLimitRedis`
 * is one; implement `Store` for another database.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/**
 * At most `limit` requests in any `window` milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Quota {
  readonly limit: number
  readonly window: number
}

/**
 * A request for one permit.
 *
 * @category models
 * @since 0.1.0
 */
export interface Acquire {
  /** A name of the account that does not give its key away. */
  readonly account: string
  /** A name for the permit that no other one has. */
  readonly permit: string
  /** The quota as far as this process knows it; `undefined`: that of the other processes, or one request a second. */
  readonly quota: Quota | undefined
  /** Whether the quota is less than the host's limit, since the host refused requests. The others keep to it too for a while. */
  readonly isReduced: boolean
}

/**
 * The answer to a request for a permit.
 *
 * @category models
 * @since 0.1.0
 */
export type Acquired =
  | { readonly _tag: "Acquired" }
  /** None is free; ask again after so many milliseconds. */
  | { readonly _tag: "Full"; readonly wait: number }
  /** The host has refused a request of the account; ask again after so many milliseconds. */
  | { readonly _tag: "Paused"; readonly wait: number }

/**
 * Every time is a length in milliseconds: the store has a clock of its own, and no clock of a process is compared with it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Store {
  /**
   * Takes a permit if fewer than the quota's are held. One is held from when it is acquired until a window after the host
   * has counted its request. One that is never released counts as counted 10 seconds after it was acquired.
   */
  readonly acquire: (request: Acquire) => Effect.Effect<Acquired, unknown>
  /**
   * The host has counted the request of this permit at most so many milliseconds from now; `undefined`: it was never sent.
   */
  readonly release: (
    account: string,
    permit: string,
    countedIn: number | undefined
  ) => Effect.Effect<void, unknown>
  /** Nobody gets a permit of the account for so long. */
  readonly pause: (account: string, millis: number) => Effect.Effect<void, unknown>
  /** What calls do while the store does not answer: fail, or keep to this part of the limit. */
  readonly whenAway: "fail" | { readonly processes: number }
}

/**
 * The store in force when a `FileIo` is made; `undefined`: memory.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentRateLimitStore = Context.Reference<Store | undefined>("@effect-fileio/client/RateLimitStore", {
  defaultValue: () => undefined
})
