/**
 * Decrypts an encrypted part into a second part beside it, while the first one arrives. The first part and its note are those of any
 * download. The note names the second part only when that is complete and on the disk, so a process that dies at any moment leaves
 * one of the two, and the same call continues with it. `receive` calls it.
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as FileName from "@effect-fileio/core/FileName"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CurrentPlatform } from "../../Platform.ts"
import * as Decrypt from "../encryption/decrypt.ts"
import { Fault } from "../encryption/fault.ts"
import type { Secrets } from "../encryption/library.ts"
import { toError } from "../request/retry.ts"
import { wrongDigest } from "../shared/failure.ts"
import * as BufferedWrite from "./bufferedWrite.ts"
import { destinationFailed, problemOf } from "./destinationError.ts"
import * as OpenPart from "./openPart.ts"
import { inodeOf } from "./partFile.ts"
import * as Publish from "./publish.ts"
import type { Target } from "./receive.ts"

type EncryptedTarget = Target & { readonly secrets: Secrets }

/**
 * A download for another key stops after these bytes. A smaller one is fetched whole and kept: that takes no time, and the right key
 * needs no host any more.
 */
const KEY_KNOWN_BYTES = 16 * 1024 * 1024

/** Gives the encrypted file its own name, so that the right key can still decrypt it; if that fails, it stays in the part. */
const keep = Effect.fnUntraced(function*(
  target: EncryptedTarget,
  piece: OpenPart.Piece,
  name: FileName.FileName
) {
  const options: Publish.PublishOptions = { ...target, wanted: undefined, collision: "number" }
  if (target.isDurable) yield* Effect.ignore(piece.file.sync)
  const published = yield* Effect.option(Publish.publish(options, piece, name))
  if (published._tag === "None") return piece.path
  if (target.parts !== undefined) yield* target.parts.remove
  yield* Publish.syncFolder(target)
  return published.value
})

class WrongDigest {
  readonly _tag = "WrongDigest"
}

/** How far a decryption has come. */
interface Progress {
  /** What is wrong with the header, once that is known. */
  readonly header: Deferred.Deferred<Fault | undefined>
  /** Authentic bytes on the disk. */
  plainBytes: number
}

/** Writes the plaintext of an encrypted part to a new part, and checks its digest. `files` keeps the new part open. */
const write = Effect.fnUntraced(function*(
  target: EncryptedTarget,
  growing: OpenPart.Growing,
  plainPath: string,
  progress: Progress,
  files: Scope.Scope
) {
  const fs = yield* FileSystem.FileSystem
  const { sha256 } = yield* CurrentPlatform
  yield* Effect.ignore(fs.remove(plainPath))
  const { payload } = yield* Effect.onExit(
    Decrypt.open(OpenPart.following(growing), target.secrets),
    (exit) =>
      Deferred.succeed(progress.header, Option.getOrUndefined(Option.filter(Exit.findErrorOption(exit), isFault)))
  )
  const file = yield* Scope.provide(fs.open(plainPath, { flag: "wx+", mode: 0o600 }), files)
  const plain: OpenPart.Piece = { path: plainPath, file, bytes: 0 }
  return yield* Effect.gen(function*() {
    const hasher = target.digest === undefined ? undefined : sha256()
    const bytes = Stream.map(payload("reused"), (chunk) => {
      hasher?.update(chunk)
      return chunk
    })
    yield* BufferedWrite.run(bytes, (chunk) => OpenPart.append(plain, chunk))
    if (hasher !== undefined && hasher.digest() !== target.digest) return yield* Effect.fail(new WrongDigest())
    if (target.isDurable) yield* plain.file.sync
    return plain
  }).pipe(
    Effect.ensuring(Effect.sync(() => {
      progress.plainBytes = plain.bytes
    })),
    Effect.onError(() => Effect.ignore(fs.remove(plainPath)))
  )
}, Effect.scoped)

const isFault = (error: unknown): error is Fault => error instanceof Fault

/** Starts to decrypt a part. It ends with the scope, and leaves nothing if it is not complete then. */
export const start = Effect.fnUntraced(function*(target: EncryptedTarget, piece: OpenPart.Piece) {
  const progress: Progress = { header: yield* Deferred.make<Fault | undefined>(), plainBytes: 0 }
  const growing = new OpenPart.Growing(piece)
  // The name follows from that of the encrypted part, so that the leftover of a dead process is found and replaced.
  const plainPath = piece.path.replace(/(?:\.part)?$/, ".plain.part")
  // Before the fiber, so that the file closes after it: its descriptor may be another file's by then.
  const files = yield* Effect.acquireRelease(Scope.make(), Scope.close)
  const fiber = yield* Effect.forkScoped(write(target, growing, plainPath, progress, files))
  let isKeyKnown = false
  return {
    /** Ends it, and frees the space on the disk. */
    stop: Fiber.interrupt(fiber),

    /**
     * Call it after each write to the part. Fails if the part is for another key, and more than a little of it is yet to come, which
     * the host sends to a later call with the right key.
     */
    grown: (size: number | undefined): Effect.Effect<void, FileIoError.FileIoError> =>
      Effect.suspend(() => {
        growing.grown()
        const isWaiting = !isKeyKnown && piece.bytes >= KEY_KNOWN_BYTES && size !== undefined && piece.bytes < size
        if (!isWaiting) return Effect.void
        return Effect.flatMap(Deferred.await(progress.header), (fault) => {
          isKeyKnown = true
          return fault?.problem === "otherKey" && target.parts?.isNoted() === true
            ? Effect.fail(Decrypt.toError(fault, "begun", { bytesDone: 0, partPath: piece.path }))
            : Effect.void
        })
      }),

    /** Waits for the end, once the part is complete; returns the decrypted part. */
    finish: Effect.fnUntraced(function*(hostName: FileName.FileName) {
      growing.completed()
      return yield* finished(target, piece, hostName, Fiber.join(fiber), progress)
    })
  }
})

export type Decryption = Effect.Success<ReturnType<typeof start>>

/** The last steps: the note names the decrypted part; or the encrypted one is kept. */
const finished = Effect.fnUntraced(function*<R>(
  target: EncryptedTarget,
  piece: OpenPart.Piece,
  hostName: FileName.FileName,
  decrypted: Effect.Effect<OpenPart.Piece, Fault | WrongDigest | PlatformError, R>,
  progress: Progress
) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const { parts } = target
  const finalPath = (yield* Publish.pathOf(target))(target.nameFor(hostName), 0)
  /**
   * With a note, the same call decrypts the part as soon as the disk has space for the file; otherwise the part gets a name.
   */
  const failed = (error: PlatformError) =>
    Effect.flatMap(
      parts?.isNoted() === true ? Effect.succeed(piece.path) : keep(target, piece, target.partNameFor(hostName)),
      (kept) =>
        Effect.fail(destinationFailed("received", finalPath, problemOf(error), error, {
          parts: [kept],
          bytesDone: piece.bytes,
          bytesExpected: piece.bytes
        }))
    )
  const plain = yield* Effect.catch(decrypted, (error) => {
    if (!(error instanceof Fault || error instanceof WrongDigest)) return failed(error)
    const isPlain = error instanceof Fault && error.problem === "notEncrypted"
    return Effect.flatMap(
      keep(target, piece, isPlain ? hostName : target.partNameFor(hostName)),
      (kept) =>
        Effect.fail(
          error instanceof Fault
            ? Decrypt.toError(error, "received", { bytesDone: progress.plainBytes, encryptedPath: kept })
            : toError("download", wrongDigest({ bytesDone: piece.bytes, partPath: kept }))
        )
    )
  })
  const info = yield* Effect.option(plain.file.stat)
  const inode = info._tag === "Some" ? inodeOf(info.value) : undefined
  const isNoted = parts?.isNoted() === true && (yield* parts.update({
    part: paths.basename(plain.path),
    size: plain.bytes,
    encryptedPart: paths.basename(piece.path),
    ...(inode === undefined ? {} : { inode })
  }))
  // If the note could not be changed, it still names the encrypted part, which then stays.
  if (isNoted || parts?.isNoted() !== true) yield* Effect.ignore(fs.remove(piece.path))
  return plain
})
