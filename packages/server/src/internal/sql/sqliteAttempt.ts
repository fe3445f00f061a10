/** Runs synchronous code that throws, as everything of `node:sqlite` does, as an effect that fails with `CatalogError`. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { CatalogError } from "../../Catalog.ts"
import { UnknownOutcome } from "./sqlite.ts"

export const attempt = <A>(run: () => A): Effect.Effect<A, CatalogError> =>
  Effect.try({
    try: run,
    catch: (cause) => new CatalogError({ cause, ...(cause instanceof UnknownOutcome ? { reason: "unknown" } : {}) })
  })

/** `attempt` with the time in milliseconds. */
export const withNow = <A>(run: (now: number) => A): Effect.Effect<A, CatalogError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => attempt(() => run(now)))
