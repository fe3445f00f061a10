/** A server of the fault lab: a process that is killed, paused, stopped and restarted. */
import { type ChildProcess, spawn } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import type { Proxy } from "./proxy.ts"

const BIN = fileURLToPath(new URL("../../src/bin.ts", import.meta.url))
const SKEW = new URL("skew.ts", import.meta.url).href
/** An engine may be silent when it starts: then it exits, and is started again. */
const STARTS = 60

export interface Server {
  /** The proxies to PostgreSQL, the store and Redis. */
  readonly lines: ReadonlyArray<Proxy>
  /** Starts it if it is not running, with a clock that is wrong by a number of milliseconds. */
  readonly start: (clockOffset?: number) => Promise<void>
  readonly kill: () => Promise<void>
  /** Stops it; returns whether that took no longer than a number of milliseconds. Otherwise kills it. */
  readonly stop: (within: number) => Promise<boolean>
  readonly pause: (millis: number) => Promise<void>
  readonly url: () => string
  readonly output: () => string
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) =>
    child.exitCode !== null || child.signalCode !== null ? resolve() : child.once("exit", () => resolve())
  )

export const makeServer = (lines: ReadonlyArray<Proxy>, environment: Record<string, string>): Server => {
  let child: ChildProcess | undefined
  let url = "http://127.0.0.1:1"
  let output = ""
  const isRunning = () => child !== undefined && child.exitCode === null && child.signalCode === null

  const startOnce = async (clockOffset: number) => {
    const from = output.length
    const mine = child = spawn(process.execPath, ["--no-warnings", "--import", SKEW, BIN], {
      env: { ...process.env, ...environment, LAB_CLOCK_OFFSET: String(clockOffset) },
      stdio: ["ignore", "pipe", "pipe"]
    })
    for (const stream of [mine.stdout!, mine.stderr!]) stream.on("data", (chunk) => output += String(chunk))
    while (isRunning()) {
      const listening = /file\.io on (http:\/\/127\.0\.0\.1:\d+)/.exec(output.slice(from))
      if (listening !== null) {
        url = listening[1]!
        return
      }
      await sleep(10)
    }
  }

  const kill = async () => {
    child?.kill("SIGKILL")
    if (child !== undefined) await ended(child)
  }

  return {
    lines,
    start: async (clockOffset = 0) => {
      for (let starts = 0; starts < STARTS && !isRunning(); starts++) {
        await startOnce(clockOffset)
        if (!isRunning()) await sleep(200)
      }
    },
    kill,
    stop: async (within) => {
      const mine = child
      if (mine === undefined) return true
      mine.kill("SIGTERM")
      const stopped = await Promise.race([ended(mine).then(() => true), sleep(within, false)])
      await kill()
      return stopped
    },
    pause: async (millis) => {
      child?.kill("SIGSTOP")
      await sleep(millis)
      child?.kill("SIGCONT")
    },
    url: () => url,
    output: () => output
  }
}
