/**
 * Whether the server can work: the catalog responds, bytes can be written, the disk has space; and recent faults.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Blobs, BlobsError } from "./Blobs.ts"
import { Catalog, CatalogError, type Shard } from "./Catalog.ts"
import { DiskSpace } from "./DiskSpace.ts"
import { diskFault } from "./internal/disk/diskFault.ts"
import * as Metrics from "./internal/ops/metrics.ts"
import { within } from "./internal/shared/deadline.ts"
import { RateCounter } from "./RateCounter.ts"

/**
 * A fault of the host: the disk is full or cannot be written, a blob is missing, another failure of a store, or an unusable
 * file of accounts or blocklist.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault = "disk-full" | "not-writable" | "blob-missing" | "blobs" | "catalog" | "accounts-file" | "blocklist"

/**
 * `failing`: it cannot take or give files. `degraded`: it can, but there was a recent fault.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly status: "ok" | "degraded" | "failing"
  readonly catalog: {
    /** Whether it can be written; of a catalog with shards, whether any can. */
    readonly ok: boolean
    readonly problem?: Fault
    /** The shards that do not work. */
    readonly down?: ReadonlyArray<string>
    readonly files?: number
    readonly bytes?: number
  }
  readonly blobs: { readonly ok: boolean; readonly problem?: Fault }
  /** `free` and `floor` are bytes; below the floor, uploads are refused. */
  readonly disk: { readonly ok: boolean; readonly free?: number; readonly floor: number }
  /** Whether requests are counted together with the other servers; if not, the server works anyway. */
  readonly rateCounter: { readonly ok: boolean }
  /** Faults of the last hour, with their number since the start. */
  readonly faults: Readonly<Partial<Record<Fault, { readonly count: number; readonly last: string }>>>
}

/**
 * Reports the server's health.
 *
 * @category services
 * @since 0.1.0
 */
export class Health extends Context.Service<Health, {
  readonly report: Effect.Effect<Report>
  /** Records a failure of a store, or a fault that was noticed before, and returns its kind. */
  readonly note: (problem: CatalogError | BlobsError | Fault) => Effect.Effect<Fault>
}>()("@effect-fileio/server/Health") {}

/**
 * Records a fault, if the program has a health service.
 *
 * @category operations
 * @since 0.1.0
 */
export const noteFault = (fault: Fault): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.serviceOption(Health),
    (health) => health._tag === "Some" ? Effect.asVoid(health.value.note(fault)) : Effect.void
  )

/** The kind of fault behind a failure of a store. */
const faultOf = (error: CatalogError | BlobsError): Fault => {
  if (error._tag === "CatalogError") return diskFault(error.cause) ?? "catalog"
  return diskFault(error) ?? (error.code === "ENOENT" && error.operation === "open a blob" ? "blob-missing" : "blobs")
}

const LATELY = 60 * 60 * 1000
/** A part that does not respond within this time is failing: monitors give up on a health check that takes longer. */
const PART_DEADLINE = "2 seconds"
const late = new Error("it did not respond in time")

/** The databases of a catalog, each within the deadline. */
const checkCatalog = (catalog: Catalog["Service"]): Effect.Effect<Report["catalog"]> => {
  const unavailable = () => new CatalogError({ cause: late, reason: "unavailable" })
  const shards = catalog.shards ?? [catalog]
  const check = ({ probe, totals, where }: Shard) =>
    Effect.map(
      Effect.all([
        Effect.result(within(probe, PART_DEADLINE, unavailable)),
        Effect.result(within(totals, PART_DEADLINE, unavailable))
      ], { concurrency: "unbounded" }),
      ([written, totals]) => ({
        where,
        problem: written._tag === "Success" ? undefined : faultOf(written.failure),
        totals: totals._tag === "Success" ? totals.success : undefined
      })
    )
  return Effect.map(Effect.forEach(shards, check, { concurrency: "unbounded" }), (checked) => {
    const down = checked.filter(({ problem, totals }) => problem !== undefined || totals === undefined)
    const problem = checked.find(({ problem }) => problem !== undefined)?.problem
    const totals = checked.flatMap(({ totals }) => totals === undefined ? [] : [totals])
    return {
      ok: down.length < shards.length,
      ...(problem === undefined ? {} : { problem }),
      ...(catalog.shards === undefined || down.length === 0 ? {} : { down: down.map(({ where }) => where) }),
      ...(totals.length < shards.length ? {} : {
        files: totals.reduce((sum, { files }) => sum + files, 0),
        bytes: totals.reduce((sum, { bytes }) => sum + bytes, 0)
      })
    }
  })
}

/**
 * Checks the catalog and the bytes on each request.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Health, never, Catalog | Blobs | DiskSpace | RateCounter> = Layer.effect(
  Health,
  Effect.gen(function*() {
    const catalog = yield* Catalog
    const blobs = yield* Blobs
    const disk = yield* DiskSpace
    const counter = yield* RateCounter
    const noted = new Map<Fault, { count: number; last: number }>()

    const note = Effect.fnUntraced(function*(problem: CatalogError | BlobsError | Fault) {
      const fault = typeof problem === "string" ? problem : faultOf(problem)
      noted.set(fault, { count: (noted.get(fault)?.count ?? 0) + 1, last: yield* Clock.currentTimeMillis })
      yield* Metrics.fault(fault)
      return fault
    })

    // One byte, since an empty file fits on a full disk.
    const probe = Effect.scoped(Effect.gen(function*() {
      const writer = yield* blobs.writer
      yield* writer.write(new Uint8Array(1))
      yield* writer.finish
    }))

    const report = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const [checked, stored, free, counted] = yield* Effect.all([
        checkCatalog(catalog),
        Effect.result(
          within(
            probe,
            PART_DEADLINE,
            () => new BlobsError({ operation: "write a blob", cause: late, reason: "unavailable" })
          )
        ),
        Effect.orElseSucceed(within(disk.free, PART_DEADLINE, () => late), () => undefined),
        Effect.orElseSucceed(within(counter.isComplete, PART_DEADLINE, () => late), () => false)
      ], { concurrency: "unbounded" })
      const faults: { -readonly [K in Fault]?: { count: number; last: string } } = {}
      for (const [fault, { count, last }] of noted) {
        if (now - last < LATELY) faults[fault] = { count, last: DateTime.formatIso(DateTime.makeUnsafe(last)) }
      }
      const checks = {
        catalog: checked,
        blobs: stored._tag === "Success" ? { ok: true } : { ok: false, problem: faultOf(stored.failure) },
        disk: {
          ok: free === undefined || free >= disk.floor,
          ...(free === undefined ? {} : { free }),
          floor: disk.floor
        },
        rateCounter: { ok: counted }
      }
      const ok = checks.catalog.ok && checks.blobs.ok && checks.disk.ok
      return {
        status: !ok
          ? "failing"
          : !counted || checked.down !== undefined || Object.keys(faults).length > 0
          ? "degraded"
          : "ok",
        ...checks,
        faults
      } satisfies Report
    })

    return Health.of({ report, note })
  })
)
