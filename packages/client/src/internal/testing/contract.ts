/**
 * The API's contract over files in memory: the responses of `testing/MemoryHost` without a fault. It has no clock; each call
 * gets the time.
 */
import * as DurationInput from "@effect-fileio/core/DurationInput"
import * as Expires from "@effect-fileio/core/Expires"
import * as FileName from "@effect-fileio/core/FileName"
import * as FileSettings from "@effect-fileio/core/FileSettings"
import type * as FileStatus from "@effect-fileio/core/FileStatus"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Operation } from "../../testing/Fault.ts"
import type { Added, HostResponse, NewFile, Options, Request, StoredFile } from "../../testing/MemoryHost.ts"
import { parse as parseForm } from "./parseForm.ts"
import { json, refusal, Refused } from "./responses.ts"
import { isUpload, ResumableUploads } from "./resumableUploads.ts"

const decodeFields = Schema.decodeUnknownResult(FileSettings.FileSettingsFromFields)

/** One download of a file: while it is sent, and until it can no longer be resumed. */
interface Lease {
  readonly id: string
  /** Until when its holder may resume; `undefined` during the transfer. */
  until: number | undefined
  isCounted: boolean
}

interface Entry extends Omit<StoredFile, "downloads" | "isBeingTaken"> {
  downloads: number
  readonly leases: Array<Lease>
  /** Deletes it in place of a key. */
  readonly deleteToken: string
}

const iso = (millis: number | null): string | null =>
  millis === null ? null : DateTime.formatIso(DateTime.makeUnsafe(millis))

const expiry = (expires: Expires.Expires | undefined, now: number): number | null => {
  const time = Expires.resolve(expires ?? Expires.hostDefault, DateTime.makeUnsafe(now))
  return time === null ? null : DateTime.toEpochMillis(time)
}

const downloadsOf = (maxDownloads: FileSettings.MaxDownloads | undefined): number | null =>
  maxDownloads === "unlimited" ? null : maxDownloads ?? 1

const isEnd = (state: FileStatus.State) => state === "downloaded" || state === "expired" || state === "deleted"

const isUsedUp = (entry: Entry) => entry.maxDownloads !== null && entry.downloads >= entry.maxDownloads

const detailsOf = (entry: Entry, baseUrl: string) => ({
  id: `00000000-0000-4000-8000-${entry.key}`,
  key: entry.key,
  path: "/",
  nodeType: "file",
  name: entry.name,
  title: entry.title,
  description: null,
  size: entry.bytes.length,
  link: `${baseUrl}/${entry.key}`,
  private: false,
  expires: iso(entry.expires),
  downloads: entry.downloads,
  maxDownloads: entry.maxDownloads,
  autoDelete: entry.autoDelete,
  planId: 0,
  screeningStatus: "pending",
  mimeType: entry.contentType,
  created: iso(entry.created),
  modified: iso(entry.modified)
})

/** The calls that need no key. */
const OPEN: ReadonlySet<Operation> = new Set(["upload", "download", "status"])

const OPERATIONS: Readonly<Record<string, Operation>> = {
  "POST /": "upload",
  "GET /": "list",
  "GET /me": "me",
  "GET /key": "download",
  "PATCH /key": "update",
  "PUT /key": "replace",
  "DELETE /key": "delete",
  "GET /status/key": "status"
}

/** The call of a request. */
export const operationOf = (method: string, target: string): Operation | undefined => {
  const path = target.split("?")[0]!
  if (method === "PATCH" && isUpload(path)) return "upload"
  const pattern = path === "/key" ? "" : path.replace(/^(\/status)?\/[A-Za-z0-9]{5,64}$/, "$1/key")
  return OPERATIONS[`${method} ${pattern}`]
}

export class Contract {
  readonly #baseUrl: () => string
  readonly #credentials: ReadonlyArray<string>
  readonly #isResumable: boolean
  readonly #hasTokens: boolean
  readonly #graceMillis: number
  readonly #account: Readonly<Record<string, Schema.Json>>
  readonly #entries = new Map<string, Entry>()
  /** What became of files that are gone. */
  readonly #gone = new Map<string, { readonly deleteToken: string; readonly state: FileStatus.State }>()
  readonly #uploads: ResumableUploads | undefined
  #count = 0

  constructor(options: Options & { readonly apiKey: Redacted.Redacted; readonly baseUrl: () => string }) {
    const key = Redacted.value(options.apiKey)
    this.#baseUrl = options.baseUrl
    this.#credentials = [`Bearer ${key}`, `Basic ${btoa(`${key}:`)}`]
    this.#isResumable = options.resumable ?? true
    this.#hasTokens = options.deleteTokens ?? true
    this.#graceMillis = Duration.toMillis(DurationInput.parseOptionUnsafe("grace", options.grace ?? "1 minute"))
    this.#uploads = options.resumableUploads === true
      ? new ResumableUploads((request, body, now) => this.#handle(request, body, now))
      : undefined
    this.#account = {
      planId: 0,
      maxUploadBytes: 1024 ** 3,
      maxStorageBytes: 10 * 1024 ** 3,
      directDownload: 0,
      ...options.account
    }
  }

  /** Handles a request. */
  handle(request: Request, body: Uint8Array, now: number): HostResponse {
    this.#sweep(now)
    request.body = body
    try {
      if (this.#uploads === undefined) return this.#handle(request, body, now)
      // An upload is refused before it is created, as it would be when it is complete.
      if (request.headers["upload-complete"] !== undefined) this.#authorize(request, request.operation !== "upload")
      const response = this.#uploads.handle(request, body, now) ?? this.#handle(request, body, now)
      return { ...response, headers: { ...this.#uploads.headers, ...response.headers } }
    } catch (error) {
      if (error instanceof Refused) return error.response
      throw error
    }
  }

  /** Keeps the part of a body that arrived before its connection broke, if its upload can be resumed. */
  keep(request: Request, body: Uint8Array): void {
    this.#uploads?.keep(request, body)
  }

  files(now: number): ReadonlyArray<StoredFile> {
    this.#sweep(now)
    return [...this.#entries.values()].map((entry) => {
      const { deleteToken: _, leases, ...file } = entry
      return { ...file, isBeingTaken: leases.length > 0 }
    })
  }

  /** Adds a file, without a request. */
  put(file: NewFile, now: number): Added {
    const { deleteToken, key } = this.#add({
      name: file.name ?? "file.bin",
      contentType: file.contentType ?? "application/octet-stream",
      bytes: file.bytes,
      title: null,
      expires: file.expires === undefined ? expiry(undefined, now) : file.expires,
      maxDownloads: file.maxDownloads === undefined ? 1 : file.maxDownloads,
      autoDelete: true,
      created: now,
      modified: now
    })
    return { key, link: `${this.#baseUrl()}/${key}`, deleteToken: Redacted.make(deleteToken) }
  }

  #handle(request: Request, body: Uint8Array, now: number): HostResponse {
    const { operation } = request
    if (operation === undefined) return refusal(404, "NOT_FOUND", "No such address")
    const token = (operation === "delete" || operation === "status") && this.#hasTokens
      ? request.headers["delete-token"]
      : undefined
    this.#authorize(request, !OPEN.has(operation) && token === undefined)
    switch (operation) {
      case "upload":
        return this.#upload(request, body, now)
      case "list":
        return this.#list(request)
      case "me":
        return json(200, { success: true, status: 200, ...this.#account, usedStorageBytes: this.#usedBytes() })
      case "download":
        return this.#download(request, now)
      case "update":
      case "replace":
        return this.#change(request, body, now, operation === "replace")
      case "status":
        return this.#status(request, token, now)
      case "delete":
        this.#delete(this.#find(request), token)
        return json(200, { success: true, status: 200 })
    }
  }

  #authorize(request: Request, isNeeded: boolean): void {
    const given = request.headers["authorization"]
    if (given === undefined ? isNeeded : !this.#credentials.includes(given)) {
      throw new Refused(401, "UNAUTHORIZED", "The API key is missing or unknown")
    }
  }

  #find(request: Request): Entry {
    const entry = this.#entries.get(request.target.slice(1).split("?")[0]!)
    if (entry === undefined) throw new Refused(404, "FILE_NOT_FOUND", "No such file")
    return entry
  }

  #delete({ deleteToken, key }: Entry, token: string | undefined): void {
    if (token !== undefined && token !== deleteToken) throw new Refused(404, "FILE_NOT_FOUND", "No such file")
    this.#end(key, "deleted")
  }

  /** A file is gone. */
  #end(key: string, state: FileStatus.State): void {
    const { deleteToken } = this.#entries.get(key)!
    this.#gone.set(key, { deleteToken, state })
    this.#entries.delete(key)
  }

  #status(request: Request, token: string | undefined, now: number): HostResponse {
    // As a host that does not know the call.
    if (!this.#hasTokens) return refusal(404, "NOT_FOUND", "No such address")
    const key = request.target.split("?")[0]!.slice("/status/".length)
    const entry = this.#entries.get(key)
    const gone = this.#gone.get(key)
    const isSender = token !== undefined && token === (entry ?? gone)?.deleteToken
    const state = entry === undefined ? gone?.state : this.#stateOf(entry, now)
    if (state === undefined || (isEnd(state) ? !isSender : token !== undefined && !isSender)) {
      throw new Refused(404, "FILE_NOT_FOUND", "No such file")
    }
    const { downloads, expires, maxDownloads, mimeType, name, size, title } = entry === undefined
      ? ({} as Partial<ReturnType<typeof detailsOf>>)
      : detailsOf(entry, this.#baseUrl())
    const facts = entry === undefined ? {} : { downloads, expires, maxDownloads, mimeType, name, size, title }
    return json(200, { success: true, status: 200, state, yours: false, seconds: null, ...facts })
  }

  #stateOf(entry: Entry, now: number): FileStatus.State {
    if (isUsedUp(entry)) return "downloaded"
    if (entry.expires !== null && entry.expires <= now) return "expired"
    const claimed = entry.leases.filter((lease) => !lease.isCounted)
    return entry.maxDownloads !== null && entry.downloads + claimed.length >= entry.maxDownloads
      ? "downloading"
      : "available"
  }

  #usedBytes(): number {
    return [...this.#entries.values()].reduce((sum, entry) => sum + entry.bytes.length, 0)
  }

  /** Removes expired and used-up files, and leases that can no longer be resumed. */
  #sweep(now: number): void {
    for (const [key, entry] of this.#entries) {
      for (let i = entry.leases.length - 1; i >= 0; i--) {
        const { until } = entry.leases[i]!
        if (until !== undefined && until <= now) entry.leases.splice(i, 1)
      }
      const hasExpired = entry.expires !== null && entry.expires <= now
      if ((hasExpired || (isUsedUp(entry) && entry.leases.length === 0)) && entry.autoDelete) {
        this.#end(key, isUsedUp(entry) ? "downloaded" : "expired")
      }
    }
  }

  #add(file: Omit<Entry, "key" | "downloads" | "leases" | "deleteToken">): Entry {
    const number = String(++this.#count).padStart(8, "0")
    const entry = { ...file, key: `test${number}`, deleteToken: `token${number}`, downloads: 0, leases: [] }
    this.#entries.set(entry.key, entry)
    return entry
  }

  /** The bytes of a file alone, as resumable uploads send them, with the settings in the query. */
  #rawOf(request: Request, bytes: Uint8Array) {
    const { "content-disposition": disposition = "", "content-type": contentType = "application/octet-stream" } =
      request.headers
    const name = Option.getOrElse(FileName.fromContentDisposition(disposition), () => "file")
    const fields = Object.fromEntries(new URLSearchParams(request.target.split("?")[1] ?? ""))
    return { fields, file: { name, contentType, bytes } }
  }

  #formOf(request: Request, body: Uint8Array) {
    const form = request.headers["content-disposition"] === undefined
      ? parseForm(request.headers["content-type"], body)
      : this.#rawOf(request, body)
    if (typeof form === "string") throw new Refused(400, "BAD_REQUEST", form)
    const settings = decodeFields(form.fields)
    if (settings._tag === "Failure") throw new Refused(400, "BAD_REQUEST", "a field is wrong")
    if (form.file !== undefined) this.#assertFits(form.file.bytes.length)
    return { settings: settings.success, file: form.file }
  }

  #assertFits(asked: number): void {
    if (asked === 0) throw new Refused(400, "BAD_REQUEST", "the file is empty")
    const limit = (name: string) => {
      const value = this.#account[name]
      return typeof value === "number" ? value : Infinity
    }
    const limits = {
      maxUploadBytes: limit("maxUploadBytes"),
      maxStorageBytes: limit("maxStorageBytes") - this.#usedBytes()
    }
    for (const [name, allowed] of Object.entries(limits)) {
      if (asked > allowed) {
        throw new Refused(413, "FILE_TOO_LARGE", "Beyond the plan", { limit: name, asked, allowed })
      }
    }
  }

  #upload(request: Request, body: Uint8Array, now: number): HostResponse {
    const { file, settings } = this.#formOf(request, body)
    if (file === undefined) throw new Refused(400, "BAD_REQUEST", "there is no file")
    const entry = this.#add({
      ...file,
      title: settings.title ?? null,
      expires: expiry(settings.expires, now),
      maxDownloads: downloadsOf(settings.maxDownloads),
      autoDelete: settings.autoDelete ?? true,
      created: now,
      modified: now
    })
    const details = { success: true, status: 200, ...detailsOf(entry, this.#baseUrl()) }
    const { deleteToken } = entry
    return this.#hasTokens
      ? json(200, { ...details, deleteToken }, { "delete-token": deleteToken })
      : json(200, details)
  }

  /** `reset`: settings that are not in the request get their defaults; otherwise they stay. */
  #change(request: Request, body: Uint8Array, now: number, reset: boolean): HostResponse {
    const entry = this.#find(request)
    const { file, settings } = this.#formOf(request, body)
    const next: Entry = {
      ...entry,
      ...(file === undefined ? {} : { ...file, downloads: 0, leases: [] }),
      ...(reset || settings.expires !== undefined ? { expires: expiry(settings.expires, now) } : {}),
      ...(reset || settings.maxDownloads !== undefined ? { maxDownloads: downloadsOf(settings.maxDownloads) } : {}),
      ...(reset || settings.autoDelete !== undefined ? { autoDelete: settings.autoDelete ?? true } : {}),
      modified: now
    }
    this.#entries.set(entry.key, next)
    return json(200, { success: true, status: 200, ...detailsOf(next, this.#baseUrl()) })
  }

  #list(request: Request): HostResponse {
    const query = new URLSearchParams(request.target.split("?")[1] ?? "")
    const sort = query.get("sort") ?? "-created"
    const field = sort.replace(/^-/, "") as keyof ReturnType<typeof detailsOf>
    const search = (query.get("search") ?? "").toLowerCase()
    const all = [...this.#entries.values()].map((entry) => detailsOf(entry, this.#baseUrl()))
      .filter(({ name }) => name.toLowerCase().includes(search))
    const order = (a: unknown, b: unknown): number => a === b ? 0 : (a as string) < (b as string) ? -1 : 1
    all.sort((a, b) => (sort.startsWith("-") ? -1 : 1) * order(a[field], b[field]))
    const offset = Number(query.get("offset") ?? 0)
    const nodes = all.slice(offset, offset + Number(query.get("limit") ?? 100))
    const size = this.#usedBytes()
    return json(200, { success: true, status: 200, nodes, count: all.length, size, screeningStatus: "passed" })
  }

  #download(request: Request, now: number): HostResponse {
    const entry = this.#find(request)
    const range = /^bytes=(\d+)-$/.exec(request.headers["range"] ?? "")
    const validator = request.headers["if-range"]
    const held = entry.leases.find((lease) => `"${lease.id}"` === validator)
    if (this.#isResumable && range !== null && held !== undefined) {
      const from = Number(range[1])
      if (from < entry.bytes.length) return this.#send(entry, held, from)
      const headers = { "content-range": `bytes */${entry.bytes.length}` }
      return refusal(416, "RANGE_NOT_SATISFIABLE", "There are no such bytes", {}, headers)
    }
    if (isUsedUp(entry)) throw new Refused(404, "FILE_NOT_FOUND", "No such file")
    const claimed = entry.leases.filter((lease) => !lease.isCounted)
    if (this.#isResumable && entry.maxDownloads !== null && entry.downloads + claimed.length >= entry.maxDownloads) {
      const wait = Math.min(...claimed.map((lease) => (lease.until ?? now + this.#graceMillis) - now))
      const headers = { "retry-after": String(Math.ceil(wait / 1000)) }
      throw new Refused(423, "DOWNLOAD_IN_PROGRESS", "The file is being downloaded", {}, headers)
    }
    const lease: Lease = { id: `lease-${++this.#count}`, until: undefined, isCounted: false }
    entry.leases.push(lease)
    return this.#send(entry, lease, 0)
  }

  #send(entry: Entry, lease: Lease, from: number): HostResponse {
    const body = entry.bytes.subarray(from)
    const total = entry.bytes.length
    lease.until = undefined
    return {
      status: from === 0 ? 200 : 206,
      headers: {
        "content-type": entry.contentType,
        "content-length": String(body.length),
        "content-disposition": FileName.toContentDisposition(entry.name),
        ...(from === 0 ? {} : { "content-range": `bytes ${from}-${total - 1}/${total}` }),
        ...(this.#isResumable ? { etag: `"${lease.id}"`, "accept-ranges": "bytes" } : {})
      },
      body,
      settle: (bytes, now) => {
        if (lease.until !== undefined) return
        lease.until = now + this.#graceMillis
        if ((bytes >= body.length || !this.#isResumable) && !lease.isCounted) {
          lease.isCounted = true
          entry.downloads++
        }
        if (!this.#isResumable) entry.leases.splice(entry.leases.indexOf(lease), 1)
      }
    }
  }
}
