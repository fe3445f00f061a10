/** What surrounds the calls: the page for browsers, and the envelope for everything that is no call. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Cors from "../http/cors.ts"
import * as Refusal from "../http/refusal.ts"
import * as Journal from "../ops/journal.ts"
import * as Metrics from "../ops/metrics.ts"
import * as Spans from "../ops/spans.ts"
import * as Methods from "../shared/methods.ts"
import * as Browser from "../web/browser.ts"
import * as Developers from "../web/developers.ts"
import * as Calls from "./calls.ts"
import * as Pages from "./pages.ts"

const causeRefusal = (method: string, cause: Cause.Cause<unknown>) => {
  for (const reason of cause.reasons) {
    const error = reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : undefined
    if (!HttpServerError.isHttpServerError(error)) continue
    if (error.reason._tag === "RouteNotFound") return Effect.succeed(Refusal.noRoute(method))
    // The error itself has the request, whose path is a secret.
    const { _tag, cause } = { cause: undefined, ...error.reason }
    return Effect.as(Effect.logError(`a request failed: ${_tag}`, cause), Refusal.failed)
  }
  return Effect.as(Effect.logError("a request failed", cause), Refusal.failed)
}

/** The outermost middleware: wraps every response of the router. */
const envelopes = HttpRouter.middleware(
  Effect.map(
    Effect.all([Browser.make, Cors.make, Journal.Journal]),
    ([respond, cors, journal]) => (handler) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        /** Counts and logs a response. */
        const leave = <E, R>(handling: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
          Effect.flatMap(Effect.timed(handling), ([took, response]) => {
            const millis = Duration.toMillis(took)
            return Effect.andThen(
              journal.access(request, response.status, millis),
              Metrics.responded(request, response, millis)
            )
          })
        const stopped = cors(request)
        if (stopped !== undefined) return leave(Effect.succeed(stopped))
        const allow = Methods.wrong(request)
        const handled = allow !== undefined
          ? Effect.succeed(respond(request, Refusal.methodNotAllowed(request.method, allow)))
          : Effect.catchCauseIf(
            handler,
            (cause) => !Cause.hasInterruptsOnly(cause),
            (cause) => Effect.map(causeRefusal(request.method, cause), (refusal) => respond(request, refusal))
          )
        return leave(Spans.traced(request, handled))
      })
  ),
  { global: true }
)

/** All routes. */
export const layer = Layer.mergeAll(
  Calls.routes,
  Pages.routes,
  Developers.routes,
  envelopes
)
