/** Converts an error response to a reason. */
import type { ErrorEnvelope } from "@effect-fileio/core/ErrorEnvelope"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileKey } from "@effect-fileio/core/FileKey"
import { Failure, type Stage, unexpected } from "../shared/failure.ts"
import { present } from "../shared/present.ts"
import type { ResponseHead } from "./contentEncoding.ts"
import * as Envelope from "./envelope.ts"
import type { Quote } from "./quote.ts"
import * as RetryAfter from "./retryAfter.ts"

/** The part of a call that reading its response needs. */
export interface Call {
  readonly operation: FileIoError.Operation
  readonly key: FileKey | undefined
  /** The requested host. */
  readonly host: string
  /** The host of the caller's link, if there was one. */
  readonly linkHost: string | undefined
  /** Whether the request has an API key. */
  readonly hasKey: boolean
  /** Quotes a host's text for an error. */
  readonly quote: Quote
}

export const UNUSED_STATUS = "a status that the API does not use"

/** The media type of a response, without parameters; types are case-insensitive (RFC 9110, 8.3.1). */
export const mediaType = (response: ResponseHead): string | undefined =>
  response.headers["content-type"]?.split(/[;,]/, 1)[0]!.trim().toLowerCase() || undefined

/** Whether a response is a page: by its type, or, without one, by the start of its text. */
export const isHtml = (type: string | undefined, text: string | undefined): boolean =>
  type !== undefined
    ? type === "text/html" || type === "application/xhtml+xml"
    : text !== undefined && /^\s*(?:<!--[\s\S]{0,1000}?-->\s*)?<(?:!doctype\s+html|html|head|body)[\s>]/i.test(text)

export const notAnApi = (call: Call, response: ResponseHead, location?: string): FileIoError.NotAnApi => {
  const contentType = response.headers["content-type"]
  return new FileIoError.NotAnApi({
    host: call.host,
    status: response.status,
    ...present("contentType", contentType === undefined ? undefined : call.quote(contentType, 100)),
    ...present("location", location === undefined ? undefined : call.quote(location))
  })
}

const words = (call: Call, text: string | null | undefined, maxLength?: number): string | undefined =>
  text === null || text === undefined || text.trim() === "" ? undefined : call.quote(text, maxLength)

/** The longest name of a limit or a code, such as `maxUploadBytes` or `FILE_NOT_FOUND`. */
const NAME_LENGTH = 64

/**
 * The reason of an error response: first by the status, which proxies preserve, then by the envelope's code if the status is
 * ambiguous.
 */
export const of = (
  call: Call,
  response: ResponseHead,
  status: number,
  text: string | undefined,
  envelope: ErrorEnvelope | undefined,
  nowMillis: number
): Failure => {
  const retryAfter = present("retryAfter", RetryAfter.parse(response.headers, nowMillis))
  const code = present("code", words(call, envelope?.code, NAME_LENGTH))
  const limit = words(call, envelope?.limit, NAME_LENGTH)
  const message = words(call, envelope?.message)
  const refused = (reason: FileIoError.Reason, stage: Stage = "refused") => new Failure(stage, reason)
  if (status === 429 || envelope?.code === "TOO_MANY_REQUESTS") {
    return refused(new FileIoError.RateLimited(retryAfter), "limited")
  }
  if (status === 408) return refused(new FileIoError.ServerFailure({ status, ...code, ...retryAfter }))
  if (status >= 500) return refused(new FileIoError.ServerFailure({ status, ...code, ...retryAfter }), "failed")
  if (status === 401 || status === 403) {
    return refused(new FileIoError.Unauthorized({ status, hadKey: call.hasKey, ...present("detail", message) }))
  }
  if (status === 402 || status === 413) {
    return refused(
      new FileIoError.PlanLimit({
        limit: limit ?? (status === 413 ? "maxUploadBytes" : "plan"),
        ...present("asked", envelope?.asked),
        ...present("allowed", envelope?.allowed),
        ...present("detail", message)
      })
    )
  }
  if (envelope === undefined && isHtml(mediaType(response), text)) return refused(notAnApi(call, response))
  if (call.operation === "status" && [404, 405, 410].includes(status) && envelope?.code !== "FILE_NOT_FOUND") {
    return refused(new FileIoError.UnexpectedResponse({ status, problem: "it does not report the status of files" }))
  }
  if (call.key !== undefined && (status === 404 || status === 410 || envelope?.code === "FILE_NOT_FOUND")) {
    const other = call.linkHost !== undefined && call.linkHost !== call.host ? { askedHost: call.host } : {}
    return refused(new FileIoError.FileNotFound({ key: call.key, ...other }))
  }
  if (status === 423 && call.key !== undefined) {
    return refused(new FileIoError.DownloadInProgress({ key: call.key, ...retryAfter }))
  }
  if (status === 416) return unexpected(status, "it does not have the bytes that were asked for")
  if (envelope === undefined && (status === 404 || status === 405 || status === 410)) {
    return refused(notAnApi(call, response))
  }
  if (status >= 400) {
    return refused(
      new FileIoError.InvalidRequest({
        field: limit ?? "request",
        problem: message ?? `the host refused it (${status})`
      })
    )
  }
  return unexpected(response.status, message ?? UNUSED_STATUS, code)
}

/** An error with a status of success: the status in the body gives the reason. */
export const ofSuccess = (call: Call, response: ResponseHead, envelope: ErrorEnvelope, nowMillis: number): Failure => {
  const status = envelope.status ?? (typeof envelope.error === "number" ? envelope.error : 0)
  if (status < 400 && envelope.code === undefined && envelope.message === undefined) {
    return unexpected(response.status, "it says that the call failed, and not why")
  }
  return of(call, response, status >= 400 ? status : 0, undefined, envelope, nowMillis)
}

/** The statuses of a redirect; 0 is what browsers show of one. */
export const isRedirect = (status: number): boolean => status === 0 || (status >= 300 && status < 400 && status !== 304)

/** The longest address in an error. */
const PAGE_LENGTH = 2048

export const redirected = (call: Call, response: ResponseHead): Failure => {
  const given = response.headers["location"]
  let location: URL | undefined
  try {
    location = given === undefined ? undefined : new URL(given, response.url)
  } catch {
    location = undefined
  }
  const isPage = call.operation === "download" && location !== undefined && call.key !== undefined &&
    /^https?:$/.test(location.protocol) && location.pathname.split("/").slice(-2).join("/") === `download/${call.key}`
  return new Failure(
    "refused",
    isPage
      ? new FileIoError.DirectDownloadUnavailable({ page: call.quote(location!.href, PAGE_LENGTH) })
      : notAnApi(call, response, location === undefined ? given ?? "another page" : location.origin + location.pathname)
  )
}

/** The reason of an error response, from its text. */
export const read = (call: Call, response: ResponseHead, text: string | undefined, nowMillis: number): Failure =>
  of(call, response, response.status, text, text === undefined ? undefined : Envelope.parse(text), nowMillis)
