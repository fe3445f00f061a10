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

/** Where another machine writes into a shared folder, only its silence tells. */
const SILENCE_MILLIS = 5 * 60 * 1000

/**
 * Names this process, and looks for others by their process id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: PartOwner.PartOwner = {
  self: JSON.stringify([Os.hostname(), boot, Process.pid, beginOf(Process.pid) ?? ""]),
  fate: (owner, lastWrite) =>
    Effect.clockWith((clock) =>
      Effect.sync((): PartOwner.Fate => {
        let parsed: unknown
        try {
          parsed = JSON.parse(owner)
        } catch {
          parsed = undefined
        }
        const [host, itsBoot, pid, began]: ReadonlyArray<unknown> = Array.isArray(parsed) ? parsed : []
        if (host !== Os.hostname() || typeof pid !== "number") {
          return clock.currentTimeMillisUnsafe() - lastWrite > SILENCE_MILLIS ? "gone" : "running"
        }
        if (itsBoot !== boot) return "lost"
        if (!exists(pid)) return "gone"
        return began !== "" && began !== (beginOf(pid) ?? "") ? "gone" : "running"
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
