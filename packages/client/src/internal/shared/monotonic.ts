import type * as Clock from "effect/Clock"

/** Milliseconds of a monotonic clock, with fractions. */
export const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
