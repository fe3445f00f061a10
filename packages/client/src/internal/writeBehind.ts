import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"

/** Smaller buffers mean more waits for the disk, and larger ones are cold when they are written; see `bench/README.md`. */
const BUFFER_BYTES = 1024 * 1024

/**
 * Writes a stream, and goes on reading while a write is under way: what comes meanwhile is gathered into the next one. So a
 * fast stream gives few large writes, while of a slow one every byte is on its way to the disk at once.
 *
 * Chunks are copied at once, so they may be lent ones. What was received is written also when the stream fails or is interrupted. `write` is never run twice at a time.
 */
export const run = <E, E2, R, R2>(
  stream: Stream.Stream<Uint8Array, E, R>,
  write: (bytes: Uint8Array) => Effect.Effect<void, E2, R2>,
  /** Bytes that are expected, if that is known. */
  size?: number
): Effect.Effect<void, E | E2, R | R2> =>
  Effect.suspend(() => {
    const capacity = size === undefined ? BUFFER_BYTES : Math.max(1, Math.min(BUFFER_BYTES, size))
    let filling: Uint8Array | undefined
    let spare: Uint8Array | undefined
    let filled = 0
    let writing: Fiber.Fiber<void, E2> | undefined

    const settle = Effect.suspend((): Effect.Effect<void, E2> => {
      if (writing === undefined) return Effect.void
      const fiber = writing
      writing = undefined
      return Fiber.join(fiber)
    })

    /** Starts to write what is gathered; the write before must have ended. */
    const start = Effect.suspend(() => {
      const bytes = filling!.subarray(0, filled)
      ;[filling, spare] = [spare, filling]
      filled = 0
      return Effect.map(Effect.forkChild(write(bytes)), (fiber) => {
        writing = fiber
      })
    })

    const isIdle = () => writing === undefined || writing.pollUnsafe() !== undefined

    const take = (chunks: ReadonlyArray<Uint8Array>, at: number, from: number): Effect.Effect<void, E2, R2> => {
      while (at < chunks.length) {
        filling ??= new Uint8Array(capacity)
        const chunk = chunks[at]!
        const count = Math.min(chunk.length - from, capacity - filled)
        filling.set(from === 0 && count === chunk.length ? chunk : chunk.subarray(from, from + count), filled)
        filled += count
        from += count
        if (from === chunk.length) {
          at++
          from = 0
        }
        if (filled === capacity) {
          return Effect.andThen(Effect.andThen(settle, start), Effect.suspend(() => take(chunks, at, from)))
        }
      }
      return filled > 0 && isIdle() ? Effect.andThen(settle, start) : Effect.void
    }

    const flush = Effect.andThen(
      settle,
      Effect.suspend(() => filled > 0 ? Effect.andThen(start, settle) : Effect.void)
    )

    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(restore(Stream.runForEachArray(stream, (chunks) => take(chunks, 0, 0))))
        const flushed = yield* Effect.exit(flush)
        return yield* Exit.isFailure(exit) ? exit : flushed
      })
    )
  })
