/**
 * Preloaded by `--import` into a measured server. Reports over IPC how long its event loop was blocked since the last report:
 * by the clock, which includes waiting for a core, and by its own thread's work.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()

const worked = () => {
  const { system, user } = process.threadCpuUsage()
  return (system + user) / 1000
}
let last = worked()
let worstWork = 0
setInterval(() => {
  const now = worked()
  worstWork = Math.max(worstWork, now - last)
  last = now
}, 1).unref()

process.on("message", () => {
  process.send?.({ worstMs: delay.max / 1e6, p99Ms: delay.percentile(99) / 1e6, worstWorkMs: worstWork })
  delay.reset()
  worstWork = 0
})
// The listener must not keep the server alive.
process.channel?.unref()
