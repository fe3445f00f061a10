/** The span of a call, and the name of its operation in every line that it logs. */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

const PREFIX = "FileIo."

/** Makes a call from a function: `Effect.fn`, with the operation in its log lines. */
export const fn = <Args extends Array<unknown>, A, E, R>(
  name: `${typeof PREFIX}${string}`,
  operation: FileIoError.Operation,
  body: (...args: Args) => Effect.Effect<A, E, R>
): (...args: Args) => Effect.Effect<A, E, R> =>
  Effect.fn(name)((...args: Args) => Effect.annotateLogs(body(...args), "fileio.operation", operation))

/** Adds attributes to the span of a running call; never to a span of the caller's. */
export const annotate = (fiber: Fiber.Fiber<unknown, unknown>, attributes: Readonly<Record<string, unknown>>): void => {
  const { span } = fiber.cache
  if (span?._tag !== "Span" || !span.name.startsWith(PREFIX) || span.status._tag === "Ended") return
  for (const name in attributes) span.attribute(name, attributes[name])
}
