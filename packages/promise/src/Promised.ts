/**
 * Services of Effect as plain promises: one rule for all calls, by which `FileIo` and `NodeFileIo` of this package are made.
 *
 * **Details**
 *
 * | in the service                   | here                                                             |
 * | -------------------------------- | ---------------------------------------------------------------- |
 * | an effect, or a function of one  | an async function; its last argument takes a `signal`            |
 * | a stream, or a function of one   | an async iterable, or a function of one                          |
 * | a scope                          | the result can be closed, and closes itself when its stream ends |
 * | a listener that is an effect     | a plain function, which may be async                             |
 * | `DateTime`, `Redacted`, `Option` | `Date`, `string`, the value or `undefined`                       |
 * | a `Result` of one of many        | what `Promise.allSettled` would give                             |
 * | an instance of a class           | plain data with the same fields                                  |
 * | an error                         | the same error, thrown                                           |
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as EffectResult from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/**
 * The last argument of every call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Aborting {
  /** Ends the call: it throws the signal's reason. A download that had begun may have been taken all the same. */
  readonly signal?: AbortSignal | undefined
}

/**
 * What holds a connection. `await using` closes it at the end of the block.
 *
 * @category models
 * @since 0.1.0
 */
export interface Closeable extends AsyncDisposable {
  /** Gives back what is held; a second time does nothing. */
  readonly close: () => Promise<void>
}

type Primitive = string | number | bigint | boolean | symbol | null | undefined
type AnyFunction = (...args: ReadonlyArray<never>) => unknown

/** Data fields alone: no methods, no symbols. */
type Fields<A> = {
  readonly [K in keyof A as K extends string ? A[K] extends AnyFunction ? never : K : never]: Plain<A[K]>
}

/**
 * What became of one of many, as `Promise.allSettled` tells it.
 *
 * @category models
 * @since 0.1.0
 */
export type Settled<A, E> =
  | { readonly status: "fulfilled"; readonly value: A }
  | { readonly status: "rejected"; readonly reason: E }

/**
 * A result as plain data.
 *
 * @category models
 * @since 0.1.0
 */
export type Plain<A> = A extends Primitive | Uint8Array | Date | Error ? A
  : A extends DateTime.DateTime ? Date
  : A extends Option.Option<infer B> ? Plain<B> | undefined
  : A extends EffectResult.Result<infer B, infer E> ? Settled<Plain<B>, E>
  : A extends Stream.Stream<infer B, infer _E, infer _R> ? AsyncIterable<Plain<B>>
  : A extends ReadonlyArray<infer B> ? ReadonlyArray<Plain<B>>
  : A extends object ? Fields<A>
  : A

/** A result that holds a scope can be closed. */
type Result<A, R> = [Scope.Scope] extends [R] ? Plain<A> & Closeable : Plain<A>

/**
 * An argument as plain data.
 *
 * @category models
 * @since 0.1.0
 */
export type Input<A> = A extends Primitive | Uint8Array | Date | URL | Duration.Duration ? A
  : A extends DateTime.DateTime ? Date
  : A extends Redacted.Redacted ? string
  : A extends (...args: infer Args) => Effect.Effect<void> ? (...args: Args) => void | Promise<void>
  : A extends AnyFunction ? A
  : A extends Stream.Stream<infer B, infer _E, infer _R> ? AsyncIterable<B>
  : A extends { readonly _tag: string } ? A
  : A extends { readonly [Symbol.iterator]: AnyFunction } ? A
  : A extends object ? { readonly [K in keyof A]: Input<A[K]> }
  : A

/** The arguments; the last one, if it holds options, or else one more, takes the signal. */
type Inputs<Args extends ReadonlyArray<unknown>> = Args extends readonly [] ? [options?: Aborting]
  : Args extends readonly [infer Only extends object] ? [options: Input<Only> & Aborting]
  : Args extends readonly [infer First, ...infer Rest] ? [Input<First>, ...Inputs<Rest>]
  : Args extends readonly [options?: infer Last] ? [options?: Input<NonNullable<Last>> & Aborting]
  : never

type Call<A> = A extends Stream.Stream<infer B, infer _E, infer _R> ? (options?: Aborting) => AsyncIterable<Plain<B>>
  : A extends Effect.Effect<infer B, infer _E, infer R> ? (options?: Aborting) => Promise<Result<B, R>>
  : A extends (...args: infer Args) => Stream.Stream<infer B, infer _E, infer _R>
    ? (...args: Inputs<Args>) => AsyncIterable<Plain<B>>
  : A extends (...args: infer Args) => Effect.Effect<infer B, infer _E, infer R>
    ? (...args: Inputs<Args>) => Promise<Result<B, R>>
  : never

/**
 * The calls of a service as promises and async iterables.
 *
 * @category models
 * @since 0.1.0
 */
export type Promised<Service> = { readonly [K in keyof Service]: Call<Service[K]> }

const isPlain = (value: unknown): value is Record<string, unknown> => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === "object" && value !== null && Symbol.asyncIterator in value

/** Options as the service takes them. */
const toInput = (value: unknown): unknown => {
  if (isPlain(value) && !("_tag" in value)) {
    return Object.fromEntries(
      Object.entries(value).filter(([name]) => name !== "signal").map(([name, field]) => [
        name,
        typeof field === "function" && /^on[A-Z]/.test(name)
          ? (...args: ReadonlyArray<unknown>) => Effect.promise(async () => field(...args))
          : toInput(field)
      ])
    )
  }
  if (value instanceof Date) return Option.getOrElse(DateTime.make(value), () => value)
  return isAsyncIterable(value) ? Stream.fromAsyncIterable(value, (cause) => cause) : value
}

const signalOf = (args: ReadonlyArray<unknown>): AbortSignal | undefined => {
  const last = args.at(-1)
  return isPlain(last) && last["signal"] instanceof AbortSignal ? last["signal"] : undefined
}

/** The getters of a class, such as `downloadsLeft`. */
const gettersOf = (value: object): ReadonlyArray<string> => {
  const prototype: object | null = Object.getPrototypeOf(value)
  if (prototype === null || prototype === Object.prototype) return []
  return Object.entries(Object.getOwnPropertyDescriptors(prototype))
    .filter(([, descriptor]) => descriptor.get !== undefined).map(([name]) => name)
}

/**
 * Fails with the signal's reason once it is aborted.
 */
const aborted = (signal: AbortSignal): Effect.Effect<never, unknown> =>
  Effect.callback((resume) => {
    const stop = () => resume(Effect.fail(signal.reason))
    if (signal.aborted) return stop()
    signal.addEventListener("abort", stop)
    return Effect.sync(() => signal.removeEventListener("abort", stop))
  })

/**
 * The calls of a service. `runtime` has what the service was made with, and outlives the calls.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromService = <Service extends object, R, E>(
  service: Service,
  runtime: ManagedRuntime.ManagedRuntime<R, E>,
  context: Context.Context<R>
): Promised<Service> => {
  const iterable = (
    stream: Stream.Stream<unknown, unknown>,
    signal: AbortSignal | undefined,
    atEnd: Effect.Effect<void> = Effect.void
  ): AsyncIterable<unknown> =>
    stream.pipe(
      Stream.map((value) => toOutput(value, signal)),
      signal === undefined ? (self) => self : Stream.interruptWhen(aborted(signal)),
      Stream.ensuring(atEnd),
      Stream.toAsyncIterableWith(context)
    )

  const toOutput = (value: unknown, signal: AbortSignal | undefined, atEnd?: Effect.Effect<void>): unknown => {
    if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || value instanceof Error) return value
    if (DateTime.isDateTime(value)) return DateTime.toDate(value)
    if (Option.isOption(value)) return toOutput(Option.getOrUndefined(value), signal)
    if (EffectResult.isResult(value)) {
      return EffectResult.isSuccess(value)
        ? { status: "fulfilled", value: toOutput(value.success, signal) }
        : { status: "rejected", reason: value.failure }
    }
    if (Stream.isStream(value)) return iterable(value as Stream.Stream<unknown, unknown>, signal, atEnd)
    if (Array.isArray(value)) return value.map((item) => toOutput(item, signal))
    return Object.fromEntries(
      [...Object.keys(value), ...gettersOf(value)]
        .map((name) => [name, (value as Record<string, unknown>)[name]] as const)
        .filter(([, field]) => typeof field !== "function")
        .map(([name, field]) => [name, toOutput(field, signal, atEnd)])
    )
  }

  const run = async (effect: Effect.Effect<unknown, unknown, Scope.Scope>, signal: AbortSignal | undefined) => {
    signal?.throwIfAborted()
    const scope = Scope.makeUnsafe()
    const close = Scope.close(scope, Exit.void)
    const exit = await runtime.runPromiseExit(Scope.provide(effect, scope), signal === undefined ? {} : { signal })
    if (Exit.isFailure(exit)) {
      await runtime.runPromise(close)
      if (Cause.hasInterrupts(exit.cause)) signal?.throwIfAborted()
      throw Cause.squash(exit.cause)
    }
    const output = toOutput(exit.value, signal, close)
    if (scope.state._tag !== "Open") return output
    const closing = () => runtime.runPromise(close)
    return Object.assign(output as object, { close: closing, [Symbol.asyncDispose]: closing })
  }

  const toCall = (call: unknown) => (...args: ReadonlyArray<unknown>) => {
    const signal = signalOf(args)
    const made: unknown = typeof call === "function" ? call(...args.map(toInput)) : call
    return Stream.isStream(made)
      ? iterable(made as Stream.Stream<unknown, unknown>, signal)
      : run(made as Effect.Effect<unknown, unknown, Scope.Scope>, signal)
  }

  return Object.fromEntries(Object.entries(service).map(([name, call]) => [name, toCall(call)])) as Promised<Service>
}
