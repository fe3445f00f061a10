/**
 * The part of a broken download, and the note beside it from which a later call resumes: it names the part, the `ETag` that
 * identifies the download to the host, and the writer. `destination` writes notes and looks for leftovers.
 */
import * as FileName from "@effect-fileio/core/FileName"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { PendingDownload } from "../../FileTransferModels.ts"
import { CurrentPlatform, portable, type ProcessState } from "../../Platform.ts"
import { isStrong } from "../request/downloadStream.ts"
import * as OwnFile from "./ownFile.ts"

const PART = Schema.String.check(Schema.isPattern(/^\.[^/\\:]{1,240}\.part$/))

/** Content of a note. It contains neither the file's key nor the account's, nor the secret of an encrypted file. */
const Note = Schema.fromJsonString(Schema.Struct({
  version: Schema.Literal(2),
  /** Identifies the file by a digest of the key, so that a renamed note is not taken for another file's. */
  file: Schema.String,
  /** The part's file name, which is hidden, so it is no `FileName`. */
  part: PART,
  /** The part's number in its file system, if it has one. */
  inode: Schema.optionalKey(Schema.String),
  /** The `ETag` that identifies the download to the host. */
  validator: Schema.String.check(Schema.makeFilter(isStrong)),
  /** Of a file that is decrypted on its way to the part: the bytes before its payload, and the size of the encrypted file. */
  sealed: Schema.optionalKey(Schema.Struct({
    start: Schema.Uint8ArrayFromBase64.check(Schema.isMinLength(1)),
    size: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
  })),
  /** Size of the part when it is complete. */
  size: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  /** Name of the whole file. */
  name: FileName.FileName,
  /** The encrypted part of an encrypted file whose part is decrypted already, if it still exists. */
  encryptedPart: Schema.optionalKey(PART),
  /** The writer of the part. */
  owner: Schema.String
}))

type Note = typeof Note.Type

const decodeNote = Schema.decodeUnknownOption(Note)
const encodeNote = Schema.encodeSync(Note)

/** The longest note, in bytes; most have some hundreds, and that of an encrypted file has its header. */
const MAX_NOTE_BYTES = 1536 * 1024

/** A part of an earlier download that this one resumes. */
export interface ResumablePart {
  readonly note: Note
  readonly path: string
  readonly bytes: number
  /** The part, open for reading and writing. */
  readonly file: FileSystem.File
  /** Path of the complete file: the process died after it had given the part its name, before it removed the part. */
  readonly published: string | undefined
}

/** The notes of running downloads of this thread. */
const active = new Set<string>()

const randomId = Effect.map(
  Effect.all([Random.nextIntBetween(0, 2 ** 31 - 1), Random.nextIntBetween(0, 2 ** 31 - 1)]),
  ([a, b]) => (a * 2 ** 20 + (b % 2 ** 20)).toString(36).padStart(10, "0").slice(-10)
)

/** A name for a part: starts with the file's own, so that a person recognises it; at most 255 bytes. */
export const partName = Effect.fnUntraced(function*(name: string) {
  const stem = [...name].slice(0, 50).join("").replace(/[\s.]+$/u, "")
  return `.${stem}.${yield* randomId}.part`
})

export const inodeOf = (info: FileSystem.File.Info): string | undefined =>
  Option.getOrUndefined(Option.map(info.ino, String))

type Read = Note | "absent" | "torn" | { readonly untrusted: string }

/** The notes of one folder about one file. A link is a secret, so a note's name contains only a digest of the key. */
const reader = Effect.fnUntraced(function*(folder: string, key: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const { sha256, userId } = yield* CurrentPlatform
  const digestOf = (purpose: string) => {
    const hasher = sha256()
    hasher.update(new TextEncoder().encode(`effect-fileio ${purpose} ${key}`))
    return hasher.digest().slice(0, 32)
  }
  const name = `.fileio-${digestOf("download")}.json`
  const path = paths.join(folder, name)
  const file = digestOf("note")

  /** Removes the second name of a note whose writer died while it renamed the note. */
  const tidy = Effect.gen(function*() {
    const info = yield* fs.lstat(path)
    if (Option.getOrElse(info.nlink, () => 1n) < 2n) return
    for (const other of yield* fs.readDirectory(folder)) {
      if (!other.startsWith(`${name}.`)) continue
      if (OwnFile.isSame(yield* fs.lstat(paths.join(folder, other)), info)) yield* fs.remove(paths.join(folder, other))
    }
  })

  const readAt = Effect.fnUntraced(
    function*(at: string): Effect.fn.Return<Read, never, FileSystem.FileSystem | Scope.Scope> {
      const opened = yield* OwnFile.open(at, userId)
      if (opened === undefined) return "absent"
      if (typeof opened === "string") return { untrusted: opened }
      const bytes = yield* Effect.orElseSucceed(
        opened.file.readAlloc(Math.min(MAX_NOTE_BYTES, Number(opened.info.size))),
        () => Option.none()
      )
      const text = new TextDecoder().decode(Option.getOrElse(bytes, () => new Uint8Array(0)))
      const note = Option.filter(decodeNote(text), (note) => note.file === file)
      return Option.getOrElse(note, () => "torn" as const)
    },
    Effect.scoped
  )

  return { path, file, read: Effect.andThen(Effect.ignore(tidy), readAt(path)), readAt }
})

/** Looks for a part without taking it over. */
export const pending = Effect.fnUntraced(function*(folder: string, key: string) {
  const paths = yield* Path.Path
  const { userId } = yield* CurrentPlatform
  const note = yield* (yield* reader(folder, key)).read
  if (typeof note === "string" || "untrusted" in note) return Option.none<PendingDownload>()
  const path = paths.join(folder, note.part)
  const part = yield* OwnFile.open(path, userId, 2n)
  return typeof part !== "object"
    ? Option.none<PendingDownload>()
    : Option.some<PendingDownload>({ path, bytes: Number(part.info.size), size: note.size })
}, Effect.scoped)

/** The name that a complete part has already. */
const publishedAs = Effect.fnUntraced(function*(info: FileSystem.File.Info, candidates: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  for (const candidate of candidates) {
    const there = yield* Effect.option(fs.lstat(candidate))
    if (Option.isSome(there) && OwnFile.isSame(info, there.value)) return candidate
  }
  return undefined
})

/** Why a download cannot resume from the part that a note names. */
const whyNot = ({ isExposed, note, part, published, writer }: {
  readonly note: Note
  readonly part: OwnFile.Opened | string | undefined
  readonly published: string | undefined
  readonly writer: ProcessState
  readonly isExposed: boolean
}): string | undefined => {
  if (part === undefined) return "its part is gone"
  if (typeof part === "string") return `its part is not trusted, since ${part}`
  const { info } = part
  if (Option.getOrElse(info.nlink, () => 1n) > 1n && published === undefined) {
    return "its part is not trusted, since it has another hard link"
  }
  if (isExposed && note.inode !== inodeOf(info)) return "its part was replaced"
  if (Number(info.size) > note.size) return "its part is larger than the whole file"
  return writer === "rebooted"
    ? "the machine has restarted since, so not all of its part need have reached the disk"
    : undefined
}

/** Says where a note is and why it is unusable; names no file. */
const passOver = (path: string, why: string): Effect.Effect<undefined> =>
  Effect.as(
    Effect.logWarning(
      `${path} cannot be resumed, so the download starts over: ${why}; remove the file if it is yours`
    ),
    undefined
  )

/** The note of one file's download into one folder, for the lifetime of the scope. */
export const make = Effect.fnUntraced(function*(folder: string, folderInfo: FileSystem.File.Info, key: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const { process, userId } = yield* CurrentPlatform
  const { file, path, read, readAt } = yield* reader(folder, key)
  const isExposed = OwnFile.isExposed(folderInfo, userId)
  /** The existing note, if it is ours. */
  let current: Omit<Note, "owner"> | undefined

  const put = Effect.fnUntraced(function*(note: Note, replace: boolean) {
    const temporary = `${path}.${yield* randomId}`
    const give = replace ? fs.rename(temporary, path) : Effect.andThen(fs.link(temporary, path), fs.remove(temporary))
    yield* fs.writeFileString(temporary, encodeNote(note), { flag: "wx", mode: 0o600 }).pipe(
      Effect.andThen(give),
      Effect.onError(() => Effect.ignore(fs.remove(temporary)))
    )
  })

  /**
   * Writes the note, unless somebody else's is there, and returns whether it did; without it, the download only cannot be
   * resumed.
   */
  const write = (given: Omit<Note, "owner" | "version" | "file">): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      const isOurs = current !== undefined
      if (!isOurs && active.has(path)) return Effect.succeed(false)
      const note = { ...given, version: 2, file } as const
      // Before the note exists, so that no other fiber takes it for a leftover.
      active.add(path)
      return Effect.match(put({ ...note, owner: process.self }, isOurs), {
        onFailure: () => {
          if (!isOurs) active.delete(path)
          return false
        },
        onSuccess: () => {
          current = note
          return true
        }
      })
    }).pipe(Effect.uninterruptible)

  /** Changes an existing note; returns whether that succeeded. */
  const update = (change: Partial<Note>): Effect.Effect<boolean> =>
    Effect.suspend(() => current === undefined ? Effect.succeed(false) : write({ ...current, ...change }))

  const remove: Effect.Effect<void> = Effect.suspend(() => {
    if (current === undefined) return Effect.void
    current = undefined
    return Effect.ensuring(
      Effect.ignore(fs.remove(path)),
      Effect.sync(() => {
        active.delete(path)
      })
    )
  })

  /** After the download has ended and left its part: other threads and processes may resume it at once. */
  const release: Effect.Effect<void> = Effect.suspend(() => {
    if (current === undefined) return Effect.void
    const note = { ...current, owner: process.released }
    current = undefined
    return Effect.ensuring(
      Effect.ignore(put(note, true)),
      Effect.sync(() => {
        active.delete(path)
      })
    )
  })

  /** The part of an earlier download of this file, if no process is writing it; no other process can claim it then. */
  const claim = Effect.fnUntraced(function*(
    namesOf: (note: Note) => ReadonlyArray<string>
  ): Effect.fn.Return<ResumablePart | undefined, PlatformError, FileSystem.FileSystem | Scope.Scope> {
    if (active.has(path)) return undefined
    const note = yield* read
    if (note === "absent") return undefined
    if (note === "torn") return yield* Effect.as(Effect.ignore(fs.remove(path)), undefined)
    if ("untrusted" in note) return yield* passOver(path, note.untrusted)
    const partPath = paths.join(folder, note.part)
    const seen = yield* Effect.option(fs.lstat(partPath))
    const lastWrite = Option.match(seen, {
      onNone: () => 0,
      onSome: ({ mtime }) => Option.match(mtime, { onNone: () => 0, onSome: Number })
    })
    // Of this thread's own notes, those without a running fiber (`active`) are leftovers.
    const writer = note.owner === process.self && process.self !== portable.process.self
      ? "exited"
      : yield* process.stateOf(note.owner, lastWrite)
    if (writer === "alive" || active.has(path)) return undefined
    // If several processes see the same note, only one can rename it.
    const claimed = `${path}.${yield* randomId}`
    if ((yield* Effect.result(fs.rename(path, claimed)))._tag === "Failure") return undefined
    const taken = yield* readAt(claimed)
    if (typeof taken === "string" || "untrusted" in taken || taken.owner !== note.owner || taken.part !== note.part) {
      // Another process has claimed it since, and this is the note that it wrote then.
      yield* Effect.ignore(Effect.andThen(fs.link(claimed, path), fs.remove(claimed)))
      return undefined
    }
    const part = yield* OwnFile.open(partPath, userId, 2n)
    const published = typeof part !== "object" || Number(part.info.size) !== note.size
      ? undefined
      : yield* publishedAs(part.info, namesOf(note))
    const problem = whyNot({ note, part, published, writer, isExposed })
    if (problem === undefined) yield* write(note)
    yield* Effect.ignore(fs.remove(claimed))
    if (problem !== undefined) return yield* passOver(path, problem)
    return current === undefined || typeof part !== "object"
      ? undefined
      : { note, path: partPath, bytes: Number(part.info.size), file: part.file, published }
  })

  return {
    claim: (namesOf: Parameters<typeof claim>[0]) => Effect.uninterruptible(claim(namesOf)),
    write,
    update,
    remove,
    release,
    isNoted: () => current !== undefined
  }
})

export type Parts = Effect.Success<ReturnType<typeof make>>
