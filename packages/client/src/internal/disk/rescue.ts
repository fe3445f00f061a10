/** Rescues a download whose disk fails midway. `receive` calls it; nothing is deleted that does not exist elsewhere. */
import type * as FileName from "@effect-fileio/core/FileName"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import { destinationFailed, FULL, problemOf, type Received } from "./destinationError.ts"
import * as OpenPart from "./openPart.ts"
import type { Target } from "./publish.ts"

/** The folder for the rest: the caller's, or a new temporary one. */
export const folderFor = Effect.fnUntraced(function*(target: Pick<Target, "fallback">) {
  const fs = yield* FileSystem.FileSystem
  return target.fallback ?? (yield* fs.makeTempDirectory({ prefix: "fileio-rescued-" }))
})

/**
 * Ends a download that continued in the fallback folder. All bytes are on a disk, but not at the destination: joins them in one
 * file if there is space, and fails with their paths.
 */
export const finish = Effect.fnUntraced(function*(
  target: Target,
  /** What was written, and why the destination was abandoned. */
  writing: {
    readonly directory: string | undefined
    readonly failure: PlatformError | undefined
    readonly pieces: Array<OpenPart.Piece>
    readonly received: () => Received
  },
  path: string,
  name: FileName.FileName
) {
  const fs = yield* FileSystem.FileSystem
  const { failure, pieces } = writing
  const problem = failure === undefined ? FULL : problemOf(failure)
  if (target.isDurable) yield* Effect.ignore(pieces.at(-1)!.file.sync)
  if (pieces.length > 1 && pieces[0]!.bytes > 0) {
    const whole = yield* Effect.option(OpenPart.gather(pieces, writing.directory!, name, target.isDurable))
    if (Option.isSome(whole)) {
      for (const piece of pieces) yield* Effect.ignore(fs.remove(piece.path))
      yield* target.parts.remove
      pieces.splice(0, pieces.length, whole.value)
    }
  } else yield* target.parts.remove
  for (const piece of pieces) if (piece.bytes === 0) yield* Effect.ignore(fs.remove(piece.path))
  return yield* destinationFailed("received", path, problem, failure, writing.received())
})
