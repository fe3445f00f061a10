/**
 * Which processes of this machine still run, so that the part files of those that are gone can be taken over.
 *
 * @since 0.1.0
 */
import * as PartOwner from "@effect-fileio/client/PartOwner"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Process from "node:process"
import { threadId } from "node:worker_threads"

const read = (path: string): string | undefined => {
  try {
    return Fs.readFileSync(path, "latin1")
  } catch {
    return undefined
  }
}

/** When a process began, by Linux's count of ticks since the start of the machine; the pid alone may be used again. */
const beginOf = (pid: number): string | undefined => {
  const stat = read(`/proc/${pid}/stat`)
  // The name of the program comes second, in brackets, and may hold anything.
  return stat === undefined ? undefined : stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]
}

const exists = (pid: number): boolean => {
  try {
    Process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/** An identifier of this run of the machine. */
const boot = read("/proc/sys/kernel/random/boot_id")?.trim() ?? ""

/** What the numbers of processes are counted in: containers on one machine count each for itself. */
const namespace = (() => {
  try {
    return Fs.readlinkSync("/proc/self/ns/pid")
  } catch {
    return ""
  }
})()

/** Where another machine, another container or another thread writes, only its silence tells. */
const SILENCE_MILLIS = 5 * 60 * 1000

const begin = beginOf(Process.pid) ?? ""

const parsed = (owner: string): ReadonlyArray<unknown> => {
  try {
    const value: unknown = JSON.parse(owner)
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

/**
 * Names this thread, and looks for others by their process id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: PartOwner.PartOwner = {
  self: JSON.stringify([Os.hostname(), boot, namespace, Process.pid, begin, threadId]),
  released: JSON.stringify([Os.hostname(), boot]),
  user: Process.geteuid?.(),
  fate: (owner, lastWrite) =>
    Effect.clockWith((clock) =>
      Effect.sync((): PartOwner.Fate => {
        const [host, itsBoot, itsNamespace, pid, began, thread] = parsed(owner)
        const bySilence = () => clock.currentTimeMillisUnsafe() - lastWrite > SILENCE_MILLIS ? "gone" : "running"
        if (host !== Os.hostname()) return bySilence()
        if (itsBoot !== boot) return "lost"
        if (pid === undefined) return "gone"
        if (itsNamespace !== namespace || typeof pid !== "number") return bySilence()
        if (!exists(pid)) return "gone"
        if (began !== "" && began !== (beginOf(pid) ?? "")) return "gone"
        // Node does not say which threads of a process still run.
        return pid === Process.pid && thread !== threadId ? bySilence() : "running"
      })
    )
}

/**
 * Lets downloads take over the parts of processes that are gone.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.succeed(PartOwner.CurrentPartOwner, make)
