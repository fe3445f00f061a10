/** Downloads and decrypts with the SDK; loaded on the page of an encrypted file. */
import * as Encryption from "@effect-fileio/client/Encryption"
import * as FetchFileIo from "@effect-fileio/client/FetchFileIo"
import * as FileIo from "@effect-fileio/client/FileIo"
import * as RetryPolicy from "@effect-fileio/client/RetryPolicy"
import * as AgeKey from "@effect-fileio/core/AgeKey"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileKey from "@effect-fileio/core/FileKey"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Sink } from "./save.ts"
import { prepareCryptography } from "./withoutSubtle.ts"

/** What a link needs besides itself, or why it cannot be used. */
export type Needs =
  | { readonly _tag: "Nothing" | "Passphrase" | "Identity" }
  | { readonly _tag: "Wrong"; readonly reason: string }

/** A post-quantum key, whose code is long: programs have it. */
const wrongKind = (identity: Redacted.Redacted): string | undefined =>
  Redacted.value(identity).startsWith("AGE-SECRET-KEY-PQ-")
    ? "a post-quantum key, which this page does not support; use fileio or age"
    : undefined

export const needsOf = (link: string): Needs => {
  const parsed = FileKey.parse(link)
  if (Result.isFailure(parsed)) return { _tag: "Wrong", reason: parsed.failure }
  const { opener } = parsed.success
  const reason = opener?._tag === "Secret" ? wrongKind(opener.identity) : undefined
  if (reason !== undefined) return { _tag: "Wrong", reason }
  switch (opener?._tag) {
    case "Passphrase":
      return { _tag: "Passphrase" }
    case "Identity":
      return { _tag: "Identity" }
    default:
      return { _tag: "Nothing" }
  }
}

/** The name that a link has for its file. */
export const nameOf = (link: string): string | undefined => Result.getOrUndefined(FileKey.parse(link))?.name

/** Why a text is no secret key; `undefined`: it is one. */
export const wrongIdentity = (text: string): string | undefined => {
  const parsed = AgeKey.parseIdentity(text)
  return Result.isFailure(parsed) ? parsed.failure : wrongKind(parsed.success)
}

/** A passphrase or a secret key that the receiver entered. */
export interface Secret {
  readonly _tag: "Passphrase" | "Identity"
  readonly text: string
}

const optionsOf = (secret: Secret | undefined): Encryption.DecryptionOptions =>
  secret === undefined
    ? {}
    : secret._tag === "Passphrase"
    ? { passphrase: Redacted.make(secret.text) }
    : { identities: [Redacted.make(secret.text)] }

/** Why a download failed, for people. */
export interface Problem {
  readonly _tag: "WrongSecret" | "Gone" | "Busy" | "Broken" | "Other"
  readonly reason: string
}

export const problemOf = (error: unknown): Problem => {
  if (!(error instanceof FileIoError.FileIoError)) return { _tag: "Other", reason: String(error) }
  const { reason } = error
  const tag = reason._tag === "DecryptionFailed" && reason.problem === "otherKey"
    ? "WrongSecret"
    : reason._tag === "FileNotFound"
    ? "Gone"
    : reason._tag === "DownloadInProgress"
    ? "Busy"
    : ["TransferInterrupted", "TimedOut", "Unreachable"].includes(reason._tag)
    ? "Broken"
    : "Other"
  return { _tag: tag, reason: reason.message }
}

/** As the page's button asks: a browser that has seen the page gets its own download again. */
const http = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(
    HttpClient.HttpClient,
    HttpClient.mapRequest((request) =>
      request.method === "GET" ? HttpClientRequest.setUrlParam(request, "download", "1") : request
    )
  )
).pipe(Layer.provide(FetchFileIo.layerHttp))

/** The host keeps a broken download for half a minute by default, so there is no use in waiting longer. */
const patient = RetryPolicy.make({ times: 100_000, base: "500 millis", maxDelay: "3 seconds", budget: "5 minutes" })

export const connect = (baseUrl: string) => {
  prepareCryptography()
  const runtime = ManagedRuntime.make(Layer.provide(FileIo.layer({ baseUrl }), http))
  const use = <A, E>(call: (fileIo: FileIo.Service) => Effect.Effect<A, E>, signal: AbortSignal): Promise<A> =>
    runtime.runPromise(FileIo.withRetry(FileIo.FileIo.use(call), patient), { signal })
  type OnProgress = (bytes: number, total: number | undefined) => void
  const listener =
    (onProgress: OnProgress) => ({ bytes, total }: { readonly bytes: number; readonly total: number | undefined }) =>
      Effect.sync(() => onProgress(bytes, total))
  return {
    /** The bytes as the host has them. */
    bytes: (link: string, onProgress: OnProgress, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> =>
      use(
        (fileIo) => fileIo.downloadBytes(link, { decrypt: false, onProgress: listener(onProgress) }),
        signal
      ).then(({ bytes }) => bytes as Uint8Array<ArrayBuffer>),
    /** Decrypts bytes that are here; returns all of them, or fails. */
    decrypt: (
      encrypted: Uint8Array,
      link: string,
      secret: Secret | undefined,
      signal: AbortSignal
    ): Promise<Array<Uint8Array<ArrayBuffer>>> => {
      const opener = Result.getOrUndefined(FileKey.parse(link))?.opener
      const options = opener?._tag === "Secret" ? { identities: [opener.identity] } : optionsOf(secret)
      return runtime.runPromise(
        Stream.runCollect(Encryption.decrypt(Stream.succeed(encrypted), options)),
        { signal }
      ) as Promise<Array<Uint8Array<ArrayBuffer>>>
    },
    /** Decrypts into a sink while the bytes come. `open` is called when the header has shown that the secret fits. */
    stream: (
      link: string,
      secret: Secret | undefined,
      open: (name: string, size: number | undefined) => Promise<Sink>,
      onProgress: OnProgress,
      signal: AbortSignal
    ): Promise<void> =>
      use((fileIo) =>
        Effect.scoped(Effect.gen(function*() {
          const download = yield* fileIo.download(link, { ...optionsOf(secret), onProgress: listener(onProgress) })
          const sink = yield* Effect.promise(() => open(download.name, download.size))
          yield* Effect.onExit(
            Stream.runForEach(download.stream, (chunk) => Effect.promise(() => sink.write(chunk))),
            (exit) => Effect.sync(exit._tag === "Success" ? sink.close : sink.fail)
          )
        })), signal)
  }
}

export type Connection = ReturnType<typeof connect>
