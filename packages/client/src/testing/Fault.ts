/**
 * Faults of a host, or of the network before it, for your tests, with `FileIoTest` (in memory) or `NodeFaultHost` of
 * `@effect-fileio/platform-node` (real sockets that reset, truncate and stall).
 *
 * @since 0.1.0
 */
import type { DurationInput } from "@effect-fileio/core/DurationInput"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Data from "effect/Data"

/**
 * A fault of a host, or of the network before it, for one request.
 *
 * `handled` says whether the host did what was asked before it went silent: then an upload *is* stored, a download *is*
 * counted, and only the response is lost.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault = Data.TaggedEnum<{
  /** No connection is made. */
  readonly Refuse: {}
  /** The connection is reset after this many bytes of the request's body. */
  readonly ResetRequest: { readonly atByte: number }
  /** The request is read to its end, and the connection is reset instead of a response. */
  readonly ResetBeforeHeaders: { readonly handled: boolean }
  /** The connection is reset after this many bytes of the response's body. */
  readonly ResetBody: { readonly atByte: number }
  /** The response announces its whole length and ends, cleanly, after this many bytes. */
  readonly Truncate: { readonly atByte: number }
  /** The response has no length, comes in chunks, and the connection closes before the last one. */
  readonly CutChunked: { readonly atByte: number }
  /** The response has more bytes than it announces. */
  readonly TooManyBytes: { readonly extra: number }
  /** The host stops reading the request after this many bytes of its body. */
  readonly StallRequest: { readonly atByte: number }
  /** The request is read to its end, and no response comes. */
  readonly StallBeforeHeaders: { readonly handled: boolean }
  /** The response stops after this many bytes of its body, and the connection stays open. */
  readonly StallBody: { readonly atByte: number }
  /** The response is correct and slow: `bytes` at a time, with a pause before each. */
  readonly Drip: { readonly bytes: number; readonly every: DurationInput }
  /** An HTML page instead of JSON, or instead of a file. */
  readonly Html: { readonly status: number }
  /** A redirect to an address, to the file's page, or in a loop. */
  readonly Redirect: { readonly to: string | "page" | "loop" }
  /** A 200 with this body as JSON; the request is handled. */
  readonly Body: { readonly body: string }
  /** The request is handled, and the response states a size that differs by this many bytes. */
  readonly WrongSize: { readonly by: number }
  /** An error in the API's envelope; nothing is handled. Make one with `status`. */
  readonly Status: {
    readonly status: number
    /** The status line; differs from `status` for errors that come with a 200. */
    readonly statusLine: number
    readonly code: string
    readonly headers: Readonly<Record<string, string>>
  }
  /**
   * A refusal after this many bytes of the request's body, while it is still being sent. Make one with `earlyStatus`.
   */
  readonly EarlyStatus: {
    readonly status: number
    readonly code: string
    readonly atByte: number
    /** Whether the host closes the connection right after the response, without reading on. */
    readonly close: boolean
  }
}>

/**
 * Constructors of the faults, such as `Fault.Truncate({ atByte: 500_000 })`, with `$is` and `$match`.
 *
 * @category faults
 * @since 0.1.0
 */
export const {
  $is,
  $match,
  Refuse,
  ResetRequest,
  ResetBeforeHeaders,
  ResetBody,
  Truncate,
  CutChunked,
  TooManyBytes,
  StallRequest,
  StallBeforeHeaders,
  StallBody,
  Drip,
  Html,
  Redirect,
  Body,
  WrongSize,
  Status,
  EarlyStatus
} = Data.taggedEnum<Fault>()

/**
 * The host handles the request, and the response is lost.
 *
 * @category faults
 * @since 0.1.0
 */
export const loseResponse: Fault = ResetBeforeHeaders({ handled: true })

/**
 * A 200 whose body is no JSON.
 *
 * @category faults
 * @since 0.1.0
 */
export const invalidJson: Fault = Body({ body: "{\"success\": tru" })

/**
 * A 200 whose JSON is of another shape.
 *
 * @category faults
 * @since 0.1.0
 */
export const wrongShape: Fault = Body({
  body: "{\"success\":true,\"status\":200,\"key\":7,\"nodes\":\"none\",\"planId\":[]}"
})

/**
 * A 200 without a body.
 *
 * @category faults
 * @since 0.1.0
 */
export const emptyBody: Fault = Body({ body: "" })

const CODES: Readonly<Record<number, string>> = {
  400: "BAD_REQUEST",
  401: "UNAUTHORIZED",
  403: "FORBIDDEN",
  404: "FILE_NOT_FOUND",
  413: "FILE_TOO_LARGE",
  423: "DOWNLOAD_IN_PROGRESS",
  429: "TOO_MANY_REQUESTS"
}

/**
 * An error in the API's envelope.
 *
 * @category faults
 * @since 0.1.0
 */
export const status = (
  code: number,
  options?: {
    /** Value of a `Retry-After` header: seconds or a date. */
    readonly retryAfter?: string | number | undefined
    readonly code?: string | undefined
  }
): Fault =>
  Status({
    status: code,
    statusLine: code,
    code: options?.code ?? CODES[code] ?? "SERVER_ERROR",
    headers: options?.retryAfter === undefined ? {} : { "retry-after": String(options.retryAfter) }
  })

/**
 * Too many requests (429), with or without a `Retry-After`.
 *
 * @category faults
 * @since 0.1.0
 */
export const tooManyRequests = (retryAfter?: string | number): Fault => status(429, { retryAfter })

/**
 * An error that comes with a 200 and `success: false`.
 *
 * @category faults
 * @since 0.1.0
 */
export const successFalse = (code: number): Fault =>
  Status({ status: code, statusLine: 200, code: CODES[code] ?? "SERVER_ERROR", headers: {} })

/**
 * A refusal while the request's body is still being sent.
 *
 * @category faults
 * @since 0.1.0
 */
export const earlyStatus = (
  code: number,
  options?: { readonly atByte?: number | undefined; readonly close?: boolean | undefined }
): Fault =>
  EarlyStatus({
    status: code,
    code: CODES[code] ?? "SERVER_ERROR",
    atByte: options?.atByte ?? 0,
    close: options?.close ?? false
  })

/**
 * The calls of the API.
 *
 * @category models
 * @since 0.1.0
 */
export type Operation = FileIoError.Operation

/**
 * Which requests get a fault.
 *
 * @category models
 * @since 0.1.0
 */
export interface Injection {
  /** Only requests of this call. @default all */
  readonly on?: Operation | undefined
  /** How many of them. @default 1 */
  readonly times?: number | undefined
  /** How many requests succeed first. @default 0 */
  readonly after?: number | undefined
}
