/**
 * How much room a disk has. The portable `FileSystem` cannot tell, so a platform package answers.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/**
 * What a platform tells of the room on its disks.
 *
 * @category models
 * @since 0.1.0
 */
export interface DiskSpace {
  /** Free bytes on the disk that holds a folder; `undefined` when it cannot be told. */
  readonly free: (folder: string) => Effect.Effect<number | undefined>
}

/**
 * The default cannot tell, so nothing is refused for want of room.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentDiskSpace = Context.Reference<DiskSpace>("@effect-fileio/client/DiskSpace", {
  defaultValue: () => ({ free: () => Effect.succeed(undefined) })
})
