/**
 * What a call knows of the budget of its account.
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as RateLimit from "../RateLimit.ts"
import { CurrentRateLimitStore } from "../RateLimitStore.ts"
import type { Account, Passage, Underway, Wait } from "./account.ts"
import * as Accounts from "./accounts.ts"
import { Failure, retryAfterOf } from "./shared/failure.ts"

/** Makes one request when it is the call's turn. */
export type InTurn = <A, R>(request: Effect.Effect<A, Failure, R>, flow: Underway) => Effect.Effect<A, Failure, R>

/** The turns of one call: its first request and its repetitions. */
export interface Turn {
  /** Makes one request when it is its turn; waits at most so many milliseconds for a pause that the host has asked for. */
  readonly run: <A, R>(
    request: Effect.Effect<A, Failure, R>,
    patience: () => number,
    flow: Underway
  ) => Effect.Effect<A, Failure, R>
  /** How the last request went, from what its whole answer said; gives an effect when something follows from it. */
  readonly done: (failure: Failure | undefined) => Effect.Effect<void> | undefined
  /** How long the call has waited for its turns, in milliseconds, and how many requests went out. */
  readonly passage: Passage
}

export interface Budget {
  /** For a call of this fiber. */
  readonly turn: (operation: FileIoError.Operation, fiber: Fiber.Fiber<unknown, unknown>) => Turn
  /** Wraps calls of `me`, from which the budget learns. */
  readonly teaching: <A extends { readonly rateLimit?: number | null | undefined }, E, R>(
    me: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
}

/** Set around the call by which an account learns its limit: the others wait for it, so it goes first. */
const IsFirst = Context.Reference<boolean>("@effect-fileio/client/internal/budget/IsFirst", {
  defaultValue: () => false
})

export const open = Effect.fnUntraced(function*(options: {
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted | undefined
  /** A call of `me` that is not repeated. */
  readonly learn: Effect.Effect<unknown, unknown>
}): Effect.fn.Return<Budget> {
  const configured = yield* RateLimit.CurrentRateLimit
  const onWaitHere = yield* RateLimit.CurrentOnWait
  const store = yield* CurrentRateLimitStore
  const apiKey = options.apiKey === undefined ? undefined : Redacted.value(options.apiKey)
  const learn = Effect.provideService(options.learn, IsFirst, true)
  const nobody = RateLimit.CurrentOnWait.defaultValue()
  const fallback = RateLimit.learned()
  const isUnsent = (failure: Failure) => failure.stage === "unsent" || failure.stage === "local"
  // Nothing was sent, and waiting longer would not help the caller.
  const refused = (reason: FileIoError.RateLimited | FileIoError.Unreachable) => new Failure("local", reason)
  const limitOf = (fiber: Fiber.Fiber<unknown, unknown>) =>
    fiber.getRef(RateLimit.CurrentRateLimit) ?? configured ?? fallback
  let found: { readonly clock: Clock.Clock; readonly account: Account } | undefined
  const accountOf = (fiber: Fiber.Fiber<unknown, unknown>): Account => {
    const clock = fiber.getRef(Clock.Clock)
    if (found === undefined || found.clock !== clock || found.account.isForgotten) {
      found = { clock, account: Accounts.get(clock, store, options.baseUrl, apiKey) }
    }
    return found.account
  }

  return {
    turn: (operation, fiber) => {
      const limit = limitOf(fiber)
      const mine = accountOf(fiber)
      const order = fiber.getRef(IsFirst) ? 0 : mine.nextOrder()
      const passage: Passage = { sentAt: -Infinity, waited: 0, requests: 0 }
      const tell = fiber.getRef(RateLimit.CurrentOnWait)
      const listener = tell === nobody ? onWaitHere : tell
      const onWait = listener === nobody ? undefined : ({ ahead, millis, operation, quota, reason }: Wait) =>
        listener({
          operation,
          reason,
          expected: Duration.millis(Math.ceil(millis)),
          ahead,
          limit: quota.limit,
          window: Duration.millis(quota.window)
        })
      return {
        run: (request, patience, flow) =>
          mine.run(request, { operation, order, limit, isUnsent, refused, onWait, patience }, learn, passage, flow),
        done: (failure) => {
          if (failure?.stage !== "limited") {
            mine.served(passage.sentAt)
            return undefined
          }
          const asked = retryAfterOf(failure)
          return mine.refused(passage.sentAt, asked === undefined ? undefined : Duration.toMillis(asked), limit)
        },
        passage
      }
    },
    teaching: (me) =>
      Effect.withFiber((fiber) => {
        const limit = limitOf(fiber)
        const mine = accountOf(fiber)
        const lifetime = limit._tag === "Learned" ? limit.lifetime : 600_000
        const taught = Effect.flatMap(me, (account) => {
          const told = mine.teach(fiber.getRef(Clock.Clock), account.rateLimit, lifetime)
          return told === undefined ? Effect.succeed(account) : Effect.as(told, account)
        })
        return mine.teaching(taught)
      })
  }
})
