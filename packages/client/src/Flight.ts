/**
 * A request in flight, as its caller and its transport know it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as HttpClient from "effect/http/HttpClient"

/**
 * What a transport tells its caller of a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Flight {
  /**
   * The head of the request is written to an open connection: once for each request, and again when it is sent anew over
   * another connection. `isReused`: whether an answer has already come over this connection. How long a request and its
   * answer take at least is learned from these alone, since the first answer over a new connection may take longer, without
   * being typical.
   */
  readonly departed: (isReused: boolean) => void
  /**
   * Said at once by a transport that `givesUp`: `giveUp` closes the connection of the request, and makes whatever waits for
   * its connection, its answer or bytes of its answer fail with that error.
   */
  readonly begun: (giveUp: (error: Error) => void) => void
  /** The request waits for a connection, for as long as the transport allows. Time-outs begin when it departs. */
  readonly waiting: () => void
  /**
   * Whether the caller makes the request again where its connection breaks. One that it does not may only go over a
   * connection that is new or was used a moment ago: a host may be closing one that has been idle.
   */
  readonly mayRepeat: boolean
}

/**
 * Set around every request. A transport that knows better than its caller when a request leaves tells it here. Without that,
 * the rate limit takes the request to leave when it is handed over, and guesses whether there was an open connection for it.
 *
 * **Example** (A transport that tells)
 *
 * ```ts
 * import { Flight } from "@effect-fileio/client"
 * import { Effect } from "effect"
 * import { HttpClient, type HttpClientRequest, type HttpClientResponse } from "effect/http"
 *
 * declare const send: (
 *   request: HttpClientRequest.HttpClientRequest,
 *   onHeadWritten: (isReused: boolean) => void
 * ) => Effect.Effect<HttpClientResponse.HttpClientResponse>
 *
 * const client = HttpClient.make((request, _url, _signal, fiber) => {
 *   const flight = fiber.getRef(Flight.CurrentFlight)
 *   return send(request, (isReused) => flight?.departed(isReused))
 * })
 * ```
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentFlight = Context.Reference<Flight | undefined>("@effect-fileio/client/Flight", {
  defaultValue: () => undefined
})

const givingUp = new WeakSet<object>()

/**
 * Says of a transport that it calls `begun` for every request. Its time-outs then cost no fiber. Clients that are derived
 * from it are taken for others.
 *
 * @category combinators
 * @since 0.1.0
 */
export const givesUp = <Client extends HttpClient.HttpClient>(client: Client): Client => {
  givingUp.add(client)
  return client
}

/**
 * Whether a transport calls `begun` for every request.
 *
 * @category guards
 * @since 0.1.0
 */
export const isGivingUp = (client: object): boolean => givingUp.has(client)
