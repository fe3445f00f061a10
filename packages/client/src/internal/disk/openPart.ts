/** An open file to which a download is appended, and operations on such files. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Latch from "effect/Latch"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Stream from "effect/Stream"
import { partName } from "./partFile.ts"

export interface Piece {
  readonly path: string
  readonly file: FileSystem.File
  bytes: number
}

/** Reads are this large, since memory is used again; each one waits for a thread. */
const COPY_BYTES = 2 * 1024 * 1024

/** Appends a chunk, and knows after a failure how much of it was written. */
export const append = (piece: Piece, chunk: Uint8Array): Effect.Effect<void, PlatformError> =>
  Effect.flatMap(piece.file.write(chunk), (count) => {
    piece.bytes += count
    return count >= chunk.length ? Effect.void : append(piece, chunk.subarray(count))
  })

/** A piece that is still being written: readers wait for its next bytes. */
export class Growing {
  readonly piece: Piece
  #isComplete = false
  readonly #changed = Latch.makeUnsafe(false)

  constructor(piece: Piece) {
    this.piece = piece
  }

  /** Call it after a write. */
  grown(): void {
    this.#changed.openUnsafe()
  }

  /** Call it after the last write. */
  completed(): void {
    this.#isComplete = true
    this.#changed.openUnsafe()
  }

  /** Waits until there are more bytes than `at`; returns how many, 0 at the end. */
  more(at: number): Effect.Effect<number> {
    return Effect.suspend(() => {
      const count = this.piece.bytes - at
      if (count > 0 || this.#isComplete) return Effect.succeed(count)
      this.#changed.closeUnsafe()
      return Effect.andThen(this.#changed.await, this.more(at))
    })
  }
}

/** Reads a piece. A chunk is valid until the next one is requested: each is read into the same buffer. */
const readInto = (
  file: FileSystem.File,
  bufferBytes: number,
  more: (at: number) => Effect.Effect<number>
): Stream.Stream<Uint8Array, PlatformError> =>
  Stream.suspend(() => {
    const buffer = new Uint8Array(bufferBytes)
    return Stream.unfold(0, (at) =>
      Effect.flatMap(more(at), (available) =>
        available <= 0
          ? Effect.undefined
          : Effect.map(
            file.read(buffer.subarray(0, Math.min(buffer.length, available)), { position: BigInt(at) }),
            (count) => count === 0 ? undefined : [buffer.subarray(0, count), at + count] as const
          )))
  })

/** The first bytes of a file. */
export const reading = (file: FileSystem.File, bytes: number): Stream.Stream<Uint8Array, PlatformError> =>
  readInto(file, Math.min(COPY_BYTES, bytes), (at) => Effect.succeed(bytes - at))

/** All bytes of a piece, also those that are yet to be written. */
export const following = (growing: Growing): Stream.Stream<Uint8Array, PlatformError> =>
  readInto(growing.piece.file, COPY_BYTES, (at) => growing.more(at))

/** Creates a file that nobody else can read. */
export const create = Effect.fnUntraced(function*(directory: string, name: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const path = paths.join(directory, yield* partName(name))
  const file = yield* fs.open(path, { flag: "wx+", mode: 0o600 })
  return { path, file, bytes: 0 } as Piece
})

/** Copies the contents of open files into one new file. */
export const gather = Effect.fnUntraced(function*(
  pieces: ReadonlyArray<Piece>,
  directory: string,
  name: string,
  isDurable: boolean
) {
  const fs = yield* FileSystem.FileSystem
  const whole = yield* create(directory, name)
  yield* Effect.gen(function*() {
    for (const { bytes, file } of pieces) {
      const before = whole.bytes
      yield* Stream.runForEach(reading(file, bytes), (chunk) => append(whole, chunk))
      if (whole.bytes - before !== bytes) return yield* Effect.fail("short" as const)
    }
    if (isDurable) yield* whole.file.sync
  }).pipe(Effect.onError(() => Effect.ignore(fs.remove(whole.path))))
  return whole
})
