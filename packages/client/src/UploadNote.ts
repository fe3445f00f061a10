/**
 * Notes of unfinished uploads, with which another process continues an upload whose process was killed.
 *
 * A note is a file of this user, in a folder that you choose. It has the path of the file, its size and modification time, the
 * settings of the upload, and the upload's address on the host: anybody who knows that can continue or cancel the upload, and
 * nothing else. It contains no key and no passphrase.
 *
 * @since 0.1.0
 */
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as FileBody from "./FileBody.ts"
import type { Resumption } from "./FileIo.ts"
import * as OwnFile from "./internal/disk/ownFile.ts"
import { CurrentPlatform, makeFolder } from "./Platform.ts"

/**
 * The note of one file.
 *
 * @category models
 * @since 0.1.0
 */
export interface Note {
  /**
   * Whether there is an unfinished upload of this file with the same settings, one of an earlier version of the file, or one that
   * is still sent elsewhere.
   */
  readonly state: "none" | "unfinished" | "changed" | "running"
  /** Value of the option `resumption` of `FileIo.upload`. */
  readonly resumption: Resumption
  /** Whether a later call can continue this upload: it has an address, and its note could be written. */
  readonly isNoted: () => boolean
  /** Removes the note; call it when the upload has succeeded. */
  readonly remove: Effect.Effect<void>
}

const Stored = Schema.fromJsonString(Schema.Struct({
  version: Schema.Literal(2),
  /** The process that uploads. */
  owner: Schema.String,
  path: Schema.String,
  size: Schema.Finite,
  mtime: Schema.Finite,
  name: Schema.String,
  contentType: Schema.String,
  settings: Schema.String,
  address: Schema.String
}))
const decode = Schema.decodeUnknownOption(Stored)
const encode = Schema.encodeSync(Stored)

/** What must be unchanged to continue an upload. */
type Identity = Omit<typeof Stored.Type, "version" | "owner" | "address">

/** The notes of running uploads of this thread. */
const active = new Set<string>()

interface Found extends Readonly<typeof Stored.Type> {
  /** When it was written, in milliseconds since 1970. */
  readonly written: number
}

/** The longest note, in bytes. */
const MAX_BYTES = 64 * 1024

const SETTINGS = ["expires", "maxDownloads", "autoDelete", "title", "countFrom"] as const

/** Reads a note of ours; `undefined` if others can have written it. */
const read = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<Found | undefined, never, FileSystem.FileSystem | Scope.Scope> {
  const { userId } = yield* CurrentPlatform
  const opened = yield* OwnFile.open(path, userId)
  if (opened === undefined || typeof opened === "string" || opened.info.size > MAX_BYTES) return undefined
  const bytes = yield* Effect.option(opened.file.readAlloc(MAX_BYTES))
  const note = Option.flatMap(Option.flatten(bytes), (found) => decode(new TextDecoder().decode(found)))
  const written = Option.match(opened.info.mtime, { onNone: () => 0, onSome: Number })
  return Option.getOrUndefined(Option.map(note, (note): Found => ({ ...note, written })))
})

/**
 * Opens the note of a body that is a file on the disk. `undefined` if the body is no such file, or cannot be opened at an
 * offset. `target` distinguishes uploads of one file to different destinations, such as the address of the host. An upload that
 * another process still sends is left to it: then the state is `running`, and this upload has no note.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fnUntraced(function*(
  folder: string,
  body: FileBody.FileBody,
  settings: FileSettings.Input,
  target: string
): Effect.fn.Return<Note | undefined, never, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const { process, sha256 } = yield* CurrentPlatform
  const { contentType, name, openAt, path, size } = body
  if (path === undefined || openAt === undefined || size === undefined) return undefined
  const info = yield* Effect.option(fs.stat(path))
  if (Option.isNone(info)) return undefined
  const identity: Identity = {
    path: paths.resolve(path),
    size,
    mtime: Option.match(info.value.mtime, { onNone: () => 0, onSome: Number }),
    name,
    contentType,
    settings: JSON.stringify(SETTINGS.map((field) => settings[field] ?? null))
  }
  const hasher = sha256()
  hasher.update(new TextEncoder().encode(JSON.stringify([target, identity.path, name, contentType, identity.settings])))
  const file = paths.join(folder, `upload-${hasher.digest().slice(0, 32)}.json`)
  const stateOf = (note: Found | undefined): Effect.Effect<"none" | "running" | "left"> =>
    note === undefined
      ? Effect.succeed("none")
      : note.owner === process.self
      ? Effect.succeed(active.has(file) ? "running" : "left")
      : Effect.map(process.stateOf(note.owner, note.written), (state) => state === "alive" ? "running" : "left")
  const readNote = (at: string) => Effect.provideService(Effect.scoped(read(at)), FileSystem.FileSystem, fs)
  const draft = Effect.map(Random.nextIntBetween(0, 2 ** 31 - 1), (number) => `${file}.${number.toString(36)}`)

  /** The address that this upload has noted. */
  let noted: string | undefined
  const write = Effect.fnUntraced(function*(address: string, owner: string) {
    active.add(file)
    yield* makeFolder(folder, { mode: 0o700 }).pipe(
      Effect.provideService(FileSystem.FileSystem, fs),
      Effect.provideService(Path.Path, paths)
    )
    const next = yield* draft
    // Created exclusively: an existing file or link would be somebody else's.
    yield* fs.writeFileString(next, encode({ version: 2, owner, ...identity, address }), { flag: "wx", mode: 0o600 })
    yield* Effect.onError(fs.rename(next, file), () => Effect.ignore(fs.remove(next)))
    noted = address
  }, Effect.onError(() => Effect.sync(() => noted === undefined && active.delete(file))))
  const save = (address: string) =>
    Effect.gen(function*() {
      if (noted === undefined && (active.has(file) || (yield* stateOf(yield* readNote(file))) === "running")) return
      yield* write(address, process.self)
    }).pipe(
      Effect.catch((error) =>
        Effect.logWarning(`no note of the upload can be kept in ${folder}: only this process can continue it`, error)
      )
    )

  /** Takes a note over; if several processes see it, only one can rename it, and reads in it what it has seen. */
  const claim = Effect.fnUntraced(function*(seen: Found) {
    const taken = yield* draft
    yield* fs.rename(file, taken)
    const note = yield* readNote(taken)
    if (note?.owner !== seen.owner || note.address !== seen.address) {
      yield* fs.link(taken, file)
      yield* fs.remove(taken)
      return false
    }
    yield* write(seen.address, process.self)
    yield* fs.remove(taken)
    return true
  }, Effect.uninterruptible)

  const found = yield* readNote(file)
  const isSame = found !== undefined && found.size === size && found.mtime === identity.mtime &&
    found.path === identity.path
  const foundState = yield* stateOf(found)
  const isLeft = foundState === "left"
  const isStale = isLeft && !isSame
  const isOurs = isLeft && isSame && (yield* Effect.orElseSucceed(claim(found), () => false))
  // An upload that ended without its file may be continued by any process.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => noted === undefined ? Effect.void : Effect.ignore(write(noted, process.released))).pipe(
      Effect.ensuring(Effect.sync(() => {
        if (noted !== undefined) active.delete(file)
      }))
    )
  )
  return {
    state: isOurs ? "unfinished" : isStale ? "changed" : foundState === "running" ? foundState : "none",
    resumption: { ...(isOurs ? { address: found!.address } : {}), save },
    isNoted: () => noted !== undefined,
    remove: Effect.suspend(() => {
      if (noted === undefined && !isStale) return Effect.void
      noted = undefined
      active.delete(file)
      return Effect.ignore(fs.remove(file))
    })
  }
})
