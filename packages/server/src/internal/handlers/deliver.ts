/** Sends the bytes under a lease. */
import * as FileName from "@effect-fileio/core/FileName"
import * as MediaType from "@effect-fileio/core/MediaType"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import { Blobs, BlobsError } from "../../Blobs.ts"
import { Catalog, type Lease } from "../../Catalog.ts"
import { Health } from "../../Health.ts"
import * as Refusal from "../http/refusal.ts"
import * as Transfer from "../http/transfer.ts"
import { Journal } from "../ops/journal.ts"
import * as Metrics from "../ops/metrics.ts"
import { Leases } from "./leases.ts"

/**
 * Headers that keep uploaded content from running scripts on this server's origin, and proxies from storing or changing it: one
 * that compresses it, or makes images smaller, would hand over another file.
 */
export const guardHeaders = {
  "cache-control": "private, no-store, no-transform",
  "content-security-policy": "sandbox; default-src 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
}

export const fileHeaders = (file: { readonly name: string; readonly mimeType: string }, length: number) => ({
  // Files of earlier versions may have a type that is invalid in a header.
  "content-type": MediaType.sanitize(file.mimeType),
  "content-disposition": FileName.toContentDisposition(file.name),
  "content-length": String(length),
  ...guardHeaders
})

export const make = Effect.gen(function*() {
  const blobs = yield* Blobs
  const catalog = yield* Catalog
  const leases = yield* Leases
  const health = yield* Health
  const journal = yield* Journal
  const makeBuffer = yield* Transfer.makeBuffers

  /** No byte could be read: after the claim, the file may have been deleted or replaced, and its bytes removed. */
  const unread = Effect.fnUntraced(function*({ blob, key }: Lease, unreadable: BlobsError) {
    const file = unreadable.code === "ENOENT" ? yield* catalog.get(key) : undefined
    if (file === undefined || Option.isSome(file) && file.value.blob === blob) return yield* unreadable
    return yield* Option.isNone(file) ? Refusal.notFound(key) : Refusal.unavailable
  })

  /**
   * Sends a range under a lease; the download counts if the range reaches the end of the file and all of it was handed over.
   */
  return (
    request: HttpServerRequest.HttpServerRequest,
    lease: Lease,
    range: Transfer.Range,
    status: number
  ) => {
    const partial = status === 206
      ? { "content-range": `bytes ${range.start}-${range.end - 1}/${lease.size}` }
      : undefined
    const headers = {
      ...fileHeaders(lease, range.end - range.start),
      "accept-ranges": "bytes",
      // nginx would take all of the file at once, and the download would count before its receiver has it.
      "x-accel-buffering": "no",
      etag: `"${lease.id}"`,
      ...partial
    }
    let unreadable: BlobsError | undefined
    const onUnreadable = (cause: unknown) => {
      unreadable = cause instanceof BlobsError ? cause : BlobsError.from("read a blob", cause)
    }
    // The lease is settled before anything else, even before the blob is closed: a receiver that has the last byte may ask
    // again at once, and must get a 404.
    return leases.run(
      lease,
      range,
      (beforeLast) =>
        Effect.map(
          blobs.open(lease.blob),
          (reader) => Transfer.start(makeBuffer(), request, reader, range, status, headers, beforeLast, onUnreadable)
        )
    ).pipe(
      Effect.tap((outcome) => Metrics.downloaded(range.end - range.start, outcome === "whole")),
      Effect.tap((outcome) =>
        journal.audit(lease.key, {
          event: "download",
          bytes: range.end - range.start,
          outcome: outcome === "whole" ? "whole" : "broken"
        }, request)
      ),
      Effect.tap((outcome) =>
        unreadable === undefined
          ? Effect.void
          // The receiver has no byte yet, so the response can still be an error.
          : outcome === "unreadable"
          ? Effect.fail(unreadable)
          : Effect.andThen(Effect.logError(unreadable.message, unreadable.cause), health.note(unreadable))
      ),
      Effect.catchIf((error) => error instanceof BlobsError, (unreadable) => unread(lease, unreadable)),
      Effect.scoped,
      Effect.as(HttpServerResponse.empty({ status }))
    )
  }
})
