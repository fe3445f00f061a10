/**
 * The network reasons of an error. Use them as `FileIoError.TimedOut` and `FileIoError.Unreachable`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { ENDED, isPublicHost } from "./internal/publicHost.ts"

const cause = { cause: Schema.optionalKey(Schema.Defect()) }

/** Names that OpenSSL in Node gives to certificate problems. */
const CERTIFICATE = new RegExp(
  "^(?:(?:ERR_TLS_)?CERT_\\w+|DEPTH_ZERO_\\w+|SELF_SIGNED_\\w+|UNABLE_TO_\\w+|CRL_\\w+|ERROR_IN_C\\w+|HOSTNAME_MISMATCH|INVALID_CA|" +
    "INVALID_PURPOSE|PATH_LENGTH_EXCEEDED)$"
)

/** TLS alerts with which a host refuses or requests a client certificate. */
const CLIENT_CERTIFICATE = new RegExp(
  "^ERR_SSL_(?:TLSV1|TLSV13|SSLV3|SSL/TLS)_(?:ALERT_)?(?:(?:BAD|NO|UNSUPPORTED)_CERTIFICATE|CERTIFICATE_(?:REVOKED|EXPIRED|UNKNOWN|REQUIRED)|" +
    "UNKNOWN_CA|ACCESS_DENIED)$"
)

/** OpenSSL's errors when the first bytes of a TLS handshake meet something else, such as plain HTTP. */
const NO_TLS = /^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNKNOWN_PROTOCOL)$/

/**
 * Codes of HTTP clients for a response that began and could not be parsed; the second means that its head is too long.
 */
const UNREADABLE = /^(?:HPE_\w+|ERR_HTTP_PROTOCOL)$/
const HEAD_TOO_LONG = /^(?:HPE_HEADER_OVERFLOW|UND_ERR_HEADERS_OVERFLOW|ERR_HTTP_HEADERS_OVERFLOW)$/

/**
 * Why no connection was made: the host's certificate, our certificate, a host that does not speak TLS at this port, the
 * proxy's refusal of our credentials, or anything else.
 *
 * @category models
 * @since 0.1.0
 */
export type ConnectionProblem = "certificate" | "clientCertificate" | "noTls" | "proxyAuthentication" | "network"

/**
 * Classifies an error code of the system, of OpenSSL or of `NodeHttp`.
 *
 * @category guards
 * @since 0.1.0
 */
export const connectionProblem = (code: string | undefined): ConnectionProblem =>
  code === undefined
    ? "network"
    : CERTIFICATE.test(code)
    ? "certificate"
    : CLIENT_CERTIFICATE.test(code)
    ? "clientCertificate"
    : NO_TLS.test(code)
    ? "noTls"
    : code === "ERR_PROXY_407" || code === "ERR_PROXY_401"
    ? "proxyAuthentication"
    : "network"

/**
 * There was no connection, or it broke before a response.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", {
  host: Schema.String,
  /** Whether the request was sent: `no`, or `unknown`: it may have been. */
  sent: Schema.Literals(["no", "unknown"]),
  /** The system's error code, such as `ECONNREFUSED`, or `ERR_PROXY_` and the proxy's status. */
  code: Schema.optionalKey(Schema.String),
  /** The proxy, as `host:port`. */
  proxy: Schema.optionalKey(Schema.String),
  /** Set only if the permit store of a shared rate limit is unavailable: how long until a call asks it again. */
  retryAfter: Schema.optionalKey(Schema.Duration),
  ...cause
}) {
  /** Why no connection was made. */
  get problem(): ConnectionProblem {
    return connectionProblem(this.code)
  }
  /** Whether the host is file.io itself, whose service has ended. */
  get isEnded() {
    return isPublicHost(this.host)
  }
  get isRetryable() {
    return this.problem === "network"
  }
  override get message() {
    if (this.retryAfter !== undefined) {
      const again = Duration.format(this.retryAfter)
      return `${this.host} does not respond; check its address and the network. It is asked again after ${again}; with the option whenAway, calls go on without it`
    }
    const why = this.code === undefined ? "" : ` (${this.code})`
    if (this.sent === "unknown") {
      const code = this.code ?? ""
      const what = HEAD_TOO_LONG.test(code)
        ? `${this.host} began a response whose head is too long to read`
        : UNREADABLE.test(code)
        ? `${this.host} began a response that is not valid HTTP`
        : `the connection to ${this.host} broke before a response`
      return `${what}${why}; see whether the call took effect before trying again`
    }
    switch (this.problem) {
      case "certificate":
        return `the certificate of ${this.host} cannot be trusted${why}; if a private certificate authority signed it, add that with NODE_EXTRA_CA_CERTS or the option tls.ca`
      case "clientCertificate":
        return `${this.host} wants a client certificate that it trusts${why}; give one with the options tls.cert and tls.key`
      case "noTls":
        return `${this.host} does not speak TLS at this port${why}; if it serves plain HTTP, begin the base URL with http://`
      case "proxyAuthentication":
        return `the proxy ${
          this.proxy ?? ""
        } wants another user and password, or any${why}; give them in its address: http://user:password@host:port`
      case "network":
        return this.proxy === undefined
          ? `cannot connect to ${this.host}${why}; ${this.isEnded ? ENDED : "check the base URL and the network"}`
          : `cannot connect to ${this.host} through the proxy ${this.proxy}${why}; check the proxy and the base URL`
    }
  }
}

/**
 * Nothing happened for too long.
 *
 * @category reasons
 * @since 0.1.0
 */
export class TimedOut extends Schema.TaggedError<TimedOut>()("TimedOut", {
  /** Connecting, waiting for the first byte of the response, or waiting for more bytes. */
  phase: Schema.Literals(["connect", "firstByte", "idle"]),
  after: Schema.Duration,
  /** Bytes of a download that arrived before. */
  bytesDone: Schema.optionalKey(Schema.Finite),
  /** Path of the part file with these bytes. */
  partPath: Schema.optionalKey(Schema.String),
  /** Whether the rest of a download can be requested. */
  resumable: Schema.optionalKey(Schema.Boolean),
  ...cause
}) {
  get isRetryable() {
    return true
  }
  override get message() {
    const what = { connect: "no connection", firstByte: "no response", idle: "no more bytes" }[this.phase]
    const part = this.partPath === undefined ? "" : `; the received bytes are in ${this.partPath}`
    const resume = this.resumable === true ? "; it can be resumed" : ""
    return `${what} within ${
      Duration.format(this.after)
    }; check the network, or raise the ${this.phase} timeout${part}${resume}`
  }
}
