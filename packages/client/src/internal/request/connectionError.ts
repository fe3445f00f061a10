/** Converts a transport's error to the reason of a failed call. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Duration from "effect/Duration"
import type { TransportError } from "../../Transport.ts"
import { Failure } from "../shared/failure.ts"
import { present } from "../shared/present.ts"

/** The connection broke after the response began. */
export const lost = (host: string, { cause, code }: TransportError): FileIoError.Unreachable =>
  new FileIoError.Unreachable({ host, sent: "unknown", ...present("code", code), ...present("cause", cause) })

/** No response came. `waited`: milliseconds since the request was given to the transport. */
export const unreachable = (host: string, error: TransportError, waited: number): Failure => {
  const { code, connectTimeout, part, phase, proxy } = error
  const cause = present("cause", error.cause)
  if (phase === "prepare") {
    return new Failure(
      "local",
      part === "url"
        ? new FileIoError.InvalidRequest({ field: "baseUrl", problem: "it does not give a valid address", ...cause })
        : new FileIoError.InvalidRequest({
          field: "file",
          problem: "this platform's HTTP client cannot send it as a stream; give it as bytes",
          ...cause
        })
    )
  }
  if (code?.endsWith("ERR_CONNECT_TIMEOUT")) {
    const after = Duration.millis(connectTimeout ?? waited)
    return new Failure("unsent", new FileIoError.TimedOut({ phase: "connect", after, ...cause }))
  }
  const sent = phase === "connect" ? "no" : "unknown"
  return new Failure(
    sent === "no" ? "unsent" : "broken",
    new FileIoError.Unreachable({ host, sent, ...present("code", code), ...present("proxy", proxy), ...cause })
  )
}
