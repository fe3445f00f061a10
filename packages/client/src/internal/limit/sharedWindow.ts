/** The permits of one account in a store, for everything in this process. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { Acquired, Quota, Store } from "../../RateLimitStore.ts"
import { millisOf } from "../shared/monotonic.ts"

/** A store that has not responded after this many milliseconds counts as unavailable. */
const TIMEOUT = 2000
/** How long an unavailable store is not asked, in milliseconds. */
const REST = 5000

const hex = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("")

/** SHA-256 of the host and the key: the name of an account for other processes and the store. */
const hashed = async (name: string): Promise<string> =>
  hex(await globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(name)))

export class SharedWindow {
  readonly #store: Store
  readonly #name: string
  #hash: Promise<string> | undefined
  /** Distinguishes the permits of this process from those of others. */
  #id = ""
  #permits = 0
  #awayUntil = -Infinity
  #saidAway = false

  constructor(store: Store, name: string) {
    this.#store = store
    this.#name = name
  }

  #ask<A>(ask: (account: string) => Effect.Effect<A, unknown>) {
    return Effect.promise(() => this.#hash ??= hashed(this.#name)).pipe(Effect.flatMap(ask), Effect.timeout(TIMEOUT))
  }

  /** Sends something to the store for which no caller waits. */
  #tell(tell: (account: string) => Effect.Effect<void, unknown>): Effect.Effect<void> {
    return Effect.asVoid(Effect.forkDetach(Effect.ignore(this.#ask(tell))))
  }

  /** See `RateLimitStore.Store`. */
  release(permit: string, countedIn: number | undefined): Effect.Effect<void> {
    return this.#tell((account) => this.#store.release(account, permit, countedIn))
  }

  pause(millis: number): Effect.Effect<void> {
    return this.#tell((account) => this.#store.pause(account, millis))
  }

  /**
   * Asks for a permit, and returns its name with the result. While the store is unavailable it fails, or returns `undefined` if
   * this process is to use its `part` of the limit.
   */
  acquire = Effect.fnUntraced(function*(
    this: SharedWindow,
    quota: Quota | undefined,
    isReduced: boolean
  ): Effect.fn.Return<{ readonly permit: string; readonly result: Acquired } | undefined, FileIoError.Unreachable> {
    const clock = yield* Clock.Clock
    if (millisOf(clock) >= this.#awayUntil) {
      if (this.#id === "") this.#id = `${yield* Random.nextInt}.${yield* Random.nextInt}`
      const permit = `${this.#id}:${++this.#permits}`
      const asked = yield* Effect.uninterruptible(
        Effect.result(this.#ask((account) => this.#store.acquire({ account, permit, quota, isReduced })))
      )
      if (Result.isSuccess(asked)) {
        this.#saidAway = false
        return { permit, result: asked.success }
      }
      // It may have been acquired nevertheless.
      yield* this.release(permit, undefined)
      this.#awayUntil = millisOf(clock) + REST
      if (!this.#saidAway) {
        yield* Effect.logWarning(`the store of the rate limit does not respond: ${this.#consequence}`)
      }
      this.#saidAway = true
    }
    if (this.#store.whenAway !== "fail") return undefined
    const retryAfter = Duration.millis(Math.max(0, this.#awayUntil - millisOf(clock)))
    return yield* Effect.fail(
      new FileIoError.Unreachable({ host: "the store of the rate limit", sent: "no", retryAfter })
    )
  })

  /** The part of the limit that this process uses while the store is unavailable. */
  get part(): number {
    return this.#store.whenAway === "fail" ? 1 : 1 / this.#store.whenAway.processes
  }

  get #consequence(): string {
    const { whenAway } = this.#store
    return whenAway === "fail"
      ? "calls fail until it does"
      : `this process keeps to 1/${whenAway.processes} of the limit until it does`
  }
}
