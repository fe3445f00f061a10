/**
 * Decrypts a complete encrypted part into a second part beside it. The note names the second part only when it is complete and
 * on the disk, so a process that dies at any moment leaves one of the two, and the same call continues with it. `receive` calls
 * it.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as FileName from "@effect-fileio/core/FileName"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Stream from "effect/Stream"
import { CurrentPlatform } from "../../Platform.ts"
import * as Decrypt from "../encryption/decrypt.ts"
import { Fault } from "../encryption/fault.ts"
import type { Secrets } from "../encryption/library.ts"
import { toError } from "../request/retry.ts"
import { Failure } from "../shared/failure.ts"
import * as BufferedWrite from "./bufferedWrite.ts"
import { destinationFailed, problemOf } from "./destinationError.ts"
import * as OpenPart from "./openPart.ts"
import { inodeOf } from "./partFile.ts"
import * as Publish from "./publish.ts"
import type { Target } from "./receive.ts"

type EncryptedTarget = Target & { readonly secrets: Secrets }

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

/** Writes the plaintext of the encrypted part, and checks its digest. */
const write = Effect.fnUntraced(function*(target: EncryptedTarget, piece: OpenPart.Piece, plain: OpenPart.Piece) {
  const { sha256 } = yield* CurrentPlatform
  const source = OpenPart.reading(piece.file, piece.bytes)
  const { payload } = yield* Decrypt.open(source, target.secrets)
  const hasher = target.digest === undefined ? undefined : sha256()
  const bytes = Stream.map(payload("reused"), (chunk) => {
    hasher?.update(chunk)
    return chunk
  })
  yield* BufferedWrite.run(bytes, (chunk) => OpenPart.append(plain, chunk))
  if (hasher !== undefined && hasher.digest() !== target.digest) return yield* Effect.fail(new WrongDigest())
  if (target.isDurable) yield* plain.file.sync
}, Effect.scoped)

/** Decrypts a complete part; returns the decrypted one. */
export const decryptPart = Effect.fnUntraced(function*(
  target: EncryptedTarget,
  piece: OpenPart.Piece,
  hostName: FileName.FileName
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
  // The name follows from that of the encrypted part, so that the leftover of a dead process is found and replaced.
  const plainPath = piece.path.replace(/(?:\.part)?$/, ".plain.part")
  yield* Effect.ignore(fs.remove(plainPath))
  const file = yield* Effect.catch(fs.open(plainPath, { flag: "wx+", mode: 0o600 }), failed)
  const plain: OpenPart.Piece = { path: plainPath, file, bytes: 0 }
  yield* write(target, piece, plain).pipe(
    Effect.onError(() => Effect.ignore(fs.remove(plainPath))),
    Effect.catch((error) => {
      if (!(error instanceof Fault || error instanceof WrongDigest)) return failed(error)
      const isPlain = error instanceof Fault && error.problem === "notEncrypted"
      return Effect.flatMap(
        keep(target, piece, isPlain ? hostName : target.partNameFor(hostName)),
        (kept) =>
          Effect.fail(
            error instanceof Fault
              ? Decrypt.toError(error, "received", { bytesDone: plain.bytes, encryptedPath: kept })
              : wrongDigest(piece.bytes, kept)
          )
      )
    })
  )
  const info = yield* Effect.option(file.stat)
  const inode = info._tag === "Some" ? inodeOf(info.value) : undefined
  const isNoted = parts?.isNoted() === true && (yield* parts.update({
    part: paths.basename(plainPath),
    size: plain.bytes,
    encryptedPart: paths.basename(piece.path),
    ...(inode === undefined ? {} : { inode })
  }))
  // If the note could not be changed, it still names the encrypted part, which then stays.
  if (isNoted || parts?.isNoted() !== true) yield* Effect.ignore(fs.remove(piece.path))
  return plain
})

const wrongDigest = (bytesDone: number, partPath: string) =>
  toError(
    "download",
    new Failure(
      "received",
      new FileIoError.TransferInterrupted({
        bytesDone,
        partPath,
        resumable: false,
        problem: "its SHA-256 is not the expected one"
      })
    )
  )
