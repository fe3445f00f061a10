/** The call that downloads: asks for a file or for the rest of one, and makes sure that what comes is that. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileKey, FileLink } from "@effect-fileio/core/FileKey"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Download, DownloadStreamOptions, Resume } from "../../FileIo.ts"
import type { Meter } from "../../Progress.ts"
import type { Sha256 } from "../../Sha256.ts"
import type { Budget, InTurn } from "../budget.ts"
import * as Metered from "../observe/transferMeter.ts"
import * as Coding from "../request/contentEncoding.ts"
import * as Reception from "../request/downloadStream.ts"
import type * as Refusal from "../request/refusal.ts"
import * as Answer from "../request/response.ts"
import * as Attempts from "../request/retry.ts"
import * as Exchange from "../request/send.ts"
import { Failure, unexpected } from "../shared/failure.ts"

const invalid = (field: string, problem: string) =>
  Attempts.toError("download", new Failure("local", new FileIoError.InvalidRequest({ field, problem })))

const isCount = (value: unknown, from: number): boolean => Number.isSafeInteger(value) && (value as number) >= from

/** What is wrong with a download to go on with. */
const wrongResume = ({ offset, size, validator }: Resume): string | undefined =>
  !isCount(offset, 0)
    ? "allowed: an offset from 0"
    : typeof validator !== "string" || !Reception.isStrong(validator)
    ? "allowed: a strong ETag as validator"
    : size !== undefined && !(isCount(size, 1) && size > offset)
    ? "allowed: a size above the offset"
    : undefined

export const make = (options: {
  readonly http: Pick<HttpClient.HttpClient.With<HttpClientError.HttpClientError, Scope.Scope>, "execute">
  readonly host: string
  readonly timeouts: Exchange.Timeouts
  readonly budget: Budget
  readonly sha256: Sha256
  readonly callOf: (operation: "download", link: FileLink) => Refusal.Call
  readonly linkOf: (operation: "download", keyOrLink: string) => Effect.Effect<FileLink, FileIoError.FileIoError>
  readonly request: (method: "GET", path: string, accept: "any") => HttpClientRequest.HttpClientRequest
}) => {
  const { budget, callOf, host, http, linkOf, request, sha256, timeouts } = options

  /** Asks for a file, or for the rest of one. */
  const fetch = Effect.fnUntraced(function*(
    call: Refusal.Call,
    key: FileKey,
    meter: Meter,
    rest: Reception.Asked | undefined,
    inTurn: InTurn
  ) {
    const asking = HttpClientRequest.setHeaders(
      request("GET", `/${key}`, "any"),
      rest === undefined ? {} : Reception.rangeHeaders(rest)
    )
    const exchange = { host, timeouts, meter, outgoing: undefined, inTurn, isWhole: false, mayRepeat: false }
    const response = yield* Exchange.scoped(Exchange.execute(http, asking, exchange))
    if (response.status === 206 && rest !== undefined) {
      return { response, bytes: Exchange.incoming(response, call.idle) }
    }
    if (response.status !== 200) return yield* Answer.refuse(call, response)
    return { response, bytes: yield* Answer.fileIn(call, response) }
  })

  return Effect.fnUntraced(function*(
    keyOrLink: string,
    options?: DownloadStreamOptions
  ): Effect.fn.Return<Download, FileIoError.FileIoError, Scope.Scope> {
    const link = yield* linkOf("download", keyOrLink)
    const call = callOf("download", link)
    const expected = (options?.sha256 ?? link.sha256)?.toLowerCase()
    if (expected !== undefined && !/^[0-9a-f]{64}$/.test(expected)) {
      return yield* invalid("sha256", "allowed: a SHA-256 digest of 64 hexadecimal digits")
    }
    const { resume } = options ?? {}
    const problem = resume === undefined ? undefined : wrongResume(resume)
    if (problem !== undefined) return yield* invalid("resume", problem)
    const digest = expected === undefined ? undefined : { hasher: sha256.make(), expected }
    if (digest !== undefined && resume?.content !== undefined) {
      yield* Stream.runForEach(resume.content, (chunk) => Effect.sync(() => digest.hasher.update(chunk)))
    }
    const scope = yield* Effect.scope
    const meter = yield* Effect.withFiberSucceed((fiber) => Metered.meter(fiber, "down", options?.onProgress))
    const first = yield* Attempts.run(
      { operation: "download", reopenable: true, budget },
      (_number, _before, inTurn) => fetch(call, link.key, meter, resume, inTurn)
    )
    const head = Reception.readHead(link.key, first.response, resume)
    if (typeof head === "string") {
      return yield* Attempts.toError("download", unexpected(first.response.status, head))
    }
    const coding = Coding.unknownOf(first.response)
    return {
      key: head.key,
      name: head.name,
      contentType: head.contentType,
      size: head.size,
      offset: head.offset,
      validator: head.resumable ? head.validator : undefined,
      sha256: expected,
      stream: Reception.receive({
        head,
        first: first.bytes,
        coding: coding === undefined ? undefined : call.quote(coding, 64),
        meter,
        digest: head.offset === 0 && digest !== undefined
          ? { expected: digest.expected, hasher: sha256.make() }
          : resume?.content === undefined
          ? undefined
          : digest,
        rest: Effect.fnUntraced(function*(asked) {
          const { bytes, response } = yield* Scope.provide(
            Attempts.once(budget, "download", (inTurn) => fetch(call, link.key, meter, asked, inTurn)),
            scope
          )
          const rest = Reception.readHead(link.key, response, asked)
          const problem = typeof rest === "string"
            ? rest
            : response.status !== 206
            ? "the host began anew instead of giving the rest"
            : undefined
          return problem !== undefined || typeof rest === "string"
            ? yield* Effect.fail(unexpected(response.status, problem ?? ""))
            : { bytes, size: rest.size }
        })
      })
    }
  })
}

/** A host that announces more may lie, so memory is taken as the bytes come. */
const MAX_PREALLOCATED_BYTES = 64 * 1024 * 1024

/** The bytes in one piece; into a buffer of the right size where the size is known and not absurd. */
export const collect = <E>(
  stream: Stream.Stream<Uint8Array, E>,
  size: number | undefined
): Effect.Effect<Uint8Array, E> =>
  size === undefined || size > MAX_PREALLOCATED_BYTES
    ? Stream.mkUint8Array(stream)
    : Effect.suspend(() => {
      const whole = new Uint8Array(size)
      let at = 0
      return Effect.map(
        Stream.runForEachArray(stream, (chunks) =>
          Effect.sync(() => {
            for (const chunk of chunks) {
              whole.set(chunk, at)
              at += chunk.length
            }
          })),
        () => whole
      )
    })
