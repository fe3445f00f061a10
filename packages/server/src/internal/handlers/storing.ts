/**
 * Makes a file of received bytes: how much is allowed, where it is stored, and what the catalog records. The calls that take a
 * body and the resumable uploads both use it.
 */
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import type { Blobs, BlobsError } from "../../Blobs.ts"
import { Blocklist } from "../../Blocklist.ts"
import { Catalog, type CatalogError, type Completion, type FileRecord, type Purpose } from "../../Catalog.ts"
import { DiskSpace } from "../../DiskSpace.ts"
import { Health } from "../../Health.ts"
import type { Plan } from "../../Plans.ts"
import type * as ParseUpload from "../http/parseUpload.ts"
import * as Refusal from "../http/refusal.ts"
import * as Digest from "../ops/digest.ts"
import { Journal } from "../ops/journal.ts"
import * as Metrics from "../ops/metrics.ts"
import { untilClosed } from "../shared/untilClosed.ts"
import * as DeleteToken from "./deleteToken.ts"
import * as PlanLimits from "./planLimits.ts"
import * as Responses from "./responses.ts"

type Problem = Refusal.Refusal | CatalogError | BlobsError
type Settings = typeof FileSettings.FileSettingsFromFields.Type

/** The target of a body: a new file, whose name may be in the path, or new content of an existing one. */
export type Target =
  | { readonly _tag: "new"; readonly name?: string | undefined }
  | { readonly _tag: "change"; readonly key: string; readonly resets: boolean }

export interface StoreOptions {
  /** The deletion token of a new file; a changed one keeps its own. */
  readonly token?: string
  /** The resumable upload that the file completes. */
  readonly completes?: Completion
}

/** Bytes of the account's storage that an upload reserves in advance. */
const MOST_RESERVED_AHEAD = 8 * 1024 * 1024

/** Reserves storage of accounts for uploads: two uploads must not both take the last of it. */
const reservations = (catalog: Catalog["Service"]) => {
  // Bytes of running uploads, by owner.
  const reserved = new Map<string, number>()
  return (owner: string, plan: Plan, freed: number) =>
    untilClosed(() => ({ bytes: 0 }), (mine) => {
      const left = (reserved.get(owner) ?? 0) - mine.bytes
      if (left === 0) reserved.delete(owner)
      else reserved.set(owner, left)
    }).pipe(Effect.map((mine) => {
      let taken = 0
      const grant = (bytes: number) => {
        mine.bytes += bytes
        reserved.set(owner, (reserved.get(owner) ?? 0) + bytes)
      }
      return {
        take: (bytes: number) =>
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
              grant(Math.min(wanted, room))
              return Effect.void
            })
          }),
        /** The catalog counts these bytes now. */
        recorded: (bytes: number) => {
          const counted = Math.min(bytes, taken, mine.bytes)
          taken -= counted
          grant(-counted)
        }
      }
    }))
}

/**
 * Reads the stored bytes, so that one implementation serves all kinds of bodies; only if the operator blocks contents at all.
 */
const refuseBlocked = (blocklist: Blocklist["Service"]) =>
  Effect.fnUntraced(function*({ bytes, writer }: ParseUpload.ReceivedFile) {
    const { digests } = blocklist.entries()
    if (digests.size === 0) return
    const digest = bytes === undefined ? yield* Digest.ofBlob(writer.id) : Digest.ofBytes(bytes)
    if (digests.has(digest)) return yield* Refusal.blockedContent
  })

const contentOf = ({ bytes, isRecorded = false, mimeType, name, size, writer }: ParseUpload.ReceivedFile) => ({
  blob: writer.id,
  bytes,
  isExpected: !isRecorded,
  name,
  mimeType,
  size
})

/**
 * Once the catalog has a file of a blob, the blob must stay; an interruption must not come in between. It also stays if the
 * outcome is unknown: the sweeper removes it unless it belongs to a file.
 */
const makeKeeping = (
  catalog: Catalog["Service"],
  checkContent: ReturnType<typeof refuseBlocked>
) =>
<A>(
  file: ParseUpload.ReceivedFile,
  purpose: Purpose,
  /** `shard`: the one that expects the blob, unless that of the upload does. */
  change: (shard?: number) => Effect.Effect<A, CatalogError>,
  kept: (value: A) => boolean
) => {
  const { isRecorded = false, writer } = file
  return Effect.flatMap(
    isRecorded ? Effect.undefined : catalog.expect(writer.id, purpose),
    (shard) =>
      Effect.andThen(writer.finish, checkContent(file)).pipe(
        Effect.andThen(
          change(shard).pipe(
            Effect.tap((value) => kept(value) ? writer.keep : Effect.void),
            Effect.tapError(({ reason }) => reason === "unknown" ? writer.keep : Effect.void),
            Effect.uninterruptible
          )
        )
      )
  )
}

export const make = Effect.gen(function*() {
  const catalog = yield* Catalog
  const disk = yield* DiskSpace
  const health = yield* Health
  const keeping = makeKeeping(catalog, refuseBlocked(yield* Blocklist))
  const journal = yield* Journal
  const { planNameOf, planOf } = yield* Responses.make

  const reservation = reservations(catalog)
  const noRoom = Effect.andThen(health.note("disk-full"), Effect.fail(Refusal.noRoom))

  /**
   * How much may arrive for an account until the scope closes. `declared` is the announced size, `freed` the size of what it
   * replaces.
   */
  const limits = Effect.fnUntraced(function*(owner: string, declared: number, freed: number) {
    yield* Metrics.uploading
    const plan = planOf(owner)
    const quota = yield* reservation(owner, plan, freed)
    if (!(yield* disk.holds(Number.isFinite(declared) ? Math.min(declared, plan.maxUploadBytes) : 0))) {
      return yield* noRoom
    }
    const take = yield* disk.upload
    const reserve = (bytes: number) =>
      Effect.andThen(
        quota.take(bytes),
        Effect.flatMap(take(bytes), (room) => room ? Effect.void : noRoom)
      )
    const { maxUploadBytes } = plan
    const { smallFiles } = catalog
    return { maxUploadBytes, reserve, recorded: quota.recorded, smallFiles } satisfies ParseUpload.Limits & {
      /** These bytes are recorded in the catalog, which counts them from now on. */
      readonly recorded: (bytes: number) => void
    }
  })

  /** The file that a target changes; fails if the account has no such file. */
  const changed = Effect.fnUntraced(function*(owner: string, key: string) {
    const file = yield* catalog.get(key)
    return Option.isSome(file) && file.value.owner === owner ? file.value : yield* Refusal.notFound(key)
  })

  /** The settings as the account's plan allows them now. */
  const granted = Effect.fnUntraced(function*(owner: string, target: Target, settings: Settings) {
    const now = yield* Clock.currentTimeMillis
    const grant = target._tag === "change" && !target.resets ? PlanLimits.given : PlanLimits.complete
    return yield* Effect.fromResult(grant(settings, planOf(owner), now))
  })

  /** Creates or changes the file, and completes its resumable upload. */
  const store = Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest,
    owner: string,
    target: Target,
    { file, settings }: ParseUpload.Received,
    { completes, token }: StoreOptions = {}
  ): Effect.fn.Return<FileRecord, Problem, Blobs> {
    if (target._tag === "new") {
      if (file === undefined) return yield* Refusal.noFile
      const now = yield* Clock.currentTimeMillis
      const grant = yield* Effect.fromResult(PlanLimits.complete(settings, planOf(owner), now))
      const { size } = file
      const plan = planNameOf(owner)
      const record = yield* keeping(
        file,
        { owner, upload: completes?.id },
        (shard) =>
          catalog.insert({
            ...contentOf(file),
            owner,
            plan,
            created: now,
            deleteHash: token === undefined ? null : DeleteToken.hashOf(token),
            shard,
            ...grant
          }, completes),
        () => true
      )
      yield* Metrics.uploaded(size, plan)
      yield* journal.audit(record.key, { event: "upload", account: owner, bytes: size }, request)
      return record
    }
    const { key } = target
    const grant = yield* granted(owner, target, settings)
    const updated = file === undefined
      ? yield* catalog.update(key, owner, grant, completes)
      : yield* keeping(
        file,
        { owner, key, upload: completes?.id },
        () => catalog.update(key, owner, { ...grant, content: contentOf(file) }, completes),
        Option.isSome
      )
    // It may have been deleted while the body arrived.
    if (Option.isNone(updated)) return yield* Refusal.notFound(key)
    yield* journal.audit(
      key,
      { event: "update", account: owner, ...(file === undefined ? {} : { bytes: file.size }) },
      request
    )
    return updated.value
  })

  return { limits, changed, granted, store }
})

export type Storing = Effect.Success<typeof make>
