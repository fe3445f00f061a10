import { ErrorEnvelope } from "@effect-fileio/core/ErrorEnvelope"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"

/** A refusal, as the contract answers it. It tells nothing of the inside. */
export class Refusal extends Schema.TaggedError<Refusal>("@effect-fileio/server/Refusal")("Refusal", {
  status: Schema.Finite,
  code: Schema.String,
  text: Schema.String,
  key: Schema.optionalKey(Schema.String),
  limit: Schema.optionalKey(Schema.String),
  asked: Schema.optionalKey(Schema.Finite),
  allowed: Schema.optionalKey(Schema.Finite),
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
}) {
  override get message() {
    return this.text
  }
}

export const notFound = (key?: string) =>
  new Refusal({
    status: 404,
    code: "FILE_NOT_FOUND",
    text: "The file was never there, has expired, was deleted, or has been downloaded already",
    ...(key === undefined ? {} : { key })
  })

export const noRoute = new Refusal({ status: 404, code: "NOT_FOUND", text: "Not found" })

export const methodNotAllowed = (allow: string) =>
  new Refusal({
    status: 405,
    code: "METHOD_NOT_ALLOWED",
    text: `Method not allowed; allowed: ${allow}`,
    headers: { allow }
  })

export const invalid = (text: string) => new Refusal({ status: 400, code: "INVALID_REQUEST", text })

export const unauthorized = (text: string) =>
  new Refusal({
    status: 401,
    code: "UNAUTHORIZED",
    text,
    headers: { "www-authenticate": "Bearer realm=\"file.io\", Basic realm=\"file.io\", charset=\"UTF-8\"" }
  })

export const unsupported = new Refusal({
  status: 415,
  code: "UNSUPPORTED_MEDIA_TYPE",
  text: "Send multipart/form-data with a file, or application/x-www-form-urlencoded with text"
})

export const planLimit = (
  limit: string,
  text: string,
  numbers: { readonly asked?: number; readonly allowed?: number }
) => new Refusal({ status: 402, code: "PLAN_LIMIT", text, limit, ...numbers })

export const tooLarge = (limit: "maxUploadBytes" | "maxStorageBytes", asked: number, allowed: number) =>
  new Refusal({
    status: 413,
    code: limit === "maxUploadBytes" ? "PAYLOAD_TOO_LARGE" : "STORAGE_QUOTA_EXCEEDED",
    text: limit === "maxUploadBytes"
      ? `The file is larger than the plan allows (${allowed} bytes)`
      : `The plan's storage (${allowed} bytes) does not hold the file as well`,
    limit,
    asked,
    allowed
  })

const seconds = (millis: number): string => String(Math.max(1, Math.ceil(millis / 1000)))

export const inProgress = (key: string, retryAfter: number) =>
  new Refusal({
    status: 423,
    code: "DOWNLOAD_IN_PROGRESS",
    text: "The file is being downloaded; it is free again only if that download breaks",
    key,
    headers: { "retry-after": seconds(retryAfter) }
  })

export const tooMany = (retryAfter: number) =>
  new Refusal({
    status: 429,
    code: "TOO_MANY_REQUESTS",
    text: "Too many requests",
    headers: { "retry-after": seconds(retryAfter) }
  })

export const expectation = new Refusal({
  status: 417,
  code: "EXPECTATION_FAILED",
  text: "Nothing but 100-continue can be expected"
})

export const stopping = new Refusal({
  status: 503,
  code: "SERVER_STOPPING",
  text: "The host is stopping; try again",
  headers: { "retry-after": "5", connection: "close" }
})

export const tooManyConnections = new Refusal({
  status: 503,
  code: "TOO_MANY_CONNECTIONS",
  text: "The host has no connection left; try again",
  headers: { "retry-after": "5" }
})

export const tooManyOfAddress = new Refusal({
  status: 429,
  code: "TOO_MANY_CONNECTIONS",
  text: "Your address has as many connections to this host as one may have; close some, or use them again",
  headers: { "retry-after": "5" }
})

export const tooManyFields = new Refusal({
  status: 431,
  code: "HEADERS_TOO_LARGE",
  text: "The request has too many header fields"
})

export const noTunnel = new Refusal({
  status: 405,
  code: "METHOD_NOT_ALLOWED",
  text: "This host is no proxy: CONNECT is not allowed",
  headers: { allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" }
})

export const tooSlow = new Refusal({
  status: 408,
  code: "REQUEST_TIMEOUT",
  text: "The request comes too slowly"
})

export const noRoom = new Refusal({ status: 507, code: "INSUFFICIENT_STORAGE", text: "The host has no room" })

export const failed = new Refusal({ status: 500, code: "INTERNAL_ERROR", text: "The host failed" })

/** A store of this server does not answer, or cannot now. */
export const unavailable = new Refusal({
  status: 503,
  code: "UNAVAILABLE",
  text: "The host cannot do this now, and has changed nothing; try again",
  headers: { "retry-after": "5" }
})

/** No 503, which invites to repeat it: a second upload would be a second file. */
export const unknown = new Refusal({
  status: 500,
  code: "OUTCOME_UNKNOWN",
  text: "The host failed, and does not know whether it has made the change; look before you ask for it again"
})

const encode = Schema.encodeSync(ErrorEnvelope)

export const toEnvelope = ({ allowed, asked, code, headers, key, limit, status, text }: Refusal): string => {
  const retryAfter = headers?.["retry-after"]
  const envelope = encode(
    new ErrorEnvelope({
      success: false,
      status,
      code,
      message: text,
      help: null,
      key: key ?? null,
      ...(limit === undefined ? {} : { limit }),
      ...(asked === undefined ? {} : { asked }),
      ...(allowed === undefined ? {} : { allowed })
    })
  )
  // For whoever sees no headers.
  return JSON.stringify(retryAfter === undefined ? envelope : { ...envelope, retryAfter: Number(retryAfter) })
}

export const toResponse = (refusal: Refusal): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(toEnvelope(refusal), {
    status: refusal.status,
    contentType: "application/json; charset=utf-8",
    headers: { "cache-control": "no-store", "x-content-type-options": "nosniff", ...refusal.headers }
  })

/** What Node could not parse, as the status it has for that, or `undefined` where nobody would read an answer. */
export const ofProtocol = (code: string | undefined): Refusal | undefined => {
  switch (code) {
    case "ECONNRESET":
    case "EPIPE":
      return undefined
    case "HPE_HEADER_OVERFLOW":
      return new Refusal({ status: 431, code: "HEADERS_TOO_LARGE", text: "The headers are too large" })
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new Refusal({ status: 408, code: "REQUEST_TIMEOUT", text: "The request did not come in time" })
    default:
      return invalid("This is not HTTP")
  }
}
