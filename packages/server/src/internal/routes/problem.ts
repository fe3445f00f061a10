/** What the engines' failures are to a caller: one answer for the calls and the pages. */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { BlobsError } from "../../Blobs.ts"
import type { CatalogError } from "../../Catalog.ts"
import { Health } from "../../Health.ts"
import * as Refusal from "../http/refusal.ts"
import * as Browser from "../web/browser.ts"

/** Why a request is not answered as it was asked. */
export type Problem = Refusal.Refusal | CatalogError | BlobsError

export const make = Effect.gen(function*() {
  const health = yield* Health
  const respond = yield* Browser.make

  /** A full disk is the host's, but not a fault of it; everything else tells nothing of the inside. */
  const refusalOf = Effect.fnUntraced(function*(problem: Problem) {
    if (problem._tag === "Refusal") return problem
    yield* Effect.logError(problem.message, problem.cause)
    const fault = yield* health.note(problem)
    if (problem.reason === "unknown") return Refusal.unknown
    if (fault === "disk-full") return Refusal.noRoom
    return problem.reason === "unavailable" ? Refusal.unavailable : Refusal.failed
  })

  /** Answers what a request fails with. */
  const refuse = <R>(
    effect: Effect.Effect<HttpServerResponse.HttpServerResponse, Problem, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R | HttpServerRequest.HttpServerRequest> =>
    Effect.catch(
      effect,
      (problem) => Effect.zipWith(HttpServerRequest.HttpServerRequest, refusalOf(problem), respond)
    )

  return { refuse }
})
