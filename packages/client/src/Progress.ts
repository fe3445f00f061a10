/**
 * The progress of a transfer, as events.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

/**
 * One event. A transfer emits one `Started`, then `Advanced` at most ten times a second, and at the end `Finished` or
 * `Failed`. If an attempt is repeated, `Started` comes again and the count starts over.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly _tag: "Started" | "Advanced" | "Finished" | "Failed"
  /** Bytes so far: over the wire in this attempt, plus those that a resumed download had before. */
  readonly bytes: number
  /** Bytes of the whole file; `undefined` if unknown. */
  readonly total: number | undefined
  /** Milliseconds since `Started`. */
  readonly elapsedMillis: number
  /** Average bytes per second over the wire since `Started`. */
  readonly bytesPerSecond: number
}

/**
 * A listener of a transfer. It runs in the transfer's fiber, so it should be short.
 *
 * @category models
 * @since 0.1.0
 */
export type Listener = (progress: Progress) => Effect.Effect<void>

/**
 * One event of several transfers together: the sum of their bytes, and how many files are done.
 *
 * @category models
 * @since 0.1.0
 */
export interface Batch extends Progress {
  readonly files: {
    readonly total: number
    readonly done: number
    readonly failed: number
  }
}

/**
 * A listener of several transfers.
 *
 * @category models
 * @since 0.1.0
 */
export type BatchListener = (progress: Batch) => Effect.Effect<void>

/**
 * The end of a progress stream: the result of the transfer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Done<out A> {
  readonly _tag: "Done"
  readonly value: A
}

/** A slow reader of the stream loses the oldest events, never the last one. */
const STREAM_EVENTS = 64

/**
 * The progress of a transfer as a stream: its events, then `Done` with the result. It fails as the transfer does, and
 * interrupting it interrupts the transfer.
 *
 * **Example** (An upload with its progress)
 *
 * ```ts
 * import { FileBody, FileIo, Progress } from "@effect-fileio/client"
 * import { Effect, Stream } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const fileIo = yield* FileIo.FileIo
 *   const body = FileBody.text("see you at eight")
 *   yield* Progress.stream((onProgress) => fileIo.upload(body, { onProgress })).pipe(
 *     Stream.runForEach((event) => Effect.log(event._tag))
 *   )
 * })
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const stream = <A, E, R>(
  transfer: (onProgress: Listener) => Effect.Effect<A, E, R>
): Stream.Stream<Progress | Done<A>, E, R> =>
  Stream.unwrap(Effect.gen(function*() {
    const events = yield* Queue.sliding<Progress, typeof END>(STREAM_EVENTS)
    const listener: Listener = (event) => Effect.asVoid(Queue.offer(events, event))
    const fiber = yield* Effect.forkScoped(
      Effect.onExit(transfer(listener), () => Queue.fail(events, END))
    )
    return Stream.fromQueue(events).pipe(
      Stream.catch(() => Stream.empty),
      Stream.concat(Stream.fromEffect(Effect.map(Fiber.join(fiber), (value): Done<A> => ({ _tag: "Done", value }))))
    )
  })).pipe(Stream.scoped)

const END = "end"

const INTERVAL_MILLIS = 100

/**
 * Counts the bytes of one transfer and calls a listener.
 *
 * @category models
 * @since 0.1.0
 */
export interface Meter {
  /** `from`: bytes of an earlier attempt. */
  readonly started: (total: number | undefined, from?: number) => Effect.Effect<void>
  /** Adds bytes; returns an effect only if an event is due, so that a chunk costs an addition. */
  readonly advance: (bytes: number) => Effect.Effect<void> | undefined
  readonly finished: Effect.Effect<void>
  readonly failed: Effect.Effect<void>
}

/**
 * A meter without a listener, which costs nothing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const silent: Meter = {
  started: () => Effect.void,
  advance: () => undefined,
  finished: Effect.void,
  failed: Effect.void
}

/**
 * A meter for a listener, by this clock; `silent` without one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const meter = (listener: Listener | undefined, clock: Clock.Clock): Meter => {
  if (listener === undefined) return silent
  let bytes = 0
  let base = 0
  let total: number | undefined
  let began = clock.currentTimeMillisUnsafe()
  let emitted = began
  let running = false
  const emit = (_tag: Progress["_tag"]): Effect.Effect<void> => {
    emitted = clock.currentTimeMillisUnsafe()
    const elapsedMillis = emitted - began
    const bytesPerSecond = elapsedMillis === 0 ? 0 : Math.round((bytes - base) * 1000 / elapsedMillis)
    return listener({ _tag, bytes, total, elapsedMillis, bytesPerSecond })
  }
  const end = (_tag: Progress["_tag"]) =>
    Effect.suspend(() => {
      if (!running) return Effect.void
      running = false
      return emit(_tag)
    })
  return {
    started: (size, from = 0) =>
      Effect.suspend(() => {
        bytes = from
        base = from
        total = size
        began = clock.currentTimeMillisUnsafe()
        running = true
        return emit("Started")
      }),
    advance: (count) => {
      bytes += count
      return clock.currentTimeMillisUnsafe() - emitted >= INTERVAL_MILLIS ? emit("Advanced") : undefined
    },
    finished: end("Finished"),
    failed: end("Failed")
  }
}
