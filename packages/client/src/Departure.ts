/**
 * What a transport tells of the moment in which a request leaves.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * Is called by a transport when it writes the head of a request to an open connection: once for each request, and again
 * when it sends the request anew over another connection.
 *
 * **Details**
 *
 * `isReused`: whether an answer has already come over this connection. How long a request and its answer take at least is
 * learned from these alone, since the first answer over a new connection may take longer, without being typical.
 *
 * @category models
 * @since 0.1.0
 */
export type Departure = (isReused: boolean) => void

/**
 * Set around every request that the rate limit counts. A transport that knows better than its caller when a request leaves
 * tells it here. Without that, the limiter takes the request to leave when it is handed over, and guesses whether there
 * was an open connection for it.
 *
 * **Example** (A transport that tells)
 *
 * ```ts
 * import { Departure } from "@effect-fileio/client"
 * import { Effect } from "effect"
 * import { HttpClient, type HttpClientRequest, type HttpClientResponse } from "effect/http"
 *
 * declare const send: (
 *   request: HttpClientRequest.HttpClientRequest,
 *   onHeadWritten: (isReused: boolean) => void
 * ) => Effect.Effect<HttpClientResponse.HttpClientResponse>
 *
 * const client = HttpClient.make((request, _url, _signal, fiber) => {
 *   const departure = fiber.getRef(Departure.CurrentDeparture)
 *   return send(request, (isReused) => departure?.(isReused))
 * })
 * ```
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentDeparture = Context.Reference<Departure | undefined>("@effect-fileio/client/Departure", {
  defaultValue: () => undefined
})
