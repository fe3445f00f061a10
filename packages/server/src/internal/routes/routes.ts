/** Everything around the calls: the page for browsers, and the envelope for requests that are no call. */
import * as FileIoApi from "@effect-fileio/core/FileIoApi"
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
import { isKey } from "../shared/key.ts"
import * as Browser from "../web/browser.ts"
import * as Developers from "../web/developers.ts"
import * as Calls from "./calls.ts"
import * as Pages from "./pages.ts"

/** The methods of a path, from the contract's declaration. */
const methods: ReadonlyArray<{
  readonly route: string
  readonly matches: (path: string) => boolean
  readonly allowed: ReadonlySet<string>
}> = (() => {
  const byPath = new Map<string, Array<string>>()
  for (const endpoint of Object.values(FileIoApi.FilesGroup.endpoints)) {
    const known = byPath.get(endpoint.path) ?? []
    byPath.set(endpoint.path, [...known, endpoint.method, ...(endpoint.method === "GET" ? ["HEAD"] : [])])
  }
  // `curl -T - https://host/` sends its input with a PUT without a name.
  byPath.get("/")!.push("PUT")
  for (const page of ["/download/:key", "/uploaded/:key"]) byPath.set(page, ["GET", "HEAD"])
  return [...byPath].map(([pattern, allowed]) => {
    const [before, after] = pattern.split(":key")
    const matches = after === undefined
      ? (path: string) => path === pattern
      : (path: string) => path.startsWith(before!) && isKey(path.slice(before!.length))
    return { route: pattern, matches, allowed: new Set(allowed) }
  })
})()

/** The allowed methods of a path, if the request's is not one of them. */
const wrongMethod = (request: HttpServerRequest.HttpServerRequest): string | undefined => {
  const path = request.url.split("?")[0]!
  const allowed = methods.find(({ matches }) => matches(path))?.allowed
  return allowed === undefined || allowed.has(request.method) ? undefined : [...allowed].join(", ")
}

/** The pattern of a request's path, for a log that must not contain the path. */
const routeOf = ({ url }: HttpServerRequest.HttpServerRequest): string => {
  const path = url.split("?")[0]!
  return methods.find(({ matches }) => matches(path))?.route ?? "other"
}

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
        const leave = <E, R>(answer: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
          Effect.flatMap(Effect.timed(answer), ([took, response]) => {
            const millis = Duration.toMillis(took)
            return Effect.andThen(
              journal.access(request, routeOf(request), response.status, millis),
              Metrics.answered(request, response, millis)
            )
          })
        const stopped = cors(request)
        if (stopped !== undefined) return leave(Effect.succeed(stopped))
        const allow = wrongMethod(request)
        const answered = allow !== undefined
          ? Effect.succeed(respond(request, Refusal.methodNotAllowed(request.method, allow)))
          : Effect.catchCauseIf(
            handler,
            (cause) => !Cause.hasInterruptsOnly(cause),
            (cause) => Effect.map(causeRefusal(request.method, cause), (refusal) => respond(request, refusal))
          )
        return leave(Spans.traced(request, answered))
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
