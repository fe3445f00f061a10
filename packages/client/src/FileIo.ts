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
import type * as FileName from "@effect-fileio/core/FileName"
import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Variable from "@effect-fileio/core/Variable"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpMethod from "effect/http/HttpMethod"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as FileBody from "./FileBody.ts"
import { isGivingUp } from "./Flight.ts"
import * as Budget from "./internal/budget.ts"
import * as Downloading from "./internal/calls/download.ts"
import * as Limits from "./internal/calls/planLimits.ts"
import * as Lookup from "./internal/calls/reconcile.ts"
import * as Traced from "./internal/observe/span.ts"
import * as Metered from "./internal/observe/transferMeter.ts"
import * as Origin from "./internal/request/endpoint.ts"
import * as ExtraHeaders from "./internal/request/extraHeaders.ts"
import * as Multipart from "./internal/request/multipart.ts"
import type * as Refusal from "./internal/request/refusal.ts"
import * as Answer from "./internal/request/response.ts"
import * as Attempts from "./internal/request/retry.ts"
import * as Exchange from "./internal/request/send.ts"
import { Failure, storedOf, unexpected } from "./internal/shared/failure.ts"
import * as Progress from "./Progress.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import * as Sha256 from "./Sha256.ts"

/**
 * Settings of a new file, and how its upload is watched.
 *
 * @category models
 * @since 0.1.0
 */
export interface UploadOptions extends FileSettings.Input {
  /** Is told of the progress. */
  readonly onProgress?: Progress.Listener | undefined
  /**
   * What to do when the answer is lost, so that it is not known whether the host has the file. `fail` says so with
   * `stored: "unknown"`. `reconcile` looks for the file in the account's list: if it is there, it is the result; if it is
   * not, the upload is sent again (as often as the retry policy allows and the body can be opened), or fails with
   * `stored: "no"`. It needs a key. @default fail
   */
  readonly onUnknown?: "fail" | "reconcile" | undefined
}

/**
 * An upload whose answer was lost.
 *
 * @category models
 * @since 0.1.0
 */
export interface LostUpload {
  /** Name that the file was sent with. */
  readonly name: string
  /** Its size in bytes. */
  readonly size: number
  /** When it was sent, or any time before that at which no other file of that name and size was sent. */
  readonly sentAt: DateTime.DateTime
}

/**
 * What became of a file that others are to download. `Taken`: its downloads are used up, or it was deleted before it
 * expired, which looks the same.
 *
 * @category models
 * @since 0.1.0
 */
export type FileState =
  | { readonly _tag: "Available"; readonly file: FileDetails.FileDetails }
  | { readonly _tag: "Taken"; readonly file: FileDetails.FileDetails }
  | { readonly _tag: "Expired"; readonly file: FileDetails.FileDetails }

/**
 * What is changed of a file: its settings, its content, or both.
 *
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
 * How a download is watched and checked.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadOptions {
  /** Is told of the progress. */
  readonly onProgress?: Progress.Listener | undefined
  /** SHA-256 that the file must have, in hexadecimal. @default what the link carries (`#sha256=…`), else none */
  readonly sha256?: string | undefined
}

/**
 * A download that broke, to go on with. `FileTransfer.downloadFile` does so by itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resume {
  /** How many bytes are there already. */
  readonly offset: number
  /** The `validator` of the download that broke. */
  readonly validator: string
  /** Size of the whole file in bytes, where it is known; the rest of a file of another size is refused. */
  readonly size?: number | undefined
  /** The bytes that are there already; without them a digest cannot be checked. */
  readonly content?: Stream.Stream<Uint8Array, FileIoError.FileIoError> | undefined
}

/**
 * As for any download, and where it begins.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadStreamOptions extends DownloadOptions {
  /** Goes on with a download that broke. The host may begin anew instead: then `offset` is 0. */
  readonly resume?: Resume | undefined
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
  /** Size of the whole file in bytes; `undefined` when the host does not tell. */
  readonly size: number | undefined
  /** Where in the file `stream` begins; 0 unless the download was resumed. */
  readonly offset: number
  /** A strong `ETag`, by which the host knows this download again; `undefined` when it cannot resume. */
  readonly validator: string | undefined
  /** SHA-256 in hexadecimal that was asked for, or that the link carried. */
  readonly sha256: string | undefined
  /**
   * The bytes. Where the host can resume, it goes on by itself when the connection breaks. Fails when the bytes end early,
   * are too many, stop coming, or have another digest than `sha256`.
   */
  readonly stream: Stream.Stream<Uint8Array, FileIoError.FileIoError>
}

/**
 * A download in memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface DownloadedBytes extends Omit<Download, "stream" | "validator" | "size" | "sha256" | "offset"> {
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
 * Which of the account's files are listed, in which order.
 *
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
 * Which of the account's files are listed, in which order, and how many a call.
 *
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
  /** Uploads a file that is deleted when the scope closes: by success, failure or interruption. Needs a key. */
  readonly uploadScoped: (
    body: FileBody.FileBody,
    options?: UploadOptions
  ) => Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError, Scope.Scope>
  /**
   * Looks for the file of an upload whose answer was lost, by its name, size and time, among the files of the account.
   * Fails when several fit. Needs a key.
   */
  readonly reconcile: (
    upload: LostUpload
  ) => Effect.Effect<Option.Option<FileDetails.FileDetails>, FileIoError.FileIoError>
  /**
   * The states of a file, whenever they change, until it was taken or has expired. A host that says `attempts` also tells
   * of downloads that were begun and are not counted. Each look is a call of `list`, paced by the rate limit. Needs a key.
   */
  readonly awaitDownloaded: (
    keyOrLink: string,
    options?: {
      /** How long to wait between two looks. @default 5 seconds */
      readonly every?: Duration.Input | undefined
    }
  ) => Stream.Stream<FileState, FileIoError.FileIoError>
  /** Begins a download of a key or a link. Closing the scope closes the connection. */
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
 * The host, the key, and how long to wait.
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
   * Headers that every request to the host has, such as those that a gateway before it wants; to no other host. Secrets as
   * `Redacted`: they are in no error, log or span.
   */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  /** Sends the key, and headers that are `Redacted`, over plain HTTP to hosts other than this machine. @default false */
  readonly allowInsecureKey?: boolean | undefined
  /** How long to wait for the answer once the request has been sent. @default 1 minute */
  readonly firstByteTimeout?: Duration.Input | undefined
  /** How long a transfer may stand still; there is no limit on its whole time. @default 1 minute */
  readonly idleTimeout?: Duration.Input | undefined
  /**
   * Compares an upload with the limits that `me` tells before its first byte is sent. It costs a call of `me` every few
   * minutes, which the rate limit shares. Only with a key. @default true
   */
  readonly checkLimits?: boolean | undefined
}

/**
 * The public host. In 2026 it does not answer as an API: see `NotAnApi`.
 *
 * @category constants
 * @since 0.1.0
 */
export const DEFAULT_BASE_URL = "https://file.io"

/** How long a plan is remembered. */
const PLAN_MILLIS = 5 * 60 * 1000
/** How long an upload waits to learn the limits; a host that is slower says them when it gets the file. */
const PLAN_PATIENCE_MILLIS = 10_000

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
  // A transport that gives up when it is told to needs no scope for that.
  const scopedHttp = isGivingUp(http) ? http : HttpClient.withScope(http)
  const sha256 = yield* Sha256.CurrentSha256
  const origin = yield* Effect.mapError(
    Effect.fromResult(
      Origin.make(
        options?.baseUrl ?? DEFAULT_BASE_URL,
        options?.apiKey,
        options?.allowInsecureKey ?? false,
        options?.headers ?? {}
      )
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
  const budget = yield* Budget.open({
    baseUrl: origin.baseUrl,
    apiKey: origin.apiKey,
    learn: Effect.suspend(() => withRetry(me, RetryPolicy.none))
  })

  const callOf = (operation: FileIoError.Operation, link?: FileKey.FileLink): Refusal.Call => ({
    operation,
    key: link?.key,
    host: origin.host,
    linkHost: link?.host,
    idle: timeouts.idle,
    quote: origin.quote
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

  const unauthenticated = (operation: FileIoError.Operation) =>
    Attempts.toError(operation, new Failure("local", new FileIoError.Unauthorized({ status: 0 })))

  const authenticated = (operation: FileIoError.Operation) =>
    origin.apiKey !== undefined ? Effect.void : Effect.fail(unauthenticated(operation))

  const headers = {
    json: Headers.fromInput({ ...origin.headers, accept: "application/json" }),
    any: Headers.fromInput({ ...origin.headers, accept: "*/*" })
  }
  const request = (method: HttpMethod.HttpMethod, path: string, accept: "json" | "any") =>
    HttpClientRequest.makeWith(
      method,
      origin.baseUrl + path,
      UrlParams.empty,
      Option.none(),
      headers[accept],
      HttpBody.empty
    )

  interface Sending {
    readonly body: FileBody.FileBody | FileBody.OneShotBody | undefined
    readonly fields: FileSettings.Fields
    readonly onProgress: Progress.Listener | undefined
    readonly tally?: Exchange.Tally | undefined
  }

  type Reader<A> = (call: Refusal.Call, answered: Exchange.Answered) => Effect.Effect<A, Failure>

  /** A call whose whole answer is JSON. */
  const ask = <A>(
    call: Refusal.Call,
    method: HttpMethod.HttpMethod,
    path: string,
    read: Reader<A>
  ): Effect.Effect<A, FileIoError.FileIoError> => {
    const asking = request(method, path, "json")
    const exchange = {
      host: origin.host,
      timeouts,
      meter: Progress.silent,
      outgoing: undefined,
      isWhole: true,
      mayRepeat: true
    }
    return Attempts.run(
      { operation: call.operation, reopenable: true, budget },
      (_number, before, inTurn) => {
        const answer = Effect.flatMap(
          Exchange.execute(http, asking, { ...exchange, inTurn }),
          (answered) => read(call, answered)
        )
        // A file that is gone when its deletion is repeated was deleted by the attempt before.
        return call.operation === "delete" && before !== undefined && before.stage !== "limited" &&
            before.stage !== "unsent"
          ? Effect.catchIf(
            answer,
            (failure) => failure.reason._tag === "FileNotFound",
            () => Effect.succeed(undefined as A)
          )
          : answer
      }
    )
  }

  /** The same for a call that sends a form. */
  const submit = <A>(
    call: Refusal.Call,
    method: HttpMethod.HttpMethod,
    path: string,
    read: Reader<A>,
    { body, fields, onProgress, tally }: Sending,
    /** What to do about an attempt that failed. */
    recover?: (failure: Failure) => Effect.Effect<A, Failure>
  ): Effect.Effect<A, FileIoError.FileIoError> =>
    Effect.withFiber((fiber) => {
      const meter = body === undefined ? Progress.silent : Metered.meter(fiber, "up", onProgress)
      const isTold = onProgress !== undefined || Traced.isTraced(fiber)
      const asking = request(method, path, "json")
      const sent = Attempts.run(
        {
          operation: call.operation,
          reopenable: body === undefined || body._tag === "FileBody",
          budget,
          onFailure: () => meter.failed
        },
        (_number, _before, inTurn) => {
          const form = Multipart.make(fields, body, fiber.getRef(Random.Random))
          const answer = Effect.flatMap(
            Exchange.execute(http, asking, {
              host: origin.host,
              timeouts,
              meter,
              outgoing: { form, file: body, tally },
              inTurn,
              isWhole: true,
              mayRepeat: call.operation !== "upload"
            }),
            (answered) => read(call, answered)
          )
          const recovered = recover === undefined ? answer : Effect.catch(answer, recover)
          return isTold ? Effect.tap(recovered, meter.finished) : recovered
        }
      )
      return isTold ? Effect.onInterrupt(sent, () => meter.failed) : sent
    })

  const settingsOf = (
    operation: FileIoError.Operation,
    input: FileSettings.Input,
    now: number
  ): Result.Result<FileSettings.FileSettings, FileIoError.FileIoError> => {
    const settings = FileSettings.parse(input)
    if (Result.isFailure(settings)) {
      return Result.fail(invalid(operation, settings.failure.field, settings.failure.problem))
    }
    const { expires } = settings.success
    return expires?._tag === "At" && DateTime.toEpochMillis(expires.time) <= now
      ? Result.fail(invalid(operation, "expires", "the time has passed; allowed: a time in the future"))
      : Result.succeed(settings.success)
  }

  const wrongBody = (operation: FileIoError.Operation, body: FileBody.FileBody | FileBody.OneShotBody) => {
    const checked = FileBody.validate(body)
    return Result.isSuccess(checked)
      ? undefined
      : invalid(operation, checked.failure.field, checked.failure.problem)
  }

  const readDetails = Answer.json(FileDetails.FileDetails)
  const readList = Answer.json(FileList.FileListFromWire)
  const readAccount = Answer.json(Account.AccountFromWire)
  const readNothing = Answer.json(Schema.Unknown, "accept")

  /** What `me` told last; also by the calls of the rate limit. */
  let plan: Limits.Known | undefined
  let planMissingUntil = 0
  const known = Lookup.makeKnownKeys()

  /**
   * Compares with the limits of the plan. What is remembered may allow, but only what was told just now may refuse; gives an
   * effect when that has to be asked for.
   */
  const checkLimits = (
    operation: "upload" | "update" | "replace",
    size: number | undefined,
    settings: FileSettings.FileSettings,
    clock: Clock.Clock
  ): Effect.Effect<void, FileIoError.FileIoError> | undefined => {
    if (origin.apiKey === undefined || options?.checkLimits === false) return undefined
    const now = clock.currentTimeMillisUnsafe()
    const asked = { size, settings }
    if (now < planMissingUntil) return undefined
    if (plan !== undefined && now - plan.at < PLAN_MILLIS && Limits.exceeded(plan, asked, now) === undefined) {
      return undefined
    }
    return withRetry(me, RetryPolicy.none).pipe(
      Effect.timeoutOption(PLAN_PATIENCE_MILLIS),
      Effect.result,
      Effect.flatMap((told) => {
        if (
          told._tag === "Failure" && told.failure.reason._tag === "Unauthorized" && told.failure.reason.status === 401
        ) {
          return Effect.fail(Attempts.toError(operation, new Failure("refused", told.failure.reason)))
        }
        if (told._tag === "Failure" || Option.isNone(told.success) || plan === undefined) {
          // The host says what is too much when it gets it.
          planMissingUntil = clock.currentTimeMillisUnsafe() + PLAN_MILLIS
          return Effect.void
        }
        const limit = Limits.exceeded(plan, asked, clock.currentTimeMillisUnsafe())
        return limit === undefined
          ? Effect.void
          : Effect.fail(Attempts.toError(operation, new Failure("local", limit)))
      })
    )
  }

  const readStored =
    (body: FileBody.FileBody | FileBody.OneShotBody | undefined, tally: Exchange.Tally) =>
    (call: Refusal.Call, answered: Exchange.Answered): Effect.Effect<FileDetails.FileDetails, Failure> =>
      Effect.flatMap(readDetails(call, answered), (file) => {
        if (body === undefined || file.size === undefined || file.size === tally.bytes) return Effect.succeed(file)
        const problem = `it says that it stored ${file.size} bytes, and ${tally.bytes} were sent`
        return Effect.fail(unexpected(answered.response.status, problem))
      })

  const send = (
    body: FileBody.FileBody | FileBody.OneShotBody,
    options: UploadOptions | undefined,
    tally: Exchange.Tally = Exchange.makeTally()
  ): Effect.Effect<FileDetails.FileDetails, FileIoError.FileIoError> =>
    Clock.clockWith((clock) => {
      const wrong = wrongBody("upload", body)
      if (wrong !== undefined) return Effect.fail(wrong)
      const checked = settingsOf("upload", options ?? {}, clock.currentTimeMillisUnsafe())
      if (Result.isFailure(checked)) return Effect.fail(checked.failure)
      const isReconciled = options?.onUnknown === "reconcile"
      if (isReconciled && origin.apiKey === undefined) return Effect.fail(unauthenticated("upload"))
      const settings = checked.success
      const submitted = Effect.suspend(() =>
        submit(
          callOf("upload"),
          "POST",
          "/",
          readStored(body, tally),
          { body, fields: FileSettings.toFields(settings), onProgress: options?.onProgress, tally },
          isReconciled ? recoverUpload(body.name, tally, clock.currentTimeMillisUnsafe()) : undefined
        )
      )
      const limits = checkLimits("upload", body.size, settings, clock)
      return Effect.map(limits === undefined ? submitted : Effect.andThen(limits, submitted), (file) => {
        known.add(file.key)
        if (plan !== undefined) plan.added += tally.bytes
        return file
      })
    })

  /** Looks for an upload whose answer was lost. */
  const recoverUpload = (name: string, tally: Exchange.Tally, sentAt: number) =>
    Effect.fnUntraced(function*(failure: Failure) {
      if (storedOf(failure) !== "unknown") return yield* Effect.fail(failure)
      const look = Effect.suspend(() =>
        Lookup.reconcile(pageWithTime, known, { name, size: tally.bytes, sentAt: DateTime.makeUnsafe(sentAt) })
      )
      const found = yield* Effect.result(Lookup.reconcilePatiently(look))
      if (found._tag === "Failure") return yield* Effect.fail(failure)
      if (Option.isSome(found.success)) return found.success.value
      // After a reset the host has stopped, after a silence it may still be at work.
      return yield* Effect.fail(
        failure.reason._tag === "Unreachable" ? new Failure("absent", failure.reason) : failure
      )
    })

  const upload: Service["upload"] = Traced.fn(
    "FileIo.upload",
    "upload",
    (body, options) => send(body, options)
  )
  const uploadOnce: Service["uploadOnce"] = Traced.fn(
    "FileIo.uploadOnce",
    "upload",
    (body, options) => send(body, options)
  )

  const reconcile: Service["reconcile"] = Traced.fn(
    "FileIo.reconcile",
    "list",
    (lost) => Lookup.reconcile(pageWithTime, known, lost)
  )

  const uploadScoped: Service["uploadScoped"] = Traced.fn(
    "FileIo.uploadScoped",
    "upload",
    Effect.fnUntraced(function*(body, options) {
      yield* authenticated("upload")
      const sentAt = yield* DateTime.now
      const tally = Exchange.makeTally()
      const warn = (problem: string) => (error: FileIoError.FileIoError) => Effect.logWarning(problem, error.message)
      const remove = (key: FileKey.FileKey) =>
        Effect.catch(
          deleteFile(key),
          (error) =>
            error.reason._tag === "FileNotFound"
              ? Effect.void
              : warn("a file that was uploaded for a while could not be deleted")(error)
        )
      // The answer may be lost, or nobody may wait for it any more; the file may be there all the same.
      const sweep = Effect.suspend(() =>
        !tally.complete ? Effect.void : Lookup.reconcilePatiently(
          Effect.suspend(() => Lookup.reconcile(pageWithTime, known, { name: body.name, size: tally.bytes, sentAt }))
        ).pipe(
          Effect.flatMap(Option.match({ onNone: () => Effect.void, onSome: ({ key }) => remove(key) })),
          Effect.catch(warn("it is not known whether an upload that broke off left a file")),
          Effect.timeoutOption("1 minute")
        )
      )
      return yield* Effect.acquireRelease(
        Effect.onExit(
          Effect.interruptible(send(body, options, tally)),
          (exit) =>
            exit._tag === "Success" || Exit.findErrorOption(exit).pipe(Option.exists((error) => error.stored === "no"))
              ? Effect.void
              : sweep
        ),
        ({ key }) => remove(key)
      )
    })
  )

  const download: Service["download"] = Traced.fn(
    "FileIo.download",
    "download",
    Downloading.make({ http: scopedHttp, host: origin.host, timeouts, budget, sha256, callOf, linkOf, request })
  )

  const downloadBytes: Service["downloadBytes"] = Traced.fn(
    "FileIo.downloadBytes",
    "download",
    Effect.fnUntraced(function*(keyOrLink, options) {
      const { contentType, key, name, size, stream } = yield* download(keyOrLink, options)
      return { key, name, contentType, bytes: yield* Downloading.collect(stream, size) }
    }, Effect.scoped)
  )

  const pageWithTime = Effect.fnUntraced(function*(options: ListOptions) {
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
    return yield* ask(
      callOf("list"),
      "GET",
      text === "" ? "/" : `/?${text}`,
      (call, answered) =>
        Effect.map(readList(call, answered), (list): Lookup.Page => {
          const hostTime = Date.parse(answered.response.headers["date"] ?? "")
          return { list, hostTime: Number.isNaN(hostTime) ? undefined : hostTime }
        })
    )
  })

  const page = (options: ListOptions) => Effect.map(pageWithTime(options), ({ list }) => list)

  const list: Service["list"] = Traced.fn("FileIo.list", "list", (options) => page(options ?? {}))

  /** Where in a list a page begins, and the key that the page before it began with. */
  interface Position {
    readonly offset: number
    readonly first: string | undefined
  }

  const listAll: Service["listAll"] = (options) =>
    Stream.paginate(
      { offset: options?.offset ?? 0, first: undefined } as Position,
      Traced.fn(
        "FileIo.listAll",
        "list",
        Effect.fnUntraced(function*({ first, offset }: Position) {
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
        })
      )
    )

  const me: Service["me"] = Traced.effect(
    "FileIo.me",
    "me",
    origin.apiKey === undefined
      ? Effect.suspend(() => Effect.fail(unauthenticated("me")))
      : budget.teaching(
        ask(
          callOf("me"),
          "GET",
          "/me",
          (call, answered) =>
            Effect.flatMap(readAccount(call, answered), (account) =>
              Clock.clockWith((clock) => {
                plan = { account, at: clock.currentTimeMillisUnsafe(), added: 0 }
                return Effect.succeed(account)
              }))
        )
      )
  )

  const change = Effect.fnUntraced(function*(
    operation: "update" | "replace",
    method: "PATCH" | "PUT",
    keyOrLink: string,
    options: UpdateOptions
  ) {
    yield* authenticated(operation)
    const link = yield* linkOf(operation, keyOrLink)
    const { file, onProgress, ...settings } = options
    const wrong = file === undefined ? undefined : wrongBody(operation, file)
    if (wrong !== undefined) return yield* wrong
    const clock = yield* Clock.Clock
    const parsed = yield* Effect.fromResult(settingsOf(operation, settings, clock.currentTimeMillisUnsafe()))
    const fields = FileSettings.toFields(parsed)
    if (operation === "update" && file === undefined && Object.keys(fields).length === 0) {
      return yield* invalid(operation, "options", "nothing to change; give a file or a setting")
    }
    const limits = file === undefined ? undefined : checkLimits(operation, file.size, parsed, clock)
    if (limits !== undefined) yield* limits
    const tally = Exchange.makeTally()
    return yield* submit(
      callOf(operation, link),
      method,
      `/${link.key}`,
      readStored(file, tally),
      { body: file, fields, onProgress, tally }
    )
  })

  const update: Service["update"] = Traced.fn(
    "FileIo.update",
    "update",
    (keyOrLink, options) => change("update", "PATCH", keyOrLink, options)
  )
  const replace: Service["replace"] = Traced.fn(
    "FileIo.replace",
    "replace",
    (keyOrLink, options) => change("replace", "PUT", keyOrLink, options)
  )

  const deleteFile: Service["delete"] = Traced.fn(
    "FileIo.delete",
    "delete",
    Effect.fnUntraced(function*(keyOrLink) {
      yield* authenticated("delete")
      const link = yield* linkOf("delete", keyOrLink)
      yield* ask(callOf("delete", link), "DELETE", `/${link.key}`, readNothing)
    })
  )

  const awaitDownloaded: Service["awaitDownloaded"] = (keyOrLink, options) =>
    Stream.unwrap(Effect.gen(function*() {
      yield* authenticated("list")
      const { key } = yield* linkOf("list", keyOrLink)
      const every = Option.filter(Duration.fromInput(options?.every ?? "5 seconds"), Duration.isPositive)
      if (Option.isNone(every)) {
        return yield* invalid("list", "every", "allowed: a positive duration, such as 5 seconds")
      }
      return Lookup.awaitDownloaded({ page: pageWithTime, listAll, key, every: every.value })
    }))

  return {
    upload,
    uploadOnce,
    uploadScoped,
    reconcile,
    awaitDownloaded,
    download,
    downloadBytes,
    list,
    listAll,
    me,
    update,
    replace,
    delete: deleteFile
  }
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
} = /* @__PURE__ */ dual(
  2,
  <A, E, R>(effect: Effect.Effect<A, E, R>, policy: RetryPolicy.RetryPolicy): Effect.Effect<A, E, R> =>
    Effect.provideService(effect, RetryPolicy.CurrentRetryPolicy, policy)
)

/**
 * The service over the `HttpClient` at hand. Fails with `InvalidRequest` when an option is wrong.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Options
): Layer.Layer<FileIo, FileIoError.FileIoError, HttpClient.HttpClient> => Layer.effect(FileIo, make(options))

/**
 * The options out of the configuration: `FILEIO_BASE_URL`, `FILEIO_API_KEY` and `FILEIO_HEADERS` (lines of `Name: value`), both
 * kept redacted, `FILEIO_ALLOW_INSECURE_KEY`, `FILEIO_FIRST_BYTE_TIMEOUT`, `FILEIO_IDLE_TIMEOUT` (such as `30 seconds`) and
 * `FILEIO_CHECK_LIMITS`; each may be absent. See `Variable` of core for the forms of times and switches.
 *
 * @category configuration
 * @since 0.1.0
 */
export const config: Config.Config<Options> = /* @__PURE__ */ (() =>
  Config.all({
    baseUrl: Variable.withDefault("FILEIO_BASE_URL", Variable.text, DEFAULT_BASE_URL),
    apiKey: Variable.secret("FILEIO_API_KEY"),
    headers: ExtraHeaders.config,
    allowInsecureKey: Variable.withDefault("FILEIO_ALLOW_INSECURE_KEY", Variable.flag, false),
    firstByteTimeout: Variable.withDefault("FILEIO_FIRST_BYTE_TIMEOUT", Variable.duration, Duration.minutes(1)),
    idleTimeout: Variable.withDefault("FILEIO_IDLE_TIMEOUT", Variable.duration, Duration.minutes(1)),
    checkLimits: Variable.withDefault("FILEIO_CHECK_LIMITS", Variable.flag, true)
  }))()

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
