/**
 * The commands of `fileio-server`. A flag sets a variable, so `ServerOptions` parses and checks each value in one place.
 */
import * as DurationInput from "@effect-fileio/core/DurationInput"
import { InvalidVariable } from "@effect-fileio/core/Variable"
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Argument from "effect/cli/Argument"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Otlp from "effect/observability/Otlp"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import { readFileSync } from "node:fs"
import { setFlagsFromString } from "node:v8"
import * as Accounts from "../../Accounts.ts"
import * as FileIoServer from "../../FileIoServer.ts"
import type { AuditEvent } from "../../Logs.ts"
import * as ServerOptions from "../../ServerOptions.ts"
import * as Journal from "../ops/journal.ts"
import * as Logging from "./logging.ts"
import * as Operate from "./operate.ts"

const rows = [...Object.values<ServerOptions.Row<unknown>>(ServerOptions.table), ...Logging.rows]

/** The last value of a repeated flag wins. */
const last = (values: ReadonlyArray<string>): string | undefined => values.at(-1)

const flagOf = (row: ServerOptions.Row<unknown>): Flag.Flag<string | undefined> => {
  const description = `${row.meaning} (${ServerOptions.programDefaultText(row)})`
  return row.form === ""
    ? Flag.Boolean(row.flag).pipe(
      Flag.withoutNegation,
      Flag.withDescription(description),
      Flag.optional,
      Flag.map((value) => Option.getOrElse(value, () => false) ? "yes" : undefined)
    )
    : Flag.String(row.flag).pipe(
      Flag.withMetavar(row.form),
      Flag.withDescription(description),
      Flag.atLeast(0),
      Flag.map(last)
    )
}

const flags = Object.fromEntries(rows.map((row) => [row.flag, flagOf(row)]))

const serve = Effect.gen(function*() {
  const { anonymousPlan, dataDirectory, gracefulShutdownTimeout } = yield* ServerOptions.config
  const { adminUrl, publicUrl, url, urls } = yield* FileIoServer.FileIoServer
  const also = urls.length > 1 ? `, also on ${urls.slice(1).join(", ")}` : ""
  const links = publicUrl === url ? "" : `, links ${publicUrl}`
  const admin = adminUrl === undefined ? "" : `, admin on ${adminUrl}`
  yield* Logging.say(
    `file.io on ${url}${also}${links}${admin}, data in ${dataDirectory}, anonymous plan ${anonymousPlan}`
  )
  const patience = Duration.format(DurationInput.parseOptionUnsafe("gracefulShutdownTimeout", gracefulShutdownTimeout!))
  return yield* Effect.onInterrupt(
    Effect.never,
    () => Effect.orDie(Logging.say(`stopping: running transfers have at most ${patience}`))
  )
})

const accountsFile = Effect.map(ServerOptions.config, ({ accountsFile }) => accountsFile!)

/** This process changes the file of keys, whether or not a server runs. */
const audit = (event: AuditEvent) =>
  Effect.flatMap(
    ServerOptions.config,
    ({ auditLog }) => auditLog === undefined ? Effect.void : Journal.append(auditLog, event)
  )

const createKey = Effect.fnUntraced(function*(account: string, plan: string | undefined) {
  const { id, key } = yield* Accounts.createKey(yield* accountsFile, { account, plan })
  yield* Console.error(`A key of ${account}, shown this once:`)
  yield* Console.log(Redacted.value(key))
  yield* audit({ event: "key-created", account, key: id, by: "operator" })
})

const listKeys = Effect.gen(function*() {
  const { accounts } = yield* Accounts.load(yield* accountsFile)
  for (const { keys, name, plan } of accounts) {
    const named = keys.map(({ created, id }) => `${id} (${DateTime.formatIsoDateUtc(created)})`)
    yield* Console.log(`${name}\t${plan}\t${named.length === 0 ? "no key" : named.join(", ")}`)
  }
})

const revokeKey = Effect.fnUntraced(function*(id: string) {
  // A whole key stands for its id.
  const account = yield* Accounts.revokeKey(yield* accountsFile, id.split(".")[0]!)
  yield* audit({ event: "key-revoked", account, key: id.split(".")[0]!, by: "operator" })
  yield* Console.log(`the key ${id.split(".")[0]!} of ${account} is revoked`)
})

/** Defaults of OpenTelemetry's variables; without an address nothing is sent. */
const TELEMETRY = {
  OTEL_TRACES_EXPORTER: "otlp",
  OTEL_METRICS_EXPORTER: "otlp",
  OTEL_LOGS_EXPORTER: "otlp",
  OTEL_SERVICE_NAME: "fileio-server"
}

const telemetry = Otlp.layerFromConfig().pipe(
  Layer.provide([OtlpSerialization.layerJson, FetchHttpClient.layer])
)

/** The variables that the flags set. */
const environmentOf = (given: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> =>
  Object.fromEntries(rows.flatMap((row) => {
    const value = given[row.flag]
    return value === undefined ? [] : [[ServerOptions.variableOf(row), value]]
  }))

/** An error in a flag names the flag, not its variable. */
const namesFlag = (flags: Readonly<Record<string, string>>) => (error: Config.ConfigError) => {
  const row = error instanceof InvalidVariable && error.variable in flags
    ? rows.find((row) => ServerOptions.variableOf(row) === error.variable)
    : undefined
  return row === undefined ? error : new InvalidVariable(`--${row.flag}`, (error as InvalidVariable).problem)
}

const makeRoot = (environment: Readonly<Record<string, string | undefined>>) => {
  const root = Command.make("fileio-server").pipe(Command.withSharedFlags(flags))

  /** Runs a command with the variables, which the flags override. */
  const withFlags = <A, E, R>(
    given: Readonly<Record<string, string | undefined>>,
    command: Effect.Effect<A, E | Config.ConfigError, R>
  ) => {
    const env = environmentOf(given)
    return Effect.provideService(
      Effect.provide(command, Logging.layer),
      ConfigProvider.ConfigProvider,
      ConfigProvider.fromEnv({ env: { ...TELEMETRY, ...environment, ...env } as Record<string, string> })
    ).pipe(Effect.mapError((error) => error instanceof Config.ConfigError ? namesFlag(env)(error) : error))
  }
  const configured = <A, E, R>(command: Effect.Effect<A, E | Config.ConfigError, R>) =>
    Effect.flatMap(root, (given) => withFlags(given, command))

  const runServer = Effect.suspend(() =>
    Effect.provide(serve, Layer.provideMerge(FileIoServer.layerConfig(), telemetry))
  )
  const keys = Command.make("keys", {}, () => Effect.fail(new Operate.Usage({ problem: "there is no command keys" })))
    .pipe(
      Command.withDescription("API keys: keys create ACCOUNT, keys list, keys revoke ID"),
      Command.withSubcommands([
        Command.make(
          "create",
          {
            account: Argument.String("ACCOUNT"),
            plan: Flag.String("plan").pipe(
              Flag.withMetavar("NAME"),
              Flag.withDescription("plan of a new account, or a new plan of an existing one"),
              Flag.optional
            )
          },
          ({ account, plan }) =>
            configured(createKey(account, Option.getOrUndefined(plan))).pipe(
              Effect.provide(NodeCrypto.layerSecureRandom)
            )
        ).pipe(
          Command.withDescription("Creates a key and shows it once; creates a missing account")
        ),
        Command.make("list", {}, () => configured(listKeys)).pipe(
          Command.withDescription("Lists accounts and the ids of their keys")
        ),
        Command.make("revoke", { id: Argument.String("ID") }, ({ id }) => configured(revokeKey(id))).pipe(
          Command.withDescription("Revokes the key with that id")
        )
      ])
    )

  return root.pipe(
    Command.withHandler((given) => withFlags(given, runServer)),
    Command.withDescription("A server for the file.io API over SQLite and a folder. Serves if no command is given."),
    Command.withSubcommands([
      Command.make("serve", {}, () => configured(runServer)).pipe(
        Command.withDescription("Serves, the default command")
      ),
      keys,
      ...Operate.make<Command.CommandContext<"fileio-server">>(configured)
    ])
  )
}

const NOTES = `

VARIABLES
  Each flag is also a variable: --public-url is FILEIO_SERVER_PUBLIC_URL. FILEIO_SERVER_API_KEY takes one key without a
  file, with its plan in FILEIO_SERVER_API_KEY_PLAN (${ServerOptions.API_KEY_PLAN}).

VALUES
  Times are written as "30 seconds", "30s" or "PT30S", bytes as "128MiB", switches as "yes" or "no", lists with commas.`

/** Joins lines; effect/cli writes each suggestion on its own line. */
const oneLine = (text: string): string =>
  text.replace(/\s*Did you mean this\?\s*/, "; did you mean ").replace(/\s*\n\s*/g, ", ")

/** Help and version go to standard output; an error is one line on standard error. */
const presenter: CliOutput.Presenter = {
  present: (event) => {
    switch (event._tag) {
      case "Version":
        return Console.log(event.version)
      case "Help": {
        const help = CliOutput.defaultFormatter({ colors: false }).formatHelpDoc(event.helpDoc)
        return Console.log(event.commandPath.length === 1 ? `${help}${NOTES}` : help)
      }
      case "InvalidInvocation": {
        const what = event.errors.map(({ message }) => oneLine(message)).join("; ")
        return Console.error(`fileio-server: ${what}; see ${event.commandPath.join(" ")} --help`)
      }
    }
  }
}

const readVersion = (): string => {
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8")
  return (JSON.parse(text) as { readonly version: string }).version
}

/** The command that the arguments name; it writes to the `Console`. */
export const program = (
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string | undefined>>
): Effect.Effect<void, unknown> =>
  Command.runWith(makeRoot(environment), { version: readVersion() })(args).pipe(
    Effect.tapError((error) =>
      CliError.isCliError(error) ? Effect.void : Console.error(`fileio-server: ${error.message}`)
    ),
    Effect.tapDefect((defect) => Console.error(`fileio-server: unexpected: ${String(defect)}; please report it`)),
    Effect.provideService(CliOutput.Presenter, presenter),
    Effect.provideService(CliConfig.CliConfig, { builtIns: [GlobalFlag.Help, GlobalFlag.Version] }),
    Effect.provide(NodeServices.layer)
  )

/** Runs the program. It ends with 0 after `SIGINT` and `SIGTERM`, and with 1 after an error. */
export const main = (
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string | undefined>>
): void => {
  // On a machine with much memory V8 lets garbage grow to several times the live heap, and never returns it: a flood of
  // pipelined requests left 535 MiB, and with this setting 250.
  setFlagsFromString("--heap-growing-percent=60")
  // A signal interrupts: the server accepts nothing new, and running transfers have the shutdown time. That is no failure.
  NodeRuntime.runMain(program(args, environment), {
    disableErrorReporting: true,
    teardown: (exit, onExit) => Exit.hasInterrupts(exit) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
  })
}
