/** Output of a command: results on standard output, everything else on standard error. */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ExitCode from "../ExitCode.ts"
import * as JsonLine from "../JsonLine.ts"
import { local, type Problem, Reported } from "./problem.ts"
import * as Progress from "./progress.ts"
import { type OutputClosed, Stdio } from "./stdio.ts"
import * as Text from "./text.ts"

export interface Flags {
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
}

/** What became of a stopped transfer, and how to continue. */
export interface Fate {
  readonly subject: string
  readonly describe: Effect.Effect<{
    readonly what: string
    readonly advice: string
    readonly details?: Problem["details"]
  }>
}

export interface Report {
  readonly command: string
  readonly flags: Flags
  readonly view: Progress.View
  /**
   * Writes a result: a line of JSON, or the text, which may be empty. A pipe gets the raw text, so that a path stays
   * valid; the caller makes a host's text safe first.
   */
  readonly result: (line: JsonLine.JsonLine, text: string) => Effect.Effect<void, OutputClosed>
  /** Writes a text to standard output that is no result line, such as a completion script. */
  readonly text: (text: string) => Effect.Effect<void, OutputClosed>
  /** Writes a remark for a person: only on a terminal, and not with `--quiet`. */
  readonly note: (text: string) => Effect.Effect<void>
  /** Writes something important to standard error. */
  readonly warn: (text: string) => Effect.Effect<void>
  /** Writes lines with terminal escapes to standard error. */
  readonly drawing: (text: string) => Effect.Effect<void>
  readonly problem: (problem: Problem, subject?: string) => Effect.Effect<void>
  /**
   * Reports a stored file whose link standard output did not take: on standard error, with the secret that opens the file. If
   * nobody sees the link, nobody can ever download the file.
   */
  readonly lostLink: (link: string, error: OutputClosed, subject: string) => Effect.Effect<Problem>
  /** From now on standard output carries a file: lines of JSON go to standard error. */
  readonly giveStdoutAway: Effect.Effect<void>
  /** Remembers a transfer until the scope closes, to report what became of it if the program is stopped. */
  readonly remember: (fate: Fate) => Effect.Effect<void, never, Scope.Scope>
  /** Being stopped is the normal end of this command, and no failure. */
  readonly endIsDone: () => void
  /** Reports what became of the remembered transfers; returns whether being stopped was the command's normal end. */
  readonly interrupted: Effect.Effect<boolean>
}

export const Report = Context.Service<Report>("@effect-fileio/cli/Report")

const RED = "\u001B[31m"
const RESET = "\u001B[0m"

const colored = (stdio: Stdio): boolean =>
  stdio.stderr.isTerminal && (stdio.env["NO_COLOR"] ?? "") === "" && stdio.env["TERM"] !== "dumb"

/** The two lines of a failure. */
export const lines = (stdio: Stdio, what: string, advice: string): string => {
  const name = colored(stdio) ? `${RED}fileio:${RESET}` : "fileio:"
  return `${name} ${Text.visible(what)}\n  ${Text.visible(advice)}\n`
}

/** The causes of a failure, outermost first. */
export const causes = (cause: unknown): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (let at = cause, depth = 0; at !== undefined && at !== null && depth < 8; depth++) {
    const name = at instanceof Error ? at.name : ""
    const message = at instanceof Error ? at.message : String(at)
    const line = Text.visible(name === "" || message.startsWith(name) ? message : `${name}: ${message}`)
    if (found.at(-1) !== line) found.push(line)
    const next: unknown = typeof at === "object"
      ? "reason" in at && at.reason instanceof Error ? at.reason : "cause" in at ? at.cause : undefined
      : undefined
    at = Cause.isCause(next) ? Cause.squash(next) : next
  }
  return found
}

export const make = Effect.fnUntraced(function*(
  command: string,
  flags: Flags
): Effect.fn.Return<Report, never, Stdio | Scope.Scope> {
  const stdio = yield* Stdio
  const view = yield* Progress.make(stdio, Progress.styleOf(stdio, flags.quiet))
  const fates = new Set<Fate>()
  let stdoutIsOurs = true
  let done = false

  const toStderr = (text: string) => view.aside(Effect.sync(() => stdio.stderr.write(text)))
  const toStdout = (text: string) => view.aside(stdio.stdout.write(text))
  const errorLine = (problem: Pick<Problem, "what" | "advice" | "exitCode" | "reason" | "details">, subject?: string) =>
    JsonLine.format({
      v: JsonLine.VERSION,
      type: "error",
      command,
      reason: problem.reason,
      message: problem.what,
      advice: problem.advice,
      exitCode: problem.exitCode,
      ...(subject === undefined ? {} : { subject }),
      ...problem.details
    })
  const about = (subject: string | undefined, what: string) =>
    subject === undefined ? `${command}: ${what}` : `${command} ${subject}: ${what}`

  return {
    command,
    flags,
    view,
    result: (line, text) => {
      if (flags.json) {
        const encoded = `${JsonLine.format(line)}\n`
        return stdoutIsOurs ? toStdout(encoded) : toStderr(encoded)
      }
      return text === "" ? Effect.void : toStdout(`${stdio.stdout.isTerminal ? Text.visibleLines(text) : text}\n`)
    },
    text: toStdout,
    note: (text) =>
      flags.quiet || !stdio.stderr.isTerminal || text.trim() === ""
        ? Effect.void
        : toStderr(`${Text.visibleLines(text)}\n`),
    warn: (text) => toStderr(`${Text.visibleLines(text)}\n`),
    drawing: (text) => toStderr(`${text}\n`),
    problem: Effect.fnUntraced(function*(problem, subject) {
      if (flags.json) {
        const line = `${errorLine(problem, subject)}\n`
        // Where standard output takes nothing any more, the error would be lost with it.
        yield* stdoutIsOurs ? Effect.catch(toStdout(line), () => toStderr(line)) : toStderr(line)
      } else {
        yield* toStderr(lines(stdio, about(subject, problem.what), problem.advice))
      }
      if (flags.verbose) {
        for (const line of causes(problem.cause)) yield* toStderr(`  cause: ${line}\n`)
      }
    }),
    lostLink: (link, { cause, code }, subject) => {
      const what = `it is on the host, but its link could not be written to standard output (${code})`
      const problem = local(what, `The link: ${link}`, cause)
      const text = lines(stdio, about(subject, what), problem.advice)
      return Effect.as(view.aside(Effect.sync(() => stdio.stderr.writeLink(text))), problem)
    },
    giveStdoutAway: Effect.sync(() => {
      stdoutIsOurs = false
    }),
    remember: (fate) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => fates.add(fate)),
        // An interrupted transfer stays remembered: its report comes at the very end.
        (_, exit) =>
          Effect.sync(() => {
            if (exit._tag === "Success" || !Cause.hasInterrupts(exit.cause)) fates.delete(fate)
          })
      )),
    endIsDone: () => {
      done = true
    },
    interrupted: Effect.gen(function*() {
      view.clear()
      if (done) return true
      const stopped: ReadonlyArray<Pick<Fate, "describe"> & Partial<Fate>> = fates.size === 0
        ? [{ describe: Effect.succeed({ what: "interrupted", advice: "Run it again." }) }]
        : Array.from(fates)
      for (const { describe, subject } of stopped) {
        const { advice, details, what } = yield* describe
        if (flags.json) {
          const line = `${errorLine({ what, advice, details, reason: "Interrupted", exitCode: 130 }, subject)}\n`
          yield* stdoutIsOurs ? Effect.ignore(stdio.stdout.write(line)) : Effect.sync(() => stdio.stderr.write(line))
        } else stdio.stderr.write(lines(stdio, about(subject, what), advice))
      }
      return false
    })
  }
})

/** Reports failures one by one; then the command fails with the exit code of all of them. */
export const finish = (problems: ReadonlyArray<Problem>): Effect.Effect<void, Reported> =>
  problems.length === 0
    ? Effect.void
    : Effect.fail(
      new Reported({ exitCode: ExitCode.ofAll(problems.map(({ exitCode }) => exitCode)) })
    )

export type CommandError = Problem | Reported | FileIoError.FileIoError | OutputClosed
