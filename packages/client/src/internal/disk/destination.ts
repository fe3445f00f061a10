/**
 * Chooses where a download goes on the disk. A request uses up the copy, so everything that can be checked before is checked
 * here: folder, name, free space, and the part of an earlier download. `receive` writes the download.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileLink } from "@effect-fileio/core/FileKey"
import * as FileName from "@effect-fileio/core/FileName"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as FileIo from "../../FileIo.ts"
import type { DownloadFileOptions, Target } from "../../FileTransferModels.ts"
import { CurrentPlatform, makeFolder } from "../../Platform.ts"
import { invalid } from "../calls/shared.ts"
import * as Decrypt from "../encryption/decrypt.ts"
import type { Secrets } from "../encryption/header.ts"
import { toError } from "../request/retry.ts"
import { Failure, type Stage, wrongDigest } from "../shared/failure.ts"
import * as Paths from "../shared/paths.ts"
import { destinationFailed, local, problemOf, TAKEN } from "./destinationError.ts"
import * as OpenPart from "./openPart.ts"
import * as PartFile from "./partFile.ts"
import * as Publish from "./publish.ts"
import * as Receive from "./receive.ts"
import * as SealedDownload from "./sealedDownload.ts"

/** A checked destination for a download. */
export interface Destination {
  /** The part of an earlier download to resume. */
  readonly resume: FileIo.Resume | undefined
  /** The complete file, if an earlier download had all bytes and died before it gave them their name. */
  readonly finished: Effect.Effect<Receive.SavedFile, FileIoError.FileIoError, Disk> | undefined
  readonly receive: (download: FileIo.Download) => Effect.Effect<Receive.SavedFile, FileIoError.FileIoError, Disk>
  /** Adds the path of the part to an error of a request for the rest. */
  readonly explain: (error: FileIoError.FileIoError) => Effect.Effect<never, FileIoError.FileIoError>
}

type Disk = FileSystem.FileSystem | Path.Path | Scope.Scope

/** Checks that a folder exists and is writable. */
const folderAt = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const info = yield* Effect.mapError(fs.stat(path), local(path))
  if (info.type !== "Directory") return yield* destinationFailed("local", path, "it is not a folder")
  yield* Effect.mapError(fs.access(path, { writable: true }), local(path))
  return info
})

/** The most links to follow, as in systems. */
const MAX_LINKS = 40
/** Permission of all others to write. */
const WRITABLE_BY_ALL = 0o002

/**
 * Resolves a path that the caller wants to overwrite: to the file at the end of its links, whether or not it exists. In a
 * folder that everybody can write, another user's link is not followed, as in Linux.
 */
const followed = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<string, FileIoError.FileIoError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const { userId } = yield* CurrentPlatform
  let at = path
  for (let links = 0; links < MAX_LINKS; links++) {
    const info = Option.getOrUndefined(yield* Effect.option(fs.lstat(at)))
    if (info?.type !== "SymbolicLink") return at
    const folder = yield* folderAt(paths.dirname(at))
    const owner = Option.getOrUndefined(info.uid)
    if (userId !== undefined && (folder.mode & WRITABLE_BY_ALL) !== 0 && owner !== userId && owner !== 0) {
      return yield* destinationFailed("local", at, "it is a link of another user in a folder that everybody can write")
    }
    at = paths.resolve(paths.dirname(at), yield* Effect.mapError(fs.readLink(at), local(at)))
  }
  return yield* destinationFailed("local", path, "it is a link in a loop")
})

/** The folders in which the part of a target can be: that of a link, and that of the link's target. */
export const foldersOf = Effect.fnUntraced(function*(target: Target) {
  const paths = yield* Path.Path
  if ("directory" in target) return [paths.resolve(target.directory)]
  const path = paths.resolve(target.path)
  const end = yield* Effect.orElseSucceed(followed(path), () => path)
  return [...new Set([paths.dirname(path), paths.dirname(end)])]
})

const SPECIAL = "it is no regular file but a device or a pipe; write the stream of FileIo.download to it"

const publishOptionsOf = Effect.fnUntraced(function*(
  target: Target,
  options: DownloadFileOptions | undefined
): Effect.fn.Return<Publish.PublishOptions, FileIoError.FileIoError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const given = "path" in target ? paths.resolve(target.path) : undefined
  const collision = options?.onCollision ?? (given === undefined ? "number" : "fail")
  const isDurable = options?.durable !== false
  const place = "directory" in target ? paths.resolve(target.directory) : paths.dirname(given!)
  // A file in a folder that a power failure takes away would be lost, so each new one is synced to its parent.
  const onMade = (folder: string) => Publish.syncFolder({ folder, isDurable })
  yield* Effect.mapError(makeFolder(place, { onMade }), local(place))
  const wanted = given !== undefined && collision === "overwrite" ? yield* followed(given) : given
  const folder = "directory" in target ? paths.resolve(target.directory) : paths.dirname(wanted!)
  const folderInfo = yield* folderAt(folder)
  if (wanted !== undefined) {
    const there = Option.getOrUndefined(yield* Effect.option(fs.stat(wanted)))
    if (there !== undefined && Publish.isSpecial(there.type)) return yield* destinationFailed("local", wanted, SPECIAL)
    // Does not follow links: a dangling link also takes the name.
    const taken = Option.getOrUndefined(yield* Effect.option(fs.lstat(wanted)))
    if (taken?.type === "Directory") {
      return yield* destinationFailed("local", wanted, "it is a folder; give it as the directory, or name a file in it")
    }
    if (taken !== undefined && collision === "fail") return yield* destinationFailed("local", wanted, TAKEN)
  }
  return { folder, folderInfo, wanted, collision, isDurable }
})

const assertRoom = Effect.fnUntraced(function*(folder: string, path: string, needed: number) {
  const free = yield* (yield* CurrentPlatform).freeSpace(folder)
  if (free === undefined || free >= needed) return
  const counts = [needed, free].map((bytes) => bytes.toLocaleString("en-US"))
  const problem = `the file needs ${counts[0]} bytes, and the disk has ${counts[1]} left`
  return yield* destinationFailed("local", path, problem)
})

const SHAPE = "allowed: { directory } or { path }, as text"

/** Checks where a caller without types wants a download to go. */
export const checkTarget = (target: unknown): Effect.Effect<void, FileIoError.FileIoError> => {
  const { directory, path } = (typeof target === "object" && target !== null ? target : {}) as Record<string, unknown>
  return directory !== undefined && path !== undefined
    ? Effect.fail(invalid("download", "target", SHAPE))
    : checkPath("target", directory ?? path, SHAPE)
}

const checkPath = (field: string, path: unknown, allowed?: string): Effect.Effect<void, FileIoError.FileIoError> => {
  const problem = Paths.problemOf(path, allowed)
  return problem === undefined ? Effect.void : Effect.fail(invalid("download", field, problem))
}

/** Checks everything that can be checked before the request. */
export const prepare = Effect.fnUntraced(function*(
  target: Target,
  link: FileLink,
  options: DownloadFileOptions | undefined,
  secrets: Secrets | undefined
): Effect.fn.Return<Destination, FileIoError.FileIoError, Disk> {
  const paths = yield* Path.Path
  yield* checkTarget(target)
  const publishing = yield* publishOptionsOf(target, options)
  const { folder, wanted } = publishing
  if (options?.fallbackDirectory !== undefined) yield* checkPath("fallbackDirectory", options.fallbackDirectory)
  const fallback = options?.fallbackDirectory === undefined ? undefined : paths.resolve(options.fallbackDirectory)
  // It is not made: one that is not there may be a disk that is not mounted.
  if (fallback !== undefined) yield* folderAt(fallback)
  const nameFor = (name: FileName.FileName) =>
    wanted !== undefined
      ? FileName.sanitize(paths.basename(wanted))
      : secrets === undefined
      ? name
      : Decrypt.nameOf(link, name)
  const partNameFor = (name: FileName.FileName) =>
    secrets === undefined ? nameFor(name) : FileName.sanitize(`${nameFor(name)}.age`)

  const parts = yield* PartFile.make(folder, publishing.folderInfo, link.key)
  yield* Effect.addFinalizer(() => parts.release)
  const finalPath = yield* Publish.pathOf(publishing)
  const found = options?.resume === false
    ? undefined
    : yield* Effect.orElseSucceed(
      parts.claim((note) => Array.from({ length: 20 }, (_, n) => finalPath(nameFor(note.name), n))),
      () => undefined
    )
  if (options?.size !== undefined) {
    yield* assertRoom(folder, wanted ?? folder, options.size - (found?.bytes ?? 0))
  }

  const digest = (options?.sha256 ?? link.sha256)?.toLowerCase()
  const unlocked = found === undefined ? undefined : yield* unlock(found, secrets)
  const full: Publish.Target = {
    ...publishing,
    parts,
    found: found && { ...found, unlocked },
    fallback,
    nameFor,
    partNameFor,
    secrets,
    digest
  }
  const receive: Destination["receive"] = (download) => Receive.receive(full, download)
  return found === undefined
    ? { resume: undefined, finished: undefined, receive, explain: Effect.fail }
    : { receive, ...goingOn(full, parts, found) }
})

/** The key of a part that was decrypted on its way to the disk. */
const unlock = Effect.fnUntraced(function*(
  { bytes, note: { sealed }, path }: PartFile.ResumablePart,
  secrets: Secrets | undefined
) {
  if (sealed === undefined) return undefined
  if (secrets === undefined) {
    const problem = "it has the decrypted part of the file; give the file's secret to continue, or remove the part"
    return yield* destinationFailed("local", path, problem)
  }
  return yield* Effect.mapError(
    Decrypt.unlock(sealed.start, secrets),
    (fault) => Decrypt.toError(fault, "begun", { bytesDone: bytes, partPath: path })
  )
})

/** How to resume from an existing part. */
const goingOn = (
  target: Publish.Target,
  parts: PartFile.Parts,
  found: PartFile.ResumablePart
): Omit<Destination, "receive"> => {
  const { bytes, file, note, path } = found
  // The digest of an encrypted file is that of its plaintext.
  const digest = target.secrets === undefined || note.sealed !== undefined ? target.digest : undefined
  const content: Stream.Stream<Uint8Array, FileIoError.FileIoError> = Stream.mapError(
    OpenPart.reading(file, bytes),
    (error) => destinationFailed("local", path, problemOf(error), error)
  )
  const explained = (stage: Stage, problem: string, cause?: FileIoError.Reason) =>
    toError(
      "download",
      new Failure(
        stage,
        new FileIoError.TransferInterrupted({
          bytesDone: bytes,
          bytesExpected: note.size,
          partPath: path,
          resumable: false,
          problem,
          ...(cause === undefined ? {} : { cause })
        })
      )
    )
  const finished = Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const paths = yield* Path.Path
    const { encryptedPart } = note
    if (encryptedPart !== undefined) yield* Effect.ignore(fs.remove(paths.join(target.folder, encryptedPart)))
    if (found.published !== undefined) {
      yield* Effect.ignore(fs.remove(path))
      yield* parts.remove
      return { path: found.published, bytes }
    }
    if (digest !== undefined) {
      const hasher = (yield* CurrentPlatform).sha256()
      yield* Stream.runForEach(content, (chunk) => Effect.sync(() => hasher.update(chunk)))
      if (hasher.digest() !== digest) {
        yield* parts.remove
        return yield* toError("download", wrongDigest({ bytesDone: bytes, bytesExpected: note.size, partPath: path }))
      }
    }
    const piece = { path, file, bytes }
    return encryptedPart === undefined && note.sealed === undefined
      ? yield* Receive.finish(target, piece, note.name)
      : yield* Receive.publishWhole(target, piece, target.nameFor(note.name))
  })
  // No bytes are a whole file only if an authentic end said so: the size alone is the host's.
  const isComplete = bytes >= note.size && (bytes > 0 || note.encryptedPart !== undefined)
  const offset = note.sealed !== undefined
    ? SealedDownload.offsetOf(note.sealed.start, bytes)
    // Of so little, the header may be missing, without which it could not be decrypted as it arrives.
    : target.secrets !== undefined && bytes < Decrypt.MAX_HEADER
    ? 0
    : bytes
  return {
    resume: {
      offset,
      validator: note.validator,
      size: note.sealed?.size ?? note.size,
      content: digest === undefined || target.secrets !== undefined ? undefined : content
    },
    finished: isComplete ? finished : undefined,
    explain: (error) => {
      const { reason } = error
      const why = reason._tag === "FileNotFound"
        ? explained("received", "the host does not have the rest any more", reason)
        : reason._tag === "UnexpectedResponse"
        ? explained("begun", `the host does not send the rest: ${reason.problem}`, reason)
        : undefined
      return why === undefined ? Effect.fail(error) : Effect.andThen(parts.remove, Effect.fail(why))
    }
  }
}
