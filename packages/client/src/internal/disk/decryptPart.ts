/**
 * Decrypts a complete part of encrypted bytes into a second part beside it. Most downloads are decrypted on their way to the
 * disk, `sealedDownload`; this is for an armored file, and for one whose key was missing at first. The note names the second
 * part only when that is complete and on the disk, so a process that dies leaves one of the two, and the same call continues
 * with it. `receive` calls it.
 */
import type * as FileName from "@effect-fileio/core/FileName"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import { CurrentPlatform } from "../../Platform.ts"
import * as Decrypt from "../encryption/decrypt.ts"
import { Fault } from "../encryption/fault.ts"
import type { Secrets } from "../encryption/header.ts"
import * as BufferedWrite from "./bufferedWrite.ts"
import { destinationFailed, problemOf, withPart } from "./destinationError.ts"
import * as OpenPart from "./openPart.ts"
import { inodeOf } from "./partFile.ts"
import * as Publish from "./publish.ts"

/** Gives the encrypted file its own name, so that the right key can still decrypt it; if that fails, it stays in the part. */
const keep = Effect.fnUntraced(function*(target: Publish.Target, piece: OpenPart.Piece, name: FileName.FileName) {
  const options: Publish.PublishOptions = { ...target, wanted: undefined, collision: "number" }
  if (target.isDurable) yield* Effect.ignore(piece.file.sync)
  const published = yield* Effect.option(Publish.publish(options, piece, name))
  if (published._tag === "None") return piece.path
  yield* target.parts.remove
  yield* Publish.syncFolder(target)
  return published.value
})

/** Keeps an encrypted part that cannot be decrypted, and fails. */
export const keepFor = Effect.fnUntraced(function*(
  target: Publish.Target,
  piece: OpenPart.Piece,
  hostName: FileName.FileName,
  fault: Fault,
  bytesDone: number,
  stage: Decrypt.Stage = "received"
) {
  const isPlain = fault.problem === "notEncrypted"
  const encryptedPath = yield* keep(target, piece, isPlain ? hostName : target.partNameFor(hostName))
  return yield* Decrypt.toError(fault, stage, { bytesDone, encryptedPath })
})

/** Writes the plaintext of an encrypted part to a new part, and checks its digest. */
const write = Effect.fnUntraced(function*(target: Publish.Target, secrets: Secrets, piece: OpenPart.Piece) {
  const fs = yield* FileSystem.FileSystem
  const { sha256 } = yield* CurrentPlatform
  // The name follows from that of the encrypted part, so that the leftover of a dead process is found and replaced.
  const path = piece.path.replace(/(?:\.part)?$/, ".plain.part")
  yield* Effect.ignore(fs.remove(path))
  const { payload } = yield* Decrypt.open(OpenPart.reading(piece.file, piece.bytes), secrets)
  const plain: OpenPart.Piece = { path, file: yield* fs.open(path, { flag: "wx+", mode: 0o600 }), bytes: 0 }
  const bytes = payload("reused")
  return yield* BufferedWrite.run(
    target.digest === undefined ? bytes : Decrypt.checkDigest(bytes, sha256(), target.digest),
    (chunk) => OpenPart.append(plain, chunk)
  ).pipe(
    Effect.andThen(target.isDurable ? plain.file.sync : Effect.void),
    Effect.as(plain),
    Effect.onError(() => Effect.ignore(fs.remove(path))),
    Effect.mapError((error) => error instanceof Fault ? { fault: error, bytesDone: plain.bytes } : error)
  )
})

/** Decrypts a complete part, so that the note names the decrypted one; or keeps the encrypted one, and fails. */
export const decrypt = Effect.fnUntraced(function*(
  target: Publish.Target,
  secrets: Secrets,
  piece: OpenPart.Piece,
  hostName: FileName.FileName
) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const { parts } = target
  const finalPath = (yield* Publish.pathOf(target))(target.nameFor(hostName), 0)
  const received = { bytesDone: piece.bytes, bytesExpected: piece.bytes }
  /** With a note, the same call decrypts the part as soon as the disk has space for the file; otherwise the part gets a name. */
  const failed = (error: PlatformError) =>
    Effect.flatMap(
      parts.isNoted() ? Effect.succeed(piece.path) : keep(target, piece, target.partNameFor(hostName)),
      (kept) =>
        Effect.fail(
          destinationFailed("received", finalPath, problemOf(error), error, { parts: [kept], ...received })
        )
    )
  const plain = yield* Effect.catch(write(target, secrets, piece), (error) =>
    error instanceof Fault
      ? keepFor(target, piece, hostName, error, 0)
      : "fault" in error
      ? keepFor(target, piece, hostName, error.fault, error.bytesDone)
      : error._tag === "PlatformError"
      ? failed(error)
      : Effect.flatMap(
        keep(target, piece, target.partNameFor(hostName)),
        (kept) => Effect.fail(withPart(error, kept, piece.bytes))
      ))
  const info = yield* Effect.option(plain.file.stat)
  const inode = info._tag === "Some" ? inodeOf(info.value) : undefined
  const isNoted = parts.isNoted() && (yield* parts.update({
    part: paths.basename(plain.path),
    size: plain.bytes,
    encryptedPart: paths.basename(piece.path),
    ...(inode === undefined ? {} : { inode })
  }))
  // If the note could not be changed, it still names the encrypted part, which then stays.
  if (isNoted || !parts.isNoted()) yield* Effect.ignore(fs.remove(piece.path))
  return plain
})
