import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"

/** Smaller buffers mean more waits for the disk, and larger ones are cold when they are written; see `bench/README.md`. */
const BUFFER_BYTES = 2 * 1024 * 1024

/**
 * Writes a stream, and goes on reading while a write is under way: what comes meanwhile is gathered into the next one. So a
 * fast stream gives few large writes, while of a slow one every byte is on its way to the disk at once.
 *
 * Chunks are copied at once, so they may be lent ones. What was received is written also when the stream fails or is
 * interrupted. `write` is never run twice at a time.
 */
export const run = <E, E2, R, R2>(
  stream: Stream.Stream<Uint8Array, E, R>,
  write: (bytes: Uint8Array) => Effect.Effect<void, E2, R2>,
  /** Bytes that are expected, if that is known. */
  size?: number
): Effect.Effect<void, E | E2, R | R2> =>
  Effect.withFiber((fiber) => {
    const fork = Effect.runForkWith(fiber.context as Context.Context<R2>)
    const capacity = size === undefined ? BUFFER_BYTES : Math.max(1, Math.min(BUFFER_BYTES, size))
    let filling: Uint8Array | undefined
    let spare: Uint8Array | undefined
    let filled = 0
    let writing: Fiber.Fiber<void, E2> | undefined

    /** Waits for the write that is under way. It stays known until it has ended, whoever stops to wait for it. */
    const settle = Effect.suspend((): Effect.Effect<void, E2> =>
      writing === undefined ? Effect.void : Effect.map(Fiber.join(writing), () => {
        writing = undefined
      })
    )

    /** Starts to write what is gathered; where a write is under way, gives what is to be waited for before. */
    const start = (): Effect.Effect<void, E2> | undefined => {
      if (writing !== undefined) {
        const exit = writing.pollUnsafe()
        if (exit === undefined) return settle
        writing = undefined
        if (Exit.isFailure(exit)) return exit
      }
      const bytes = filling!.subarray(0, filled)
      ;[filling, spare] = [spare, filling]
      filled = 0
      writing = fork(write(bytes))
      return undefined
    }

    const isIdle = () => writing === undefined || writing.pollUnsafe() !== undefined

    const take = (chunks: ReadonlyArray<Uint8Array>, at: number, from: number): Effect.Effect<void, E2> => {
      while (true) {
        if (filled === capacity) {
          const before = start()
          if (before !== undefined) return Effect.flatMap(before, () => take(chunks, at, from))
        }
        if (at === chunks.length) break
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
      }
      return (filled > 0 && isIdle() ? start() : undefined) ?? Effect.void
    }

    const flush: Effect.Effect<void, E2> = Effect.suspend(() =>
      filled === 0 ? settle : Effect.flatMap(start() ?? Effect.void, () => flush)
    )

    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(restore(Stream.runForEachArray(stream, (chunks) => take(chunks, 0, 0))))
        const flushed = yield* Effect.exit(flush)
        return yield* Exit.isFailure(exit) ? exit : flushed
      })
    )
  })
