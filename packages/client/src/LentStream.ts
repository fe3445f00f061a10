/**
 * Streams of bytes whose chunks need not be kept.
 *
 * **When to use**
 *
 * Use it in an HTTP client, or in a source of files, that wants to read into the same memory again and again: a large
 * transfer whose every chunk is a new buffer spends most of its time in collecting them.
 *
 * **Details**
 *
 * A stream may have a twin that gives the same bytes in chunks which are only _lent_: each is valid until the next one is
 * asked for. Who writes a chunk away before it asks for the next takes the twin; all others read the stream itself and may
 * keep what they get. Every operator makes a new stream, which has no twin, so a chunk is never lent by accident.
 *
 * @since 0.1.0
 */
import type * as Stream from "effect/Stream"

// oxlint-disable-next-line typescript/no-explicit-any
const twins = new WeakMap<Stream.Stream<any, any, any>, Stream.Stream<any, any, any>>()

/**
 * Gives a stream its twin. Only one of the two is ever run.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <E, R>(
  stream: Stream.Stream<Uint8Array, E, R>,
  lent: Stream.Stream<Uint8Array, E, R>
): Stream.Stream<Uint8Array, E, R> => {
  twins.set(stream, lent)
  return stream
}

/**
 * The twin of a stream, or the stream itself where it has none. A chunk of it is valid until the next one is asked for.
 *
 * @category accessors
 * @since 0.1.0
 */
export const lent = <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E, R> =>
  twins.get(stream) ?? stream

/**
 * Applies an operator that keeps no chunk to a stream, and to its twin.
 *
 * @category combinators
 * @since 0.1.0
 */
export const map = <E, R, E2, R2>(
  stream: Stream.Stream<Uint8Array, E, R>,
  operator: (stream: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<Uint8Array, E2, R2>
): Stream.Stream<Uint8Array, E2, R2> => {
  const twin = twins.get(stream)
  return twin === undefined ? operator(stream) : make(operator(stream), operator(twin))
}
