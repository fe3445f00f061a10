/**
 * A download after its request: reads the head of the response, gives its bytes as a stream, and asks for the rest when the
 * connection breaks. `download` calls it.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileKey } from "@effect-fileio/core/FileKey"
import * as FileName from "@effect-fileio/core/FileName"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Download, Resume } from "../../FileIoModels.ts"
import type { Hasher } from "../../Platform.ts"
import type { Meter } from "../../Progress.ts"
import { CurrentRetryPolicy } from "../../RetryPolicy.ts"
import type { Buffers, TransportError } from "../../Transport.ts"
import { followedBy, mapChunks } from "../shared/bytes.ts"
import { Failure, type Stage, unexpected, wrongDigest } from "../shared/failure.ts"
import * as ContentEncoding from "./contentEncoding.ts"
import { interrupted } from "./response.ts"
import { type NextDelay, startDelays, toError } from "./retry.ts"
import * as Timeouts from "./timeouts.ts"

/** The parsed head of a download's response; `offset` is that of the body. */
interface FileHead extends Pick<Download, "key" | "name" | "contentType" | "size" | "offset" | "validator"> {
  /** Whether the host accepts ranges. */
  readonly resumable: boolean
}

/** A request for the rest of a file. */
export type Asked = Pick<Resume, "offset" | "validator" | "size">

/** Whether an entity tag is strong (RFC 9110, 8.8.3): a weak one does not identify bytes. */
export const isStrong = (etag: string): boolean => /^"[\x21\x23-\x7E\u0080-\u00FF]*"$/.test(etag)

/** The requested rest; `size` is that of the whole file, and `doubt` why the last bytes need not be those of the file. */
export interface Rest {
  readonly bytes: ContentEncoding.Bytes
  readonly size: number | undefined
  readonly doubt: string | undefined
}

export const rangeHeaders = ({ offset, validator }: Asked): Readonly<Record<string, string>> => ({
  range: `bytes=${offset}-`,
  "if-range": validator
})

const lengthOf = (response: ContentEncoding.ResponseHead): number | undefined => {
  const length = response.headers["content-length"]
  // The length of encoded bytes says nothing about the file.
  return length === undefined || ContentEncoding.isEncoded(response) || !/^\d+$/.test(length)
    ? undefined
    : Number(length)
}

const nameOf = (key: FileKey, headers: ContentEncoding.ResponseHead["headers"]): FileName.FileName => {
  const disposition = headers["content-disposition"]
  const given = disposition === undefined ? Option.none() : FileName.fromContentDisposition(disposition)
  return FileName.sanitize(Option.getOrElse(given, () => key))
}

const readContentRange = (headers: ContentEncoding.ResponseHead["headers"]): RegExpExecArray | null =>
  /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(headers["content-range"]?.trim() ?? "")

/** Whether the range of a 200, which needs none, is that of the whole file. */
const isWhole = (headers: ContentEncoding.ResponseHead["headers"], length: number | undefined): boolean => {
  const [, from, to, size] = readContentRange(headers) ?? []
  return Number(from) === 0 && Number(to) + 1 === Number(size) && (length ?? Number(size)) === Number(size)
}

/** Whether a 416 says that nothing is left of the same file, whose size was unknown. */
export const isAtEnd = (
  { headers, status }: ContentEncoding.ResponseHead,
  { offset, size, validator }: Asked
): boolean =>
  status === 416 && size === undefined && headers["etag"] === validator &&
  headers["content-range"]?.trim() === `bytes */${offset}`

/** Parses the head of a 200, or of a 206 to a request for the rest, or of a 416 to one at the end. */
export const readHead = (
  key: FileKey,
  response: ContentEncoding.ResponseHead,
  asked: Asked | undefined
): FileHead | string => {
  const { headers } = response
  const etag = headers["etag"]
  const validator = etag !== undefined && isStrong(etag) ? etag : undefined
  const name = nameOf(key, headers)
  const contentType = headers["content-type"]
  if (response.status !== 200 && asked !== undefined) {
    const size = isAtEnd(response, asked) ? asked.offset : readRange(response, asked)
    // A host that sent a range accepts ranges, whether or not it says so again.
    return typeof size === "string"
      ? size
      : { key, name, contentType, size, offset: asked.offset, validator, resumable: true }
  }
  const size = lengthOf(response)
  if (headers["content-range"] !== undefined && !isWhole(headers, size)) {
    return "a part of the file instead of all of it"
  }
  return {
    key,
    name,
    contentType,
    size,
    offset: 0,
    validator,
    resumable: validator !== undefined && !ContentEncoding.isEncoded(response) &&
      headers["accept-ranges"]?.trim().toLowerCase() === "bytes"
  }
}

/**
 * Checks that a 206 is the rest of the same file, and returns the size of the whole. Parts join only if their strong validators
 * are equal (RFC 9110, 15.3.7.3): anything else would be halves of two files.
 */
const readRange = (response: ContentEncoding.ResponseHead, asked: Asked): number | string => {
  const { headers } = response
  const range = readContentRange(headers)
  if (range === null) return "a part of the file without a Content-Range"
  const [from, to] = [Number(range[1]), Number(range[2])]
  if (from !== asked.offset) return "another part of the file than was asked for"
  if (headers["etag"] !== asked.validator) {
    return headers["etag"] === undefined
      ? "a part of the file without the ETag that was asked for"
      : "a part of another file: its ETag is not the one that was asked for"
  }
  if (ContentEncoding.isEncoded(response)) return "a part of the file in an unrequested encoding"
  const length = lengthOf(response)
  if (length !== undefined && length !== to - from + 1) return "a part of the file with two different lengths"
  const size = range[3] === "*" ? asked.size : Number(range[3])
  if (size === undefined) return "a part of the file without the size of the whole"
  if (to !== size - 1) return "another part of the file than all of the rest"
  if (asked.size !== undefined && size !== asked.size) return "a part of another file: its size is another one"
  return size
}

const broke = (
  head: FileHead,
  bytesDone: number,
  problem: string,
  options: { readonly stage?: Stage; readonly resumable?: boolean; readonly cause?: unknown } = {}
) =>
  new Failure(
    options.stage ?? "begun",
    new FileIoError.TransferInterrupted({
      bytesDone,
      ...(head.size === undefined ? {} : { bytesExpected: head.size }),
      resumable: options.resumable ?? head.resumable,
      problem,
      ...(options.cause === undefined ? {} : { cause: options.cause })
    })
  )

/** Classifies a response that is not the rest of a file: final, or worth another request. */
const refusedRest = (head: FileHead, done: number, failure: Failure): Failure => {
  const { reason } = failure
  switch (reason._tag) {
    case "FileNotFound":
      return broke(head, done, "the host does not have the rest any more (404)", {
        stage: "received",
        resumable: false
      })
    case "InvalidRequest":
    case "UnexpectedResponse":
    case "NotAnApi":
    case "DirectDownloadUnavailable":
      return broke(head, done, `the host does not send the rest: ${reason.message}`, {
        resumable: false,
        cause: reason
      })
    default:
      return failure
  }
}

/** After this many bytes of progress, the delays of the retry policy start over. */
const PROGRESS_BYTES = 1024 * 1024

/** The bytes stopped coming by an error of the connection, or by a time-out. */
const brokeBy = (head: FileHead, done: number, error: FileIoError.TimedOut | TransportError): Failure => {
  if (error._tag === "TimedOut") {
    const { after, phase } = error
    return new Failure(
      "begun",
      new FileIoError.TimedOut({ after, phase, bytesDone: done, resumable: head.resumable })
    )
  }
  const { cause, problem } = interrupted(error)
  return broke(head, done, problem, { cause })
}

interface State {
  readonly buffers: Buffers
  done: number
  /** The offset at which the delays of the retry policy last started over. */
  restarted: number
  began: number
  nextDelay: NextDelay | undefined
}

/**
 * The bytes of a download, counted and checked. If the host can resume, a broken transfer continues where it broke, as often as
 * the retry policy allows.
 */
export const receive = (options: {
  readonly head: FileHead
  readonly first: ContentEncoding.Bytes
  /** The coding of the bytes, if it cannot be decoded here. */
  readonly coding: string | undefined
  /** Why the last bytes need not be those of the file, where nothing else says so. */
  readonly doubt: string | undefined
  readonly meter: Meter
  readonly digest: { readonly hasher: Hasher; readonly expected: string } | undefined
  readonly rest: (asked: Asked) => Effect.Effect<Rest, Failure>
}): (buffers: Buffers) => Stream.Stream<Uint8Array, FileIoError.FileIoError> => {
  const { coding, digest, head, meter } = options
  const { validator } = head
  let { size } = head
  let { doubt } = options

  const complete = (state: State) =>
    Effect.suspend(() => {
      if (size !== undefined && state.done !== size) {
        return Effect.fail(broke(head, state.done, "the host ended it early"))
      }
      if (state.done === 0) {
        return Effect.fail(unexpected(200, "the body is empty, and no file is"))
      }
      if (coding !== undefined) {
        const problem = `it is encoded (${coding}), unrequested, and cannot be decoded here`
        return Effect.fail(broke(head, state.done, problem, { stage: "received", resumable: false }))
      }
      if (digest !== undefined && digest.hasher.digest() !== digest.expected) {
        const expected = head.size === undefined ? {} : { bytesExpected: head.size }
        return Effect.fail(wrongDigest({ bytesDone: state.done, ...expected }))
      }
      // All bytes of a known size are the whole.
      if (doubt !== undefined && digest === undefined && size === undefined) {
        const problem =
          `whether it is whole is unknown: ${doubt}, and this HTTP client does not notice when such a file is cut`
        return Effect.fail(broke(head, state.done, problem))
      }
      return meter.finished
    })

  const checked = (bytes: ContentEncoding.Bytes, state: State): Stream.Stream<Uint8Array, Failure> =>
    bytes(state.buffers).pipe(
      Stream.mapError((error) => brokeBy(head, state.done, error)),
      (stream) =>
        mapChunks(stream, (chunks) => {
          let count = 0
          for (const chunk of chunks) {
            count += chunk.length
            digest?.hasher.update(chunk)
          }
          state.done += count
          if (size !== undefined && state.done > size) {
            return Effect.fail(
              broke(head, state.done, "the host sent more bytes than it announced", {
                stage: "received",
                resumable: false
              })
            )
          }
          const event = meter.advance(count)
          return event === undefined ? Effect.succeed(chunks) : Effect.as(event, chunks)
        }),
      followedBy(Stream.drain(Stream.fromEffect(complete(state))))
    )

  /** Waits and requests the rest, until it succeeds or the policy ends; then fails with the original error. */
  const goOn = Effect.fnUntraced(
    function*(failure: Failure, state: State): Effect.fn.Return<ContentEncoding.Bytes, Failure> {
      const isBroken = failure.reason._tag === "TransferInterrupted" || failure.reason._tag === "TimedOut"
      if (!head.resumable || validator === undefined || failure.stage !== "begun" || !isBroken) {
        return yield* Effect.fail(failure)
      }
      const clock = yield* Clock.Clock
      const policy = yield* CurrentRetryPolicy
      if (state.nextDelay === undefined || state.done - state.restarted >= PROGRESS_BYTES) {
        state.nextDelay = yield* startDelays(policy, clock)
        state.restarted = state.done
        state.began = clock.currentTimeMillisUnsafe()
      }
      const { nextDelay } = state
      const budget = Duration.toMillis(policy.budget)
      let last = failure
      while (true) {
        const now = clock.currentTimeMillisUnsafe()
        const delay = yield* nextDelay("download", last)
        if (delay === undefined || now - state.began + delay > budget) return yield* Effect.fail(failure)
        state.began += yield* Timeouts.sleep(clock, delay)
        const result = yield* Effect.result(options.rest({ offset: state.done, validator, size }))
        if (result._tag === "Success") {
          size ??= result.success.size
          doubt = result.success.doubt
          return result.success.bytes
        }
        // The lease makes every repetition harmless: all its ranges count as one download.
        last = refusedRest(head, state.done, result.failure)
        if (!last.reason.isRetryable) {
          return yield* Effect.fail(last.reason._tag === "TransferInterrupted" ? last : failure)
        }
      }
    }
  )

  const from = (bytes: ContentEncoding.Bytes, state: State): Stream.Stream<Uint8Array, Failure> =>
    checked(bytes, state).pipe(
      Stream.catch((failure) => Stream.unwrap(Effect.map(goOn(failure, state), (rest) => from(rest, state))))
    )

  return (buffers) =>
    Stream.suspend(() =>
      from(options.first, { buffers, done: head.offset, restarted: head.offset, began: 0, nextDelay: undefined })
    ).pipe(
      Stream.mapError((failure) => toError("download", failure)),
      Stream.onStart(meter.started(size, head.offset)),
      Stream.onExit((exit) => exit._tag === "Failure" ? meter.failed : Effect.void)
    )
}
