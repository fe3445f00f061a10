/** The error responses of the server: their codes, statuses, messages and headers. Handlers fail with one of them. */
import { ErrorEnvelope } from "@effect-fileio/core/ErrorEnvelope"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"

/** Every error code and its meaning; `/developers` shows them, and `help` links there. */
export const CODES = {
  INVALID_REQUEST: "The request is wrong; the message names the field and says what is allowed.",
  UNAUTHORIZED: "The API key is missing or unknown.",
  ORIGIN_NOT_ALLOWED: "A page of another site sent this; the operator can allow its origin with `--allowed-origins`.",
  BLOCKED: "The operator does not allow this content here, or does not serve this address.",
  PLAN_LIMIT: "The plan does not allow the setting; `limit`, `asked` and `allowed` say which.",
  FILE_NOT_FOUND: "The file was never there, has expired, was deleted, or has been downloaded already.",
  NOT_FOUND: "There is nothing at this path.",
  HOST_NOT_ALLOWED: "The server does not serve the host that the request names.",
  METHOD_NOT_ALLOWED: "The path does not take this method; `Allow` has those that it takes.",
  REQUEST_TIMEOUT: "The request did not come in time, or too slowly.",
  PAYLOAD_TOO_LARGE: "The file is larger than the plan allows.",
  STORAGE_QUOTA_EXCEEDED: "The plan's storage does not hold the file as well.",
  UPLOAD_NOT_FOUND: "There is no such resumable upload: it never existed, was cancelled, or has expired.",
  UPLOAD_OFFSET: "The bytes do not begin where the upload ends; `Upload-Offset` says where that is.",
  UPLOAD_LENGTH: "The length of the upload in the request is not that of earlier requests, or not what comes.",
  UPLOAD_COMPLETED: "The upload is complete; nothing can be appended to it.",
  UPLOAD_SUPERSEDED: "A newer request goes on with the upload, so this one was ended.",
  UNSUPPORTED_MEDIA_TYPE: "The body is neither a form nor a file; send the file with `curl -F file=@FILE`.",
  RANGE_NOT_SATISFIABLE: "The range is beyond the file.",
  EXPECTATION_FAILED: "Nothing but `100-continue` can be expected.",
  DOWNLOAD_IN_PROGRESS:
    "Somebody else is downloading the file; it is available again only if that download breaks. See `Retry-After`.",
  TOO_MANY_REQUESTS: "The account or the address makes more requests than it may; see `Retry-After`.",
  HEADERS_TOO_LARGE: "The headers are too large, or too many.",
  INTERNAL_ERROR: "The host failed.",
  OUTCOME_UNKNOWN: "The host failed, and does not know whether it has made the change; look before you repeat it.",
  UNAVAILABLE: "The host cannot do this now, and has changed nothing; see `Retry-After`.",
  SERVER_STOPPING: "The host is stopping; try again.",
  TOO_MANY_CONNECTIONS: "The host, or one address, has as many connections as it may have.",
  INSUFFICIENT_STORAGE: "The host has no room."
} as const

type Code = keyof typeof CODES

/** An error response of the contract. It reveals no internals. */
export class Refusal extends Schema.TaggedError<Refusal>("@effect-fileio/server/Refusal")("Refusal", {
  status: Schema.Finite,
  code: Schema.Literals(Object.keys(CODES) as ReadonlyArray<Code>),
  text: Schema.String,
  key: Schema.optionalKey(Schema.String),
  limit: Schema.optionalKey(Schema.String),
  asked: Schema.optionalKey(Schema.Finite),
  allowed: Schema.optionalKey(Schema.Finite),
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  /** Its type and members by RFC 9457, where a standard has them. */
  problem: Schema.optionalKey(
    Schema.Struct({ type: Schema.String, title: Schema.String, members: Schema.Record(Schema.String, Schema.Finite) })
  ),
  /** Whether the request may have been meant as an upload; the message then has the line that uploads. */
  isUpload: Schema.optionalKey(Schema.Boolean)
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

/** Methods with which other hosts take a file, such as `curl -T photo.jpg`, a PUT to the file's name. */
const isUpload = (method: string): boolean => method === "POST" || method === "PUT"

export const noRoute = (method: string) =>
  new Refusal({ status: 404, code: "NOT_FOUND", text: "There is nothing at this path", isUpload: isUpload(method) })

export const methodNotAllowed = (method: string, allow: string) =>
  new Refusal({
    status: 405,
    code: "METHOD_NOT_ALLOWED",
    text: `Method not allowed; allowed: ${allow}`,
    headers: { allow },
    isUpload: isUpload(method)
  })

/** The operator adds the host that clients use to those that are allowed. */
export const hostNotAllowed = new Refusal({
  status: 421,
  code: "HOST_NOT_ALLOWED",
  text: "This server does not serve the host that the request names; its operator allows hosts with --allowed-hosts"
})

/** Two programs could read the request as two different ones. */
export const repeatedField = (name: string) => invalid(`The request has more than one ${name} field; send one`)

export const invalid = (text: string) => new Refusal({ status: 400, code: "INVALID_REQUEST", text })

export const noFile = new Refusal({
  status: 400,
  code: "INVALID_REQUEST",
  text: "file: it is missing; send a part with a file name, or a field named text",
  isUpload: true
})

export const namelessFile = new Refusal({
  status: 400,
  code: "INVALID_REQUEST",
  text: "file: its part has no file name, so it is a text and no file; with curl, write @ before the path",
  isUpload: true
})

export const unauthorized = (text: string, method: string) =>
  new Refusal({
    status: 401,
    code: "UNAUTHORIZED",
    text,
    isUpload: isUpload(method),
    headers: { "www-authenticate": "Bearer realm=\"file.io\", Basic realm=\"file.io\", charset=\"UTF-8\"" }
  })

/** A browser sends forms of any page to any host, so a stranger's page could have its visitors fill this one. */
export const originNotAllowed = (origin: string | undefined) =>
  new Refusal({
    status: 403,
    code: "ORIGIN_NOT_ALLOWED",
    text: `Pages of ${
      origin === undefined || origin === "null" ? "another site" : origin
    } may not change anything here; the operator can allow them with --allowed-origins`
  })

export const blockedContent = new Refusal({
  status: 403,
  code: "BLOCKED",
  text: "The operator does not allow this content here; nothing was stored"
})

export const blockedAddress = new Refusal({
  status: 403,
  code: "BLOCKED",
  text: "The operator does not serve this address"
})

export const unsupported = new Refusal({
  status: 415,
  code: "UNSUPPORTED_MEDIA_TYPE",
  text:
    "Send multipart/form-data with a file, the bytes of a file alone, or application/x-www-form-urlencoded with text",
  isUpload: true
})

/** A program that sends its call as JSON did not mean the JSON to be a file. */
export const namelessJson = new Refusal({
  status: 415,
  code: "UNSUPPORTED_MEDIA_TYPE",
  text: "No call takes JSON; to upload a JSON file, give its name in the path or in Content-Disposition",
  isUpload: true
})

/** Stored undecoded, the bytes would be another file than was meant. */
export const encoded = (encoding: string) =>
  new Refusal({
    status: 415,
    code: "UNSUPPORTED_MEDIA_TYPE",
    text: `Send the bytes of the file without the Content-Encoding ${encoding.slice(0, 40)}`
  })

/** The problem types of resumable uploads (draft-ietf-httpbis-resumable-upload). */
const problemOf = (name: string, title: string, members: Readonly<Record<string, number>> = {}) => ({
  type: `https://iana.org/assignments/http-problem-types#${name}`,
  title,
  members
})

export const uploadNotFound = new Refusal({
  status: 404,
  code: "UPLOAD_NOT_FOUND",
  text: "There is no such upload: it never existed, was cancelled, or has expired; start it again"
})

export const wrongOffset = (expected: number, provided: number) =>
  new Refusal({
    status: 409,
    code: "UPLOAD_OFFSET",
    text: `The upload has ${expected} bytes; go on from there`,
    headers: { "upload-offset": String(expected), "upload-complete": "?0" },
    problem: problemOf("mismatching-upload-offset", "offset from request does not match offset of resource", {
      "expected-offset": expected,
      "provided-offset": provided
    })
  })

export const inconsistentLength = new Refusal({
  status: 400,
  code: "UPLOAD_LENGTH",
  text: "Upload-Length, Content-Length and the bytes that come must agree in every request of an upload",
  problem: problemOf("inconsistent-upload-length", "inconsistent length values for upload")
})

export const completed = new Refusal({
  status: 400,
  code: "UPLOAD_COMPLETED",
  text: "The upload is complete; nothing can be appended to it",
  headers: { "upload-complete": "?1" },
  problem: problemOf("completed-upload", "upload is already completed")
})

export const superseded = new Refusal({
  status: 409,
  code: "UPLOAD_SUPERSEDED",
  text: "A newer request goes on with the upload; ask it for its offset by HEAD"
})

export const notPartial = new Refusal({
  status: 415,
  code: "UNSUPPORTED_MEDIA_TYPE",
  text: "Append to an upload with PATCH and the Content-Type application/partial-upload"
})

export const incompleteAppend = invalid(
  "Give Upload-Offset, and Upload-Complete: ?1 where the body ends the file or ?0 where more will come"
)

/** A part would be stored as the whole. */
export const unknownVersion = invalid(
  "This host does not take a file in parts so; send all of it in one request, or as Upload-Draft-Interop-Version 6 or 8 has it"
)

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
    text: "The file is being downloaded; it is available again only if that download breaks",
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

/** When a client may ask a server again that has no room for its connection, or is being replaced. */
const RETRY_AFTER_SECONDS = "5"

export const stopping = new Refusal({
  status: 503,
  code: "SERVER_STOPPING",
  text: "The host is stopping; try again",
  headers: { "retry-after": RETRY_AFTER_SECONDS, connection: "close" }
})

export const tooManyConnections = new Refusal({
  status: 503,
  code: "TOO_MANY_CONNECTIONS",
  text: "The host has no connection left; try again",
  headers: { "retry-after": RETRY_AFTER_SECONDS }
})

export const tooManyOfAddress = new Refusal({
  status: 429,
  code: "TOO_MANY_CONNECTIONS",
  text: "Your address has as many connections to this host as one may have; close some, or use them again",
  headers: { "retry-after": RETRY_AFTER_SECONDS }
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

/** A store of this server does not respond, or cannot do it now. */
export const unavailable = new Refusal({
  status: 503,
  code: "UNAVAILABLE",
  text: "The host cannot do this now, and has changed nothing; try again",
  headers: { "retry-after": RETRY_AFTER_SECONDS }
})

/**
 * No 503, which invites clients to repeat it: only another list is faster. The orders with an index read no more than the page.
 */
export const slowList = invalid(
  "The list takes longer than it may: the account has very many files, or the host much to do. Sort by created, name, size or expires, " +
    "without search, and continue by after, not by offset"
)

/** Not a 503, which invites a repetition: a second upload would be a second file. */
export const unknown = new Refusal({
  status: 500,
  code: "OUTCOME_UNKNOWN",
  text: "The host failed, and does not know whether it has made the change; look before you ask for it again"
})

const encode = Schema.encodeSync(ErrorEnvelope)

/** The message for the caller. If the request may have been meant as an upload, it says how to make one. */
export const messageOf = ({ isUpload, text }: Refusal, publicUrl?: string): string =>
  isUpload === true && publicUrl !== undefined
    ? `${text}; this uploads a file: curl -F file=@FILE ${publicUrl}/`
    : text

/** `publicUrl` is the base of `help`; it is unknown if a connection is refused before the server listens. */
export const toEnvelope = (refusal: Refusal, publicUrl?: string): string => {
  const { allowed, asked, code, headers, key, limit, problem, status } = refusal
  const retryAfter = headers?.["retry-after"]
  const envelope = encode(
    new ErrorEnvelope({
      success: false,
      status,
      code,
      message: messageOf(refusal, publicUrl),
      help: publicUrl === undefined ? null : `${publicUrl}/developers#${code}`,
      key: key ?? null,
      ...(limit === undefined ? {} : { limit }),
      ...(asked === undefined ? {} : { asked }),
      ...(allowed === undefined ? {} : { allowed })
    })
  )
  return JSON.stringify({
    ...envelope,
    // For those who see no headers.
    ...(retryAfter === undefined ? {} : { retryAfter: Number(retryAfter) }),
    ...(problem === undefined ? {} : { type: problem.type, title: problem.title, ...problem.members })
  })
}

export const toResponse = (refusal: Refusal, publicUrl?: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(toEnvelope(refusal, publicUrl), {
    status: refusal.status,
    contentType: refusal.problem === undefined ? "application/json; charset=utf-8" : "application/problem+json",
    headers: { "cache-control": "no-store", "x-content-type-options": "nosniff", ...refusal.headers }
  })

/** The error for a request that Node could not parse, by Node's status; `undefined` if nobody would read a response. */
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
