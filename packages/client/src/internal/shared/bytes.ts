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
