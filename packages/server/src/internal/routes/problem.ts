/** Converts failures of the engines to error responses, for the calls and the pages. */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { BlobsError } from "../../Blobs.ts"
import type { CatalogError } from "../../Catalog.ts"
import { Health } from "../../Health.ts"
import * as Refusal from "../http/refusal.ts"
import * as Browser from "../web/browser.ts"

/** Why a request fails. */
export type Problem = Refusal.Refusal | CatalogError | BlobsError

export const make = Effect.gen(function*() {
  const health = yield* Health
  const respond = yield* Browser.make

  /** A full disk is the host's problem, but no fault; everything else reveals no internals. */
  const refusalOf = Effect.fnUntraced(function*(problem: Problem) {
    if (problem._tag === "Refusal") return problem
    if (problem.reason === "ended") return Refusal.superseded
    // Nothing is broken, so this is no fault of the host's health.
    if (problem.reason === "slow") {
      return yield* Effect.as(Effect.logWarning("a list took longer than it may"), Refusal.unavailable)
    }
    yield* Effect.logError(problem.message, problem.cause)
    const fault = yield* health.note(problem)
    if (problem.reason === "unknown") return Refusal.unknown
    if (fault === "disk-full") return Refusal.noRoom
    return problem.reason === "unavailable" ? Refusal.unavailable : Refusal.failed
  })

  /** The error response of a failed request. */
  const refuse = <R>(
    effect: Effect.Effect<HttpServerResponse.HttpServerResponse, Problem, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R | HttpServerRequest.HttpServerRequest> =>
    Effect.catch(
      effect,
      (problem) => Effect.zipWith(HttpServerRequest.HttpServerRequest, refusalOf(problem), respond)
    )

  return { refuse }
})
