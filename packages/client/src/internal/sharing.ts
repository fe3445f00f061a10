/**
 * The places of one account in a store, for all that run in this process. Only a store brings this along, so that programs
 * which share no limit do not load it.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type { Operations, Quota, Shared, Way } from "../RateLimitStore.ts"
import * as Pace from "./pace.ts"
import { millisOf } from "./shared/monotonic.ts"

/** A store that has not answered by then is away. */
const TIMEOUT = 2000
/** So many places are taken at once. */
const AT_ONCE = 4
/** How long a store that was away is left alone. */
const REST = 5000

/** What came of asking for a place. */
export interface Turn {
  /** The place, where there was one; a process that does without the store has none. */
  readonly place: string | undefined
  /** How long to wait before asking again, in milliseconds. */
  readonly wait: number | undefined
  /** Whether that is since the host has told the account to wait. */
  readonly isPaused: boolean
}

const hex = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("")

/** SHA-256 of the host and the key: what other processes and the store see of an account. */
const hashed = async (name: string): Promise<string> =>
  hex(await globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(name)))

export class Sharing implements Shared {
  readonly #store: Operations
  readonly #account: string
  #hash: Promise<string> | undefined
  /** Tells this process from others. */
  #id = ""
  #places = 0
  /** Places that were taken for those who wait behind the first. */
  #stock: Array<string> = []
  #awayUntil = -Infinity
  #saidAway = false
  /** What the ways of all processes take at least, in milliseconds. */
  bound = 0

  constructor(store: Operations, account: string) {
    this.#store = store
    this.#account = account
  }

  #ask<A, E>(ask: (store: Operations, account: string) => Effect.Effect<A, E>) {
    return Effect.promise(() => this.#hash ??= hashed(this.#account)).pipe(
      Effect.flatMap((account) => ask(this.#store, account)),
      Effect.timeout(TIMEOUT)
    )
  }

  /** Tells the store something that no caller waits for. */
  #tell(tell: (store: Operations, account: string) => Effect.Effect<void, unknown>): Effect.Effect<void> {
    return Effect.asVoid(Effect.forkDetach(Effect.ignore(this.#ask(tell))))
  }

  /** The request of this place was never sent. */
  giveBack(...places: ReadonlyArray<string>): Effect.Effect<void> {
    return this.#tell((store, account) => store.giveBack(account, places))
  }

  /** A place that is for the next one who asks. */
  putAside(place: string) {
    this.#stock.push(place)
  }

  /** Nobody waits for what was put aside. */
  clear(): Effect.Effect<void> {
    if (this.#stock.length === 0) return Effect.void
    const left = this.#stock
    this.#stock = []
    return this.giveBack(...left)
  }

  /** See `RateLimitStore.Operations.settle`; `way` is what is known when there was an answer. */
  settle(place: string, ago: number, way?: Way): Effect.Effect<void> {
    return this.#tell((store, account) => store.settle(account, place, ago, way && { id: this.#id, way }))
  }

  pause(millis: number, quota: Quota): Effect.Effect<void> {
    return this.#tell((store, account) => store.pause(account, millis, quota))
  }

  remember(limit: number, millis: number): Effect.Effect<void> {
    return this.#tell((store, account) => store.remember(account, limit, millis))
  }

  recall: Effect.Effect<number | undefined> = Effect.suspend(() =>
    Effect.orElseSucceed(this.#ask((store, account) => store.recall(account)), () => undefined)
  )

  /**
   * Takes a place. Fails when the store is away and that is not to be passed over; otherwise `freeAt` says when there is one
   * within a part of the quota.
   */
  take = Effect.fnUntraced(function*(
    this: Sharing,
    quota: Quota,
    waiting: number,
    way: Way,
    freeAt: (now: number, part: Quota) => number
  ): Effect.fn.Return<Turn, FileIoError.Unreachable> {
    const clock = yield* Clock.Clock
    const { whenAway } = this.#store
    const aside = this.#stock.pop()
    if (aside !== undefined) return { place: aside, wait: undefined, isPaused: false }
    if (millisOf(clock) >= this.#awayUntil) {
      if (this.#id === "") this.#id = `${yield* Random.nextInt}.${yield* Random.nextInt}`
      const id = this.#id
      // All that wait behind this one are served by the same way to the store, within reason.
      const places = Array.from({ length: Math.min(waiting, AT_ONCE) }, () => `${id}:${++this.#places}`)
      const taken = yield* Effect.uninterruptible(
        Effect.exit(this.#ask((store, account) => store.take(account, places, quota, { id, way })))
      )
      if (Exit.isSuccess(taken)) {
        this.#saidAway = false
        if (taken.value._tag === "Paused") return { place: undefined, wait: taken.value.wait, isPaused: true }
        this.bound = taken.value.bound
        if (taken.value._tag === "Full") return { place: undefined, wait: taken.value.wait, isPaused: false }
        this.#stock = places.slice(0, taken.value.count)
        return { place: this.#stock.shift(), wait: undefined, isPaused: false }
      }
      // It may have been taken all the same.
      yield* this.giveBack(...places)
      // Alone, it only has what it has seen itself.
      this.bound = 0
      this.#awayUntil = millisOf(clock) + REST
      if (!this.#saidAway) {
        this.#saidAway = true
        yield* Effect.logWarning(
          whenAway === "fail"
            ? "the store of the rate limit does not answer: calls fail until it does"
            : `the store of the rate limit does not answer: this process keeps to 1/${whenAway.processes} of the limit until it does`
        )
      }
    }
    if (whenAway === "fail") {
      return yield* Effect.fail(
        new FileIoError.Unreachable({
          host: "the store of the rate limit",
          sent: "no",
          retryAfter: Duration.millis(Math.max(0, this.#awayUntil - millisOf(clock)))
        })
      )
    }
    const now = millisOf(clock)
    const free = freeAt(now, Pace.quotaOf(quota.limit / quota.window * 1000 / whenAway.processes))
    const wait = free <= now ? undefined : free === Infinity ? 100 : free - now
    return { place: undefined, wait, isPaused: false }
  })
}
