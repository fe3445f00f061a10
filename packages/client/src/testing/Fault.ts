/**
 * What a host, or the network before it, can do wrong: for your tests, with `FileIoTest` (in memory) or `NodeFaultHost` of
 * `@effect-fileio/platform-node` (real sockets that reset, truncate and stall).
 *
 * @since 0.1.0
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Duration from "effect/Duration"

/**
 * What a host, or the network before it, can do wrong to one request.
 *
 * `handled` says whether the host did what was asked before it went silent: then an upload *is* stored, a download *is*
 * taken, and only the answer is lost.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault =
  /** No connection is made. */
  | { readonly _tag: "Refuse" }
  /** The connection is reset when so many bytes of the request's body have come. */
  | { readonly _tag: "ResetRequest"; readonly atByte: number }
  /** The request is read to its end, and the connection is reset instead of an answer. */
  | { readonly _tag: "ResetBeforeHeaders"; readonly handled: boolean }
  /** The connection is reset when so many bytes of the answer's body have been sent. */
  | { readonly _tag: "ResetBody"; readonly atByte: number }
  /** The answer announces its whole length and ends, properly, after so many bytes. */
  | { readonly _tag: "Truncate"; readonly atByte: number }
  /** The answer has no length, comes in chunks, and the connection closes before the last one. */
  | { readonly _tag: "CutChunked"; readonly atByte: number }
  /** The answer has more bytes than it announces. */
  | { readonly _tag: "TooManyBytes"; readonly extra: number }
  /** The host stops reading the request after so many bytes of its body. */
  | { readonly _tag: "StallRequest"; readonly atByte: number }
  /** The request is read to its end, and no answer comes. */
  | { readonly _tag: "StallBeforeHeaders"; readonly handled: boolean }
  /** The answer stands still after so many bytes of its body. */
  | { readonly _tag: "StallBody"; readonly atByte: number }
  /** The answer is right and comes slowly. */
  | { readonly _tag: "Drip"; readonly bytes: number; readonly every: Duration.Duration }
  /** An HTML page instead of JSON, or instead of a file. */
  | { readonly _tag: "Html"; readonly status: number }
  /** A redirect to an address, to the file's page, or to the same address for ever. */
  | { readonly _tag: "Redirect"; readonly to: string | "page" | "loop" }
  /** A 200 with this body as JSON; the request is handled. */
  | { readonly _tag: "Body"; readonly body: string }
  /** The request is handled, and the answer gives the file another size than was sent. */
  | { readonly _tag: "WrongSize"; readonly by: number }
  /** A refusal or failure in the API's envelope; nothing is handled. */
  | {
    readonly _tag: "Status"
    readonly status: number
    /** The status line; differs from `status` for errors that are told with a 200. */
    readonly statusLine: number
    readonly code: string
    readonly headers: Readonly<Record<string, string>>
  }
  /** A refusal that comes while the request's body is still being sent, after so many bytes of it. */
  | {
    readonly _tag: "EarlyStatus"
    readonly status: number
    readonly code: string
    readonly atByte: number
    /** Whether the host closes the connection right after the answer, without reading on. */
    readonly close: boolean
  }

/**
 * No connection is made.
 *
 * @category faults
 * @since 0.1.0
 */
export const refuse: Fault = { _tag: "Refuse" }

/**
 * The connection is reset while the request's body is sent.
 *
 * @category faults
 * @since 0.1.0
 */
export const resetRequest = (atByte: number): Fault => ({ _tag: "ResetRequest", atByte })

/**
 * The connection is reset instead of an answer.
 *
 * @category faults
 * @since 0.1.0
 */
export const resetBeforeHeaders = (options?: { readonly handled?: boolean }): Fault => ({
  _tag: "ResetBeforeHeaders",
  handled: options?.handled ?? false
})

/**
 * The host does what it is asked, and the answer is lost.
 *
 * @category faults
 * @since 0.1.0
 */
export const loseAnswer: Fault = resetBeforeHeaders({ handled: true })

/**
 * The connection is reset at a byte of the answer's body.
 *
 * @category faults
 * @since 0.1.0
 */
export const resetBody = (atByte: number): Fault => ({ _tag: "ResetBody", atByte })

/**
 * The answer ends before its `Content-Length`.
 *
 * @category faults
 * @since 0.1.0
 */
export const truncate = (atByte: number): Fault => ({ _tag: "Truncate", atByte })

/**
 * An answer in chunks is cut.
 *
 * @category faults
 * @since 0.1.0
 */
export const cutChunked = (atByte: number): Fault => ({ _tag: "CutChunked", atByte })

/**
 * The answer has more bytes than its `Content-Length`.
 *
 * @category faults
 * @since 0.1.0
 */
export const tooManyBytes = (extra = 1): Fault => ({ _tag: "TooManyBytes", extra })

/**
 * The host stops reading the request.
 *
 * @category faults
 * @since 0.1.0
 */
export const stallRequest = (atByte: number): Fault => ({ _tag: "StallRequest", atByte })

/**
 * No answer comes.
 *
 * @category faults
 * @since 0.1.0
 */
export const stallBeforeHeaders = (options?: { readonly handled?: boolean }): Fault => ({
  _tag: "StallBeforeHeaders",
  handled: options?.handled ?? false
})

/**
 * The answer stands still in its body.
 *
 * @category faults
 * @since 0.1.0
 */
export const stallBody = (atByte: number): Fault => ({ _tag: "StallBody", atByte })

/**
 * The answer comes a few bytes at a time.
 *
 * @category faults
 * @since 0.1.0
 */
export const drip = (bytes: number, every: Duration.Input): Fault => ({
  _tag: "Drip",
  bytes,
  every: Duration.fromInputUnsafe(every)
})

/**
 * An HTML page with a status.
 *
 * @category faults
 * @since 0.1.0
 */
export const html = (status = 200): Fault => ({ _tag: "Html", status })

/**
 * A redirect: to an address, to the file's `page`, or in a `loop`.
 *
 * @category faults
 * @since 0.1.0
 */
export const redirect = (to: string | "page" | "loop"): Fault => ({ _tag: "Redirect", to })

/**
 * A 200 with this body.
 *
 * @category faults
 * @since 0.1.0
 */
export const body = (content: string): Fault => ({ _tag: "Body", body: content })

/**
 * A 200 whose body is no JSON.
 *
 * @category faults
 * @since 0.1.0
 */
export const invalidJson: Fault = body("{\"success\": tru")

/**
 * A 200 whose JSON is of another shape.
 *
 * @category faults
 * @since 0.1.0
 */
export const wrongShape: Fault = body("{\"success\":true,\"status\":200,\"key\":7,\"nodes\":\"none\",\"planId\":[]}")

/**
 * A 200 without a body.
 *
 * @category faults
 * @since 0.1.0
 */
export const emptyBody: Fault = body("")

/**
 * The answer gives the file another size than was sent.
 *
 * @category faults
 * @since 0.1.0
 */
export const wrongSize = (by = -1): Fault => ({ _tag: "WrongSize", by })

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
 * A refusal or failure in the API's envelope.
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
): Fault => ({
  _tag: "Status",
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
 * An error that is told with a 200 and `success: false`.
 *
 * @category faults
 * @since 0.1.0
 */
export const successFalse = (code: number): Fault => ({
  _tag: "Status",
  status: code,
  statusLine: 200,
  code: CODES[code] ?? "SERVER_ERROR",
  headers: {}
})

/**
 * A refusal while the request's body is still being sent.
 *
 * @category faults
 * @since 0.1.0
 */
export const earlyStatus = (
  code: number,
  options?: { readonly atByte?: number | undefined; readonly close?: boolean | undefined }
): Fault => ({
  _tag: "EarlyStatus",
  status: code,
  code: CODES[code] ?? "SERVER_ERROR",
  atByte: options?.atByte ?? 0,
  close: options?.close ?? false
})

/**
 * The calls that the host tells apart.
 *
 * @category models
 * @since 0.1.0
 */
export type Operation = Exclude<FileIoError.Operation, "configure">

/**
 * Which requests a fault is for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Injection {
  /** Only requests of this call. @default all */
  readonly on?: Operation | undefined
  /** How many of them. @default 1 */
  readonly times?: number | undefined
  /** How many of them go well before. @default 0 */
  readonly after?: number | undefined
}
