/**
 * How much room the disk has left, and how much of it uploads must leave.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Fs from "node:fs/promises"
import { DataFolder } from "./DataFolder.ts"

/**
 * Says whether the disk has room for an upload.
 *
 * @category services
 * @since 0.1.0
 */
export class DiskSpace extends Context.Service<DiskSpace, {
  /** Bytes that are free; `undefined` where the system does not tell. */
  readonly free: Effect.Effect<number | undefined>
  /** Bytes that no upload may take: the catalog needs room to count a download even then. */
  readonly floor: number
  /** Whether so many bytes more leave the floor. */
  readonly holds: (bytes: number) => Effect.Effect<boolean>
}>()("@effect-fileio/server/DiskSpace") {}

/**
 * How much room is left free.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Bytes that no upload may take. */
  readonly floor: number
}

/**
 * The disk of the data folder.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = ({ floor }: Options): Layer.Layer<DiskSpace, never, DataFolder> =>
  Layer.effect(
    DiskSpace,
    Effect.map(DataFolder, ({ path }) => {
      const free = Effect.promise(() => Fs.statfs(path).then(({ bavail, bsize }) => bavail * bsize, () => undefined))
      return DiskSpace.of({
        free,
        floor,
        holds: (bytes) => Effect.map(free, (left) => left === undefined || left - bytes >= floor)
      })
    })
  )

/**
 * For bytes that go elsewhere than to a disk of this machine.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerUnlimited: Layer.Layer<DiskSpace> = Layer.succeed(
  DiskSpace,
  DiskSpace.of({ free: Effect.undefined, floor: 0, holds: () => Effect.succeed(true) })
)
