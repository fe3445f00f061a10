/**
 * Time-outs: end a request, and the reading of its response, when nothing has happened for too long. `send.ts` reports events.
 */
import * as DurationInput from "@effect-fileio/core/DurationInput"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { millisOf } from "../shared/monotonic.ts"

/** How long nothing may happen, in each phase. */
export interface Timeouts {
  readonly firstByte: Duration.Duration
  readonly idle: Duration.Duration
}

/** Checks the options of the same names. */
export const make = (
  firstByteTimeout: DurationInput.DurationInput,
  idleTimeout: DurationInput.DurationInput
): Result.Result<Timeouts, { readonly field: string; readonly problem: string }> => {
  const read = (field: string, input: DurationInput.DurationInput) =>
    Result.fromOption(
      Option.filter(Result.getSuccess(DurationInput.parse(input)), Duration.isPositive),
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
  /** Bytes that are being sent, if nothing reports how many of them are. */
  readonly collectedBytes?: number
}

/** Collected bytes get the time that a network this slow takes for them, in bytes per second. */
const LEAST_RATE = 8 * 1024

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
      const sending = Duration.seconds(Math.ceil((activity.collectedBytes ?? 0) / LEAST_RATE))
      const after = Duration.sum(timeouts[activity.phase], sending)
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
type Guard = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | FileIoError.TimedOut, R>

/**
 * Watches one request and its response: the effects that the guard runs, one after another. The time between them does not count.
 *
 * It is a race of the effect and the time-out, without that of `Effect.raceFirst`, which interrupts the loser with a cause that
 * has the caller's stack frames: that was half of the processor time of a small call.
 */
export const watch = (clock: Clock.Clock, activity: Activity, timeouts: Timeouts): Guard => {
  const ofTimer = Context.make(Clock.Clock, clock)
  return <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.withFiber<A, E | FileIoError.TimedOut, R>((caller) =>
      Effect.callback((resume) => {
        activity.lastAt = clock.currentTimeMillisUnsafe()
        const running = Effect.runForkWith(caller.context as Context.Context<R>)(effect)
        const timer = running.pollUnsafe() === undefined
          ? Effect.runForkWith(ofTimer)(expiry(activity, timeouts))
          : undefined
        running.addObserver((exit) => {
          activity.lastAt = Infinity
          timer?.interruptUnsafe()
          resume(exit)
        })
        timer?.addObserver((exit) => {
          if (!Exit.hasInterrupts(exit)) resume(Effect.andThen(Fiber.interrupt(running), exit))
        })
        return Fiber.interrupt(running)
      })
    )
}

/** Fails once nothing has arrived for too long, while a reader waits. */
export const guarded = <E>(
  stream: Stream.Stream<Uint8Array, E>,
  guard: Guard
): Stream.Stream<Uint8Array, E | FileIoError.TimedOut> =>
  Stream.transformPull(stream, (pull) => Effect.succeed(guard(pull)))
