import * as FileName from "@effect-fileio/core/FileName"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { CurrentPartOwner } from "../PartOwner.ts"
import type { Sha256 } from "../Sha256.ts"

/** What lies beside a part, so that the download can go on from it. It names neither the file's key nor the account's. */
const Note = Schema.fromJsonString(Schema.Struct({
  version: Schema.Literal(1),
  /** The part's file name, which is hidden, so it is no `FileName`. */
  part: Schema.String.check(Schema.isPattern(/^\.[^/\\:]{1,240}\.part$/)),
  /** The `ETag` by which the host knows the download again. */
  validator: Schema.String.check(Schema.isPattern(/^"[^"]*"$/)),
  /** Size of the whole file. */
  size: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  /** Name of the whole file. */
  name: FileName.FileName,
  /** The process that writes the part. */
  owner: Schema.String
}))

export type Note = typeof Note.Type

const decodeNote = Schema.decodeUnknownOption(Note)
const encodeNote = Schema.encodeSync(Note)

/** A part of an earlier download, now ours. */
export interface Found {
  readonly note: Note
  readonly path: string
  readonly bytes: number
  /** Where the whole file lies already: the process died after it had given the part its name, before it tidied up. */
  readonly published: string | undefined
}

/** The parts that fibers of this process are writing. */
const active = new Set<string>()

export const randomId = Effect.map(
  Effect.all([Random.nextIntBetween(0, 2 ** 31 - 1), Random.nextIntBetween(0, 2 ** 31 - 1)]),
  ([a, b]) => (a * 2 ** 20 + (b % 2 ** 20)).toString(36).padStart(10, "0").slice(-10)
)

/** A name for a part: the file's own first, so that a person recognizes it; at most 255 bytes. */
export const partName = Effect.fnUntraced(function*(name: string) {
  const stem = [...name].slice(0, 50).join("").replace(/[\s.]+$/u, "")
  return `.${stem}.${yield* randomId}.part`
})

/** The note about the download of one key into one folder. A link is a secret, so its name tells only a digest. */
export const make = Effect.fnUntraced(function*(folder: string, key: string, sha256: Sha256) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const owner = yield* CurrentPartOwner
  const hasher = sha256.make()
  hasher.update(new TextEncoder().encode(`effect-fileio download ${key}`))
  const path = paths.join(folder, `.fileio-${hasher.digest().slice(0, 32)}.json`)
  let isOurs = false

  const put = Effect.fnUntraced(function*(note: Omit<Note, "owner" | "version">, replace: boolean) {
    const temporary = `${path}.${yield* randomId}`
    yield* fs.writeFileString(temporary, encodeNote({ version: 1, ...note, owner: owner.self }), {
      flag: "wx",
      mode: 0o600
    })
    yield* (replace ? fs.rename(temporary, path) : Effect.andThen(fs.link(temporary, path), fs.remove(temporary))).pipe(
      Effect.onError(() => Effect.ignore(fs.remove(temporary)))
    )
  })

  /** Writes the note, unless another process has one there. Without it the download only cannot be resumed. */
  const write = (note: Omit<Note, "owner" | "version">): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (!isOurs && active.has(path)) return Effect.void
      const wasOurs = isOurs
      // Before the note is there, so that no other fiber takes it for one that was left behind.
      active.add(path)
      return Effect.match(put(note, wasOurs), {
        onFailure: () => {
          if (!wasOurs) active.delete(path)
        },
        onSuccess: () => {
          isOurs = true
        }
      })
    }).pipe(Effect.uninterruptible)

  const remove: Effect.Effect<void> = Effect.suspend(() => isOurs ? Effect.ignore(fs.remove(path)) : Effect.void)

  /** To be run when the download has ended, in whatever way. */
  const release: Effect.Effect<void> = Effect.sync(() => {
    if (isOurs) active.delete(path)
    isOurs = false
  })

  const isSame = Effect.fnUntraced(function*(a: FileSystem.File.Info, candidate: string) {
    const info = yield* Effect.option(fs.lstat(candidate))
    return Option.isSome(info) && a.dev === info.value.dev && Option.isSome(a.ino) &&
      Option.getOrUndefined(info.value.ino) === a.ino.value
  })

  /** The part of an earlier download of this key, if there is one that nobody writes; it is ours then. */
  const take = Effect.fnUntraced(function*(
    namesOf: (note: Note) => ReadonlyArray<string>
  ): Effect.fn.Return<Found | undefined, PlatformError> {
    if (active.has(path)) return undefined
    const text = yield* Effect.option(fs.readFileString(path))
    const noted = yield* Effect.option(fs.stat(path))
    if (Option.isNone(text) || Option.isNone(noted)) return undefined
    const note = decodeNote(text.value)
    const partPath = Option.isSome(note) ? paths.join(folder, note.value.part) : undefined
    const info = partPath === undefined ? Option.none() : yield* Effect.option(fs.lstat(partPath))
    if (Option.isSome(note) && Option.isSome(info)) {
      const lastWrite = Option.match(info.value.mtime, { onNone: () => 0, onSome: Number })
      const fate = note.value.owner === owner.self && owner.self !== "somebody"
        ? "gone"
        : yield* owner.fate(note.value.owner, lastWrite)
      if (fate === "running") return undefined
      if (active.has(path)) return undefined
      // Of several processes that see the same note, one can rename it.
      const claimed = `${path}.${yield* randomId}`
      if ((yield* Effect.result(fs.rename(path, claimed)))._tag === "Failure") return undefined
      const bytes = Number(info.value.size)
      const isFit = fate === "gone" && info.value.type === "File" && bytes <= note.value.size
      if (isFit) yield* write(note.value)
      yield* Effect.ignore(fs.remove(claimed))
      if (!isFit || !isOurs) return undefined
      let published: string | undefined
      if (bytes === note.value.size && Option.getOrElse(info.value.nlink, () => 1n) > 1n) {
        for (const candidate of namesOf(note.value)) {
          if (yield* isSame(info.value, candidate)) published = candidate
        }
      }
      return { note: note.value, path: partPath!, bytes, published }
    }
    // The note says nothing of use: it is torn, or its part is gone.
    yield* Effect.ignore(fs.remove(path))
    return undefined
  })

  return {
    take: (namesOf: Parameters<typeof take>[0]) => Effect.uninterruptible(take(namesOf)),
    write,
    remove,
    release,
    isNoted: () => isOurs
  }
})

export type Parts = Effect.Success<ReturnType<typeof make>>
