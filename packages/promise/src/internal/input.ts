/** Converts options of the promise API to those of the client. */
import type * as ClientEncryption from "@effect-fileio/client/Encryption"
import * as ClientFileBody from "@effect-fileio/client/FileBody"
import type * as ClientFileIo from "@effect-fileio/client/FileIo"
import * as RateLimit from "@effect-fileio/client/RateLimit"
import * as RetryPolicy from "@effect-fileio/client/RetryPolicy"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import { InvalidOption } from "@effect-fileio/core/InvalidOption"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { DecryptionOptions, Encryption } from "../Encryption.ts"
import type { Content, DownloadStreamOptions, OnceContent, Options, TokenOptions } from "../FileIo.ts"
import { invalidError } from "./run.ts"
import { toStream } from "./toStream.ts"

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** Options that would be ignored, or fail in a call, if JavaScript gives them in another form. */
const FORMS: ReadonlyArray<readonly [option: string, isAllowed: (value: unknown) => boolean, allowed: string]> = [
  ["apiKey", (value) => typeof value === "string", "a string"],
  ["headers", isObject, "an object of strings"],
  ["rateLimit", (value) => isObject(value) && "_tag" in value, "a RateLimit, such as RateLimit.fixed(3)"],
  ["retry", (value) => isObject(value) && "schedule" in value, "a RetryPolicy, such as RetryPolicy.none"],
  ["tls", isObject, "an object"]
]

/** Throws `InvalidOption` for options of another form. */
const check = (options: unknown): void => {
  if (!isObject(options)) throw new InvalidOption({ option: "options", problem: "allowed: an object" })
  const given = options as Readonly<Record<string, unknown>>
  for (const [option, isAllowed, allowed] of FORMS) {
    if (given[option] === undefined || isAllowed(given[option])) continue
    throw new InvalidOption({ option, problem: `allowed: ${allowed}` })
  }
}

/** The options as `FileIo` of `@effect-fileio/client` takes them. Throws `InvalidOption`. */
export const clientOptions = (options: Options): ClientFileIo.Options => {
  check(options)
  const { apiKey, headers, rateLimit: _limit, retry: _retry, ...rest } = options
  return {
    ...rest,
    apiKey: apiKey === undefined ? undefined : Redacted.make(apiKey),
    headers: headers === undefined
      ? undefined
      : Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Redacted.make(value)]))
  }
}

/** The policies in the options. */
export const layerPolicies = ({ rateLimit, retry }: Options): Layer.Layer<never> =>
  Layer.mergeAll(
    rateLimit === undefined ? Layer.empty : RateLimit.layer(rateLimit),
    retry === undefined ? Layer.empty : Layer.succeed(RetryPolicy.CurrentRetryPolicy, retry)
  )

/** What proves that the caller uploaded a file; a token that is neither text nor redacted is refused by the client. */
export const withToken = (options: TokenOptions | undefined): ClientFileIo.TokenOptions => {
  const token = options?.token
  return { token: typeof token === "string" ? Redacted.make(token) : token }
}

interface WithSecrets extends DecryptionOptions {
  readonly encryption?: Encryption | undefined
}

/** A secret as the client takes it; what is no text is refused there. */
const redacted = (secret: string): Redacted.Redacted => Redacted.make(secret)

const encryptionOf = (encryption: Encryption): ClientEncryption.Encryption =>
  typeof encryption === "object" && encryption !== null && "passphrase" in encryption
    ? { ...encryption, passphrase: redacted(encryption.passphrase) }
    : encryption

/** The same options, with their secrets redacted. */
export const secrets = <A extends WithSecrets>({ encryption, identities, passphrase, ...rest }: A) => ({
  ...rest,
  ...(encryption === undefined ? {} : { encryption: encryptionOf(encryption) }),
  ...(identities === undefined
    ? {}
    : { identities: Array.isArray(identities) ? identities.map(redacted) : identities as never }),
  ...(passphrase === undefined ? {} : { passphrase: redacted(passphrase) })
})

type Listener<Event> = ((event: Event) => void | Promise<void>) | undefined

/** The same options, with a listener that returns an effect, and with their secrets redacted. */
export const watched = <Event, A extends WithSecrets & { readonly onProgress?: Listener<Event> }>(
  options: A | undefined
) => {
  const { onProgress, ...rest } = options ?? ({} as A)
  return {
    ...secrets(rest),
    onProgress: onProgress === undefined
      ? undefined
      : (event: Event) => Effect.promise(async () => onProgress(event))
  }
}

/** What is a stream by itself: an async iterable, or a stream of the web; a body is none. */
const contentStream = (content: unknown) =>
  typeof content === "object" && content !== null && "_tag" in content ? undefined : toStream(content)

/** A string is refused, since it may be meant as a path. */
export const body = (content: Content): ClientFileBody.FileBody => {
  if (content instanceof Blob) return ClientFileBody.blob(content)
  if (content instanceof ArrayBuffer || ArrayBuffer.isView(content)) return ClientFileBody.bytes(content)
  if (contentStream(content) === undefined) return content
  const problem =
    "it is a stream, which can be read once; send it with uploadOnce, or with FileBody.stream(() => stream)"
  return { ...ClientFileBody.bytes(new Uint8Array(1)), problem }
}

/** A body that is read once: also a stream of the web, or an async iterable, as it is. */
export const onceBody = (content: OnceContent): ClientFileBody.OneShotBody => {
  const stream = contentStream(content)
  return stream === undefined ? content as ClientFileBody.OneShotBody : ClientFileBody.once(stream)
}

/** Makes a call over many items, where they are a list or another iterable; text is one, but not meant. */
export const many = <A>(
  operation: FileIoError.Operation,
  field: string,
  items: Iterable<string>,
  use: (items: Iterable<string>) => Effect.Effect<A, FileIoError.FileIoError>
): Effect.Effect<A, FileIoError.FileIoError> =>
  typeof items === "object" && items !== null && Symbol.iterator in items
    ? use(items)
    : Effect.fail(invalidError(operation, field, "allowed: a list of strings"))

/** Where a download continues, with the received bytes as a stream. */
export const resume = ({ content, ...rest }: NonNullable<DownloadStreamOptions["resume"]>): ClientFileIo.Resume => ({
  ...rest,
  content: content === undefined
    ? undefined
    : Stream.fromAsyncIterable(content, (cause) =>
      new FileIoError.FileIoError({
        operation: "download",
        reason: new FileIoError.InvalidRequest({
          field: "resume.content",
          problem: "it failed while it was read",
          cause
        }),
        copy: "kept"
      }))
})
