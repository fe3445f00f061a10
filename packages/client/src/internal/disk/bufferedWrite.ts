import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"

/**
 * Smaller buffers mean more waits for the disk, and larger ones have left the cache when they are written; see
 * `bench/README.md`.
 */
const BUFFER_BYTES = 2 * 1024 * 1024

/**
 * Writes a stream, and continues to read during a write: bytes that arrive meanwhile are combined into the next write. So a
 * fast stream causes few large writes, and of a slow one every byte is written at once.
 *
 * Chunks are copied at once, so they may be reused ones. Received bytes are written also if the stream fails or is interrupted.
 * Two runs of `write` never overlap.
 */
export const run = <E, E2, R, R2>(
  stream: Stream.Stream<Uint8Array, E, R>,
  write: (bytes: Uint8Array) => Effect.Effect<void, E2, R2>,
  /** Expected bytes, if known. */
  size?: number
): Effect.Effect<void, E | E2, R | R2> =>
  Effect.withFiber((fiber) => {
    const fork = Effect.runForkWith(fiber.context as Context.Context<R2>)
    const capacity = size === undefined ? BUFFER_BYTES : Math.max(1, Math.min(BUFFER_BYTES, size))
    let filling: Uint8Array | undefined
    let spare: Uint8Array | undefined
    let filled = 0
    let writing: Fiber.Fiber<void, E2> | undefined

    /** Waits for the running write. It stays registered until it ends, also if a waiting fiber is interrupted. */
    const settle = Effect.suspend((): Effect.Effect<void, E2> =>
      writing === undefined ? Effect.void : Effect.map(Fiber.join(writing), () => {
        writing = undefined
      })
    )

    /** Starts to write the collected bytes; if a write is running, returns what to await first. */
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

    const append = (chunks: ReadonlyArray<Uint8Array>, at: number, from: number): Effect.Effect<void, E2> => {
      while (true) {
        if (filled === capacity) {
          const before = start()
          if (before !== undefined) return Effect.flatMap(before, () => append(chunks, at, from))
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
        const exit = yield* Effect.exit(restore(Stream.runForEachArray(stream, (chunks) => append(chunks, 0, 0))))
        const flushed = yield* Effect.exit(flush)
        return yield* Exit.isFailure(exit) ? exit : flushed
      })
    )
  })
