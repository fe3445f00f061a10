/**
 * Preloaded by `--import` into a server that is measured. Says over IPC how long its event loop was held up since it was
 * last asked: from the outside, where it may just have waited for a core, and of that what its own thread worked.
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
// Listening alone must not keep the server alive.
process.channel?.unref()
