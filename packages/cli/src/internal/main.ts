/** Runs the program, from its arguments to its exit code. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as ExitCode from "../ExitCode.ts"
import * as JsonLine from "../JsonLine.ts"
import { root } from "./commands.ts"
import { Reported } from "./problem.ts"
import { Current } from "./services.ts"
import * as Stdio from "./stdio.ts"
import * as Text from "./text.ts"

/** How long transfers may take to stop after a signal. */
const GRACE = "800 millis"

const VARIABLES = [
  ["FILEIO_BASE_URL", "address of the host"],
  ["FILEIO_API_KEY", "key of the account"],
  ["FILEIO_API_KEY_COMMAND", "a command that prints the key"],
  ["FILEIO_EXPIRES", "default of --expires"],
  ["FILEIO_MAX_DOWNLOADS", "default of --max-downloads"],
  ["FILEIO_ENCRYPT", "link: upload encrypts by default, as with --encrypt"],
  ["FILEIO_PASSPHRASE", "the passphrase of encrypted files"],
  ["FILEIO_CONFIG", "path of the configuration file"],
  ["FILEIO_CONNECT_TIMEOUT", "how long connecting may take, such as 30 seconds"],
  ["FILEIO_FIRST_BYTE_TIMEOUT", "how long to wait for a response"],
  ["FILEIO_IDLE_TIMEOUT", "how long a transfer may be idle"],
  ["FILEIO_ALLOW_INSECURE_KEY", "send the key over plain HTTP beyond this machine"],
  ["HTTPS_PROXY, HTTP_PROXY", "proxies, for hosts that are not in NO_PROXY; in lower case too"],
  ["FILEIO_PROXY", "another proxy, as --proxy"],
  ["FILEIO_CA_CERT", "a file of certificate authorities to trust, as --cacert"],
  ["FILEIO_CLIENT_CERT", "a file with a client certificate, as --cert"],
  ["FILEIO_CLIENT_KEY", "a file with its key, as --cert-key"],
  ["FILEIO_CLIENT_KEY_PASSPHRASE", "the passphrase of that key"],
  ["FILEIO_HEADERS", "extra headers, one Name: value per line"],
  ["FILEIO_SOCKET_PATH", "a unix socket, as --unix-socket"],
  ["NO_COLOR", "no colours"]
] as const

const section = (title: string, rows: ReadonlyArray<readonly [string | number, string]>): string => {
  const width = Math.max(...rows.map(([name]) => String(name).length)) + 4
  return `\n\n${title}\n${rows.map(([name, meaning]) => `  ${String(name).padEnd(width)}${meaning}`).join("\n")}`
}

/** `fileio help upload` is `fileio upload --help`. */
const withHelp = (args: ReadonlyArray<string>): ReadonlyArray<string> =>
  args[0] === "help" ? [...args.slice(1), "--help"] : args

/** `--sort -created`: a field in reverse is not a cluster of flags. */
const withSortField = (args: ReadonlyArray<string>): ReadonlyArray<string> =>
  args.flatMap((arg, index) =>
    arg === "--sort" && /^-[A-Za-z]{2,}$/.test(args[index + 1] ?? "")
      ? [`--sort=${args[index + 1]}`]
      : args[index - 1] === "--sort" && /^-[A-Za-z]{2,}$/.test(arg)
      ? []
      : [arg]
  )

const wantsJson = (args: ReadonlyArray<string>): boolean => {
  const end = args.indexOf("--")
  return args.slice(0, end === -1 ? args.length : end).includes("--json")
}

/** Joins lines; effect/cli writes each suggestion on its own line. */
const oneLine = (text: string): string =>
  text.replace(/\s*Did you mean this\?\s*/, "; did you mean ").replace(/\s*\n\s*/g, ", ").replace(
    /^\w/,
    (letter) => letter.toLowerCase()
  )

const presenter = (stdio: Stdio.Stdio): CliOutput.Presenter => {
  const formatter = CliOutput.defaultFormatter({
    colors: stdio.stdout.isTerminal && (stdio.env["NO_COLOR"] ?? "") === "" && stdio.env["TERM"] !== "dumb"
  })
  return {
    present: (event) => {
      switch (event._tag) {
        case "Version":
          return Effect.ignore(stdio.stdout.write(`fileio ${event.version}\n`))
        case "Help": {
          const more = event.commandPath.length === 1
            ? section("EXIT CODES", ExitCode.table) +
              section("VARIABLES (flags override them, they override the file)", VARIABLES)
            : "\n\nThe exit codes are in \"fileio --help\"."
          const help = `${formatter.formatHelpDoc(event.helpDoc)}${more}\n`
          return event.reason === "Requested"
            ? Effect.ignore(stdio.stdout.write(help))
            : Effect.sync(() => stdio.stderr.write(help))
        }
        case "InvalidInvocation": {
          const what = event.errors.map(({ message }) => oneLine(message)).join("; ")
          const advice = `See: ${event.commandPath.join(" ")} --help`
          return tell(stdio, event.commandPath.slice(1).join(" "), "Usage", what, advice, 2)
        }
      }
    }
  }
}

const tell = (stdio: Stdio.Stdio, command: string, reason: string, what: string, advice: string, exitCode: number) =>
  Effect.promise(() => import("./report.ts")).pipe(Effect.flatMap((Report) => {
    if (!wantsJson(stdio.args)) {
      return Effect.sync(() =>
        stdio.stderr.write(Report.lines(stdio, command === "" ? what : `${command}: ${what}`, advice))
      )
    }
    const line = { v: JsonLine.VERSION, type: "error", command, reason, message: what, advice, exitCode } as const
    return Effect.ignore(stdio.stdout.write(`${JsonLine.format(line)}\n`))
  }))

const codeOf = Effect.fnUntraced(function*(stdio: Stdio.Stdio, exit: Exit.Exit<void, unknown>) {
  if (exit._tag === "Success") return 0
  const error = Cause.squash(exit.cause)
  if (error instanceof Reported) return error.exitCode
  if (CliError.isCliError(error)) return 2
  const what = error instanceof Error ? error.message : String(error)
  yield* tell(stdio, "", "Unexpected", `unexpected: ${what}`, "This is an error of fileio itself; please report it.", 1)
  if (stdio.args.includes("--verbose")) stdio.stderr.write(`${Text.visibleLines(Cause.pretty(exit.cause))}\n`)
  return 1
})

export const main = (version: string): void => {
  const stdio = Stdio.make()
  const current: Current = { report: undefined }
  const program = Command.runWith(root, { version })(withHelp(withSortField(stdio.args))).pipe(
    Effect.provideService(Current, current),
    Effect.provideService(Stdio.Stdio, stdio),
    Effect.provideService(CliOutput.Presenter, presenter(stdio)),
    Effect.provideService(CliConfig.CliConfig, { builtIns: [GlobalFlag.Help, GlobalFlag.Version] }),
    Effect.provide(NodeServices.layer)
  )
  const fiber = Effect.runFork(program)

  let stopped: Stdio.Signal | undefined
  let ending = false
  let isLate = false
  const endStopped = (signal: Stdio.Signal) => {
    if (ending) return
    ending = true
    if (current.report === undefined) {
      stdio.stderr.write("fileio: interrupted\n")
      return Stdio.exit(Stdio.signalCode[signal])
    }
    Effect.runFork(
      Effect.map(current.report.interrupted, (isDone) => Stdio.exit(isDone ? 0 : Stdio.signalCode[signal]))
    )
  }
  Stdio.onSignal((signal) => {
    // `timeout` signals twice, and npx repeats what the terminal sent, so only a later signal ends the program at once.
    if (isLate) return Stdio.exitNow(Stdio.signalCode[signal])
    if (stopped !== undefined) return
    stopped = signal
    fiber.interruptUnsafe()
    const late = Effect.sync(() => {
      isLate = true
      endStopped(signal)
    })
    Effect.runFork(Effect.delay(late, GRACE))
  })
  fiber.addObserver((exit) => {
    if (stopped !== undefined && exit._tag === "Failure" && Cause.hasInterrupts(exit.cause)) return endStopped(stopped)
    Effect.runFork(Effect.map(codeOf(stdio, exit), Stdio.exit))
  })
}
