/** The responses of resumable uploads: where one is, how much of it is stored, what may still come, and its file. */
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { FileRecord } from "../../Catalog.ts"
import * as Forwarded from "../http/forwarded.ts"
import * as ParseUpload from "../http/parseUpload.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import * as UploadFields from "../http/uploadFields.ts"
import * as Methods from "../shared/methods.ts"
import * as DeleteToken from "./deleteToken.ts"
import * as Responses from "./responses.ts"

const empty = (status: 201 | 204, headers: Record<string, string>) =>
  HttpServerResponse.empty({ status, headers: { "cache-control": "no-store", ...headers } })

export const make = Effect.gen(function*() {
  const { baseOf, uploadLifetime } = yield* Settings
  const { details, planOf } = yield* Responses.make

  // Without the host, so that it leads back the way the request came.
  const locationOf = (request: HttpServerRequest, id: string): Record<string, string> => ({
    location: `${new URL(baseOf(request)).pathname.replace(/\/+$/, "")}/uploads/${id}`
  })

  /** `lifetime`: how long the upload is kept from now on, in milliseconds. */
  const limitOf = (owner: string, lifetime = uploadLifetime): Record<string, string> => ({
    "upload-limit": UploadFields.limit(planOf(owner).maxUploadBytes, lifetime)
  })

  /** What a complete upload reports of its file, also to a client that lost the response with its details. */
  const completeHeaders = (request: HttpServerRequest, id: string, file: FileRecord, offset: number) => ({
    ...UploadFields.stateHeaders({ isComplete: true, offset }),
    "file-link": `${baseOf(request)}/${file.key}`,
    ...DeleteToken.headers(file, DeleteToken.ofUpload(id))
  })

  /** The most bytes of an upload; those of a form have its fields too. */
  const maxBytes = (owner: string, isForm: boolean): number =>
    planOf(owner).maxUploadBytes + (isForm ? ParseUpload.MAX_OVERHEAD : 0)

  const tooLarge = (owner: string, asked: number): Refusal.Refusal =>
    new Refusal.Refusal({
      ...Refusal.tooLarge("maxUploadBytes", asked, planOf(owner).maxUploadBytes),
      headers: limitOf(owner)
    })

  return {
    maxBytes,
    tooLarge,

    /** Sends the address of a new upload before its first bytes have arrived. */
    inform: (request: HttpServerRequest, id: string, owner: string): void =>
      UploadFields.inform(request, { ...locationOf(request, id), ...limitOf(owner) }),

    /** To a request that appended, but not to the end; 201 if it created the upload. */
    appended: (
      request: HttpServerRequest,
      { id, length, owner }: { readonly id: string; readonly length: number | null; readonly owner: string },
      offset: number,
      status: 201 | 204
    ) =>
      empty(status, {
        ...UploadFields.stateHeaders({ isComplete: false, offset, length }),
        ...limitOf(owner),
        ...(status === 201 ? locationOf(request, id) : {})
      }),

    /** To the last request of an upload, and to its repetition. */
    completed: (request: HttpServerRequest, id: string, file: FileRecord, length: number) => {
      Forwarded.setHeaders(request, completeHeaders(request, id, file, length))
      const token = DeleteToken.ofUpload(id)
      return details(request, file, DeleteToken.matches(file.deleteHash, token) ? token : undefined)
    },

    /** To a request for the state. */
    state: (
      request: HttpServerRequest,
      { id, length, owner }: { readonly id: string; readonly length: number | null; readonly owner: string },
      { file, lifetime, offset }: {
        readonly file: FileRecord | null
        readonly offset: number
        readonly lifetime: number
      }
    ) =>
      empty(204, {
        ...UploadFields.stateHeaders({ isComplete: false, offset, length }),
        ...(file === null ? {} : completeHeaders(request, id, file, offset)),
        ...limitOf(owner, lifetime)
      }),

    removed: empty(204, {}),

    /** Reports that uploads can be resumed, and the largest size. */
    options: (request: HttpServerRequest, owner: string) =>
      empty(204, {
        allow: Methods.of(request).join(", "),
        "accept-patch": UploadFields.PARTIAL,
        ...limitOf(owner)
      }),

    /** Adds this to the response of any request. */
    advertise: (request: HttpServerRequest, owner: string): void => Forwarded.setHeaders(request, limitOf(owner))
  }
})

export type UploadResponses = Effect.Success<typeof make>
