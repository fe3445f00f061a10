import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { Blobs, BlobsError } from "../../Blobs.ts"

const READ_BYTES = 256 * 1024

export const ofBytes = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** The SHA-256 of stored bytes, in hexadecimal. */
export const ofBlob = Effect.fnUntraced(function*(id: string) {
  const reader = yield* (yield* Blobs).open(id)
  const hash = createHash("sha256")
  const buffer = new Uint8Array(READ_BYTES)
  for (let position = 0;;) {
    const read = yield* Effect.tryPromise({
      try: () => reader.read(buffer, position),
      catch: (cause) => BlobsError.from("read a blob", cause)
    })
    if (read === 0) return hash.digest("hex")
    hash.update(buffer.subarray(0, read))
    position += read
  }
}, Effect.scoped)
