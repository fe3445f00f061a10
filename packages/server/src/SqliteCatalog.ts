/**
 * The catalog in SQLite, in the data folder. A thread of its own makes the changes (`internal/sql/sqliteCalls.ts`), those that
 * wait at the same time in one transaction; a change is on the disk before it is acknowledged, unless a power failure may undo
 * it. The main thread reads what is committed.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import {
  Catalog,
  CatalogError,
  type Claim,
  type Lease,
  LeaseEnded,
  NotProlonged,
  type Options,
  type SmallFiles
} from "./Catalog.ts"
import { DataFolder } from "./DataFolder.ts"
import * as Reserve from "./internal/disk/reserve.ts"
import * as Key from "./internal/shared/key.ts"
import * as Machine from "./internal/sql/lease.ts"
import * as LeaseTerms from "./internal/sql/leaseTerms.ts"
import * as Listing from "./internal/sql/listing.ts"
import * as Sqlite from "./internal/sql/sqlite.ts"
import * as SqliteBlobs from "./internal/sql/sqliteBlobs.ts"
import * as SqliteFiles from "./internal/sql/sqliteFiles.ts"
import type * as SqliteLeases from "./internal/sql/sqliteLeases.ts"
import { statements } from "./internal/sql/sqliteLists.ts"
import { pathOf } from "./internal/sql/sqliteOpen.ts"
import * as SqliteReader from "./internal/sql/sqliteReader.ts"
import * as SqliteUploads from "./internal/sql/sqliteUploads.ts"
import * as SqliteWriter from "./internal/sql/sqliteWriter.ts"
import { defaults } from "./ServerOptions.ts"

const toLease = ({ blob, generation, id, key, mimeType, name, phase, size }: SqliteLeases.StoredLease): Lease => ({
  id,
  key,
  generation,
  counted: phase === "counted",
  blob,
  name,
  mimeType,
  size
})

/** Files that one change removes: few enough for the reserve, and for requests that wait meanwhile. */
const BURY_FILES = 16
/** Random bytes of the id of a small file. */
const SMALL_ID_BYTES = 8
/** Leases that one change prolongs. */
const ROWS_AT_ONCE = 200
/** Blobs that one change forgets: the bytes of small files, up to 1 MiB of them, are overwritten. */
const FORGET_BLOBS = 64
/** How often the reserve is restored after it was used. */
const RESTORE_INTERVAL = "10 seconds"

/** Holds the reserve now, and restores it after it was used. */
const holdReserve = (reserve: Reserve.Reserve) => {
  let held = true
  return Effect.tryPromise({ try: reserve.restore, catch: (cause) => new CatalogError({ cause }) }).pipe(
    Effect.uninterruptible,
    Effect.catch((error) =>
      Effect.as(Effect.logWarning("the catalog's reserve could not be created", error.cause), held)
    ),
    Effect.tap((holds) =>
      holds || !held ? Effect.void : Effect.logWarning("the disk of the catalog is full; free some space")
    ),
    Effect.tap((holds) =>
      Effect.sync(() => {
        held = holds
      })
    ),
    Effect.repeat(Schedule.spaced(RESTORE_INTERVAL)),
    Effect.forkScoped
  )
}

/** What the main thread reads. */
const readsOf = (db: Sqlite.Reads) => ({
  files: SqliteFiles.queries(db),
  uploads: SqliteUploads.queries(db),
  blobs: SqliteBlobs.queries(db)
})

type Reads = ReturnType<typeof readsOf>

const attempt = <A>(run: () => A): Effect.Effect<A, CatalogError> =>
  Effect.try({ try: run, catch: (cause) => new CatalogError({ cause }) })

type Calls = Omit<Catalog["Service"], "where" | "prolongInterval" | "smallFiles">
type FileCalls = Pick<Calls, "insert" | "get" | "list" | "usedBytes" | "totals" | "update" | "remove" | "tombstone">
type DownloadCalls = Pick<
  Calls,
  "held" | "peek" | "claim" | "resume" | "handOver" | "commit" | "release" | "abandon" | "prolong"
>
type StoreCalls = Omit<Calls, keyof FileCalls | keyof DownloadCalls | "uploads">

type Random = SecureRandom.SecureRandom["Service"]

const listError = ({ cause, reason }: SqliteReader.ReaderError) =>
  new CatalogError({ cause, ...(reason === undefined ? {} : { reason }) })

/** A long list, in pieces that leave other changes room in between. */
const inPieces = <A>(
  all: ReadonlyArray<A>,
  run: (some: ReadonlyArray<A>) => Effect.Effect<void, CatalogError>,
  size = ROWS_AT_ONCE
): Effect.Effect<void, CatalogError> =>
  Effect.gen(function*() {
    for (let at = 0; at < all.length; at += size) yield* run(all.slice(at, at + size))
  })

/**
 * A receiver that has the last byte of a file may ask about it at once, before its download is counted. So reads wait for the
 * downloads that are being counted.
 */
const makeReading = ({ call }: SqliteWriter.Writer) => {
  let running = 0
  const settled = Effect.suspend(() => running === 0 ? Effect.void : call("nothing"))
  const end = Effect.sync(() => {
    running--
  })
  return {
    commit: (lease: Lease) =>
      Effect.suspend(() => {
        running++
        return Effect.ensuring(call("commit", lease.id), end)
      }),
    settled,
    read: <A>(run: (now: number) => A): Effect.Effect<A, CatalogError> =>
      Effect.flatMap(Effect.andThen(settled, Clock.currentTimeMillis), (now) => attempt(() => run(now)))
  }
}

type Reading = ReturnType<typeof makeReading>

/** A list that reads all files of an account must not delay those that read a page. */
interface Readers {
  readonly short: SqliteReader.Reader
  readonly long: SqliteReader.Reader
}

/** The calls about files. */
const fileCalls = (
  { files }: Reads,
  { call }: SqliteWriter.Writer,
  { read, settled }: Reading,
  readers: Readers,
  random: Random
): FileCalls => ({
  insert: Effect.fnUntraced(function*(file, completes) {
    const id = yield* random.uuidV4()
    while (true) {
      const record = yield* call("insert", yield* Key.make(random), id, file, completes)
      if (record !== undefined) return record
    }
  }),

  get: (key) => read((now) => Option.fromUndefinedOr(files.get(key, now))),

  list: (options) =>
    Effect.flatMap(settled, () => Clock.currentTimeMillis).pipe(
      Effect.flatMap((now) =>
        Effect.mapError(
          (Listing.readsAll(options) ? readers.long : readers.short).read(statements(options, now)),
          listError
        )
      ),
      Effect.map(([rows, totals]) => {
        const { count, size } = totals![0]!
        return { files: rows!.map(Listing.toListed), count: count as number, size: size as number }
      })
    ),

  usedBytes: (owner) => read(() => files.usedBytes(owner)),

  totals: read(files.totals),

  update: (key, owner, changes, completes) =>
    Effect.map(
      call(changes.content === undefined ? "update" : "replace", key, owner, changes, completes),
      Option.fromUndefinedOr
    ),

  remove: (key, owner) => call("remove", key, owner),
  tombstone: (key) => read((now) => Option.fromUndefinedOr(files.tombstone(key, now)))
})

/** The calls about downloads. */
const downloadCalls = ({ call }: SqliteWriter.Writer, { commit }: Reading, random: Random): DownloadCalls => {
  return {
    held: (key, id) => Effect.map(call("held", id, key), Option.fromUndefinedOr),
    peek: (key) => call("peek", key),

    claim: Effect.fnUntraced(function*(key, given) {
      const other = yield* Key.makeLeaseId(random)
      const claimed = yield* call("claim", key, other, given)
      return "_tag" in claimed ? claimed : { _tag: "Claimed", lease: toLease(claimed) } satisfies Claim
    }),

    resume: (key, id) =>
      Effect.map(call("resume", id, key), (lease) => Option.map(Option.fromUndefinedOr(lease), toLease)),

    handOver: (lease) =>
      lease.counted ? Effect.void : Effect.flatMap(
        call("handOver", lease.id, lease.generation),
        (isNewest) => isNewest ? Effect.void : Effect.fail(new LeaseEnded())
      ),

    commit,
    abandon: (lease) => call("abandon", lease.id, lease.generation),
    release: (lease, sent) => call("release", lease.id, lease.generation, sent),
    prolong: (transfers) =>
      Effect.suspend(() => {
        let done = 0
        const prolong = (some: typeof transfers) =>
          Effect.map(call("prolong", some), () => {
            done += some.length
          })
        return Effect.mapError(
          inPieces(transfers, prolong),
          (cause) => new NotProlonged({ cause, transfers: transfers.slice(done) })
        )
      })
  }
}

/** The calls about the store's bytes, and about what has ended. */
const storeCalls = ({ blobs }: Reads, { call }: SqliteWriter.Writer, { read }: Reading): StoreCalls => {
  const all = Effect.fnUntraced(function*(name: "settleSome" | "burySome" | "endSome") {
    while ((yield* call(name, BURY_FILES)) === BURY_FILES);
  })
  return {
    probe: Effect.asVoid(call("probe")),
    bury: Effect.gen(function*() {
      yield* all("settleSome")
      yield* all("burySome")
      yield* all("endSome")
      const now = yield* Clock.currentTimeMillis
      yield* call("endTombstones", now - Key.TOMBSTONE_MILLIS, Key.END_TOMBSTONES)
    }),
    expect: (blob) => Effect.as(call("expect", blob), 0),
    garbage: (from) => read((now) => blobs.garbage(from, now)),
    forget: Effect.fnUntraced(function*(gone) {
      yield* inPieces(gone, (some) => call("forget", some), FORGET_BLOBS)
      // The bytes are gone; a file that cannot be made smaller now is so after the next sweep.
      yield* Effect.repeat(call("shrinkSome"), { while: (more) => more }).pipe(
        Effect.catch((error) => Effect.logWarning("the catalog's file could not be made smaller", error))
      )
    }),
    unknown: Effect.fnUntraced(function*(some) {
      const unknown: Array<string> = []
      yield* inPieces(some, (piece) =>
        Effect.andThen(
          Effect.yieldNow,
          read(() => {
            unknown.push(...blobs.unknown(piece))
          })
        ))
      return unknown
    }),
    newest: (limit) => read(() => blobs.newest(limit)),
    // The lock of the data folder keeps other servers out meanwhile.
    pair: Effect.fnUntraced(function*(decide) {
      const known = yield* read(blobs.storeId)
      const id = yield* decide(known)
      if (known === undefined) yield* call("setStoreId", id)
    })
  }
}

const uploadCalls = (
  { uploads }: Reads,
  { call }: SqliteWriter.Writer,
  { read }: Reading
): NonNullable<Calls["uploads"]> => ({
  create: (upload) => call("createUpload", upload),
  get: (id) => read((now) => Option.fromUndefinedOr(uploads.get(id, now))),
  begin: (id) => Effect.map(call("beginUpload", id), Option.fromUndefinedOr),
  record: ({ generation, id }, progress) => call("recordUpload", id, generation, progress),
  remove: (id) => call("removeUpload", id)
})

const smallFiles = ({ blobs }: Reads, maxBytes: number, random: Random): SmallFiles => ({
  maxBytes,
  newId: Effect.gen(function*() {
    const bytes = Buffer.from(yield* random.randomBytes(SMALL_ID_BYTES))
    return SqliteBlobs.smallId(yield* Clock.currentTimeMillis, bytes.toString("hex"))
  }),
  isOne: SqliteBlobs.isSmall,
  read: (blob) => attempt(() => Option.fromUndefinedOr(blobs.content(blob)))
})

/**
 * Settings of the catalog.
 *
 * @category options
 * @since 0.1.0
 */
export interface SqliteOptions extends Options {
  /** Size in bytes of the largest new file that the catalog holds itself; 0: none. @default 16384 */
  readonly smallFileBytes?: number | undefined
}

/** Larger files are no faster here than in the folder. */
const SMALL_FILE_BYTES = 16 * 1024

const make = Effect.fnUntraced(function*(options: SqliteOptions) {
  const random = yield* SecureRandom.SecureRandom
  const folder = (yield* DataFolder).path
  const path = pathOf(folder)
  const terms = LeaseTerms.of(options)
  const maxBroken = options.maxBrokenDownloads ?? defaults.maxBrokenDownloads
  const writer = yield* SqliteWriter.make({ folder, terms, maxBroken })
  yield* holdReserve(Reserve.make(folder))
  const readers = { short: yield* SqliteReader.make(path), long: yield* SqliteReader.make(path) }
  const db = yield* Effect.acquireRelease(
    attempt(() => Sqlite.openReadOnly(path)),
    (db) => Effect.sync(() => db.close())
  )
  const reads = readsOf(db)
  const reading = makeReading(writer)
  yield* writer.call("recover")

  return Catalog.of({
    where: `SQLite in ${path}`,
    prolongInterval: Duration.millis(Machine.prolongInterval(terms)),
    ...fileCalls(reads, writer, reading, readers, random),
    ...downloadCalls(writer, reading, random),
    ...storeCalls(reads, writer, reading),
    uploads: uploadCalls(reads, writer, reading),
    smallFiles: smallFiles(reads, options.smallFileBytes ?? SMALL_FILE_BYTES, random)
  })
})

/**
 * A catalog in the data folder. It has the bytes of small files itself; `Engines.stores` joins it with the store of larger ones.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: SqliteOptions
): Layer.Layer<Catalog, CatalogError, DataFolder | SecureRandom.SecureRandom> => Layer.effect(Catalog, make(options))
