/**
 * Free space on the disk of the data folder, and how much of it uploads must leave.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs/promises"
import { DataFolder } from "./DataFolder.ts"
import { shared } from "./internal/disk/folders.ts"
import { untilClosed } from "./internal/shared/untilClosed.ts"

/**
 * Checks whether the disk has space for an upload.
 *
 * @category services
 * @since 0.1.0
 */
export class DiskSpace extends Context.Service<DiskSpace, {
  /** Free bytes; `undefined` if the system does not report them. */
  readonly free: Effect.Effect<number | undefined>
  /** Bytes that uploads must leave free: the catalog needs space to count a download even then. */
  readonly floor: number
  /** Whether an upload of this many bytes leaves `floor` free. */
  readonly holds: (bytes: number) => Effect.Effect<boolean>
  /**
   * For one upload: counts bytes that it is about to write, and returns whether they leave `floor` free. Ends with the scope.
   */
  readonly upload: Effect.Effect<(bytes: number) => Effect.Effect<boolean>, never, Scope.Scope>
}>()("@effect-fileio/server/DiskSpace") {}

/**
 * How much space stays free.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Bytes that uploads must leave free. */
  readonly floor: number
  /** Whether uploads are stored on this disk; if not, the catalog still is. @default true */
  readonly holdsBlobs?: boolean | undefined
}

/** Bytes of all uploads between two checks of the disk. */
const LOOK_BYTES = 8 * 1024 * 1024
/** Milliseconds after which the disk is checked again, since others write to it too. */
const LOOK_MILLIS = 1000
/**
 * Milliseconds for which uploads that begin share a check, which is a twentieth of a small one's processor time. These are real
 * ones, whatever the program's clock is: other programs write meanwhile.
 */
const SHARED_MILLIS = 5
/** Bytes that an upload may have handed over and that are not on the disk yet. */
const PENDING_BYTES = 2.5 * 1024 * 1024

/**
 * The disk of the data folder.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = ({ floor, holdsBlobs = true }: Options): Layer.Layer<DiskSpace, never, DataFolder> =>
  Layer.effect(
    DiskSpace,
    Effect.map(Effect.all([DataFolder, Clock.Clock]), ([{ path }, clock]) => {
      const freeBytes = () => Fs.statfs(path).then(({ bavail, bsize }) => bavail * bsize, () => undefined)
      const cost = (bytes: number) => holdsBlobs ? bytes : 0

      // `taken` counts all bytes ever; bytes that running uploads took before a check may not be written by then.
      let taken = 0
      let pending = 0
      let seen = { free: Infinity, at: -Infinity, taken: 0, realTime: -Infinity }
      const look = Effect.promise(shared(async () => {
        const before = taken
        const realTime = performance.now()
        const bytes = await freeBytes()
        seen = { free: bytes ?? Infinity, at: clock.currentTimeMillisUnsafe(), taken: before, realTime }
      }))
      const fits = (bytes: number) => seen.free - cost(bytes) >= floor
      const isRecent = () => performance.now() - seen.realTime < SHARED_MILLIS
      const hasRoom = () => seen.free - (taken - seen.taken) - pending >= floor

      const upload = Effect.map(
        untilClosed(() => ({ pending: 0 }), (mine) => {
          pending -= mine.pending
          // They may have been written since the last check.
          taken += mine.pending
        }),
        (mine) =>
          Effect.fnUntraced(function*(bytes: number) {
            const more = Math.min(cost(bytes), PENDING_BYTES - mine.pending)
            mine.pending += more
            pending += more
            taken += cost(bytes)
            const now = clock.currentTimeMillisUnsafe()
            if (taken - seen.taken >= LOOK_BYTES || now - seen.at >= LOOK_MILLIS || !hasRoom()) yield* look
            return hasRoom()
          })
      )

      return DiskSpace.of({
        free: Effect.promise(freeBytes),
        floor,
        holds: (bytes) =>
          Effect.suspend(() => isRecent() && fits(bytes) ? Effect.succeed(true) : Effect.map(look, () => fits(bytes))),
        upload
      })
    })
  )

/**
 * For a server that stores uploads on no disk of this machine.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerUnlimited: Layer.Layer<DiskSpace> = Layer.succeed(
  DiskSpace,
  DiskSpace.of({
    free: Effect.undefined,
    floor: 0,
    holds: () => Effect.succeed(true),
    upload: Effect.succeed(() => Effect.succeed(true))
  })
)
