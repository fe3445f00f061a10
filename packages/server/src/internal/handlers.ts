/** The seven calls, over the catalog and the blobs. An empty owner stands for everybody without a key. */
import * as Effect from "effect/Effect"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Health } from "../Health.ts"
import type { Problem } from "./handlers/answers.ts"
import * as Download from "./handlers/download.ts"
import * as Files from "./handlers/files.ts"
import * as Upload from "./handlers/upload.ts"
import * as Refusal from "./refusal.ts"
import { Settings } from "./settings.ts"

export type { Problem } from "./handlers/answers.ts"

/** What answers each call. */
export const make = Effect.gen(function*() {
  const health = yield* Health
  const { publicUrl } = yield* Settings

  /** A full disk is the host's, but not a fault of it; everything else tells nothing of the inside. */
  const refusalOf = Effect.fnUntraced(function*(problem: Problem) {
    if (problem._tag === "Refusal") return problem
    yield* Effect.logError(problem.message, problem.cause)
    const fault = yield* health.note(problem)
    if (problem.reason === "unknown") return Refusal.unknown
    if (fault === "disk-full") return Refusal.noRoom
    return problem.reason === "unavailable" ? Refusal.unavailable : Refusal.failed
  })

  const refuse = <R>(
    effect: Effect.Effect<HttpServerResponse.HttpServerResponse, Problem, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R> =>
    Effect.catch(
      effect,
      (problem) => Effect.map(refusalOf(problem), (refusal) => Refusal.toResponse(refusal, publicUrl))
    )

  return { refuse, download: yield* Download.make, ...yield* Files.make, ...yield* Upload.make }
})
