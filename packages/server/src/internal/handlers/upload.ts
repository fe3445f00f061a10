/** The calls that take a body: upload, update and replace. */
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import { Blocklist } from "../../Blocklist.ts"
import { Catalog, type CatalogError } from "../../Catalog.ts"
import { DiskSpace } from "../../DiskSpace.ts"
import { Health } from "../../Health.ts"
import type { Plan } from "../../Plans.ts"
import * as ParseUpload from "../http/parseUpload.ts"
import * as Refusal from "../http/refusal.ts"
import * as Digest from "../ops/digest.ts"
import { fileId, Journal } from "../ops/journal.ts"
import * as Metrics from "../ops/metrics.ts"
import * as Browser from "../web/browser.ts"
import * as Answers from "./answers.ts"
import * as PlanLimits from "./planLimits.ts"

/** Bytes of the account's storage that an upload reserves in advance. */
const MOST_RESERVED_AHEAD = 8 * 1024 * 1024

/** Reserves storage of accounts for uploads: two uploads must not both take the last of it. */
const reservations = (catalog: Catalog["Service"]) => {
  // Bytes of running uploads, by owner.
  const reserved = new Map<string, number>()
  return (owner: string, plan: Plan, freed: number) =>
    Effect.acquireRelease(
      Effect.sync(() => ({ bytes: 0 })),
      (mine) =>
        Effect.sync(() => {
          const left = (reserved.get(owner) ?? 0) - mine.bytes
          if (left === 0) reserved.delete(owner)
          else reserved.set(owner, left)
        })
    ).pipe(Effect.map((mine) => {
      let taken = 0
      return (bytes: number) =>
        Effect.suspend(() => {
          taken += bytes
          const needed = taken - mine.bytes
          if (needed <= 0) return Effect.void
          // As much as has arrived already, so that the catalog is not asked for every piece, and little more than needed is
          // reserved.
          const wanted = Math.max(needed, Math.min(taken, MOST_RESERVED_AHEAD))
          return Effect.flatMap(catalog.usedBytes(owner), (used) => {
            const held = used - freed + (reserved.get(owner) ?? 0)
            const room = plan.maxStorageBytes - held
            if (room < needed) {
              return Effect.fail(Refusal.tooLarge("maxStorageBytes", held + needed, plan.maxStorageBytes))
            }
            const granted = Math.min(wanted, room)
            mine.bytes += granted
            reserved.set(owner, (reserved.get(owner) ?? 0) + granted)
            return Effect.void
          })
        })
    }))
}

export const make = Effect.gen(function*() {
  const catalog = yield* Catalog
  const disk = yield* DiskSpace
  const health = yield* Health
  const blocklist = yield* Blocklist
  const journal = yield* Journal
  const { details, planNameOf, planOf } = yield* Answers.make

  const reservation = reservations(catalog)
  const noRoom = Effect.andThen(health.note("disk-full"), Effect.fail(Refusal.noRoom))

  const receive = Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest,
    owner: string,
    freed: number,
    query: typeof FileSettings.FileSettingsFromFields.Type,
    names: ParseUpload.Names
  ) {
    yield* Metrics.uploading
    const plan = planOf(owner)
    const quota = yield* reservation(owner, plan, freed)
    const declared = Number(request.headers["content-length"] ?? 0)
    if (!(yield* disk.holds(Number.isFinite(declared) ? Math.min(declared, plan.maxUploadBytes) : 0))) {
      return yield* noRoom
    }
    const take = yield* disk.upload
    const reserve = (bytes: number) =>
      Effect.andThen(
        quota(bytes),
        Effect.flatMap(take(bytes), (room) => room ? Effect.void : noRoom)
      )
    const received = yield* ParseUpload.receive(request, { maxUploadBytes: plan.maxUploadBytes, reserve }, query, names)
    return { ...received, plan, now: yield* Clock.currentTimeMillis }
  })

  /**
   * Reads the stored bytes, so that one implementation serves all kinds of bodies; only if the operator blocks contents at all.
   */
  const refuseBlocked = Effect.fnUntraced(function*(blob: string) {
    const { digests } = blocklist.entries()
    if (digests.size === 0) return
    if (digests.has(yield* Digest.ofBlob(blob))) return yield* Refusal.blockedContent
  })

  /**
   * Once the catalog has a file of a blob, the blob must stay; an interruption must not come in between. It also stays if the
   * outcome is unknown: the sweeper removes it unless it belongs to a file.
   */
  const keeping = <A>(
    file: ParseUpload.ReceivedFile,
    change: Effect.Effect<A, CatalogError>,
    kept: (value: A) => boolean
  ) =>
    catalog.expect(file.writer.id).pipe(
      Effect.andThen(file.writer.finish),
      Effect.andThen(refuseBlocked(file.writer.id)),
      Effect.andThen(change.pipe(
        Effect.tap((value) => kept(value) ? file.writer.keep : Effect.void),
        Effect.tapError(({ reason }) => reason === "unknown" ? file.writer.keep : Effect.void),
        Effect.uninterruptible
      ))
    )

  const upload = Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest,
    owner: string,
    query: typeof FileSettings.FileSettingsFromFields.Type,
    name?: string
  ) {
    const { file, now, plan, settings } = yield* receive(request, owner, 0, query, { path: name })
    if (file === undefined) {
      return yield* Refusal.noFile
    }
    const granted = yield* Effect.fromResult(PlanLimits.complete(settings, plan, now))
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
    yield* Metrics.uploaded(file.size, planNameOf(owner))
    yield* journal.audit({ event: "upload", account: owner, file: fileId(record.key), bytes: file.size }, request)
    return Browser.isBrowser(request) ? Browser.uploaded(record.key) : details(request, record)
  }, Effect.scoped)

  const change = Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest,
    owner: string,
    key: string,
    query: typeof FileSettings.FileSettingsFromFields.Type,
    resets: boolean
  ) {
    const old = yield* catalog.get(key)
    if (Option.isNone(old) || old.value.owner !== owner) return yield* Refusal.notFound(key)
    const { file, now, plan, settings } = yield* receive(request, owner, old.value.size, query, {
      present: old.value.name
    })
    const granted = yield* Effect.fromResult((resets ? PlanLimits.complete : PlanLimits.given)(settings, plan, now))
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
    // It may have been deleted while the body arrived.
    if (Option.isNone(updated)) return yield* Refusal.notFound(key)
    yield* journal.audit(
      { event: "update", account: owner, file: fileId(key), ...(file === undefined ? {} : { bytes: file.size }) },
      request
    )
    return details(request, updated.value)
  }, Effect.scoped)

  return { upload, change }
})
