/** Uploads with the SDK; loaded when the first one begins. */
import * as FetchFileIo from "@effect-fileio/client/FetchFileIo"
import * as FileBody from "@effect-fileio/client/FileBody"
import * as FileIo from "@effect-fileio/client/FileIo"
import * as RetryPolicy from "@effect-fileio/client/RetryPolicy"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import { downloadZip, predictLength } from "client-zip"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { Chosen } from "./choose.ts"
import { prepareCryptography } from "./withoutSubtle.ts"

/** A network that was away for hours is no reason to start over. */
const patient = RetryPolicy.make({ times: 100_000, maxDelay: "5 seconds", budget: "2 days" })

/** Smaller uploads are sent in one request, whose progress `fetch` does not tell. */
const RESUMABLE_FROM = 512 * 1024

export interface Settings {
  readonly expires: string | undefined
  readonly maxDownloads: string | undefined
  readonly isEncrypted: boolean
  readonly passphrase: string
}

export interface Uploaded {
  readonly key: string
  readonly link: string
  readonly expires: number | undefined
  /** Deletes the file without an account. */
  readonly token: string | undefined
}

/** Why an upload failed, for people. */
export interface Problem {
  readonly reason: string
  readonly isKeyWrong: boolean
  /** Whether the host may have the file. */
  readonly isMaybeStored: boolean
}

export const problemOf = (error: unknown): Problem =>
  error instanceof FileIoError.FileIoError
    ? {
      reason: error.reason.message,
      isKeyWrong: error.reason._tag === "Unauthorized",
      isMaybeStored: error.stored === "unknown"
    }
    : { reason: String(error), isKeyWrong: false, isMaybeStored: false }

/** The limits of an account, as far as its host reports them. */
export interface Limits {
  readonly maxUploadBytes: number | undefined
  readonly maxDownloads: number | undefined
  /** In seconds. */
  readonly maxExpires: number | undefined
}

const skip = <E>(bytes: Stream.Stream<Uint8Array, E>, count: number): Stream.Stream<Uint8Array, E> =>
  Stream.suspend(() => {
    let left = count
    return bytes.pipe(
      Stream.map((chunk) => {
        const skipped = Math.min(left, chunk.length)
        left -= skipped
        return chunk.subarray(skipped)
      }),
      Stream.filter((chunk) => chunk.length > 0)
    )
  })

/** Several files as one ZIP archive, made while it is sent. It is the same each time, so a broken upload continues. */
export const archive = (files: ReadonlyArray<Chosen>, name: string): FileBody.FileBody => {
  const entries = () =>
    files.map(({ file, path }) => ({ input: file, name: path, size: file.size, lastModified: file.lastModified }))
  const bytes = () =>
    Stream.fromReadableStream<Uint8Array, unknown>({
      evaluate: () => downloadZip(entries()).body!,
      onError: (cause) => cause
    })
  const body = FileBody.stream(bytes, {
    name,
    contentType: "application/zip",
    size: Number(predictLength(entries()))
  })
  return { ...body, openAt: (position, buffers) => skip(body.open(buffers), position) }
}

export const single = ({ file }: Chosen): FileBody.FileBody => FileBody.blob(file)

export const text = (content: string): FileBody.FileBody => FileBody.text(content)

/** The calls of one host and one account, or of none. */
export const connect = (baseUrl: string, apiKey: string | undefined) => {
  prepareCryptography()
  const runtime = ManagedRuntime.make(FetchFileIo.layer({
    baseUrl,
    resumableFrom: RESUMABLE_FROM,
    ...(apiKey === undefined ? {} : { apiKey: Redacted.make(apiKey) })
  }))
  const use = <A, E>(call: (fileIo: FileIo.Service) => Effect.Effect<A, E>, signal?: AbortSignal): Promise<A> =>
    runtime.runPromise(FileIo.FileIo.use(call), signal === undefined ? {} : { signal })
  return {
    close: () => void runtime.dispose(),
    limits: (): Promise<Limits> =>
      use((fileIo) => fileIo.me).then(({ extra, maxUploadBytes }) => ({
        maxUploadBytes: maxUploadBytes ?? undefined,
        maxDownloads: typeof extra["maxDownloads"] === "number" ? extra["maxDownloads"] : undefined,
        maxExpires: typeof extra["maxExpires"] === "number" ? extra["maxExpires"] : undefined
      })),
    remove: (key: string, token: string): Promise<void> =>
      use((fileIo) => fileIo.delete(key, { token: Redacted.make(token) })),
    upload: (
      body: FileBody.FileBody,
      { expires, isEncrypted, maxDownloads, passphrase }: Settings,
      onProgress: (bytes: number, total: number | undefined) => void,
      signal: AbortSignal
    ): Promise<Uploaded> =>
      use((fileIo) =>
        fileIo.upload(body, {
          ...(expires === undefined ? {} : { expires }),
          ...(maxDownloads === undefined
            ? {}
            : { maxDownloads: maxDownloads === "" ? "unlimited" : Number(maxDownloads) }),
          ...(isEncrypted
            ? { encryption: passphrase === "" ? "link" : { passphrase: Redacted.make(passphrase) } }
            : {}),
          onProgress: ({ bytes, total }) => Effect.sync(() => onProgress(bytes, total))
        }).pipe(
          FileIo.withRetry(patient),
          Effect.map(({ deleteToken, expires, key, link }) => ({
            key,
            link,
            token: deleteToken == null ? undefined : Redacted.value(deleteToken),
            expires: expires == null ? undefined : Number(expires.epochMilliseconds)
          }))
        ), signal)
  }
}

export type Connection = ReturnType<typeof connect>
