/**
 * A catalog over several ones, the shards: each call goes to the shard of its key, upload or account (`homes.ts`), and what all
 * have is put together here. `PgCatalog` makes it of databases in PostgreSQL, one or more.
 *
 * A file is on one shard with all that belongs to it: its leases, its tombstone, its blob's intent and garbage, its resumable
 * upload. So every promise of a download is that of one database. The files of an account are on its home, and on its earlier
 * homes if shards were added; files without an account are spread over all.
 *
 * A shard that cannot be reached fails its own files' calls; those for all shards do the others' part first. New files without
 * an account go to the others meanwhile.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import {
  Catalog,
  CatalogError,
  type Lease,
  NotProlonged,
  type Progress,
  type Purpose,
  type Uploads
} from "../../Catalog.ts"
import { within } from "../shared/deadline.ts"
import { homeAmong, homeIn, homesOf, prefixOf, shardOfKey, shardOfUpload } from "./homes.ts"
import * as Pages from "./pages.ts"

type Service = Catalog["Service"]

interface Shard {
  readonly where: string
  /** Absent while it cannot be reached. */
  readonly catalog: () => Service | undefined
  /** `sizes` as it has recorded them by now; another server may have added shards. */
  readonly sizes: Effect.Effect<ReadonlyArray<number>, CatalogError>
}

export interface Options {
  readonly shards: ReadonlyArray<Shard>
  /** How many there were at first, and after each extension. */
  readonly sizes: ReadonlyArray<number>
  readonly prolongInterval: Duration.Duration
  /** For what goes on in the background. */
  readonly scope: Scope.Scope
}

/** Blobs of a page of garbage. */
const GARBAGE_PAGE = 1000
/** How long an upload without an account waits for the storage in use on a shard; then the last known counts. */
const ANONYMOUS_DEADLINE = "1 second"

const unavailable = (problem: string) => new CatalogError({ cause: new Error(problem), problem, reason: "unavailable" })

const isUnavailable = (error: unknown): boolean =>
  error instanceof NotProlonged
    ? isUnavailable(error.cause)
    : error instanceof CatalogError && (error.reason === "unavailable" || error.reason === "unknown")

/** Runs calls on one shard, or on each. */
const makeCalls = ({ shards }: Options) => {
  /** Shards that failed a call, and were not written since. */
  const failing = new Set<number>()

  const on = <A, E>(
    shard: number,
    call: (catalog: Service) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | CatalogError> =>
    Effect.suspend((): Effect.Effect<A, E | CatalogError> => {
      const catalog = shards[shard]!.catalog()
      if (catalog === undefined) return Effect.fail(unavailable(`${shards[shard]!.where} cannot be reached`))
      return Effect.tapError(call(catalog), (error) => Effect.sync(() => isUnavailable(error) && failing.add(shard)))
    })

  /** `on`, for those who cannot wait. */
  const onWithin = <A, E>(
    shard: number,
    time: Duration.Input,
    call: (catalog: Service) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | CatalogError> =>
    within(on(shard, call), time, () => {
      failing.add(shard)
      return unavailable(`${shards[shard]!.where} does not respond`)
    })

  const isAway = (shard: number): boolean => failing.has(shard) || shards[shard]!.catalog() === undefined

  /** Finds out whether a shard is back. Reads do not show that: they also work where its disk is full. */
  const retry = (shard: number) =>
    Effect.map(onWithin(shard, ANONYMOUS_DEADLINE, ({ probe }) => probe), () => {
      failing.delete(shard)
    })

  const outdated = (sizes: ReadonlyArray<number>) =>
    unavailable(
      `the catalog has ${sizes.at(-1)} shards, and this server ${shards.length} addresses; start it with all of them`
    )

  /** Fails if another server has added shards. */
  const isCurrent = Effect.flatMap(
    Effect.suspend(() =>
      Effect.firstSuccessOf(shards.flatMap(({ catalog, sizes }) => catalog() === undefined ? [] : [sizes]))
    ),
    (sizes) => sizes.at(-1) === shards.length ? Effect.void : Effect.fail(outdated(sizes))
  )

  /** Fails if another server has added shards that may have files of this account. `shard` is one of its homes. */
  const isWhole = (owner: string, shard: number) =>
    Effect.flatMap(
      on(shard, () => shards[shard]!.sizes),
      (sizes) =>
        homesOf(sizes, owner).every((home) => home < shards.length) ? Effect.void : Effect.fail(outdated(sizes))
    )

  /**
   * On a shard that is the part of a key or an id. `otherwise`: there is none, so the key or the id is not one of this catalog.
   */
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

  return { isAway, isCurrent, isWhole, retry, on, onWithin, onPart, onKey, each, all, some }
}

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

type Calls = ReturnType<typeof makeCalls>

/** The calls about files of accounts. */
const fileCalls = (
  { scope, shards, sizes }: Options,
  { isAway, isWhole, on, onKey, onWithin, retry }: Calls
) => {
  /** By shard: the last known storage in use without an account. */
  const lastKnown = new Map<number, number>()
  /** Shards that are asked in the background. */
  const asked = new Set<number>()
  const usedOn = (shard: number) =>
    Effect.ignore(Effect.map(onWithin(shard, ANONYMOUS_DEADLINE, (catalog) => catalog.usedBytes("")), (bytes) => {
      lastKnown.set(shard, bytes)
    }))
  /** An upload waits for no shard that is known to be away; it finds out in the background when that is back. */
  const usedOnNow = (shard: number) =>
    Effect.suspend(() => {
      if (!isAway(shard)) return usedOn(shard)
      if (asked.has(shard)) return Effect.void
      asked.add(shard)
      const asking = Effect.ignore(Effect.andThen(retry(shard), usedOn(shard)))
      return Effect.forkIn(Effect.ensuring(asking, Effect.sync(() => asked.delete(shard))), scope)
    })
  const usedAnonymously = Effect.map(
    Effect.forEach(shards, (_, shard) => usedOnNow(shard), { concurrency: "unbounded", discard: true }),
    () => sum([...lastKnown.values()])
  )
  return {
    insert: (file, completes) =>
      on(
        completes !== undefined
          ? shardOfUpload(completes.id)
          : file.shard ?? homeAmong(sizes.at(-1)!, file.owner === "" ? file.blob : file.owner),
        (catalog) => catalog.insert(file, completes)
      ),
    get: (key) => onKey(key, Option.none(), (catalog) => catalog.get(key)),
    list: (options) => {
      const homes = homesOf(sizes, options.owner)
      return Effect.map(
        Effect.all([
          Pages.list(homes, (shard, page) => on(shard, (catalog) => catalog.list(page)), options),
          isWhole(options.owner, homes[0]!)
        ], { concurrency: 2 }),
        ([page]) => page
      )
    },
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
const downloadCalls = ({ prolongInterval, shards }: Options, { on, onKey, onWithin }: Calls) => {
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
    prolong: Effect.fnUntraced(function*(transfers: ReadonlyArray<Progress>) {
      const failed = yield* Effect.forEach(shards, (_, shard) => {
        const mine = transfers.filter(({ lease }) => shardOfKey(lease.key) === shard)
        if (mine.length === 0) return Effect.succeed([])
        const prolong = (catalog: Service) => catalog.prolong(mine)
        // A silent shard must not delay the next time for the others.
        const prolonged = shards.length === 1 ? on(shard, prolong) : onWithin(shard, prolongInterval, prolong)
        return Effect.match(prolonged, {
          onSuccess: () => [],
          onFailure: (error) => [
            error._tag === "NotProlonged" ? error : new NotProlonged({ cause: error, transfers: mine })
          ]
        })
      }, { concurrency: "unbounded" })
      const [first, ...others] = failed.flat()
      if (first === undefined) return
      return yield* new NotProlonged({
        cause: first.cause,
        transfers: [first, ...others].flatMap(({ transfers }) => transfers)
      })
    })
  } satisfies Partial<Service>
}

/** The calls about blobs. */
const blobCalls = (
  { shards }: Options,
  { all, isCurrent, on, some }: Calls,
  shardOf: (purpose: Purpose, blob: string) => number
) => ({
  expect: (blob, purpose) =>
    Effect.suspend(() => {
      const shard = shardOf(purpose, blob)
      return Effect.as(on(shard, (catalog) => catalog.expect(blob, purpose)), shard)
    }),
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
  const { all, isAway, on, onPart } = calls

  /**
   * The shard for a new blob or upload. Without an account it depends on which shards respond, so a later call may get another
   * one.
   */
  const shardOf = ({ key, owner, upload }: Purpose, blob: string): number => {
    if (upload !== undefined) return shardOfUpload(upload)
    if (key !== undefined) return shardOfKey(key)
    if (owner !== "") return homeAmong(sizes.at(-1)!, owner)
    const present = [...shards.keys()].filter((shard) => !isAway(shard))
    return present.length === 0 ? homeAmong(shards.length, blob) : homeIn(present, blob)
  }

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
    ...fileCalls(options, calls),
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
