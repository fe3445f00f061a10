/** The call that downloads: requests a file or the rest of one, and checks that the response is that. */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileKey } from "@effect-fileio/core/FileKey"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Download, DownloadOptions, DownloadStreamOptions, Resume } from "../../FileIoModels.ts"
import type { WithPermit } from "../limit/limiter.ts"
import * as Span from "../observe/span.ts"
import * as TransferMeter from "../observe/transferMeter.ts"
import * as ContentEncoding from "../request/contentEncoding.ts"
import * as DownloadStream from "../request/downloadStream.ts"
import type * as Refusal from "../request/refusal.ts"
import { requestHead } from "../request/requestHead.ts"
import * as Response from "../request/response.ts"
import * as Retry from "../request/retry.ts"
import * as Send from "../request/send.ts"
import { dropBytes } from "../shared/bytes.ts"
import { type Failure, unexpected } from "../shared/failure.ts"
import * as Encrypted from "./encrypted.ts"
import { callOf, type Client, invalid, isCount, parseLink } from "./shared.ts"

/** Checks a download to resume. */
const wrongResume = ({ offset, size, validator }: Resume): string | undefined =>
  !isCount(offset, 0)
    ? "allowed: an offset from 0"
    : typeof validator !== "string" || !DownloadStream.isStrong(validator)
    ? "allowed: a strong ETag as validator"
    : size !== undefined && !(isCount(size, 1) && size > offset)
    ? "allowed: a size above the offset"
    : undefined

/** The bytes of the requested rest, and the size of the whole file. */
const restOf = (
  key: FileKey,
  { bytes, response }: { readonly bytes: ContentEncoding.Bytes; readonly response: ContentEncoding.ResponseHead },
  asked: DownloadStream.Asked
): Effect.Effect<Omit<DownloadStream.Rest, "doubt">, Failure> => {
  const rest = DownloadStream.readHead(key, response, asked)
  if (typeof rest === "string") return Effect.fail(unexpected(response.status, rest))
  if (response.status !== 200) return Effect.succeed({ bytes, size: rest.size })
  // A proxy took the `Range` away, and this may be the last copy. The same strong ETag means the same bytes.
  if (
    rest.validator === asked.validator && !ContentEncoding.isEncoded(response) &&
    (rest.size ?? asked.size) === (asked.size ?? rest.size)
  ) {
    return Effect.succeed({ bytes: (buffers) => dropBytes(bytes(buffers), asked.offset), size: rest.size })
  }
  return Effect.fail(unexpected(response.status, "the host started over instead of sending the rest"))
}

export const make = (client: Client) => {
  const { limiter, platform: { sha256 } } = client

  const fetch = Effect.fnUntraced(function*(
    call: Refusal.Call,
    key: FileKey,
    rest: DownloadStream.Asked | undefined,
    withPermit: WithPermit
  ) {
    const head = requestHead(client, "GET", `/${key}`, "*/*", rest && DownloadStream.rangeHeaders(rest))
    const response = yield* Send.execute(client, head, { withPermit, isRepeatable: false })
    if (response.status === 206 && rest !== undefined) return { response, bytes: response.body }
    if (rest !== undefined && DownloadStream.isAtEnd(response, rest)) return { response, bytes: () => Stream.empty }
    if (response.status !== 200) return yield* Response.refuse(call, response)
    return { response, bytes: yield* Response.fileIn(call, response) }
  }, Send.scopedToSuccess)

  return Span.fn(
    "FileIo.download",
    "download",
    Effect.fnUntraced(function*(
      keyOrLink: string,
      options?: DownloadStreamOptions
    ): Effect.fn.Return<Download, FileIoError.FileIoError, Scope.Scope> {
      const link = yield* parseLink("download", keyOrLink)
      const call = callOf(client, "download", link)
      const expected = (options?.sha256 ?? link.sha256)?.toLowerCase()
      if (expected !== undefined && !/^[0-9a-f]{64}$/.test(expected)) {
        return yield* invalid("download", "sha256", "allowed: a SHA-256 digest of 64 hexadecimal digits")
      }
      const secrets = yield* Encrypted.secretsFor(link, options)
      const { resume } = options ?? {}
      const problem = resume === undefined
        ? undefined
        : secrets !== undefined
        ? "a decrypted download cannot be resumed by offset; allowed: decrypt: false, or FileTransfer"
        : wrongResume(resume)
      if (problem !== undefined) return yield* invalid("download", "resume", problem)
      if (secrets !== undefined) yield* Encrypted.loadFor(client, secrets)
      // The digest of an encrypted file is that of its plaintext.
      const digest = expected === undefined || secrets !== undefined ? undefined : { hasher: sha256(), expected }
      if (digest !== undefined && resume?.content !== undefined) {
        yield* Stream.runForEach(resume.content, (chunk) => Effect.sync(() => digest.hasher.update(chunk)))
      }
      const scope = yield* Effect.scope
      const meter = yield* Effect.withFiberSucceed((fiber) => TransferMeter.make(fiber, "down", options?.onProgress))
      const first = yield* Retry.run(
        { operation: "download", content: "none", limiter },
        (withPermit) => fetch(call, link.key, resume, withPermit)
      )
      const head = DownloadStream.readHead(link.key, first.response, resume)
      if (typeof head === "string") {
        return yield* Retry.toError("download", unexpected(first.response.status, head))
      }
      const coding = ContentEncoding.unknownOf(first.response)
      // The end of an encrypted file is authentic.
      const doubtOf = secrets === undefined ? ContentEncoding.doubtOf : () => undefined
      const rest = (asked: DownloadStream.Asked) =>
        Effect.flatMap(
          Scope.provide(
            Retry.once(limiter, "download", (withPermit) => fetch(call, link.key, asked, withPermit)),
            scope
          ),
          (received) =>
            Effect.map(restOf(link.key, received, asked), (rest) => ({ ...rest, doubt: doubtOf(received.response) }))
        )
      const open = DownloadStream.receive({
        head,
        first: first.bytes,
        coding: coding === undefined ? undefined : call.quote(coding, 64),
        doubt: doubtOf(first.response),
        meter,
        digest: head.offset === 0 && digest !== undefined
          ? { expected: digest.expected, hasher: sha256() }
          : resume?.content === undefined
          ? undefined
          : digest,
        rest
      })
      const { resumable, ...facts } = head
      const download = {
        ...facts,
        validator: resumable ? head.validator : undefined,
        sha256: expected,
        stream: open("owned"),
        open
      }
      return secrets === undefined ? download : yield* Encrypted.opened(client, download, link, secrets)
    })
  )
}

/** A host may announce a false size, so memory grows with the received bytes. */
const MAX_PREALLOCATED_BYTES = 64 * 1024 * 1024

/** Collects the bytes; in a buffer of the right size if the size is known and plausible. */
const collect = ({ open, size }: Download): Effect.Effect<Uint8Array, FileIoError.FileIoError> =>
  size === undefined || size > MAX_PREALLOCATED_BYTES
    ? Stream.mkUint8Array(open("owned"))
    : Effect.suspend(() => {
      const whole = new Uint8Array(size)
      let at = 0
      return Effect.map(
        Stream.runForEachArray(open("reused"), (chunks) =>
          Effect.sync(() => {
            for (const chunk of chunks) {
              whole.set(chunk, at)
              at += chunk.length
            }
          })),
        () => whole
      )
    })

export const makeBytes = (
  download: (
    keyOrLink: string,
    options?: DownloadOptions
  ) => Effect.Effect<Download, FileIoError.FileIoError, Scope.Scope>
) =>
  Span.fn(
    "FileIo.downloadBytes",
    "download",
    Effect.fnUntraced(function*(keyOrLink: string, options?: DownloadOptions) {
      const begun = yield* download(keyOrLink, options)
      const { contentType, key, name } = begun
      return { key, name, contentType, bytes: yield* collect(begun) }
    }, Effect.scoped)
  )
