/** Preloaded by `--import` into a server that is measured: says over IPC how long its event loop was held up since it was last asked. */
import { monitorEventLoopDelay } from "node:perf_hooks"

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
process.on("message", () => {
  process.send?.({ worstMs: delay.max / 1e6, p99Ms: delay.percentile(99) / 1e6 })
  delay.reset()
})
// Listening alone must not keep the server alive.
process.channel?.unref()
