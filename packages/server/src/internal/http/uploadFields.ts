/**
 * Parses and writes the header fields of "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload). Clients of a draft
 * name its version; 6 and 8 are in use, and the RFC will have none.
 */
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Result from "effect/Result"
import * as Forwarded from "./forwarded.ts"
import * as Refusal from "./refusal.ts"

/** Versions of the draft that have these fields with these meanings. */
const VERSIONS = new Set(["6", "7", "8"])
const VERSION = "upload-draft-interop-version"
/** The type of a PATCH that appends. */
export const PARTIAL = "application/partial-upload"

type Headers = Readonly<Record<string, string | undefined>>

/** The upload fields of a request. An invalid field counts as absent. */
export interface UploadFields {
  /** Whether the body completes the upload. */
  readonly isLast: boolean | undefined
  readonly offset: number | undefined
  /** Total size in bytes, from `Upload-Length`. */
  readonly length: number | undefined
  /** Size of this body in bytes, if declared. */
  readonly contentLength: number | undefined
  /**
   * Whether the upload ends with its last byte, whatever `Upload-Complete` says: clients of version 6, such as `tus-js-client`,
   * then treat it as complete, and would never ask for the file.
   */
  readonly endsByLength: boolean
}

/** The value of an item of structured fields (RFC 9651), without its parameters. */
const item = (value: string | undefined): string => (value ?? "").trim().split(";")[0]!.trim()

const integer = (value: string | undefined): number | undefined => {
  const text = item(value)
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

const boolean = (value: string | undefined): boolean | undefined => {
  const text = item(value)
  return text === "?1" ? true : text === "?0" ? false : undefined
}

export const read = (headers: Headers): UploadFields => ({
  isLast: boolean(headers["upload-complete"]),
  offset: integer(headers["upload-offset"]),
  length: integer(headers["upload-length"]),
  endsByLength: item(headers[VERSION]) === "6",
  contentLength: headers["transfer-encoding"] === undefined ? integer(headers["content-length"] ?? "0") : undefined
})

/**
 * Whether a request creates a resumable upload. A part in an unknown form is refused, since it would be stored as the whole.
 */
export const begins = (headers: Headers): Result.Result<boolean, Refusal.Refusal> => {
  const isLast = boolean(headers["upload-complete"])
  const version = headers[VERSION]
  const isKnown = version === undefined || VERSIONS.has(item(version))
  const isPart = isLast === false || boolean(headers["upload-incomplete"]) === true
  return isPart && (!isKnown || isLast === undefined)
    ? Result.fail(Refusal.unknownVersion)
    : Result.succeed(isKnown && isLast !== undefined)
}

/**
 * The total size, as far as known: earlier requests, `Upload-Length`, and the end of the last body must agree.
 */
export const lengthOf = (
  fields: UploadFields,
  offset: number,
  known: number | null
): Result.Result<number | null, Refusal.Refusal> => {
  const { contentLength, isLast, length } = fields
  const ends = isLast === true && contentLength !== undefined ? offset + contentLength : undefined
  const said = [known ?? undefined, length, ends].filter((value) => value !== undefined)
  const isOne = said.every((value) => value === said[0])
  const isBeyond = contentLength !== undefined && said.some((value) => offset + contentLength > value)
  return isOne && !isBeyond ? Result.succeed(said[0] ?? null) : Result.fail(Refusal.inconsistentLength)
}

/** The upload fields of a response. */
interface UploadState {
  readonly isComplete: boolean
  readonly offset?: number
  readonly length?: number | null
}

export const stateHeaders = ({ isComplete, length, offset }: UploadState): Record<string, string> => ({
  "upload-complete": isComplete ? "?1" : "?0",
  ...(offset === undefined ? {} : { "upload-offset": String(offset) }),
  ...(length === undefined || length === null ? {} : { "upload-length": String(length) })
})

/** `Upload-Limit`: the largest upload in bytes, and its lifetime in milliseconds. */
export const limit = (maxSize: number, maxAge: number): string =>
  `max-size=${maxSize}, max-age=${Math.max(0, Math.floor(maxAge / 1000))}`

const STATUS = 104
/** What proxies add. nginx before 1.29 takes an interim response that it does not know for the last one. */
const PROXIED = ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"]

/**
 * Sends the upload's address before the body has arrived, so that the client can continue if the connection breaks. HTTP/1.0
 * has no interim responses, and Node before 24 cannot write them.
 */
export const inform = (request: HttpServerRequest.HttpServerRequest, headers: Record<string, string>): void => {
  const response = Forwarded.responseOf(request)
  if (response.req.httpVersionMinor === 0 || response.headersSent || response.destroyed) return
  if (!("writeInformation" in response) || PROXIED.some((name) => request.headers[name] !== undefined)) return
  const version = request.headers[VERSION]
  response.writeInformation(STATUS, { ...headers, ...(version === undefined ? {} : { [VERSION]: item(version) }) })
}
