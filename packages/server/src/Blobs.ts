/**
 * The bytes of files, in a folder.
 *
 * A blob is written beside its place, synced, renamed into it, and the folder is synced: what is in `blobs` is always
 * whole, and survives a power cut once `finish` is done.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
// `effect/FileSystem` has neither gathered writes nor the sync of a folder, and both matter here.
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { DataFolder } from "./DataFolder.ts"
import { syncFolder, writeDurably } from "./internal/disk/folders.ts"

const codeOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

/**
 * Bytes could not be read or written. `code` is the system's word, such as `ENOSPC`.
 *
 * @category errors
 * @since 0.1.0
 */
export class BlobsError extends Schema.TaggedError<BlobsError>("@effect-fileio/server/BlobsError")("BlobsError", {
  operation: Schema.String,
  code: Schema.optionalKey(Schema.String),
  /** `unavailable`: the store does not answer, or cannot do it now. */
  reason: Schema.optionalKey(Schema.Literal("unavailable")),
  cause: Schema.Defect()
}) {
  /** The error of an operation that failed for this cause, with its code. */
  static from(operation: string, cause: unknown): BlobsError {
    const code = codeOf(cause)
    return new BlobsError({ operation, cause, ...(code === undefined ? {} : { code }) })
  }

  override get message() {
    return `cannot ${this.operation}${this.code === undefined ? "" : ` (${this.code})`}`
  }
}

/**
 * A blob that is being written. It is gone when its scope closes, unless it was finished and kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Writer {
  readonly id: string
  /** Takes bytes over, with their memory, which the caller must not use any more; they are written in large pieces. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, BlobsError>
  /** Makes the bytes durable and gives the blob its place. */
  readonly finish: Effect.Effect<void, BlobsError>
  /** The catalog knows the blob now. */
  readonly keep: Effect.Effect<void>
}

/**
 * A blob that is open for reading; it stays readable when it is removed meanwhile.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reader {
  /** Fills `buffer` from `position`; resolves with fewer bytes only at the end. */
  readonly read: (buffer: Uint8Array, position: number) => Promise<number>
}

/**
 * A blob that has its place.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stored {
  readonly id: string
  /** Nobody writes it any more: if the catalog does not know it, no file will ever have it. */
  readonly settled: boolean
}

/**
 * What became of blobs that were to be removed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Removal {
  readonly removed: ReadonlyArray<string>
  /** Why the first of the others could not be removed. */
  readonly failure: BlobsError | undefined
}

/** Blobs that are removed at the same time. */
const REMOVALS = 16

/**
 * Removes blobs one by one.
 *
 * @category operations
 * @since 0.1.0
 */
export const removeEach = (
  ids: ReadonlyArray<string>,
  remove: (id: string) => Effect.Effect<void, BlobsError>
): Effect.Effect<Removal> =>
  Effect.map(
    Effect.partition(ids, (id) => Effect.as(remove(id), id), { concurrency: REMOVALS }),
    ([removed, failures]): Removal => ({ removed, failure: failures[0] })
  )

/**
 * The bytes of all files: what is stored is whole, or is not there.
 *
 * @category services
 * @since 0.1.0
 */
export class Blobs extends Context.Service<Blobs, {
  /** Where they are, for messages. */
  readonly where: string
  /** The id of the store, if it has one yet. */
  readonly storeId: Effect.Effect<string | undefined, BlobsError>
  readonly setStoreId: (id: string) => Effect.Effect<void, BlobsError>
  /** Where the id of the store is, for messages. */
  readonly storeIdPlace: string
  readonly writer: Effect.Effect<Writer, BlobsError, Scope.Scope>
  readonly open: (id: string) => Effect.Effect<Reader, BlobsError, Scope.Scope>
  /** Removes blobs; one that is not there is removed already. What cannot be removed keeps none of the others. */
  readonly remove: (ids: ReadonlyArray<string>) => Effect.Effect<Removal>
  /** After it, no power cut brings a blob back that was removed before. */
  readonly syncRemovals: Effect.Effect<void, BlobsError>
  /** All blobs that have their place, in pages. */
  readonly list: Stream.Stream<ReadonlyArray<Stored>, BlobsError>
  /** Removes what uploads left behind whose process was interrupted. */
  readonly tidy: Effect.Effect<void, BlobsError>
}>()("@effect-fileio/server/Blobs") {}

/**
 * Whether a name is one that a store gives to a blob. Others are not ours: they are never looked at, and never removed.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isBlobId = (name: string): boolean => /^[0-9a-f]{32}$/.test(name)

/** Bytes that are worth a write. */
const WRITE_BYTES = 512 * 1024
/** Bytes that are gathered while a write is under way, before reading waits for it. */
const HELD_BYTES = 2 * 1024 * 1024

const attempt = <A>(operation: string, run: () => Promise<A>): Effect.Effect<A, BlobsError> =>
  Effect.tryPromise({ try: run, catch: (cause) => BlobsError.from(operation, cause) })

const unlessMissing = (cause: unknown): undefined => {
  if (codeOf(cause) !== "ENOENT") throw cause
}

/** Names in a page of a listing. */
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

/** `writev` may write less than asked. */
const writeAll = async (file: Fs.FileHandle, chunks: ReadonlyArray<Uint8Array>, size: number): Promise<void> => {
  const { bytesWritten } = await file.writev(chunks)
  if (bytesWritten === size) return
  let rest: Uint8Array = Buffer.concat(chunks).subarray(bytesWritten)
  while (rest.length > 0) rest = rest.subarray((await file.write(rest)).bytesWritten)
}

/**
 * Gives memory back at once that nobody uses any more. Node takes new memory outside of the heap for each read of a socket; left
 * to the collector, it starts a full collection every 50 MB, which is a third of the work of an upload. A chunk that has only a
 * part of its memory is left alone, since somebody may have the rest.
 */
const giveBack = ({ buffer, byteLength }: Uint8Array): void => {
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0)
}

/**
 * Blobs in the folder `blobs`, made ready in `incoming`. What an interrupted process left in `incoming` is removed.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Blobs, BlobsError, DataFolder | SecureRandom.SecureRandom> = Layer.effect(
  Blobs,
  Effect.gen(function*() {
    const random = yield* SecureRandom.SecureRandom
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

    const writer = Effect.gen(function*() {
      const id = Buffer.from(yield* random.randomBytes(16)).toString("hex")
      const temporary = Path.join(incoming, id)
      const place = Path.join(blobs, id)
      let closed = false
      let kept = false
      let gathered: Array<Uint8Array> = []
      let size = 0
      // One write runs while the next bytes are gathered.
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
            // What fails here is no loss: the bytes are not wanted any more, or are whole and closed already.
            await running.catch(() => {})
            if (!closed) await file.close().catch(() => {})
            if (kept) return
            for (const path of [temporary, place]) await Fs.rm(path, { force: true })
          }).pipe(
            Effect.catch((error) => Effect.logWarning(`${error.message}; the sweep tries it again`, error.cause)),
            Effect.ensuring(Effect.sync(() => active.delete(id)))
          )
      )

      /** Writes what is gathered, and then what was gathered meanwhile if that is worth it; the write before has ended. */
      const start = (): void => {
        const chunks = gathered
        const bytes = size
        gathered = []
        size = 0
        writing = true
        running = writeAll(file, chunks, bytes).finally(() => {
          writing = false
          for (const chunk of chunks) giveBack(chunk)
        }).then(() => {
          if (size >= WRITE_BYTES) start()
        })
        // Awaited by a later write; without a listener until then, a failure would end the process.
        running.catch(() => {})
      }

      // Reading goes on while a write is under way, as long as what comes meanwhile is not too much.
      const behind = attempt("write a blob", async () => {
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
          return size < WRITE_BYTES || (writing && size < HELD_BYTES) ? Effect.void : behind
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

    const list = Stream.suspend(() =>
      Stream.fromAsyncIterable(pagesOf(blobs), (cause) => BlobsError.from("list the blobs", cause))
    ).pipe(
      Stream.map((names) => names.filter(isBlobId).map((id): Stored => ({ id, settled: !active.has(id) })))
    )

    return Blobs.of({
      writer,
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
