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
import { CurrentDeparture } from "../Departure.ts"
import * as Metrics from "../Metrics.ts"
import type { Quota, Store, Taker } from "../RateLimitStore.ts"
import * as Pace from "./pace.ts"
import { boundOf, type Connection, RoundTrip, type Seen, together } from "./roundTrip.ts"
import * as Series from "./series.ts"
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
  /** The longest that it may wait for a pause which the host has asked for, in milliseconds. */
  readonly patience: number
  /** Whether a failure means that nothing was sent. */
  readonly isUnsent: (error: E) => boolean
  readonly onWait: ((wait: Wait) => Effect.Effect<void>) | undefined
}

/** Is told when the head of a request must be on its way, which for an upload is long before its answer. */
export interface Underway {
  underway: (() => void) | undefined
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
/** A store that has not answered by then is away. */
const STORE_TIMEOUT = 2000
/** A bound has to change by this to be applied to what was answered before, in milliseconds. */
const NEWS = 1
/** So many places are taken from a store at once. */
const AT_ONCE = 4
/** How long a store that was away is left alone. */
const STORE_REST = 5000
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

/** The places of a request: here, and in the store. */
interface Held {
  place: Place | undefined
  shared: string | undefined
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

const nowOf = (clock: Clock.Clock) => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

export class Account {
  readonly host: string
  readonly isAnonymous: boolean
  private readonly store: Store | undefined
  private readonly storeName: () => Promise<string>
  private readonly window = new SlidingWindow()
  private readonly pace = new Pace.Pace()
  private readonly roundTrips = new Map<FileIoError.Operation, RoundTrip>()
  private readonly waiters: Array<Waiter> = []
  private readonly idle: Array<number> = []
  private pausedUntil = -Infinity
  private spacedUntil = -Infinity
  private orders = 0
  private places = 0
  /** Tells this process from others. */
  private id: string | undefined
  /** What the way takes at least, whatever is asked for: by what was seen here, and by what all processes have seen. */
  private wayBound = 0
  private sharedBound = 0
  /** The largest bound by which earlier answers were judged. */
  private judgedBy = 0
  private readonly remaining: Metric.Gauge<number>
  /** The limit that `me` told: `null` when it told none. */
  private limit: number | null | undefined
  private learnedAt = -Infinity
  private isStale = false
  private isLearning = false
  private onRecall: (() => void) | undefined
  private learnFailures = 0
  private learnNotBefore = -Infinity
  private saidUnknown = false
  /** Places that were taken from the store for those who wait behind the first. */
  private stock: Array<string> = []
  private storeAwayUntil = -Infinity
  private saidStoreAway = false
  /** Calls that are in here. */
  active = 0
  usedAt: number
  /** Another one stands for the same account by now. */
  isForgotten = false

  constructor(options: {
    readonly host: string
    readonly isAnonymous: boolean
    readonly store: Store | undefined
    readonly storeName: () => Promise<string>
    readonly now: number
  }) {
    this.host = options.host
    this.isAnonymous = options.isAnonymous
    this.store = options.store
    this.storeName = options.storeName
    this.usedAt = options.now
    this.remaining = Series.remaining(options.host)
  }

  nextOrder(): number {
    return ++this.orders
  }

  /** Whether it may be forgotten. */
  isIdle(now: number, keep: number): boolean {
    return this.active === 0 && !this.isLearning && now - this.usedAt > keep && now > this.pausedUntil
  }

  private known(): number | undefined {
    return this.limit === null || this.limit === undefined ? undefined : this.limit
  }

  private quota(now: number, limit: Limit): Quota {
    if (limit._tag === "Fixed") return limit.quota
    if (!this.isAnonymous && this.limit === undefined) return UNKNOWN
    return Pace.quotaOf(this.pace.current(now, this.known()))
  }

  /**
   * When the next request may go out for the sake of its round trip alone: many at once only queue at both ends, and what
   * they wait there keeps their places longer.
   */
  private spaced(now: number, quota: Quota): number {
    return Math.max(now, this.spacedUntil - (BURST - 1) * spacing(quota))
  }

  /** How long a call that came now would wait, in milliseconds. */
  wait(now: number, limit: Limit, ahead = this.waiters.length): number {
    if (limit._tag === "Unlimited") return 0
    const from = Math.max(now, this.pausedUntil)
    return from - now + this.window.wait(from, this.quota(from, limit), ahead, this.typicalRoundTrip())
  }

  private typicalRoundTrip(): number {
    let longest = 0
    for (const { mean } of this.roundTrips.values()) if (mean !== Infinity) longest = Math.max(longest, mean)
    return Math.min(longest, 1000)
  }

  private pokeFirst() {
    this.waiters[0]?.poke()
  }

  private enqueue(waiter: Waiter) {
    let at = this.waiters.length
    while (at > 0 && this.waiters[at - 1]!.order > waiter.order) at--
    this.waiters.splice(at, 0, waiter)
  }

  private dequeue(waiter: Waiter): Effect.Effect<void> {
    return Effect.suspend(() => {
      const at = this.waiters.indexOf(waiter)
      this.waiters.splice(at, 1)
      if (at === 0) this.pokeFirst()
      return this.waiters.length > 0 ? Effect.void : this.clearStock()
    })
  }

  private clearStock(): Effect.Effect<void> {
    if (this.stock.length === 0) return Effect.void
    const left = this.stock
    this.stock = []
    return this.returnShared(left)
  }

  private returnShared(places: ReadonlyArray<string>): Effect.Effect<void> {
    return this.tellStore((store, name) => store.giveBack(name, places))
  }

  /**
   * Makes a request in its turn. Where nobody waits, that costs neither a fiber nor a timer.
   */
  run<A, E, R>(
    request: Effect.Effect<A, E, R>,
    options: Request<E>,
    learn: Effect.Effect<unknown, unknown>,
    passage: Passage,
    flow?: Underway
  ): Effect.Effect<A, E | FileIoError.RateLimited | FileIoError.Unreachable, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) => {
        const clock = fiber.getRef(Clock.Clock)
        const began = nowOf(clock)
        this.active++
        const place = this.enter(began, options, fiber.context)
        if (place !== undefined) {
          return this.make(clock, fiber.context, restore, request, options, passage, flow, began, place, undefined)
        }
        const held: Held = { place: undefined, shared: undefined }
        const acquired = Effect.exit(restore(this.acquire(clock, fiber.context, options, learn, held)))
        return Effect.flatMap(acquired, (
          turn
        ): Effect.Effect<A, E | FileIoError.RateLimited | FileIoError.Unreachable, R> => {
          const { place, shared } = held
          if (Exit.isSuccess(turn) && place !== undefined) {
            return this.make(clock, fiber.context, restore, request, options, passage, flow, began, place, shared)
          }
          passage.waited += nowOf(clock) - began
          if (place !== undefined) this.window.giveBack(place)
          this.leave(nowOf(clock))
          const gaveUp = turn as Exit.Failure<never, FileIoError.RateLimited | FileIoError.Unreachable>
          return shared === undefined ? gaveUp : Effect.andThen(this.returnShared([shared]), gaveUp)
        })
      })
    )
  }

  /** A place, if there is one for which nothing has to be waited for or asked. */
  private enter<E>(now: number, options: Request<E>, context: Context.Context<never>): Place | undefined {
    const { limit } = options
    if (limit._tag === "Unlimited") return this.window.take(now)
    if (this.waiters.length > 0 || this.store !== undefined || this.pausedUntil > now) return undefined
    if (limit._tag === "Learned" && !this.isAnonymous && options.operation !== "me") {
      if (this.limit === undefined || this.needsRefresh(now, limit.lifetime)) return undefined
    }
    const quota = this.quota(now, limit)
    if (this.window.freeAt(now, quota) > now || this.spaced(now, quota) > now) return undefined
    return this.occupy(now, quota, context)
  }

  private occupy(now: number, quota: Quota, context: Context.Context<never>): Place {
    const place = this.window.take(now)
    this.spacedUntil = Math.max(this.spacedUntil, now) + spacing(quota)
    this.remaining.updateUnsafe(Math.max(0, quota.limit - this.window.held(now, quota)), context)
    return place
  }

  /** Makes the request of a place. */
  private make<A, E, R>(
    clock: Clock.Clock,
    context: Context.Context<never>,
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
    request: Effect.Effect<A, E, R>,
    options: Request<E>,
    passage: Passage,
    flow: Underway | undefined,
    began: number,
    place: Place,
    shared: string | undefined
  ): Effect.Effect<A, E, R> {
    const sentAt = nowOf(clock)
    passage.sentAt = sentAt
    passage.waited += sentAt - began
    passage.requests++
    Metrics.waits.updateUnsafe(sentAt - began, context)
    let leftAt = sentAt
    let connection: Connection = this.connect(sentAt) ? "reused" : "unknown"
    let isUnderway = false
    if (flow !== undefined) {
      flow.underway = () => {
        if (isUnderway) return
        isUnderway = true
        this.window.settle(place, nowOf(clock) + AFTERMATH)
        this.pokeFirst()
      }
    }
    const departure = (isReused: boolean) => {
      leftAt = nowOf(clock)
      connection = isReused ? "reused" : "new"
    }
    // Of calls without a limit nothing is learned, so that they cost nothing.
    const isWatched = options.limit._tag !== "Unlimited"
    const watched = isWatched
      ? Effect.provideService(request, CurrentDeparture, departure)
      : request
    return Effect.onExitPrimitive(restore(watched), (exit) => {
      const now = nowOf(clock)
      let told: Effect.Effect<void> | undefined
      if (isUnderway) {
        if (shared !== undefined) told = this.tellStore((store, name) => store.settle(name, shared, 0, undefined))
      } else if (Exit.isSuccess(exit)) {
        this.idle.push(now)
        const roundTrip = this.roundTripOf(options.operation, now)
        if (isWatched) this.observe(roundTrip, now - leftAt, now, connection)
        this.window.answered(place, { at: now, bound: () => this.boundOf(roundTrip) })
        if (shared !== undefined) {
          // What the host has worked on it, on top of the way.
          const ago = Math.max(0, roundTrip.bound - this.way(now).shortest)
          told = this.tellStore((store, name) => store.settle(name, shared, ago, this.taker(now)))
        }
      } else if (isUnsent(exit, options)) {
        this.window.giveBack(place)
        if (shared !== undefined) told = this.returnShared([shared])
      } else {
        this.window.settle(place, now + AFTERMATH)
        if (shared !== undefined) {
          told = this.tellStore((store, name) => store.settle(name, shared, -AFTERMATH, undefined))
        }
      }
      this.leave(now)
      return told
    })
  }

  private leave(now: number) {
    this.active--
    this.usedAt = now
    this.pokeFirst()
  }

  /** Whether the request may go over a connection that is open already. */
  private connect(now: number): boolean {
    let stale = 0
    while (stale < this.idle.length && now - this.idle[stale]! > KEPT_ALIVE) stale++
    this.idle.splice(0, stale)
    return this.idle.pop() !== undefined
  }

  private roundTripOf(operation: FileIoError.Operation, now: number): RoundTrip {
    let roundTrip = this.roundTrips.get(operation)
    if (roundTrip === undefined) this.roundTrips.set(operation, roundTrip = new RoundTrip(now))
    return roundTrip
  }

  private observe(roundTrip: RoundTrip, millis: number, now: number, connection: Connection) {
    roundTrip.observe(millis, now, connection)
    this.wayBound = this.roundTrips.size === 1 ? roundTrip.bound : boundOf(this.way(now))
    this.judge(this.boundOf(roundTrip))
  }

  /** Applies a bound to what was answered before, if it says something else of that. */
  private judge(bound: number) {
    if (Math.abs(bound - this.judgedBy) < NEWS) return
    this.judgedBy = bound
    this.window.revise()
  }

  /** What this operation takes at least. */
  private boundOf(roundTrip: RoundTrip): number {
    return Math.max(roundTrip.bound, this.wayBound, this.sharedBound)
  }

  /** What was seen of the way, whatever was asked for. */
  private way(now: number): Seen {
    return together([...this.roundTrips.values()], now)
  }

  /** What other processes are told of this one. */
  private taker(now: number): Taker {
    const { isOfNewConnections, mean, observations, shortest, since } = this.way(now)
    return { id: this.id!, way: { shortest, mean, observations, age: now - since, isNew: isOfNewConnections } }
  }

  private readonly acquire = Effect.fnUntraced(
    function*<E>(
      this: Account,
      clock: Clock.Clock,
      context: Context.Context<never>,
      options: Request<E>,
      learn: Effect.Effect<unknown, unknown>,
      held: Held
    ): Effect.fn.Return<void, FileIoError.RateLimited | FileIoError.Unreachable> {
      const { limit } = options
      const waiter = new Waiter(options.order)
      this.enqueue(waiter)
      let hasWaited = false
      yield* Effect.gen({ self: this }, function*() {
        while (true) {
          waiter.poked = false
          const now = nowOf(clock)
          const paused = this.pausedUntil - now
          if (paused > options.patience) return yield* Effect.fail(rateLimited(paused))
          const quota = this.quota(now, limit)
          const isFirst = this.waiters[0] === waiter
          let sleep = Infinity
          if (isFirst && paused > 0) sleep = paused
          else if (isFirst) {
            const isLearned = limit._tag === "Learned" && !this.isAnonymous
            if (isLearned && this.limit === undefined && options.operation !== "me" && this.mayLearn(now)) {
              yield* this.startLearning(clock, learn)
            }
            const mustLearn = isLearned && this.limit === undefined && this.isLearning && this.learnFailures === 0 &&
              options.operation !== "me"
            const freeAt = Math.max(this.window.freeAt(now, quota), this.spaced(now, quota))
            if (!mustLearn && freeAt <= now) {
              const refusal = yield* this.share(clock, quota, held)
              if (refusal === undefined) {
                const taken = nowOf(clock)
                // Asking the store takes time, in which the host may have refused a request, or another call come first.
                if (
                  this.pausedUntil > taken || this.waiters[0] !== waiter || this.window.freeAt(taken, quota) > taken
                ) {
                  if (held.shared !== undefined) this.stock.push(held.shared)
                  held.shared = undefined
                  if (this.pausedUntil > taken) yield* this.clearStock()
                  continue
                }
                held.place = this.occupy(taken, quota, context)
                if (hasWaited && limit._tag === "Learned") this.pace.wanted(taken, this.known())
                if (isLearned && this.needsRefresh(taken, limit.lifetime) && options.operation !== "me") {
                  yield* this.startLearning(clock, learn)
                }
                return
              }
              if (isLearned && this.limit === undefined) yield* this.recall(clock)
              const told = this.pausedUntil - nowOf(clock)
              if (told > options.patience) return yield* Effect.fail(rateLimited(told))
              sleep = refusal
            } else if (!mustLearn) sleep = freeAt - now
          }
          // How long it will be is not known while the limit is being learned.
          if (!hasWaited && !(this.limit === undefined && this.isLearning)) {
            hasWaited = true
            if (options.onWait === undefined) continue
            const ahead = this.waiters.indexOf(waiter)
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
      }).pipe(Effect.ensuring(this.dequeue(waiter)))
    }
  )

  /** The host has refused a request of this account. */
  refused(sentAt: number, retryAfter: number | undefined, limit: Limit): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const now = nowOf(yield* Clock.Clock)
      if (this.limit !== undefined && limit._tag === "Learned") this.isStale = true
      const random = yield* Random.next
      const millis = this.pace.refused(
        now,
        sentAt,
        retryAfter,
        limit._tag === "Fixed" ? limit.quota.limit : this.known(),
        random
      )
      if (millis === undefined || now + millis <= this.pausedUntil) return
      const isNew = now >= this.pausedUntil
      this.pausedUntil = now + millis
      const quota = this.quota(now, limit)
      this.window.pace(this.pausedUntil, quota)
      yield* this.clearStock()
      // Those who cannot wait so long are told now.
      for (const waiter of this.waiters) waiter.poke()
      yield* this.tellStore((store, name) => store.pause(name, millis, quota))
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
    this.pace.served(sentAt)
  }

  private mayLearn(now: number): boolean {
    return !this.isLearning && now >= this.learnNotBefore
  }

  private needsRefresh(now: number, lifetime: number): boolean {
    return this.mayLearn(now) && (this.isStale || this.limit === undefined || now - this.learnedAt > lifetime)
  }

  /** Asks `me` on a fiber of its own: callers come and go, and the answer is for all. */
  private startLearning(clock: Clock.Clock, learn: Effect.Effect<unknown, unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isLearning = true
      this.active++
      const known = this.isStale ? Effect.succeed(false) : this.recall(clock)
      // While this process waits for its place, another one may learn it.
      const recalled = Effect.callback<void>((resume) => {
        this.onRecall = () => resume(Effect.void)
      })
      const asked = Effect.timeout(Effect.raceFirst(Effect.asVoid(learn), recalled), LEARN_TIMEOUT)
      return Effect.flatMap(known, (isKnown) => isKnown ? Effect.void : asked).pipe(
        Effect.exit,
        Effect.flatMap((exit) => {
          this.onRecall = undefined
          this.isLearning = false
          this.active--
          const told = Exit.isFailure(exit) ? this.learnFailed(nowOf(clock)) : Effect.void
          this.pokeFirst()
          return told
        }),
        Effect.forkDetach,
        Effect.asVoid
      )
    })
  }

  /** Whether another process has told the store of the limit. */
  private recall(clock: Clock.Clock): Effect.Effect<boolean> {
    return Effect.map(this.askStore((store, name) => store.recall(name)), (limit) => {
      if (limit === undefined) return false
      this.learned(nowOf(clock), limit)
      this.onRecall?.()
      return true
    })
  }

  /** Takes over what an answer of `me` says. */
  teach(rateLimit: number | null | undefined, lifetime: number): Effect.Effect<void> {
    return Clock.clockWith((clock) => {
      this.learned(nowOf(clock), rateLimit ?? null)
      return rateLimit == null
        ? Effect.void
        : this.tellStore((store, name) => store.remember(name, rateLimit, lifetime))
    })
  }

  private learned(now: number, rateLimit: number | null) {
    this.limit = rateLimit === null || !(rateLimit >= 0) ? null : atLeast(rateLimit)
    this.learnedAt = now
    this.isStale = false
    this.learnFailures = 0
    this.learnNotBefore = now + LEARN_APART
    for (const waiter of this.waiters) waiter.poke()
  }

  private learnFailed(now: number): Effect.Effect<void> {
    const backoff = Math.min(LEARN_BACKOFF_MAX, LEARN_BACKOFF * 2 ** this.learnFailures)
    this.learnFailures++
    this.learnNotBefore = now + backoff
    if (this.limit !== undefined || this.saidUnknown) return Effect.void
    this.saidUnknown = true
    return Effect.logWarning(
      `the rate limit of the account at ${this.host} could not be learned from GET /me: one call a second until it is; RateLimit.fixed sets it`
    )
  }

  /** A user's own call of `me` is the flight that others wait for, when it comes first. */
  teaching<A, E, R>(me: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      if (this.isLearning || this.limit !== undefined) return me
      this.isLearning = true
      return Effect.onExit(me, () =>
        Effect.sync(() => {
          this.isLearning = false
          this.pokeFirst()
        }))
    })
  }

  /** Tells the store something that no caller waits for. */
  private tellStore(
    tell: (store: Store, name: string) => Effect.Effect<void, unknown>
  ): Effect.Effect<void> {
    return this.store === undefined
      ? Effect.void
      : Effect.asVoid(Effect.forkDetach(Effect.ignore(this.askStore(tell))))
  }

  private askStore<A>(
    ask: (store: Store, name: string) => Effect.Effect<A, unknown>
  ): Effect.Effect<A | undefined> {
    const { store } = this
    if (store === undefined) return Effect.succeed(undefined)
    return Effect.promise(this.storeName).pipe(
      Effect.flatMap((name) => ask(store, name)),
      Effect.timeout(STORE_TIMEOUT),
      Effect.orElseSucceed(() => undefined)
    )
  }

  /**
   * Takes a place in the store too. Gives how long to wait when there is none, and fails when there is no store and that
   * is not to be passed over.
   */
  private readonly share = Effect.fnUntraced(function*(
    this: Account,
    clock: Clock.Clock,
    quota: Quota,
    held: Held
  ): Effect.fn.Return<number | undefined, FileIoError.Unreachable> {
    const { store } = this
    if (store === undefined) return undefined
    held.shared = this.stock.pop()
    if (held.shared !== undefined) return undefined
    if (nowOf(clock) >= this.storeAwayUntil) {
      const id = this.id ??= `${yield* Random.nextInt}.${yield* Random.nextInt}`
      // All that wait behind this one are served by the same way to the store, within reason.
      const places = Array.from({ length: Math.min(this.waiters.length, AT_ONCE) }, () => `${id}:${++this.places}`)
      const taken = yield* Effect.promise(this.storeName).pipe(
        Effect.flatMap((name) => store.take(name, places, quota, this.taker(nowOf(clock)))),
        Effect.timeout(STORE_TIMEOUT),
        Effect.exit,
        Effect.uninterruptible
      )
      if (Exit.isSuccess(taken)) {
        this.saidStoreAway = false
        if (taken.value._tag !== "Paused") {
          this.sharedBound = taken.value.bound
          this.judge(this.sharedBound)
        }
        if (taken.value._tag === "Taken") {
          this.stock = places.slice(0, taken.value.count)
          held.shared = this.stock.shift()
          return undefined
        }
        if (taken.value._tag === "Paused") this.pausedUntil = nowOf(clock) + taken.value.wait
        return taken.value.wait
      }
      // It may have been taken all the same.
      yield* this.returnShared(places)
      // Alone, it only has what it has seen itself.
      this.sharedBound = 0
      this.judge(0)
      this.storeAwayUntil = nowOf(clock) + STORE_REST
      if (!this.saidStoreAway) {
        this.saidStoreAway = true
        yield* Effect.logWarning(
          store.whenAway === "fail"
            ? "the store of the rate limit does not answer: calls fail until it does"
            : `the store of the rate limit does not answer: this process keeps to 1/${store.whenAway.processes} of the limit until it does`
        )
      }
    }
    if (store.whenAway === "fail") {
      return yield* Effect.fail(
        new FileIoError.Unreachable({
          host: "the store of the rate limit",
          sent: "no",
          retryAfter: Duration.millis(Math.max(0, this.storeAwayUntil - nowOf(clock)))
        })
      )
    }
    const now = nowOf(clock)
    const part = Pace.quotaOf(quota.limit / quota.window * 1000 / store.whenAway.processes)
    const freeAt = this.window.freeAt(now, part)
    return freeAt <= now ? undefined : freeAt === Infinity ? 100 : freeAt - now
  })
}

const isUnsent = <A, E>(exit: Exit.Failure<A, E>, options: Request<E>): boolean =>
  exit.cause.reasons.length > 0 &&
  exit.cause.reasons.every((reason) => reason._tag === "Fail" && options.isUnsent(reason.error))
