/**
 * The file.io contract, served over SQLite and a folder: a layer to embed, with nothing else to install.
 *
 * **Details**
 *
 * - A download counts when its last byte was handed over; one that breaks gives the file back after a grace time, in
 *   which only the receiver may resume it (`Range` with `If-Range` and the `ETag` of its first answer). An upload with
 *   `countFrom=first-byte` makes its downloads count as soon as they begin.
 * - A file whose content is replaced is available again: its downloads start over, and who is downloading the old content gets
 *   it to its end. Downloads of a file that is deleted break off.
 * - PATCH keeps what is not given; PUT resets expiry, downloads, deletion and title to their defaults. Both keep the
 *   content unless a file is given.
 * - A setting beyond the plan is a `402`, a size beyond it a `413`; both say `limit`, `asked` and `allowed` (bytes,
 *   downloads, or seconds of life).
 * - An anonymous file is deleted once it is used up or expired, also where `autoDelete` is false: nobody could ever ask
 *   for it again.
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
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
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
import * as Accounts from "./Accounts.ts"
import * as ApiKeys from "./ApiKeys.ts"
import type * as Blobs from "./Blobs.ts"
import type * as Catalog from "./Catalog.ts"
import * as DataFolder from "./DataFolder.ts"
import * as DiskSpace from "./DiskSpace.ts"
import * as Engines from "./Engines.ts"
import * as Health from "./Health.ts"
import * as Variables from "./internal/cli/variables.ts"
import * as Leases from "./internal/handlers/leases.ts"
import * as Forwarded from "./internal/http/forwarded.ts"
import * as Http from "./internal/http/http.ts"
import * as Listener from "./internal/http/listener.ts"
import { Settings } from "./internal/http/settings.ts"
import * as Admin from "./internal/ops/admin.ts"
import * as Spans from "./internal/ops/spans.ts"
import * as Plans from "./Plans.ts"
import * as Sweeper from "./Sweeper.ts"

/**
 * A server that listens.
 *
 * @category services
 * @since 0.1.0
 */
export class FileIoServer extends Context.Service<FileIoServer, {
  /** Where it listens, without a trailing slash, such as `http://127.0.0.1:41235`. */
  readonly url: string
  readonly port: number
  /** Base of the links that it gives. */
  readonly publicUrl: string
  /** Where `/healthz` and `/metrics` are, if they are served. */
  readonly adminUrl: string | undefined
}>()("@effect-fileio/server/FileIoServer") {}

/**
 * How a server listens, and what it allows.
 *
 * @category options
 * @since 0.1.0
 */
export interface TemporaryOptions extends Engines.Options {
  /** Address to listen on. @default "127.0.0.1" */
  readonly host?: string | undefined
  /** Port to listen on; 0 takes a free one. @default 0 */
  readonly port?: number | undefined
  /** Base of the links that the server gives, where a proxy stands before it. @default its own address */
  readonly publicUrl?: string | URL | undefined
  /** Who may call with a key. @default nobody */
  readonly accounts?: ReadonlyArray<ApiKeys.AccountOptions> | undefined
  /**
   * File of accounts, keys and plans; see `Accounts`. One that is not there yet may come later.
   *
   * @default none; of the program `accounts.json` in the data folder
   */
  readonly accountsFile?: string | undefined
  /** Plans beside `free` and `premium`, or other limits for these. */
  readonly plans?: Readonly<Record<string, Partial<Plans.Plan>>> | undefined
  /** Name of the plan of those without a key. @default "free"; of a temporary server "premium" */
  readonly anonymousPlan?: string | undefined
  /** Requests of one address without a key in any second; `null`: no limit. @default null; of the program 10 */
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
   * @default false
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
   * @default 1024
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
   * @default 256; of a temporary server `null`
   */
  readonly maxConnectionsPerAddress?: number | null | undefined
  /**
   * How long what still comes is read and discarded when a request was answered before its body ended, so that its sender
   * can read the answer; then the connection is closed.
   *
   * @default 10 seconds
   */
  readonly drainTimeout?: Duration.Input | undefined
  /** Bytes that are discarded so. @default 64 MiB */
  readonly maxDrainBytes?: number | undefined
  /** Bytes of the disk that uploads leave free, at least 2 MiB; below, they are refused with a 507. @default 128 MiB */
  readonly minFreeBytes?: number | undefined
  /** Where to serve `/healthz` and `/metrics`, without a key. @default nowhere; of the program the next port */
  readonly admin?: { readonly host?: string | undefined; readonly port?: number | undefined } | undefined
  /** How long running transfers may go on when the server is told to stop. @default 1 second; of the program 20 */
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
 * An option names a plan that there is not.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownPlan extends Schema.TaggedError<UnknownPlan>("@effect-fileio/server/UnknownPlan")("UnknownPlan", {
  plan: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message() {
    return `there is no plan ${this.plan}; known: ${this.known.join(", ")}`
  }
}

/**
 * An option has a value that means nothing.
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
 * What can keep a server from starting.
 *
 * @category errors
 * @since 0.1.0
 */
export type StartError =
  | UnknownPlan
  | InvalidOption
  | Engines.EngineError
  | Engines.StoreMismatch
  | Accounts.AccountsError
  | DataFolder.DataFolderError
  | Catalog.CatalogError
  | Blobs.BlobsError
  | HttpServerError.ServeError

const millis = (input: Duration.Input | undefined, standard: Duration.Input): number =>
  Duration.toMillis(Duration.fromInputUnsafe(input ?? standard))

/** A wildcard address is none that a client can use. */
const reachable = (host: string): string =>
  host === "0.0.0.0" || host === "::" || host === "" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host

class AdminPort extends Context.Service<AdminPort, {
  readonly url: string | undefined
}>()("@effect-fileio/server/FileIoServer/AdminPort") {}

const service = (options: TemporaryOptions) =>
  Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    const { url: adminUrl } = yield* AdminPort
    const port = "port" in address ? address.port : 0
    const url = `http://${reachable(options.host ?? "127.0.0.1")}:${port}`
    const given = options.publicUrl === undefined ? undefined : Variable.address(String(options.publicUrl))
    if (given !== undefined && Result.isFailure(given)) {
      return yield* new InvalidOption({ option: "publicUrl", problem: `it cannot be read; allowed: ${given.failure}` })
    }
    const publicUrl = given === undefined ? url : given.success.href.replace(/\/+$/, "")
    return FileIoServer.of({ url, port, publicUrl, adminUrl })
  })

/**
 * The names of the plans that a server with this file of accounts has.
 *
 * @category operations
 * @since 0.1.0
 */
export const knownPlans = (accounts: Accounts.Accounts): ReadonlyArray<string> => [
  ...Plans.make(Accounts.plans(accounts)).all.keys()
]

const checkPlans = (names: ReadonlyArray<string>) =>
  Effect.flatMap(Plans.Plans, ({ all }) =>
    Effect.forEach(
      names,
      (plan) => all.has(plan) ? Effect.void : new UnknownPlan({ plan, known: [...all.keys()] }),
      { discard: true }
    ))

const checkAccounts = (accounts: ReadonlyArray<ApiKeys.AccountOptions>) =>
  Effect.forEach(accounts, ({ apiKey, name }) => {
    const problem = ApiKeys.nameProblem(name) ?? ApiKeys.keyProblem(Redacted.value(apiKey))
    return problem === undefined
      ? Effect.void
      : new InvalidOption({ option: `accounts: ${JSON.stringify(name)}`, problem })
  }, { discard: true })

/** Plans and keys, as they are given and as the file of accounts has them; what is given goes first. */
const makeAccounts = ({ accounts = [], accountsFile, anonymousPlan = "free", plans }: TemporaryOptions) =>
  Layer.unwrap(Effect.gen(function*() {
    yield* checkAccounts(accounts)
    const file = accountsFile === undefined ? undefined : yield* Accounts.load(accountsFile)
    const used = [
      anonymousPlan,
      ...accounts.map(({ plan = "free" }) => plan),
      ...(file?.accounts ?? []).map(({ plan }) => plan)
    ]
    return Layer.mergeAll(
      accountsFile === undefined ? ApiKeys.layer(accounts) : Accounts.layer(accountsFile, accounts),
      Layer.effectDiscard(checkPlans(used)).pipe(
        Layer.provideMerge(Plans.layer({ ...(file === undefined ? {} : Accounts.plans(file)), ...plans }))
      )
    )
  }))

const parseProxies = (options: TemporaryOptions) =>
  Effect.fromResult(Result.mapError(
    Forwarded.parseProxies(options.trustedProxies ?? []),
    (entry) => new InvalidOption({ option: "trustedProxies", problem: `${entry} is no address and no network` })
  ))

/** Takes connections as soon as there is somebody to answer them. */
const makeListener = (options: TemporaryOptions) =>
  Layer.unwrap(Effect.map(parseProxies(options), (proxies) => {
    const idle = millis(options.idleTimeout, "2 minutes")
    return Listener.layer({
      idle,
      headers: millis(options.headersTimeout, "30 seconds"),
      // Longer than a proxy keeps a connection, so that it is never the server who closes one that is about to be used.
      keepAlive: Math.min(idle, 75_000),
      connections: options.maxConnections ?? 4096,
      connectionsPerAddress: options.maxConnectionsPerAddress === null
        ? Infinity
        : options.maxConnectionsPerAddress ?? 256,
      proxies,
      rate: options.minimumRate ?? 1024,
      patience: millis(options.minimumRatePatience, "1 minute"),
      drain: millis(options.drainTimeout, "10 seconds"),
      drainBytes: options.maxDrainBytes ?? 64 * 1024 ** 2
    }, {
      host: options.host ?? "127.0.0.1",
      port: options.port ?? 0,
      gracefulShutdownTimeout: options.gracefulShutdownTimeout ?? "1 second"
    })
  }))

const makeAdmin = ({ admin }: TemporaryOptions) =>
  Layer.effect(
    AdminPort,
    Effect.gen(function*() {
      if (admin === undefined) return { url: undefined }
      const { connections } = yield* Listener.Listening
      const host = admin.host ?? "127.0.0.1"
      const port = yield* Admin.serve({ host, port: admin.port ?? 0 }, connections)
      return { url: `http://${reachable(host)}:${port}` }
    })
  )

const makeSettings = (options: TemporaryOptions) =>
  Layer.effect(
    Settings,
    Effect.gen(function*() {
      const { publicUrl } = yield* FileIoServer
      const proxies = yield* parseProxies(options)
      return {
        publicUrl,
        proxies,
        anonymousPlan: options.anonymousPlan ?? "free",
        anonymousRateLimit: options.anonymousRateLimit ?? null,
        allowedOrigins: new Set(options.allowedOrigins ?? [])
      }
    })
  )

/** What the catalog keeps back for itself on a full disk, so no upload may take it once it was given up. */
const LEAST_FREE_BYTES = 2 * 1024 ** 2

const make = (options: TemporaryOptions) => {
  const stores = Layer.mergeAll(
    Layer.provideMerge(Leases.layer, Health.layer),
    Sweeper.layer({ interval: options.sweepInterval, removeOrphans: options.removeOrphans })
  ).pipe(
    Layer.provideMerge(Layer.mergeAll(
      Engines.catalog(options, {
        grace: millis(options.grace, "30 seconds"),
        minimumRate: options.minimumRate,
        minimumRatePatience: millis(options.minimumRatePatience, "1 minute"),
        maxBrokenDownloads: options.maxBrokenDownloads
      }),
      Engines.blobs(options),
      options.blobs !== undefined && options.catalog !== undefined
        ? DiskSpace.layerUnlimited
        : DiskSpace.layer({
          floor: Math.max(options.minFreeBytes ?? 128 * 1024 ** 2, LEAST_FREE_BYTES),
          holdsBlobs: options.blobs === undefined
        })
    )),
    Layer.provide(NodeCrypto.layerSecureRandom)
  )
  return HttpRouter.serve(Http.layer, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide([makeSettings(options), Spans.layerNoUrls]),
    Layer.provide([makeAccounts(options), Engines.rateCounter(options)]),
    Layer.provideMerge(Layer.effect(FileIoServer, service(options))),
    Layer.provide(Layer.provide(makeAdmin(options), Spans.layerNoUrls)),
    Layer.provide(makeListener(options)),
    // Not all of `NodeServices`: an embedded server leaves the terminal alone.
    Layer.provide([
      NodeHttpPlatform.layer,
      Etag.layerWeak,
      NodeFileSystem.layer,
      NodePath.layer,
      NodeCrypto.layerSecureRandom
    ]),
    // Below the listener, so that what is swept and recovered is done before the first request, and the catalog closes
    // after the last one.
    Layer.provide(stores)
  )
}

/**
 * A server that keeps its files in `dataDirectory` over restarts, until the scope closes. It needs nothing but Node.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<FileIoServer, StartError> =>
  make(options).pipe(Layer.provide(DataFolder.layer(options.dataDirectory)))

/**
 * A server for tests and examples: its folder is a temporary one and is removed when the scope closes, and those without
 * a key have the plan `premium` unless told otherwise.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTemporary = (options: TemporaryOptions = {}): Layer.Layer<FileIoServer, StartError> =>
  make({ maxConnectionsPerAddress: null, ...options, anonymousPlan: options.anonymousPlan ?? "premium" }).pipe(
    Layer.provide(DataFolder.layerTemporary)
  )

/**
 * The options as the environment gives them, each under `FILEIO_SERVER_` and its name here; the README has all of them
 * with their forms and defaults.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<Options> = Variables.options

/**
 * A server whose options come from `Config`; without any, as the environment gives them (see `config`).
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options> = config
): Layer.Layer<FileIoServer, StartError | Config.ConfigError> => Layer.unwrap(Effect.map(Config.unwrap(options), layer))
