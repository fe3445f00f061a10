import { Effect, FileSystem, Stream } from "effect"
import { createHash, randomBytes } from "node:crypto"

/** Writes a file of random bytes. */
export const randomFile = Effect.fnUntraced(function*(path: string, bytes: number) {
  const fs = yield* FileSystem.FileSystem
  const chunk = 1024 * 1024
  const chunks = Stream.range(1, Math.ceil(bytes / chunk)).pipe(
    Stream.map((n) => new Uint8Array(randomBytes(Math.min(chunk, bytes - (n - 1) * chunk))))
  )
  yield* Stream.run(chunks, fs.sink(path))
})

/** SHA-256 of a file, in hexadecimal. */
export const sha256 = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const hash = createHash("sha256")
  yield* Stream.runForEach(fs.stream(path), (chunk) => Effect.sync(() => hash.update(chunk)))
  return hash.digest("hex")
})
