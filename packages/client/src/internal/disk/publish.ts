/** Gives a complete part its name. */
import * as FileName from "@effect-fileio/core/FileName"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { type PlatformError, systemError } from "effect/PlatformError"
import * as Schedule from "effect/Schedule"
import type { Collision } from "../../FileTransferModels.ts"
import { CurrentPlatform } from "../../Platform.ts"
import type { Unlocked } from "../encryption/decrypt.ts"
import type { Secrets } from "../encryption/header.ts"
import * as SystemError from "../shared/systemError.ts"
import type { Piece } from "./openPart.ts"
import * as OwnFile from "./ownFile.ts"
import type * as PartFile from "./partFile.ts"

/** Where a complete part gets its name, and how. */
export interface PublishOptions {
  readonly folder: string
  readonly folderInfo: FileSystem.File.Info
  /** The caller's path, if it was no folder. */
  readonly wanted: string | undefined
  readonly collision: Collision
  readonly isDurable: boolean
}

/** The destination of one download. */
export interface Target extends PublishOptions {
  readonly parts: PartFile.Parts
  /** The part of an earlier download to resume; with its key, if the part is decrypted. */
  readonly found: PartFile.ResumablePart & { readonly unlocked?: Unlocked | undefined } | undefined
  /** The caller's folder for the rest if the destination fails. */
  readonly fallback: string | undefined
  /** The local name of a file with this name on the host. */
  readonly nameFor: (name: FileName.FileName) => FileName.FileName
  /** The name for its part: of an encrypted file, with `.age` appended. */
  readonly partNameFor: (name: FileName.FileName) => FileName.FileName
  /** Decrypts the file, if it is encrypted. */
  readonly secrets: Secrets | undefined
  /** Expected digest of a decrypted file; for others, the stream is checked. */
  readonly digest: string | undefined
}

/** The path of a file with this name, or of the n-th one. */
export const pathOf = Effect.fnUntraced(function*({ folder, wanted }: PublishOptions) {
  const paths = yield* Path.Path
  return (name: FileName.FileName, n: number): string =>
    wanted !== undefined && n === 0 ? wanted : paths.join(folder, FileName.numbered(name, n))
})

/** Whether a path is a device or a pipe, which passes bytes on. */
export const isSpecial = (type: FileSystem.File.Type): boolean =>
  type === "BlockDevice" || type === "CharacterDevice" || type === "FIFO" || type === "Socket"

const taken = (path: string): PlatformError =>
  systemError({ module: "FileSystem", method: "link", _tag: "AlreadyExists", pathOrDescriptor: path })

/** What Windows responds while a virus scanner or an indexer reads the file. */
const BUSY: ReadonlySet<unknown> = new Set(["EACCES", "EBUSY", "EPERM"])

/**
 * Where there are no users, which is Windows, tries again for two seconds to rename or remove a file that another program
 * reads.
 */
const patiently = Effect.fnUntraced(function*<A>(change: Effect.Effect<A, PlatformError>) {
  const { userId } = yield* CurrentPlatform
  if (userId !== undefined) return yield* change
  return yield* Effect.retry(change, {
    schedule: Schedule.spaced("100 millis"),
    times: 20,
    while: (error) => BUSY.has(SystemError.find(error.reason.cause)?.code)
  })
})

const move = Effect.fnUntraced(function*(part: string, path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.matchEffect(fs.link(part, path), {
    onSuccess: () => Effect.ignore(patiently(fs.remove(part))),
    onFailure: (error) =>
      error.reason._tag === "AlreadyExists" || error.reason._tag === "NotFound"
        ? Effect.fail(error)
        // Not every file system has hard links. Without them, a check before the rename has to do: to claim the name with an
        // empty file would break the promise that a name never holds less than the whole file.
        : Effect.flatMap(
          Effect.option(fs.lstat(path)),
          (there) => there._tag === "Some" ? Effect.fail(taken(path)) : patiently(fs.rename(part, path))
        )
  })
})

/** Permissions without the set-user-ID and set-group-ID bits. */
const PERMISSIONS = 0o777

/**
 * Gives the part the permissions of the file that it replaces, or those of a new file, and then its name. A link fails if the
 * name is taken; a rename would overwrite it.
 */
const named = Effect.fnUntraced(function*(options: PublishOptions, piece: Piece, name: FileName.FileName) {
  const fs = yield* FileSystem.FileSystem
  const { setMode } = yield* CurrentPlatform
  const finalPath = yield* pathOf(options)
  const there = options.collision === "overwrite"
    ? Option.getOrUndefined(yield* Effect.option(fs.lstat(finalPath(name, 0))))
    : undefined
  // On a file system without permissions, the download still has to get its name.
  yield* Effect.ignore(setMode(piece.file, there?.type === "File" ? there.mode & PERMISSIONS : undefined))
  // A name from the host never replaces a folder, a device or a pipe: the file gets a number.
  const isKept = there !== undefined && (there.type === "Directory" || isSpecial(there.type))
  if (options.collision === "overwrite" && !isKept) {
    yield* patiently(fs.rename(piece.path, finalPath(name, 0)))
    return finalPath(name, 0)
  }
  for (let n = 0;; n++) {
    const moved = yield* Effect.result(move(piece.path, finalPath(name, n)))
    if (moved._tag === "Success") return finalPath(name, n)
    if (moved.failure.reason._tag !== "AlreadyExists" || options.collision === "fail") return yield* moved.failure
  }
})

/** The named file is not the written one: somebody replaced the part. */
export const EXCHANGED = "somebody else replaced the part by another file"

/**
 * Gives a part its name, by its path. In a folder whose files others can replace, checks that the name is the written file.
 * Elsewhere only this user can have overwritten it since, as overwriting allows.
 */
export const publish = Effect.fnUntraced(function*(options: PublishOptions, piece: Piece, name: FileName.FileName) {
  const fs = yield* FileSystem.FileSystem
  const { userId } = yield* CurrentPlatform
  const path = yield* named(options, piece, name)
  if (!OwnFile.isExposed(options.folderInfo, userId)) return path
  const written = yield* Effect.option(piece.file.stat)
  const there = yield* Effect.option(fs.lstat(path))
  const isOther = written._tag === "Some" && written.value.ino._tag === "Some" && there._tag === "Some" &&
    !OwnFile.isSame(written.value, there.value)
  return isOther ? yield* Effect.fail("exchanged" as const) : path
})

type Named = Pick<PublishOptions, "folder" | "isDurable">

/** Syncs the folder so that the new name survives too; some systems cannot open a folder. */
export const syncFolder = Effect.fnUntraced(function*({ folder, isDurable }: Named) {
  if (!isDurable) return
  const fs = yield* FileSystem.FileSystem
  yield* Effect.ignore(Effect.scoped(Effect.flatMap(fs.open(folder, { flag: "r" }), (file) => file.sync)))
})
