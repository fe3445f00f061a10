/**
 * Writes a download to its part, and to the fallback folder if the disk fails midway; then gives the complete file its name.
 * Nothing received is deleted unless the whole file lies somewhere else.
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as FileName from "@effect-fileio/core/FileName"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Scope from "effect/Scope"
import type * as FileIo from "../../FileIo.ts"
import { CurrentPlatform } from "../../Platform.ts"
import type { Secrets } from "../encryption/library.ts"
import * as BufferedWrite from "./bufferedWrite.ts"
import * as DecryptPart from "./decryptPart.ts"
import { destinationFailed, problemOf, type Received, withPart } from "./destinationError.ts"
import * as OpenPart from "./openPart.ts"
import * as PartFile from "./partFile.ts"
import * as Publish from "./publish.ts"
import * as Rescue from "./rescue.ts"

/** A complete file under its final name. */
export interface SavedFile {
  readonly path: string
  readonly bytes: number
}

/** The destination of one download. */
export interface Target extends Publish.PublishOptions {
  readonly parts: PartFile.Parts | undefined
  /** The part of an earlier download to resume. */
  readonly found: PartFile.ResumablePart | undefined
  /** The caller's folder for the rest if the destination fails. */
  readonly fallback: string | undefined
  /** The local name of a file with this name on the host. */
  readonly nameFor: (name: FileName.FileName) => FileName.FileName
  /** The name for its part: of an encrypted file, with `.age` appended. */
  readonly partNameFor: (name: FileName.FileName) => FileName.FileName
  /** Decrypts the file, if it is encrypted. */
  readonly secrets: Secrets | undefined
  /** Expected digest of an encrypted file; for others, the stream is checked. */
  readonly digest: string | undefined
}

type Disk = FileSystem.FileSystem | Path.Path | Scope.Scope

/** Starts to decrypt a part, if the file is encrypted. */
const decrypting = (target: Target, piece: OpenPart.Piece) =>
  target.secrets === undefined ? Effect.undefined : DecryptPart.start({ ...target, secrets: target.secrets }, piece)

/** The last steps with a complete part: decrypts it if it is encrypted, unless that goes on already. */
export const finish = Effect.fnUntraced(function*(
  target: Target,
  piece: OpenPart.Piece,
  hostName: FileName.FileName,
  running?: DecryptPart.Decryption
): Effect.fn.Return<SavedFile, FileIoError.FileIoError, Disk> {
  const name = target.nameFor(hostName)
  const decryption = running ?? (yield* decrypting(target, piece))
  const whole = decryption === undefined ? piece : yield* decryption.finish(hostName)
  return yield* publishWhole(target, whole, name)
})

/** Gives a complete part its name. */
export const publishWhole = Effect.fnUntraced(function*(
  target: Target,
  piece: OpenPart.Piece,
  name: FileName.FileName
): Effect.fn.Return<SavedFile, FileIoError.FileIoError, Disk> {
  const fs = yield* FileSystem.FileSystem
  const synced = yield* Effect.result(target.isDurable ? piece.file.sync : Effect.void)
  const published = synced._tag === "Success" ? yield* Effect.result(Publish.publish(target, piece, name)) : synced
  if (published._tag === "Success" && typeof published.success === "string") {
    if (target.parts !== undefined) yield* target.parts.remove
    yield* Publish.syncFolder(target)
    return { path: published.success, bytes: piece.bytes }
  }
  const error = published._tag === "Failure" ? published.failure : undefined
  // The part may be gone with its folder, may be another file, or may not have reached the disk; the open file still has the
  // bytes.
  const there = synced._tag === "Success" && error !== "exchanged"
    ? yield* Effect.option(fs.stat(piece.path))
    : Option.none()
  const lies = Option.isSome(there) && Number(there.value.size) === piece.bytes
    ? [piece.path]
    : yield* Effect.flatMap(
      Rescue.folderFor(target),
      (directory) => OpenPart.gather([piece], directory, name, target.isDurable)
    ).pipe(
      Effect.match({
        onFailure: () => [piece.path],
        onSuccess: (whole) => [whole.path]
      })
    )
  const problem = error === "exchanged" ? Publish.EXCHANGED : error === undefined ? "it failed" : problemOf(error)
  const finalPath = yield* Publish.pathOf(target)
  return yield* destinationFailed("received", finalPath(name, 0), problem, error, {
    parts: lies,
    bytesDone: piece.bytes,
    bytesExpected: piece.bytes
  })
})

/** The written part of a download, and where it continues. */
export class Writing {
  readonly pieces: Array<OpenPart.Piece> = []
  /** Why the destination was abandoned. */
  failure: PlatformError | undefined
  /** The folder that replaced it. */
  directory: string | undefined
  /** Decrypts the part while it arrives. */
  decryption: DecryptPart.Decryption | undefined
  readonly #target: Target
  readonly #path: string
  readonly #name: FileName.FileName
  readonly #size: number | undefined

  constructor(target: Target, path: string, name: FileName.FileName, size: number | undefined) {
    this.#target = target
    this.#path = path
    this.#name = name
    this.#size = size
  }

  get total(): number {
    return this.pieces.reduce((sum, piece) => sum + piece.bytes, 0)
  }

  /**
   * Received bytes are kept, since the host may not send them again, and so is a note, without which the host does not send the
   * rest.
   */
  get isWorthKeeping(): boolean {
    return this.total > 0 || this.#target.parts?.isNoted() === true
  }

  received(): Received {
    return {
      ...(this.total > 0
        ? { parts: this.pieces.filter((piece) => piece.bytes > 0).map((piece) => piece.path) }
        : {}),
      bytesDone: this.total,
      ...(this.#size === undefined ? {} : { bytesExpected: this.#size })
    }
  }

  /** The error of a failed destination, whatever came after it. */
  failed(problem: string, cause: unknown): FileIoError.FileIoError {
    return destinationFailed("begun", this.#path, problem, cause, this.received())
  }

  /** Switches to the fallback folder; fails if there is none. */
  giveWay(error: PlatformError): Effect.Effect<void, FileIoError.FileIoError, Disk> {
    return Effect.suspend(() => {
      if (this.failure !== undefined) return Effect.fail(this.failed(problemOf(this.failure), error))
      this.failure = error
      return Effect.flatMap(Rescue.folderFor(this.#target), (directory) => {
        this.directory = directory
        return OpenPart.create(directory, this.#name)
      }).pipe(
        Effect.map((piece) => {
          this.pieces.push(piece)
        }),
        Effect.mapError(() => this.failed(problemOf(error), error))
      )
    })
  }

  /** Removes what was decrypted, which takes space that the received bytes need; it is decrypted again when all of it is there. */
  #makeRoom(): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const { decryption } = this
      this.decryption = undefined
      return decryption === undefined ? Effect.succeed(false) : Effect.as(decryption.stop, true)
    })
  }

  write(chunk: Uint8Array): Effect.Effect<void, FileIoError.FileIoError, Disk> {
    return Effect.suspend(() => {
      const piece = this.pieces.at(-1)!
      return Effect.matchEffect(piece.file.write(chunk), {
        onFailure: (error) =>
          Effect.flatMap(this.#makeRoom(), (hasRoom) => hasRoom ? Effect.void : this.giveWay(error)).pipe(
            Effect.andThen(this.write(chunk))
          ),
        onSuccess: (count) => {
          piece.bytes += count
          if (count < chunk.length) return this.write(chunk.subarray(count))
          return this.decryption?.grown(this.#size) ?? Effect.void
        }
      })
    })
  }
}

/** Opens the part, or a file in the fallback folder if the destination is known to have no space and the fallback has. */
const open = Effect.fnUntraced(function*(
  target: Target,
  writing: Writing,
  download: FileIo.Download,
  name: FileName.FileName
) {
  const { found, parts } = target
  const { freeSpace } = yield* CurrentPlatform
  const paths = yield* Path.Path
  const { offset, size, validator } = download
  if (found !== undefined && offset > 0) {
    yield* found.file.seek(BigInt(offset), "start").pipe(Effect.orDie)
    writing.pieces.push({ path: found.path, file: found.file, bytes: offset })
  } else {
    const free = size === undefined ? undefined : yield* freeSpace(target.folder)
    const elsewhere = size === undefined || free === undefined || free >= size
      ? Option.none()
      : yield* Effect.option(Effect.gen(function*() {
        const directory = yield* Rescue.folderFor(target)
        const room = yield* freeSpace(directory)
        if (room !== undefined && room < size) return yield* Effect.fail("no room" as const)
        return { directory, piece: yield* OpenPart.create(directory, name) }
      }))
    if (Option.isSome(elsewhere)) {
      writing.directory = elsewhere.value.directory
      writing.pieces.push(elsewhere.value.piece)
      return
    }
    const created = yield* Effect.result(OpenPart.create(target.folder, name))
    if (created._tag === "Failure") return yield* writing.giveWay(created.failure)
    writing.pieces.push(created.success)
  }
  if (parts === undefined || validator === undefined || size === undefined) return
  const [piece] = writing.pieces
  const info = yield* Effect.option(piece!.file.stat)
  const inode = Option.isSome(info) ? PartFile.inodeOf(info.value) : undefined
  yield* parts.write({
    part: paths.basename(piece!.path),
    validator,
    size,
    name: download.name,
    ...(inode === undefined ? {} : { inode })
  })
})

/** Receives a running download. */
export const receive = Effect.fnUntraced(function*(
  target: Target,
  download: FileIo.Download
): Effect.fn.Return<SavedFile, FileIoError.FileIoError, Disk> {
  const fs = yield* FileSystem.FileSystem
  const scope = yield* Effect.scope
  const name = target.partNameFor(download.name)
  const path = (yield* Publish.pathOf(target))(target.nameFor(download.name), 0)
  const writing = new Writing(target, path, name, download.size)

  yield* Effect.onExit(
    Effect.gen(function*() {
      yield* open(target, writing, download, name)
      if (writing.directory === undefined) writing.decryption = yield* decrypting(target, writing.pieces[0]!)
      yield* BufferedWrite.run(download.open("reused"), (chunk) => writing.write(chunk), download.size)
    }).pipe(
      Effect.provideService(Scope.Scope, scope),
      Effect.mapError((error) =>
        writing.failure !== undefined && error.reason._tag !== "DestinationFailed"
          ? writing.failed(problemOf(writing.failure), error)
          : withPart(error, writing.isWorthKeeping ? writing.pieces.at(0)?.path : undefined, writing.total)
      )
    ),
    (exit) =>
      exit._tag === "Success" || writing.isWorthKeeping
        ? Effect.void
        : Effect.forEach(writing.pieces, (piece) => Effect.ignore(fs.remove(piece.path)), { discard: true })
  )
  if (writing.directory !== undefined) return yield* Rescue.finish(target, writing, path, name)
  const saved = yield* finish(target, writing.pieces[0]!, download.name, writing.decryption)
  // The host started over, so the earlier part is obsolete.
  if (target.found !== undefined && download.offset === 0) yield* Effect.ignore(fs.remove(target.found.path))
  return saved
})
