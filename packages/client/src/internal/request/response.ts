/** Reads a response: JSON, the bytes of a file, or the reason why it is neither. */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { TransportError } from "../../Transport.ts"
import { concat } from "../shared/bytes.ts"
import { Failure, unexpected } from "../shared/failure.ts"
import { lost } from "./connectionError.ts"
import * as ContentEncoding from "./contentEncoding.ts"
import * as Envelope from "./envelope.ts"
import * as ParseJson from "./parseJson.ts"
import * as Refusal from "./refusal.ts"
import * as Send from "./send.ts"

type Call = Refusal.Call

type Response = ContentEncoding.Response

/** The longest body of an error response that is read, in bytes. */
const MAX_ERROR_BYTES = 64 * 1024
/** The longest JSON response that is read, in bytes. */
const MAX_JSON_BYTES = 64 * 1024 * 1024

const decoder = new TextDecoder()

/** The text of a response; `undefined` if it is too long. */
const readText = (
  response: Response,
  maxBytes: number
): Effect.Effect<string | undefined, FileIoError.TimedOut | TransportError> =>
  Effect.suspend(() => {
    const chunks: Array<Uint8Array> = []
    let length = 0
    const read = Stream.runForEachWhile(response.body("owned"), (chunk) => {
      length += chunk.length
      chunks.push(chunk)
      return Effect.succeed(length <= maxBytes)
    })
    return Effect.map(read, () => length > maxBytes ? undefined : decoder.decode(concat(chunks, length)))
  })

/** A response that broke while it was read. */
export const interrupted = (
  error: FileIoError.TimedOut | TransportError
): { readonly problem: string; readonly cause: unknown } => {
  if (error._tag === "TimedOut") return { problem: error.message, cause: error }
  const { cause, code } = error
  if (ContentEncoding.isInvalid(error)) return { problem: ContentEncoding.INVALID, cause }
  return { problem: code === undefined ? "the connection broke" : `the connection broke (${code})`, cause }
}

export const isSuccess = (status: number): boolean => status >= 200 && status < 300

/** Reads the rest of an error response, and returns its reason. */
export const refuse = /* @__PURE__ */ Effect.fnUntraced(
  function*(call: Call, response: Response): Effect.fn.Return<never, Failure> {
    if (Refusal.isRedirect(response.status)) return yield* Effect.fail(Refusal.redirected(call, response))
    // The body may be that of a file, so it says nothing about the call.
    if (isSuccess(response.status)) return yield* Effect.fail(unexpected(response.status, Refusal.UNUSED_STATUS))
    // The status alone is enough if the body breaks.
    const text = yield* Effect.orElseSucceed(readText(response, MAX_ERROR_BYTES), () => undefined)
    return yield* Effect.fail(Refusal.read(call, response, text, yield* Clock.currentTimeMillis))
  }
)

/**
 * Reads a JSON response. `schema` decodes it; with `empty`, an empty body is a success too, which the schema decodes from
 * `null`.
 */
export const json = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  empty: "refuse" | "accept" = "refuse"
) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (call: Call, response: Response): Effect.Effect<S["Type"], Failure> => {
    const { status } = response
    if (!isSuccess(status)) return refuse(call, response)
    const other = (problem: string) => Effect.fail(unexpected(status, problem))
    const read = (text: string | undefined): Effect.Effect<S["Type"], Failure> => {
      if (text === undefined) return other("the response is larger than 64 MiB")
      if (text === "" && empty === "refuse") return other("the body is empty")
      const parsed = ParseJson.parse(text === "" ? "null" : text)
      if (Result.isFailure(parsed)) {
        return Refusal.isHtml(Refusal.mediaType(response), text)
          ? Effect.fail(new Failure("begun", Refusal.notAnApi(call, response)))
          : other(parsed.failure)
      }
      const envelope = Envelope.of(parsed.success)
      if (envelope !== undefined) {
        return Clock.clockWith((clock) =>
          Effect.fail(Refusal.ofSuccess(call, response, envelope, clock.currentTimeMillisUnsafe()))
        )
      }
      const result = decode(parsed.success)
      // Of the host's text, this message contains only the names of fields.
      return result._tag === "Success"
        ? Effect.succeed(result.success)
        : other(`the JSON has another shape (${call.quote(result.failure.message.replace(/\s*\n\s*/g, " "))})`)
    }
    const coding = ContentEncoding.unknownOf(response)
    if (coding !== undefined) {
      return other(`it is encoded (${call.quote(coding, 64)}), unrequested, and cannot be decoded here`)
    }
    return Effect.matchEffect(readText(response, MAX_JSON_BYTES), {
      onFailure: (error) =>
        error._tag === "TransportError" && ContentEncoding.isInvalid(error)
          ? other(ContentEncoding.INVALID)
          : Effect.fail(
            new Failure("broken", error._tag === "TimedOut" ? error : lost(call.host, error))
          ),
      onSuccess: read
    })
  }
}

const isJson = (type: string | undefined): boolean =>
  type !== undefined && /^(?:application|text)\/(?:.+\+)?json$/.test(type)

/**
 * The bytes of a file in a 200 response, unless it is something else: a page, or an error in the API's envelope. A file has a
 * `Content-Disposition`, so only a response without one is inspected, and only if its type is ambiguous: a shared HTML file has
 * the header, or at least comes as `application/octet-stream`.
 */
export const fileIn = /* @__PURE__ */ Effect.fnUntraced(function*(
  call: Call,
  response: Response
): Effect.fn.Return<ContentEncoding.Bytes, Failure, Scope.Scope> {
  if (response.headers["content-disposition"] !== undefined) return response.body
  const type = Refusal.mediaType(response)
  const page = new Failure("begun", Refusal.notAnApi(call, response))
  if (Refusal.isHtml(type, undefined)) return yield* Effect.fail(page)
  if (type !== undefined && type !== "text/plain" && !isJson(type)) return response.body
  const peeked = yield* Send.peek(response.body, MAX_ERROR_BYTES)
  const text = decoder.decode(peeked.start)
  if (Refusal.isHtml(type, text)) return yield* Effect.fail(page)
  if (!peeked.isWhole || text === "") return peeked.bytes
  const envelope = Envelope.parse(text)
  if (envelope !== undefined) {
    return yield* Effect.fail(Refusal.ofSuccess(call, response, envelope, yield* Clock.currentTimeMillis))
  }
  if (!isJson(type)) return peeked.bytes
  const problem = "JSON came without a Content-Disposition, so it is not a file"
  return yield* Effect.fail(unexpected(response.status, problem))
})
