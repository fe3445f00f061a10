/** Downloads and decrypts with the SDK; loaded on the page of an encrypted file. */
import * as Encryption from "@effect-fileio/client/Encryption"
import * as FetchFileIo from "@effect-fileio/client/FetchFileIo"
import * as FileIo from "@effect-fileio/client/FileIo"
import * as Platform from "@effect-fileio/client/Platform"
import * as RetryPolicy from "@effect-fileio/client/RetryPolicy"
import * as Transport from "@effect-fileio/client/Transport"
import * as AgeKey from "@effect-fileio/core/AgeKey"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileKey from "@effect-fileio/core/FileKey"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Sink } from "./save.ts"

/** What a link needs besides itself; `Wrong`: it cannot be used. */
export const needsOf = (link: string): "Nothing" | "Passphrase" | "Identity" | "Wrong" => {
  const parsed = FileKey.parse(link)
  if (Result.isFailure(parsed)) return "Wrong"
  const { opener } = parsed.success
  return opener === undefined || opener._tag === "Secret" ? "Nothing" : opener._tag
}

/** The name that a link has for its file. */
export const nameOf = (link: string): string | undefined => Result.getOrUndefined(FileKey.parse(link))?.name

/** Whether a text is a secret key. */
export const isIdentity = (text: string): boolean => Result.isSuccess(AgeKey.parseIdentity(text))

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
const transport = Effect.map(FetchFileIo.makeTransport, ({ send }): Transport.Service => ({
  send: (request, observer) =>
    send(
      request.method === "GET"
        ? { ...request, url: `${request.url}${request.url.includes("?") ? "&" : "?"}download=1` }
        : request,
      observer
    )
}))

/** The host keeps a broken download for half a minute by default, so there is no use in waiting longer. */
const patient = RetryPolicy.make({ times: 100_000, base: "500 millis", maxDelay: "3 seconds", budget: "5 minutes" })

/** How long the page waits for a header. */
const HEADER_MILLIS = 10_000

/** What of a header shows that the file cannot be decrypted here; a header alone is always cut, and there may be none. */
const isShownByHeader = (error: unknown): boolean =>
  error instanceof FileIoError.FileIoError && error.reason._tag === "DecryptionFailed" &&
  !["cut", "notEncrypted"].includes(error.reason.problem)

/** A passphrase is tried on the header and then decrypts the file, and each time would take a second. */
const makePlatform = (): Platform.Platform => {
  let last: readonly [given: string, key: Uint8Array] | undefined
  return {
    ...Platform.portable,
    scrypt: (...given) => {
      const text = given.join()
      return last?.[0] === text ? Effect.succeed(last[1]) : Effect.map(Platform.portable.scrypt(...given), (key) => {
        last = [text, key]
        return key
      })
    }
  }
}

/** Downloads of a file. The link is one that can be used. */
export const connect = (baseUrl: string, link: string) => {
  const { key, opener } = Result.getOrThrow(FileKey.parse(link))
  const platform = makePlatform()
  const runPromise = <A, E>(call: Effect.Effect<A, E>, signal: AbortSignal): Promise<A> =>
    Effect.runPromise(Effect.provideService(call, Platform.CurrentPlatform, platform), { signal })
  const fileIo = Effect.runSync(
    Effect.provideServiceEffect(FileIo.makeDownloads({ baseUrl }), Transport.Transport, transport)
  )
  const run = <A, E>(call: Effect.Effect<A, E>, signal: AbortSignal): Promise<A> =>
    runPromise(FileIo.withRetry(call, patient), signal)
  type OnProgress = (bytes: number, total: number | undefined) => void
  const listener =
    (onProgress: OnProgress) => ({ bytes, total }: { readonly bytes: number; readonly total: number | undefined }) =>
      Effect.sync(() => onProgress(bytes, total))
  /** Decrypts bytes that are here; returns all of them, or fails. */
  const decrypt = (
    encrypted: Uint8Array,
    secret: Secret | undefined,
    signal: AbortSignal
  ): Promise<Array<Uint8Array<ArrayBuffer>>> => {
    const options = opener?._tag === "Secret" ? { identities: [opener.identity] } : optionsOf(secret)
    return runPromise(
      Stream.runCollect(Encryption.decrypt(Stream.succeed(encrypted), options)),
      signal
    ) as Promise<Array<Uint8Array<ArrayBuffer>>>
  }
  return {
    /**
     * Tries the secret on the file's header, which takes nothing; fails if it shows that the file cannot be decrypted. A host
     * that gives no header in time must not keep the receiver from the file: then the download shows it.
     */
    tryOnHeader: async (secret: Secret | undefined, signal: AbortSignal): Promise<void> => {
      const asking = new AbortController()
      const giveUp = () => asking.abort()
      signal.addEventListener("abort", giveUp)
      setTimeout(giveUp, HEADER_MILLIS)
      try {
        const response = await fetch(`${baseUrl}/header/${key}`, asking)
        await decrypt(new Uint8Array(await response.arrayBuffer()), secret, signal)
      } catch (error) {
        signal.throwIfAborted()
        if (isShownByHeader(error)) throw error
      }
    },
    /** The bytes as the host has them. */
    bytes: (onProgress: OnProgress, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> =>
      run(
        Effect.scoped(Effect.gen(function*() {
          const download = yield* fileIo.download(link, { decrypt: false, onProgress: listener(onProgress) })
          const parts: Array<Uint8Array<ArrayBuffer>> = []
          yield* Stream.runForEach(download.stream, (chunk) =>
            Effect.sync(() => parts.push(chunk as Uint8Array<ArrayBuffer>)))
          const whole = new Uint8Array(parts.reduce((sum, { length }) =>
            sum + length, 0))
          let at = 0
          for (const part of parts) {
            whole.set(part, at)
            at += part.length
          }
          return whole
        })),
        signal
      ),
    decrypt,
    /** Decrypts into a sink while the bytes come. `open` is called when the header has shown that the secret fits. */
    stream: (
      secret: Secret | undefined,
      open: (name: string, size: number | undefined) => Promise<Sink>,
      onProgress: OnProgress,
      signal: AbortSignal
    ): Promise<void> =>
      run(
        Effect.scoped(Effect.gen(function*() {
          const download = yield* fileIo.download(link, { ...optionsOf(secret), onProgress: listener(onProgress) })
          const sink = yield* Effect.promise(() => open(download.name, download.size))
          yield* Stream.runForEach(download.stream, (chunk) => Effect.promise(() => sink.write(chunk))).pipe(
            Effect.andThen(Effect.promise(sink.close)),
            Effect.onError(() => Effect.sync(sink.fail))
          )
        })),
        signal
      )
  }
}

export type Connection = ReturnType<typeof connect>
