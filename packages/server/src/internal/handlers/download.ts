/** Decides whether a request gets the file, and under which lease. */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import { Catalog, type Claim, type FileRecord, type Unavailable } from "../../Catalog.ts"
import * as Accept from "../http/accept.ts"
import * as Ranges from "../http/range.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import * as InTurn from "../shared/inTurn.ts"
import * as Crawlers from "../web/crawlers.ts"
import * as FilePages from "../web/filePages.ts"
import * as Receiver from "../web/receiver.ts"
import * as Deliver from "./deliver.ts"
import { Leases } from "./leases.ts"
import * as Responses from "./responses.ts"

const LEASE = /^"([A-Za-z0-9_-]{32})"$/

export const make = Effect.gen(function*() {
  const catalog = yield* Catalog
  const leases = yield* Leases
  const { baseOf } = yield* Settings
  const { planOf } = yield* Responses.make
  const deliver = yield* Deliver.make
  const inTurn = InTurn.make()

  /** The holder of a lease starts a new transfer; without a lease, `Range` is ignored, and the whole file claimed. */
  const resume = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest, key: string) {
    const held = LEASE.exec(request.headers["if-range"] ?? "")
    if (held === null || Ranges.parse(request.headers["range"], Infinity) === undefined) return Option.none()
    const rangeOf = (size: number) => {
      const range = Ranges.parse(request.headers["range"], size)
      return range === "unsatisfiable" ? undefined : range
    }
    // The end of an older transfer decides whether its last byte was sent, so the catalog must record it first.
    yield* leases.makeRoom(held[1]!, rangeOf)
    const lease = yield* catalog.resume(key, held[1]!)
    if (Option.isNone(lease)) return Option.none()
    const { size } = lease.value
    const range = rangeOf(size)
    if (range === undefined) {
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

  /**
   * A browser that has seen the page and asks again for its file gets all of it again, in place of its first transfer, which it
   * may have dropped, or of which it may have lost the last bytes. One that asks twice at the same time has one download.
   */
  const claimFor = (receiver: string, key: string) =>
    inTurn(
      receiver,
      Effect.gen(function*() {
        yield* leases.makeRoom(receiver, (size) => ({ start: 0, end: size }))
        const lease = yield* catalog.resume(key, receiver)
        return Option.isNone(lease)
          ? yield* catalog.claim(key, receiver)
          : { _tag: "Claimed", lease: lease.value } satisfies Claim
      })
    )

  const deliverWhole = (request: HttpServerRequest.HttpServerRequest, key: string, claim: Claim) =>
    claim._tag === "Claimed"
      ? deliver(request, claim.lease, { start: 0, end: claim.lease.size }, 200)
      : Effect.fail(refusalFor(key, claim))

  const refusalFor = (key: string, unavailable: Unavailable): Refusal.Refusal =>
    unavailable._tag === "Gone" ? Refusal.notFound(key) : Refusal.inProgress(key, unavailable.retryAfter)

  /** The page's button requests this. */
  const isPressed = (request: HttpServerRequest.HttpServerRequest): boolean =>
    new URL(request.url, "http://host").searchParams.has("download")

  /**
   * Crawlers and previews get the page whatever they accept; a browser does unless its user asked for the bytes. The bytes of an
   * encrypted file are no use to it: the page decrypts them.
   */
  const isForPage = (request: HttpServerRequest.HttpServerRequest, file: FileRecord): boolean =>
    Crawlers.onlyLooks(request) ||
    Accept.wantsPage(request) && !isPressed(request) &&
      (!planOf(file.owner).directDownload || FilePages.isEncrypted(file))

  /** The response to a request that may not be for the bytes; `undefined` if it is. */
  const withoutBytes = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest, key: string) {
    if (request.method !== "HEAD" && !Crawlers.onlyLooks(request) && !Accept.wantsPage(request)) return undefined
    const file = yield* catalog.get(key)
    if (Option.isNone(file)) return yield* Refusal.notFound(key)
    if (isForPage(request, file.value)) {
      return HttpServerResponse.redirect(`${baseOf(request)}/download/${key}`, {
        status: 302,
        headers: { "cache-control": "no-store", vary: "accept, user-agent" }
      })
    }
    if (request.method !== "HEAD") return undefined
    const available = yield* catalog.peek(key)
    return available._tag === "Available"
      ? HttpServerResponse.empty({ status: 200, headers: Deliver.fileHeaders(file.value, file.value.size) })
      : yield* refusalFor(key, available)
  })

  const download = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest, key: string) {
    const resumed = request.method === "GET" ? yield* resume(request, key) : Option.none()
    if (Option.isSome(resumed)) return resumed.value
    const receiver = request.method === "GET" && isPressed(request) && !Crawlers.onlyLooks(request)
      ? Receiver.leaseOf(request, key)
      : undefined
    if (receiver !== undefined) return yield* deliverWhole(request, key, yield* claimFor(receiver, key))
    return (yield* withoutBytes(request, key)) ?? (yield* deliverWhole(request, key, yield* catalog.claim(key)))
  }, Effect.uninterruptible)
  return download
})
