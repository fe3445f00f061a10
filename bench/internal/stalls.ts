import { monitorEventLoopDelay } from "node:perf_hooks"

/** Watches the event loop from now on. Gives what tells the longest time, in milliseconds, that it was held up. */
export const stalls = (): () => number => {
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  return () => {
    delays.disable()
    // A timer of one millisecond is up to two late on a loop that does nothing.
    return Math.max(0, Math.round(delays.max / 1e6 - 2))
  }
}
