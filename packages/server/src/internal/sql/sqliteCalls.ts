/**
 * The changes of the catalog in SQLite. They run in the catalog's thread, in transactions of `sqliteBatch.ts`; `SqliteCatalog`
 * calls them by name through `sqliteWriter.ts`. Arguments and results are copied between the threads, so they are plain values.
 */
import type {
  Availability,
  Changes,
  Completion,
  FileRecord,
  NewFile,
  Progress,
  Unavailable,
  UploadProgress
} from "../../Catalog.ts"
import type * as Machine from "./lease.ts"
import type { Database } from "./sqlite.ts"
import * as SqliteBlobs from "./sqliteBlobs.ts"
import * as SqliteFiles from "./sqliteFiles.ts"
import * as SqliteLeases from "./sqliteLeases.ts"
import * as SqliteSpace from "./sqliteSpace.ts"
import * as SqliteUploads from "./sqliteUploads.ts"

/** Settings of the catalog that its thread needs. */
export interface Settings {
  readonly terms: Machine.Terms
  /** Downloads of a file that may break without being counted. */
  readonly maxBroken: number
}

export interface Context {
  /** When the change was asked for, in milliseconds. */
  readonly now: number
  /** The change must survive a power failure, although it is not `durable`. */
  readonly mustSync: () => void
}

interface Call<Args extends ReadonlyArray<unknown>, A> {
  readonly run: (context: Context, ...args: Args) => A
  readonly durable: boolean
  readonly usesReserve: boolean
  /**
   * Whether it is answered before the durable changes that came with it, and so does not wait for their sync. It may then run
   * before one of them that was asked for earlier.
   */
  readonly goesFirst: boolean
  /** Whether the log is copied into the database afterwards, by which its file shrinks. */
  readonly checkpoints: boolean
}

const call = <Args extends ReadonlyArray<unknown>, A>(
  run: (context: Context, ...args: Args) => A,
  { checkpoints = false, durable = true, goesFirst = false, usesReserve = true }: Partial<Omit<Call<Args, A>, "run">> =
    {}
): Call<Args, A> => ({ run, durable, usesReserve, goesFirst, checkpoints })

/** What a download waits for that needs no sync. */
const FIRST = { durable: false, goesFirst: true }

/** A file with a download left, and how many of its downloads broke without being counted; or why none is left. */
const available = (
  files: SqliteFiles.SqliteFiles,
  leases: SqliteLeases.SqliteLeases,
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

interface Parts {
  readonly files: SqliteFiles.SqliteFiles
  readonly leases: SqliteLeases.SqliteLeases
  readonly uploads: SqliteUploads.SqliteUploads
  readonly blobs: SqliteBlobs.SqliteBlobs
}

/** The calls about files. */
const fileCalls = ({ blobs, files, leases, uploads }: Parts) => {
  const update = (
    { now }: Context,
    key: string,
    owner: string,
    changes: Changes,
    completes?: Completion
  ): FileRecord | undefined => {
    if (completes !== undefined) uploads.check(completes)
    if (changes.content !== undefined) blobs.check(changes.content, now)
    leases.settleOf(key, now)
    const old = files.get(key, now)
    if (old === undefined || old.owner !== owner) return undefined
    if (changes.content !== undefined) leases.detach(key)
    else if (changes.expires !== undefined) leases.expire(key, changes.expires)
    const record = files.update(old, changes, now)
    if (completes !== undefined) uploads.complete(completes, record, now)
    return record
  }

  return {
    /** `undefined`: the key is taken. */
    insert: call(({ now }, key: string, id: string, file: NewFile, completes?: Completion): FileRecord | undefined => {
      if (completes !== undefined) uploads.check(completes)
      blobs.check(file, now)
      const record = files.insert(key, id, file)
      if (completes !== undefined && record !== undefined) uploads.complete(completes, record, now)
      return record
    }, { usesReserve: false }),

    update: call(update),
    /** `update` with new content. */
    replace: call(update, { usesReserve: false }),

    remove: call(({ now }, key: string, owner: string): boolean => {
      leases.settleOf(key, now)
      if (files.get(key, now)?.owner !== owner) return false
      leases.drop(key)
      files.bury(key, "deleted", now, now)
      return true
    })
  }
}

/** The calls about downloads. */
const downloadCalls = ({ files, leases }: Parts, maxBroken: number) => ({
  // A claim that a power failure undoes has sent no last byte: `handOver` would have made it durable.
  claim: call(
    ({ mustSync, now }, key: string, other: string, given?: string): SqliteLeases.StoredLease | Unavailable => {
      const found = available(files, leases, key, now)
      if ("_tag" in found) return found
      const { broken, file } = found
      const countsFirst = file.countFrom === "first-byte" || broken >= maxBroken
      if (countsFirst) mustSync()
      // From here on no ended lease of the file can become valid again, whatever the clock does.
      leases.settleOf(key, now)
      files.begin(key, now)
      const id = given === undefined || leases.has(given) ? other : given
      return leases.claim({ ...file, id, countsFirst }, now)
    },
    FIRST
  ),

  // A power failure ends all transfers, so it may undo which is the newest.
  resume: call(({ now }, id: string, key: string) => leases.resume(id, key, now), FIRST),

  held: call(({ now }, id: string, key: string) => leases.held(id, key, now), FIRST),

  peek: call(({ now }, key: string): Availability => {
    const found = available(files, leases, key, now)
    return "_tag" in found ? found : { _tag: "Available" }
  }, FIRST),

  /** Whether the last byte may be sent. */
  handOver: call(({ now }, id: string, generation: number) => leases.handOver(id, generation, now)),

  // `handOver` is durable, so this need not be.
  commit: call(({ now }, id: string) => leases.commit(id, now), FIRST),

  abandon: call(({ now }, id: string, generation: number) => leases.abandon(id, generation, now)),

  // The next start would release it as well.
  release: call(
    ({ now }, id: string, generation: number, sent: number) => leases.release(id, generation, now, sent),
    FIRST
  ),

  prolong: call(({ now }, transfers: ReadonlyArray<Progress>) => {
    for (const { lease: { generation, id }, sent } of transfers) leases.prolong(id, generation, now, sent)
  }, FIRST)
})

/** The calls about what has ended. A later sweep repeats what a power failure undoes. */
const sweepCalls = ({ blobs, files, leases, uploads }: Parts, space: ReturnType<typeof SqliteSpace.make>) => ({
  /** Each settles or removes at most `limit`, and returns how many. */
  settleSome: call(({ now }, limit: number) => leases.settleSome(now, limit), { durable: false }),
  burySome: call(({ now }, limit: number) => files.burySome(now, limit), { durable: false }),
  endSome: call(({ now }, limit: number) => uploads.endSome(now, limit), { durable: false }),
  endTombstones: call((_, before: number, limit: number) => files.endTombstones(before, limit), { durable: false }),

  // A power failure that undoes it can leave bytes without a row; the sweeper looks for those.
  expect: call(({ now }, blob: string) => blobs.expect(blob, now), { durable: false, usesReserve: false }),
  // The bytes are gone; if a power failure undoes this, they are removed once more.
  forget: call((_, gone: ReadonlyArray<string>) => blobs.forget(gone), { durable: false }),
  /** Returns whether there is more to do. */
  shrinkSome: call(() => space.shrinkSome(), { durable: false, checkpoints: true }),
  setStoreId: call((_, id: string) => blobs.setStoreId(id))
})

const uploadCalls = ({ uploads }: Parts) => ({
  createUpload: call((_, upload: Parameters<SqliteUploads.SqliteUploads["create"]>[0]) => uploads.create(upload), {
    usesReserve: false
  }),
  // A power cut ends all requests, so it may undo which is the newest.
  beginUpload: call(({ now }, id: string) => uploads.begin(id, now), { durable: false }),
  recordUpload: call(
    (_, id: string, generation: number, progress: UploadProgress) => uploads.record(id, generation, progress),
    { durable: false }
  ),
  removeUpload: call(({ now }, id: string) => uploads.remove(id, now))
})

/** `freeBytes`: those of the database's disk. */
export const make = (db: Database, { maxBroken, terms }: Settings, freeBytes: () => number) => {
  const blobs = SqliteBlobs.make(db)
  const files = SqliteFiles.make(db, blobs)
  const parts: Parts = {
    blobs,
    files,
    leases: SqliteLeases.make(db, terms, files.count),
    uploads: SqliteUploads.make(db, blobs)
  }
  const probe = db.change("UPDATE migrations SET version = version WHERE version = 1")
  return {
    /** At the start: receivers of downloads that the last process did not end have the grace time to resume. */
    recover: call(({ now }) => {
      parts.leases.interrupt(now)
      blobs.abandon(now)
    }),
    /** Whatever was asked for before is done. */
    nothing: call(() => {}, { durable: false }),
    probe: call(() => probe.run(), { durable: false, usesReserve: false }),
    ...fileCalls(parts),
    ...downloadCalls(parts, maxBroken),
    ...sweepCalls(parts, SqliteSpace.make(db, freeBytes)),
    ...uploadCalls(parts)
  }
}

export type Calls = ReturnType<typeof make>
