import type { Flight } from "@effect-fileio/client/Flight"

/**
 * How long, in milliseconds, a connection may have been idle for a request that must not be repeated. A host may close an idle
 * connection at any time, and a request that meets that is lost without a word of whether it was read.
 */
export const REUSE_MILLIS = 25

const REPEATABLE = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])

/** Whether a request may go over a connection that has been idle for longer. */
export const mayReuse = (flight: Flight | undefined, method: string): boolean =>
  flight === undefined ? REPEATABLE.has(method) : flight.mayRepeat
