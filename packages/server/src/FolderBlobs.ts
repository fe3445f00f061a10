/**
 * The bytes of files, in a folder.
 *
 * A blob is written to `incoming`, synced, renamed into `blobs`, and the folder is synced: a file in `blobs` is always
 * complete, and survives a power failure once `finish` is done. A blob of several requests grows in `unfinished`.
 *
 * @since 0.1.0
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
// `effect/FileSystem` has neither gathered writes nor a sync of folders, and both matter here.
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import {
  Blobs,
  BlobsError,
  isBlobId,
  type Reader,
  removeEach,
  type Stored,
  type Unfinished,
  type Writer
} from "./Blobs.ts"
import { DataFolder } from "./DataFolder.ts"
import { makeFolder, shared, syncFile, syncFolder, writeDurably } from "./internal/disk/folders.ts"
import * as GatheredWrites from "./internal/disk/gatheredWrites.ts"
import { MemoryBudget } from "./internal/shared/memoryBudget.ts"

const { attempt } = GatheredWrites

const unlessMissing = (cause: unknown): undefined => {
  if (!(cause instanceof Error && "code" in cause && cause.code === "ENOENT")) throw cause
}

/** Names per page of a listing. */
const PAGE = 1000

async function* pagesOf(folder: string): AsyncGenerator<ReadonlyArray<string>> {
  let page: Array<string> = []
  for await (const { name } of await Fs.opendir(folder, { bufferSize: PAGE })) {
    page.push(name)
    if (page.length < PAGE) continue
    yield page
    page = []
  }
  yield page
}

interface Places {
  /** Folder of incomplete blobs. */
  readonly incoming: string
  /** Folder of blobs that several requests append to, also after a restart. */
  readonly unfinished: string
  /** Folder of complete blobs. */
  readonly blobs: string
  /** Syncs the folder of complete blobs. */
  readonly syncBlobs: () => Promise<void>
  /** Ids of the blobs that this process is writing. */
  readonly active: Set<string>
  readonly budget: MemoryBudget
}

const openWrites = async (path: string, flags: string, budget: MemoryBudget) => {
  const file = await Fs.open(path, flags, 0o600)
  return { file, writes: GatheredWrites.make(file, budget) }
}

const makeWriter = Effect.fnUntraced(
  function*({ active, blobs, budget, incoming, syncBlobs }: Places, random: SecureRandom.SecureRandom["Service"]) {
    const id = Buffer.from(yield* random.randomBytes(16)).toString("hex")
    const temporary = Path.join(incoming, id)
    const place = Path.join(blobs, id)
    let closed = false
    let kept = false

    const { file, writes } = yield* Effect.acquireRelease(
      Effect.suspend(() => {
        active.add(id)
        return attempt("create a blob", () => openWrites(temporary, "wx", budget))
      }).pipe(Effect.tapError(() => Effect.sync(() => active.delete(id)))),
      ({ file, writes }) =>
        attempt("remove an abandoned upload", async () => {
          await writes.stop()
          if (!closed) await file.close().catch(() => {})
          if (kept) return
          for (const path of [temporary, place]) await Fs.rm(path, { force: true })
        }).pipe(
          Effect.catch((error) => Effect.logWarning(`${error.message}; the sweep tries it again`, error.cause)),
          Effect.ensuring(Effect.sync(() => active.delete(id)))
        )
    )

    return {
      id,
      write: writes.write,
      finish: Effect.andThen(
        writes.flush,
        attempt("finish a blob", async () => {
          await syncFile(file)
          closed = true
          await file.close()
          await Fs.rename(temporary, place)
          await syncBlobs()
        })
      ),
      keep: Effect.sync(() => {
        kept = true
      })
    } satisfies Writer
  }
)

/** Size of a file, `undefined` where there is none. */
const sizeOf = (path: string): Promise<number | undefined> => Fs.stat(path).then(({ size }) => size, unlessMissing)

/**
 * Opens a blob that grows over several requests. Its file has exactly the bytes that came, in order, so its size is the offset.
 */
const makeUnfinished = ({ blobs, budget, syncBlobs, unfinished }: Places) =>
  Effect.fnUntraced(function*(id: string) {
    const growing = Path.join(unfinished, id)
    const place = Path.join(blobs, id)
    const whole = yield* attempt("open an unfinished blob", () => sizeOf(place))
    // The process ended after the blob got its place, and before the catalog knew of the file.
    if (whole !== undefined) {
      return {
        offset: whole,
        write: () => Effect.fail(BlobsError.from("write a blob", new Error("the blob is finished"))),
        progress: Effect.succeed({ size: whole }),
        sync: Effect.succeed({ size: whole }),
        finish: attempt("finish a blob", syncBlobs)
      } satisfies Unfinished
    }
    let closed = false
    const { file, writes } = yield* Effect.acquireRelease(
      attempt("open an unfinished blob", () => openWrites(growing, "a", budget)),
      ({ file, writes }) =>
        Effect.promise(async () => {
          await writes.stop()
          if (!closed) await file.close().catch(() => {})
        })
    )
    const measured = attempt("read the size of a blob", async () => ({ size: (await file.stat()).size }))
    const { size: offset } = yield* measured
    const synced = Effect.andThen(
      writes.flush,
      attempt("sync a blob", async () => {
        await syncFile(file)
        await syncFolder(unfinished)
      })
    )
    return {
      offset,
      write: writes.write,
      progress: measured,
      sync: Effect.andThen(synced, measured),
      finish: Effect.andThen(
        synced,
        attempt("finish a blob", async () => {
          closed = true
          await file.close()
          await Fs.rename(growing, place)
          await syncBlobs()
        })
      )
    } satisfies Unfinished
  })

/**
 * Blobs in the folder `blobs`, prepared in `incoming`. Removes leftovers of an interrupted process in `incoming`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Blobs, BlobsError, DataFolder | SecureRandom.SecureRandom> = Layer.effect(
  Blobs,
  Effect.gen(function*() {
    const random = yield* SecureRandom.SecureRandom
    const budget = yield* MemoryBudget
    const { path: directory } = yield* DataFolder
    const incoming = Path.join(directory, "incoming")
    const blobs = Path.join(directory, "blobs")
    const unfinished = Path.join(directory, "unfinished")
    const idFile = Path.join(directory, "store-id")
    yield* attempt("prepare the data folder", async () => {
      for (const folder of [blobs, incoming, unfinished]) await makeFolder(folder)
    })

    // No other process writes here.
    const active = new Set<string>()
    const syncBlobs = shared(() => syncFolder(blobs))
    const places: Places = { incoming, unfinished, blobs, syncBlobs, active, budget }

    const tidy = attempt("tidy the data folder", async () => {
      for (const name of await Fs.readdir(incoming)) {
        if (isBlobId(name) && !active.has(name)) await Fs.rm(Path.join(incoming, name), { force: true })
      }
    })
    yield* tidy

    const remove = (id: string) =>
      attempt("remove a blob", async () => {
        for (const folder of [blobs, unfinished]) await Fs.rm(Path.join(folder, id), { force: true })
      })

    const open = Effect.fnUntraced(function*(id: string) {
      const file = yield* Effect.acquireRelease(
        attempt("open a blob", () => Fs.open(Path.join(blobs, id), "r")),
        (file) => Effect.promise(() => file.close().catch(() => {}))
      )
      const read = async (buffer: Uint8Array, position: number): Promise<number> => {
        let done = 0
        while (done < buffer.length) {
          const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done)
          if (bytesRead === 0) break
          done += bytesRead
        }
        return done
      }
      return { read } satisfies Reader
    })

    const list = Stream.suspend(() => Stream.fromIterable([blobs, unfinished])).pipe(
      Stream.flatMap((folder) =>
        Stream.fromAsyncIterable(pagesOf(folder), (cause) => BlobsError.from("list the blobs", cause))
      ),
      Stream.map((names) => names.filter(isBlobId).map((id): Stored => ({ id, settled: !active.has(id) })))
    )

    return Blobs.of({
      writer: makeWriter(places, random),
      unfinished: makeUnfinished(places),
      open,
      remove: (ids) => removeEach(ids, remove),
      syncRemovals: attempt("sync the folders of the blobs", async () => {
        for (const folder of [blobs, unfinished]) await syncFolder(folder)
      }),
      list,
      tidy: () => tidy,
      where: `the folder ${blobs}`,
      storeId: attempt("read the id of the store", () => Fs.readFile(idFile, "utf8").catch(unlessMissing)).pipe(
        Effect.map((id) => id?.trim() || undefined)
      ),
      setStoreId: (id) =>
        attempt("write the id of the store", async () => {
          await writeDurably(`${idFile}.new`, `${id}\n`)
          await Fs.rename(`${idFile}.new`, idFile)
          await syncFolder(directory)
        }),
      storeIdPlace: idFile
    })
  })
)
