/** The options of the server as the environment gives them. */
import * as Variable from "@effect-fileio/core/Variable"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Path from "node:path"

const optional = <A>(name: string, parse: Variable.Parse<A>) => Variable.optional(`FILEIO_SERVER_${name}`, parse)
const withDefault = <A>(name: string, parse: Variable.Parse<A>, standard: A) =>
  Variable.withDefault(`FILEIO_SERVER_${name}`, parse, standard)
const secret = (name: string) => Variable.secret(`FILEIO_SERVER_${name}`)

const { address, bytes, duration, flag, text, words } = Variable
// Port 0 takes a free one.
const port = Variable.integer(0, 65_535)
const count = Variable.integer(1)
const countOrNone = Variable.noneOr(count)

const nullIfNone = <A>(value: A | "none"): A | null => value === "none" ? null : value

/** The port after the public one, unless it is said otherwise; a free one where that is free too. */
const admin = Config.all({
  host: withDefault("ADMIN_HOST", text, "127.0.0.1"),
  port: optional("ADMIN_PORT", Variable.noneOr(port)),
  next: withDefault("PORT", port, 8080)
}).pipe(
  Config.map(({ host, next, port = next === 0 || next === 65_535 ? 0 : next + 1 }) =>
    port === "none" ? undefined : { host, port }
  )
)

export const options = Config.all({
  host: withDefault("HOST", text, "127.0.0.1"),
  port: withDefault("PORT", port, 8080),
  dataDirectory: withDefault("DATA", text, "data"),
  catalog: secret("CATALOG"),
  blobs: secret("BLOBS"),
  rateCounter: secret("RATE_COUNTER"),
  publicUrl: optional("PUBLIC_URL", address),
  accountsFile: optional("ACCOUNTS", text),
  anonymousPlan: withDefault("ANONYMOUS_PLAN", text, "free"),
  anonymousRateLimit: Config.map(withDefault("ANONYMOUS_RATE", countOrNone, 10), nullIfNone),
  trustedProxies: optional("TRUSTED_PROXIES", words),
  allowedOrigins: optional("ALLOWED_ORIGINS", words),
  grace: optional("GRACE", duration),
  maxBrokenDownloads: optional("MAX_BROKEN_DOWNLOADS", count),
  sweepInterval: optional("SWEEP_INTERVAL", duration),
  removeOrphans: optional("REMOVE_ORPHANS", flag),
  engineTimeout: optional("ENGINE_TIMEOUT", duration),
  idleTimeout: optional("IDLE_TIMEOUT", duration),
  headersTimeout: optional("HEADERS_TIMEOUT", duration),
  minimumRate: optional("MIN_RATE", bytes),
  minimumRatePatience: optional("MIN_RATE_PATIENCE", duration),
  maxConnections: optional("MAX_CONNECTIONS", count),
  maxConnectionsPerAddress: Config.map(optional("MAX_CONNECTIONS_PER_ADDRESS", countOrNone), nullIfNone),
  drainTimeout: optional("DRAIN_TIMEOUT", duration),
  maxDrainBytes: optional("MAX_DRAIN", bytes),
  minFreeBytes: optional("MIN_FREE", bytes),
  admin,
  gracefulShutdownTimeout: withDefault("SHUTDOWN_TIMEOUT", duration, Duration.seconds(20)),
  accounts: Config.map(
    Config.all({ apiKey: secret("API_KEY"), plan: withDefault("API_KEY_PLAN", text, "premium") }),
    ({ apiKey, plan }) => apiKey === undefined ? [] : [{ name: "default", apiKey, plan }]
  )
}).pipe(
  Config.map((options) => ({
    ...options,
    accountsFile: options.accountsFile ?? Path.join(options.dataDirectory, "accounts.json")
  }))
)
