/**
 * Uploads that continue after a break, as "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload) specifies. `submit` of
 * `json.ts` calls it for a large body that can be opened at a position, if the host has said that it supports this.
 *
 * The upload is created by an empty request, whose response has its address. So it works over every transport and through every
 * proxy: interim responses (104) do not. Then the file goes by one request. After a break the host is asked for the offset, which also
 * ends what is left of the broken request, and the next attempt continues from there.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileName from "@effect-fileio/core/FileName"
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Effect from "effect/Effect"
import type * as HttpMethod from "effect/http/HttpMethod"
import type * as FileBody from "../../FileBody.ts"
import type { Resumption } from "../../FileIoModels.ts"
import * as Progress from "../../Progress.ts"
import type * as Transport from "../../Transport.ts"
import type { WithPermit } from "../limit/limiter.ts"
import type * as Refusal from "../request/refusal.ts"
import * as Response from "../request/response.ts"
import * as Retry from "../request/retry.ts"
import * as Send from "../request/send.ts"
import { Failure, unexpected } from "../shared/failure.ts"
import type { JsonCall } from "./json.ts"
import { type Client, request } from "./shared.ts"

const PARTIAL = "application/partial-upload"
const EMPTY = new Uint8Array(0)
/** Stored bytes after which the retry policy's delays and budget restart. */
const ADVANCE_BYTES = 256 * 1024
/** More bytes than transports and systems buffer: if more were sent, some have left this machine. */
const BUFFERED_BYTES = 8 * 1024 * 1024
/** How long a host may take to say whether it supports resumable uploads. */
const OPTIONS_TIMEOUT = "10 seconds"

/** A body that can be opened at a position. */
export type ResumableBody = FileBody.FileBody & {
  readonly size: number
  readonly openAt: NonNullable<FileBody.FileBody["openAt"]>
}

/** Whether a body can be resumed, and is large enough that the request that creates the upload pays. */
export const isResumable = (
  body: FileBody.FileBody | FileBody.OneShotBody | undefined,
  from: number
): body is ResumableBody =>
  body?._tag === "FileBody" && body.openAt !== undefined && body.size !== undefined && body.size >= from

/** What is known of a host: every JSON response of one that supports resumable uploads has `Upload-Limit`. */
export class Support {
  #isSupported: boolean | undefined
  readonly #mayAsk: boolean

  /** `mayAsk`: whether to ask the host with an `OPTIONS` request. */
  constructor(mayAsk: boolean) {
    this.#mayAsk = mayAsk
  }

  /** Learns from a response to another call. */
  learn({ headers, status }: Transport.Response): void {
    if (Response.isSuccess(status)) this.#isSupported = headers["upload-limit"] !== undefined
  }

  /** Whether the host supports resumable uploads; asks it only if no response has said so. */
  known(client: Client, operation: Refusal.Call["operation"]): Effect.Effect<boolean> {
    if (this.#isSupported !== undefined) return Effect.succeed(this.#isSupported)
    if (!this.#mayAsk) return Effect.succeed(false)
    return Retry.once(client.limiter, operation, (withPermit) =>
      Effect.scoped(Effect.map(
        send(client, withPermit, "OPTIONS", `${client.endpoint.baseUrl}/`, {}),
        ({ headers, status }) => {
          this.#isSupported = Response.isSuccess(status) && (headers["accept-patch"] ?? "").includes(PARTIAL)
          return this.#isSupported
        }
      ))).pipe(
        Effect.timeoutOrElse({ duration: OPTIONS_TIMEOUT, orElse: () => Effect.succeed(false) }),
        Effect.orElseSucceed(() => false)
      )
  }
}

/** Sends a request of the extension; without `outgoing` it has no body. */
const send = (
  client: Client,
  withPermit: WithPermit,
  method: HttpMethod.HttpMethod,
  url: string,
  headers: Readonly<Record<string, string>>,
  outgoing?: Send.Outgoing,
  meter: Progress.Meter = Progress.silent
) => {
  const head = request(client, method, "", "application/json")
  return Send.execute({ ...head, url, headers: { ...head.headers, ...headers } }, {
    transport: client.transport,
    host: client.endpoint.host,
    timeouts: client.timeouts,
    meter,
    outgoing,
    withPermit,
    isRepeatable: true
  })
}

/** The address of an upload, if it is on the key's host. */
const locate = (client: Client, location: string | undefined): string | undefined => {
  const base = `${client.endpoint.baseUrl}/`
  if (location === undefined || !URL.canParse(location, base)) return undefined
  const url = new URL(location, base)
  return url.origin === new URL(base).origin ? url.href : undefined
}

const offsetOf = ({ headers }: Transport.Response): number | undefined => {
  const text = headers["upload-offset"]?.trim() ?? ""
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

const isComplete = ({ headers }: Transport.Response): boolean => headers["upload-complete"]?.trim() === "?1"

const gone = new Failure(
  "refused",
  new FileIoError.InvalidRequest({
    field: "resumption",
    problem: "the host does not have the broken upload any more; upload the file again"
  })
)

/** The progress of one upload. */
interface State {
  /** Its address; `undefined` before it is created. */
  address: string | undefined
  /** Bytes that the host has stored; `undefined` if it must be asked. */
  offset: number | undefined
  /** Whether the host may have all of it: the last request was sent to its end, and its response was lost. */
  isMaybeStored: boolean
  /** Bytes that were stored when the retry policy last restarted. */
  base: number
  /** Whether enough was sent that some of it must have left this machine, although the host could not be asked. */
  hasLeft: boolean
}

export interface Upload {
  readonly body: ResumableBody
  readonly fields: FileSettings.Fields
  readonly tally: Send.Tally
  readonly meter: Progress.Meter
  readonly resumption: Resumption | undefined
}

/** The steps of one upload, and the state that they share. */
const steps = <A>(client: Client, { call, method, path, read }: JsonCall<A>, upload: Upload) => {
  const { body, fields, meter, resumption, tally } = upload
  const state: State = {
    address: locate(client, resumption?.address),
    offset: undefined,
    isMaybeStored: false,
    base: 0,
    hasLeft: false
  }

  /** A broken request does not change what is stored; any failure may come after an upload was stored. */
  const resumable = (failure: Failure): Failure =>
    new Failure(
      failure.stage === "broken" || failure.stage === "failed" ? "resumable" : failure.stage,
      failure.reason,
      state.isMaybeStored || failure.isMaybeStored
    )

  const forget = (): void => {
    state.address = undefined
    state.offset = undefined
    state.base = 0
  }

  const create = (withPermit: WithPermit) =>
    Effect.gen(function*() {
      const query = new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== undefined)).toString()
      const url = `${client.endpoint.baseUrl}${path}${query === "" ? "" : `?${query}`}`
      const headers = {
        "content-disposition": FileName.toContentDisposition(body.name).replace(/^attachment/, "inline"),
        "upload-complete": "?0",
        "upload-length": String(body.size)
      }
      const form = { contentType: body.contentType, head: EMPTY, tail: EMPTY }
      const response = yield* send(client, withPermit, method, url, headers, { form, file: undefined, tally })
      if (!Response.isSuccess(response.status)) return yield* Response.refuse(call, response)
      const address = locate(client, response.headers["location"])
      if (address === undefined) {
        return yield* Effect.fail(unexpected(response.status, "it does not say where on this host the upload is"))
      }
      state.address = address
      state.offset = 0
      yield* resumption?.save(address) ?? Effect.void
      return address
    }).pipe(
      Effect.scoped,
      // Nothing of the file was sent, so nothing is stored.
      Effect.mapError((failure) =>
        failure.stage === "broken" || failure.stage === "failed" ? new Failure("absent", failure.reason) : failure
      )
    )

  /** Asks for the offset. `undefined`: the host does not have the upload any more. */
  const ask = (address: string, withPermit: WithPermit) =>
    Effect.scoped(Effect.flatMap(
      send(client, withPermit, "HEAD", address, {}),
      (response): Effect.Effect<number | undefined, Failure> => {
        const offset = offsetOf(response)
        if (Response.isSuccess(response.status) && offset !== undefined && offset <= body.size) {
          state.isMaybeStored = isComplete(response)
          return Effect.succeed(state.offset = offset)
        }
        if (response.status === 404 || response.status === 410) {
          forget()
          return Effect.succeed(undefined)
        }
        return Response.isSuccess(response.status)
          ? Effect.fail(unexpected(response.status, "it does not say how much of the upload it has"))
          : Response.refuse(call, response)
      }
    ))

  const append = (address: string, offset: number, withPermit: WithPermit) => {
    const headers = { "upload-complete": "?1", "upload-offset": String(offset) }
    const form = { contentType: PARTIAL, head: EMPTY, tail: EMPTY }
    // A complete upload gives its response again.
    const file = offset < body.size ? body : undefined
    if (file === undefined) tally.bytes = body.size
    return Effect.scoped(Effect.flatMap(
      send(client, withPermit, "PATCH", address, headers, { form, file, tally, offset }, meter),
      (response): Effect.Effect<A, Failure> => {
        const isOver = Response.isSuccess(response.status) || isComplete(response)
        if (isOver) return read(call, response)
        if (response.status === 404 || response.status === 410) forget()
        else if (response.status !== 409 && response.status < 500) return read(call, response)
        state.offset = undefined
        // The response was not for the file, so the host does not have it.
        return Effect.catch(
          Response.refuse(call, response),
          ({ reason }) => Effect.fail(new Failure("resumable", reason))
        )
      }
    ))
  }

  /** After a break: asks for the offset at once, so that the retry policy knows how far the upload has come. */
  const broken = (offset: number, withPermit: WithPermit) => (failure: Failure) =>
    Effect.gen(function*() {
      if (failure.stage !== "broken" && failure.stage !== "resumable") return yield* Effect.fail(resumable(failure))
      state.isMaybeStored = tally.complete || offset === body.size
      state.hasLeft = tally.bytes - offset > BUFFERED_BYTES
      const { address } = state
      if (address !== undefined && failure.stage === "broken") {
        state.offset = undefined
        yield* Effect.ignore(ask(address, withPermit))
      }
      return yield* Effect.fail(resumable(failure))
    })

  const attempt = (withPermit: WithPermit): Effect.Effect<A, Failure> =>
    Effect.gen(function*() {
      const wasMaybeStored = state.isMaybeStored
      if (state.address !== undefined && state.offset === undefined) {
        const offset = yield* Effect.mapError(ask(state.address, withPermit), resumable)
        if (offset === undefined && wasMaybeStored) {
          const problem = "it does not have the upload any more, and may have stored the file"
          return yield* Effect.fail(unexpected(404, problem))
        }
      }
      if (state.address === undefined && resumption?.only === true) return yield* Effect.fail(gone)
      const address = state.address ?? (yield* create(withPermit))
      const offset = state.offset ?? 0
      state.hasLeft = false
      // Cleared: the next attempt must ask, unless a break has reported it.
      state.offset = undefined
      return yield* Effect.catch(append(address, offset, withPermit), broken(offset, withPermit))
    })

  const progress = () => {
    const { base, hasLeft, offset } = state
    const isFurther = offset !== undefined && offset - base >= ADVANCE_BYTES
    if (isFurther) state.base = offset
    return isFurther || hasLeft ? "advanced" : offset !== undefined ? "reachable" : "unknown"
  }

  return { attempt, progress }
}

/** Makes a call that uploads a body, and resumes it after a break. */
export const run = <A>(
  client: Client,
  call: JsonCall<A>,
  upload: Upload,
  /** Inspects the failure of an attempt that is not repeated. */
  recover?: (failure: Failure) => Effect.Effect<A, Failure>
) => {
  const { attempt, progress } = steps(client, call, upload)
  return Retry.run(
    {
      operation: call.call.operation,
      reopenable: true,
      limiter: client.limiter,
      onFailure: () => upload.meter.failed,
      progress
    },
    (_number, _before, withPermit) => {
      const attempted = attempt(withPermit)
      const recovered = recover === undefined
        ? attempted
        : Effect.catch(attempted, (failure) => failure.stage === "resumable" ? Effect.fail(failure) : recover(failure))
      return Effect.tap(recovered, upload.meter.finished)
    }
  )
}
