/**
 * The requests of a resumable upload, one function each, and what their responses say. `resumableUpload` decides which one is
 * next, `resumableSupport` asks whether the host knows them.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileName from "@effect-fileio/core/FileName"
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Effect from "effect/Effect"
import type * as HttpMethod from "effect/http/HttpMethod"
import type * as FileBody from "../../FileBody.ts"
import type * as Progress from "../../Progress.ts"
import type { WithPermit } from "../limit/limiter.ts"
import type * as ContentEncoding from "../request/contentEncoding.ts"
import * as Outgoing from "../request/outgoing.ts"
import type * as Refusal from "../request/refusal.ts"
import { requestHead } from "../request/requestHead.ts"
import * as Response from "../request/response.ts"
import * as Send from "../request/send.ts"
import { Failure, unexpected } from "../shared/failure.ts"
import type { Client } from "./shared.ts"

export const PARTIAL = "application/partial-upload"
const EMPTY = new Uint8Array(0)

/** A body that can be opened at a position. */
export type ResumableBody = FileBody.FileBody & {
  readonly size: number
  readonly openAt: NonNullable<FileBody.FileBody["openAt"]>
}

/** Sends a request of the extension; without `outgoing` it has no body. */
export const send = (
  client: Client,
  withPermit: WithPermit,
  method: HttpMethod.HttpMethod,
  url: string,
  headers: Readonly<Record<string, string>>,
  outgoing?: Outgoing.Outgoing
) =>
  Send.execute(client, { ...requestHead(client, method, "", "application/json", headers), url }, {
    body: outgoing && Outgoing.prepare(outgoing),
    withPermit,
    isRepeatable: true
  })

/** The address of an upload, if it is on the key's host. */
export const locate = (client: Client, location: string | undefined): string | undefined => {
  const base = `${client.endpoint.baseUrl}/`
  if (location === undefined || !URL.canParse(location, base)) return undefined
  const url = new URL(location, base)
  return url.origin === new URL(base).origin ? url.href : undefined
}

const offsetOf = ({ headers }: ContentEncoding.ResponseHead): number | undefined => {
  const text = headers["upload-offset"]?.trim() ?? ""
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

const isComplete = ({ headers }: ContentEncoding.ResponseHead): boolean => headers["upload-complete"]?.trim() === "?1"

const isGone = ({ status }: ContentEncoding.ResponseHead): boolean => status === 404 || status === 410

/** Creates an empty upload for a body; returns its address. Nothing of the file is sent, so nothing is stored if it fails. */
export const create = (client: Client, withPermit: WithPermit, { body, call, fields, method, path, tally }: {
  readonly call: Refusal.Call
  readonly method: HttpMethod.HttpMethod
  readonly path: string
  readonly body: ResumableBody
  readonly fields: FileSettings.Fields
  readonly tally: Outgoing.Tally
}): Effect.Effect<string, Failure> =>
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
    return locate(client, response.headers["location"]) ??
      (yield* Effect.fail(unexpected(response.status, "it does not say where on this host the upload is")))
  }).pipe(
    Effect.scoped,
    Effect.mapError((failure) =>
      failure.stage === "broken" || failure.stage === "failed" ? new Failure("absent", failure.reason) : failure
    )
  )

/** What the host has of an upload. */
export interface Stored {
  readonly offset: number
  readonly isComplete: boolean
}

/** Asks for the offset. `undefined`: the host does not have the upload any more. */
export const ask = (
  client: Client,
  withPermit: WithPermit,
  call: Refusal.Call,
  address: string,
  size: number
): Effect.Effect<Stored | undefined, Failure> =>
  Effect.scoped(Effect.flatMap(
    send(client, withPermit, "HEAD", address, {}),
    (response): Effect.Effect<Stored | undefined, Failure> => {
      const offset = offsetOf(response)
      if (Response.isSuccess(response.status) && offset !== undefined && offset <= size) {
        return Effect.succeed({ offset, isComplete: isComplete(response) })
      }
      return isGone(response)
        ? Effect.undefined
        : Response.isSuccess(response.status)
        ? Effect.fail(unexpected(response.status, "it does not say how much of the upload it has"))
        : Response.refuse(call, response)
    }
  ))

/** A response that is not for the file: the host does not have the file, and may not have the upload any more. */
interface NotAppended {
  readonly _tag: "NotAppended"
  readonly isGone: boolean
  readonly reason: FileIoError.Reason
}

/** Sends the rest of a body. A complete upload gives its response again. */
export const append = <A>(client: Client, withPermit: WithPermit, { address, body, call, meter, offset, read, tally }: {
  readonly call: Refusal.Call
  readonly address: string
  readonly body: ResumableBody
  readonly offset: number
  readonly tally: Outgoing.Tally
  readonly meter: Progress.Meter
  readonly read: (call: Refusal.Call, response: ContentEncoding.Response) => Effect.Effect<A, Failure>
}): Effect.Effect<A, Failure | NotAppended> => {
  const headers = { "upload-complete": "?1", "upload-offset": String(offset) }
  const form = { contentType: PARTIAL, head: EMPTY, tail: EMPTY }
  const file = offset < body.size ? body : undefined
  if (file === undefined) tally.bytes = body.size
  return Effect.scoped(Effect.flatMap(
    send(client, withPermit, "PATCH", address, headers, { form, file, tally, meter, offset }),
    (response): Effect.Effect<A, Failure | NotAppended> => {
      const isForFile = Response.isSuccess(response.status) || isComplete(response) ||
        (!isGone(response) && response.status !== 409 && response.status < 500)
      return isForFile ? read(call, response) : Effect.catch(
        Response.refuse(call, response),
        ({ reason }): Effect.Effect<never, Failure | NotAppended> => {
          if (response.status === 409 && offsetOf(response) === undefined) {
            return Effect.fail(unexpected(409, "another request continues the upload, and may complete it"))
          }
          // Neither says anything about what the caller gave: the upload starts over, or continues from the right offset.
          const isRepeated = isGone(response) || offsetOf(response) !== undefined
          return Effect.fail<NotAppended>({
            _tag: "NotAppended",
            isGone: isGone(response),
            reason: isRepeated ? new FileIoError.ServerFailure({ status: response.status, cause: reason }) : reason
          })
        }
      )
    }
  ))
}
