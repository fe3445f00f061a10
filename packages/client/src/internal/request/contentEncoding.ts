/**
 * Content codings of answers (RFC 9110, 8.4.1). None is asked for, but some gateways compress all the same; what they
 * compressed is not the file, so it is decompressed here, unless the transport has done so already, as `fetch` does.
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { type Buffers, type Response, TransportError } from "../../Transport.ts"

/** The bytes of an answer, which may break off. */
export type Bytes = (buffers: Buffers) => Stream.Stream<Uint8Array, FileIoError.TimedOut | TransportError>

/** What the web platform calls the codings that it can undo, where it can undo any. */
const FORMATS: Readonly<Record<string, string>> = { gzip: "gzip", "x-gzip": "gzip", deflate: "deflate", br: "brotli" }

/** The codings of an answer, in lower case, in the order in which they were applied. */
const codingsOf = (response: Response): ReadonlyArray<string> =>
  (response.headers["content-encoding"] ?? "").toLowerCase().split(",")
    .map((coding) => coding.trim()).filter((coding) => coding !== "" && coding !== "identity")

const decompressor = (coding: string): GenericTransformStream | undefined => {
  const format = FORMATS[coding]
  try {
    return format === undefined ? undefined : new DecompressionStream(format as CompressionFormat)
  } catch {
    return undefined
  }
}

/** Whether the bytes of an answer are, or were, other ones than those of what it stands for. */
export const isEncoded = (response: Response): boolean => codingsOf(response).length > 0

/** The codings of an answer that cannot be undone here. */
export const unknownOf = (response: Response): string | undefined => {
  const codings = codingsOf(response)
  return codings.length === 0 || response.isDecoded ||
      (codings.length === 1 && decompressor(codings[0]!) !== undefined)
    ? undefined
    : codings.join(", ")
}

/** Bytes that are not in the coding that the host says. */
class InvalidCoding extends Error {
  override readonly name = "InvalidCoding"
}

export const INVALID = "its bytes are not in the encoding that its Content-Encoding says"

/** Whether an answer broke off because its bytes could not be decoded. */
export const isInvalid = (error: TransportError): boolean => error.cause instanceof InvalidCoding

const isBroken = (error: unknown): error is FileIoError.TimedOut | TransportError =>
  Predicate.isTagged(error, "TransportError") || Predicate.isTagged(error, "TimedOut")

/** The bytes that an answer stands for; as they came where its coding cannot be undone. */
export const decoded = (response: Response, bytes: Bytes): Bytes => {
  const codings = codingsOf(response)
  if (codings.length === 0 || response.isDecoded || unknownOf(response) !== undefined) return bytes
  return () =>
    Stream.unwrap(Effect.contextWith((context: Context.Context<never>) => {
      // The decompression may keep what it is given.
      const compressed = Stream.toReadableStreamWith(bytes("owned"), context)
      return Effect.succeed(Stream.fromReadableStream({
        evaluate: (): ReadableStream<Uint8Array> => compressed.pipeThrough(decompressor(codings[0]!)!),
        onError: (cause) =>
          // What broke the transfer comes through the decompression as it is.
          isBroken(cause)
            ? cause
            : new TransportError({ phase: "response", cause: new InvalidCoding(INVALID, { cause }) })
      }))
    }))
}
