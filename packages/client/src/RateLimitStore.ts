/**
 * Shares the permits of an account between processes. Without a permit store each process has its own permits.
 * `RateLimitRedis` is one; implement `Store` for another database, and provide it with `layer`.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CurrentShared, SharedWindow } from "./internal/limit/sharedWindow.ts"

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
  /** A name of the account that does not reveal its key. */
  readonly account: string
  /** A unique name for the permit. */
  readonly permit: string
  /** The quota as far as this process knows it; `undefined`: that of the other processes, or one request per second. */
  readonly quota: Quota | undefined
  /**
   * Whether the quota is below the host's limit, since the host refused requests. The others then use it too for a
   * while.
   */
  readonly isReduced: boolean
}

/**
 * Result of a request for a permit.
 *
 * @category models
 * @since 0.1.0
 */
export type Acquired =
  | { readonly _tag: "Acquired" }
  /** No permit is free; ask again after this many milliseconds. */
  | { readonly _tag: "Full"; readonly wait: number }
  /** The host has refused a request of the account; ask again after this many milliseconds. */
  | { readonly _tag: "Paused"; readonly wait: number }

/**
 * A permit store. All times are durations in milliseconds: it has its own clock, and no clock of a process is compared
 * with it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Store {
  /**
   * Acquires a permit if fewer than the quota's are held. A permit is held until a window after the host has counted
   * its request. One that is never released counts as if counted 10 seconds after it was acquired or last renewed.
   */
  readonly acquire: (request: Acquire) => Effect.Effect<Acquired, unknown>
  /** The request of this permit waits for a connection: it counts as if acquired now. Called every 4 seconds meanwhile. */
  readonly renew: (account: string, permit: string) => Effect.Effect<void, unknown>
  /**
   * The host has counted the request of this permit at most this many milliseconds from now; `undefined`: the request
   * was never sent.
   */
  readonly release: (
    account: string,
    permit: string,
    countedIn: number | undefined
  ) => Effect.Effect<void, unknown>
  /** Nobody gets a permit of the account for this long. */
  readonly pause: (account: string, millis: number) => Effect.Effect<void, unknown>
  /** What calls do while the permit store is unavailable: fail, or use this share of the limit. */
  readonly whenAway: "fail" | { readonly processes: number }
}

/**
 * Shares the rate limit of each account with all processes that use the same permit store. A `FileIo` reads it when it is made.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (store: Store): Layer.Layer<never> =>
  Layer.succeed(CurrentShared, { store, windowOf: (account) => new SharedWindow(store, account) })
