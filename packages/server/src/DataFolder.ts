/**
 * The data folder of a server, and the lock that keeps a second server out of it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { makeFolder } from "./internal/disk/folders.ts"
import { openLock } from "./internal/sql/sqlite.ts"

/**
 * The data folder cannot be used.
 *
 * @category errors
 * @since 0.1.0
 */
export class DataFolderError extends Schema.TaggedError<DataFolderError>("@effect-fileio/server/DataFolderError")(
  "DataFolderError",
  { path: Schema.String, problem: Schema.String, cause: Schema.Defect() }
) {
  override get message() {
    return `cannot use the data folder ${this.path}: ${this.problem}`
  }
}

/**
 * The data folder.
 *
 * @category services
 * @since 0.1.0
 */
export class DataFolder extends Context.Service<DataFolder, {
  readonly path: string
}>()("@effect-fileio/server/DataFolder") {}

/** Files with keys of files, or their bytes. */
const PRIVATE = [
  "blobs",
  "incoming",
  "unfinished",
  "reserve",
  "store-id",
  ...["catalog.sqlite", "lock.sqlite"].flatMap((name) => [name, `${name}-wal`, `${name}-shm`, `${name}-journal`])
]

/** Removes the access of others that an earlier version, a copy or a restored backup gave. */
const tighten = Effect.fnUntraced(function*(path: string) {
  for (const name of PRIVATE) {
    const member = Path.join(path, name)
    const stat = yield* Effect.promise(() => Fs.stat(member).catch(() => undefined))
    if (stat === undefined || (stat.mode & 0o077) === 0) continue
    yield* Effect.tryPromise(() => Fs.chmod(member, stat.mode & 0o700)).pipe(
      Effect.catch(({ cause }) =>
        Effect.logWarning(`others can read ${member}; remove their access (chmod go= …)`, cause)
      )
    )
  }
})

/**
 * The folder itself is left as it is, since it may hold other things too, such as a home folder or a mount point. Others who
 * can write in it can replace its files, whatever their permissions.
 */
const warnOfWriters = Effect.fnUntraced(function*(path: string) {
  const { mode } = yield* Effect.promise(() => Fs.stat(path))
  if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0) {
    yield* Effect.logWarning(`others can write in the data folder ${path}, and replace its files; chmod go-w it`)
  }
})

/** Whether there is a file in place of the folder. */
const isNoFolder = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && (cause.code === "EEXIST" || cause.code === "ENOTDIR")

const open = Effect.fnUntraced(function*(path: string) {
  const fail = (problem: string) => (cause: unknown) => new DataFolderError({ path, problem, cause })
  yield* Effect.tryPromise({
    try: () => makeFolder(path),
    catch: (cause) =>
      fail(
        isNoFolder(cause) ? "it is a file; give a folder" : "it cannot be created; check the path and its permissions"
      )(
        cause
      )
  })
  // Windows has no such permissions.
  if (Os.platform() !== "win32") {
    yield* tighten(path)
    yield* warnOfWriters(path)
  }
  yield* Effect.acquireRelease(
    Effect.try({
      try: () => openLock(Path.join(path, "lock.sqlite")),
      catch: fail("another server uses it, or it is not writable")
    }),
    (lock) => Effect.sync(() => lock.close())
  )
  return DataFolder.of({ path })
})

/**
 * A persistent folder; created if missing.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (path: string): Layer.Layer<DataFolder, DataFolderError> =>
  Layer.effect(DataFolder, open(Path.resolve(path)))

/**
 * A folder under the system's temporary one, removed with its content when the scope closes.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTemporary: Layer.Layer<DataFolder, DataFolderError> = Layer.effect(
  DataFolder,
  Effect.gen(function*() {
    const path = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => Fs.mkdtemp(Path.join(Os.tmpdir(), "fileio-server-")),
        catch: (cause) =>
          new DataFolderError({ path: Os.tmpdir(), problem: "a temporary folder cannot be created in it", cause })
      }),
      (path) => Effect.promise(() => Fs.rm(path, { recursive: true, force: true, maxRetries: 3 }))
    )
    return yield* open(path)
  })
)
