/**
 * The `FileIo` service: every call of the file.io API as an Effect.
 *
 * @since 0.1.0
 */
import * as Account from "@effect-fileio/core/Account"
import * as FileDetails from "@effect-fileio/core/FileDetails"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileKey from "@effect-fileio/core/FileKey"
import * as FileList from "@effect-fileio/core/FileList"
import * as FileName from "@effect-fileio/core/FileName"
import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpMethod from "effect/http/HttpMethod"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as FileBody from "./FileBody.ts"
import * as Answer from "./internal/answer.ts"
import * as Attempts from "./internal/attempts.ts"
import * as Exchange from "./internal/exchange.ts"
import { Failure } from "./internal/failure.ts"
import * as Multipart from "./internal/multipart.ts"
import * as Origin from "./internal/origin.ts"
import * as Progress from "./Progress.ts"
import * as RateLimit from "./RateLimit.ts"
import * as RetryPolicy from "./RetryPolicy.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface UploadOptions extends FileSettings.Input {
  /** Is told of the progress. */
  readonly onProgress?: Progress.Listener | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface UpdateOptions extends Omit<FileSettings.Input, "title"> {
  /** New content of the file. */
  readonly file?: FileBody.FileBody | undefined
  /** Is told of the progress of the new content. */
  readonly onProgress?: Progress.Listener | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface DownloadOptions {
  /** Is told of the progress. */
  readonly onProgress?: Progress.Listener | undefined
}

/**
 * A download that has begun: the host counts it as taken. The bytes can be read once.
 *
 * @category models
 * @since 0.1.0
 */
export interface Download {
  readonly key: FileKey.FileKey
  /** The file's original name, made safe for any disk. */
  readonly name: FileName.FileName
  /** MIME type that the host gives. */
  readonly contentType: string | undefined
  /** Size in bytes; `undefined` when the host does not tell. */
  readonly size: number | undefined
  /** A strong `ETag`, by which a host that can resume knows this download again. */
  readonly validator: string | undefined
  /** SHA-256 in hexadecimal that the link carried; it is not checked here. */
  readonly sha256: string | undefined
  /** The bytes. Fails when they end early, are too many, or stop coming. */
  readonly stream: Stream.Stream<Uint8Array, FileIoError.FileIoError>
}

/**
 * A download in memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadedBytes extends Omit<Download, "stream" | "validator" | "size" | "sha256"> {
  readonly bytes: Uint8Array
}

/**
 * The fields by which a list can be sorted; a `-` before one turns the order around.
 *
 * @category models
 * @since 0.1.0
 */
export type SortField =
  | "name"
  | "size"
  | "expires"
  | "created"
  | "modified"
  | "downloads"
  | "maxDownloads"
  | "title"
  | "key"
  | "mimeType"

/**
 * @category models
 * @since 0.1.0
 */
export interface ListOptions {
  /** Only files whose name contains this text. */
  readonly search?: string | undefined
  /** Field to sort by, such as `name` or `-created`. @default the host's */
  readonly sort?: SortField | `-${SortField}` | undefined
  /** How many files to pass over. @default 0 */
  readonly offset?: number | undefined
  /** How many files to give at most. @default the host's */
  readonly limit?: number | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface ListAllOptions extends Omit<ListOptions, "limit"> {
  /** How many files to ask for in one call. @default 100 */
  readonly pageSize?: number | undefined
}

/**
 * The calls. Each fails with `FileIoError` alone, and needs nothing.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /** Uploads a file; without a key it belongs to nobody. */
  readonly upload: (
    body: FileBody.FileBody,
    options?: UploadOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError>
  /** Uploads a stream that can be read once; it is never repeated. */
  readonly uploadOnce: (
    body: FileBody.OneShotBody,
    options?: UploadOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError>
  /** Begins a download of a key or a link. Closing the scope closes the connection. */
  readonly download: (
    keyOrLink: string,
    options?: DownloadOptions
  ) => Effect.Effect<Download, FileIoError.FileIoError, Scope.Scope>
  /** Downloads a file into memory; for large files use `download` or `FileTransfer.downloadFile`. */
  readonly downloadBytes: (
    keyOrLink: string,
    options?: DownloadOptions
  ) => Effect.Effect<DownloadedBytes, FileIoError.FileIoError>
  /** One page of the account's files. Needs a key. */
  readonly list: (options?: ListOptions) => Effect.Effect<FileList.FileList, FileIoError.FileIoError>
  /** All of the account's files, page by page as they are taken. Needs a key. */
  readonly listAll: (options?: ListAllOptions) => Stream.Stream<FileDetails.FileDetails, FileIoError.FileIoError>
  /** The account and its plan. Needs a key. */
  readonly me: Effect.Effect<Account.Account, FileIoError.FileIoError>
  /** Changes what is given and keeps the rest (PATCH). Needs a key. */
  readonly update: (
    keyOrLink: string,
    options: UpdateOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError>
  /** Changes what is given and resets the rest to the host's defaults (PUT). Needs a key. */
  readonly replace: (
    keyOrLink: string,
    options: UpdateOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError>
  /** Deletes a file. Needs a key. */
  readonly delete: (keyOrLink: string) => Effect.Effect<void, FileIoError.FileIoError>
}

/**
 * The service. For two accounts in one program, make a service of your own for each with `make`.
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
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Address of the host. @default https://file.io */
  readonly baseUrl?: string | URL | undefined
  /** The account's key; without one, calls are anonymous. */
  readonly apiKey?: Redacted.Redacted | undefined
  /** Sends the key over plain HTTP to hosts other than this machine. @default false */
  readonly allowInsecureKey?: boolean | undefined
  /** How long to wait for the answer once the request has been sent. @default 1 minute */
  readonly firstByteTimeout?: Duration.Input | undefined
  /** How long a transfer may stand still; there is no limit on its whole time. @default 1 minute */
  readonly idleTimeout?: Duration.Input | undefined
}

/**
 * @category constants
 * @since 0.1.0
 */
export const DEFAULT_BASE_URL = "https://file.io"

const invalid = (operation: FileIoError.Operation, field: string, problem: string) =>
  Attempts.toError(operation, new Failure("local", new FileIoError.InvalidRequest({ field, problem })))

const isCount = (value: number, from: number): boolean => Number.isSafeInteger(value) && value >= from

/**
 * Makes the calls over the `HttpClient` at hand. Fails with `InvalidRequest` when an option is wrong.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options?: Options
): Effect.fn.Return<Service, FileIoError.FileIoError, HttpClient.HttpClient> {
  const http = yield* HttpClient.HttpClient
  const scopedHttp = HttpClient.withScope(http)
  const origin = yield* Effect.mapError(
    Effect.fromResult(
      Origin.make(options?.baseUrl ?? DEFAULT_BASE_URL, options?.apiKey, options?.allowInsecureKey ?? false)
    ),
    ({ field, problem }) => invalid("configure", field, problem)
  )
  const timeout = (field: "firstByteTimeout" | "idleTimeout") => {
    const duration = Option.filter(Duration.fromInput(options?.[field] ?? "1 minute"), Duration.isPositive)
    return Option.isSome(duration)
      ? Effect.succeed(duration.value)
      : Effect.fail(invalid("configure", field, "allowed: a positive duration, such as 30 seconds"))
  }
  const timeouts: Exchange.Timeouts = {
    firstByte: yield* timeout("firstByteTimeout"),
    idle: yield* timeout("idleTimeout")
  }
  const rateLimit = yield* RateLimit.CurrentRateLimit
  const budget = yield* rateLimit.open({ baseUrl: origin.baseUrl, apiKey: origin.apiKey })

  const callOf = (operation: FileIoError.Operation, link?: FileKey.FileLink): Answer.Call => ({
    operation,
    key: link?.key,
    host: origin.host,
    linkHost: link?.host,
    idle: timeouts.idle,
    redact: origin.redact
  })

  /** Reads the caller's key or link. */
  const linkOf = (operation: FileIoError.Operation, keyOrLink: string) => {
    const link = typeof keyOrLink === "string"
      ? FileKey.parse(keyOrLink)
      : Result.fail("allowed: a key or a link, as text")
    return Result.isSuccess(link)
      ? Effect.succeed(link.success)
      : Effect.fail(invalid(operation, "key", link.failure))
  }

  const authenticated = (operation: FileIoError.Operation) =>
    origin.apiKey !== undefined
      ? Effect.void
      : Effect.fail(Attempts.toError(operation, new Failure("local", new FileIoError.Unauthorized({ status: 0 }))))

  const request = (method: HttpMethod.HttpMethod, path: string, accept: string) =>
    HttpClientRequest.make(method)(origin.baseUrl + path, { headers: { ...origin.headers, accept } })

  const onFailure = (failure: Failure) =>
    failure.reason._tag === "RateLimited" ? budget.refused(failure.reason.retryAfter) : Effect.void

  /** A call whose whole answer is JSON. */
  const ask = <A>(
    call: Answer.Call,
    method: HttpMethod.HttpMethod,
    path: string,
    read: (call: Answer.Call, response: Parameters<ReturnType<typeof Answer.json>>[1]) => Effect.Effect<A, Failure>,
    sending?: {
      readonly body: FileBody.FileBody | FileBody.OneShotBody | undefined
      readonly fields: FileSettings.Fields
      readonly onProgress: Progress.Listener | undefined
    }
  ): Effect.Effect<A, FileIoError.FileIoError> =>
    Effect.gen(function*() {
      const meter = yield* Progress.meter(sending?.body === undefined ? undefined : sending.onProgress)
      return yield* Attempts.run(
        {
          operation: call.operation,
          reopenable: sending?.body === undefined || sending.body._tag === "FileBody",
          onFailure: (failure) => Effect.andThen(meter.failed, onFailure(failure))
        },
        Effect.fnUntraced(function*(_number, before) {
          const outgoing = sending === undefined
            ? undefined
            : { form: yield* Multipart.make(sending.fields, sending.body), file: sending.body }
          const exchange = Exchange.execute(http, request(method, path, "application/json"), {
            host: origin.host,
            timeouts,
            meter,
            outgoing
          })
          const response = yield* limited(exchange)
          const answer = read(call, response)
          // A file that is gone when its deletion is repeated was deleted by the attempt before.
          const result = call.operation === "delete" && before !== undefined && before.stage !== "limited" &&
              before.stage !== "unsent"
            ? Effect.catchIf(
              answer,
              (failure) => failure.reason._tag === "FileNotFound",
              () => Effect.succeed(undefined as A)
            )
            : answer
          const value = yield* result
          yield* meter.finished
          return value
        })
      )
    })

  /** A request in its turn. A limit that cannot be waited for is a refusal before anything was sent. */
  const limited = <A, R>(exchange: Effect.Effect<A, Failure, R>): Effect.Effect<A, Failure, R> =>
    Effect.mapError(
      budget.run(exchange),
      (error) => error._tag === "Failure" ? error : new Failure("local", error)
    )

  const settingsOf = Effect.fnUntraced(function*(operation: FileIoError.Operation, input: FileSettings.Input) {
    const settings = FileSettings.parse(input)
    if (Result.isFailure(settings)) return yield* invalid(operation, settings.failure.field, settings.failure.problem)
    const { expires } = settings.success
    if (expires?._tag === "At" && !(yield* DateTime.isFuture(expires.time))) {
      return yield* invalid(operation, "expires", "the time has passed; allowed: a time in the future")
    }
    return FileSettings.toFields(settings.success)
  })

  const checkBody = (operation: FileIoError.Operation, body: FileBody.FileBody | FileBody.OneShotBody) => {
    const checked = FileBody.validate(body)
    return Result.isSuccess(checked)
      ? Effect.void
      : Effect.fail(invalid(operation, checked.failure.field, checked.failure.problem))
  }

  const readDetails = Answer.json(FileDetails.FileDetails)
  const readList = Answer.json(FileList.FileListFromWire)
  const readAccount = Answer.json(Account.AccountFromWire)
  const readNothing = Answer.json(Schema.Unknown, "accept")

  const send = Effect.fnUntraced(function*(
    body: FileBody.FileBody | FileBody.OneShotBody,
    options: UploadOptions | undefined
  ) {
    yield* checkBody("upload", body)
    const fields = yield* settingsOf("upload", options ?? {})
    return yield* ask(callOf("upload"), "POST", "/", readDetails, { body, fields, onProgress: options?.onProgress })
  })

  const upload: Service["upload"] = Effect.fn("FileIo.upload")(send, traced("upload"))
  const uploadOnce: Service["uploadOnce"] = Effect.fn("FileIo.uploadOnce")(send, traced("upload"))

  const download: Service["download"] = Effect.fn("FileIo.download")(function*(keyOrLink, options) {
    const link = yield* linkOf("download", keyOrLink)
    const call = callOf("download", link)
    const meter = yield* Progress.meter(options?.onProgress)
    const response = yield* Attempts.run(
      { operation: "download", reopenable: true, onFailure },
      Effect.fnUntraced(function*() {
        const response = yield* limited(
          Exchange.execute(scopedHttp, request("GET", `/${link.key}`, "*/*"), {
            host: origin.host,
            timeouts,
            meter,
            outgoing: undefined
          })
        )
        if (response.status !== 200) return yield* Answer.refuse(call, response)
        const other = yield* Answer.notAFile(call, response)
        return other === undefined ? response : yield* Effect.fail(other)
      })
    )
    const disposition = response.headers["content-disposition"]
    const given = disposition === undefined ? Option.none() : FileName.fromContentDisposition(disposition)
    const length = response.headers["content-length"]
    // A length of the encoded bytes says nothing about the file.
    const encoded = response.headers["content-encoding"] !== undefined
    const size = length === undefined || encoded || !/^\d+$/.test(length) ? undefined : Number(length)
    const etag = response.headers["etag"]
    return {
      key: link.key,
      name: FileName.sanitize(Option.getOrElse(given, () => link.key)),
      contentType: response.headers["content-type"],
      size,
      validator: etag === undefined || etag.startsWith("W/") ? undefined : etag,
      sha256: link.sha256,
      stream: received(call, response, size, meter)
    }
  }, traced("download"))

  const downloadBytes: Service["downloadBytes"] = Effect.fn("FileIo.downloadBytes")(function*(keyOrLink, options) {
    const { contentType, key, name, stream } = yield* download(keyOrLink, options)
    return { key, name, contentType, bytes: yield* Stream.mkUint8Array(stream) }
  }, Effect.scoped)

  const page = Effect.fnUntraced(function*(options: ListOptions) {
    yield* authenticated("list")
    if (options.offset !== undefined && !isCount(options.offset, 0)) {
      return yield* invalid("list", "offset", "allowed: a whole number from 0")
    }
    if (options.limit !== undefined && !isCount(options.limit, 1)) {
      return yield* invalid("list", "limit", "allowed: a whole number from 1")
    }
    if (options.sort !== undefined && !/^-?[A-Za-z]+$/.test(options.sort)) {
      return yield* invalid("list", "sort", "allowed: the name of a field, such as name, or -created to turn it around")
    }
    const query = new URLSearchParams()
    for (const name of ["search", "sort", "offset", "limit"] as const) {
      if (options[name] !== undefined) query.set(name, String(options[name]))
    }
    const text = query.toString()
    return yield* ask(callOf("list"), "GET", text === "" ? "/" : `/?${text}`, readList)
  })

  const list: Service["list"] = Effect.fn("FileIo.list")((options) => page(options ?? {}), traced("list"))

  const listAll: Service["listAll"] = (options) =>
    Stream.paginate(
      { offset: options?.offset ?? 0, first: undefined as string | undefined },
      Effect.fn("FileIo.listAll")(function*({ first, offset }) {
        const { pageSize, ...rest } = options ?? {}
        const limit = pageSize ?? 100
        const { count, files } = yield* page({ ...rest, offset, limit })
        const key = files[0]?.key
        // A host that does not know `offset` gives the first page for ever.
        if (key === undefined || key === first) return [[], Option.none()] as const
        const next = offset + files.length
        // `count` is of all pages on some hosts and of this page on others; it is only trusted on a short page.
        const isLast = files.length < limit && (count > files.length || offset === 0) && next >= count
        return [files, isLast ? Option.none() : Option.some({ offset: next, first: key })] as const
      }, traced("list"))
    )

  const me: Service["me"] = Effect.andThen(
    authenticated("me"),
    ask(callOf("me"), "GET", "/me", readAccount)
  ).pipe(Effect.withSpan("FileIo.me"), traced("me"))

  const change = Effect.fnUntraced(function*(
    operation: "update" | "replace",
    method: "PATCH" | "PUT",
    keyOrLink: string,
    options: UpdateOptions
  ) {
    yield* authenticated(operation)
    const link = yield* linkOf(operation, keyOrLink)
    const { file, onProgress, ...settings } = options
    if (file !== undefined) yield* checkBody(operation, file)
    const fields = yield* settingsOf(operation, settings)
    if (operation === "update" && file === undefined && Object.keys(fields).length === 0) {
      return yield* invalid(operation, "options", "nothing to change; give a file or a setting")
    }
    return yield* ask(callOf(operation, link), method, `/${link.key}`, readDetails, { body: file, fields, onProgress })
  })

  const update: Service["update"] = Effect.fn("FileIo.update")(
    (keyOrLink, options) => change("update", "PATCH", keyOrLink, options),
    traced("update")
  )
  const replace: Service["replace"] = Effect.fn("FileIo.replace")(
    (keyOrLink, options) => change("replace", "PUT", keyOrLink, options),
    traced("replace")
  )

  const remove: Service["delete"] = Effect.fn("FileIo.delete")(function*(keyOrLink) {
    yield* authenticated("delete")
    const link = yield* linkOf("delete", keyOrLink)
    yield* ask(callOf("delete", link), "DELETE", `/${link.key}`, readNothing)
  }, traced("delete"))

  return { upload, uploadOnce, download, downloadBytes, list, listAll, me, update, replace, delete: remove }
})

/** Names the operation in every log line of it. */
const traced = (operation: FileIoError.Operation) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.annotateLogs(effect, "fileio.operation", operation)

/** The bytes of a download, counted. */
const received = (
  call: Answer.Call,
  response: Parameters<typeof Exchange.incoming>[0],
  size: number | undefined,
  meter: Progress.Meter
): Stream.Stream<Uint8Array, FileIoError.FileIoError> =>
  Stream.suspend(() => {
    let done = 0
    const failure = (stage: "begun" | "received", problem: string, cause?: unknown) =>
      Attempts.toError(
        "download",
        new Failure(
          stage,
          new FileIoError.TransferInterrupted({
            bytesDone: done,
            ...(size === undefined ? {} : { bytesExpected: size }),
            resumable: response.headers["accept-ranges"] === "bytes" && response.headers["etag"] !== undefined,
            problem,
            ...(cause === undefined ? {} : { cause })
          })
        )
      )
    const complete = Effect.suspend(() =>
      size !== undefined && done < size
        ? Effect.fail(failure("begun", "the host ended it early"))
        : done === 0
        ? Effect.fail(Attempts.toError(
          "download",
          new Failure(
            "begun",
            new FileIoError.UnexpectedResponse({ status: 200, problem: "the body is empty, and no file is" })
          )
        ))
        : meter.finished
    )
    return Exchange.incoming(response, call.idle).pipe(
      Stream.mapError((error) => {
        if (error._tag === "TimedOut") return Attempts.toError("download", new Failure("begun", error))
        const { cause, problem } = Answer.interrupted(error)
        return failure("begun", problem, cause)
      }),
      Stream.mapArrayEffect((chunks) => {
        let bytes = 0
        for (const chunk of chunks) bytes += chunk.length
        done += bytes
        if (size !== undefined && done > size) {
          return Effect.fail(failure("received", "the host sent more bytes than it announced"))
        }
        const told = meter.advance(bytes)
        return told === undefined ? Effect.succeed(chunks) : Effect.as(told, chunks)
      }),
      Stream.concat(Stream.drain(Stream.fromEffect(complete))),
      Stream.onStart(meter.started(size)),
      Stream.onExit((exit) => exit._tag === "Failure" ? meter.failed : Effect.void)
    )
  })

/**
 * Makes the calls of one effect obey another retry policy.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withRetry: {
  (policy: RetryPolicy.RetryPolicy): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(effect: Effect.Effect<A, E, R>, policy: RetryPolicy.RetryPolicy): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(effect: Effect.Effect<A, E, R>, policy: RetryPolicy.RetryPolicy): Effect.Effect<A, E, R> =>
    Effect.provideService(effect, RetryPolicy.CurrentRetryPolicy, policy)
)

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Options
): Layer.Layer<FileIo, FileIoError.FileIoError, HttpClient.HttpClient> => Layer.effect(FileIo, make(options))

/**
 * The options out of the configuration: `FILEIO_BASE_URL`, `FILEIO_API_KEY` (kept redacted), `FILEIO_ALLOW_INSECURE_KEY`,
 * `FILEIO_FIRST_BYTE_TIMEOUT` and `FILEIO_IDLE_TIMEOUT` (such as `30 seconds`); each may be absent.
 *
 * @category configuration
 * @since 0.1.0
 */
export const config: Config.Config<Options> = Config.all({
  baseUrl: Config.NonEmptyString("FILEIO_BASE_URL").pipe(Config.withDefault(DEFAULT_BASE_URL)),
  apiKey: Config.Redacted("FILEIO_API_KEY").pipe(Config.option, Config.map(Option.getOrUndefined)),
  allowInsecureKey: Config.Boolean("FILEIO_ALLOW_INSECURE_KEY").pipe(Config.withDefault(false)),
  firstByteTimeout: Config.Duration("FILEIO_FIRST_BYTE_TIMEOUT").pipe(Config.withDefault(Duration.minutes(1))),
  idleTimeout: Config.Duration("FILEIO_IDLE_TIMEOUT").pipe(Config.withDefault(Duration.minutes(1)))
})

/**
 * The service, configured by `config`, or by a configuration of your own.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options> = config
): Layer.Layer<FileIo, FileIoError.FileIoError | Config.ConfigError, HttpClient.HttpClient> =>
  Layer.effect(FileIo, Effect.flatMap(Config.unwrap(options), make))
