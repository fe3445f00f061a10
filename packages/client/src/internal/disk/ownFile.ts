/**
 * Opens files that only this user can have written. In a folder that others can write, such as `/tmp`, a note or a part may be
 * anybody's: a forged file, a link to a file of ours, a pipe that never ends. So each is checked before it is opened, opened
 * without following a link, and checked again by its descriptor, which nobody can exchange.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"

type Info = FileSystem.File.Info

export interface Opened {
  readonly file: FileSystem.File
  readonly info: Info
}

/** Write permission of the group and of all others, and the bit with which only its owner can replace a file in a folder. */
const WRITABLE_BY_OTHERS = 0o022
const STICKY = 0o1000

export const isSame = (a: Info, b: Info): boolean =>
  a.dev === b.dev && Option.isSome(a.ino) && Option.getOrUndefined(b.ino) === a.ino.value

/** Whether somebody else can replace one of our files. `user`: this user, where there are users. */
export const isExposed = (folder: Info, user: number | undefined): boolean => {
  if (user === undefined) return false
  const owner = Option.getOrUndefined(folder.uid)
  const canReplace = (folder.mode & WRITABLE_BY_OTHERS) !== 0 && (folder.mode & STICKY) === 0
  // The owner of a folder can replace its files, whatever its bits say.
  return canReplace || (owner !== user && owner !== 0)
}

/** Why a file may be somebody else's. */
const distrust = (info: Info, user: number | undefined, maxLinks: bigint): string | undefined =>
  info.type !== "File"
    ? "it is no regular file"
    : user !== undefined && Option.getOrUndefined(info.uid) !== user
    ? "it belongs to another user"
    : user !== undefined && (info.mode & WRITABLE_BY_OTHERS) !== 0
    ? "others can write it"
    : Option.getOrElse(info.nlink, () => 1n) > maxLinks
    ? "it has another hard link"
    : undefined

/**
 * Opens a file of ours for reading and writing; returns a reason if it may be somebody else's, `undefined` if it does not
 * exist.
 */
export const open = Effect.fnUntraced(function*(
  path: string,
  user: number | undefined,
  maxLinks = 1n
): Effect.fn.Return<Opened | string | undefined, never, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const before = yield* Effect.option(fs.lstat(path))
  if (Option.isNone(before)) return undefined
  const seen = distrust(before.value, user, maxLinks)
  if (seen !== undefined) return seen
  // For reading and writing, even if it is only read: to open a pipe for reading alone waits for a writer.
  const opened = yield* Effect.result(fs.open(path, { flag: "r+", noFollow: user !== undefined }))
  if (Result.isFailure(opened)) return "it cannot be opened"
  const info = yield* Effect.option(opened.success.stat)
  if (Option.isNone(info)) return "it cannot be looked at"
  const wrong = distrust(info.value, user, maxLinks)
  if (wrong !== undefined) return wrong
  return isSame(before.value, info.value) || Option.isNone(info.value.ino)
    ? { file: opened.success, info: info.value }
    : "it was replaced while it was opened"
})
