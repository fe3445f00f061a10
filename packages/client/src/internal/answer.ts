import * as ErrorEnvelope from "@effect-fileio/core/ErrorEnvelope"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileKey } from "@effect-fileio/core/FileKey"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { concat } from "./bytes.ts"
import { type Answered, bare, incoming, lost, present, systemCode } from "./exchange.ts"
import { Failure, type Stage, unexpected } from "./failure.ts"
import * as RetryAfter from "./retryAfter.ts"

/** What is needed to read an answer to a call. */
export interface Call {
  readonly operation: FileIoError.Operation
  readonly key: FileKey | undefined
  /** The host that was asked. */
  readonly host: string
  /** The host of the link that the caller gave, where there was one. */
  readonly linkHost: string | undefined
  readonly idle: Duration.Duration
  /** Takes secrets out of the host's words. */
  readonly redact: (text: string) => string
}

export type Response = HttpClientResponse.HttpClientResponse

const MAX_ERROR_BYTES = 64 * 1024
const MAX_JSON_BYTES = 64 * 1024 * 1024

const decoder = new TextDecoder()

/** The text of an answer, or `undefined` when it is longer than is sensible. */
const readText = (
  response: HttpClientResponse.HttpClientResponse,
  call: Call,
  maxBytes: number
): Effect.Effect<string | undefined, FileIoError.TimedOut | HttpClientError.HttpClientError> =>
  Effect.suspend(() => {
    const chunks: Array<Uint8Array> = []
    let length = 0
    return incoming(response, call.idle).pipe(
      Stream.takeWhile((chunk) => {
        length += chunk.length
        chunks.push(chunk)
        return length <= maxBytes
      }),
      Stream.runDrain,
      Effect.map(() => length > maxBytes ? undefined : decoder.decode(concat(chunks, length)))
    )
  })

/** An answer that broke off while it was read. */
export const interrupted = (
  error: FileIoError.TimedOut | HttpClientError.HttpClientError
): { readonly problem: string; readonly cause: unknown } => {
  if (error._tag === "TimedOut") return { problem: error.message, cause: error }
  const code = systemCode(error)
  return { problem: code === undefined ? "the connection broke" : `the connection broke (${code})`, cause: bare(error) }
}

const isHtml = (contentType: string | undefined, text: string | undefined): boolean =>
  contentType !== undefined
    ? /^(?:text\/html|application\/xhtml)/i.test(contentType)
    : text !== undefined && /^\s*<(?:!doctype|html)/i.test(text)

const parseJson = (text: string): Option.Option<unknown> => {
  try {
    return Option.some(JSON.parse(text))
  } catch {
    return Option.none()
  }
}

const decodeEnvelope = Schema.decodeUnknownOption(ErrorEnvelope.ErrorEnvelope)

const envelopeIn = (text: string | undefined): ErrorEnvelope.ErrorEnvelope | undefined =>
  text === undefined ? undefined : Option.getOrUndefined(Option.flatMap(parseJson(text), decodeEnvelope))

const words = (envelope: ErrorEnvelope.ErrorEnvelope | undefined, call: Call): string | undefined => {
  // oxlint-disable-next-line no-control-regex
  const message = envelope?.message?.replace(/[\u0000-\u001F\u007F-\u009F]+/g, " ").trim()
  return message === undefined || message === "" ? undefined : call.redact(message).slice(0, 300)
}

const notAnApi = (call: Call, response: HttpClientResponse.HttpClientResponse, location?: string) =>
  new FileIoError.NotAnApi({
    host: call.host,
    status: response.status,
    ...present("contentType", response.headers["content-type"]),
    ...present("location", location)
  })

/**
 * The reason behind a refusal: by the status first, which proxies keep, and by the envelope's code where the status says
 * too little.
 */
const refusal = (
  call: Call,
  response: HttpClientResponse.HttpClientResponse,
  status: number,
  text: string | undefined,
  nowMillis: number
): Failure => {
  const envelope = envelopeIn(text)
  const retryAfter = present("retryAfter", RetryAfter.parse(response.headers, nowMillis))
  const code = present("code", envelope?.code)
  const refused = (reason: FileIoError.Reason, stage: Stage = "refused") => new Failure(stage, reason)
  if (status === 429 || envelope?.code === "TOO_MANY_REQUESTS") {
    return refused(new FileIoError.RateLimited(retryAfter), "limited")
  }
  if (status >= 500 || status === 408) {
    return refused(new FileIoError.ServerFailure({ status, ...code, ...retryAfter }), "failed")
  }
  if (status === 401 || status === 403) return refused(new FileIoError.Unauthorized({ status }))
  if (status === 402 || status === 413) {
    return refused(
      new FileIoError.PlanLimit({
        limit: envelope?.limit ?? (status === 413 ? "maxUploadBytes" : "plan"),
        ...present("asked", envelope?.asked),
        ...present("allowed", envelope?.allowed),
        ...present("detail", words(envelope, call))
      })
    )
  }
  if (envelope === undefined && isHtml(response.headers["content-type"], text)) return refused(notAnApi(call, response))
  if (call.key !== undefined && (status === 404 || status === 410 || envelope?.code === "FILE_NOT_FOUND")) {
    const other = call.linkHost !== undefined && call.linkHost !== call.host ? { askedHost: call.host } : {}
    return refused(new FileIoError.FileNotFound({ key: call.key, ...other }))
  }
  if (status === 423 && call.key !== undefined) {
    return refused(new FileIoError.DownloadInProgress({ key: call.key, ...retryAfter }))
  }
  if (status === 416) return unexpected(status, "it does not have the bytes that were asked for")
  if (envelope === undefined && (status === 404 || status === 405 || status === 410)) {
    return refused(notAnApi(call, response))
  }
  if (status >= 400) {
    return refused(
      new FileIoError.InvalidRequest({
        field: envelope?.limit ?? "request",
        problem: words(envelope, call) ?? `the host refused it (${status})`
      })
    )
  }
  return unexpected(response.status, words(envelope, call) ?? "a status that the API does not use", code)
}

/** The statuses of a redirect; 0 is what browsers show of one. */
const isRedirect = (status: number): boolean => status === 0 || (status >= 300 && status < 400 && status !== 304)

const redirected = (call: Call, response: HttpClientResponse.HttpClientResponse): Failure => {
  const given = response.headers["location"]
  let location: URL | undefined
  try {
    location = given === undefined ? undefined : new URL(given, response.request.url)
  } catch {
    location = undefined
  }
  const isPage = call.operation === "download" && location !== undefined && call.key !== undefined &&
    /^https?:$/.test(location.protocol) && location.pathname.split("/").slice(-2).join("/") === `download/${call.key}`
  return new Failure(
    "refused",
    isPage
      ? new FileIoError.DirectDownloadUnavailable({ page: location!.href })
      : notAnApi(call, response, location === undefined ? given ?? "another page" : location.origin + location.pathname)
  )
}

/** Reads the rest of an answer that is no success, and says why. */
export const refuse = Effect.fnUntraced(function*(
  call: Call,
  response: HttpClientResponse.HttpClientResponse
): Effect.fn.Return<never, Failure> {
  if (isRedirect(response.status)) return yield* Effect.fail(redirected(call, response))
  // The status alone is enough when the body breaks off.
  const text = yield* Effect.orElseSucceed(readText(response, call, MAX_ERROR_BYTES), () => undefined)
  const now = yield* Clock.currentTimeMillis
  return yield* Effect.fail(refusal(call, response, response.status, text, now))
})

export const isSuccess = (status: number): boolean => status >= 200 && status < 300

/** A 200 whose body says that it failed is read by the status in the body. */
const failedSuccess = (
  call: Call,
  response: HttpClientResponse.HttpClientResponse,
  text: string,
  nowMillis: number
): Failure | undefined => {
  const envelope = envelopeIn(text)
  if (envelope === undefined) return undefined
  const status = envelope.status ?? (typeof envelope.error === "number" ? envelope.error : 0)
  return refusal(call, response, status >= 400 ? status : 0, text, nowMillis)
}

/**
 * Reads a JSON answer. `schema` decodes it; `empty` says that an empty body is a success too, which the schema reads as
 * `null`.
 */
export const json = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  empty: "refuse" | "accept" = "refuse"
) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (call: Call, { content, response }: Answered): Effect.Effect<S["Type"], Failure> => {
    const { status } = response
    if (!isSuccess(status)) return refuse(call, response)
    const other = (problem: string, cause?: unknown) =>
      Effect.fail(unexpected(status, problem, present("cause", cause)))
    const decoded = (value: unknown): Effect.Effect<S["Type"], Failure> => {
      const result = decode(value)
      return result._tag === "Success"
        ? Effect.succeed(result.success)
        : other("the JSON has another shape", result.failure)
    }
    const read = (text: string | undefined): Effect.Effect<S["Type"], Failure> => {
      if (text === undefined) return other("the answer is larger than 64 MiB")
      if (text === "" && empty === "refuse") return other("the body is empty")
      const parsed = parseJson(text === "" ? "null" : text)
      if (Option.isNone(parsed)) {
        return isHtml(response.headers["content-type"], text)
          ? Effect.fail(new Failure("begun", notAnApi(call, response)))
          : other("the body is not JSON")
      }
      if (Predicate.isObject(parsed.value) && "success" in parsed.value && parsed.value["success"] === false) {
        return Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const failure = failedSuccess(call, response, text, now)
          return failure === undefined ? decoded(parsed.value) : Effect.fail(failure)
        })
      }
      return decoded(parsed.value)
    }
    if (content !== undefined) return read(decoder.decode(content))
    return Effect.matchEffect(readText(response, call, MAX_JSON_BYTES), {
      onFailure: (error) => {
        return Effect.fail(new Failure("broken", error._tag === "TimedOut" ? error : lost(call.host, error)))
      },
      onSuccess: read
    })
  }
}

/**
 * Whether a 200 to a download is something else than a file: a page, or an error in the API's envelope. A file has a
 * `Content-Disposition`, so only an answer without one is looked into.
 */
export const notAFile = Effect.fnUntraced(function*(
  call: Call,
  response: HttpClientResponse.HttpClientResponse
): Effect.fn.Return<Failure | undefined> {
  const contentType = response.headers["content-type"]
  if (response.headers["content-disposition"] !== undefined) return undefined
  if (isHtml(contentType, undefined)) return new Failure("begun", notAnApi(call, response))
  const length = Number(response.headers["content-length"] ?? "NaN")
  if (contentType?.startsWith("application/json") === true && length <= MAX_ERROR_BYTES) {
    const text = yield* Effect.orElseSucceed(readText(response, call, MAX_ERROR_BYTES), () => undefined)
    return failedSuccess(call, response, text ?? "", yield* Clock.currentTimeMillis) ??
      unexpected(response.status, "JSON came without a Content-Disposition, so it is not a file")
  }
  return undefined
})
