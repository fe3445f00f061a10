/**
 * The rate limiter: every request of a `FileIo` goes through it. `retry.ts` and `send.ts` call it; it finds the account in
 * `registry.ts`, waits in `queue.ts` until `account.ts` allows the request, and asks the permit store if there is one.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Cause from "effect/Cause"
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
import type { Quota } from "../../RateLimitStore.ts"
import * as Series from "../observe/metrics.ts"
import { Failure, retryAfterOf } from "../shared/failure.ts"
import { millisOf } from "../shared/monotonic.ts"
import { type Account, IN_TRANSIT, type Sent } from "./account.ts"
import { quotaOf } from "./adaptiveRate.ts"
import * as Queue from "./queue.ts"
import * as Registry from "./registry.ts"
import { CurrentShared, type SharedWindow } from "./sharedWindow.ts"
import { RENEW_AFTER } from "./slidingWindow.ts"

/** Callbacks for an in-flight request; the limiter sets them, and the sender of the request calls them. */
export interface RequestHooks {
  /** Called when the head can be assumed to have reached the host, which for an upload is long before its response. */
  underway: (() => void) | undefined
  /** Called when the request waits for a connection. */
  onConnectionWait: (() => void) | undefined
  /** Called when the head of the request is sent, over a connection that had been used before or over a new one. */
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
export interface CallPermits {
  /** Makes one request once there is a permit; waits at most `maxWait` milliseconds for a pause that the host asked for. */
  readonly run: <A, R>(
    request: Effect.Effect<A, Failure, R>,
    maxWait: () => number,
    hooks: RequestHooks
  ) => Effect.Effect<A, Failure, R>
  /** Records the outcome of the last request; returns the effect that pauses the account after a 429, else `undefined`. */
  readonly recordOutcome: (failure: Failure | undefined) => Effect.Effect<void> | undefined
  /** How many milliseconds the call has waited for permits, and how many requests it has sent. */
  readonly stats: { readonly waited: number; readonly requests: number }
}

export interface Limiter {
  /** For a call of this fiber. */
  readonly permitsFor: (operation: FileIoError.Operation, fiber: Fiber.Fiber<unknown, unknown>) => CallPermits
  /** Uses the limit in a response of `me`. */
  readonly learnedFrom: (account: { readonly rateLimit?: number | null | undefined }) => Effect.Effect<void>
  /** How long a call would wait now. */
  readonly waitTime: Effect.Effect<Duration.Duration>
}

/** Set around the call with which an account learns its limit: the others wait for it, so it goes first. */
const IsLearning = Context.Reference<boolean>("@effect-fileio/client/internal/limit/IsLearning", {
  defaultValue: () => false
})

/** What is wrong with a policy. */
const problemOf = (policy: RateLimit.RateLimit): FileIoError.InvalidRequest | undefined => {
  const isPositive = (value: number) => value > 0 && value < Infinity
  const problem = policy._tag === "Learned" && !isPositive(policy.lifetime)
    ? "allowed: a lifetime that is a positive duration, such as 10 minutes"
    : policy._tag === "Fixed" && !(isPositive(policy.quota.limit) && isPositive(policy.quota.window))
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
  readonly policy: RateLimit.RateLimit
  readonly learn: Effect.Effect<unknown, unknown>
  readonly onWait: ((waiting: RateLimit.Waiting) => Effect.Effect<void>) | undefined
  /** Whether the host refused a request of this call. */
  wasRefused: boolean
}

const isUnsent = (exit: Exit.Exit<unknown, Failure>): boolean =>
  Exit.isFailure(exit) && exit.cause.reasons.length > 0 &&
  exit.cause.reasons.every((reason) =>
    reason._tag === "Fail" && (reason.error.stage === "unsent" || reason.error.stage === "local")
  )

const isUnauthorized = (cause: Cause.Cause<unknown>): boolean => {
  const error = Cause.squash(cause)
  return error instanceof FileIoError.FileIoError && error.reason._tag === "Unauthorized"
}

/** Requests `me` if the limit is unknown or may have changed; in its own fiber, since the response is for all callers. */
const learnIfDue = ({ account, clock, learn, operation, policy }: Call, now: number): Effect.Effect<unknown> => {
  const { host, learning, queue, rate } = account
  if (policy._tag !== "Learned" || account.isAnonymous || operation === "me") return Effect.void
  // While the host refuses requests, permits are for the caller's own requests.
  if (rate.consecutiveRejections > 0 || !learning.isDue(now, policy.lifetime)) return Effect.void
  learning.started(now)
  return Effect.exit(learn).pipe(
    Effect.flatMap((exit) => {
      const hasFailed = Exit.isFailure(exit) && rate.consecutiveRejections === 0
      learning.ended(millisOf(clock), hasFailed)
      queue.pokeFirst()
      // A call with a wrong key fails by itself, and says so.
      if (!hasFailed || isUnauthorized(exit.cause) || learning.hostRate !== undefined) return Effect.void
      if (account.hasLoggedUnknownLimit) return Effect.void
      account.hasLoggedUnknownLimit = true
      return Effect.logWarning(
        `the rate limit of the account at ${host} could not be learned from GET /me: one call a second until it is; RateLimit.fixed sets it`
      )
    }),
    Effect.forkDetach
  )
}

/**
 * Asks the permit store. Returns the permit's name, or milliseconds to wait; 0: send without one, the permit store is
 * unavailable.
 */
const acquireShared = Effect.fnUntraced(function*(
  { account, clock, policy }: Call,
  sharedWindow: SharedWindow,
  quota: Quota,
  waiter: Queue.Waiter
) {
  const isUnknown = policy._tag === "Learned" && !account.isAnonymous && account.learning.hostRate === undefined
  const asked = yield* sharedWindow.acquire(isUnknown ? undefined : quota, account.rate.isReduced)
  const now = millisOf(clock)
  if ("part" in asked) return account.readyAt(now, quotaOf(quota.limit / quota.window * 1000 * asked.part)) - now
  const { permit, result } = asked
  if (result._tag === "Paused") {
    account.pausedUntil = now + result.wait
    // Wakes all waiters, so that those whose budget is shorter fail now.
    account.queue.pokeAll()
  }
  if (result._tag !== "Acquired") return Math.max(1, result.wait)
  // The request to the permit store takes time, in which the host may have refused a request, or another call come first.
  if (account.queue.waiters[0] === waiter && account.readyAt(now, quota) <= now) return permit
  yield* sharedWindow.release(permit, undefined)
  return 1
})

/** Waits for a permit in the queue. */
const acquire = (call: Call, maxWait: () => number): Effect.Effect<Sent, Failure> =>
  Effect.suspend(() => {
    const { queue } = call.account
    const waiter = queue.join(call.order)
    return Effect.ensuring(
      // Stage `local`: nothing was sent, and the call's budget is used up.
      Effect.mapError(acquireFor(waiter, call, maxWait), (reason) => new Failure("local", reason)),
      Effect.sync(() => queue.leave(waiter))
    )
  })

const acquireFor = Effect.fnUntraced(function*(
  waiter: Queue.Waiter,
  call: Call,
  maxWait: () => number
) {
  const { account, clock, operation, policy } = call
  const { learning, queue, sharedWindow } = account
  let hasWaited = false
  while (true) {
    waiter.poked.closeUnsafe()
    const now = millisOf(clock)
    // Calls without a limit do not wait for others, only for their own refusals.
    const isPausable = policy._tag !== "Unlimited" || call.wasRefused
    const paused = isPausable ? account.pausedUntil - now : 0
    if (paused > maxWait()) {
      return yield* new FileIoError.RateLimited({ retryAfter: Duration.millis(Math.ceil(paused)) })
    }
    let sleep = Infinity
    const quota = account.quota(policy)
    if (queue.waiters[0] === waiter || quota === undefined) {
      if (paused <= 0) yield* learnIfDue(call, now)
      sleep = isPausable ? account.readyAt(now, quota) - now : 0
      if (operation !== "me" && policy._tag === "Learned") sleep = Math.max(sleep, learning.awaitedFor(now))
      let storePermit: string | undefined
      if (sleep <= 0 && sharedWindow !== undefined && quota !== undefined) {
        const asked = yield* acquireShared(call, sharedWindow, quota, waiter)
        if (typeof asked === "number") sleep = asked
        else storePermit = asked
      }
      if (sleep <= 0) return account.acquire(millisOf(clock), policy, hasWaited, storePermit)
    }
    // The duration is unknown while the limit is being learned.
    if (!hasWaited && learning.awaitedFor(now) === 0) {
      hasWaited = true
      if (call.onWait !== undefined) yield* call.onWait(waitingOf(call, waiter, now))
    }
    yield* Queue.sleep(waiter, sleep)
  }
})

const waitingOf = ({ account, operation, policy }: Call, waiter: Queue.Waiter, now: number): RateLimit.Waiting => {
  const ahead = account.queue.waiters.indexOf(waiter)
  const quota = account.quota(policy)
  return {
    operation,
    reason: account.pausedUntil > now ? "refused" : "limit",
    expected: Duration.millis(Math.ceil(account.wait(now, policy, ahead))),
    ahead,
    limit: quota?.limit ?? Infinity,
    window: Duration.millis(quota?.window ?? 1000)
  }
}

/**
 * Where clients share an account, short pauses are normal: the log has the first one, and all of at least this many
 * milliseconds.
 */
const LONG_PAUSE = 10_000

/** The host refused a request: the account pauses; the log reports it, and once what to do. */
const rejected = Effect.fnUntraced(
  function*({ account, clock, policy }: Call, sent: Sent, retryAfter: number | undefined) {
    const { host, isAnonymous, sharedWindow } = account
    const now = millisOf(clock)
    const allowed = account.quota(policy)
    const wasPaused = account.pausedUntil > now
    const pause = account.rejected(sent, now, retryAfter, policy, yield* Random.next)
    if (pause === undefined) return
    if (sharedWindow !== undefined) yield* sharedWindow.pause(pause)
    if (wasPaused) return
    yield* Metric.update(Series.pauses(host), 1)
    const isFirst = !account.hasLoggedRefusal
    if (!isFirst && pause < LONG_PAUSE) return
    account.hasLoggedRefusal = true
    const time = Duration.format(Duration.millis(Math.round(pause)))
    yield* Effect.logWarning(`${host} refused a request (429): all calls of this account wait ${time}`)
    if (isAnonymous || !isFirst || sharedWindow !== undefined || allowed === undefined) return
    yield* Effect.logWarning(
      `the account at ${host} is within the limit that is known here, so something else uses it too, or the limit is lower than the host says. Let all processes share it through Redis (NodeRateLimit.layerRedis), or give each its own key`
    )
  }
)

/** Keeps the permit in the permit store while its request waits for a connection. */
const renewShared = ({ account: { sharedWindow } }: Call, sent: Sent, context: Context.Context<never>) => {
  if (sharedWindow === undefined || sent.storePermit === undefined || sent.renewal !== undefined) return
  sent.renewal = Effect.runForkWith(context)(sharedWindow.keepRenewing(sent.storePermit))
}

/** The request waits no longer: after a long wait its permit counts from now. */
const endRenewal = ({ account, clock }: Call, sent: Sent, context: Context.Context<never>) => {
  sent.renewal?.interruptUnsafe()
  if (sent.renewal === undefined || sent.storePermit === undefined) return
  if (millisOf(clock) - sent.sentAt > RENEW_AFTER) {
    Effect.runForkWith(context)(account.sharedWindow!.renew(sent.storePermit))
  }
}

/** Releases the permit in the permit store, once: the host has counted its request in at most this many milliseconds. */
const releaseShared = ({ account }: Call, sent: Sent, countedIn: number | undefined) => {
  sent.renewal?.interruptUnsafe()
  if (sent.storePermit === undefined) return undefined
  const release = account.sharedWindow!.release(sent.storePermit, countedIn)
  sent.storePermit = undefined
  return release
}

/** The request of a permit is sent. */
const onSent = (call: Call, sent: Sent, context: Context.Context<never>, hooks: RequestHooks) => {
  const { account, clock, policy } = call
  const quota = account.quota(policy)
  if (quota !== undefined) account.gauge.updateUnsafe(account.remaining(sent.sentAt, quota), context)
  hooks.underway = () => {
    if (sent.isUnderway) return
    sent.isUnderway = true
    account.countedSoon(sent, millisOf(clock))
    account.queue.pokeFirst()
    const release = releaseShared(call, sent, IN_TRANSIT)
    if (release !== undefined) Effect.runForkWith(context)(release)
  }
  hooks.onConnectionWait = () => {
    account.waitsForConnection(sent, millisOf(clock))
    renewShared(call, sent, context)
  }
  hooks.onDeparture = (isReused) => {
    account.departed(sent, millisOf(clock), isReused)
    endRenewal(call, sent, context)
    // While the request waited for a connection, its permit seemed to end later.
    account.queue.pokeFirst()
  }
}

/** A request has ended. */
const onEnded = (
  call: Call,
  sent: Sent,
  hooks: RequestHooks,
  exit: Exit.Exit<unknown, Failure>,
  now: number
) => {
  const { account } = call
  // A transport that reports late must not take the permit again.
  hooks.onConnectionWait = hooks.onDeparture = undefined
  // Its head has been counted long before, and how long the upload took says nothing about a round trip.
  if (sent.isUnderway) return undefined
  if (isUnsent(exit)) account.cancel(sent)
  else if (Exit.isSuccess(exit)) account.responded(sent, now)
  else account.countedSoon(sent, now)
  return releaseShared(call, sent, isUnsent(exit) ? undefined : Exit.isSuccess(exit) ? sent.extraHold : IN_TRANSIT)
}

const permitsOf = (call: Call): CallPermits => {
  const { account, clock } = call
  const problem = problemOf(call.policy)
  const stats = { waited: 0, requests: 0 }
  let last: Sent | undefined
  return {
    stats,
    run: (request, maxWait, hooks) =>
      Effect.withFiber((fiber) => {
        if (problem !== undefined) return Effect.fail(new Failure("local", problem))
        const began = millisOf(clock)
        let sent: Sent | undefined
        return Effect.onExitPrimitive(
          Effect.flatMap(acquire(call, maxWait), (acquired) => {
            last = sent = acquired
            stats.requests++
            stats.waited += sent.sentAt - began
            Metrics.waits.updateUnsafe(sent.sentAt - began, fiber.context)
            onSent(call, sent, fiber.context, hooks)
            return request
          }),
          (exit) => {
            const now = millisOf(clock)
            if (sent === undefined) stats.waited += now - began
            const release = sent === undefined ? undefined : onEnded(call, sent, hooks, exit, now)
            account.queue.pokeFirst()
            return release
          }
        )
      }),
    recordOutcome: (failure) => {
      if (last === undefined) return undefined
      if (failure?.stage === "limited") {
        call.wasRefused = true
        const retryAfter = retryAfterOf(failure)
        return rejected(call, last, retryAfter === undefined ? undefined : Duration.toMillis(retryAfter))
      }
      account.served(last, millisOf(clock), call.policy)
      return undefined
    }
  }
}

/** The limiter of a `FileIo`. */
export const make = Effect.fnUntraced(function*(options: {
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
  const shared = yield* CurrentShared
  const learn = Effect.provideService(options.learn, IsLearning, true)
  const nobody = RateLimit.CurrentOnWait.defaultValue()
  const fallback = RateLimit.learned()
  const policyOf = (fiber: Fiber.Fiber<unknown, unknown>) =>
    fiber.getRef(RateLimit.CurrentRateLimit) ?? configured ?? fallback
  const accountOf = (clock: Clock.Clock) => Registry.get(clock, shared, options.baseUrl, options.account)
  return {
    permitsFor: (operation, fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const account = accountOf(clock)
      const order = fiber.getRef(IsLearning) ? 0 : account.queue.nextOrder()
      const listener = fiber.getRef(RateLimit.CurrentOnWait)
      const onWait = listener !== nobody ? listener : onWaitHere !== nobody ? onWaitHere : undefined
      return permitsOf({ account, clock, operation, order, policy: policyOf(fiber), learn, onWait, wasRefused: false })
    },
    learnedFrom: ({ rateLimit }) =>
      Effect.clockWith((clock) => Effect.sync(() => accountOf(clock).learned(millisOf(clock), rateLimit))),
    waitTime: Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const account = accountOf(clock)
      return Effect.succeed(
        Duration.millis(account.wait(millisOf(clock), policyOf(fiber), account.queue.waiters.length))
      )
    })
  }
})
