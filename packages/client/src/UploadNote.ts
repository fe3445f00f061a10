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
  /** Whether there is an unfinished upload of this file with the same settings, or one of an earlier version of the file. */
  readonly state: "none" | "unfinished" | "changed"
  /** Value of the option `resumption` of `FileIo.upload`. */
  readonly resumption: Resumption
  /** Removes the note; call it when the upload has succeeded. */
  readonly remove: Effect.Effect<void>
}

const Stored = Schema.fromJsonString(Schema.Struct({
  version: Schema.Literal(1),
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
type Identity = Omit<typeof Stored.Type, "version" | "address">

/** The longest note, in bytes. */
const MAX_BYTES = 64 * 1024

const SETTINGS = ["expires", "maxDownloads", "autoDelete", "title", "countFrom"] as const

/** Reads a note of ours; `undefined` if others can have written it. */
const read = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<typeof Stored.Type | undefined, never, FileSystem.FileSystem | Scope.Scope> {
  const { userId } = yield* CurrentPlatform
  const opened = yield* OwnFile.open(path, userId)
  if (opened === undefined || typeof opened === "string" || opened.info.size > MAX_BYTES) return undefined
  const bytes = yield* Effect.option(opened.file.readAlloc(MAX_BYTES))
  return Option.getOrUndefined(
    Option.flatMap(Option.flatten(bytes), (found) => decode(new TextDecoder().decode(found)))
  )
})

/**
 * Opens the note of a body that is a file on the disk. `undefined` if the body is no such file, or cannot be opened at an
 * offset. `target` distinguishes uploads of one file to different destinations, such as the address of the host.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fnUntraced(function*(
  folder: string,
  body: FileBody.FileBody,
  settings: FileSettings.Input,
  target: string
): Effect.fn.Return<Note | undefined, never, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const { sha256 } = yield* CurrentPlatform
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
  const found = yield* Effect.scoped(read(file))
  const isSame = found !== undefined && found.size === size && found.mtime === identity.mtime &&
    found.path === identity.path
  const save = (address: string) =>
    Effect.gen(function*() {
      yield* makeFolder(folder, { mode: 0o700 }).pipe(
        Effect.provideService(FileSystem.FileSystem, fs),
        Effect.provideService(Path.Path, paths)
      )
      const next = `${file}.new`
      yield* Effect.ignore(fs.remove(next))
      // Created exclusively: an existing file or link would be somebody else's.
      yield* fs.writeFileString(next, encode({ version: 1, ...identity, address }), { flag: "wx", mode: 0o600 })
      yield* fs.rename(next, file)
    }).pipe(
      Effect.catch((error) =>
        Effect.logWarning(`no note of the upload can be kept in ${folder}: only this process can continue it`, error)
      )
    )
  return {
    state: found === undefined ? "none" : isSame ? "unfinished" : "changed",
    resumption: { ...(isSame ? { address: found.address } : {}), save },
    remove: Effect.ignore(fs.remove(file))
  }
})
