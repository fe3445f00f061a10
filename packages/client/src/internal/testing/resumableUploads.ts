/**
 * Resumable uploads ("Resumable Uploads for HTTP") of the test host, in memory. A complete one is handled as the request that
 * created it, with all of its bytes.
 */
import type { HostResponse, Request } from "../../testing/MemoryHost.ts"
import { refusal, Refused } from "./responses.ts"

interface Upload {
  /** The request that created it. */
  readonly request: Request
  bytes: Uint8Array
  readonly length: number | undefined
  /** The response of the complete upload. */
  response: HostResponse | undefined
}

const LIMIT = { "upload-limit": "max-age=3600" }
const PATH = /^\/uploads\/(upload-\d+)$/
const nothing = () => {}

const empty = (status: number, headers: Readonly<Record<string, string>> = {}): HostResponse => ({
  status,
  headers: { "cache-control": "no-store", ...headers },
  body: new Uint8Array(0),
  settle: nothing
})

const integer = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined

/** Whether a path is the address of an upload. */
export const isUpload = (path: string): boolean => PATH.test(path)

export class ResumableUploads {
  readonly #uploads = new Map<string, Upload>()
  readonly #finish: (request: Request, body: Uint8Array, now: number) => HostResponse
  #count = 0

  /** `finish` handles a request whose body is complete. */
  constructor(finish: (request: Request, body: Uint8Array, now: number) => HostResponse) {
    this.#finish = finish
  }

  /** Handles a request of the extension; `undefined` if it is none. */
  handle(request: Request, body: Uint8Array, now: number): HostResponse | undefined {
    if (request.method === "OPTIONS") return empty(204, { "accept-patch": "application/partial-upload", ...LIMIT })
    const path = request.target.split("?")[0]!
    const id = PATH.exec(path)?.[1]
    if (id !== undefined) return this.#continue(request, id, body, now)
    return request.headers["upload-complete"] === undefined ? undefined : this.#create(request, body, now)
  }

  /** Keeps the part of a body that arrived before its connection broke. */
  keep(request: Request, body: Uint8Array): void {
    const upload = this.#uploads.get(PATH.exec(request.target)?.[1] ?? "")
    const offset = integer(request.headers["upload-offset"])
    if (upload === undefined || upload.response !== undefined || request.method !== "PATCH") return
    if (offset === upload.bytes.length) this.#append(upload, body)
  }

  /** What a host that supports the extension says in every response. */
  readonly headers = LIMIT

  #create(request: Request, body: Uint8Array, now: number): HostResponse {
    if (request.headers["upload-complete"] === "?1") return this.#finish(request, body, now)
    const id = `upload-${++this.#count}`
    const length = integer(request.headers["upload-length"])
    this.#uploads.set(id, { request, bytes: body, length, response: undefined })
    return empty(201, { location: `/uploads/${id}`, ...this.#state(body.length, false, length), ...LIMIT })
  }

  #continue(request: Request, id: string, body: Uint8Array, now: number): HostResponse {
    const upload = this.#uploads.get(id)
    if (upload === undefined) throw new Refused(404, "UPLOAD_NOT_FOUND", "There is no such upload")
    const size = upload.bytes.length
    const isComplete = upload.response !== undefined
    if (request.method === "HEAD") return empty(204, { ...this.#state(size, isComplete, upload.length), ...LIMIT })
    if (request.method === "DELETE") {
      this.#uploads.delete(id)
      return empty(204)
    }
    if (request.method !== "PATCH") throw new Refused(405, "METHOD_NOT_ALLOWED", "Method not allowed")
    if (integer(request.headers["upload-offset"]) !== size || (isComplete && body.length > 0)) {
      const headers = { "upload-offset": String(size), "upload-complete": "?0" }
      return refusal(409, "UPLOAD_OFFSET", `The upload has ${size} bytes`, {}, headers)
    }
    this.#append(upload, body)
    if (request.headers["upload-complete"] !== "?1") {
      return empty(204, this.#state(upload.bytes.length, false, upload.length))
    }
    upload.response ??= this.#finish(upload.request, upload.bytes, now)
    const headers = { ...upload.response.headers, ...this.#state(upload.bytes.length, true, upload.length) }
    return { ...upload.response, headers }
  }

  #append(upload: Upload, body: Uint8Array): void {
    const bytes = new Uint8Array(upload.bytes.length + body.length)
    bytes.set(upload.bytes)
    bytes.set(body, upload.bytes.length)
    upload.bytes = bytes
  }

  #state(offset: number, isComplete: boolean, length: number | undefined): Record<string, string> {
    return {
      "upload-offset": String(offset),
      "upload-complete": isComplete ? "?1" : "?0",
      ...(length === undefined ? {} : { "upload-length": String(length) })
    }
  }
}
