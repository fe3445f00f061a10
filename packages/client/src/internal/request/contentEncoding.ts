/**
 * Content codings of responses (RFC 9110, 8.4.1). The client requests none, but some gateways compress anyway; the compressed
 * bytes are not the file, so they are decompressed here, unless the transport has done so already, as `fetch` does.
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as Transport from "../../Transport.ts"

/** The bytes of a response, which may break. */
export type Bytes = (
  buffers: Transport.Buffers
) => Stream.Stream<Uint8Array, FileIoError.TimedOut | Transport.TransportError>

/** A response without its bytes. */
export type ResponseHead = Omit<Transport.Response, "body">

/** A response whose bytes are decoded, if that is possible, and watched for time-outs. */
export interface Response extends ResponseHead {
  readonly body: Bytes
}

/** The web platform's names of the codings that it can decode, if it has any. */
const FORMATS: Readonly<Record<string, string>> = { gzip: "gzip", "x-gzip": "gzip", deflate: "deflate", br: "brotli" }

/** Transports remove this framing; another transfer coding reaches us in the bytes. */
const CHUNKED = "chunked"

const listed = (codings = ""): ReadonlyArray<string> =>
  codings.toLowerCase().split(",").map((coding) => coding.trim())
    .filter((coding) => coding !== "" && coding !== "identity" && coding !== CHUNKED)

/** The codings of a response, in lower case, in the order in which they were applied. */
const codingsOf = ({ headers }: ResponseHead): ReadonlyArray<string> => [
  ...listed(headers["content-encoding"]),
  ...listed(headers["transfer-encoding"])
]

const decompressor = (coding: string): GenericTransformStream | undefined => {
  const format = FORMATS[coding]
  try {
    return format === undefined ? undefined : new DecompressionStream(format as CompressionFormat)
  } catch {
    return undefined
  }
}

/** Whether the bytes of a response are, or were, encoded. */
export const isEncoded = (response: ResponseHead): boolean => codingsOf(response).length > 0

/** The codings of a response that cannot be decoded here. */
export const unknownOf = (response: ResponseHead): string | undefined => {
  const codings = codingsOf(response)
  const isKnown = response.isDecoded
    // `fetch` passes on what it does not know, such as each transfer coding.
    ? listed(response.headers["transfer-encoding"]).length === 0 &&
      codings.every((coding) => Object.hasOwn(FORMATS, coding) || coding === "zstd")
    : codings.length === 0 || (codings.length === 1 && decompressor(codings[0]!) !== undefined)
  return isKnown ? undefined : codings.join(", ")
}

/** Why the last bytes of a response need not be those of the file. A browser cannot ask for bytes that are not compressed. */
export const doubtOf = (response: ResponseHead): string | undefined => {
  const { headers, hidesCuts, isDecoded } = response
  if (hidesCuts !== true) return undefined
  if (isDecoded && listed(headers["content-encoding"]).length > 0) return "it came compressed, unrequested"
  return headers["content-length"] === undefined && headers["transfer-encoding"] === undefined &&
      listed(headers["connection"]).includes("close")
    ? "it came with neither a length nor chunks"
    : undefined
}

/** The bytes are not in the declared coding. */
class InvalidCoding extends Error {
  override readonly name = "InvalidCoding"
}

export const INVALID = "its bytes are not in the encoding that its Content-Encoding says"

export const isInvalid = (error: Transport.TransportError): boolean => error.cause instanceof InvalidCoding

const isBroken = (error: unknown): error is FileIoError.TimedOut | Transport.TransportError =>
  Predicate.isTagged(error, "TransportError") || Predicate.isTagged(error, "TimedOut")

/** The decoded bytes; unchanged if their coding cannot be decoded. */
export const decoded = (response: ResponseHead, bytes: Bytes): Bytes => {
  const codings = codingsOf(response)
  if (codings.length === 0 || response.isDecoded || unknownOf(response) !== undefined) return bytes
  return () =>
    Stream.unwrap(Effect.contextWith((context: Context.Context<never>) => {
      // The decompressor may keep its input.
      const compressed = Stream.toReadableStreamWith(bytes("owned"), context)
      return Effect.succeed(Stream.fromReadableStream({
        evaluate: (): ReadableStream<Uint8Array> => compressed.pipeThrough(decompressor(codings[0]!)!),
        onError: (cause) =>
          // An error of the transfer passes through the decompressor unchanged.
          isBroken(cause)
            ? cause
            : new Transport.TransportError({ phase: "response", cause: new InvalidCoding(INVALID, { cause }) })
      }))
    }))
}
