/**
 * Free room on a disk, by `statfs`.
 *
 * @since 0.1.0
 */
import * as DiskSpace from "@effect-fileio/client/DiskSpace"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Fs from "node:fs/promises"

/**
 * Asks the file system that holds the folder; `undefined` where it does not tell.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: DiskSpace.DiskSpace = {
  free: (folder) =>
    Effect.orElseSucceed(
      Effect.map(
        Effect.tryPromise(() => Fs.statfs(folder)),
        ({ bavail, bsize }): number | undefined => bavail * bsize
      ),
      () => undefined
    )
}

/**
 * Lets downloads look at the room on the disk before the host is asked.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.succeed(DiskSpace.CurrentDiskSpace, make)
