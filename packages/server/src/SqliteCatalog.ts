/**
 * The catalog in SQLite, in the data folder. It has one writer, and a change is on the disk before it is acknowledged, unless a
 * power failure may undo it. The leases are in `internal/sql/sqliteLeases.ts`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import {
  Catalog,
  CatalogError,
  type Claim,
  type FileRecord,
  type Lease,
  LeaseEnded,
  type Options,
  type Unavailable
} from "./Catalog.ts"
import { DataFolder } from "./DataFolder.ts"
import * as Key from "./internal/shared/key.ts"
import * as Machine from "./internal/sql/lease.ts"
import { toListed } from "./internal/sql/listing.ts"
import type { Database } from "./internal/sql/sqlite.ts"
import { attempt, withNow } from "./internal/sql/sqliteAttempt.ts"
import * as SqliteBlobs from "./internal/sql/sqliteBlobs.ts"
import * as SqliteFiles from "./internal/sql/sqliteFiles.ts"
import * as SqliteLeases from "./internal/sql/sqliteLeases.ts"
import { statements } from "./internal/sql/sqliteLists.ts"
import { open } from "./internal/sql/sqliteOpen.ts"
import * as SqliteReader from "./internal/sql/sqliteReader.ts"
import * as SqliteUploads from "./internal/sql/sqliteUploads.ts"
import { defaults } from "./ServerOptions.ts"

const toLease = ({ blob, generation, id, key, mimeType, name, phase, size }: SqliteLeases.Held): Lease => ({
  id,
  key,
  generation,
  counted: phase === "counted",
  blob,
  name,
  mimeType,
  size
})

/** Files that one transaction removes: few enough for the reserve, and for requests that wait meanwhile. */
const BURY_FILES = 16
/** Leases that one transaction prolongs. */
const PROLONGED_AT_ONCE = 200

interface Parts {
  readonly db: Database
  readonly files: SqliteFiles.SqliteFiles
  readonly leases: SqliteLeases.SqliteLeases
  readonly uploads: SqliteUploads.SqliteUploads
}

type Calls = Omit<Catalog["Service"], "where" | "bury" | "prolongInterval" | keyof SqliteBlobs.SqliteBlobs["stores"]>
type DownloadCalls = Pick<
  Calls,
  "held" | "peek" | "claim" | "resume" | "handOver" | "commit" | "release" | "abandon" | "prolong"
>

/** The calls about files. */
const fileCalls = (
  { db: { change, transaction }, files, leases, uploads }: Parts,
  reader: SqliteReader.Reader,
  random: SecureRandom.SecureRandom["Service"]
): Omit<Calls, keyof DownloadCalls | "uploads"> => {
  const probe = change("UPDATE migrations SET version = version WHERE version = 1")
  return {
    insert: Effect.fnUntraced(function*(file, completes) {
      const id = yield* random.uuidV4()
      const insert = (key: string, now: number) => {
        if (completes !== undefined) uploads.check(completes)
        const record = files.insert(key, id, file)
        if (completes !== undefined && record !== undefined) uploads.complete(completes, record, now)
        return record
      }
      while (true) {
        const key = yield* Key.make(random)
        const record = yield* withNow((now) => transaction(() => insert(key, now), { usesReserve: false }))
        if (record !== undefined) return record
      }
    }),

    get: (key) => withNow((now) => Option.fromUndefinedOr(files.get(key, now))),

    list: (options) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => reader.read(statements(options, now))).pipe(
        Effect.map(([rows, totals]) => {
          const { count, size } = totals![0]!
          return { files: rows!.map(toListed), count: count as number, size: size as number }
        }),
        Effect.mapError(({ cause, unavailable }) =>
          new CatalogError({ cause, ...(unavailable ? { reason: "unavailable" } : {}) })
        )
      ),

    usedBytes: (owner) => attempt(() => files.usedBytes(owner) + uploads.bytesOf(owner)),

    probe: attempt(() => {
      transaction(() => probe.run(), { durable: false, usesReserve: false })
    }),

    totals: attempt(files.totals),

    update: (key, owner, changes, completes) =>
      withNow((now) =>
        transaction(() => {
          if (completes !== undefined) uploads.check(completes)
          leases.settleOf(key, now)
          const old = files.get(key, now)
          if (old === undefined || old.owner !== owner) return Option.none()
          if (changes.content !== undefined) leases.detach(key)
          else if (changes.expires !== undefined) leases.expire(key, changes.expires)
          const record = files.update(old, changes, now)
          if (completes !== undefined) uploads.complete(completes, record, now)
          return Option.some(record)
        }, { usesReserve: changes.content === undefined })
      ),

    remove: (key, owner) =>
      withNow((now) =>
        transaction(() => {
          leases.settleOf(key, now)
          if (files.get(key, now)?.owner !== owner) return false
          leases.drop(key)
          files.bury(key, "deleted", now, now)
          return true
        })
      ),

    tombstone: (key) => withNow((now) => Option.fromUndefinedOr(files.tombstone(key, now)))
  }
}

/** The calls about downloads. */
const downloadCalls = (
  { db: { transaction }, files, leases }: Parts,
  random: SecureRandom.SecureRandom["Service"],
  maxBroken: number
): DownloadCalls => {
  /** A file with a download left, and how many of its downloads broke without being counted; or why none is left. */
  const available = (
    key: string,
    now: number
  ): { readonly file: FileRecord; readonly broken: number } | Unavailable => {
    const file = files.inTime(key, now)
    if (file === undefined) return { _tag: "Gone" }
    const { live, taken } = leases.takenOf(key, now)
    if (file.maxDownloads === null || file.downloads + taken < file.maxDownloads) {
      return { file, broken: file.attempts - file.downloads - live }
    }
    const freeAt = leases.freeAt(key, now)
    return freeAt === undefined ? { _tag: "Gone" } : { _tag: "InProgress", retryAfter: freeAt - now }
  }

  return {
    held: (key, id) => withNow((now) => Option.fromUndefinedOr(leases.held(id, key, now))),

    peek: (key) =>
      withNow((now) => {
        const found = available(key, now)
        return "_tag" in found ? found : { _tag: "Available" }
      }),

    claim: Effect.fnUntraced(function*(key, given) {
      const other = Buffer.from(yield* random.randomBytes(24)).toString("base64url")
      return yield* withNow((now): Claim => {
        const found = available(key, now)
        if ("_tag" in found) return found
        const { broken, file } = found
        const countsFirst = file.countFrom === "first-byte" || broken >= maxBroken
        const claim = () => {
          // From here on no ended lease of the file can become valid again, whatever the clock does.
          leases.settleOf(key, now)
          files.begin(key, now)
          const id = given === undefined || leases.has(given) ? other : given
          return leases.claim({ ...file, id, countsFirst }, now)
        }
        // A claim that a power failure undoes has sent no last byte: `handOver` would have made it durable.
        return { _tag: "Claimed", lease: toLease(transaction(claim, { durable: countsFirst })) }
      })
    }),

    // A power failure ends all transfers, so it may undo which is the newest.
    resume: (key, id) =>
      withNow((now) => {
        const lease = transaction(() => leases.resume(id, key, now), { durable: false })
        return Option.map(Option.fromUndefinedOr(lease), toLease)
      }),

    handOver: (lease) =>
      lease.counted ? Effect.void : Effect.flatMap(
        withNow((now) => transaction(() => leases.handOver(lease.id, lease.generation, now))),
        (isNewest) => isNewest ? Effect.void : Effect.fail(new LeaseEnded())
      ),

    // `handOver` is durable, so this need not be.
    commit: (lease) => withNow((now) => transaction(() => leases.commit(lease.id, now), { durable: false })),

    abandon: (lease) => withNow((now) => transaction(() => leases.abandon(lease.id, lease.generation, now))),

    // The next start would release it as well.
    release: (lease, sent) =>
      withNow((now) => transaction(() => leases.release(lease.id, lease.generation, now, sent), { durable: false })),

    // Requests that wait meanwhile are served in between.
    prolong: Effect.fnUntraced(function*(transfers) {
      for (let at = 0; at < transfers.length; at += PROLONGED_AT_ONCE) {
        if (at > 0) yield* Effect.yieldNow
        yield* withNow((now) =>
          transaction(() => {
            for (const { lease: { generation, id }, sent } of transfers.slice(at, at + PROLONGED_AT_ONCE)) {
              leases.prolong(id, generation, now, sent)
            }
          }, { durable: false })
        )
      }
    })
  }
}

const make = Effect.fnUntraced(function*(options: Options) {
  const random = yield* SecureRandom.SecureRandom
  const { db, path } = yield* open((yield* DataFolder).path)
  const { transaction } = db
  const reader = yield* SqliteReader.make(path)
  const blobs = yield* attempt(() => SqliteBlobs.make(db))
  const files = yield* attempt(() => SqliteFiles.make(db, blobs))
  const terms = Machine.termsOf(options)
  const leases = yield* attempt(() => SqliteLeases.make(db, terms, files.count))
  const uploads = yield* attempt(() => SqliteUploads.make(db, blobs))
  const parts = { db, files, leases, uploads }

  // Receivers of downloads that the last process did not end have the grace time to resume.
  yield* withNow((now) =>
    transaction(() => {
      leases.interrupt(now)
      blobs.abandon(now)
    })
  )

  // A later sweep repeats what a power failure undoes.
  const sweep = <A>(run: (now: number) => A) => withNow((now) => transaction(() => run(now), { durable: false }))

  return Catalog.of({
    where: `SQLite in ${path}`,
    prolongInterval: Duration.millis(Machine.prolongInterval(terms)),
    ...(yield* attempt(() => fileCalls(parts, reader, random))),
    ...downloadCalls(parts, random, options.maxBrokenDownloads ?? defaults.maxBrokenDownloads),
    bury: Effect.gen(function*() {
      while ((yield* sweep((now) => leases.settleSome(now, BURY_FILES))) === BURY_FILES) yield* Effect.yieldNow
      while ((yield* sweep((now) => files.burySome(now, BURY_FILES))) === BURY_FILES) yield* Effect.yieldNow
      while ((yield* sweep((now) => uploads.endSome(now, BURY_FILES))) === BURY_FILES) yield* Effect.yieldNow
      yield* sweep(files.endTombstones)
    }),
    uploads: uploads.uploads,

    ...blobs.stores
  })
})

/**
 * A catalog in the data folder.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Catalog, CatalogError, DataFolder | SecureRandom.SecureRandom> =>
  Layer.effect(Catalog, make(options))
