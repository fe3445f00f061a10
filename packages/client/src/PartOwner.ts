/**
 * Which process writes a part file. A part whose process is gone can be taken over; one that is being written cannot.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/**
 * What became of the process that wrote a part: it still runs; it is gone; or the machine has started anew since, so that
 * not all of what it wrote need have reached the disk.
 *
 * @category models
 * @since 0.1.0
 */
export type Fate = "running" | "gone" | "lost"

/**
 * How a process names itself, and tells whether another one still runs.
 *
 * @category models
 * @since 0.1.0
 */
export interface PartOwner {
  /** Names this process, as it is written beside a part. */
  readonly self: string
  /**
   * The fate of another process.
   *
   * @param lastWrite when the part was last written, in milliseconds
   */
  readonly fate: (owner: string, lastWrite: number) => Effect.Effect<Fate>
}

/** Where processes cannot be told apart, a part that was not written for so long belongs to nobody. */
const SILENCE_MILLIS = 5 * 60 * 1000

/**
 * The default cannot see other processes, and goes by the time of the last write.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentPartOwner = Context.Reference<PartOwner>("@effect-fileio/client/PartOwner", {
  defaultValue: () => ({
    self: "somebody",
    fate: (_, lastWrite) =>
      Clock.clockWith((clock) =>
        Effect.succeed(clock.currentTimeMillisUnsafe() - lastWrite > SILENCE_MILLIS ? "gone" : "running")
      )
  })
})
