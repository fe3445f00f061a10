/**
 * The options of the server: one table, from which come the options of the layers, the variables of `FileIoServer.config`, the flags
 * and the `--help` of `fileio-server`, and the README's list. A test compares the README and the comments here with the table.
 *
 * @since 0.1.0
 */
import * as Variable from "@effect-fileio/core/Variable"
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Path from "node:path"
import type * as ApiKeys from "./ApiKeys.ts"
import type * as Engines from "./Engines.ts"
import type * as Plans from "./Plans.ts"

/**
 * What those without a key may do: upload and download, only download, or nothing.
 *
 * @category models
 * @since 0.1.0
 */
export type Anonymous = "uploads" | "downloads" | "none"

/**
 * How a server listens, and what it allows.
 *
 * @category options
 * @since 0.1.0
 */
export interface TemporaryOptions extends Engines.Options {
  /** Address to listen on. @default 127.0.0.1 */
  readonly host?: string | undefined
  /** Port to listen on; 0 takes a free one. @default 0; of the program 8080 */
  readonly port?: number | undefined
  /** Base of the links that the server gives, where a proxy stands before it. @default its own address */
  readonly publicUrl?: string | URL | undefined
  /** Who may call with a key. @default nobody */
  readonly accounts?: ReadonlyArray<ApiKeys.AccountOptions> | undefined
  /**
   * File of accounts, keys and plans; see `Accounts`. One that is not there yet may come later.
   *
   * @default none; of the program accounts.json in the data folder
   */
  readonly accountsFile?: string | undefined
  /** Plans beside `free` and `premium`, or other limits for these. */
  readonly plans?: Readonly<Record<string, Partial<Plans.Plan>>> | undefined
  /** What those without a key may do: upload and download, only download, or nothing. @default uploads */
  readonly anonymous?: Anonymous | undefined
  /** Name of the plan of those without a key. @default free */
  readonly anonymousPlan?: string | undefined
  /** Requests of one address without a key in any second; `null`: no limit. @default none; of the program 10 */
  readonly anonymousRateLimit?: number | null | undefined
  /**
   * Addresses and networks, such as `10.0.0.0/8`, of proxies that may say by `X-Forwarded-For` and `-Proto` on whose
   * behalf they ask.
   *
   * @default none
   */
  readonly trustedProxies?: ReadonlyArray<string> | undefined
  /** Origins whose pages may call from a browser, such as `https://app.example`; `*` is any. @default none */
  readonly allowedOrigins?: ReadonlyArray<string> | undefined
  /** How long the receiver may resume a download that broke, before it is given to others. @default 30 seconds */
  readonly grace?: Duration.Input | undefined
  /**
   * Downloads of a file that may break without being counted. The ones after that count from their first byte, so that nobody
   * can read the file without a trace any number of times.
   *
   * @default 100
   */
  readonly maxBrokenDownloads?: number | undefined
  /** Time between two sweeps of what has ended. @default 15 seconds */
  readonly sweepInterval?: Duration.Input | undefined
  /**
   * Whether stored bytes that no file has are removed also where they are a large part of all; else a server takes that for the
   * mark of a wrong catalog, and keeps them.
   *
   * @default no
   */
  readonly removeOrphans?: boolean | undefined
  /** How long a connection may be silent. @default 2 minutes */
  readonly idleTimeout?: Duration.Input | undefined
  /** How long the headers of a request may take. @default 30 seconds */
  readonly headersTimeout?: Duration.Input | undefined
  /**
   * Bytes a second that a transfer must make on average, in either direction; 0: any rate will do. A download is given back, however often
   * its receiver resumes it, after the time that the file takes at this rate, and `minimumRatePatience` and `grace` more.
   *
   * @default 1KiB
   */
  readonly minimumRate?: number | undefined
  /** How long a transfer may stand still that had been fast enough. @default 1 minute */
  readonly minimumRatePatience?: Duration.Input | undefined
  /** Connections at a time. @default 4096 */
  readonly maxConnections?: number | undefined
  /**
   * Connections of one address (of IPv6, one /64) at a time; those beyond get a 429. Trusted proxies have no such limit;
   * `null`: nobody has.
   *
   * @default 1024
   */
  readonly maxConnectionsPerAddress?: number | null | undefined
  /**
   * How long what still comes is read and discarded when a request was answered before its body ended, so that its sender
   * can read the answer; then the connection is closed.
   *
   * @default 10 seconds
   */
  readonly drainTimeout?: Duration.Input | undefined
  /** Bytes that are discarded so. @default 64MiB */
  readonly maxDrainBytes?: number | undefined
  /**
   * Bytes of memory that all connections share for large buffers; without any left, transfers go on with small ones.
   *
   * @default 32MiB
   */
  readonly bufferMemory?: number | undefined
  /** Bytes of the disk that uploads leave free, at least 2 MiB; below, they are refused with a 507. @default 128MiB */
  readonly minFreeBytes?: number | undefined
  /** Where to serve `/healthz` and `/metrics`, without a key. @default nowhere; of the program the next port */
  readonly admin?: { readonly host?: string | undefined; readonly port?: number | undefined } | undefined
  /** How long running transfers may go on when the server is told to stop. @default 1 second; of the program 20 seconds */
  readonly gracefulShutdownTimeout?: Duration.Input | undefined
}

/**
 * How a server listens, what it allows, and where it keeps its files.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options extends TemporaryOptions {
  /** Folder for everything the server keeps; it is created if it is not there. */
  readonly dataDirectory: string
}

/**
 * An option: how people write it, and what it is where nobody gives it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Row<A> {
  /** Its flag, without the dashes; its variable is `FILEIO_SERVER_` and the same in capitals. */
  readonly flag: string
  /** What a value looks like; empty where the flag stands alone. */
  readonly form: string
  /** What it does, for `--help` and the README. */
  readonly meaning: string
  readonly parse: Variable.Parse<A>
  /** Its default, as it would be written in the variable; or words for what happens without it. */
  readonly standard: { readonly text: string } | { readonly words: string }
  /** The default of an embedded server, where that is another one. */
  readonly embedded?: { readonly text: string } | { readonly words: string }
}

const { address, bytes, duration, flag, text, words } = Variable
const secret: Variable.Parse<Redacted.Redacted> = (value) => Result.succeed(Redacted.make(value))
const count = Variable.integer(1)
const nullable = <A>(parse: Variable.Parse<A>): Variable.Parse<A | null> => (value) =>
  Result.map(Variable.noneOr(parse)(value), (read) => read === "none" ? null : read)
// Port 0 takes a free one.
const port = Variable.integer(0, 65_535)

const row = <A>(
  flag: string,
  form: string,
  parse: Variable.Parse<A>,
  standard: string,
  meaning: string,
  embedded?: Row<A>["embedded"]
): Row<A> & { readonly standard: { readonly text: string } } => ({
  flag,
  form,
  meaning,
  parse,
  standard: { text: standard },
  ...(embedded === undefined ? {} : { embedded })
})

const open = <A>(
  flag: string,
  form: string,
  parse: Variable.Parse<A>,
  standard: string,
  meaning: string,
  embedded?: Row<A>["embedded"]
): Row<A> & { readonly standard: { readonly words: string } } => ({
  flag,
  form,
  meaning,
  parse,
  standard: { words: standard },
  ...(embedded === undefined ? {} : { embedded })
})

/**
 * All options that can be written as a flag or a variable.
 *
 * @category models
 * @since 0.1.0
 */
export const table = {
  host: row("host", "ADDRESS", text, "127.0.0.1", "address to listen on"),
  port: row("port", "PORT", port, "8080", "port to listen on; 0 takes a free one", { text: "0" }),
  dataDirectory: row("data", "FOLDER", text, "data", "folder of everything that is kept"),
  catalog: open("catalog", "ADDRESS", secret, "SQLite in the data folder", "postgresql://… for the catalog"),
  blobs: open("blobs", "ADDRESS", secret, "a folder in the data folder", "s3://bucket?endpoint=… for the bytes"),
  rateCounter: open("rate-counter", "ADDRESS", secret, "memory", "redis://… for the counting of requests"),
  engineTimeout: row(
    "engine-timeout",
    "TIME",
    duration,
    "10 seconds",
    "how long PostgreSQL or S3 may be silent before a call is a 503"
  ),
  publicUrl: open(
    "public-url",
    "URL",
    address,
    "its own address",
    "base of the links, where a proxy stands before it; with https: the answers have HSTS"
  ),
  accountsFile: open("accounts", "FILE", text, "accounts.json in the data folder", "file of accounts, keys and plans", {
    words: "none"
  }),
  anonymous: row(
    "anonymous",
    "uploads|downloads|none",
    Variable.oneOf("uploads", "downloads", "none"),
    "uploads",
    "what those without a key may do: upload and download, only download, or nothing"
  ),
  anonymousPlan: row("anonymous-plan", "NAME", text, "free", "plan of those without a key"),
  anonymousRateLimit: row(
    "anonymous-rate",
    "N|none",
    nullable(count),
    "10",
    "requests a second of one address (of IPv6, one /64) without a key",
    { text: "none" }
  ),
  trustedProxies: open(
    "trusted-proxies",
    "LIST",
    words,
    "none",
    "addresses and networks whose X-Forwarded-For and -Proto are believed"
  ),
  allowedOrigins: open(
    "allowed-origins",
    "LIST",
    words,
    "none",
    "origins whose pages may call from a browser (CORS); * is any"
  ),
  adminHost: row("admin-host", "ADDRESS", text, "127.0.0.1", "address of /healthz and /metrics"),
  adminPort: open("admin-port", "PORT|none", nullable(port), "the next one", "port of /healthz and /metrics", {
    words: "none"
  }),
  grace: row("grace", "TIME", duration, "30 seconds", "how long the receiver may resume a download that broke"),
  maxBrokenDownloads: row(
    "max-broken-downloads",
    "N",
    count,
    "100",
    "downloads of a file that may break without being counted; those after that count from their first byte"
  ),
  sweepInterval: row(
    "sweep-interval",
    "TIME",
    duration,
    "15 seconds",
    "time between two sweeps; with the grace time it bounds how long ended bytes stay"
  ),
  removeOrphans: row(
    "remove-orphans",
    "",
    flag,
    "no",
    "remove stored bytes of no file also where they are many; for one start"
  ),
  idleTimeout: row("idle-timeout", "TIME", duration, "2 minutes", "how long a connection may be silent"),
  headersTimeout: row(
    "headers-timeout",
    "TIME",
    duration,
    "30 seconds",
    "how long the headers of a request may take"
  ),
  minimumRate: row(
    "min-rate",
    "BYTES",
    bytes,
    "1KiB",
    "bytes a second that a transfer must make on average, both ways; 0B: any"
  ),
  minimumRatePatience: row(
    "min-rate-patience",
    "TIME",
    duration,
    "1 minute",
    "how long a transfer may stand still that had been fast enough"
  ),
  maxConnections: row("max-connections", "N", count, "4096", "connections at a time; those beyond get a 503"),
  maxConnectionsPerAddress: row(
    "max-connections-per-address",
    "N|none",
    nullable(count),
    "1024",
    "connections of one address (of IPv6, one /64) that is no trusted proxy; those beyond get a 429"
  ),
  drainTimeout: row(
    "drain-timeout",
    "TIME",
    duration,
    "10 seconds",
    "how long a body is still read, and discarded, after an early answer such as a 413"
  ),
  maxDrainBytes: row("max-drain", "BYTES", bytes, "64MiB", "bytes that are discarded after an early answer"),
  bufferMemory: row(
    "buffer-memory",
    "BYTES",
    bytes,
    "32MiB",
    "memory that all connections share for large buffers; without any left, transfers go on with small ones"
  ),
  minFreeBytes: row("min-free", "BYTES", bytes, "128MiB", "free bytes that uploads leave on the disk, at least 2MiB"),
  gracefulShutdownTimeout: row(
    "shutdown-timeout",
    "TIME",
    duration,
    "20 seconds",
    "how long running transfers may go on after SIGTERM",
    { text: "1 second" }
  )
}

type Table = typeof table
type Value<R> = R extends { readonly parse: Variable.Parse<infer A> } ? A : never
/** What an option is where nobody gives it: nothing, if only words say what happens then. */
type Standard<R> = R extends { readonly standard: { readonly text: string } } ? Value<R> : Value<R> | undefined
type Defaults = { readonly [Name in keyof Table]: Standard<Table[Name]> }

const parsed = <A>({ parse }: Row<A>, standard: Row<A>["standard"]): A | undefined =>
  "text" in standard ? Result.getOrThrow(parse(standard.text)) : undefined

const defaultsOf = (of: (row: Row<unknown>) => Row<unknown>["standard"]): Defaults =>
  Object.fromEntries(
    Object.entries<Row<unknown>>(table).map(([name, row]) => [name, parsed(row, of(row))])
  ) as unknown as Defaults

/**
 * What the options of an embedded server are where they are not given.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaults: Defaults = /* @__PURE__ */ defaultsOf((row) => row.embedded ?? row.standard)

const programDefaults = defaultsOf((row) => row.standard)

type Completed<A, B> = {
  readonly [Name in keyof A | keyof B]: Name extends keyof B
    ? (Name extends keyof A ? B[Name] | Exclude<A[Name], undefined> : B[Name])
    : (Name extends keyof A ? A[Name] : never)
}

/**
 * The options that are given, and the defaults of the others.
 *
 * @category operations
 * @since 0.1.0
 */
export const withDefaults = <A extends object, B extends object>(given: A, defaults: B): Completed<A, B> =>
  ({
    ...defaults,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  }) as unknown as Completed<A, B>

/**
 * The variable of an option.
 *
 * @category operations
 * @since 0.1.0
 */
export const variableOf = ({ flag }: Row<unknown>): string => `FILEIO_SERVER_${flag.toUpperCase().replaceAll("-", "_")}`

const shownDefault = (standard: Row<unknown>["standard"]): string => "text" in standard ? standard.text : standard.words

/**
 * The default of an option of the program, as people are shown it.
 *
 * @category operations
 * @since 0.1.0
 */
export const programDefaultText = ({ standard }: Pick<Row<unknown>, "standard">): string => shownDefault(standard)

/**
 * The default of an option, of the program and embedded, as people are shown it.
 *
 * @category operations
 * @since 0.1.0
 */
export const defaultText = ({ embedded, standard }: Pick<Row<unknown>, "embedded" | "standard">): string =>
  embedded === undefined
    ? shownDefault(standard)
    : `${shownDefault(standard)}; embedded: ${shownDefault(embedded)}`

/**
 * The default of an option of the layers, as their comments show it.
 *
 * @category operations
 * @since 0.1.0
 */
export const embeddedDefaultText = ({ embedded, standard }: Pick<Row<unknown>, "embedded" | "standard">): string =>
  embedded === undefined
    ? shownDefault(standard)
    : `${shownDefault(embedded)}; of the program ${shownDefault(standard)}`

/**
 * Plan of the account that the environment gives without a file.
 *
 * @category constants
 * @since 0.1.0
 */
export const API_KEY_PLAN = "premium"

/**
 * The account that the environment gives without a file.
 *
 * @category config
 * @since 0.1.0
 */
export const account: Config.Config<ReadonlyArray<ApiKeys.AccountOptions>> = Config.map(
  Config.all({
    apiKey: Variable.secret("FILEIO_SERVER_API_KEY"),
    plan: Variable.withDefault("FILEIO_SERVER_API_KEY_PLAN", text, API_KEY_PLAN)
  }),
  ({ apiKey, plan }) => apiKey === undefined ? [] : [{ name: "default", apiKey, plan }]
)

type Given = { readonly [Name in keyof Table]?: Value<Table[Name]> | undefined }

const variables = Config.all(Object.fromEntries(
  Object.entries<Row<unknown>>(table).map(([name, row]) => [name, Variable.optional(variableOf(row), row.parse)])
)) as unknown as Config.Config<Given>

/**
 * The options as the environment gives them, with the defaults of the program.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<Options> = Config.map(
  Config.all({ variables, accounts: account }),
  ({ accounts, variables }): Options => {
    const { adminHost, adminPort, ...options } = withDefaults(variables, programDefaults)
    const next = options.port === 0 || options.port === 65_535 ? 0 : options.port + 1
    return {
      ...options,
      accounts,
      accountsFile: options.accountsFile ?? Path.join(options.dataDirectory, "accounts.json"),
      admin: adminPort === null ? undefined : { host: adminHost, port: adminPort ?? next }
    }
  }
)
