/** The limit that the host gives in `GET /me`: known, being asked for, or not to be had for now. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { millisOf } from "../shared/monotonic.ts"

/** Calls wait at most this many milliseconds for the answer of `me`. */
const MAX_AWAIT = 5000
/** After a refusal `me` is asked at most once in this time, which doubles while the answer stays the same. */
const APART = 10_000
/** After a failure `me` is asked again after this time, which doubles with each one. */
const BACKOFF = 30_000
const MAX_BACKOFF = 600_000
/** With a limit of 0 nothing would ever be sent. */
const LOWEST = 1 / 3600

export class Learning {
  /** Requests a second; `null` when the host gives no limit, `undefined` while it is not known. */
  limit: number | null | undefined
  isRunning = false
  #startedAt = -Infinity
  #learnedAt = -Infinity
  #isStale = false
  #apart = APART
  #failures = 0
  #notBefore = -Infinity
  /** Whether the first question has come to its end. */
  #wasAsked = false
  #saidUnknown = false
  readonly #host: string

  constructor(host: string) {
    this.#host = host
  }

  /** How many milliseconds calls wait for the answer that is on its way: only for the first one. */
  awaitedFor(now: number): number {
    const isAwaited = this.isRunning && this.limit === undefined && !this.#wasAsked
    return isAwaited ? Math.max(0, this.#startedAt + MAX_AWAIT - now) : 0
  }

  /** Whether `me` should be asked. */
  isDue(now: number, lifetime: number): boolean {
    return !this.isRunning && now >= this.#notBefore &&
      (this.#isStale || this.limit === undefined || now - this.#learnedAt > lifetime)
  }

  /** A request was refused, so the limit may have changed. */
  doubt() {
    this.#isStale = this.limit !== undefined
  }

  /** Takes over what an answer of `me` says. */
  learned(now: number, rateLimit: number | null | undefined) {
    const before = this.limit
    // A limit that is no positive number says as little as none.
    this.limit = typeof rateLimit === "number" && rateLimit > 0 ? Math.max(rateLimit, LOWEST) : null
    this.#apart = this.#isStale && this.limit === before ? Math.min(MAX_BACKOFF, 2 * this.#apart) : APART
    this.#notBefore = now + this.#apart
    this.#learnedAt = now
    this.#isStale = false
    this.#failures = 0
  }

  /** Asks `me` on a fiber of its own, since callers come and go and the answer is for all. */
  start(
    me: Effect.Effect<unknown, unknown>,
    now: number,
    options: { readonly wasRefused: () => boolean; readonly onEnd: () => void }
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isRunning = true
      this.#startedAt = now
      return Effect.exit(me).pipe(
        Effect.zip(Effect.map(Clock.Clock, millisOf)),
        Effect.flatMap(([exit, now]) => {
          const said = Exit.isFailure(exit) ? this.#failed(now, options.wasRefused()) : Effect.void
          this.isRunning = false
          this.#wasAsked = true
          options.onEnd()
          return said
        }),
        Effect.forkDetach,
        Effect.asVoid
      )
    })
  }

  #failed(now: number, wasRefused: boolean): Effect.Effect<void> {
    // A refusal says nothing of `me`: it is asked again when the pause is over.
    if (wasRefused) return Effect.void
    this.#notBefore = now + Math.min(MAX_BACKOFF, BACKOFF * 2 ** this.#failures)
    this.#failures++
    if (this.limit !== undefined || this.#saidUnknown) return Effect.void
    this.#saidUnknown = true
    return Effect.logWarning(
      `the rate limit of the account at ${this.#host} could not be learned from GET /me: one call a second until it is; RateLimit.fixed sets it`
    )
  }
}
