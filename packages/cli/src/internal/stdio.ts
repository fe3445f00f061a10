// @effect-diagnostics processEnv:off - this module is where the command line gets its environment
// @effect-diagnostics processEnvInEffect:off - as above
/** Standard input and output, the terminal, signals and exit: the only module (with `bin`) that touches `process`. */
import * as PlainText from "@effect-fileio/core/PlainText"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as NodeFs from "node:fs"
import * as NodeOs from "node:os"

/** Nobody reads the output any more: the pipe was closed, or its disk is full. */
export class OutputClosed extends Data.TaggedError("OutputClosed")<{
  readonly code: string
  readonly cause: unknown
}> {}

export interface Stdio {
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly platform: string
  readonly home: string
  readonly stdin: {
    readonly isTerminal: boolean
    readonly bytes: Stream.Stream<Uint8Array, unknown>
    /** Reads a line from the terminal; `hidden` does not echo it. Fails if the input ends. */
    readonly ask: (question: string, hidden: boolean) => Effect.Effect<string, Cause.NoSuchElementError>
  }
  readonly stdout: {
    readonly isTerminal: boolean
    readonly write: (chunk: string | Uint8Array) => Effect.Effect<void, OutputClosed>
    /** Waits until a file has all that was written. */
    readonly finish: Effect.Effect<void, OutputClosed>
  }
  readonly stderr: {
    readonly isTerminal: boolean
    readonly columns: () => number
    readonly write: (text: string) => void
    /** Writes a text with the secret of a link: for a link that standard output did not take, without which its file is lost. */
    readonly writeLink: (text: string) => void
  }
}

export const Stdio = Context.Service<Stdio>("@effect-fileio/cli/Stdio")

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "unknown"

export const outputClosed = (cause: unknown): OutputClosed => new OutputClosed({ code: codeOf(cause), cause })

const ask: Stdio["stdin"]["ask"] = (question, hidden) =>
  Effect.callback<string, Cause.NoSuchElementError>((resume) => {
    const { stdin } = process
    // First, so that even input typed at once is not echoed.
    if (hidden) stdin.setRawMode(true)
    process.stderr.write(PlainText.visible(question))
    let typed = ""
    const leave = () => {
      stdin.off("data", onData).off("end", onEnd).pause()
      if (hidden) {
        stdin.setRawMode(false)
        process.stderr.write("\n")
      }
    }
    const onEnd = () => {
      leave()
      resume(Effect.fail(new Cause.NoSuchElementError("the input ended")))
    }
    const onData = (chunk: string) => {
      for (const character of chunk) {
        if (character === "\r" || character === "\n") {
          leave()
          return resume(Effect.succeed(typed))
        }
        // In raw mode the terminal passes these on instead of acting on them.
        if (hidden && character === "\u0003") {
          leave()
          return process.kill(process.pid, "SIGINT")
        }
        if (hidden && character === "\u0004") return onEnd()
        if (hidden && (character === "\u007F" || character === "\b")) typed = Array.from(typed).slice(0, -1).join("")
        else typed += character
      }
    }
    stdin.setEncoding("utf8")
    stdin.on("data", onData).on("end", onEnd).resume()
    return Effect.sync(leave)
  })

/** Writes all bytes to a descriptor; a system writes fewer where the disk has room for no more, and fails only then. */
export const writeAll = (descriptor: number, bytes: Uint8Array): Effect.Effect<void, OutputClosed> =>
  Effect.callback<number, OutputClosed>((resume) => {
    NodeFs.write(
      descriptor,
      bytes,
      (cause, count) => resume(cause ? Effect.fail(outputClosed(cause)) : Effect.succeed(count))
    )
  }).pipe(
    Effect.flatMap((count) => count >= bytes.length ? Effect.void : writeAll(descriptor, bytes.subarray(count)))
  )

/** Files that cannot be synced, as in `/proc` and on some network and FUSE file systems. */
const UNSYNCED = new Set(["EINVAL", "ENOSYS", "ENOTSUP"])

/** Waits until the disk has what was written: some disks fail only then. */
export const sync = (descriptor: number): Effect.Effect<void, OutputClosed> =>
  Effect.callback((resume) => {
    NodeFs.fsync(
      descriptor,
      (cause) => resume(cause && !UNSYNCED.has(cause.code ?? "") ? Effect.fail(outputClosed(cause)) : Effect.void)
    )
  })

const STDOUT = 1

/** Standard output. Node's stream for a file drops without a word what the disk has no room for. */
const makeStdout = (): Stdio["stdout"] => {
  const isTerminal = process.stdout.isTTY === true
  if (!isTerminal && NodeFs.fstatSync(STDOUT).isFile()) {
    const turns = Semaphore.makeUnsafe(1)
    return {
      isTerminal,
      write: (chunk) => turns.withPermit(writeAll(STDOUT, typeof chunk === "string" ? Buffer.from(chunk) : chunk)),
      finish: sync(STDOUT)
    }
  }
  return {
    isTerminal,
    write: (chunk) =>
      Effect.callback((resume) => {
        process.stdout.write(chunk, (cause) => resume(cause ? Effect.fail(outputClosed(cause)) : Effect.void))
      }),
    finish: Effect.void
  }
}

export const make = (): Stdio => {
  // Failures of the streams are reported by their writes; without a listener they would end the process.
  process.stdout.on("error", () => {})
  process.stderr.on("error", () => {})
  return {
    args: process.argv.slice(2),
    env: process.env,
    platform: process.platform,
    home: NodeOs.homedir(),
    stdin: {
      isTerminal: process.stdin.isTTY === true,
      bytes: Stream.suspend(() => Stream.fromAsyncIterable<Uint8Array, unknown>(process.stdin, (cause) => cause)),
      ask
    },
    stdout: makeStdout(),
    stderr: {
      isTerminal: process.stderr.isTTY === true,
      columns: () => process.stderr.columns || 80,
      // An argument with a secret may be in any message, such as that about a mistyped command.
      write: (text) => void process.stderr.write(PlainText.withoutSecrets(text)),
      writeLink: (text) => void process.stderr.write(text)
    }
  }
}

export type Signal = "SIGINT" | "SIGTERM" | "SIGHUP"

/** The exit code that a shell reports for a signal. */
export const signalCode = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

export const onSignal = (listener: (signal: Signal) => void): void => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => listener(signal))
}

/** Ends the process once all output has been written. */
export const exit = (code: number): void => {
  process.exitCode = code
  process.stdout.write("", () => process.stderr.write("", () => process.exit(code)))
}

/** Ends the process at once. */
export const exitNow = (code: number): never => process.exit(code)
