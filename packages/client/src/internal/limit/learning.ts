/** Learns the limit that the host reports in `GET /me`: known, requested, or unavailable for now. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { millisOf } from "../shared/monotonic.ts"

/** The most milliseconds that calls wait for the response of `me`. */
const MAX_AWAIT = 5000
/**
 * After a refusal `me` is requested at most once in this time, in milliseconds, which doubles while the response stays the
 * same.
 */
const APART = 10_000
/** After a failure `me` is requested again after this time, in milliseconds, which doubles with each failure. */
const BACKOFF = 30_000
const MAX_BACKOFF = 600_000
/** With a limit of 0 nothing would ever be sent. */
const LOWEST = 1 / 3600

export class Learning {
  /** Requests per second; `null` if the host reports no limit, `undefined` while it is unknown. */
  limit: number | null | undefined
  isRunning = false
  #startedAt = -Infinity
  #learnedAt = -Infinity
  #isStale = false
  #apart = APART
  #failures = 0
  #notBefore = -Infinity
  /** Whether the first request has ended. */
  #wasAsked = false
  #saidUnknown = false
  readonly #host: string

  constructor(host: string) {
    this.#host = host
  }

  /** How many milliseconds calls wait for the pending response: only for the first one. */
  awaitedFor(now: number): number {
    const isAwaited = this.isRunning && this.limit === undefined && !this.#wasAsked
    return isAwaited ? Math.max(0, this.#startedAt + MAX_AWAIT - now) : 0
  }

  /** Whether to request `me`. */
  isDue(now: number, lifetime: number): boolean {
    return !this.isRunning && now >= this.#notBefore &&
      (this.#isStale || this.limit === undefined || now - this.#learnedAt > lifetime)
  }

  /** A request was refused, so the limit may have changed. */
  doubt() {
    this.#isStale = this.limit !== undefined
  }

  /** Uses the limit in a response of `me`. */
  learned(now: number, rateLimit: number | null | undefined) {
    const before = this.limit
    // An invalid limit counts as none.
    this.limit = typeof rateLimit === "number" && rateLimit > 0 ? Math.max(rateLimit, LOWEST) : null
    this.#apart = this.#isStale && this.limit === before ? Math.min(MAX_BACKOFF, 2 * this.#apart) : APART
    this.#notBefore = now + this.#apart
    this.#learnedAt = now
    this.#isStale = false
    this.#failures = 0
  }

  /** Requests `me` in its own fiber, since callers may be interrupted and the response is for all. */
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
    // A refusal says nothing about `me`: it is requested again after the pause.
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
