/** Archives a folder as tar, while it is sent. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Effect from "effect/Effect"
import * as Tar from "effect/encoding/Tar"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Stream from "effect/Stream"

/** As large as the reads of an uploaded file. */
const READ_BYTES = 512 * 1024

type Entry = Tar.Entry<FileIoError.SourceFailed>

const unreadable = (path: string) => (error: PlatformError) =>
  new FileIoError.SourceFailed({ path, problem: "it cannot be read", cause: error })

/**
 * The archive of a folder, with the folder itself as its first entry. Links stay links. Anything other than a file,
 * folder or link (a socket, a device) is left out, and `onSkipped` is called with it.
 */
export const folder = (
  root: string,
  onSkipped: (path: string) => Effect.Effect<void>
): Stream.Stream<Uint8Array, FileIoError.SourceFailed, FileSystem.FileSystem | Path.Path> =>
  Stream.unwrap(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const paths = yield* Path.Path
    const resolved = paths.resolve(root)
    const parent = paths.dirname(resolved)

    const entries = (path: string): Stream.Stream<Entry, FileIoError.SourceFailed> =>
      Stream.unwrap(
        Effect.gen(function*() {
          const name = paths.relative(parent, path).split(paths.sep).join("/")
          const info = yield* fs.lstat(path)
          const options = {
            mode: info.mode & 0o7777,
            mtime: Option.getOrUndefined(info.mtime)
          }
          if (info.type === "SymbolicLink") {
            return Stream.succeed<Entry>(Tar.symlink(name, yield* fs.readLink(path), options))
          }
          if (info.type === "File") {
            const size = Number(info.size)
            // Bounded, so that a growing log is archived as it was at the start.
            const content = fs.stream(path, { bytesToRead: size, chunkSize: READ_BYTES })
            return Stream.succeed<Entry>(
              Tar.fileStream(name, size, Stream.mapError(content, unreadable(path)), options)
            )
          }
          if (info.type !== "Directory") return Stream.drain(Stream.fromEffect(onSkipped(path)))
          const names = (yield* fs.readDirectory(path)).toSorted()
          return Stream.concat(
            Stream.succeed<Entry>(Tar.directory(name, options)),
            Stream.flatMap(Stream.fromIterable(names), (name) => entries(paths.join(path, name)))
          )
        }).pipe(Effect.mapError(unreadable(path)))
      )

    return entries(resolved).pipe(
      Stream.pipeThroughChannel(Tar.encode<FileIoError.SourceFailed, unknown, Entry>()),
      Stream.mapError((error) =>
        error._tag === "TarError"
          ? new FileIoError.SourceFailed({
            path: root,
            problem: "a file in it changed while it was sent",
            cause: error
          })
          : error
      )
    )
  }))
