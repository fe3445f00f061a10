/** Runs synchronous code that throws, as everything of `node:sqlite` does, as an effect that fails with `CatalogError`. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { CatalogError } from "../../Catalog.ts"
import { UnknownOutcome } from "./sqlite.ts"

/** Thrown inside a transaction: the upload has ended, or another request goes on with it. */
export class UploadEnded extends Error {
  constructor() {
    super("the upload has ended, or another request goes on with it")
  }
}

const reasonOf = (cause: unknown) =>
  cause instanceof UnknownOutcome
    ? { reason: "unknown" as const }
    : cause instanceof UploadEnded
    ? { reason: "ended" as const }
    : {}

export const attempt = <A>(run: () => A): Effect.Effect<A, CatalogError> =>
  Effect.try({
    try: run,
    catch: (cause) => new CatalogError({ cause, ...reasonOf(cause) })
  })

/** `attempt` with the time in milliseconds. */
export const withNow = <A>(run: (now: number) => A): Effect.Effect<A, CatalogError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => attempt(() => run(now)))
