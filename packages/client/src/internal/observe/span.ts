/**
 * What traces, logs and stack traces tell of a call. Where nobody traces there is no span: Effect's own tracer would make one
 * that nobody can read, and it costs as much as a small request.
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import { derived } from "../derived.ts"

/** Where a caller stands, found out only when it is asked for. */
type Site = () => string | undefined

/** Puts the place of a call into the stack trace of what failed in it. */
const located = <E>(cause: Cause.Cause<E>, name: string, site: Site, parent: References.StackFrame | undefined) => {
  const known = Context.getOrUndefined(Cause.annotations(cause), Cause.StackTrace)
  // What a call inside of this one has said is nearer.
  if (known !== parent) return cause
  return Cause.annotate(cause, Context.make(Cause.StackTrace, { name, stack: site, parent }), { overwrite: true })
}

const make = (name: string, operation: FileIoError.Operation) => {
  const annotated = derived((context) =>
    Context.add(context, References.CurrentLogAnnotations, {
      ...Context.get(context, References.CurrentLogAnnotations),
      "fileio.operation": operation
    })
  )
  return <A, E, R>(effect: Effect.Effect<A, E, R>, site: Site): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      const logged = Effect.updateContext(effect, (context: Context.Context<R>) => annotated(context))
      if (isTraced(fiber)) return Effect.withSpan(logged, name, { captureStackTrace: site })
      const parent = fiber.cache.stackFrame
      return Effect.catchCause(logged, (cause) => Effect.failCause(located(cause, name, site, parent)))
    })
}

/** Whether anybody can read the spans of a fiber. */
export const isTraced = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.cache.tracer !== undefined

/** V8 takes as many frames as this says; two are enough, and cheap. */
const Traces = Error as { stackTraceLimit?: number | undefined }

const unknown: Site = () => undefined

/** Names a call by its span, and its operation in every line that it logs. */
export const effect = <A, E, R>(
  name: string,
  operation: FileIoError.Operation,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => make(name, operation)(self, unknown)

/** The same for a function, whose callers are in the stack traces of what fails. */
export const fn = <Args extends ReadonlyArray<unknown>, A, E, R>(
  name: string,
  operation: FileIoError.Operation,
  body: (...args: Args) => Effect.Effect<A, E, R>
): (...args: Args) => Effect.Effect<A, E, R> => {
  const traced = make(name, operation)
  return (...args) => {
    const limit = Traces.stackTraceLimit
    if (limit !== 0) Traces.stackTraceLimit = 2
    const call = new Error()
    Traces.stackTraceLimit = limit
    return traced(Effect.suspend(() => body(...args)), () => call.stack?.split("\n")[2]?.trim())
  }
}

/** Says something of a call in its span, while it runs. */
export const annotate = (fiber: Fiber.Fiber<unknown, unknown>, attributes: Readonly<Record<string, unknown>>): void => {
  const { span } = fiber.cache
  if (!isTraced(fiber) || span?._tag !== "Span" || span.status._tag === "Ended") return
  for (const name in attributes) span.attribute(name, attributes[name])
}
