/**
 * The `FileIo` service: every call of the file.io API as an Effect.
 *
 * @since 0.1.0
 */
import type * as Account from "@effect-fileio/core/Account"
import type { DurationInput } from "@effect-fileio/core/DurationInput"
import type * as FileDetails from "@effect-fileio/core/FileDetails"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as FileList from "@effect-fileio/core/FileList"
import type * as FileStatus from "@effect-fileio/core/FileStatus"
import { InvalidOption } from "@effect-fileio/core/InvalidOption"
import * as Variable from "@effect-fileio/core/Variable"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as FileBody from "./FileBody.ts"
import type {
  Download,
  DownloadedBytes,
  DownloadOptions,
  DownloadStreamOptions,
  FileState,
  ListAllOptions,
  ListOptions,
  LostUpload,
  TokenOptions,
  UpdateOptions,
  UploadOptions
} from "./FileIoModels.ts"
import * as AwaitDownloaded from "./internal/calls/awaitDownloaded.ts"
import * as Change from "./internal/calls/change.ts"
import * as Delete from "./internal/calls/delete.ts"
import * as DownloadCall from "./internal/calls/download.ts"
import * as List from "./internal/calls/list.ts"
import * as Me from "./internal/calls/me.ts"
import * as Reconcile from "./internal/calls/reconcile.ts"
import type { Client } from "./internal/calls/shared.ts"
import * as Status from "./internal/calls/status.ts"
import * as Upload from "./internal/calls/upload.ts"
import { UploadLimits } from "./internal/calls/uploadLimits.ts"
import * as Limiter from "./internal/limit/limiter.ts"
import * as Pauses from "./internal/limit/pauses.ts"
import * as Credentials from "./internal/request/credentials.ts"
import * as Endpoint from "./internal/request/endpoint.ts"
import * as Timeouts from "./internal/request/timeouts.ts"
import { CurrentPlatform } from "./Platform.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import * as Transport from "./Transport.ts"

export type * from "./FileIoModels.ts"

/**
 * The calls. Each fails only with `FileIoError`, and requires no services.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /** Uploads a file; without a key it belongs to no account. */
  readonly upload: (
    body: FileBody.FileBody,
    options?: UploadOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError>
  /** Uploads a stream that can be read only once; it is never repeated. */
  readonly uploadOnce: (
    body: FileBody.OneShotBody,
    options?: UploadOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError>
  /** Uploads a file, and deletes it when the scope closes: after success, failure or interruption. Needs a key. */
  readonly uploadScoped: (
    body: FileBody.FileBody,
    options?: UploadOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError, Scope.Scope>
  /**
   * Looks for the file of an upload whose response was lost, by name, size and time, among the account's files. Fails
   * if several match. Needs a key.
   */
  readonly reconcile: (
    upload: LostUpload
  ) => Effect.Effect<Option.Option<FileDetails.FileDetails>, FileIoError.FileIoError>
  /**
   * The states of a file, one for each change, until it was downloaded or has expired. A host that sends `attempts`
   * also reports downloads that began and do not count. Each state takes a `list` request, under the rate limit. Needs
   * a key.
   */
  readonly awaitDownloaded: (
    keyOrLink: string,
    options?: {
      /** How long to wait between two requests. @default 5 seconds */
      readonly every?: DurationInput | undefined
    }
  ) => Stream.Stream<FileState, FileIoError.FileIoError>
  /** Starts a download of a key or a link. Closing the scope closes the connection. */
  readonly download: (
    keyOrLink: string,
    options?: DownloadStreamOptions
  ) => Effect.Effect<Download, FileIoError.FileIoError, Scope.Scope>
  /** Downloads a file into memory; for large files use `download` or `FileTransfer.downloadFile`. */
  readonly downloadBytes: (
    keyOrLink: string,
    options?: DownloadOptions
  ) => Effect.Effect<DownloadedBytes, FileIoError.FileIoError>
  /** One page of the account's files. Needs a key. */
  readonly list: (options?: ListOptions) => Effect.Effect<FileList.FileList, FileIoError.FileIoError>
  /**
   * All of the account's files; pages are requested as they are consumed. Each file comes once, also if others are deleted
   * meanwhile. Needs a key.
   */
  readonly listAll: (options?: ListAllOptions) => Stream.Stream<FileDetails.FileDetails, FileIoError.FileIoError>
  /** The account and its plan. Needs a key. */
  readonly me: Effect.Effect<Account.Account, FileIoError.FileIoError>
  /**
   * Changes the given settings and keeps the others (PATCH). Needs a key. Without new content, the result has the link as
   * given.
   */
  readonly update: (
    keyOrLink: string,
    options: UpdateOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError>
  /** Changes the given settings and resets the others to the host's defaults (PUT). Needs a key. */
  readonly replace: (
    keyOrLink: string,
    options: UpdateOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError>
  /** How long a call would wait now for the account's rate limit, as far as known. */
  readonly waitTime: Effect.Effect<Duration.Duration>
  /**
   * The status of a file: whether it can be downloaded, and, with the `deleteToken` of its upload, what became of it. This is
   * not a download. Only the server of this project reports it; other hosts fail with `UnexpectedResponse` or `NotAnApi`.
   */
  readonly status: (
    keyOrLink: string,
    options?: TokenOptions
  ) => Effect.Effect<FileStatus.FileStatus, FileIoError.FileIoError>
  /** Deletes a file. Needs a key, or the `deleteToken` of its upload. */
  readonly delete: (keyOrLink: string, options?: TokenOptions) => Effect.Effect<void, FileIoError.FileIoError>
}

/**
 * The service. For two accounts in one program, make two services with `make`.
 *
 * **Example** (An upload)
 *
 * ```ts
 * import { FileBody, FileIo } from "@effect-fileio/client"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const fileIo = yield* FileIo.FileIo
 *   const file = yield* fileIo.upload(FileBody.text("see you at eight"), { expires: "1d" })
 *   return file.link
 * })
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class FileIo extends Context.Service<FileIo, Service>()("@effect-fileio/client/FileIo") {}

/**
 * The host, the key, and time-outs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Address of the host. @default https://file.io */
  readonly baseUrl?: string | URL | undefined
  /** The account's key; without one, calls are anonymous. */
  readonly apiKey?: Redacted.Redacted | undefined
  /**
   * Headers for every request to the host, for example for a gateway; no other host gets them. Make secrets `Redacted`:
   * no error, log or span contains them. `authorization`, `cookie`, and names with `token`, `secret`, `password` or `api-key` in
   * them are secrets in any case.
   */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  /** Send the key, and headers that are secrets, over plain HTTP to hosts other than this machine. @default false */
  readonly allowInsecureKey?: boolean | undefined
  /**
   * How long to wait for the response after the request was sent. Where that is unknown, as with `fetch` in browsers, a second is
   * added for each 8 KiB of the body. @default 1 minute
   */
  readonly firstByteTimeout?: DurationInput | undefined
  /** How long a transfer may be idle; there is no limit on its whole time. @default 1 minute */
  readonly idleTimeout?: DurationInput | undefined
  /**
   * Check an upload against the limits of `me` before its first byte. This takes a `me` request every few minutes,
   * under the rate limit. Only with a key. @default true
   */
  readonly checkLimits?: boolean | undefined
  /**
   * The smallest body, in bytes, whose upload can be resumed after a break, if the host supports that and the body can be
   * opened at an offset. `Infinity`: none. A resumable upload takes one small request more. @default 4 MiB
   */
  readonly resumableFrom?: number | undefined
}

/**
 * The calls of `makeUploads`.
 *
 * @category models
 * @since 0.1.0
 */
export type Uploads = Pick<Service, "upload" | "me" | "delete">

/**
 * The calls of `makeDownloads`.
 *
 * @category models
 * @since 0.1.0
 */
export type Downloads = Pick<Service, "download" | "downloadBytes">

/**
 * The public host. In 2026 it no longer serves the API: see `NotAnApi`.
 *
 * @category constants
 * @since 0.1.0
 */
export const DEFAULT_BASE_URL = "https://file.io"

/** The request that creates an upload takes a round trip, which is little beside the time that these bytes take. */
const RESUMABLE_FROM = 4 * 1024 * 1024

/** What the calls share: the host, the credentials, the rate limit. */
const makeClient = /* @__PURE__ */ Effect.fnUntraced(function*(
  options: Options | undefined,
  makeLimiter: (client: Omit<Client, "limiter">) => Effect.Effect<Limiter.Limiter, FileIoError.InvalidRequest>
): Effect.fn.Return<Client, InvalidOption, Transport.Transport> {
  const refuse = ({ field, problem }: { readonly field: string; readonly problem: string }) =>
    new InvalidOption({ option: field, problem })
  const { allowInsecureKey = false, apiKey, baseUrl = DEFAULT_BASE_URL, headers = {} } = options ?? {}
  const { firstByteTimeout = "1 minute", idleTimeout = "1 minute" } = options ?? {}
  const credentials = yield* Effect.mapError(Effect.fromResult(Credentials.make(apiKey, headers)), refuse)
  const endpoint = yield* Effect.mapError(
    Effect.fromResult(Endpoint.make(baseUrl, credentials, allowInsecureKey)),
    refuse
  )
  const timeouts = yield* Effect.mapError(Effect.fromResult(Timeouts.make(firstByteTimeout, idleTimeout)), refuse)
  const client = {
    transport: yield* Transport.Transport,
    endpoint,
    credentials,
    timeouts,
    platform: yield* CurrentPlatform,
    // The public host sees nothing of it.
    support: { isKnown: undefined, mayAsk: endpoint.baseUrl !== DEFAULT_BASE_URL },
    resumableFrom: options?.resumableFrom ?? RESUMABLE_FROM
  }
  return { ...client, limiter: yield* Effect.mapError(makeLimiter(client), refuse) }
})

/** What uploads and the calls of an account share. */
const makeSending = /* @__PURE__ */ Effect.fnUntraced(function*(options: Options | undefined) {
  const client = yield* makeClient(options, ({ credentials, endpoint }) =>
    Limiter.make({
      baseUrl: endpoint.baseUrl,
      account: credentials.fingerprint,
      learn: Effect.suspend(() => withRetry(me, RetryPolicy.none))
    }))
  const plan = new UploadLimits(
    Effect.suspend(() => withRetry(me, RetryPolicy.none)),
    client.credentials.hasKey && options?.checkLimits !== false
  )
  const me: Service["me"] = Me.make(client, (account) => plan.remember(account))
  return { client, me, plan, getPage: List.makeGetPage(client), known: Reconcile.makeKnownKeys() }
})

/**
 * Makes the calls over the `Transport` in the context. Fails with `InvalidOption` if an option is invalid.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeTransport = /* @__PURE__ */ Effect.fnUntraced(function*(
  options?: Options
): Effect.fn.Return<Service, InvalidOption, Transport.Transport> {
  const sending = yield* makeSending(options)
  const { client, getPage, known, me, plan } = sending
  const listAll = List.makeAll(getPage)
  const download = DownloadCall.make(client)
  const deleteFile = Delete.make(client)
  return {
    upload: Upload.make(sending),
    uploadOnce: Upload.makeOnce(sending),
    uploadScoped: Upload.makeScoped(sending, deleteFile),
    reconcile: Reconcile.make(getPage, known),
    awaitDownloaded: AwaitDownloaded.make(client, getPage, listAll),
    download,
    downloadBytes: DownloadCall.makeBytes(download),
    list: List.make(getPage),
    listAll,
    me,
    update: Change.makeUpdate(client, plan),
    replace: Change.makeReplace(client, plan),
    waitTime: client.limiter.waitTime,
    status: Status.make(client),
    delete: deleteFile
  }
})

/**
 * Makes only the calls of senders, over the `Transport` in the context, so that a bundler leaves the others out of a page.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeUploads = /* @__PURE__ */ Effect.fnUntraced(function*(
  options?: Options
): Effect.fn.Return<Uploads, InvalidOption, Transport.Transport> {
  const sending = yield* makeSending(options)
  return { upload: Upload.make(sending), me: sending.me, delete: Delete.make(sending.client) }
})

/**
 * Makes only the calls of receivers, over the `Transport` in the context, so that a bundler leaves the others out of a page.
 *
 * **Details**
 *
 * Receivers have no account, so these calls have no rate limit (`RateLimit`). After a 429 they wait as long as the host asks.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeDownloads = /* @__PURE__ */ Effect.fnUntraced(function*(
  options?: Options
): Effect.fn.Return<Downloads, InvalidOption, Transport.Transport> {
  const download = DownloadCall.make(yield* makeClient(options, () => Effect.succeed(Pauses.make())))
  return { download, downloadBytes: DownloadCall.makeBytes(download) }
})

/**
 * Makes the calls over the `HttpClient` in the context. Fails with `InvalidOption` if an option is invalid.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: Options
): Effect.Effect<Service, InvalidOption, HttpClient.HttpClient> =>
  Effect.flatMap(
    HttpClient.HttpClient,
    (client) => Effect.provideService(makeTransport(options), Transport.Transport, Transport.fromHttpClient(client))
  )

/**
 * Applies another retry policy to the calls of an effect.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withRetry: {
  (policy: RetryPolicy.RetryPolicy): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(effect: Effect.Effect<A, E, R>, policy: RetryPolicy.RetryPolicy): Effect.Effect<A, E, R>
} = /* @__PURE__ */ dual(
  2,
  <A, E, R>(effect: Effect.Effect<A, E, R>, policy: RetryPolicy.RetryPolicy): Effect.Effect<A, E, R> =>
    Effect.provideService(effect, RetryPolicy.CurrentRetryPolicy, policy)
)

/**
 * The service over the `HttpClient` in the context. Fails with `InvalidOption` if an option is invalid.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Options
): Layer.Layer<FileIo, InvalidOption, HttpClient.HttpClient> => Layer.effect(FileIo, make(options))

/**
 * The service over the `Transport` in the context, in place of an `HttpClient`. Fails with `InvalidOption` if an
 * option is invalid.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTransport = (
  options?: Options
): Layer.Layer<FileIo, InvalidOption, Transport.Transport> => Layer.effect(FileIo, makeTransport(options))

/**
 * Options from the configuration: `FILEIO_BASE_URL`, `FILEIO_API_KEY` and `FILEIO_HEADERS` (lines of `Name: value`),
 * both kept redacted, `FILEIO_ALLOW_INSECURE_KEY`, `FILEIO_FIRST_BYTE_TIMEOUT`, `FILEIO_IDLE_TIMEOUT` (such as `30
 * seconds`) and `FILEIO_CHECK_LIMITS`; all are optional. See `Variable` of core for the forms of times and switches.
 *
 * @category configuration
 * @since 0.1.0
 */
export const config: Config.Config<Options> = /* @__PURE__ */ (() =>
  Config.all({
    baseUrl: Variable.withDefault("FILEIO_BASE_URL", Variable.text, DEFAULT_BASE_URL),
    apiKey: Variable.secret("FILEIO_API_KEY"),
    headers: Credentials.config,
    allowInsecureKey: Variable.withDefault("FILEIO_ALLOW_INSECURE_KEY", Variable.flag, false),
    firstByteTimeout: Variable.withDefault("FILEIO_FIRST_BYTE_TIMEOUT", Variable.duration, Duration.minutes(1)),
    idleTimeout: Variable.withDefault("FILEIO_IDLE_TIMEOUT", Variable.duration, Duration.minutes(1)),
    checkLimits: Variable.withDefault("FILEIO_CHECK_LIMITS", Variable.flag, true)
  }))()

/**
 * The service, configured by `config`, or by your own configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options> = config
): Layer.Layer<FileIo, InvalidOption | Config.ConfigError, HttpClient.HttpClient> =>
  Layer.effect(FileIo, Effect.flatMap(Config.unwrap(options), make))
