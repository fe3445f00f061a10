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
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as FileIo from "../../FileIo.ts"
import { CurrentPlatform } from "../../Platform.ts"
import { PLAIN_CHUNK } from "../encryption/chunks.ts"
import * as Decrypt from "../encryption/decrypt.ts"
import { Fault } from "../encryption/fault.ts"
import * as BufferedWrite from "./bufferedWrite.ts"
import * as DecryptPart from "./decryptPart.ts"
import { destinationFailed, problemOf, type Received, withPart } from "./destinationError.ts"
import * as OpenPart from "./openPart.ts"
import * as PartFile from "./partFile.ts"
import * as Publish from "./publish.ts"
import * as Rescue from "./rescue.ts"
import * as SealedDownload from "./sealedDownload.ts"

/** A complete file under its final name. */
export interface SavedFile {
  readonly path: string
  readonly bytes: number
}

type Disk = FileSystem.FileSystem | Path.Path | Scope.Scope

/** The last steps with a complete part that has the bytes as they arrived: decrypts it if it is encrypted. */
export const finish = Effect.fnUntraced(function*(
  target: Publish.Target,
  piece: OpenPart.Piece,
  hostName: FileName.FileName
): Effect.fn.Return<SavedFile, FileIoError.FileIoError, Disk> {
  const whole = target.secrets === undefined
    ? piece
    : yield* DecryptPart.decrypt(target, target.secrets, piece, hostName)
  return yield* publishWhole(target, whole, target.nameFor(hostName))
})

/** Gives a complete part its name. */
export const publishWhole = Effect.fnUntraced(function*(
  target: Publish.Target,
  piece: OpenPart.Piece,
  name: FileName.FileName
): Effect.fn.Return<SavedFile, FileIoError.FileIoError, Disk> {
  const fs = yield* FileSystem.FileSystem
  const synced = yield* Effect.result(target.isDurable ? piece.file.sync : Effect.void)
  const published = synced._tag === "Success" ? yield* Effect.result(Publish.publish(target, piece, name)) : synced
  if (published._tag === "Success" && typeof published.success === "string") {
    yield* target.parts.remove
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
class Writing {
  readonly pieces: Array<OpenPart.Piece> = []
  /** Why the destination was abandoned. */
  failure: PlatformError | undefined
  /** The folder that replaced it. */
  directory: string | undefined
  readonly #target: Publish.Target
  readonly #path: string
  name: FileName.FileName
  /** Size of all pieces together when the download is complete. */
  size: number | undefined

  constructor(target: Publish.Target, path: string, name: FileName.FileName, size: number | undefined) {
    this.#target = target
    this.#path = path
    this.name = name
    this.size = size
  }

  get total(): number {
    return this.pieces.reduce((sum, piece) => sum + piece.bytes, 0)
  }

  /**
   * Received bytes are kept, since the host may not send them again, and so is a note, without which the host does not send the
   * rest.
   */
  get isWorthKeeping(): boolean {
    return this.total > 0 || this.#target.parts.isNoted()
  }

  received(): Received {
    return {
      ...(this.total > 0
        ? { parts: this.pieces.filter((piece) => piece.bytes > 0).map((piece) => piece.path) }
        : {}),
      bytesDone: this.total,
      ...(this.size === undefined ? {} : { bytesExpected: this.size })
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
        return OpenPart.create(directory, this.name)
      }).pipe(
        Effect.map((piece) => {
          this.pieces.push(piece)
        }),
        Effect.mapError(() => this.failed(problemOf(error), error))
      )
    })
  }

  write(chunk: Uint8Array): Effect.Effect<void, FileIoError.FileIoError, Disk> {
    return Effect.suspend(() => {
      const piece = this.pieces.at(-1)!
      return Effect.matchEffect(piece.file.write(chunk), {
        onFailure: (error) => Effect.andThen(this.giveWay(error), this.write(chunk)),
        onSuccess: (count) => {
          piece.bytes += count
          return count < chunk.length ? this.write(chunk.subarray(count)) : Effect.void
        }
      })
    })
  }
}

/** Writes the note about a part, without which it cannot be resumed; returns whether it names the part. */
const note = Effect.fnUntraced(function*(
  target: Publish.Target,
  piece: OpenPart.Piece,
  download: FileIo.Download,
  size: number | undefined,
  sealed?: SealedDownload.Sealed
) {
  const paths = yield* Path.Path
  const { name, validator } = download
  // No file is empty, so the host has nothing to resume.
  if (validator === undefined || size === undefined || download.size === 0) return false
  const info = yield* Effect.option(piece.file.stat)
  const inode = Option.isSome(info) ? PartFile.inodeOf(info.value) : undefined
  return yield* target.parts.write({
    part: paths.basename(piece.path),
    validator,
    size,
    name,
    ...(sealed?.size === undefined ? {} : { sealed: { start: sealed.unlocked.start, size: sealed.size } }),
    ...(inode === undefined ? {} : { inode })
  })
})

/** Opens the part, or a file in the fallback folder if the destination is known to have no space and the fallback has. */
const open = Effect.fnUntraced(function*(
  target: Publish.Target,
  writing: Writing,
  download: FileIo.Download,
  { offset, sealed, size }: SealedDownload.Source,
  early: OpenPart.Piece | undefined
) {
  const fs = yield* FileSystem.FileSystem
  const { found } = target
  const { freeSpace } = yield* CurrentPlatform
  if (found !== undefined && download.offset > 0) {
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
        return { directory, piece: yield* OpenPart.create(directory, writing.name) }
      }))
    if (Option.isSome(elsewhere)) {
      writing.directory = elsewhere.value.directory
      writing.pieces.push(elsewhere.value.piece)
      return
    }
    const created = yield* Effect.result(OpenPart.create(target.folder, writing.name))
    if (created._tag === "Failure") return yield* writing.giveWay(created.failure)
    writing.pieces.push(created.success)
  }
  const isNoted = yield* note(target, writing.pieces[0]!, download, size, sealed)
  const before = early ?? (found !== undefined && download.offset === 0 ? found : undefined)
  // The bytes of a beginning that was asked for again are on their way.
  const isObsolete = before === early || found?.note.validator === download.validator
  if (isNoted && before !== undefined && before.bytes < Decrypt.MAX_HEADER && isObsolete) {
    yield* Effect.ignore(fs.remove(before.path))
  }
})

/**
 * To read a header may take a second, for a passphrase. The note is there before, with an empty part, so that a process that dies
 * meanwhile can ask for the file again.
 */
const noteEarly = Effect.fnUntraced(function*(target: Publish.Target, download: FileIo.Download) {
  const { size, validator } = download
  if (target.secrets === undefined || target.found !== undefined) return undefined
  if (size === undefined || validator === undefined) return undefined
  const fs = yield* FileSystem.FileSystem
  const part = yield* Effect.option(OpenPart.create(target.folder, target.partNameFor(download.name)))
  if (Option.isNone(part)) return undefined
  const { parts } = target
  yield* note(target, part.value, download, size)
  yield* Effect.addFinalizer(() => parts.isNoted() ? Effect.void : Effect.ignore(fs.remove(part.value.path)))
  return part.value
})

/** Path of the file into which the bytes of a decrypted part are encrypted again. */
const encryptedPartOf = (path: string): string => path.replace(/\.part$/, ".age.part")

/**
 * A chunk is not authentic: replaces what was decrypted by the encrypted bytes, and lets the rest follow. Until all encrypted
 * bytes are there, the note names what was decrypted.
 */
const reseal = Effect.fnUntraced(function*(
  target: Publish.Target,
  writing: Writing,
  download: FileIo.Download,
  sealed: SealedDownload.Sealed
) {
  const fs = yield* FileSystem.FileSystem
  const remove = (pieces: ReadonlyArray<OpenPart.Piece>) =>
    Effect.forEach(pieces, (piece) => Effect.ignore(fs.remove(piece.path)), { discard: true })
  if (writing.total !== sealed.count() * PLAIN_CHUNK) return yield* writing.failed("it failed", writing.failure)
  const plain = writing.pieces.splice(0)
  const [name, size] = [writing.name, writing.size]
  yield* Effect.gen(function*() {
    writing.name = target.partNameFor(download.name)
    writing.size = sealed.size
    // The name follows from that of the decrypted part, so that the leftover of a dead process is found and replaced.
    const encryptedPath = encryptedPartOf(plain.at(-1)!.path)
    yield* Effect.ignore(fs.remove(encryptedPath))
    const created = yield* Effect.result(fs.open(encryptedPath, { flag: "wx+", mode: 0o600 }))
    if (created._tag === "Failure") yield* writing.giveWay(created.failure)
    else writing.pieces.push({ path: encryptedPath, file: created.success, bytes: 0 })
    const bytes = Stream.mapError(SealedDownload.resealed(sealed, plain), (error) => writing.failed("it failed", error))
    yield* BufferedWrite.run(bytes, (chunk) => writing.write(chunk))
    const expected = SealedDownload.offsetOf(sealed.unlocked.start, sealed.count() * PLAIN_CHUNK)
    if (writing.total !== expected) return yield* writing.failed("what was written is shorter now", undefined)
  }).pipe(
    Effect.onError(() =>
      Effect.suspend(() => {
        const encrypted = writing.pieces.splice(0)
        writing.pieces.push(...plain)
        writing.name = name
        writing.size = size
        return remove(encrypted)
      })
    ),
    Effect.mapError(({ reason }) => writing.failed("problem" in reason ? reason.problem : reason._tag, reason))
  )
  const isNoted = writing.directory === undefined && (yield* note(target, writing.pieces[0]!, download, sealed.size))
  // If the note could not be changed, it still names what was decrypted, which then stays until all bytes are there.
  const isHeld = !isNoted && target.parts.isNoted()
  if (!isHeld) yield* remove(plain)
  yield* BufferedWrite.run(sealed.rest, (chunk) => writing.write(chunk))
  if (!isHeld) return
  yield* target.parts.remove
  yield* remove(plain)
})

/** Receives a running download. */
export const receive = Effect.fnUntraced(function*(
  target: Publish.Target,
  download: FileIo.Download
): Effect.fn.Return<SavedFile, FileIoError.FileIoError, Disk> {
  const fs = yield* FileSystem.FileSystem
  const early = yield* noteEarly(target, download)
  const source = yield* SealedDownload.begin(target, download)
  const { content, sealed, size } = source
  const name = sealed === undefined ? target.partNameFor(download.name) : target.nameFor(download.name)
  const path = (yield* Publish.pathOf(target))(target.nameFor(download.name), 0)
  const writing = new Writing(target, path, name, size)
  let { fault } = source
  let authentic = 0

  yield* Effect.gen(function*() {
    yield* open(target, writing, download, source, early)
    yield* SealedDownload.stopFor(target, source, writing.pieces[0]!.path)
    yield* Effect.catchIf(
      BufferedWrite.run(content, (chunk) => writing.write(chunk), size),
      (error) => error instanceof Fault,
      (error) => {
        fault = error
        authentic = writing.total
        return reseal(target, writing, download, sealed!)
      }
    )
  }).pipe(
    Effect.mapError((error) =>
      writing.failure !== undefined && error.reason._tag !== "DestinationFailed"
        ? writing.failed(problemOf(writing.failure), error)
        : withPart(
          error,
          writing.isWorthKeeping ? writing.pieces.at(0)?.path : undefined,
          // The last chunk is written when all of them are authentic; what fails then is the digest of the whole file.
          sealed === undefined || fault !== undefined || writing.total > sealed.count() * PLAIN_CHUNK
            ? writing.total
            : SealedDownload.offsetOf(sealed.unlocked.start, writing.total)
        )
    ),
    Effect.onExit((exit) =>
      exit._tag === "Success" || writing.isWorthKeeping
        ? Effect.void
        : Effect.forEach(writing.pieces, (piece) => Effect.ignore(fs.remove(piece.path)), { discard: true })
    )
  )
  // Without a length, the end of a file looks like a connection that broke.
  const stage = download.size === undefined ? "begun" : "received"
  if (writing.directory !== undefined) {
    const rescued = yield* Effect.flip(Rescue.finish(target, writing, path, writing.name))
    const [encryptedPath, ...more] = writing.pieces.map((piece) => piece.path)
    return yield* fault === undefined || encryptedPath === undefined || more.length > 0
      ? rescued
      : Decrypt.toError(fault, stage, { bytesDone: authentic, encryptedPath })
  }
  const piece = writing.pieces[0]!
  if (fault !== undefined) return yield* DecryptPart.keepFor(target, piece, download.name, fault, authentic, stage)
  const saved = sealed === undefined
    ? yield* finish(target, piece, download.name)
    : yield* publishWhole(target, piece, name)
  // A process may have been killed while it encrypted again; this time no chunk was changed.
  if (sealed !== undefined && target.found !== undefined) yield* Effect.ignore(fs.remove(encryptedPartOf(piece.path)))
  // The host started over, so the earlier part is obsolete.
  if (target.found !== undefined && download.offset === 0) yield* Effect.ignore(fs.remove(target.found.path))
  return saved
})
