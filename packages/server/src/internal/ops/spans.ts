/**
 * The span of a request: its method, the pattern of its route, and the status of its response. Effect's own server spans
 * contain the URL, which has the key of a file, a secret, or the words of a search.
 */
import * as Effect from "effect/Effect"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as TraceContext from "effect/http/HttpTraceContext"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { knownMethod } from "./metrics.ts"

/** Turns off Effect's own spans for this server's requests. */
export const layerNoUrls: Layer.Layer<never> = Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true)

/** Traces a request, if the program has a tracer; the router adds `http.route`. */
export const traced = <E, R>(
  request: HttpServerRequest.HttpServerRequest,
  handled: Effect.Effect<HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse, E, R> =>
  Effect.withFiber((fiber) => {
    if (fiber.cache.tracer === undefined) return handled
    const method = knownMethod(request.method)
    let response: HttpServerResponse | undefined
    // A span keeps the value that it ends with, and a response contains links.
    const ended = Effect.flatMap(handled, (given) => {
      response = given
      return Effect.annotateCurrentSpan("http.response.status_code", given.status)
    })
    return Effect.map(
      Effect.withSpan(ended, `http.server ${method}`, {
        kind: "server",
        captureStackTrace: false,
        attributes: { "http.request.method": method },
        parent: Option.getOrUndefined(TraceContext.fromHeaders(request.headers))
      }),
      () => response!
    )
  })
