/** The longest time that the event loop was blocked, in milliseconds. */
interface Stalls {
  /** By the clock: on a machine with more to do than it has cores, other processes count too. */
  readonly worstStallMs: number
  /** By the processor time of the loop's own thread, so that only its own work counts. */
  readonly worstBusyMs: number
}

/** Watches the event loop from now on. Returns a function that reports the worst. */
export const watchLoop = (): () => Stalls => {
  const cpu = () => {
    const { system, user } = process.threadCpuUsage()
    return (system + user) / 1000
  }
  let at = performance.now()
  let spent = cpu()
  let worstStallMs = 0
  let worstBusyMs = 0
  const timer = setInterval(() => {
    const [now, used] = [performance.now(), cpu()]
    worstStallMs = Math.max(worstStallMs, now - at - 1)
    worstBusyMs = Math.max(worstBusyMs, used - spent)
    at = now
    spent = used
  }, 1)
  return () => {
    clearInterval(timer)
    return { worstStallMs: Math.round(worstStallMs), worstBusyMs: Math.round(worstBusyMs) }
  }
}
