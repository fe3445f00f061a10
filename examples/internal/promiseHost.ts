import { Effect, Redacted } from "effect"
import { Host } from "./Host.ts"

/** The host of the examples, while an async function runs. */
export const withHost = <A>(
  use: (host: { readonly baseUrl: string; readonly apiKey: string }) => Promise<A>
): Promise<A> =>
  Host.use(({ apiKey, baseUrl }) => Effect.promise(() => use({ baseUrl, apiKey: Redacted.value(apiKey) }))).pipe(
    Effect.provide(Host.layer),
    Effect.runPromise
  )
