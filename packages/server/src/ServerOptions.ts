/**
 * The options of the server, in one table for the options of the layers, the variables of `config`, the flags and the `--help`
 * of `fileio-server`, and the list in the README. A test compares the README and the comments here with the table.
 *
 * @since 0.1.0
 */
import type { DurationInput } from "@effect-fileio/core/DurationInput"
import * as Variable from "@effect-fileio/core/Variable"
import * as Config from "effect/Config"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Path from "node:path"
import type * as ApiKeys from "./ApiKeys.ts"
import type * as Engines from "./Engines.ts"
import { open, row } from "./internal/shared/optionRow.ts"
import type * as Plans from "./Plans.ts"

/**
 * What callers without a key may do: upload and download, only download, or nothing.
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
  /** Port to listen on; 0 takes a free one. @default 0; program: 8080 */
  readonly port?: number | undefined
  /**
   * Base of the links that the server gives. A request names an address by `Host`, or by a trusted proxy's `X-Forwarded-Host` and
   * `-Proto`.
   *
   * @default the address that the request names
   */
  readonly publicUrl?: string | URL | undefined
  /** Accounts and their keys. @default none */
  readonly accounts?: ReadonlyArray<ApiKeys.AccountOptions> | undefined
  /**
   * File of accounts, keys and plans; see `Accounts`. It may be created later.
   *
   * @default none; program: accounts.json in the data folder
   */
  readonly accountsFile?: string | undefined
  /** Plans beside `free` and `premium`, or other limits for these. */
  readonly plans?: Readonly<Record<string, Plans.Options>> | undefined
  /** What callers without a key may do: upload and download, only download, or nothing. @default uploads */
  readonly anonymous?: Anonymous | undefined
  /** Name of the plan of callers without a key. @default premium; program: free */
  readonly anonymousPlan?: string | undefined
  /** Requests per second of one address without a key; `null`: no limit. @default none; program: 10 */
  readonly anonymousRateLimit?: number | null | undefined
  /** File of contents (by SHA-256) and addresses that are refused; see `Blocklist`. @default none */
  readonly blocklist?: string | undefined
  /** Longest life of a file that comes or changes from now on, whatever its plan says. @default what the plan says */
  readonly maxLife?: DurationInput | undefined
  /**
   * Addresses and networks, such as `10.0.0.0/8`, of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` the server trusts.
   *
   * @default none
   */
  readonly trustedProxies?: ReadonlyArray<string> | undefined
  /**
   * Hosts that requests may name, such as `share.example` (with any port) or `10.0.0.5:8080`; others get a 421. @default all
   */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /** Origins whose pages may call from a browser, such as `https://app.example`; `*` is any. @default none */
  readonly allowedOrigins?: ReadonlyArray<string> | undefined
  /** How long the receiver may resume a broken download before others can have the file. @default 30 seconds */
  readonly grace?: DurationInput | undefined
  /**
   * Downloads of a file that may break without being counted. Later ones count from their first byte, so that nobody can read
   * the file uncounted any number of times.
   *
   * @default 100
   */
  readonly maxBrokenDownloads?: number | undefined
  /** How long a broken upload can be resumed; its bytes count against the plan meanwhile. @default 1 hour */
  readonly uploadLifetime?: DurationInput | undefined
  /** Time between sweeps, which remove ended files. @default 15 seconds */
  readonly sweepInterval?: DurationInput | undefined
  /**
   * Whether to remove orphaned bytes even if they are a large part of the store; by default the server takes that as a sign of
   * a wrong catalog, and keeps them.
   *
   * @default no
   */
  readonly removeOrphans?: boolean | undefined
  /** How long a connection may be idle. @default 2 minutes */
  readonly idleTimeout?: DurationInput | undefined
  /** How long the headers of a request may take. @default 30 seconds */
  readonly headersTimeout?: DurationInput | undefined
  /**
   * Minimum average rate of a transfer in bytes per second, in either direction; 0: any rate. A download whose bytes go out
   * more slowly, or stop for longer than `minimumRatePatience` and `grace`, is given back, however often its receiver resumes
   * it; and so is one that takes longer than the whole file at this rate.
   *
   * @default 4KiB
   */
  readonly minimumRate?: number | undefined
  /** How long a transfer that was fast enough may stop. @default 1 minute */
  readonly minimumRatePatience?: DurationInput | undefined
  /** Concurrent connections; more get a 503. @default 4096 */
  readonly maxConnections?: number | undefined
  /**
   * Concurrent connections of one address (IPv6: one /64); more get a 429. Trusted proxies are exempt. `null`: no limit.
   *
   * @default 1024
   */
  readonly maxConnectionsPerAddress?: number | null | undefined
  /**
   * How long the server reads and discards a body after an early response, so that the client can read the response; then it
   * closes the connection.
   *
   * @default 10 seconds
   */
  readonly drainTimeout?: DurationInput | undefined
  /** Bytes that it discards after an early response. @default 64MiB */
  readonly maxDrainBytes?: number | undefined
  /**
   * Bytes of memory that all connections share for large buffers; when it is used up, transfers use small ones.
   *
   * @default 32MiB
   */
  readonly bufferMemory?: number | undefined
  /**
   * Free bytes that uploads must leave on the disk, at least 2 MiB; an upload that would leave less gets a 507.
   * @default 128MiB
   */
  readonly minFreeBytes?: number | undefined
  /** File that gets a line of JSON for each request, without keys and names of files. @default none */
  readonly accessLog?: string | undefined
  /** File that gets a line of JSON for each upload, change, download, deletion and change of keys. @default none */
  readonly auditLog?: string | undefined
  /** Whether these two have addresses; else hashes of them, with a key that is in the data folder. @default no */
  readonly logAddresses?: boolean | undefined
  /** Where to serve `/healthz` and `/metrics`, without a key. @default nowhere; program: the next port */
  readonly admin?: { readonly host?: string | undefined; readonly port?: number | undefined } | undefined
  /** How long running transfers may continue when the server stops. @default 1 second; program: 20 seconds */
  readonly gracefulShutdownTimeout?: DurationInput | undefined
}

/**
 * How a server listens, what it allows, and where it keeps its files.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options extends TemporaryOptions {
  /** Folder for everything that the server stores; created if missing. */
  readonly dataDirectory: string
}

/**
 * An option as a flag and a variable: its form, its meaning and its default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Row<A> {
  /** Flag, without the dashes. The variable is `FILEIO_SERVER_` and the flag in capitals. */
  readonly flag: string
  /** Placeholder of the value in `--help`; empty if the flag takes none. */
  readonly form: string
  /** Meaning, for `--help` and the README. */
  readonly meaning: string
  readonly parse: Variable.Parse<A>
  /** Default, as written in the variable; or words for what happens without it. */
  readonly standard: { readonly text: string } | { readonly words: string }
  /** Default of an embedded server, if different. */
  readonly embedded?: { readonly text: string } | { readonly words: string }
}

const { address, bytes, duration, flag, text, words } = Variable
const secret: Variable.Parse<Redacted.Redacted> = (value) => Result.succeed(Redacted.make(value))
const count = Variable.integer(1)
const nullable = <A>(parse: Variable.Parse<A>): Variable.Parse<A | null> => (value) =>
  Result.map(Variable.noneOr(parse)(value), (read) => read === "none" ? null : read)
// Port 0 takes a free one.
const port = Variable.integer(0, 65_535)

/**
 * All options that can be written as a flag or a variable.
 *
 * @category models
 * @since 0.1.0
 */
export const table = {
  host: row("host", "ADDRESS", text, "127.0.0.1", "address to listen on"),
  port: row("port", "PORT", port, "8080", "port to listen on; 0 takes a free one", { text: "0" }),
  dataDirectory: row("data", "FOLDER", text, "data", "folder for everything that the server stores"),
  catalog: open(
    "catalog",
    "ADDRESS",
    secret,
    "SQLite in the data folder",
    "postgresql://… for the catalog; several divide it into shards"
  ),
  blobs: open("blobs", "ADDRESS", secret, "a folder in the data folder", "s3://bucket?endpoint=… for the bytes"),
  rateCounter: open("rate-counter", "ADDRESS", secret, "memory", "redis://… for the rate limits"),
  engineTimeout: row(
    "engine-timeout",
    "TIME",
    duration,
    "10 seconds",
    "how long PostgreSQL or S3 may take to respond; then the call gets a 503"
  ),
  publicUrl: open(
    "public-url",
    "URL",
    address,
    "the address that the request names",
    "base of the links; with https: responses have HSTS"
  ),
  accountsFile: open("accounts", "FILE", text, "accounts.json in the data folder", "file of accounts, keys and plans", {
    words: "none"
  }),
  anonymous: row(
    "anonymous",
    "uploads|downloads|none",
    Variable.oneOf("uploads", "downloads", "none"),
    "uploads",
    "what callers without a key may do: upload and download, only download, or nothing"
  ),
  anonymousPlan: row("anonymous-plan", "NAME", text, "free", "plan of callers without a key", { text: "premium" }),
  anonymousRateLimit: row(
    "anonymous-rate",
    "N|none",
    nullable(count),
    "10",
    "requests per second of one address (IPv6: one /64) without a key",
    { text: "none" }
  ),
  blocklist: open("blocklist", "FILE", text, "none", "file of refused contents (by SHA-256) and addresses"),
  maxLife: open("max-life", "TIME", duration, "what the plan says", "longest life of a file, whatever its plan allows"),
  trustedProxies: open(
    "trusted-proxies",
    "LIST",
    words,
    "none",
    "addresses and networks whose X-Forwarded-For, -Proto and -Host are trusted"
  ),
  allowedHosts: open("allowed-hosts", "LIST", words, "all", "hosts that requests may name; others get a 421"),
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
  grace: row("grace", "TIME", duration, "30 seconds", "how long the receiver may resume a broken download"),
  maxBrokenDownloads: row(
    "max-broken-downloads",
    "N",
    count,
    "100",
    "downloads of a file that may break without being counted; later ones count from their first byte"
  ),
  uploadLifetime: row(
    "upload-lifetime",
    "TIME",
    duration,
    "1 hour",
    "how long a broken upload can be resumed; its bytes count against the plan meanwhile"
  ),
  sweepInterval: row(
    "sweep-interval",
    "TIME",
    duration,
    "15 seconds",
    "time between sweeps; with the grace time it bounds how long bytes of ended files stay"
  ),
  removeOrphans: row(
    "remove-orphans",
    "",
    flag,
    "no",
    "remove orphaned bytes even if they are many; for one start"
  ),
  idleTimeout: row("idle-timeout", "TIME", duration, "2 minutes", "how long a connection may be idle"),
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
    "4KiB",
    "minimum average rate of a transfer in bytes per second, both ways; 0B: any"
  ),
  minimumRatePatience: row(
    "min-rate-patience",
    "TIME",
    duration,
    "1 minute",
    "how long a transfer that was fast enough may stop"
  ),
  maxConnections: row("max-connections", "N", count, "4096", "concurrent connections; more get a 503"),
  maxConnectionsPerAddress: row(
    "max-connections-per-address",
    "N|none",
    nullable(count),
    "1024",
    "concurrent connections of one address (IPv6: one /64) other than a trusted proxy; more get a 429"
  ),
  drainTimeout: row(
    "drain-timeout",
    "TIME",
    duration,
    "10 seconds",
    "how long the server reads and discards a body after an early response such as a 413"
  ),
  maxDrainBytes: row("max-drain", "BYTES", bytes, "64MiB", "bytes that it discards after an early response"),
  bufferMemory: row(
    "buffer-memory",
    "BYTES",
    bytes,
    "32MiB",
    "memory that all connections share for large buffers; when it is used up, transfers use small ones"
  ),
  minFreeBytes: row(
    "min-free",
    "BYTES",
    bytes,
    "128MiB",
    "free bytes that uploads must leave on the disk, at least 2MiB"
  ),
  accessLog: open(
    "access-log",
    "FILE",
    text,
    "none",
    "file for a JSON line per request, without keys and names of files"
  ),
  auditLog: open(
    "audit-log",
    "FILE",
    text,
    "none",
    "file for a JSON line per upload, change, download, deletion and change of keys"
  ),
  logAddresses: row("log-addresses", "", flag, "no", "write addresses to these logs, instead of their hashes"),
  gracefulShutdownTimeout: row(
    "shutdown-timeout",
    "TIME",
    duration,
    "20 seconds",
    "how long running transfers may continue after SIGTERM",
    { text: "1 second" }
  )
}

type Table = typeof table
type Value<R> = R extends { readonly parse: Variable.Parse<infer A> } ? A : never
/** Value of an option that is not given: `undefined` if its default is only words. */
type Standard<R> = R extends { readonly standard: { readonly text: string } } ? Value<R> : Value<R> | undefined
type Defaults = { readonly [Name in keyof Table]: Standard<Table[Name]> }

const parsed = <A>({ parse }: Row<A>, standard: Row<A>["standard"]): A | undefined =>
  "text" in standard ? Result.getOrThrow(parse(standard.text)) : undefined

const defaultsOf = (of: (row: Row<unknown>) => Row<unknown>["standard"]): Defaults =>
  Object.fromEntries(
    Object.entries<Row<unknown>>(table).map(([name, row]) => [name, parsed(row, of(row))])
  ) as unknown as Defaults

/**
 * Defaults of an embedded server.
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
 * Fills in the defaults of the options that are not given.
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
 * Name of an option's environment variable.
 *
 * @category operations
 * @since 0.1.0
 */
export const variableOf = ({ flag }: Row<unknown>): string => `FILEIO_SERVER_${flag.toUpperCase().replaceAll("-", "_")}`

/**
 * Default of an option of the program, as shown in `--help`.
 *
 * @category operations
 * @since 0.1.0
 */
export const programDefaultText = ({ standard }: Pick<Row<unknown>, "standard">): string =>
  "text" in standard ? standard.text : standard.words

/**
 * Plan of the account that `FILEIO_SERVER_API_KEY` defines.
 *
 * @category constants
 * @since 0.1.0
 */
export const API_KEY_PLAN = "premium"

/**
 * The account that `FILEIO_SERVER_API_KEY` defines, without a file.
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
 * Options from the environment, with the program's defaults.
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
