/** The services that a command runs with, and the handling of its failures. */
import * as RateLimit from "@effect-fileio/client/RateLimit"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Flags from "./flags.ts"
import * as Problem from "./problem.ts"
import * as Report from "./report.ts"
import { BaseUrlFlag, CurrentNetworkFlags, type NetworkFlags } from "./settings.ts"
import { Stdio } from "./stdio.ts"
import * as Text from "./text.ts"

export declare namespace Services {
  /** Services of the platform that a command needs. */
  type Platform = Stdio | FileSystem.FileSystem | Path.Path | ChildProcessSpawner
  /** Services that the program provides. */
  type Provided = Platform | Context.Service.Identifier<typeof Current>
  type Requirements = Provided | Context.Service.Identifier<(typeof Flags.all)[number]>
  type Failure = Problem.Reported
}

export type Runner<I> = (
  input: I
) => Effect.Effect<void, Report.CommandError, Services.Platform | Report.Report | Scope.Scope>

/** The report of the running command, so that the handler of a signal can say what became of its transfers. */
export interface Current {
  report: Report.Report | undefined
}

export const Current = Context.Service<Current>("@effect-fileio/cli/Current")

const logger = (stdio: Stdio, report: Report.Report) =>
  Logger.make<unknown, void>(({ logLevel, message }) => {
    const text = (Array.isArray(message) ? message : [message]).map(String).join(" ")
    report.view.clear()
    stdio.stderr.write(`  ${logLevel.toLowerCase()}: ${Text.visible(text)}\n`)
  })

const waiting = (report: Report.Report) => (wait: RateLimit.Waiting) => {
  const window = Duration.toMillis(wait.window)
  const rate = window === 1000 ? `${wait.limit}/s` : `${wait.limit} in ${Text.seconds(window)}`
  return report.view.waiting(
    wait.reason === "limit" ? `the account's limit of ${rate}` : "the host, which responded 429",
    Duration.toMillis(wait.expected)
  )
}

export const provide = Effect.fnUntraced(function*<E extends Report.CommandError>(
  command: string,
  effect: Effect.Effect<void, E, Services.Platform | Report.Report | Scope.Scope>
): Effect.fn.Return<void, Problem.Reported, Services.Requirements> {
  const flags: Report.Flags = {
    json: yield* Flags.Json,
    quiet: yield* Flags.Quiet,
    verbose: yield* Flags.Verbose
  }
  const stdio = yield* Stdio
  const current = yield* Current
  const baseUrl = Option.getOrUndefined(yield* Flags.BaseUrl)
  const network: NetworkFlags = {
    cacert: Option.getOrUndefined(yield* Flags.CaCert),
    cert: Option.getOrUndefined(yield* Flags.Cert),
    certKey: Option.getOrUndefined(yield* Flags.CertKey),
    proxy: Option.getOrUndefined(yield* Flags.Proxy),
    header: yield* Flags.Header,
    unixSocket: Option.getOrUndefined(yield* Flags.UnixSocket)
  }
  yield* Effect.scoped(Effect.gen(function*() {
    const report = yield* Report.make(command, flags)
    current.report = report
    yield* effect.pipe(
      Effect.catch((error) => reportError(report, error)),
      Effect.provideService(Report.Report, report),
      Effect.provideService(BaseUrlFlag, baseUrl),
      Effect.provideService(CurrentNetworkFlags, network),
      Effect.provideService(RateLimit.CurrentOnWait, waiting(report)),
      Effect.provideService(Logger.CurrentLoggers, new Set(flags.verbose ? [logger(stdio, report)] : [])),
      Effect.provideService(References.MinimumLogLevel, flags.verbose ? "Debug" : "Warn")
    )
  }))
})

const reportError = Effect.fnUntraced(function*(report: Report.Report, error: Report.CommandError) {
  if (error._tag === "Reported") return yield* error
  // The reader closed the pipe, as "head" does when it has read enough.
  if (error._tag === "OutputClosed" && error.code === "EPIPE") return
  const problem = toProblem(error)
  yield* report.problem(problem)
  return yield* new Problem.Reported({ exitCode: problem.exitCode })
})

/** Converts any failure for the command line. */
export const toProblem = (error: Exclude<Report.CommandError, Problem.Reported>): Problem.Problem =>
  FileIoError.isFileIoError(error)
    ? Problem.fromError(error)
    : error._tag === "OutputClosed"
    ? Problem.local(`cannot write to standard output (${error.code})`, "Check its destination.", error.cause)
    : error
