/**
 * The budget of one account in this process: who waits, what is out, what the host has said.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Metrics from "../Metrics.ts"
import type { Quota, Way } from "../RateLimitStore.ts"
import * as Series from "./observe/metrics.ts"
import * as Pace from "./pace.ts"
import { boundOf, type Connection, RoundTrip, type Seen, together } from "./roundTrip.ts"
import { millisOf } from "./shared/monotonic.ts"
import type { Sharing } from "./sharing.ts"
import { type Place, SlidingWindow } from "./slidingWindow.ts"

/** The limit that a call keeps to. */
export type Limit =
  | { readonly _tag: "Learned"; readonly lifetime: number }
  | { readonly _tag: "Fixed"; readonly quota: Quota }
  | { readonly _tag: "Unlimited" }

/** What a caller is told when it has to wait. */
export interface Wait {
  readonly operation: FileIoError.Operation
  readonly reason: "limit" | "refused"
  readonly millis: number
  readonly ahead: number
  readonly quota: Quota
}

export interface Request<E> {
  readonly operation: FileIoError.Operation
  /** The order of calls: a call that is repeated keeps its place before those that came later. */
  readonly order: number
  readonly limit: Limit
  /** The longest that it may wait, as of now, for a pause which the host has asked for, in milliseconds. */
  readonly patience: () => number
  /** Whether a failure means that nothing was sent. */
  readonly isUnsent: (error: E) => boolean
  /** The failure of a request that gets no turn. */
  readonly refused: (reason: FileIoError.RateLimited | FileIoError.Unreachable) => E
  readonly onWait: ((wait: Wait) => Effect.Effect<void>) | undefined
}

/** What is told of a request while it is out. */
export interface Underway {
  /** The head of the request must be on its way, which for an upload is long before its answer. */
  underway: (() => void) | undefined
  /** The head of the request leaves, over a connection that has served before or over a new one. */
  onDeparture: ((isReused: boolean) => void) | undefined
}

/** How a request went through the limiter. */
export interface Passage {
  sentAt: number
  waited: number
  /** How many requests went out. */
  requests: number
}

/** After a failure nobody knows when the host has counted the request; what is under way arrives within this. */
const AFTERMATH = 1000
/** How long an idle connection is taken to stay open, where the transport does not tell. */
const KEPT_ALIVE = 3000
/** So many requests go out at once; those after them at most at twice the pace of the limit. */
const BURST = 25
/** A bound has to change by this to be applied to what was answered before, in milliseconds. */
const NEWS = 1
/** What is assumed of an account while its limit is not known: one request a second is within any limit. */
const UNKNOWN: Quota = { limit: 1, window: 1000 }
/** Calls do not wait longer for `me`. */
const LEARN_TIMEOUT = 5000
const LEARN_APART = 10_000
const LEARN_BACKOFF = 30_000
const LEARN_BACKOFF_MAX = 600_000
/** A quota that is told or set as 0 would never let anything through. */
const atLeast = (limit: number) => Math.max(limit, 1 / 3600)

const spacing = (quota: Quota): number => quota.limit <= BURST ? 0 : quota.window / quota.limit / 2

/** A request from when it asks for its turn. */
interface Trip {
  readonly clock: Clock.Clock
  readonly context: Context.Context<never>
  readonly began: number
  /** Its place here. */
  place: Place | undefined
  /** Its place in the store. */
  shared: string | undefined
  out?: Out
}

/** A request that has gone out. */
interface Out {
  leftAt: number
  connection: Connection
  isUnderway: boolean
}

class Waiter {
  poked = false
  resume: (() => void) | undefined
  readonly order: number
  constructor(order: number) {
    this.order = order
  }
  poke() {
    this.poked = true
    this.resume?.()
  }
  /** Until it is poked, or so long. */
  sleep(millis: number): Effect.Effect<void> {
    const poked = Effect.callback<void>((resume) => {
      if (this.poked) return resume(Effect.void)
      this.resume = () => resume(Effect.void)
      return Effect.sync(() => {
        this.resume = undefined
      })
    })
    // A timer of Node rounds down, and a window that is asked too early is only asked twice.
    return Number.isFinite(millis) ? Effect.raceFirst(Effect.sleep(Math.max(1, Math.ceil(millis))), poked) : poked
  }
}

const rateLimited = (millis: number) => new FileIoError.RateLimited({ retryAfter: Duration.millis(Math.ceil(millis)) })

export class Account {
  readonly host: string
  readonly isAnonymous: boolean
  /** The places in a store, where other processes use the account too. */
  readonly #sharing: Sharing | undefined
  readonly #window = new SlidingWindow()
  readonly #pace = new Pace.Pace()
  readonly #roundTrips = new Map<FileIoError.Operation, RoundTrip>()
  readonly #waiters: Array<Waiter> = []
  readonly #idle: Array<number> = []
  #pausedUntil = -Infinity
  #spacedUntil = -Infinity
  #orders = 0
  /** What the way takes at least, whatever is asked for. */
  #wayBound = 0
  /** The largest bound by which earlier answers were judged. */
  #judgedBy = 0
  readonly #remaining: Metric.Gauge<number>
  /** The limit that `me` told: `null` when it told none. */
  #limit: number | null | undefined
  #learnedAt = -Infinity
  #isStale = false
  #isLearning = false
  #onRecall: (() => void) | undefined
  #learnFailures = 0
  #learnNotBefore = -Infinity
  #saidUnknown = false
  /** Calls that are in here. */
  active = 0
  usedAt: number
  /** Another one stands for the same account by now. */
  isForgotten = false

  constructor(options: {
    readonly host: string
    readonly isAnonymous: boolean
    readonly sharing: Sharing | undefined
    readonly now: number
  }) {
    this.host = options.host
    this.isAnonymous = options.isAnonymous
    this.#sharing = options.sharing
    this.usedAt = options.now
    this.#remaining = Series.remaining(options.host)
  }

  nextOrder(): number {
    return ++this.#orders
  }

  /** Whether it may be forgotten. */
  isIdle(now: number, keep: number): boolean {
    return this.active === 0 && !this.#isLearning && now - this.usedAt > keep && now > this.#pausedUntil
  }

  #known(): number | undefined {
    return this.#limit === null || this.#limit === undefined ? undefined : this.#limit
  }

  #quota(now: number, limit: Limit): Quota {
    if (limit._tag === "Fixed") return limit.quota
    if (!this.isAnonymous && this.#limit === undefined) return UNKNOWN
    return Pace.quotaOf(this.#pace.current(now, this.#known()))
  }

  /**
   * When the next request may go out for the sake of its round trip alone: many at once only queue at both ends, and what
   * they wait there keeps their places longer.
   */
  #spaced(now: number, quota: Quota): number {
    return Math.max(now, this.#spacedUntil - (BURST - 1) * spacing(quota))
  }

  /** How long a call that came now would wait, in milliseconds. */
  wait(now: number, limit: Limit, ahead = this.#waiters.length): number {
    if (limit._tag === "Unlimited") return 0
    const from = Math.max(now, this.#pausedUntil)
    return from - now + this.#window.wait(from, this.#quota(from, limit), ahead, this.#typicalRoundTrip())
  }

  #typicalRoundTrip(): number {
    let longest = 0
    for (const { mean } of this.#roundTrips.values()) if (mean !== Infinity) longest = Math.max(longest, mean)
    return Math.min(longest, 1000)
  }

  #pokeFirst() {
    this.#waiters[0]?.poke()
  }

  #enqueue(waiter: Waiter) {
    let at = this.#waiters.length
    while (at > 0 && this.#waiters[at - 1]!.order > waiter.order) at--
    this.#waiters.splice(at, 0, waiter)
  }

  #dequeue(waiter: Waiter): Effect.Effect<void> {
    return Effect.suspend(() => {
      const at = this.#waiters.indexOf(waiter)
      this.#waiters.splice(at, 1)
      if (at === 0) this.#pokeFirst()
      return this.#waiters.length > 0 || this.#sharing === undefined ? Effect.void : this.#sharing.clear()
    })
  }

  /**
   * Makes a request in its turn. Where nobody waits, that costs neither a fiber nor a timer. What it gives is run once.
   */
  run<A, E, R>(
    request: Effect.Effect<A, E, R>,
    options: Request<E>,
    learn: Effect.Effect<unknown, unknown>,
    passage: Passage,
    flow: Underway
  ): Effect.Effect<A, E, R> {
    let trip: Trip | undefined
    return Effect.onExitPrimitive(
      Effect.withFiber((fiber) => {
        const clock = fiber.getRef(Clock.Clock)
        const began = millisOf(clock)
        this.active++
        const mine: Trip = trip = { clock, context: fiber.context, began, place: undefined, shared: undefined }
        mine.place = this.#enter(began, options, fiber.context)
        if (mine.place !== undefined) {
          this.#depart(mine, mine.place, options, passage, flow)
          return request
        }
        const acquired = Effect.mapError(this.#acquire(mine, options, learn), options.refused)
        return Effect.flatMap(acquired, (place) => {
          this.#depart(mine, place, options, passage, flow)
          return request
        })
      }),
      (exit) => trip === undefined ? undefined : this.#arrive(trip, exit, options, passage)
    )
  }

  /** A place, if there is one for which nothing has to be waited for or asked. */
  #enter<E>(now: number, options: Request<E>, context: Context.Context<never>): Place | undefined {
    const { limit } = options
    if (limit._tag === "Unlimited") return this.#window.take(now)
    if (this.#waiters.length > 0 || this.#sharing !== undefined || this.#pausedUntil > now) return undefined
    if (limit._tag === "Learned" && !this.isAnonymous && options.operation !== "me") {
      if (this.#limit === undefined || this.#needsRefresh(now, limit.lifetime)) return undefined
    }
    const quota = this.#quota(now, limit)
    if (this.#window.freeAt(now, quota) > now || this.#spaced(now, quota) > now) return undefined
    return this.#occupy(now, quota, context)
  }

  #occupy(now: number, quota: Quota, context: Context.Context<never>): Place {
    const place = this.#window.take(now)
    this.#spacedUntil = Math.max(this.#spacedUntil, now) + spacing(quota)
    this.#remaining.updateUnsafe(Math.max(0, quota.limit - this.#window.held(now, quota)), context)
    return place
  }

  /** The request of a place goes out. */
  #depart<E>(trip: Trip, place: Place, options: Request<E>, passage: Passage, flow: Underway) {
    const { began, clock, context, shared } = trip
    const sentAt = millisOf(clock)
    passage.sentAt = sentAt
    passage.waited += sentAt - began
    passage.requests++
    Metrics.waits.updateUnsafe(sentAt - began, context)
    const out: Out = trip.out = {
      leftAt: sentAt,
      connection: this.#connect(sentAt) ? "reused" : "unknown",
      isUnderway: false
    }
    flow.underway = () => {
      if (out.isUnderway) return
      out.isUnderway = true
      this.#window.settle(place, millisOf(clock) + AFTERMATH)
      this.#pokeFirst()
      if (shared !== undefined) Effect.runForkWith(context)(this.#sharing!.settle(shared, -AFTERMATH))
    }
    // Of calls without a limit nothing is learned, so that they cost nothing.
    if (options.limit._tag !== "Unlimited") {
      flow.onDeparture = (isReused) => {
        out.leftAt = millisOf(clock)
        out.connection = isReused ? "reused" : "new"
      }
    }
  }

  /** A request has ended, or will never be made. */
  #arrive<A, E>(
    trip: Trip,
    exit: Exit.Exit<A, E>,
    options: Request<E>,
    passage: Passage
  ): Effect.Effect<void> | undefined {
    const { out, place, shared } = trip
    const now = millisOf(trip.clock)
    let told: Effect.Effect<void> | undefined
    if (out === undefined || place === undefined) {
      passage.waited += now - trip.began
      if (place !== undefined) this.#window.giveBack(place)
      if (shared !== undefined) told = this.#sharing!.giveBack(shared)
    } else if (out.isUnderway) {
      // All that is to be known of it was told when it was under way.
    } else if (Exit.isSuccess(exit)) {
      this.#idle.push(now)
      const roundTrip = this.#roundTripOf(options.operation, now)
      if (options.limit._tag !== "Unlimited") this.#observe(roundTrip, now - out.leftAt, now, out.connection)
      this.#window.answered(place, { at: now, bound: () => this.#boundOf(roundTrip) })
      if (shared !== undefined) {
        // What the host has worked on it, on top of the way.
        const ago = Math.max(0, roundTrip.bound - this.#way(now).shortest)
        told = this.#sharing!.settle(shared, ago, this.#seen(now))
      }
    } else if (isUnsent(exit, options)) {
      this.#window.giveBack(place)
      if (shared !== undefined) told = this.#sharing!.giveBack(shared)
    } else {
      this.#window.settle(place, now + AFTERMATH)
      if (shared !== undefined) told = this.#sharing!.settle(shared, -AFTERMATH)
    }
    this.#leave(now)
    return told
  }

  #leave(now: number) {
    this.active--
    this.usedAt = now
    this.#pokeFirst()
  }

  /** Whether the request may go over a connection that is open already. */
  #connect(now: number): boolean {
    let stale = 0
    while (stale < this.#idle.length && now - this.#idle[stale]! > KEPT_ALIVE) stale++
    this.#idle.splice(0, stale)
    return this.#idle.pop() !== undefined
  }

  #roundTripOf(operation: FileIoError.Operation, now: number): RoundTrip {
    let roundTrip = this.#roundTrips.get(operation)
    if (roundTrip === undefined) this.#roundTrips.set(operation, roundTrip = new RoundTrip(now))
    return roundTrip
  }

  #observe(roundTrip: RoundTrip, millis: number, now: number, connection: Connection) {
    roundTrip.observe(millis, now, connection)
    this.#wayBound = this.#roundTrips.size === 1 ? roundTrip.bound : boundOf(this.#way(now))
    this.#judge(this.#boundOf(roundTrip))
  }

  /** Applies a bound to what was answered before, if it says something else of that. */
  #judge(bound: number) {
    if (Math.abs(bound - this.#judgedBy) < NEWS) return
    this.#judgedBy = bound
    this.#window.revise()
  }

  /** What this operation takes at least. */
  #boundOf(roundTrip: RoundTrip): number {
    return Math.max(roundTrip.bound, this.#wayBound, this.#sharing?.bound ?? 0)
  }

  /** What was seen of the way, whatever was asked for. */
  #way(now: number): Seen {
    return together([...this.#roundTrips.values()], now)
  }

  /** What other processes are told of this one. */
  #seen(now: number): Way {
    const { isOfNewConnections, mean, observations, shortest, since } = this.#way(now)
    return { shortest, mean, observations, age: now - since, isNew: isOfNewConnections }
  }

  readonly #acquire = Effect.fnUntraced(
    function*<E>(
      this: Account,
      trip: Trip,
      options: Request<E>,
      learn: Effect.Effect<unknown, unknown>
    ): Effect.fn.Return<Place, FileIoError.RateLimited | FileIoError.Unreachable> {
      const { clock, context } = trip
      const { limit } = options
      const patience = options.patience()
      const waiter = new Waiter(options.order)
      this.#enqueue(waiter)
      let hasWaited = false
      return yield* Effect.gen({ self: this }, function*() {
        while (true) {
          waiter.poked = false
          const now = millisOf(clock)
          const paused = this.#pausedUntil - now
          if (paused > patience) return yield* Effect.fail(rateLimited(paused))
          const quota = this.#quota(now, limit)
          const isFirst = this.#waiters[0] === waiter
          let sleep = Infinity
          if (isFirst && paused > 0) sleep = paused
          else if (isFirst) {
            const isLearned = limit._tag === "Learned" && !this.isAnonymous
            if (isLearned && this.#limit === undefined && options.operation !== "me" && this.#mayLearn(now)) {
              yield* this.#startLearning(clock, learn)
            }
            const mustLearn = isLearned && this.#limit === undefined && this.#isLearning && this.#learnFailures === 0 &&
              options.operation !== "me"
            const freeAt = Math.max(this.#window.freeAt(now, quota), this.#spaced(now, quota))
            if (!mustLearn && freeAt <= now) {
              const refusal = yield* this.#share(clock, quota, trip)
              if (refusal === undefined) {
                const taken = millisOf(clock)
                // Asking the store takes time, in which the host may have refused a request, or another call come first.
                if (
                  this.#pausedUntil > taken || this.#waiters[0] !== waiter || this.#window.freeAt(taken, quota) > taken
                ) {
                  if (trip.shared !== undefined) this.#sharing!.putAside(trip.shared)
                  trip.shared = undefined
                  if (this.#pausedUntil > taken && this.#sharing !== undefined) yield* this.#sharing.clear()
                  continue
                }
                const place = trip.place = this.#occupy(taken, quota, context)
                if (hasWaited && limit._tag === "Learned") this.#pace.wanted(taken, this.#known())
                if (isLearned && this.#needsRefresh(taken, limit.lifetime) && options.operation !== "me") {
                  yield* this.#startLearning(clock, learn)
                }
                return place
              }
              if (isLearned && this.#limit === undefined) yield* this.#recall(clock)
              const told = this.#pausedUntil - millisOf(clock)
              if (told > patience) return yield* Effect.fail(rateLimited(told))
              sleep = refusal
            } else if (!mustLearn) sleep = freeAt - now
          }
          // How long it will be is not known while the limit is being learned.
          if (!hasWaited && !(this.#limit === undefined && this.#isLearning)) {
            hasWaited = true
            if (options.onWait === undefined) continue
            const ahead = this.#waiters.indexOf(waiter)
            yield* options.onWait({
              operation: options.operation,
              reason: paused > 0 ? "refused" : "limit",
              millis: this.wait(now, limit, ahead),
              ahead,
              quota
            })
            // What happened while the listener was told has to be looked at.
            if (waiter.poked) continue
          }
          yield* waiter.sleep(sleep)
        }
      }).pipe(Effect.ensuring(this.#dequeue(waiter)))
    }
  )

  /** The host has refused a request of this account. */
  refused(sentAt: number, retryAfter: number | undefined, limit: Limit): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const now = millisOf(yield* Clock.Clock)
      if (this.#limit !== undefined && limit._tag === "Learned") this.#isStale = true
      const random = yield* Random.next
      const millis = this.#pace.refused(
        now,
        sentAt,
        retryAfter,
        limit._tag === "Fixed" ? limit.quota.limit : this.#known(),
        random
      )
      if (millis === undefined || now + millis <= this.#pausedUntil) return
      const isNew = now >= this.#pausedUntil
      this.#pausedUntil = now + millis
      const quota = this.#quota(now, limit)
      this.#window.pace(this.#pausedUntil, quota)
      // Those who cannot wait so long are told now.
      for (const waiter of this.#waiters) waiter.poke()
      if (this.#sharing !== undefined) {
        yield* this.#sharing.clear()
        yield* this.#sharing.pause(millis, quota)
      }
      if (!isNew) return
      yield* Metric.update(Series.pauses(this.host), 1)
      yield* Effect.logWarning(
        `${this.host} refused a request (429): all calls of this account wait ${
          Duration.format(Duration.millis(Math.round(millis)))
        }`
      )
    })
  }

  /** A request was answered with something else than a refusal. */
  served(sentAt: number) {
    this.#pace.served(sentAt)
  }

  #mayLearn(now: number): boolean {
    return !this.#isLearning && now >= this.#learnNotBefore
  }

  #needsRefresh(now: number, lifetime: number): boolean {
    return this.#mayLearn(now) && (this.#isStale || this.#limit === undefined || now - this.#learnedAt > lifetime)
  }

  /** Asks `me` on a fiber of its own: callers come and go, and the answer is for all. */
  #startLearning(clock: Clock.Clock, learn: Effect.Effect<unknown, unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#isLearning = true
      this.active++
      const known = this.#isStale ? Effect.succeed(false) : this.#recall(clock)
      // While this process waits for its place, another one may learn it.
      const recalled = Effect.callback<void>((resume) => {
        this.#onRecall = () => resume(Effect.void)
      })
      const asked = Effect.timeout(Effect.raceFirst(Effect.asVoid(learn), recalled), LEARN_TIMEOUT)
      return Effect.flatMap(known, (isKnown) => isKnown ? Effect.void : asked).pipe(
        Effect.exit,
        Effect.flatMap((exit) => {
          this.#onRecall = undefined
          this.#isLearning = false
          this.active--
          const told = Exit.isFailure(exit) ? this.#learnFailed(millisOf(clock)) : Effect.void
          this.#pokeFirst()
          return told
        }),
        Effect.forkDetach,
        Effect.asVoid
      )
    })
  }

  /** Whether another process has told the store of the limit. */
  #recall(clock: Clock.Clock): Effect.Effect<boolean> {
    return Effect.map(this.#sharing === undefined ? Effect.undefined : this.#sharing.recall, (limit) => {
      if (limit === undefined) return false
      this.#learned(millisOf(clock), limit)
      this.#onRecall?.()
      return true
    })
  }

  /** Takes over what an answer of `me` says; gives an effect when others have to be told. */
  teach(clock: Clock.Clock, rateLimit: number | null | undefined, lifetime: number): Effect.Effect<void> | undefined {
    this.#learned(millisOf(clock), rateLimit ?? null)
    return rateLimit == null ? undefined : this.#sharing?.remember(rateLimit, lifetime)
  }

  #learned(now: number, rateLimit: number | null) {
    this.#limit = rateLimit === null || !(rateLimit >= 0) ? null : atLeast(rateLimit)
    this.#learnedAt = now
    this.#isStale = false
    this.#learnFailures = 0
    this.#learnNotBefore = now + LEARN_APART
    for (const waiter of this.#waiters) waiter.poke()
  }

  #learnFailed(now: number): Effect.Effect<void> {
    const backoff = Math.min(LEARN_BACKOFF_MAX, LEARN_BACKOFF * 2 ** this.#learnFailures)
    this.#learnFailures++
    this.#learnNotBefore = now + backoff
    if (this.#limit !== undefined || this.#saidUnknown) return Effect.void
    this.#saidUnknown = true
    return Effect.logWarning(
      `the rate limit of the account at ${this.host} could not be learned from GET /me: one call a second until it is; RateLimit.fixed sets it`
    )
  }

  /** A user's own call of `me` is the flight that others wait for, when it comes first. */
  teaching<A, E, R>(me: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    if (this.#isLearning || this.#limit !== undefined) return me
    let isMine = false
    const flight = Effect.suspend(() => {
      isMine = !this.#isLearning
      this.#isLearning = true
      return me
    })
    return Effect.onExitPrimitive(flight, () => {
      if (!isMine) return undefined
      this.#isLearning = false
      this.#pokeFirst()
      return undefined
    })
  }

  /** Takes a place in the store too, where there is one. Gives how long to wait when it has none. */
  #share(
    clock: Clock.Clock,
    quota: Quota,
    trip: Trip
  ): Effect.Effect<number | undefined, FileIoError.Unreachable> {
    const sharing = this.#sharing
    if (sharing === undefined) return Effect.undefined
    const freeAt = (now: number, part: Quota) => this.#window.freeAt(now, part)
    return sharing.take(quota, this.#waiters.length, this.#seen(millisOf(clock)), freeAt).pipe(
      Effect.map(({ isPaused, place, wait }) => {
        trip.shared = place
        if (isPaused) this.#pausedUntil = millisOf(clock) + wait!
        return wait
      }),
      Effect.ensuring(Effect.sync(() => this.#judge(sharing.bound)))
    )
  }
}

const isUnsent = <A, E>(exit: Exit.Failure<A, E>, options: Request<E>): boolean =>
  exit.cause.reasons.length > 0 &&
  exit.cause.reasons.every((reason) => reason._tag === "Fail" && options.isUnsent(reason.error))
