/**
 * The bytes of files, in a folder.
 *
 * A blob is written to `incoming`, synced, renamed into `blobs`, and the folder is synced: a file in `blobs` is always
 * complete, and survives a power failure once `finish` is done.
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
import { Blobs, BlobsError, isBlobId, type Reader, removeEach, type Stored, type Writer } from "./Blobs.ts"
import { DataFolder } from "./DataFolder.ts"
import { syncFolder, writeDurably } from "./internal/disk/folders.ts"
import { giveBack, MemoryBudget } from "./internal/shared/memoryBudget.ts"

/** Bytes that justify a write: what a stalled upload keeps in memory. */
const WRITE_BYTES = 16 * 1024
/** The most bytes to collect during a write, if the memory budget allows; then reading waits. */
const HELD_BYTES = 2 * 1024 * 1024

const attempt = <A>(operation: string, run: () => Promise<A>): Effect.Effect<A, BlobsError> =>
  Effect.tryPromise({ try: run, catch: (cause) => BlobsError.from(operation, cause) })

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

/** `writev` may write less than requested. */
const writeAll = async (file: Fs.FileHandle, chunks: ReadonlyArray<Uint8Array>, size: number): Promise<void> => {
  const { bytesWritten } = await file.writev(chunks)
  if (bytesWritten === size) return
  let rest: Uint8Array = Buffer.concat(chunks).subarray(bytesWritten)
  while (rest.length > 0) rest = rest.subarray((await file.write(rest)).bytesWritten)
}

interface Places {
  /** Folder of incomplete blobs. */
  readonly incoming: string
  /** Folder of complete blobs. */
  readonly blobs: string
  /** Ids of the blobs that this process is writing. */
  readonly active: Set<string>
  readonly budget: MemoryBudget
}

const makeWriter = Effect.fnUntraced(
  function*({ active, blobs, budget, incoming }: Places, random: SecureRandom.SecureRandom["Service"]) {
    const id = Buffer.from(yield* random.randomBytes(16)).toString("hex")
    const temporary = Path.join(incoming, id)
    const place = Path.join(blobs, id)
    let closed = false
    let kept = false
    let gathered: Array<Uint8Array> = []
    let size = 0
    // Bytes of these that are from the budget.
    let taken = 0
    // One write runs while the next bytes are collected.
    let running: Promise<void> = Promise.resolve()
    let writing = false

    const file = yield* Effect.acquireRelease(
      Effect.suspend(() => {
        active.add(id)
        return attempt("create a blob", () => Fs.open(temporary, "wx", 0o600))
      }).pipe(Effect.tapError(() => Effect.sync(() => active.delete(id)))),
      (file) =>
        attempt("remove an upload that was given up", async () => {
          // Nothing more is to be written.
          gathered = []
          size = 0
          budget.release(taken)
          taken = 0
          // A failure here loses nothing: the bytes are not wanted any more, or are complete and closed already.
          await running.catch(() => {})
          if (!closed) await file.close().catch(() => {})
          if (kept) return
          for (const path of [temporary, place]) await Fs.rm(path, { force: true })
        }).pipe(
          Effect.catch((error) => Effect.logWarning(`${error.message}; the sweep tries it again`, error.cause)),
          Effect.ensuring(Effect.sync(() => active.delete(id)))
        )
    )

    /** Writes the collected bytes, and then those collected meanwhile if that justifies a write; the write before has ended. */
    const start = (): void => {
      const chunks = gathered
      const bytes = size
      const held = taken
      gathered = []
      size = 0
      taken = 0
      writing = true
      running = writeAll(file, chunks, bytes).finally(() => {
        writing = false
        budget.release(held)
        for (const chunk of chunks) giveBack(chunk)
      }).then(() => {
        if (size >= WRITE_BYTES) start()
      })
      // A later write awaits it; without a listener until then, a failure would end the process.
      running.catch(() => {})
    }

    // Reading continues during a write.
    const next = attempt("write a blob", async () => {
      await running
      if (!writing && size > 0) start()
    })
    const flush = attempt("write a blob", async () => {
      do {
        await running
        if (!writing && size > 0) start()
      } while (writing)
    })

    return {
      id,
      write: (bytes) => {
        gathered.push(bytes)
        size += bytes.length
        if (size < WRITE_BYTES) return Effect.void
        if (!writing) return next
        if (size >= HELD_BYTES || !budget.tryTake(bytes.length)) return flush
        taken += bytes.length
        return Effect.void
      },
      finish: Effect.andThen(
        flush,
        attempt("finish a blob", async () => {
          await file.sync()
          closed = true
          await file.close()
          await Fs.rename(temporary, place)
          await syncFolder(blobs)
        })
      ),
      keep: Effect.sync(() => {
        kept = true
      })
    } satisfies Writer
  }
)

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
    const idFile = Path.join(directory, "store-id")
    yield* attempt("prepare the data folder", async () => {
      for (const folder of [blobs, incoming]) await Fs.mkdir(folder, { recursive: true, mode: 0o700 })
    })

    // No other process writes here.
    const active = new Set<string>()

    const tidy = attempt("tidy the data folder", async () => {
      for (const name of await Fs.readdir(incoming)) {
        if (isBlobId(name) && !active.has(name)) await Fs.rm(Path.join(incoming, name), { force: true })
      }
    })
    yield* tidy

    const remove = (path: string) => attempt("remove a blob", () => Fs.rm(path, { force: true }))

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

    const list = Stream.suspend(() =>
      Stream.fromAsyncIterable(pagesOf(blobs), (cause) => BlobsError.from("list the blobs", cause))
    ).pipe(
      Stream.map((names) => names.filter(isBlobId).map((id): Stored => ({ id, settled: !active.has(id) })))
    )

    return Blobs.of({
      writer: makeWriter({ incoming, blobs, active, budget }, random),
      open,
      remove: (ids) => removeEach(ids, (id) => remove(Path.join(blobs, id))),
      syncRemovals: attempt("sync the folder of the blobs", () => syncFolder(blobs)),
      list,
      tidy,
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
