/** Runs effects as promises and streams as async iterables; a signal can end each of them. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CallOptions } from "../FileIo.ts"
import type { Closeable } from "../Models.ts"

/** A scope, and a function that closes it. */
export interface Held<A> extends Closeable {
  readonly value: A
  readonly closed: Effect.Effect<void>
}

/** Runs the calls of one client. */
export interface Runner<R> extends Closeable {
  readonly context: Context.Context<R>
  readonly promise: <A>(
    operation: FileIoError.Operation,
    effect: Effect.Effect<A, FileIoError.FileIoError>,
    options: CallOptions | undefined
  ) => Promise<A>
  /** Leaves the scope open if the effect succeeds. */
  readonly held: <A>(
    operation: FileIoError.Operation,
    effect: Effect.Effect<A, FileIoError.FileIoError, Scope.Scope>,
    options: CallOptions | undefined
  ) => Promise<Held<A>>
  readonly iterable: <A>(
    operation: FileIoError.Operation,
    stream: Stream.Stream<A, FileIoError.FileIoError>,
    options: CallOptions | undefined
  ) => AsyncIterable<A>
}

const aborted = (signal: AbortSignal): Effect.Effect<never, unknown> =>
  Effect.callback((resume) => {
    const stop = () => resume(Effect.fail(signal.reason))
    if (signal.aborted) return stop()
    signal.addEventListener("abort", stop)
    return Effect.sync(() => signal.removeEventListener("abort", stop))
  })

/** The error of a call that makes no request, since something that it was given is wrong. */
export const invalidError = (operation: FileIoError.Operation, field: string, problem: string) =>
  new FileIoError.FileIoError({
    operation,
    reason: new FileIoError.InvalidRequest({ field, problem }),
    ...(operation === "download" ? { copy: "kept" as const } : {}),
    ...(operation === "upload" || operation === "update" || operation === "replace" ? { stored: "no" as const } : {})
  })

const closedError = (operation: FileIoError.Operation) =>
  invalidError(operation, "client", "it is closed; make another one")

const isSignal = (signal: unknown): boolean =>
  typeof signal === "object" && signal !== null && "aborted" in signal && "addEventListener" in signal

/** What is wrong with the options of a call that JavaScript made, since no type checks them there. */
const problemOf = (operation: FileIoError.Operation, options: unknown): FileIoError.FileIoError | undefined => {
  if (options === undefined || options === null) return undefined
  if (typeof options !== "object") return invalidError(operation, "options", "allowed: an object")
  const { onProgress, signal } = options as { readonly onProgress?: unknown; readonly signal?: unknown }
  if (signal !== undefined && !isSignal(signal)) return invalidError(operation, "signal", "allowed: an AbortSignal")
  return onProgress === undefined || typeof onProgress === "function"
    ? undefined
    : invalidError(operation, "onProgress", "allowed: a function")
}

/** Builds the layer; `close` releases it. */
export const make = async <R, E>(layer: Layer.Layer<R, E>): Promise<Runner<R>> => {
  const runtime = ManagedRuntime.make(layer)
  const context = await runtime.context()
  let isClosed = false
  const close = () => {
    isClosed = true
    return runtime.dispose()
  }

  const exitOf = async <A>(
    operation: FileIoError.Operation,
    effect: Effect.Effect<A, FileIoError.FileIoError>,
    options: CallOptions | undefined
  ): Promise<A> => {
    const problem = problemOf(operation, options)
    if (problem !== undefined) throw problem
    const signal = options?.signal
    signal?.throwIfAborted()
    if (isClosed) throw closedError(operation)
    const exit = await runtime.runPromiseExit(effect, signal === undefined ? {} : { signal })
    if (Exit.isSuccess(exit)) return exit.value
    if (Cause.hasInterrupts(exit.cause)) {
      signal?.throwIfAborted()
      if (isClosed) throw closedError(operation)
    }
    throw Cause.squash(exit.cause)
  }

  return {
    context,
    close,
    [Symbol.asyncDispose]: close,
    promise: exitOf,
    held: async (operation, effect, options) => {
      const scope = Scope.makeUnsafe()
      const closed = Scope.close(scope, Exit.void)
      const end = () => Effect.runPromise(closed)
      const value = await exitOf(
        operation,
        Effect.onError(Scope.provide(effect, scope), () => closed),
        options
      )
      return { value, closed, close: end, [Symbol.asyncDispose]: end }
    },
    iterable: (operation, stream, options) =>
      Stream.suspend(() => {
        const problem = problemOf(operation, options) ?? (isClosed ? closedError(operation) : undefined)
        if (problem !== undefined) return Stream.fail(problem)
        return options?.signal === undefined ? stream : Stream.interruptWhen(stream, aborted(options.signal))
      }).pipe(Stream.toAsyncIterableWith(context))
  }
}
