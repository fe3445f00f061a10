/**
 * Time-outs: end a request, and the reading of its response, when nothing has happened for too long. `send.ts` reports events.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { millisOf } from "../shared/monotonic.ts"

/** How long nothing may happen, in each phase. */
export interface Timeouts {
  readonly firstByte: Duration.Duration
  readonly idle: Duration.Duration
}

/** Checks the options of the same names. */
export const make = (
  firstByteTimeout: Duration.Input,
  idleTimeout: Duration.Input
): Result.Result<Timeouts, { readonly field: string; readonly problem: string }> => {
  const read = (field: string, input: Duration.Input) =>
    Result.fromOption(
      Option.filter(Duration.fromInput(input), Duration.isPositive),
      () => ({ field, problem: "allowed: a positive duration, such as 30 seconds" })
    )
  return Result.all({
    firstByte: read("firstByteTimeout", firstByteTimeout),
    idle: read("idleTimeout", idleTimeout)
  })
}

export interface Activity {
  /** When something last happened, in milliseconds; `Infinity` while nothing is awaited. */
  lastAt: number
  /** The phase that is awaited. */
  readonly phase: "firstByte" | "idle"
  /** For how many milliseconds this process did not run meanwhile. */
  stalledMillis?: number
}

/**
 * If a check runs this much later than planned, in milliseconds, this process did not run: it was stopped, the machine slept,
 * or something blocked the event loop. Bytes that arrived meanwhile were not read yet, so nothing is too late.
 */
const STALL_MILLIS = 1000

/** Sleeps, and gives for how many milliseconds this process did not run meanwhile. */
export const sleep = (clock: Clock.Clock, duration: number): Effect.Effect<number> =>
  Effect.suspend(() => {
    const began = millisOf(clock)
    return Effect.map(Effect.sleep(duration), () => {
      const late = millisOf(clock) - began - duration
      return late >= STALL_MILLIS ? late : 0
    })
  })

/** Fails once nothing has happened for too long; the time-out starts over after this process did not run. */
export const expiry = (activity: Activity, timeouts: Timeouts): Effect.Effect<never, FileIoError.TimedOut> =>
  Clock.clockWith((clock) => {
    // The phase may change to one with a shorter time-out.
    const shortest = Math.min(Duration.toMillis(timeouts.firstByte), Duration.toMillis(timeouts.idle))
    if (shortest === Infinity) return Effect.never
    let wakesAt = Infinity
    const look: Effect.Effect<never, FileIoError.TimedOut> = Effect.suspend(() => {
      const now = clock.currentTimeMillisUnsafe()
      if (now - wakesAt >= STALL_MILLIS && activity.lastAt < now) activity.lastAt = now
      const after = timeouts[activity.phase]
      const deadline = Math.min(activity.lastAt, now) + Duration.toMillis(after)
      if (deadline <= now) return Effect.fail(new FileIoError.TimedOut({ phase: activity.phase, after }))
      wakesAt = Math.min(deadline, now + shortest)
      return Effect.flatMap(sleep(clock, wakesAt - now), (late) => {
        if (late > 0) activity.stalledMillis = (activity.stalledMillis ?? 0) + late
        return look
      })
    })
    return look
  })

/** Runs an effect of a request, such as sending it or reading a chunk; fails once nothing has happened for too long. */
export type Guard = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | FileIoError.TimedOut, R>

/**
 * Watches one request and its response until the scope closes: one fiber for all effects that the guard runs, one after another.
 * The time between them does not count.
 */
export const watch = (activity: Activity, timeouts: Timeouts): Effect.Effect<Guard, never, Scope.Scope> =>
  Clock.clockWith((clock) => {
    const expired = Deferred.makeUnsafe<never, FileIoError.TimedOut>()
    const rest = Effect.sync(() => {
      activity.lastAt = Infinity
    })
    const guard: Guard = (effect) =>
      Effect.suspend(() => {
        activity.lastAt = clock.currentTimeMillisUnsafe()
        return Effect.onExit(Effect.raceFirst(effect, Deferred.await(expired)), () => rest)
      })
    return Effect.as(Effect.forkScoped(Deferred.into(expiry(activity, timeouts), expired)), guard)
  })

/** Fails once nothing has arrived for too long, while a reader waits. */
export const guarded = <E>(
  stream: Stream.Stream<Uint8Array, E>,
  guard: Guard
): Stream.Stream<Uint8Array, E | FileIoError.TimedOut> =>
  Stream.transformPull(stream, (pull) => Effect.succeed(guard(pull)))
