/**
 * Whether a host supports resumable uploads. Every JSON response of one that does has `Upload-Limit`; a host that has not sent a
 * response yet is asked once, before the first large upload.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as ContentEncoding from "../request/contentEncoding.ts"
import type * as Refusal from "../request/refusal.ts"
import * as Response from "../request/response.ts"
import * as Retry from "../request/retry.ts"
import { PARTIAL, send } from "./resumableRequests.ts"
import type { Client } from "./shared.ts"

/** How long a host may take to say whether it supports resumable uploads: an upload waits for it. */
const OPTIONS_TIMEOUT = /* @__PURE__ */ Duration.seconds(5)

/** Learns from a response to another call. */
export const learn = ({ support }: Client, { headers, status }: ContentEncoding.ResponseHead): void => {
  if (Response.isSuccess(status)) support.isKnown = headers["upload-limit"] !== undefined
}

/** Whether the host supports resumable uploads; asks it only if no response has said so. */
export const isSupported = (client: Client, operation: Refusal.Call["operation"]): Effect.Effect<boolean> => {
  const { endpoint, limiter, support } = client
  if (support.isKnown !== undefined) return Effect.succeed(support.isKnown)
  if (!support.mayAsk) return Effect.succeed(false)
  // The wait for a permit does not count.
  const patient = { ...client, timeouts: { firstByte: OPTIONS_TIMEOUT, idle: OPTIONS_TIMEOUT } }
  return Retry.once(limiter, operation, (withPermit) =>
    Effect.scoped(Effect.map(
      send(patient, withPermit, "OPTIONS", `${endpoint.baseUrl}/`, {}),
      ({ headers, status }) =>
        support.isKnown = Response.isSuccess(status) && (headers["accept-patch"] ?? "").includes(PARTIAL)
    ))).pipe(Effect.catch((failure) =>
      Effect.sync(() => {
        // A host that was reached and does not respond to this is not asked again.
        if (failure.stage === "broken") support.isKnown = false
        return false
      })
    ))
}
