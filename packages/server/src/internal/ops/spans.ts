/**
 * The span of a request: its method, the pattern of its route, and the status of its answer. Effect's own server spans have
 * the URL, and a URL has the key of a file, which is a secret, or the words of a search.
 */
import * as Effect from "effect/Effect"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as TraceContext from "effect/http/HttpTraceContext"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { knownMethod } from "./metrics.ts"

/** No spans of Effect's own for what this server answers. */
export const layerNoUrls: Layer.Layer<never> = Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true)

/** Traces the answering of a request, where anybody traces; the router adds `http.route`. */
export const traced = <E, R>(
  request: HttpServerRequest.HttpServerRequest,
  answer: Effect.Effect<HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse, E, R> =>
  Effect.withFiber((fiber) => {
    if (fiber.cache.tracer === undefined) return answer
    const method = knownMethod(request.method)
    let response: HttpServerResponse | undefined
    // A span holds the value that it ends with, and an answer has links.
    const ended = Effect.flatMap(answer, (given) => {
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
