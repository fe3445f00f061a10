/** The calls about stored files: the account, the list of its files, and deletion. */
import type * as Account from "@effect-fileio/core/Account"
import type * as FileIoApi from "@effect-fileio/core/FileIoApi"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Catalog } from "../../Catalog.ts"
import { SortField } from "../../FileListing.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import { Journal } from "../ops/journal.ts"
import { positionOf, readsAll } from "../sql/listing.ts"
import * as Cursor from "./cursor.ts"
import * as DeleteToken from "./deleteToken.ts"
import { Leases } from "./leases.ts"
import * as Responses from "./responses.ts"

/** The decoded query of a listing. */
type ListQuery = Schema.Struct<typeof FileIoApi.ListQuery>["Type"]
const DEFAULT_PAGE = 100
const MAX_PAGE = 1000
const ENCODED_AT_ONCE = 50
const isSortField = Schema.is(SortField)

export const make = Effect.gen(function*() {
  const catalog = yield* Catalog
  const leases = yield* Leases
  const journal = yield* Journal
  const { planOf, toDetails } = yield* Responses.make
  const { baseOf } = yield* Settings

  const list = Effect.fnUntraced(
    function*(request: HttpServerRequest.HttpServerRequest, owner: string, query: ListQuery) {
      const base = baseOf(request)
      const sort = query.sort === undefined || query.sort === "" ? "-created" : query.sort
      const descending = sort.startsWith("-")
      const field = descending ? sort.slice(1) : sort
      if (!isSortField(field)) {
        return yield* Refusal.invalid(
          `sort: allowed: ${SortField.literals.join(", ")}, each with a leading - for descending`
        )
      }
      const order = { sort: field, descending }
      const limit = Math.min(query.limit ?? DEFAULT_PAGE, MAX_PAGE)
      const after = query.after === undefined || query.after === ""
        ? undefined
        : yield* Cursor.decode(order, query.after)
      const search = query.search === "" ? undefined : query.search
      const offset = query.offset ?? 0
      const page = yield* catalog.list({ ...order, owner, search, offset, after, limit }).pipe(
        // One that reads only its page is slow because the host has much to do, which passes.
        Effect.catchIf(
          ({ reason }) => reason === "slow" && (offset > 0 || readsAll({ search, sort: field })),
          () => Effect.andThen(Effect.logWarning("a list took longer than it may"), Effect.fail(Refusal.slowList))
        )
      )
      // A long page is encoded in pieces, so that other requests are handled in between.
      const pieces: Array<Uint8Array> = []
      for (let at = 0; at < page.files.length; at += ENCODED_AT_ONCE) {
        if (at > 0) yield* Effect.yieldNow
        const nodes = page.files.slice(at, at + ENCODED_AT_ONCE).map((file) => toDetails(file, base))
        pieces.push(Buffer.from(JSON.stringify(nodes).slice(1, -1)))
      }
      const { count, size } = page
      const last = page.files.length === limit ? page.files.at(-1) : undefined
      const next = last === undefined ? {} : { next: Cursor.encode(order, positionOf(last, field)) }
      return Responses.list({ count, size, screeningStatus: "passed", ...next }, pieces)
    }
  )

  const me = (owner: string) => {
    const plan = planOf(owner)
    return Effect.map(catalog.usedBytes(owner), (usedStorageBytes) => {
      const account: typeof Account.AccountFromWire.Encoded = {
        planId: plan.id,
        maxUploadBytes: plan.maxUploadBytes,
        maxStorageBytes: plan.maxStorageBytes,
        usedStorageBytes,
        maxDownloads: plan.maxDownloads,
        maxExpires: plan.maxExpires === null ? null : Duration.toSeconds(plan.maxExpires),
        rateLimit: plan.rateLimit,
        customDomain: null,
        paymentCustomerId: null,
        paymentSubscriptionId: null,
        directDownload: plan.directDownload ? 1 : 0
      }
      return Responses.success(account)
    })
  }

  /** The account in whose place the holder of a token deletes a file. A wrong token is as good as a wrong key of a file. */
  const holderOf = Effect.fnUntraced(function*(key: string, token: string) {
    const file = Option.getOrUndefined(yield* catalog.get(key))
    return DeleteToken.matches(file?.deleteHash, token) ? file!.owner : yield* Refusal.notFound(key)
  })

  /** Deletes a file of the account, or the one with this deletion token: that is enough, whatever the account. */
  const remove = Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest,
    owner: string,
    key: string,
    token = DeleteToken.of(request)
  ) {
    const by = token === undefined ? owner : yield* holderOf(key, token)
    if (!(yield* catalog.remove(key, by))) return yield* Refusal.notFound(key)
    yield* leases.endOf(key)
    yield* journal.audit(
      key,
      { event: "delete", account: by, ...(token === undefined ? {} : { by: "token" }) },
      request
    )
    return Responses.success({})
  })
  return { list, me, remove }
})
