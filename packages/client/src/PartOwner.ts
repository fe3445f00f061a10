/**
 * Which process and thread writes a part file. A part whose writer is gone can be taken over; one that is being written
 * cannot.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/**
 * What became of the writer of a part: it still runs; it is gone; or the machine has restarted since, so that not all of
 * what it wrote need have reached the disk.
 *
 * @category models
 * @since 0.1.0
 */
export type Fate = "running" | "gone" | "lost"

/**
 * How a thread of a process names itself, and tells whether another one still runs.
 *
 * @category models
 * @since 0.1.0
 */
export interface PartOwner {
  /** Names this thread, as it is written beside a part. */
  readonly self: string
  /** Written beside a part that this thread has left for anybody to go on with. */
  readonly released: string
  /** The user that this process writes files as, by number; `undefined` where there are no users. */
  readonly user: number | undefined
  /**
   * The fate of another thread.
   *
   * @param lastWrite when the part was last written, in milliseconds
   */
  readonly fate: (owner: string, lastWrite: number) => Effect.Effect<Fate>
}

/** Where writers cannot be told apart, a part that was not written for this long has none. */
const SILENCE_MILLIS = 5 * 60 * 1000

const SELF = "somebody"
const RELEASED = "nobody"

/**
 * The default cannot see other processes, and goes by the time of the last write.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentPartOwner = Context.Reference<PartOwner>("@effect-fileio/client/PartOwner", {
  defaultValue: () => ({
    self: SELF,
    released: RELEASED,
    user: undefined,
    fate: (owner, lastWrite) =>
      Clock.clockWith((clock) =>
        Effect.succeed(
          owner === RELEASED || clock.currentTimeMillisUnsafe() - lastWrite > SILENCE_MILLIS ? "gone" : "running"
        )
      )
  })
})
