/**
 * A host that keeps the contract in memory and fails as a test says, without a transport: `FileIoTest` and `NodeFaultHost` of
 * `@effect-fileio/platform-node` send what it answers.
 *
 * @since 0.1.0
 */
import * as Expires from "@effect-fileio/core/Expires"
import * as FileName from "@effect-fileio/core/FileName"
import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Fault, Injection, Operation } from "./Fault.ts"
import { parse as parseForm } from "./parseForm.ts"

/**
 * A request that arrived.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  /** `undefined` for an address that the API does not have. */
  readonly operation: Operation | undefined
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  /** When its head arrived, in milliseconds of the clock. */
  readonly at: number
  /** Bytes of its body that arrived. */
  bodyBytes: number
  /** The body, once it is there as a whole. */
  body: Uint8Array | undefined
  /** Whether the client has closed the connection before it had the whole answer. */
  aborted: boolean
}

/**
 * A file of the host.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredFile {
  readonly key: string
  readonly name: string
  readonly contentType: string
  readonly bytes: Uint8Array
  readonly title: string | null
  readonly expires: number | null
  readonly maxDownloads: number | null
  readonly autoDelete: boolean
  readonly created: number
  readonly modified: number
  readonly downloads: number
  /** Whether a download of it is under way, or may be resumed. */
  readonly isBeingTaken: boolean
}

/**
 * A file to put on the host.
 *
 * @category models
 * @since 0.1.0
 */
export interface NewFile {
  readonly bytes: Uint8Array
  /** @default file.bin */
  readonly name?: string | undefined
  /** @default application/octet-stream */
  readonly contentType?: string | undefined
  /** @default 1 */
  readonly maxDownloads?: number | null | undefined
  /** Milliseconds since 1970. @default 14 days from now */
  readonly expires?: number | null | undefined
}

/**
 * What the host knows, and how it behaves while nothing is injected.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The only key that the host knows. @default `apiKey` of this module */
  readonly apiKey?: Redacted.Redacted | undefined
  /** What `me` tells besides the storage in use; the limits are kept. @default 1 GiB a file, 10 GiB in all */
  readonly account?: Readonly<Record<string, Schema.Json>> | undefined
  /**
   * Whether a download that breaks can be resumed by its `ETag` (`Range` and `If-Range`), as with the server of this
   * project. Otherwise the first byte uses the copy up, as with the public host. @default true
   */
  readonly resumable?: boolean | undefined
  /** How long the holder of a broken download has to resume it. @default 1 minute */
  readonly grace?: Duration.Input | undefined
}

/**
 * The key that the host knows.
 *
 * @category constants
 * @since 0.1.0
 */
export const apiKey: Redacted.Redacted = Redacted.make("TESTKEY.AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA")

/**
 * The host as a test sees it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Host {
  /** Address for `FileIo.Options.baseUrl`. */
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted
  /** Makes the next requests fail. Faults that are injected first strike first. */
  readonly inject: (fault: Fault, injection?: Injection) => Effect.Effect<void>
  /** Forgets the faults that have not struck, and the requests that have arrived. */
  readonly clear: Effect.Effect<void>
  /** The requests that have arrived, in order. */
  readonly requests: Effect.Effect<ReadonlyArray<Request>>
  /** The files that are there, in the order in which they came. */
  readonly files: Effect.Effect<ReadonlyArray<StoredFile>>
  /** Puts a file there, without a request, and gives its link. */
  readonly put: (file: NewFile) => Effect.Effect<{ readonly key: string; readonly link: string }>
}

/**
 * An answer of the host, for a transport to send.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** Is to be told how many bytes of the body were handed over before the end. */
  readonly settle: (bytes: number, now: number) => void
}

/**
 * The host without a transport. It knows no time but what it is told.
 *
 * @category models
 * @since 0.1.0
 */
export interface Core {
  readonly requests: Array<Request>
  /** Lets requests meet a fault. */
  readonly inject: (fault: Fault, injection?: Injection) => void
  /** Forgets what was injected and came in. */
  readonly clear: () => void
  /** Takes note of a request, and says which fault it meets. */
  readonly arrive: (
    head: Pick<Request, "method" | "target" | "headers">,
    now: number
  ) => { readonly request: Request; readonly fault: Fault | undefined }
  /** Does what a request asks. */
  readonly handle: (request: Request, body: Uint8Array, now: number) => Answer
  /** The answer of a fault that changes the answer. */
  readonly answerOf: (fault: Fault, request: Request, body: Uint8Array, now: number) => Answer
  /** The files that are there. */
  readonly files: (now: number) => ReadonlyArray<StoredFile>
  /** Puts a file there, without a request. */
  readonly put: (file: NewFile, now: number) => { readonly key: string; readonly link: string }
}

const encoder = new TextEncoder()
const decodeFields = Schema.decodeUnknownResult(FileSettings.FileSettingsFromFields)

interface Lease {
  readonly id: string
  /** Until when its holder may resume; `undefined` while it is being sent. */
  until: number | undefined
  consumed: boolean
}

interface Entry extends Omit<StoredFile, "downloads" | "isBeingTaken"> {
  downloads: number
  readonly leases: Array<Lease>
}

const nothing = () => {}

const json = (code: number, content: unknown, headers: Readonly<Record<string, string>> = {}): Answer => {
  const bytes = encoder.encode(JSON.stringify(content))
  return {
    status: code,
    headers: { "content-type": "application/json; charset=utf-8", "content-length": String(bytes.length), ...headers },
    body: bytes,
    settle: nothing
  }
}

const refusal = (
  code: number,
  name: string,
  message: string,
  extra: Readonly<Record<string, unknown>> = {},
  headers: Readonly<Record<string, string>> = {}
): Answer => json(code, { success: false, status: code, code: name, message, key: null, ...extra }, headers)

const iso = (millis: number | null): string | null =>
  millis === null ? null : DateTime.formatIso(DateTime.makeUnsafe(millis))

/** A refusal that ends the handling of a request. */
class Refused {
  readonly answer: Answer
  constructor(answer: Answer) {
    this.answer = answer
  }
}

/**
 * Makes a host without a transport.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeCore = (options: Options & { readonly baseUrl: () => string }): Core => {
  const key = Redacted.value(options.apiKey ?? apiKey)
  const basic = `Basic ${btoa(`${key}:`)}`
  const resumable = options.resumable ?? true
  const grace = Duration.toMillis(Duration.fromInputUnsafe(options.grace ?? "1 minute"))
  const account: Readonly<Record<string, Schema.Json>> = {
    planId: 0,
    maxUploadBytes: 1024 ** 3,
    maxStorageBytes: 10 * 1024 ** 3,
    directDownload: 0,
    ...options.account
  }
  const entries = new Map<string, Entry>()
  const requests: Array<Request> = []
  let injections: Array<{ readonly fault: Fault; readonly on: Operation | undefined; times: number; after: number }> =
    []
  let count = 0

  const limit = (name: string): number => typeof account[name] === "number" ? account[name] : Infinity
  const linkOf = (fileKey: string) => `${options.baseUrl()}/${fileKey}`
  const used = (): number => [...entries.values()].reduce((sum, entry) => sum + entry.bytes.length, 0)

  const isUsedUp = (entry: Entry) => entry.maxDownloads !== null && entry.downloads >= entry.maxDownloads
  const sweep = (now: number) => {
    for (const [fileKey, entry] of entries) {
      const expired = entry.expires !== null && entry.expires <= now
      for (let i = entry.leases.length - 1; i >= 0; i--) {
        const { until } = entry.leases[i]!
        if (until !== undefined && until <= now) entry.leases.splice(i, 1)
      }
      if ((expired || (isUsedUp(entry) && entry.leases.length === 0)) && entry.autoDelete) entries.delete(fileKey)
    }
  }

  const details = (entry: Entry) => ({
    id: `00000000-0000-4000-8000-${entry.key}`,
    key: entry.key,
    path: "/",
    nodeType: "file",
    name: entry.name,
    title: entry.title,
    description: null,
    size: entry.bytes.length,
    link: linkOf(entry.key),
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

  const add = (file: Omit<Entry, "key" | "downloads" | "leases">): Entry => {
    const entry = { ...file, key: `test${String(++count).padStart(8, "0")}`, downloads: 0, leases: [] }
    entries.set(entry.key, entry)
    return entry
  }

  const authorize = (request: Request, needed: boolean) => {
    const given = request.headers["authorization"]
    if (given === undefined && !needed) return
    if (given !== `Bearer ${key}` && given !== basic) {
      throw new Refused(refusal(401, "UNAUTHORIZED", "The API key is missing or unknown"))
    }
  }

  const find = (request: Request): Entry => {
    const entry = entries.get(request.target.slice(1).split("?")[0]!)
    if (entry === undefined) throw new Refused(refusal(404, "FILE_NOT_FOUND", "No such file"))
    return entry
  }

  const formOf = (request: Request, content: Uint8Array) => {
    const form = parseForm(request.headers["content-type"], content)
    if (typeof form === "string") throw new Refused(refusal(400, "BAD_REQUEST", form))
    const settings = decodeFields(form.fields)
    if (settings._tag === "Failure") throw new Refused(refusal(400, "BAD_REQUEST", "a field is wrong"))
    if (form.file !== undefined && form.file.bytes.length === 0) {
      throw new Refused(refusal(400, "BAD_REQUEST", "the file is empty"))
    }
    if (form.file !== undefined) within(form.file.bytes.length)
    return { settings: settings.success, file: form.file }
  }

  const within = (size: number) => {
    const left = limit("maxStorageBytes") - used()
    const tooLarge = (name: string, allowed: number) =>
      new Refused(refusal(413, "FILE_TOO_LARGE", "Beyond the plan", { limit: name, asked: size, allowed }))
    if (size > limit("maxUploadBytes")) throw tooLarge("maxUploadBytes", limit("maxUploadBytes"))
    if (size > left) throw tooLarge("maxStorageBytes", left)
  }

  const expiry = (expires: Expires.Expires | undefined, now: number): number | null => {
    const time = Expires.resolve(expires ?? Expires.hostDefault, DateTime.makeUnsafe(now))
    return time === null ? null : DateTime.toEpochMillis(time)
  }

  const countOf = (maxDownloads: FileSettings.MaxDownloads | undefined): number | null =>
    maxDownloads === "unlimited" ? null : maxDownloads ?? 1

  const upload = (request: Request, content: Uint8Array, now: number): Answer => {
    authorize(request, false)
    const { file, settings } = formOf(request, content)
    if (file === undefined) throw new Refused(refusal(400, "BAD_REQUEST", "there is no file"))
    const entry = add({
      name: file.name,
      contentType: file.contentType,
      bytes: file.bytes,
      title: settings.title ?? null,
      expires: expiry(settings.expires, now),
      maxDownloads: countOf(settings.maxDownloads),
      autoDelete: settings.autoDelete ?? true,
      created: now,
      modified: now
    })
    return json(200, { success: true, status: 200, ...details(entry) })
  }

  const change = (request: Request, content: Uint8Array, now: number, reset: boolean): Answer => {
    authorize(request, true)
    const entry = find(request)
    const { file, settings } = formOf(request, content)
    const next: Entry = {
      ...entry,
      ...(file === undefined
        ? {}
        : { name: file.name, contentType: file.contentType, bytes: file.bytes, downloads: 0, leases: [] }),
      ...(reset || settings.expires !== undefined ? { expires: expiry(settings.expires, now) } : {}),
      ...(reset || settings.maxDownloads !== undefined ? { maxDownloads: countOf(settings.maxDownloads) } : {}),
      ...(reset || settings.autoDelete !== undefined ? { autoDelete: settings.autoDelete ?? true } : {}),
      modified: now
    }
    entries.set(entry.key, next)
    return json(200, { success: true, status: 200, ...details(next) })
  }

  const listing = (request: Request): Answer => {
    authorize(request, true)
    const query = new URLSearchParams(request.target.split("?")[1] ?? "")
    const sort = query.get("sort") ?? "-created"
    const field = sort.replace(/^-/, "") as keyof ReturnType<typeof details>
    const all = [...entries.values()].map(details)
      .filter((node) => node.name.toLowerCase().includes((query.get("search") ?? "").toLowerCase()))
    const order = (a: unknown, b: unknown): number => a === b ? 0 : (a as string) < (b as string) ? -1 : 1
    all.sort((a, b) => (sort.startsWith("-") ? -1 : 1) * order(a[field], b[field]))
    const offset = Number(query.get("offset") ?? 0)
    const nodes = all.slice(offset, offset + Number(query.get("limit") ?? 100))
    return json(200, { success: true, status: 200, nodes, count: all.length, size: used(), screeningStatus: "passed" })
  }

  const give = (entry: Entry, lease: Lease, from: number): Answer => {
    const content = entry.bytes.subarray(from)
    const total = entry.bytes.length
    lease.until = undefined
    return {
      status: from === 0 ? 200 : 206,
      headers: {
        "content-type": entry.contentType,
        "content-length": String(content.length),
        "content-disposition": FileName.toContentDisposition(entry.name),
        ...(from === 0 ? {} : { "content-range": `bytes ${from}-${total - 1}/${total}` }),
        ...(resumable ? { etag: `"${lease.id}"`, "accept-ranges": "bytes" } : {})
      },
      body: content,
      settle: (bytes, now) => {
        if (lease.until !== undefined) return
        lease.until = now + grace
        if ((bytes >= content.length || !resumable) && !lease.consumed) {
          lease.consumed = true
          entry.downloads++
        }
        if (!resumable) entry.leases.splice(entry.leases.indexOf(lease), 1)
      }
    }
  }

  const download = (request: Request, now: number): Answer => {
    authorize(request, false)
    const entry = find(request)
    const range = /^bytes=(\d+)-$/.exec(request.headers["range"] ?? "")
    const validator = request.headers["if-range"]
    const held = entry.leases.find((lease) => `"${lease.id}"` === validator)
    if (resumable && range !== null && held !== undefined) {
      const from = Number(range[1])
      return from < entry.bytes.length
        ? give(entry, held, from)
        : refusal(416, "RANGE_NOT_SATISFIABLE", "There are no such bytes", {}, {
          "content-range": `bytes */${entry.bytes.length}`
        })
    }
    if (isUsedUp(entry)) throw new Refused(refusal(404, "FILE_NOT_FOUND", "No such file"))
    const claimed = entry.leases.filter((lease) => !lease.consumed)
    if (resumable && entry.maxDownloads !== null && entry.downloads + claimed.length >= entry.maxDownloads) {
      const wait = Math.min(...claimed.map((lease) => (lease.until ?? now + grace) - now))
      throw new Refused(
        refusal(423, "DOWNLOAD_IN_PROGRESS", "The file is being downloaded", {}, {
          "retry-after": String(Math.ceil(wait / 1000))
        })
      )
    }
    const lease: Lease = { id: `lease-${++count}`, until: undefined, consumed: false }
    entry.leases.push(lease)
    return give(entry, lease, 0)
  }

  const handle: Core["handle"] = (request, content, now) => {
    sweep(now)
    request.body = content
    try {
      switch (request.operation) {
        case "upload":
          return upload(request, content, now)
        case "list":
          return listing(request)
        case "me":
          authorize(request, true)
          return json(200, { success: true, status: 200, ...account, usedStorageBytes: used() })
        case "download":
          return download(request, now)
        case "update":
          return change(request, content, now, false)
        case "replace":
          return change(request, content, now, true)
        case "delete": {
          authorize(request, true)
          entries.delete(find(request).key)
          return json(200, { success: true, status: 200 })
        }
        case undefined:
          return refusal(404, "NOT_FOUND", "No such address")
      }
    } catch (error) {
      if (error instanceof Refused) return error.answer
      throw error
    }
  }

  const answerOf: Core["answerOf"] = (fault, request, content, now) => {
    switch (fault._tag) {
      case "Html": {
        const page = encoder.encode("<!doctype html><html><title>A page</title><p>This is not the API.</p></html>")
        return {
          status: fault.status,
          headers: { "content-type": "text/html; charset=utf-8", "content-length": String(page.length) },
          body: page,
          settle: nothing
        }
      }
      case "Redirect": {
        const location = fault.to === "page"
          ? `${options.baseUrl()}/download${request.target}`
          : fault.to === "loop"
          ? options.baseUrl() + request.target
          : fault.to
        return { status: 302, headers: { location, "content-length": "0" }, body: new Uint8Array(0), settle: nothing }
      }
      case "Body": {
        handle(request, content, now).settle(0, now)
        const bytes = encoder.encode(fault.body)
        return {
          status: 200,
          headers: { "content-type": "application/json", "content-length": String(bytes.length) },
          body: bytes,
          settle: nothing
        }
      }
      case "WrongSize": {
        const answer = handle(request, content, now)
        const told: unknown = answer.status === 200 && request.operation !== "download"
          ? JSON.parse(new TextDecoder().decode(answer.body))
          : undefined
        return typeof told === "object" && told !== null && "size" in told && typeof told.size === "number"
          ? json(200, { ...told, size: told.size + fault.by })
          : answer
      }
      case "Status":
      case "EarlyStatus": {
        const line = fault._tag === "Status" ? fault.statusLine : fault.status
        const headers = fault._tag === "Status" ? fault.headers : fault.close ? { connection: "close" } : {}
        return json(
          line,
          { success: false, status: fault.status, code: fault.code, message: "As the test wants it", key: null },
          headers
        )
      }
      case "Refuse":
      case "ResetRequest":
      case "StallRequest":
      case "ResetBeforeHeaders":
      case "StallBeforeHeaders":
      case "ResetBody":
      case "Truncate":
      case "CutChunked":
      case "TooManyBytes":
      case "StallBody":
      case "Drip":
        return handle(request, content, now)
    }
  }

  return {
    requests,
    inject: (fault, injection) => {
      injections.push({ fault, on: injection?.on, times: injection?.times ?? 1, after: injection?.after ?? 0 })
    },
    clear: () => {
      injections = []
      requests.length = 0
    },
    arrive: (head, now) => {
      const request: Request = {
        ...head,
        operation: operationOf(head.method, head.target),
        at: now,
        bodyBytes: 0,
        body: undefined,
        aborted: false
      }
      requests.push(request)
      const injection = injections.find((one) =>
        one.times > 0 && (one.on === undefined || one.on === request.operation)
      )
      if (injection === undefined) return { request, fault: undefined }
      if (injection.after > 0) {
        injection.after--
        return { request, fault: undefined }
      }
      injection.times--
      return { request, fault: injection.fault }
    },
    handle,
    answerOf,
    files: (now) => {
      sweep(now)
      return [...entries.values()].map(({ leases, ...file }) => ({ ...file, isBeingTaken: leases.length > 0 }))
    },
    put: (file, now) => {
      const { key: fileKey } = add({
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
      return { key: fileKey, link: linkOf(fileKey) }
    }
  }
}

/** Which call a request is. */
const operationOf = (method: string, target: string): Operation | undefined => {
  const path = target.split("?")[0]!
  if (path === "/") return method === "POST" ? "upload" : method === "GET" ? "list" : undefined
  if (path === "/me") return method === "GET" ? "me" : undefined
  if (!/^\/[A-Za-z0-9]{5,64}$/.test(path)) return undefined
  const operations: Readonly<Record<string, Operation>> = {
    GET: "download",
    PATCH: "update",
    PUT: "replace",
    DELETE: "delete"
  }
  return operations[method]
}
