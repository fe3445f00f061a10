/**
 * Decrypts a download on its way to the disk: the part has the plaintext of the chunks that are authentic, and the note has the
 * header, so that another process continues at the next chunk, with the secret from its caller. If a chunk is not authentic,
 * the encrypted bytes are made again from the plaintext, and the rest of the download follows them. `receive` calls it.
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as FileIo from "../../FileIo.ts"
import { CurrentPlatform } from "../../Platform.ts"
import * as Chunks from "../encryption/chunks.ts"
import * as Decrypt from "../encryption/decrypt.ts"
import { Fault } from "../encryption/fault.ts"
import { transform } from "../encryption/transform.ts"
import { destinationFailed, problemOf } from "./destinationError.ts"
import * as OpenPart from "./openPart.ts"
import type { Target } from "./publish.ts"

/**
 * A larger download for another key stops at its header, if the host can resume it. A smaller one is fetched whole and kept:
 * that takes no time, and the right key needs no host any more.
 */
const MAX_WRONG_BYTES = 16 * 1024 * 1024

/** A download that is decrypted as it arrives. */
export interface Sealed {
  readonly unlocked: Decrypt.Unlocked
  /** Size of the encrypted file. */
  readonly size: number | undefined
  /** How many chunks were authentic. */
  readonly count: () => number
  /** After a fault: the encrypted bytes from the chunk with the fault on. */
  readonly rest: Stream.Stream<Uint8Array, FileIoError.FileIoError>
}

/** What goes to the part of a download. */
export interface Source {
  readonly content: Stream.Stream<Uint8Array, FileIoError.FileIoError | Fault>
  readonly size: number | undefined
  /** Bytes that are in the part already. */
  readonly offset: number
  /** Absent if the part gets the bytes as they arrive. */
  readonly sealed?: Sealed
  /** Why an encrypted file cannot be decrypted, if its header says so. */
  readonly fault?: Fault
}

/** Where a download continues, in encrypted bytes, whose part has this much plaintext. */
export const offsetOf = ({ length }: Uint8Array, plain: number): number =>
  length + Math.floor(plain / Chunks.PLAIN_CHUNK) * Chunks.SEALED_CHUNK

/** Reads the header of a download that has to be decrypted, unless that of its part is known. */
export const begin = Effect.fnUntraced(function*(
  target: Target,
  download: FileIo.Download
): Effect.fn.Return<Source, FileIoError.FileIoError, Scope.Scope> {
  const { digest, found, secrets } = target
  const { offset, size } = download
  const bytes = download.open("reused")
  const isResumed = offset > 0 && found !== undefined
  if (secrets === undefined || (isResumed && found.unlocked === undefined)) return { content: bytes, size, offset }
  const { content, unlocked } = isResumed
    ? { content: yield* Stream.toPull(bytes), unlocked: found.unlocked }
    : yield* Decrypt.begin(bytes, secrets)
  if (unlocked === undefined || unlocked instanceof Fault) {
    const fault = unlocked === undefined ? {} : { fault: unlocked }
    return { content: Stream.fromPull(Effect.succeed(content)), size, offset, ...fault }
  }
  const { cipher, key, start } = unlocked
  const plainSize = Decrypt.plainSize(size, start.length)
  if (size !== undefined && plainSize === undefined) {
    // No encrypted file has this size, so some of it is missing, which shows when all of it is there.
    const whole = Stream.concat(Stream.succeed(start), Stream.fromPull(Effect.succeed(content)))
    return { content: whole, size, offset }
  }
  const first = isResumed ? Math.floor(found.bytes / Chunks.PLAIN_CHUNK) : 0
  const opening = new Chunks.Opening(cipher, key, "reused", first, true)
  const { output, rest } = transform(content, opening)
  const plain = Stream.fromPull(Effect.succeed(output))
  const before = first * Chunks.PLAIN_CHUNK
  return {
    content: digest === undefined ? plain : Decrypt.checkDigest(plain, yield* hasherOf(target, before), digest),
    size: plainSize,
    offset: before,
    sealed: { unlocked, size, count: () => opening.index, rest: Stream.fromPull(Effect.succeed(rest)) }
  }
})

/** A hasher that has the first bytes of the part. */
const hasherOf = Effect.fnUntraced(function*({ found }: Target, bytes: number) {
  const hasher = (yield* CurrentPlatform).sha256()
  if (found === undefined || bytes === 0) return hasher
  const read = OpenPart.reading(found.file, bytes)
  yield* Effect.mapError(
    Stream.runForEach(read, (chunk) => Effect.sync(() => hasher.update(chunk))),
    (error) => destinationFailed("begun", found.path, problemOf(error), error)
  )
  return hasher
})

/** Fails if a download is for another key and should stop for that; the part is empty then. */
export const stopFor = (target: Target, { fault, size }: Source, partPath: string) =>
  fault?.problem === "otherKey" && target.parts.isNoted() && size !== undefined && size > MAX_WRONG_BYTES
    ? Effect.fail(Decrypt.toError(fault, "begun", { bytesDone: 0, partPath }))
    : Effect.void

/** The encrypted bytes of a decrypted part, as they arrived. */
export const resealed = (
  { count, unlocked: { cipher, key, start } }: Sealed,
  pieces: ReadonlyArray<OpenPart.Piece>
): Stream.Stream<Uint8Array, PlatformError | Fault> => {
  const sealing = new Chunks.Sealing(cipher, key, new Chunks.Sealed(), "reused")
  const plain = Stream.flatMap(Stream.fromIterable(pieces), ({ bytes, file }) => OpenPart.reading(file, bytes))
  const chunks = Stream.transformPull(plain, (pull) =>
    Effect.succeed(
      transform(pull, { push: (bytes) => sealing.push(bytes), end: () => sealing.end(false) }).output
    ))
  return Stream.concat(Stream.succeed(start), count() === 0 ? Stream.empty : chunks)
}
