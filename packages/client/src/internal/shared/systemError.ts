/** Classifies errors of sockets, TLS and HTTP libraries: above all, whether the request was sent. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Predicate from "effect/Predicate"
import { present } from "./present.ts"

/** An error of the system, of OpenSSL, or of an HTTP client's own. */
export interface SystemError {
  readonly code: string
  readonly syscall?: unknown
  readonly message?: unknown
  /** The proxy. */
  readonly proxy?: unknown
  /** The time-out of connecting that was exceeded, in milliseconds. */
  readonly connectTimeout?: unknown
}

/** The system's error, which HTTP libraries wrap in causes and, for several addresses, in lists. */
export const find = (error: unknown, depth = 0): SystemError | undefined => {
  if (depth > 6 || !Predicate.isObject(error)) return undefined
  if ("code" in error && typeof error.code === "string" && error.code !== "") return error as typeof error & SystemError
  if ("errors" in error && Array.isArray(error.errors)) {
    for (const inner of error.errors) {
      const found = find(inner, depth + 1)
      if (found !== undefined) return found
    }
  }
  return "cause" in error ? find(error.cause, depth + 1) : undefined
}

/** The code of an error; `node:http` hides OpenSSL's name in the message of another error. */
export const codeOf = ({ code, message }: SystemError): string => {
  const reason = code === "EPROTO" ? /SSL routines:[^:]*:([^:]+):/.exec(String(message))?.[1] : undefined
  return reason === undefined ? code : `ERR_SSL_${reason.toUpperCase().replaceAll(" ", "_")}`
}

/** System calls before a connection exists. */
const CONNECTING = new Set<unknown>(["connect", "getaddrinfo", "bind"])

/** System errors that only connecting causes, even if they do not say so. */
const NOT_CONNECTED = new RegExp(
  "^(?:ECONNREFUSED|ENOTFOUND|EAI_\\w+|E(?:HOST|NET)(?:UNREACH|DOWN)|EADDRNOTAVAIL|(?:UND_)?ERR_CONNECT_TIMEOUT|UND_ERR_PRX_\\w+)$"
)

/**
 * OpenSSL's errors of a failed handshake: our refusals, and the alerts with which a host refuses. Others, such as a broken
 * record, may come at any time.
 */
const NO_TLS = new RegExp(
  "^ERR_SSL_(?:WRONG_VERSION_NUMBER|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE|NO_CIPHERS_AVAILABLE|UNKNOWN_PROTOCOL|" +
    "HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|UNSAFE_LEGACY_RENEGOTIATION_DISABLED|WRONG_SIGNATURE_TYPE|\\w+_KEY_TOO_SMALL|" +
    "CA_MD_TOO_WEAK|(?:TLSV1|TLSV13|SSLV3|SSL/TLS)_(?:ALERT_)?(?:PROTOCOL_VERSION|HANDSHAKE_FAILURE|INSUFFICIENT_SECURITY|" +
    "NO_APPLICATION_PROTOCOL|UNRECOGNIZED_NAME|MISSING_EXTENSION|UNSUPPORTED_EXTENSION))$"
)

/** Messages of `node:tls` for a connection that ends during the handshake. */
const ENDED_IN_TLS = "before secure TLS connection was established"

/**
 * Whether the host cannot have read the request. If the transport has reported that the request was sent, only one error proves
 * it: the host refuses our certificate in place of a response, which in TLS 1.3 comes after we may send.
 */
export const isUnsent = (error: SystemError, isHeadWritten: boolean): boolean => {
  const code = codeOf(error)
  const kind = FileIoError.connectionProblem(code)
  if (kind === "clientCertificate" || CONNECTING.has(error.syscall)) return true
  if (isHeadWritten) return false
  if (NO_TLS.test(code)) return true
  if (error.syscall === "read" || error.syscall === "write") return false
  return kind === "certificate" || NOT_CONNECTED.test(code) ||
    (typeof error.message === "string" && error.message.includes(ENDED_IN_TLS))
}

/** HTTP parsers put the refused bytes into their errors: a host's text, which may repeat the key. */
export const withoutPacket = (error: unknown, depth = 0): unknown => {
  if (depth > 6 || !(error instanceof Error)) return error
  const cause = withoutPacket(error.cause, depth + 1)
  if (cause === error.cause && !("rawPacket" in error) && !("data" in error)) return error
  const { message, name, stack } = error
  return Object.assign(new Error(message), {
    name,
    stack,
    ...present("code", "code" in error ? error.code : undefined),
    ...present("cause", cause)
  })
}
