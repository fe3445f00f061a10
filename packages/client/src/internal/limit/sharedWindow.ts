/** The permits of one account in a permit store, for everything in this process. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { Acquired, Quota, Store } from "../../RateLimitStore.ts"
import { millisOf } from "../shared/monotonic.ts"
import { CONNECTS_WITHIN, RENEW_AFTER } from "./slidingWindow.ts"

/** A permit store that has not responded after this many milliseconds counts as unavailable. */
const TIMEOUT = 2000
/** An unavailable permit store is asked again after this many milliseconds. */
const RETRY_STORE_AFTER = 5000

/** SHA-256 of the host and the key: the name of an account for other processes and the permit store. */
const hashed = async (name: string): Promise<string> => {
  const hash = await globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(name))
  return Hex.encode(new Uint8Array(hash))
}

/** A permit store, and what makes its windows: only its layer refers to that code, so a page does not load it. */
export interface Shared {
  readonly store: Store
  readonly windowOf: (account: string) => SharedWindow
}

/** `undefined`: the permits are in the memory of this process. */
export const CurrentShared = /* @__PURE__ */ Context.Reference<Shared | undefined>(
  "@effect-fileio/client/RateLimitStore",
  { defaultValue: () => undefined }
)

export class SharedWindow {
  readonly #store: Store
  readonly #name: string
  #hash: Promise<string> | undefined
  #awayUntil = -Infinity
  #hasLoggedAway = false

  constructor(store: Store, name: string) {
    this.#store = store
    this.#name = name
  }

  #ask<A>(ask: (account: string) => Effect.Effect<A, unknown>) {
    return Effect.promise(() => this.#hash ??= hashed(this.#name)).pipe(Effect.flatMap(ask), Effect.timeout(TIMEOUT))
  }

  /** Runs a store call in its own fiber; errors are ignored. */
  #send(send: (account: string) => Effect.Effect<void, unknown>): Effect.Effect<void> {
    return Effect.asVoid(Effect.forkDetach(Effect.ignore(this.#ask(send))))
  }

  /** See `RateLimitStore.Store`. */
  release(permit: string, countedIn: number | undefined): Effect.Effect<void> {
    return this.#send((account) => this.#store.release(account, permit, countedIn))
  }

  /** See `RateLimitStore.Store`. */
  renew(permit: string): Effect.Effect<void> {
    return this.#send((account) => this.#store.renew(account, permit))
  }

  /** Renews a permit until the effect is interrupted, as long as its request may wait for a connection. */
  keepRenewing(permit: string): Effect.Effect<unknown> {
    return Effect.repeat(Effect.delay(this.renew(permit), RENEW_AFTER), { times: CONNECTS_WITHIN / RENEW_AFTER })
  }

  pause(millis: number): Effect.Effect<void> {
    return this.#send((account) => this.#store.pause(account, millis))
  }

  /**
   * Asks for a permit, and returns its name with the result. While the permit store is unavailable it fails, or returns which
   * `part` of the limit this process is to use.
   */
  acquire = Effect.fnUntraced(function*(
    this: SharedWindow,
    quota: Quota | undefined,
    isReduced: boolean
  ): Effect.fn.Return<
    { readonly permit: string; readonly result: Acquired } | { readonly part: number },
    FileIoError.Unreachable
  > {
    const { whenAway } = this.#store
    const clock = yield* Clock.Clock
    if (millisOf(clock) >= this.#awayUntil) {
      const permit = `${yield* Random.nextInt}.${yield* Random.nextInt}`
      const asked = yield* Effect.uninterruptible(
        Effect.result(this.#ask((account) => this.#store.acquire({ account, permit, quota, isReduced })))
      )
      if (Result.isSuccess(asked)) {
        this.#hasLoggedAway = false
        return { permit, result: asked.success }
      }
      // It may have been acquired nevertheless.
      yield* this.release(permit, undefined)
      this.#awayUntil = millisOf(clock) + RETRY_STORE_AFTER
      if (!this.#hasLoggedAway) {
        const consequence = whenAway === "fail"
          ? "calls fail until it does"
          : `this process keeps to 1/${whenAway.processes} of the limit until it does`
        yield* Effect.logWarning(`the permit store of the rate limit does not respond: ${consequence}`)
      }
      this.#hasLoggedAway = true
    }
    if (whenAway !== "fail") return { part: 1 / whenAway.processes }
    const retryAfter = Duration.millis(Math.max(1, Math.ceil(this.#awayUntil - millisOf(clock))))
    return yield* new FileIoError.Unreachable({ host: "the permit store of the rate limit", sent: "no", retryAfter })
  })
}
