/** The seven calls, over the catalog and the blobs. */
import type * as Account from "@effect-fileio/core/Account"
import { FileDetails } from "@effect-fileio/core/FileDetails"
import type * as FileIoApi from "@effect-fileio/core/FileIoApi"
import type { FileKey } from "@effect-fileio/core/FileKey"
import { FileList, FileListFromWire } from "@effect-fileio/core/FileList"
import * as FileName from "@effect-fileio/core/FileName"
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Headers from "effect/http/Headers"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ApiKeys } from "../ApiKeys.ts"
import { Blobs, type BlobsError, type Reader } from "../Blobs.ts"
import { Catalog, type CatalogError, type FileRecord, type Lease, SortField, type Unavailable } from "../Catalog.ts"
import { DiskSpace } from "../DiskSpace.ts"
import { Health } from "../Health.ts"
import { type Plan, Plans } from "../Plans.ts"
import * as Crawlers from "./crawlers.ts"
import * as Grants from "./grants.ts"
import * as Intake from "./intake.ts"
import { Leases } from "./leases.ts"
import * as Metrics from "./metrics.ts"
import * as Ranges from "./range.ts"
import * as Refusal from "./refusal.ts"
import { Settings } from "./settings.ts"
import { type Range, send } from "./transfer.ts"

/** Which files are listed, as the contract decodes it. */
type ListQuery = Schema.Struct<typeof FileIoApi.ListQuery>["Type"]

export type Problem = Refusal.Refusal | CatalogError | BlobsError

const JSON_TYPE = "application/json; charset=utf-8"
const DEFAULT_PAGE = 100
const MAX_PAGE = 1000

const encodeDetails = Schema.encodeSync(FileDetails)
const encodeList = Schema.encodeSync(FileListFromWire)
const isSortField = Schema.is(SortField)

const answerHeaders = Headers.fromInput({ "cache-control": "no-store", "x-content-type-options": "nosniff" })

const answer = (body: object): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(JSON.stringify({ success: true, status: 200, ...body }), {
    contentType: JSON_TYPE,
    headers: answerHeaders
  })

/** The headers that keep what somebody uploaded from acting in this server's name. */
const guardHeaders = {
  "cache-control": "private, no-store",
  "content-security-policy": "sandbox; default-src 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
}

const fileHeaders = (file: { readonly name: string; readonly mimeType: string }, length: number) => ({
  "content-type": file.mimeType,
  "content-disposition": FileName.toContentDisposition(file.name),
  "content-length": String(length),
  ...guardHeaders
})

/** Bytes of an upload between two looks at the room on the disk. */
const CHECK_DISK_EVERY = 8 * 1024 * 1024

const LEASE = /^"([A-Za-z0-9_-]{32})"$/

/** What answers each call. An empty owner stands for everybody without a key. */
export const make = Effect.gen(function*() {
  const catalog = yield* Catalog
  const blobs = yield* Blobs
  const plans = yield* Plans
  const apiKeys = yield* ApiKeys
  const disk = yield* DiskSpace
  const health = yield* Health
  const leases = yield* Leases
  const { anonymousPlan, publicUrl } = yield* Settings

  /** A full disk is the host's, but not a fault of it; everything else tells nothing of the inside. */
  const refusalOf = Effect.fnUntraced(function*(problem: Problem) {
    if (problem._tag === "Refusal") return problem
    yield* Effect.logError(problem.message, problem.cause)
    return (yield* health.note(problem)) === "disk-full" ? Refusal.noRoom : Refusal.failed
  })

  const refuse = <R>(
    effect: Effect.Effect<HttpServerResponse.HttpServerResponse, Problem, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R> =>
    Effect.catch(effect, (problem) => Effect.map(refusalOf(problem), Refusal.toResponse))

  const planNameOf = (owner: string): string =>
    owner === "" ? anonymousPlan : Option.getOrElse(apiKeys.planOf(owner), () => "free")
  const planOf = (owner: string): Plan => plans.get(planNameOf(owner))

  const toDetails = (file: FileRecord): FileDetails =>
    new FileDetails({
      id: file.id,
      key: file.key as FileKey,
      path: "/",
      nodeType: "file",
      name: file.name,
      title: file.title,
      description: null,
      size: file.size,
      link: `${publicUrl}/${file.key}`,
      private: false,
      expires: file.expires === null ? null : DateTime.makeUnsafe(file.expires),
      downloads: file.downloads,
      maxDownloads: file.maxDownloads,
      autoDelete: file.autoDelete,
      planId: plans.get(file.plan).id,
      screeningStatus: "passed",
      mimeType: file.mimeType,
      created: DateTime.makeUnsafe(file.created),
      modified: DateTime.makeUnsafe(file.modified)
    })

  // Bytes of uploads under way, by owner: two uploads must not both take the last of the storage.
  const reserved = new Map<string, number>()
  const reservation = (owner: string, plan: Plan, freed: number) =>
    Effect.acquireRelease(
      Effect.sync(() => ({ bytes: 0 })),
      (mine) =>
        Effect.sync(() => {
          const left = (reserved.get(owner) ?? 0) - mine.bytes
          if (left === 0) reserved.delete(owner)
          else reserved.set(owner, left)
        })
    ).pipe(Effect.map((mine) => (bytes: number) =>
      Effect.flatMap(catalog.usedBytes(owner), (used) => {
        const others = reserved.get(owner) ?? 0
        const asked = used - freed + others + bytes
        if (asked > plan.maxStorageBytes) {
          return Effect.fail(Refusal.tooLarge("maxStorageBytes", asked, plan.maxStorageBytes))
        }
        mine.bytes += bytes
        reserved.set(owner, others + bytes)
        return Effect.void
      })
    ))

  const receive = Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest,
    owner: string,
    freed: number,
    query: typeof FileSettings.FileSettingsFromFields.Type
  ) {
    const plan = planOf(owner)
    const quota = yield* reservation(owner, plan, freed)
    const declared = Number(request.headers["content-length"] ?? 0)
    if (!(yield* disk.holds(Number.isFinite(declared) ? Math.min(declared, plan.maxUploadBytes) : 0))) {
      return yield* Refusal.noRoom
    }
    let unchecked = 0
    const reserve = (bytes: number) =>
      Effect.andThen(
        quota(bytes),
        Effect.suspend(() => {
          unchecked += bytes
          if (unchecked < CHECK_DISK_EVERY) return Effect.void
          unchecked = 0
          return Effect.flatMap(disk.holds(0), (room) => room ? Effect.void : Effect.fail(Refusal.noRoom))
        })
      )
    const received = yield* Intake.receive(request, { maxUploadBytes: plan.maxUploadBytes, reserve }, query)
    return { ...received, plan, now: yield* Clock.currentTimeMillis }
  })

  /** From the moment that the catalog knows a blob, it must stay; an interruption must not come in between. */
  const keeping = <A, E, R>(file: Intake.ReceivedFile, change: Effect.Effect<A, E, R>, kept: (value: A) => boolean) =>
    Effect.andThen(
      file.writer.finish,
      Effect.uninterruptible(Effect.tap(change, (value) => kept(value) ? file.writer.keep : Effect.void))
    )

  const upload = Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest,
    owner: string,
    query: typeof FileSettings.FileSettingsFromFields.Type
  ) {
    const { file, now, plan, settings } = yield* receive(request, owner, 0, query)
    if (file === undefined) {
      return yield* Refusal.invalid("file: it is missing; send a part with a file name, or a field named text")
    }
    const granted = yield* Effect.fromResult(Grants.complete(settings, plan, now))
    const record = yield* keeping(
      file,
      catalog.insert({
        blob: file.writer.id,
        owner,
        plan: planNameOf(owner),
        name: file.name,
        mimeType: file.mimeType,
        size: file.size,
        created: now,
        ...granted
      }),
      () => true
    )
    yield* Metrics.uploaded(file.size)
    return answer(encodeDetails(toDetails(record)))
  }, Effect.scoped)

  const change = Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest,
    owner: string,
    key: string,
    resets: boolean
  ) {
    const old = yield* catalog.get(key)
    if (Option.isNone(old) || old.value.owner !== owner) return yield* Refusal.notFound(key)
    const { file, now, plan, settings } = yield* receive(request, owner, old.value.size, {})
    const granted = yield* Effect.fromResult((resets ? Grants.complete : Grants.given)(settings, plan, now))
    const updated = file === undefined
      ? yield* catalog.update(key, owner, granted)
      : yield* keeping(
        file,
        catalog.update(key, owner, {
          ...granted,
          content: { blob: file.writer.id, name: file.name, mimeType: file.mimeType, size: file.size }
        }),
        Option.isSome
      )
    // It may have been deleted while the body came in.
    if (Option.isNone(updated)) return yield* Refusal.notFound(key)
    return answer(encodeDetails(toDetails(updated.value)))
  }, Effect.scoped)

  const list = Effect.fnUntraced(function*(owner: string, query: ListQuery) {
    const sort = query.sort === undefined || query.sort === "" ? "-created" : query.sort
    const descending = sort.startsWith("-")
    const field = descending ? sort.slice(1) : sort
    if (!isSortField(field)) {
      return yield* Refusal.invalid(
        `sort: allowed: ${SortField.literals.join(", ")}, each with a leading - for descending`
      )
    }
    const page = yield* catalog.list({
      owner,
      search: query.search === "" ? undefined : query.search,
      sort: field,
      descending,
      offset: query.offset ?? 0,
      limit: Math.min(query.limit ?? DEFAULT_PAGE, MAX_PAGE)
    })
    return answer(encodeList(
      new FileList({
        files: page.files.map(toDetails),
        count: page.count,
        size: page.size,
        screeningStatus: "passed"
      })
    ))
  })

  const me = (owner: string) => {
    const plan = planOf(owner)
    return Effect.map(catalog.usedBytes(owner), (usedStorageBytes) => {
      const account: typeof Account.AccountFromWire.Encoded = {
        planId: plan.id,
        maxUploadBytes: plan.maxUploadBytes,
        maxStorageBytes: plan.maxStorageBytes,
        usedStorageBytes,
        rateLimit: plan.rateLimit,
        customDomain: null,
        paymentCustomerId: null,
        paymentSubscriptionId: null,
        directDownload: plan.directDownload ? 1 : 0
      }
      return answer(account)
    })
  }

  const remove = Effect.fnUntraced(function*(owner: string, key: string) {
    if (!(yield* catalog.remove(key, owner))) return yield* Refusal.notFound(key)
    return answer({})
  })

  /** Sends a range of a lease; it counts when that reaches the end of the file and all of it was handed over. */
  const deliver = (request: HttpServerRequest.HttpServerRequest, lease: Lease, range: Range, status: number) => {
    const partial = status === 206
      ? { "content-range": `bytes ${range.start}-${range.end - 1}/${lease.size}` }
      : undefined
    const headers = {
      ...fileHeaders(lease, range.end - range.start),
      "accept-ranges": "bytes",
      etag: `"${lease.id}"`,
      ...partial
    }
    const toTheEnd = range.end === lease.size
    // The lease is settled before anything else happens, closing the blob included: whoever has the last byte may ask
    // again at once, and must hear that the file is gone.
    const transfer = Effect.fnUntraced(function*(reader: Reader) {
      const run = Effect.runPromiseWith(yield* Effect.context<never>())
      const beforeLast = () =>
        toTheEnd
          ? run(Effect.tapError(catalog.handOver(lease), (error) => health.note(error)))
          : Promise.resolve()
      return yield* Effect.interruptible(send(request, reader, range, status, headers, beforeLast)).pipe(
        Effect.onExit((exit) => {
          const whole = Exit.isSuccess(exit) && exit.value
          return Effect.andThen(
            whole && toTheEnd ? leases.commit(lease) : leases.release(lease),
            Metrics.downloaded(range.end - range.start, whole)
          )
        })
      )
    })
    return blobs.open(lease.blob).pipe(
      Effect.tapError(() => leases.release(lease)),
      Effect.flatMap(transfer),
      Effect.scoped,
      Effect.as(HttpServerResponse.empty({ status }))
    )
  }

  /** Whoever holds a lease takes it up again; without one, `Range` is ignored, and the whole file claimed. */
  const resume = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest, key: string) {
    const held = LEASE.exec(request.headers["if-range"] ?? "")
    if (held === null || Ranges.parse(request.headers["range"], Infinity) === undefined) return Option.none()
    const lease = yield* catalog.resume(key, held[1]!)
    if (Option.isNone(lease)) return Option.none()
    const { size } = lease.value
    const range = Ranges.parse(request.headers["range"], size)
    if (range === undefined || range === "unsatisfiable") {
      yield* leases.release(lease.value)
      return yield* new Refusal.Refusal({
        status: 416,
        code: "RANGE_NOT_SATISFIABLE",
        text: `The file has ${size} bytes`,
        key,
        headers: { "content-range": `bytes */${size}` }
      })
    }
    return Option.some(yield* deliver(request, lease.value, range, 206))
  })

  const refusalFor = (key: string, unavailable: Unavailable): Refusal.Refusal =>
    unavailable._tag === "Gone" ? Refusal.notFound(key) : Refusal.inProgress(key, unavailable.retryAfter)

  /** Crawlers and previews get the page whatever they accept; a browser does unless its user asked for the bytes. */
  const isForPage = (request: HttpServerRequest.HttpServerRequest, file: FileRecord): boolean =>
    Crawlers.onlyLooks(request) ||
    (request.headers["accept"] ?? "").includes("text/html") && !planOf(file.owner).directDownload &&
      !new URL(request.url, "http://host").searchParams.has("download")

  const download = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest, key: string) {
    const resumed = request.method === "GET" ? yield* resume(request, key) : Option.none()
    if (Option.isSome(resumed)) return resumed.value

    const file = yield* catalog.get(key)
    if (Option.isNone(file)) return yield* Refusal.notFound(key)
    if (isForPage(request, file.value)) {
      return HttpServerResponse.redirect(`${publicUrl}/download/${key}`, {
        status: 302,
        headers: { "cache-control": "no-store", vary: "accept, user-agent" }
      })
    }
    if (request.method === "HEAD") {
      const available = yield* catalog.peek(key)
      return available._tag === "Available"
        ? HttpServerResponse.empty({ status: 200, headers: fileHeaders(file.value, file.value.size) })
        : yield* refusalFor(key, available)
    }
    const claim = yield* catalog.claim(key)
    return claim._tag === "Claimed"
      ? yield* deliver(request, claim.lease, { start: 0, end: claim.lease.size }, 200)
      : yield* refusalFor(key, claim)
  }, Effect.uninterruptible)

  return { upload, list, me, download, change, remove, refuse }
})
