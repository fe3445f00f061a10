/**
 * A catalog over several ones, the shards: each call goes to the shard of its key, upload or account (`homes.ts`), and what all
 * have is put together here. `PgCatalog` makes it of databases in PostgreSQL, one or more.
 *
 * A file is on one shard with all that belongs to it: its leases, its tombstone, its blob's intent and garbage, its resumable
 * upload. So every promise of a download is that of one database. The files of an account are on its home, and on its earlier
 * homes if shards were added; files without an account are spread over all.
 *
 * A shard that cannot be reached fails its own files' calls; those for all shards do the others' part first.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { Catalog, CatalogError, type Lease, type Progress, type Purpose, type Uploads } from "../../Catalog.ts"
import { within } from "../shared/deadline.ts"
import { homeAmong, homesOf, prefixOf, shardOfKey, shardOfUpload } from "./homes.ts"
import * as Pages from "./pages.ts"

type Service = Catalog["Service"]

export interface Shard {
  readonly where: string
  /** Absent while it cannot be reached. */
  readonly catalog: () => Service | undefined
}

export interface Options {
  readonly shards: ReadonlyArray<Shard>
  /** How many there were at first, and after each extension. */
  readonly sizes: ReadonlyArray<number>
  /** How many there are by now; another server may have added some. */
  readonly count: Effect.Effect<number, CatalogError>
  readonly prolongInterval: Duration.Duration
}

/** Blobs of a page of garbage. */
const GARBAGE_PAGE = 1000
/** How long an upload without an account waits for the storage in use on a shard; then the last known counts. */
const USED_BYTES_DEADLINE = "1 second"

const unavailable = (problem: string) => new CatalogError({ cause: new Error(problem), problem, reason: "unavailable" })

/** Runs calls on one shard, or on each. */
const makeCalls = ({ count, shards }: Options) => {
  const on = <A, E>(
    shard: number,
    call: (catalog: Service) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | CatalogError> =>
    Effect.suspend((): Effect.Effect<A, E | CatalogError> => {
      const catalog = shards[shard]!.catalog()
      return catalog === undefined
        ? Effect.fail(unavailable(`${shards[shard]!.where} cannot be reached`))
        : call(catalog)
    })

  /** Fails if another server has added shards. */
  const isCurrent = Effect.flatMap(count, (known) =>
    known === shards.length ? Effect.void : Effect.fail(unavailable(
      `the catalog has ${known} shards, and this server ${shards.length} addresses; start it with all of them`
    )))

  /** On a shard that is the part of a key or an id. `otherwise`: there is none, so the key or the id is not one of this catalog. */
  const onPart = <A, E>(
    shard: number,
    otherwise: Effect.Effect<A, E>,
    call: (catalog: Service) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | CatalogError> =>
    // A file on a shard that this server does not know must not be reported as gone.
    shard < shards.length ? on(shard, call) : Effect.andThen(isCurrent, otherwise)

  const onKey = <A, E>(key: string, otherwise: A, call: (catalog: Service) => Effect.Effect<A, E>) =>
    onPart(shardOfKey(key), Effect.succeed(otherwise), call)

  const each = <A>(call: (catalog: Service, shard: number) => Effect.Effect<A, CatalogError>) =>
    Effect.forEach(shards, (_, shard) => Effect.result(on(shard, (catalog) => call(catalog, shard))), {
      concurrency: "unbounded"
    })

  /** The results of all shards; fails after all have ended. */
  const all = <A>(call: (catalog: Service, shard: number) => Effect.Effect<A, CatalogError>) =>
    Effect.flatMap(each(call), (results) => Effect.fromResult(Result.all(results)))

  /** The results of those that succeed; fails if none does. */
  const some = <A>(call: (catalog: Service) => Effect.Effect<A, CatalogError>) =>
    Effect.flatMap(each(call), (results) =>
      results.some(Result.isSuccess)
        ? Effect.succeed(results.flatMap((result) => Result.isSuccess(result) ? [result.success] : []))
        : Effect.fromResult(Result.all(results)))

  return { isCurrent, on, onPart, onKey, each, all, some }
}

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

type Calls = ReturnType<typeof makeCalls>

/** The calls about files of accounts. */
const fileCalls = (
  { shards, sizes }: Options,
  { each, on, onKey }: Calls,
  shardOf: (purpose: Purpose, blob: string) => number
) => {
  /** By shard: the last known storage in use without an account. */
  const lastKnown = new Map<number, number>()
  /** A shard that cannot be reached must not refuse uploads to the others. */
  const usedAnonymously = Effect.map(
    each((catalog, shard) =>
      Effect.tap(
        within(
          catalog.usedBytes(""),
          USED_BYTES_DEADLINE,
          () => unavailable(`${shards[shard]!.where} does not respond`)
        ),
        (bytes) => Effect.sync(() => lastKnown.set(shard, bytes))
      )
    ),
    (results) =>
      sum(results.map((result, shard) => Result.isSuccess(result) ? result.success : lastKnown.get(shard) ?? 0))
  )
  return {
    insert: (file, completes) =>
      on(
        shardOf({ owner: file.owner, upload: completes?.id }, file.blob),
        (catalog) => catalog.insert(file, completes)
      ),
    get: (key) => onKey(key, Option.none(), (catalog) => catalog.get(key)),
    list: (options) =>
      Pages.list(homesOf(sizes, options.owner), (shard, page) => on(shard, (catalog) => catalog.list(page)), options),
    usedBytes: (owner) =>
      owner === "" && shards.length > 1 ? usedAnonymously : Effect.map(
        Effect.forEach(homesOf(sizes, owner), (shard) => on(shard, (catalog) => catalog.usedBytes(owner)), {
          concurrency: "unbounded"
        }),
        sum
      ),
    update: (key, owner, changes, completes) =>
      onKey(key, Option.none(), (catalog) => catalog.update(key, owner, changes, completes)),
    remove: (key, owner) => onKey(key, false, (catalog) => catalog.remove(key, owner)),
    tombstone: (key) => onKey(key, Option.none(), (catalog) => catalog.tombstone(key))
  } satisfies Partial<Service>
}

/** The calls about downloads. */
const downloadCalls = ({ prolongInterval, shards }: Options, { all, on, onKey }: Calls) => {
  const gone = { _tag: "Gone" } as const
  const onLease = <A, E>(lease: Lease, call: (catalog: Service) => Effect.Effect<A, E>) =>
    on(shardOfKey(lease.key), call)
  return {
    held: (key, lease) => onKey(key, Option.none(), (catalog) => catalog.held(key, lease)),
    peek: (key) => onKey(key, gone, (catalog) => catalog.peek(key)),
    claim: (key, lease) => onKey(key, gone, (catalog) => catalog.claim(key, lease)),
    resume: (key, lease) => onKey(key, Option.none(), (catalog) => catalog.resume(key, lease)),
    handOver: (lease) => onLease(lease, (catalog) => catalog.handOver(lease)),
    commit: (lease) => onLease(lease, (catalog) => catalog.commit(lease)),
    release: (lease, sent) => onLease(lease, (catalog) => catalog.release(lease, sent)),
    abandon: (lease) => onLease(lease, (catalog) => catalog.abandon(lease)),
    // A silent shard must not delay the next time for the others. If one fails, the bytes that others have credited are reported
    // once more; the latest end of a lease bounds that.
    prolong: (transfers: ReadonlyArray<Progress>) =>
      Effect.asVoid(all((catalog, shard) => {
        const mine = transfers.filter(({ lease }) => shardOfKey(lease.key) === shard)
        if (mine.length === 0) return Effect.void
        const late = () => unavailable(`${shards[shard]!.where} does not respond`)
        return shards.length === 1 ? catalog.prolong(mine) : within(catalog.prolong(mine), prolongInterval, late)
      }))
  } satisfies Partial<Service>
}

/** The calls about blobs. */
const blobCalls = (
  { shards }: Options,
  { all, isCurrent, on, some }: Calls,
  shardOf: (purpose: Purpose, blob: string) => number
) => ({
  expect: (blob, purpose) => on(shardOf(purpose, blob), (catalog) => catalog.expect(blob, purpose)),
  // What belongs to the others need not wait for a shard that cannot be reached.
  garbage: (after) =>
    Effect.map(some((catalog) => catalog.garbage(after)), (pages) => pages.flat().toSorted().slice(0, GARBAGE_PAGE)),
  // What one does not forget is removed once more.
  forget: (blobs) => Effect.asVoid(some((catalog) => catalog.forget(blobs))),
  // A blob is unknown if no shard knows it, so all have to respond, also those that were added.
  unknown: (blobs) =>
    Effect.andThen(
      isCurrent,
      Effect.map(all((catalog) => catalog.unknown(blobs)), ([first, ...others]) => {
        const sets = others.map((unknown) => new Set(unknown))
        return first!.filter((blob) => sets.every((unknown) => unknown.has(blob)))
      })
    ),
  newest: (limit) =>
    Effect.map(some((catalog) => catalog.newest(Math.ceil(limit / shards.length))), (pages) => pages.flat()),
  pair: (decide) =>
    Effect.gen(function*() {
      let id: string | undefined
      for (const [shard, { catalog }] of shards.entries()) {
        if (catalog() === undefined) continue
        yield* on(shard, (catalog) =>
          catalog.pair((known) =>
            id !== undefined && (known === undefined || known === id)
              ? Effect.succeed(id)
              : Effect.tap(decide(known), (decided) =>
                Effect.sync(() => {
                  id = decided
                }))
          ))
      }
    })
} satisfies Partial<Service>)

export const make = (options: Options): Service => {
  const { shards, sizes } = options
  const calls = makeCalls(options)
  const { all, on, onPart } = calls

  const shardOf = ({ key, owner, upload }: Purpose, blob: string): number =>
    upload !== undefined
      ? shardOfUpload(upload)
      : key !== undefined
      ? shardOfKey(key)
      : homeAmong(sizes.at(-1)!, owner === "" ? blob : owner)

  const onUpload = <A>(
    id: string,
    otherwise: Effect.Effect<A, CatalogError>,
    call: (uploads: Uploads) => Effect.Effect<A, CatalogError>
  ) => onPart(shardOfUpload(id), otherwise, ({ uploads }) => call(uploads!))
  const ended = Effect.fail(new CatalogError({ cause: new Error("there is no such shard"), reason: "ended" }))

  return Catalog.of({
    where: shards.map(({ where }) => where).join(", "),
    shards: shards.length === 1 ? undefined : shards.map(({ where }, shard) => ({
      where,
      probe: on(shard, ({ probe }) => probe),
      totals: on(shard, ({ totals }) => totals)
    })),
    prolongInterval: options.prolongInterval,
    probe: Effect.asVoid(all(({ probe }) => probe)),
    totals: Effect.map(all(({ totals }) => totals), (totals) => ({
      files: sum(totals.map(({ files }) => files)),
      bytes: sum(totals.map(({ bytes }) => bytes))
    })),
    bury: Effect.asVoid(all(({ bury }) => bury)),
    ...fileCalls(options, calls, shardOf),
    ...downloadCalls(options, calls),
    ...blobCalls(options, calls, shardOf),
    uploads: {
      idPrefix: (purpose, blob) => prefixOf(shardOf(purpose, blob)),
      create: (upload) => onUpload(upload.id, ended, ({ create }) => create(upload)),
      get: (id) => onUpload(id, Effect.succeedNone, ({ get }) => get(id)),
      begin: (id) => onUpload(id, Effect.succeedNone, ({ begin }) => begin(id)),
      record: (upload, progress) => onUpload(upload.id, ended, ({ record }) => record(upload, progress)),
      remove: (id) => onUpload(id, Effect.void, ({ remove }) => remove(id))
    }
  })
}
