/** Uploads with the SDK; loaded when the first one begins. */
import * as FetchFileIo from "@effect-fileio/client/FetchFileIo"
import * as FileBody from "@effect-fileio/client/FileBody"
import * as FileIo from "@effect-fileio/client/FileIo"
import * as RetryPolicy from "@effect-fileio/client/RetryPolicy"
import * as Transport from "@effect-fileio/client/Transport"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { type Chosen, wholeOf } from "./choose.ts"

const isUnreachable = ({ reason }: FileIoError.FileIoError): boolean =>
  ["Unreachable", "TimedOut", "TransferInterrupted"].includes(reason._tag)

const isFull = ({ reason }: FileIoError.FileIoError): boolean =>
  reason._tag === "ServerFailure" && reason.status === 507

/**
 * A network that was away for hours is no reason to start over; a host without room is one to say so. `onHostError` is called
 * with what the host responds, `undefined` where it does not respond.
 */
const patient = (onHostError: (reason: string | undefined) => void) =>
  RetryPolicy.fromSchedule(
    Schedule.while(
      RetryPolicy.make({ times: 100_000, maxDelay: "5 seconds" }).schedule,
      ({ input }) =>
        Effect.sync(() => {
          onHostError(isUnreachable(input) ? undefined : input.reason.message)
          return !isFull(input)
        })
    ),
    { budget: "2 days" }
  )

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
  readonly isHostFull: boolean
  /** Whether a file cannot be read: it has changed, or is not there any more. */
  readonly isUnreadable: boolean
  /** Whether the host may have the file. */
  readonly isMaybeStored: boolean
}

export const problemOf = (error: unknown): Problem =>
  error instanceof FileIoError.FileIoError
    ? {
      reason: error.reason.message,
      isKeyWrong: error.reason._tag === "Unauthorized",
      isHostFull: isFull(error),
      isUnreadable: error.reason._tag === "SourceFailed",
      isMaybeStored: error.stored === "unknown"
    }
    : { reason: String(error), isKeyWrong: false, isHostFull: false, isUnreadable: false, isMaybeStored: false }

/** The limits of an account, as far as its host reports them. */
export interface Limits {
  readonly maxUploadBytes: number | undefined
  readonly storageLeft: number | undefined
  readonly maxDownloads: number | undefined
  /** In seconds. */
  readonly maxExpires: number | undefined
}

export const single = ({ file }: Chosen): FileBody.FileBody => {
  const { name, size, type } = file
  const read = (part: Blob) =>
    FileBody.stream(
      () => Stream.fromReadableStream({ evaluate: () => wholeOf(part), onError: (cause) => cause }),
      { name, contentType: type === "" ? undefined : type, size }
    )
  return { ...read(file), openAt: (position, buffers) => read(file.slice(position)).open(buffers) }
}

export const text = (content: string): FileBody.FileBody => FileBody.text(content)

/** The calls of one host and one account, or of none. */
export const connect = (baseUrl: string, apiKey: string | undefined) => {
  const options = {
    baseUrl,
    resumableFrom: RESUMABLE_FROM,
    ...(apiKey === undefined ? {} : { apiKey: Redacted.make(apiKey) })
  }
  const uploads = Effect.runSync(Effect.cached(
    Effect.provideServiceEffect(FileIo.makeUploads(options), Transport.Transport, FetchFileIo.makeTransport)
  ))
  const use = <A, E>(call: (fileIo: FileIo.Uploads) => Effect.Effect<A, E>, signal?: AbortSignal): Promise<A> =>
    Effect.runPromise(Effect.flatMap(uploads, call), signal === undefined ? {} : { signal })
  return {
    limits: (): Promise<Limits> =>
      use((fileIo) => fileIo.me).then(({ extra, maxUploadBytes, storageLeft }) => ({
        maxUploadBytes: maxUploadBytes ?? undefined,
        storageLeft,
        maxDownloads: typeof extra["maxDownloads"] === "number" ? extra["maxDownloads"] : undefined,
        maxExpires: typeof extra["maxExpires"] === "number" ? extra["maxExpires"] : undefined
      })),
    remove: (key: string, token: string): Promise<void> =>
      use((fileIo) => fileIo.delete(key, { token: Redacted.make(token) })),
    upload: (
      body: FileBody.FileBody,
      { expires, isEncrypted, maxDownloads, passphrase }: Settings,
      onProgress: (bytes: number, total: number | undefined) => void,
      onHostError: (reason: string | undefined) => void,
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
          FileIo.withRetry(patient(onHostError)),
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
