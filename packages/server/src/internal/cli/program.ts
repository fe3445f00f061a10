/** The commands of the program. Flags are another way to write the environment's names, so all is checked in one place. */
import { InvalidVariable } from "@effect-fileio/core/Variable"
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import type * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import { parseArgs, type ParseArgsConfig } from "node:util"
import * as Accounts from "../../Accounts.ts"
import * as FileIoServer from "../../FileIoServer.ts"

/** Flag, form of its value, meaning. The environment's name of `--idle-timeout` is `FILEIO_SERVER_IDLE_TIMEOUT`. */
const FLAGS = [
  ["host", "ADDRESS", "address to listen on (127.0.0.1)"],
  ["port", "PORT", "port to listen on; 0 takes a free one (8080)"],
  ["data", "FOLDER", "folder of everything that is kept (./data)"],
  ["catalog", "ADDRESS", "postgresql://… for the catalog (SQLite in the data folder)"],
  ["blobs", "ADDRESS", "s3://bucket?endpoint=… for the bytes (a folder in the data folder)"],
  ["rate-counter", "ADDRESS", "redis://… for the counting of requests (memory)"],
  ["engine-timeout", "TIME", "how long PostgreSQL or S3 may be silent (10 seconds)"],
  ["public-url", "URL", "base of the links, where a proxy stands before it (its own address)"],
  ["accounts", "FILE", "accounts, keys and plans (accounts.json in the data folder)"],
  ["anonymous-plan", "NAME", "plan of those without a key (free)"],
  ["anonymous-rate", "N|none", "requests a second of one address without a key (10)"],
  ["trusted-proxies", "LIST", "addresses and networks whose X-Forwarded-* is believed (none)"],
  ["allowed-origins", "LIST", "origins whose pages may call from a browser (none)"],
  ["admin-host", "ADDRESS", "address of /healthz and /metrics (127.0.0.1)"],
  ["admin-port", "PORT|none", "port of /healthz and /metrics (the next one)"],
  ["grace", "TIME", "time to resume a broken download (30 seconds)"],
  ["max-broken-downloads", "N", "broken downloads of a file that do not count (100)"],
  ["sweep-interval", "TIME", "time between two sweeps (15 seconds)"],
  ["remove-orphans", "", "remove stored bytes of no file, also if they are many (no)"],
  ["idle-timeout", "TIME", "how long a connection may be silent (2 minutes)"],
  ["headers-timeout", "TIME", "how long the headers of a request may take (30 seconds)"],
  ["shutdown-timeout", "TIME", "how long transfers may go on after SIGTERM (20 seconds)"],
  ["min-rate", "BYTES", "bytes a second that a transfer must make on average; 0B: any (1KiB)"],
  ["min-rate-patience", "TIME", "how long a transfer may stand still (1 minute)"],
  ["max-connections", "N", "connections at a time (4096)"],
  ["max-connections-per-address", "N|none", "connections of one address that is no trusted proxy (256)"],
  ["drain-timeout", "TIME", "how long a body is still read after an early answer (10 seconds)"],
  ["max-drain", "BYTES", "bytes that are read so (64MiB)"],
  ["min-free", "BYTES", "free bytes that uploads leave on the disk (128MiB)"]
] as const

const help = `fileio-server: the file.io API over SQLite and a folder

  fileio-server [flags]                       serves
  fileio-server keys create ACCOUNT [--plan NAME] [flags]
                                              makes a key and shows it once; makes the account too
  fileio-server keys list [flags]             lists accounts and the names of their keys
  fileio-server keys revoke ID [flags]        takes the key of that name away

Flags, each also as FILEIO_SERVER_… in the environment (--public-url is FILEIO_SERVER_PUBLIC_URL):
${FLAGS.map(([name, form, meaning]) => `  ${`--${name} ${form}`.padEnd(38)}${meaning}`).join("\n")}
  --help                                this
  --version                             the version

Times are written as "30 seconds", "30s" or "PT30S", bytes as "128MiB", switches as "yes" or "no". A list is separated by commas. The environment also takes one key
without a file: FILEIO_SERVER_API_KEY, with its plan in FILEIO_SERVER_API_KEY_PLAN (premium).
`

/** What was written on the command line cannot be done. */
class Usage extends Schema.TaggedError<Usage>("@effect-fileio/server/internal/Usage")("Usage", {
  problem: Schema.String
}) {
  override get message() {
    return `${this.problem}; see fileio-server --help`
  }
}

interface Parsed {
  readonly words: ReadonlyArray<string>
  readonly help: boolean
  readonly version: boolean
  readonly plan: string | undefined
  /** What the flags say, under the environment's names. */
  readonly environment: Readonly<Record<string, string>>
}

const parse = (args: ReadonlyArray<string>): Effect.Effect<Parsed, Usage> =>
  Effect.try({
    try: () => {
      const text = { type: "string" } as const
      const { positionals, values } = parseArgs<ParseArgsConfig>({
        args: [...args],
        allowPositionals: true,
        options: {
          ...Object.fromEntries(FLAGS.map(([name, form]) => [name, form === "" ? { type: "boolean" } : text])),
          plan: text,
          help: { type: "boolean", short: "h" },
          version: { type: "boolean" }
        }
      })
      const environment: Record<string, string> = {}
      for (const [name] of FLAGS) {
        const value = values[name]
        if (typeof value === "string" || value === true) {
          environment[`FILEIO_SERVER_${name.toUpperCase().replaceAll("-", "_")}`] = String(value)
        }
      }
      return {
        words: positionals,
        help: values["help"] === true,
        version: values["version"] === true,
        plan: typeof values["plan"] === "string" ? values["plan"] : undefined,
        environment
      }
    },
    catch: (cause) => new Usage({ problem: (cause instanceof Error ? cause.message : "unknown flag").split(". ")[0]! })
  })

const serve = Effect.gen(function*() {
  const { anonymousPlan, dataDirectory } = yield* FileIoServer.config
  const { adminUrl, publicUrl, url } = yield* FileIoServer.FileIoServer
  const links = publicUrl === url ? "" : `, links ${publicUrl}`
  const admin = adminUrl === undefined ? "" : `, admin on ${adminUrl}`
  yield* Console.log(`file.io on ${url}${links}${admin}, data in ${dataDirectory}, anonymous plan ${anonymousPlan}`)
  return yield* Effect.never
})

const accountsFile = Effect.map(FileIoServer.config, ({ accountsFile }) => accountsFile!)

const createKey = Effect.fnUntraced(function*(account: string, plan: string | undefined) {
  const path = yield* accountsFile
  const known = FileIoServer.knownPlans(yield* Accounts.load(path))
  if (plan !== undefined && !known.includes(plan)) return yield* new FileIoServer.UnknownPlan({ plan, known })
  const { key } = yield* Accounts.createKey(path, { account, plan })
  yield* Console.error(`A key of ${account}, shown this once:`)
  yield* Console.log(Redacted.value(key))
})

const listKeys = Effect.gen(function*() {
  const { accounts } = yield* Accounts.load(yield* accountsFile)
  for (const { keys, name, plan } of accounts) {
    const named = keys.map(({ created, id }) => `${id} (${DateTime.formatIsoDateUtc(created)})`)
    yield* Console.log(`${name}\t${plan}\t${named.length === 0 ? "no key" : named.join(", ")}`)
  }
})

const revokeKey = Effect.fnUntraced(function*(id: string) {
  // Whoever gives the whole key means its name.
  const account = yield* Accounts.revokeKey(yield* accountsFile, id.split(".")[0]!)
  yield* Console.log(`the key ${id.split(".")[0]!} of ${account} is revoked`)
})

type Failure = Usage | FileIoServer.StartError | Config.ConfigError

const run = Effect.fnUntraced(function*({ plan, words }: Parsed): Effect.fn.Return<void, Failure> {
  const [command, action, subject, ...more] = words
  if (command === undefined || (command === "serve" && action === undefined)) {
    return yield* Effect.provide(serve, FileIoServer.layerConfig())
  }
  if (command === "keys" && more.length === 0) {
    if (action === "create" && subject !== undefined) {
      return yield* Effect.provide(createKey(subject, plan), NodeCrypto.layerSecureRandom)
    }
    if (action === "list" && subject === undefined) return yield* listKeys
    if (action === "revoke" && subject !== undefined) return yield* revokeKey(subject)
  }
  return yield* new Usage({ problem: `there is no command ${words.join(" ")}` })
})

const version = Effect.sync(() => {
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8")
  return (JSON.parse(text) as { readonly version: string }).version
})

/** What was given as a flag is called by the flag. */
const ofFlag = (error: Config.ConfigError, flags: Parsed["environment"]): Config.ConfigError =>
  error instanceof InvalidVariable && error.variable in flags
    ? new InvalidVariable(
      error.variable.replace("FILEIO_SERVER_", "--").toLowerCase().replaceAll("_", "-"),
      error.problem
    )
    : error

/** Runs the program; what went wrong is one line on the error output. */
export const main = (
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string | undefined>>
): void => {
  const program = Effect.gen(function*() {
    const parsed = yield* parse(args)
    if (parsed.help) return yield* Console.log(help.trimEnd())
    if (parsed.version) return yield* Console.log(yield* version)
    const env = { ...environment, ...parsed.environment } as Record<string, string>
    yield* Effect.provideService(run(parsed), ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })).pipe(
      Effect.catchTag("ConfigError", (error) => Effect.fail(ofFlag(error, parsed.environment)))
    )
  }).pipe(
    Effect.tapError((error) => Console.error(`fileio-server: ${error.message}`))
  )
  // SIGINT and SIGTERM interrupt: nothing new is accepted, and running transfers have the shutdown time. To be told to
  // stop is no failure.
  NodeRuntime.runMain(program, {
    disableErrorReporting: true,
    teardown: (exit, onExit) => Exit.hasInterrupts(exit) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
  })
}
