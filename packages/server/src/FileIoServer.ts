/**
 * A server for the file.io API over SQLite and a folder: a layer to embed, with nothing else to install.
 *
 * **Details**
 *
 * - A download counts when its last byte was handed over. A broken one gives the file back after a grace time, in which only
 *   the receiver may resume it (`Range` with `If-Range` and the `ETag` of its first response). An upload with
 *   `countFrom=first-byte` makes its downloads count as soon as they begin.
 * - A file with replaced content is available again: its downloads start over, and receivers of the old content get the rest of
 *   it. Deleting a file breaks its downloads.
 * - PATCH keeps settings that are not given; PUT resets expiry, downloads, deletion and title to their defaults. Both keep the
 *   content unless a file is given.
 * - A setting beyond the plan is a `402`, a size beyond it a `413`; both have `limit`, `asked` and `allowed` (bytes, downloads,
 *   or seconds of life).
 * - An anonymous file is deleted once it is used up or expired, even if `autoDelete` is false: nobody could ever ask for it
 *   again.
 *
 * **Example** (A server for the length of a scope)
 *
 * ```ts
 * import { FileIoServer } from "@effect-fileio/server"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const { url } = yield* FileIoServer.FileIoServer
 *   yield* Effect.log(`listening on ${url}`)
 * }).pipe(Effect.provide(FileIoServer.layerTemporary()))
 * ```
 *
 * @since 0.1.0
 */
import * as Variable from "@effect-fileio/core/Variable"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpPlatform from "@effect/platform-node/NodeHttpPlatform"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Etag from "effect/http/Etag"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { networkInterfaces } from "node:os"
import * as Accounts from "./Accounts.ts"
import * as ApiKeys from "./ApiKeys.ts"
import type * as Blobs from "./Blobs.ts"
import * as Blocklist from "./Blocklist.ts"
import type * as Catalog from "./Catalog.ts"
import * as DataFolder from "./DataFolder.ts"
import * as DiskSpace from "./DiskSpace.ts"
import * as Engines from "./Engines.ts"
import * as Health from "./Health.ts"
import * as Leases from "./internal/handlers/leases.ts"
import * as Forwarded from "./internal/http/forwarded.ts"
import * as LinkBase from "./internal/http/linkBase.ts"
import * as Listener from "./internal/http/listener.ts"
import { Settings } from "./internal/http/settings.ts"
import * as Journal from "./internal/ops/journal.ts"
import * as Spans from "./internal/ops/spans.ts"
import { type Complete, complete } from "./internal/options/completeOptions.ts"
import * as Admin from "./internal/routes/admin.ts"
import * as Control from "./internal/routes/control.ts"
import * as Routes from "./internal/routes/routes.ts"
import * as DrawnRandom from "./internal/shared/drawnRandom.ts"
import * as MemoryBudget from "./internal/shared/memoryBudget.ts"
import * as Terms from "./internal/shared/terms.ts"
import type { LogError } from "./Logs.ts"
import * as Plans from "./Plans.ts"
import * as ServerOptions from "./ServerOptions.ts"
import * as Sweeper from "./Sweeper.ts"

/**
 * A running server.
 *
 * @category services
 * @since 0.1.0
 */
export class FileIoServer extends Context.Service<FileIoServer, {
  /** Its address, without a trailing slash, such as `http://127.0.0.1:41235`. */
  readonly url: string
  /** All addresses at which the server can be reached: with a wildcard host, `url` and those that other machines can use. */
  readonly urls: ReadonlyArray<string>
  readonly port: number
  /** Base of the links, unless there is no `publicUrl` and the request names another address of this server. */
  readonly publicUrl: string
  /** Address of `/healthz` and `/metrics`, if they are served. */
  readonly adminUrl: string | undefined
}>()("@effect-fileio/server/FileIoServer") {}

/**
 * An option has an invalid value.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>("@effect-fileio/server/InvalidOption")(
  "InvalidOption",
  { option: Schema.String, problem: Schema.String }
) {
  override get message() {
    return `${this.option}: ${this.problem}`
  }
}

/**
 * The server cannot listen on its address.
 *
 * @category errors
 * @since 0.1.0
 */
export class ListenError extends Schema.TaggedError<ListenError>("@effect-fileio/server/ListenError")("ListenError", {
  host: Schema.String,
  port: Schema.Finite,
  problem: Schema.String,
  advice: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `cannot listen on ${this.host}:${this.port}: ${this.problem}; ${this.advice}`
  }
}

const LISTEN_PROBLEMS: Readonly<Record<string, readonly [problem: string, advice: string]>> = {
  EADDRINUSE: ["the port is taken", "give another port (0 takes a free one), or stop the program that has it"],
  EACCES: ["this user may not have the port", "give a port from 1024 on"],
  EADDRNOTAVAIL: ["this machine has no such address", "give one of its own, or 0.0.0.0 for all of them"],
  ENOTFOUND: ["there is no such name", "give an address of this machine, or 0.0.0.0 for all of them"]
}

const toListenError = (host: string, port: number) => ({ cause }: HttpServerError.ServeError): ListenError => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
  const [problem, advice] = LISTEN_PROBLEMS[code] ?? [code || "it failed", "give another address or port"]
  return new ListenError({ host, port, problem, advice, cause })
}

/**
 * Why a server cannot start.
 *
 * @category errors
 * @since 0.1.0
 */
export type StartError =
  | Plans.UnknownPlan
  | InvalidOption
  | Engines.EngineError
  | Engines.StoreMismatch
  | Accounts.AccountsError
  | LogError
  | Blocklist.BlocklistError
  | DataFolder.DataFolderError
  | Catalog.CatalogError
  | Blobs.BlobsError
  | ListenError

/** A client cannot connect to a wildcard address. */
const reachable = (host: string): string =>
  host === "0.0.0.0" || host === "::" || host === "" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host

/** The addresses of this machine that others can use, for a wildcard host. */
const others = (host: string): ReadonlyArray<string> => {
  if (host !== "0.0.0.0" && host !== "::" && host !== "") return []
  const all = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses)
  return all
    // A link-local address needs the name of the interface, which differs between machines.
    .filter(({ address, family, internal }) =>
      !internal && !address.startsWith("fe80:") && (family === "IPv4" || host !== "0.0.0.0")
    )
    .map(({ address }) => reachable(address))
}

class AdminPort extends Context.Service<AdminPort, {
  readonly url: string | undefined
}>()("@effect-fileio/server/FileIoServer/AdminPort") {}

const service = (options: Complete) =>
  Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    const { url: adminUrl } = yield* AdminPort
    const port = "port" in address ? address.port : 0
    const url = `http://${reachable(options.host)}:${port}`
    const given = options.publicUrl === undefined ? undefined : Variable.address(String(options.publicUrl))
    if (given !== undefined && Result.isFailure(given)) {
      return yield* new InvalidOption({ option: "publicUrl", problem: `it cannot be read; allowed: ${given.failure}` })
    }
    const publicUrl = given === undefined ? url : given.success.href.replace(/\/+$/, "")
    const urls = [url, ...others(options.host).map((host) => `http://${host}:${port}`)]
    return FileIoServer.of({ url, urls, port, publicUrl, adminUrl })
  })

const checkAccounts = (accounts: ReadonlyArray<ApiKeys.AccountOptions>) =>
  Effect.forEach(accounts, ({ apiKey, name }) => {
    const problem = ApiKeys.nameProblem(name) ?? ApiKeys.keyProblem(Redacted.value(apiKey))
    return problem === undefined
      ? Effect.void
      : new InvalidOption({ option: `accounts: ${JSON.stringify(name)}`, problem })
  }, { discard: true })

/** Plans and keys, from the options and from the file of accounts; the options take precedence. */
const makeAccounts = ({ accounts = [], accountsFile, anonymousPlan, maxLife, plans }: Complete) =>
  Layer.unwrap(Effect.gen(function*() {
    yield* checkAccounts(accounts)
    const used = [anonymousPlan, ...accounts.map(({ plan = "free" }) => plan)]
    if (accountsFile !== undefined) return Accounts.layer(accountsFile, { accounts, maxLife, plans, used })
    const all = Plans.make(plans, { maxLife })
    yield* Plans.check(all, used)
    return Layer.merge(ApiKeys.layer(accounts), Layer.succeed(Plans.Plans, all))
  }))

const parseProxies = (options: Complete) =>
  Effect.fromResult(Result.mapError(
    Forwarded.parseProxies(options.trustedProxies ?? []),
    (entry) => new InvalidOption({ option: "trustedProxies", problem: `${entry} is no address and no network` })
  ))

/** Accepts connections only when requests can be handled. */
const makeListener = (options: Complete) =>
  Layer.unwrap(Effect.map(parseProxies(options), (proxies) => {
    const idle = Duration.toMillis(options.idleTimeout)
    return Listener.layer({
      idle,
      headers: Duration.toMillis(options.headersTimeout),
      // Longer than proxies keep a connection, so that the server never closes one that a proxy is about to use.
      keepAlive: Math.min(idle, 75_000),
      connections: options.maxConnections,
      connectionsPerAddress: options.maxConnectionsPerAddress ?? Infinity,
      proxies,
      rate: options.minimumRate,
      patience: Duration.toMillis(options.minimumRatePatience),
      drain: Duration.toMillis(options.drainTimeout),
      drainBytes: options.maxDrainBytes
    }, {
      host: options.host,
      port: options.port,
      gracefulShutdownTimeout: options.gracefulShutdownTimeout
    }).pipe(Layer.catch((error) => Layer.effectContext(Effect.fail(toListenError(options.host, options.port)(error)))))
  }))

const makeAdmin = ({ admin, adminHost }: Complete) =>
  Layer.effect(
    AdminPort,
    Effect.gen(function*() {
      if (admin === undefined) return { url: undefined }
      const { connections } = yield* Listener.Listening
      const host = admin.host ?? adminHost
      const wanted = admin.port ?? 0
      const port = yield* Effect.mapError(
        Admin.serve({ host, port: wanted }, connections),
        toListenError(host, wanted)
      )
      return { url: `http://${reachable(host)}:${port}` }
    })
  )

const makeSettings = (options: Complete) =>
  Layer.effect(
    Settings,
    Effect.gen(function*() {
      const { publicUrl, url } = yield* FileIoServer
      const proxies = yield* parseProxies(options)
      return {
        baseOf: LinkBase.make({ publicUrl: options.publicUrl === undefined ? undefined : publicUrl, url, proxies }),
        isHostAllowed: LinkBase.makeAllowed(options.allowedHosts ?? [], proxies),
        proxies,
        anonymous: options.anonymous,
        anonymousPlan: options.anonymousPlan,
        anonymousRateLimit: options.anonymousRateLimit,
        uploadLifetime: Duration.toMillis(options.uploadLifetime),
        grace: Duration.toMillis(options.grace),
        allowedOrigins: new Set(options.allowedOrigins ?? [])
      }
    })
  )

const makeJournal = (options: Complete) =>
  Layer.unwrap(Effect.map(parseProxies(options), (proxies) =>
    Journal.layer({
      accessLog: options.accessLog,
      auditLog: options.auditLog,
      logAddresses: options.logAddresses,
      addressOf: (request) => Forwarded.addressOf(request, proxies)
    })))

/** The catalog's reserve, which no upload may use after it was released. */
const LEAST_FREE_BYTES = 2 * 1024 ** 2

const make = (options: Complete, isControlled: boolean) => {
  const stores = Layer.mergeAll(
    Layer.provideMerge(Leases.layer, Health.layer),
    Sweeper.layer({ interval: options.sweepInterval, removeOrphans: options.removeOrphans })
  ).pipe(
    Layer.provideMerge(Layer.mergeAll(
      Engines.stores(options, Terms.of(options)),
      Engines.rateCounter(options),
      options.blobs !== undefined && options.catalog !== undefined
        ? DiskSpace.layerUnlimited
        : DiskSpace.layer({
          floor: Math.max(options.minFreeBytes, LEAST_FREE_BYTES),
          holdsBlobs: options.blobs === undefined
        })
    )),
    Layer.provide(DrawnRandom.layer)
  )
  return HttpRouter.serve(Routes.layer, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide([makeSettings(options), Spans.layerNoUrls]),
    Layer.provide(makeAccounts(options)),
    Layer.provideMerge(Layer.effect(FileIoServer, service(options))),
    Layer.provide(Layer.provide(makeAdmin(options), Spans.layerNoUrls)),
    Layer.provide(isControlled ? Layer.provide(Layer.effectDiscard(Control.serve), Spans.layerNoUrls) : Layer.empty),
    Layer.provide(makeListener(options)),
    // Not all of `NodeServices`: an embedded server leaves the terminal alone.
    Layer.provide([
      NodeHttpPlatform.layer,
      Etag.layerWeak,
      NodeFileSystem.layer,
      NodePath.layer,
      DrawnRandom.layer
    ]),
    // Below the services that write to it, so that nothing is lost at the end.
    Layer.provide(makeJournal(options)),
    Layer.provide(options.blocklist === undefined ? Blocklist.layerNone : Blocklist.layer(options.blocklist)),
    // Below the listener, so that sweeping and recovery finish before the first request, and the catalog closes after the last
    // one.
    Layer.provide(stores),
    Layer.provide(Layer.sync(MemoryBudget.MemoryBudget, () => MemoryBudget.make(options.bufferMemory)))
  )
}

const makeComplete = (given: ServerOptions.TemporaryOptions, isControlled: boolean) =>
  Layer.unwrap(Effect.map(Effect.fromResult(complete(given)), (options) => make(options, isControlled)))

/**
 * A server with persistent files in `dataDirectory`, until the scope closes. Needs only Node.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: ServerOptions.Options): Layer.Layer<FileIoServer, StartError> =>
  makeComplete(options, true).pipe(Layer.provide(DataFolder.layer(options.dataDirectory)))

/**
 * A server for tests and examples, in a temporary folder that is removed when the scope closes. By default callers without a
 * key have the plan `premium`, and one address may have any number of connections.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTemporary = (options: ServerOptions.TemporaryOptions = {}): Layer.Layer<FileIoServer, StartError> =>
  makeComplete({ maxConnectionsPerAddress: null, ...options }, false).pipe(
    Layer.provide(DataFolder.layerTemporary)
  )

/**
 * A server whose options come from `Config`; by default from the environment (see `ServerOptions.config`).
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<ServerOptions.Options> = ServerOptions.config
): Layer.Layer<FileIoServer, StartError | Config.ConfigError> => Layer.unwrap(Effect.map(Config.unwrap(options), layer))
