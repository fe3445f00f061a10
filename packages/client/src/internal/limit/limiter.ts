/**
 * The rate limiter: every request of a `FileIo` goes through it. `retry.ts` and `send.ts` call it; it finds the account in
 * `registry.ts`, waits in `queue.ts` until `account.ts` allows the request, and asks a store if there is one.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Metrics from "../../Metrics.ts"
import * as RateLimit from "../../RateLimit.ts"
import { CurrentRateLimitStore } from "../../RateLimitStore.ts"
import * as Series from "../observe/metrics.ts"
import { Failure, retryAfterOf } from "../shared/failure.ts"
import { millisOf } from "../shared/monotonic.ts"
import { type Account, IN_TRANSIT, type Sent } from "./account.ts"
import { quotaOf } from "./adaptiveRate.ts"
import type { Waiter } from "./queue.ts"
import * as Registry from "./registry.ts"

/** Callbacks for an in-flight request; the limiter sets them, and the sender of the request calls them. */
export interface RequestHooks {
  /** The head of the request must have arrived, which for an upload is long before its response. */
  underway: (() => void) | undefined
  /** The head of the request is sent, over a connection that had been used before or over a new one. */
  onDeparture: ((isReused: boolean) => void) | undefined
  /** For how many milliseconds this process did not run during the request. */
  readonly stalledMillis?: number
}

/** Makes one request once there is a permit for it. */
export type WithPermit = <A, R>(
  request: Effect.Effect<A, Failure, R>,
  hooks: RequestHooks
) => Effect.Effect<A, Failure, R>

/** The requests of one call: the first one and its retries. */
export interface Turn {
  /** Makes one request once there is a permit; waits at most `maxWait` milliseconds for a pause that the host asked for. */
  readonly run: <A, R>(
    request: Effect.Effect<A, Failure, R>,
    maxWait: () => number,
    hooks: RequestHooks
  ) => Effect.Effect<A, Failure, R>
  /** Records the result of the last request, from its whole response; returns an effect if something follows from it. */
  readonly done: (failure: Failure | undefined) => Effect.Effect<void> | undefined
  /** How many milliseconds the call has waited for permits, and how many requests it has sent. */
  readonly stats: { readonly waited: number; readonly requests: number }
}

export interface Limiter {
  /** For a call of this fiber. */
  readonly turn: (operation: FileIoError.Operation, fiber: Fiber.Fiber<unknown, unknown>) => Turn
  /** Uses the limit in a response of `me`. */
  readonly learnedFrom: (account: { readonly rateLimit?: number | null | undefined }) => Effect.Effect<void>
  /** How long a call would wait now. */
  readonly waitTime: Effect.Effect<Duration.Duration>
}

/** Set around the call with which an account learns its limit: the others wait for it, so it goes first. */
const IsFirst = Context.Reference<boolean>("@effect-fileio/client/internal/limit/IsFirst", {
  defaultValue: () => false
})

/** What is wrong with a limit. */
const problemOf = (limit: RateLimit.RateLimit): FileIoError.InvalidRequest | undefined => {
  const isPositive = (value: number) => value > 0 && value < Infinity
  const problem = limit._tag === "Learned" && !isPositive(limit.lifetime)
    ? "allowed: a lifetime that is a positive duration, such as 10 minutes"
    : limit._tag === "Fixed" && !(isPositive(limit.quota.limit) && isPositive(limit.quota.window))
    ? "allowed: more than 0 requests in a positive duration, such as 1 second"
    : undefined
  return problem === undefined ? undefined : new FileIoError.InvalidRequest({ field: "rateLimit", problem })
}

/** Shared by all requests of a call. */
interface Call {
  readonly account: Account
  readonly clock: Clock.Clock
  readonly operation: FileIoError.Operation
  readonly order: number
  readonly limit: RateLimit.RateLimit
  /** Whether the host refused a request of this call. */
  wasRefused: boolean
  readonly learn: Effect.Effect<unknown, unknown>
  readonly onWait: ((waiting: RateLimit.Waiting) => Effect.Effect<void>) | undefined
}

/** A permit, here and in the store if there is one. */
interface Acquired {
  readonly sent: Sent
  readonly shared: string | undefined
  isCounted: boolean
}

const rateLimited = (millis: number) => new FileIoError.RateLimited({ retryAfter: Duration.millis(Math.ceil(millis)) })

/** Nothing was sent, and a longer wait would not help the caller. */
const notSent = (reason: FileIoError.Reason) => new Failure("local", reason)

const isUnsent = (exit: Exit.Exit<unknown, Failure>): boolean =>
  Exit.isFailure(exit) && exit.cause.reasons.length > 0 &&
  exit.cause.reasons.every((reason) =>
    reason._tag === "Fail" && (reason.error.stage === "unsent" || reason.error.stage === "local")
  )

/** Requests `me` if the limit is unknown or may have changed. */
const learnIfDue = ({ account, learn, limit, operation }: Call, now: number): Effect.Effect<void> => {
  if (limit._tag !== "Learned" || account.isAnonymous || operation === "me") return Effect.void
  // While the host refuses requests, permits are for the caller's own requests.
  if (account.rate.consecutiveRejections > 0 || !account.learning.isDue(now, limit.lifetime)) return Effect.void
  account.active++
  return account.learning.start(learn, now, {
    wasRefused: () => account.rate.consecutiveRejections > 0,
    onEnd: () => {
      account.active--
      account.queue.pokeFirst()
    }
  })
}

/** Asks the store for a permit. Returns its name, or how long to wait before asking again. */
const acquireShared = Effect.fnUntraced(function*(
  { account, clock, limit }: Call,
  waiter: Waiter
): Effect.fn.Return<{ readonly permit?: string | undefined; readonly wait?: number }, FileIoError.Unreachable> {
  const { learning, rate, shared } = account
  const quota = account.quota(limit)
  if (shared === undefined || quota === undefined) return {}
  const isUnknown = limit._tag === "Learned" && !account.isAnonymous && learning.limit === undefined
  const asked = yield* shared.acquire(isUnknown ? undefined : quota, rate.isReduced)
  const now = millisOf(clock)
  if (asked === undefined) {
    const freeAt = account.readyAt(now, quotaOf(quota.limit / quota.window * 1000 * shared.part))
    return freeAt <= now ? {} : { wait: freeAt === Infinity ? 100 : freeAt - now }
  }
  const { result, permit } = asked
  if (result._tag === "Paused") account.pausedUntil = now + result.wait
  if (result._tag !== "Acquired") return { wait: result.wait }
  // The request to the store takes time, in which the host may have refused a request, or another call come first.
  if (account.queue.isFirst(waiter) && account.readyAt(now, quota) <= now) return { permit }
  yield* shared.release(permit, undefined)
  return { wait: 0 }
})

/** Waits for a permit. */
const acquire = (call: Call, maxWait: () => number): Effect.Effect<Acquired, Failure> =>
  Effect.suspend(() => {
    const { account } = call
    const waiter = account.queue.join(call.order)
    return Effect.ensuring(
      Effect.mapError(acquireAs(waiter, call, maxWait), notSent),
      Effect.sync(() => account.queue.leave(waiter))
    )
  })

const acquireAs = Effect.fnUntraced(function*(
  waiter: Waiter,
  call: Call,
  maxWait: () => number
): Effect.fn.Return<Acquired, FileIoError.RateLimited | FileIoError.Unreachable> {
  const { account, clock, limit, operation } = call
  const { learning, queue } = account
  let hasWaited = false
  while (true) {
    waiter.isPoked = false
    const now = millisOf(clock)
    // Calls without a limit do not wait for others, only for their own refusals.
    const isPausable = limit._tag !== "Unlimited" || call.wasRefused
    const paused = isPausable ? account.pausedUntil - now : 0
    if (paused > maxWait()) return yield* Effect.fail(rateLimited(paused))
    let sleep = Infinity
    const quota = account.quota(limit)
    if (queue.isFirst(waiter) || quota === undefined) {
      if (paused <= 0) yield* learnIfDue(call, now)
      const readyAt = isPausable ? account.readyAt(now, quota) : now
      if (readyAt > now) sleep = readyAt - now
      else if (operation !== "me" && limit._tag === "Learned" && learning.awaitedFor(now) > 0) {
        sleep = learning.awaitedFor(now)
      } else {
        const { permit, wait } = yield* acquireShared(call, waiter)
        if (wait === undefined) {
          const then = millisOf(clock)
          return { sent: account.acquire(then, limit, hasWaited), shared: permit, isCounted: false }
        }
        sleep = wait
      }
    }
    // The duration is unknown while the limit is being learned.
    if (!hasWaited && learning.awaitedFor(now) === 0) {
      hasWaited = true
      if (call.onWait === undefined) continue
      yield* call.onWait(waitingOf(call, waiter, now))
    }
    // Something may have changed while the listener ran.
    if (!waiter.isPoked) yield* waiter.sleep(sleep)
  }
})

const waitingOf = ({ account, limit, operation }: Call, waiter: Waiter, now: number): RateLimit.Waiting => {
  const ahead = account.queue.ahead(waiter)
  const quota = account.quota(limit)
  return {
    operation,
    reason: account.pausedUntil > now ? "refused" : "limit",
    expected: Duration.millis(Math.ceil(account.wait(now, limit, ahead))),
    ahead,
    limit: quota?.limit ?? Infinity,
    window: Duration.millis(quota?.window ?? 1000)
  }
}

/** The host refused a request: the account pauses; the log reports it, and once what to do. */
const rejected = Effect.fnUntraced(function*(call: Call, { sent }: Acquired, retryAfter: number | undefined) {
  const { account, clock, limit } = call
  const { host, shared } = account
  const allowed = account.quota(limit)
  const wasPaused = account.pausedUntil > millisOf(clock)
  const pause = account.rejected(sent, millisOf(clock), retryAfter, limit, yield* Random.next)
  if (pause === undefined) return
  if (shared !== undefined) yield* shared.pause(pause)
  if (wasPaused) return
  yield* Metric.update(Series.pauses(host), 1)
  if (account.saidRefused && pause < LONG_PAUSE) return
  const isFirst = !account.saidRefused
  account.saidRefused = true
  const time = Duration.format(Duration.millis(Math.round(pause)))
  yield* Effect.logWarning(`${host} refused a request (429): all calls of this account wait ${time}`)
  if (account.isAnonymous || !isFirst || shared !== undefined || allowed === undefined) return
  yield* Effect.logWarning(
    `the account at ${host} is within the limit that is known here, so something else uses it too, or the limit is lower than the host says. Let all processes share it through Redis (NodeRateLimit.layerRedis), or give each its own key`
  )
})

/** Where clients share an account, short pauses are normal: the log has the first one, and all of at least this many milliseconds. */
const LONG_PAUSE = 10_000

/** The request of a permit is sent. */
const depart = (
  { account, clock, limit }: Call,
  acquired: Acquired,
  context: Context.Context<never>,
  hooks: RequestHooks
) => {
  const { sent, shared } = acquired
  const quota = account.quota(limit)
  if (quota !== undefined) {
    Series.remaining(account.host).updateUnsafe(account.remaining(sent.sentAt, quota), context)
  }
  hooks.underway = () => {
    if (acquired.isCounted) return
    acquired.isCounted = true
    account.lost(sent, millisOf(clock))
    account.queue.pokeFirst()
    if (shared !== undefined) Effect.runForkWith(context)(account.shared!.release(shared, IN_TRANSIT))
  }
  hooks.onDeparture = (isReused) => {
    sent.leftAt = millisOf(clock)
    sent.isReused = isReused
  }
}

/** A request has ended. */
const arrive = ({ account, clock }: Call, { isCounted, sent, shared }: Acquired, exit: Exit.Exit<unknown, Failure>) => {
  const now = millisOf(clock)
  let countedIn: number | undefined
  // Everything about it was reported while it was in flight.
  if (isCounted) return undefined
  if (isUnsent(exit)) account.cancel(sent)
  else if (Exit.isSuccess(exit)) {
    account.responded(sent, now)
    countedIn = sent.rest
  } else {
    account.lost(sent, now)
    countedIn = IN_TRANSIT
  }
  return shared === undefined ? undefined : account.shared!.release(shared, countedIn)
}

const turnOf = (call: Call): Turn => {
  const { account, clock } = call
  const problem = problemOf(call.limit)
  const stats = { waited: 0, requests: 0 }
  let last: Acquired | undefined
  return {
    stats,
    run: (request, maxWait, hooks) =>
      Effect.withFiber((fiber) => {
        if (problem !== undefined) return Effect.fail(notSent(problem))
        const began = millisOf(clock)
        let acquired: Acquired | undefined
        account.active++
        return Effect.onExitPrimitive(
          Effect.flatMap(acquire(call, maxWait), (permit) => {
            last = acquired = permit
            stats.requests++
            stats.waited += permit.sent.sentAt - began
            Metrics.waits.updateUnsafe(permit.sent.sentAt - began, fiber.context)
            depart(call, permit, fiber.context, hooks)
            return request
          }),
          (exit) => {
            const now = millisOf(clock)
            if (acquired === undefined) stats.waited += now - began
            const release = acquired === undefined ? undefined : arrive(call, acquired, exit)
            account.active--
            account.usedAt = now
            account.queue.pokeFirst()
            return release
          }
        )
      }),
    done: (failure) => {
      if (last === undefined) return undefined
      if (failure?.stage === "limited") {
        call.wasRefused = true
        const retryAfter = retryAfterOf(failure)
        return rejected(call, last, retryAfter === undefined ? undefined : Duration.toMillis(retryAfter))
      }
      account.served(last.sent, millisOf(clock), call.limit)
      return undefined
    }
  }
}

export const open = Effect.fnUntraced(function*(options: {
  readonly baseUrl: string
  /** Distinguishes the accounts of a host; `undefined` for anonymous calls. */
  readonly account: string | undefined
  /** A call of `me` that is not retried. */
  readonly learn: Effect.Effect<unknown, unknown>
}): Effect.fn.Return<Limiter, FileIoError.InvalidRequest> {
  const configured = yield* RateLimit.CurrentRateLimit
  const problem = configured && problemOf(configured)
  if (problem !== undefined) return yield* problem
  const onWaitHere = yield* RateLimit.CurrentOnWait
  const store = yield* CurrentRateLimitStore
  const learn = Effect.provideService(options.learn, IsFirst, true)
  const nobody = RateLimit.CurrentOnWait.defaultValue()
  const fallback = RateLimit.learned()
  const limitOf = (fiber: Fiber.Fiber<unknown, unknown>) =>
    fiber.getRef(RateLimit.CurrentRateLimit) ?? configured ?? fallback
  let found: { readonly clock: Clock.Clock; readonly account: Account } | undefined
  const accountOf = (clock: Clock.Clock): Account => {
    if (found === undefined || found.clock !== clock || found.account.isForgotten) {
      found = { clock, account: Registry.get(clock, store, options.baseUrl, options.account) }
    }
    return found.account
  }
  return {
    turn: (operation, fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const account = accountOf(clock)
      const order = fiber.getRef(IsFirst) ? 0 : account.queue.nextOrder()
      const listener = fiber.getRef(RateLimit.CurrentOnWait)
      const onWait = listener === nobody ? onWaitHere : listener
      const limit = limitOf(fiber)
      return turnOf({
        account,
        clock,
        operation,
        order,
        limit,
        wasRefused: false,
        learn,
        onWait: onWait === nobody ? undefined : onWait
      })
    },
    learnedFrom: ({ rateLimit }) =>
      Effect.clockWith((clock) => Effect.sync(() => accountOf(clock).learned(millisOf(clock), rateLimit))),
    waitTime: Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      return Effect.succeed(Duration.millis(accountOf(clock).wait(millisOf(clock), limitOf(fiber))))
    })
  }
})
