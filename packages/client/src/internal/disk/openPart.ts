/** An open file to which a download is appended, and operations on such files. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
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

/** The first bytes of a file. A chunk is valid until the next one is requested: each is read into the same buffer. */
export const reading = (file: FileSystem.File, bytes: number): Stream.Stream<Uint8Array, PlatformError> =>
  Stream.suspend(() => {
    const buffer = new Uint8Array(Math.min(COPY_BYTES, bytes))
    return Stream.unfold(0, (at) =>
      at >= bytes
        ? Effect.undefined
        : Effect.map(
          file.read(buffer.subarray(0, Math.min(buffer.length, bytes - at)), { position: BigInt(at) }),
          (count) => count === 0 ? undefined : [buffer.subarray(0, count), at + count] as const
        ))
  })

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
