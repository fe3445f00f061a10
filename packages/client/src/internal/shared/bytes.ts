import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** Joins several pieces of memory; returns a single piece as it is. */
export const concat = (parts: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  if (parts.length === 1) return parts[0]!
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** A stream without its first bytes. */
export const dropBytes = <E, R>(
  bytes: Stream.Stream<Uint8Array, E, R>,
  count: number
): Stream.Stream<Uint8Array, E, R> =>
  Stream.suspend(() => {
    let left = count
    return Stream.filter(
      Stream.map(bytes, (chunk) => {
        const dropped = Math.min(left, chunk.length)
        left -= dropped
        return dropped === 0 ? chunk : chunk.subarray(dropped)
      }),
      (chunk) => chunk.length > 0
    )
  })

// `Stream.concat` and `Stream.mapArrayEffect` bring queues and semaphores, for several streams at a time, into every page.

/** A stream, and then another one. */
export const followedBy =
  <B, E2, R2>(next: Stream.Stream<B, E2, R2>) =>
  <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A | B, E | E2, R | R2> =>
    Stream.fromChannel(Channel.concat(Stream.toChannel(stream), Stream.toChannel(next)))

type Chunks<A> = readonly [A, ...Array<A>]

/** Replaces chunks by what an effect makes of them, one after the other. */
export const mapChunks = <A, E, R, B, E2, R2>(
  stream: Stream.Stream<A, E, R>,
  f: (chunks: Chunks<A>) => Effect.Effect<Chunks<B>, E2, R2>
): Stream.Stream<B, E | E2, R | R2> => Stream.transformPull(stream, (pull) => Effect.succeed(Effect.flatMap(pull, f)))
