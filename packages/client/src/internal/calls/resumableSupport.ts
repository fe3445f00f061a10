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
const OPTIONS_TIMEOUT = Duration.seconds(5)

/** What is known of one host. */
export class Support {
  #isSupported: boolean | undefined
  readonly #mayAsk: boolean

  /** `mayAsk`: whether to ask the host with an `OPTIONS` request. */
  constructor(mayAsk: boolean) {
    this.#mayAsk = mayAsk
  }

  /** Learns from a response to another call. */
  learn({ headers, status }: ContentEncoding.Head): void {
    if (Response.isSuccess(status)) this.#isSupported = headers["upload-limit"] !== undefined
  }

  /** Whether the host supports resumable uploads; asks it only if no response has said so. */
  known(client: Client, operation: Refusal.Call["operation"]): Effect.Effect<boolean> {
    if (this.#isSupported !== undefined) return Effect.succeed(this.#isSupported)
    if (!this.#mayAsk) return Effect.succeed(false)
    // The wait for a permit does not count.
    const patient = { ...client, timeouts: { firstByte: OPTIONS_TIMEOUT, idle: OPTIONS_TIMEOUT } }
    return Retry.once(client.limiter, operation, (withPermit) =>
      Effect.scoped(Effect.map(
        send(patient, withPermit, "OPTIONS", `${client.endpoint.baseUrl}/`, {}),
        ({ headers, status }) =>
          this.#isSupported = Response.isSuccess(status) && (headers["accept-patch"] ?? "").includes(PARTIAL)
      ))).pipe(Effect.catch((failure) =>
        Effect.sync(() => {
          // A host that was reached and does not respond to this is not asked again.
          if (failure.stage === "broken") this.#isSupported = false
          return false
        })
      ))
  }
}
