/**
 * The file.io contract, served over SQLite and a folder: a layer to embed, with nothing else to install.
 *
 * **Details**
 *
 * - A download counts when its last byte was handed over; one that breaks gives the file back after a grace time, in
 *   which only the receiver may resume it (`Range` with `If-Range` and the `ETag` of its first answer).
 * - A file whose content is replaced is available again: its downloads start over.
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
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as ApiKeys from "./ApiKeys.ts"
import * as Blobs from "./Blobs.ts"
import * as Catalog from "./Catalog.ts"
import * as DataFolder from "./DataFolder.ts"
import * as Http from "./internal/http.ts"
import * as Listener from "./internal/listener.ts"
import { Settings } from "./internal/settings.ts"
import * as Plans from "./Plans.ts"
import * as RateCounter from "./RateCounter.ts"
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
}>()("@effect-fileio/server/FileIoServer") {}

/**
 * @category options
 * @since 0.1.0
 */
export interface TemporaryOptions {
  /** Address to listen on. @default "127.0.0.1" */
  readonly host?: string | undefined
  /** Port to listen on; 0 takes a free one. @default 0 */
  readonly port?: number | undefined
  /** Base of the links that the server gives, where a proxy stands before it. @default its own address */
  readonly publicUrl?: string | URL | undefined
  /** Who may call with a key. @default nobody */
  readonly accounts?: ReadonlyArray<ApiKeys.AccountOptions> | undefined
  /** Plans beside `free` and `premium`, or other limits for these. */
  readonly plans?: Readonly<Record<string, Partial<Plans.Plan>>> | undefined
  /** Name of the plan of those without a key. @default "free"; of a temporary server "premium" */
  readonly anonymousPlan?: string | undefined
  /** Requests of one address without a key in any second; `null`: no limit. @default null */
  readonly anonymousRateLimit?: number | null | undefined
  /** How long the receiver may resume a download that broke, before it is given to others. @default 30 seconds */
  readonly grace?: Duration.Input | undefined
  /** Time between two sweeps of what has ended. @default 1 minute */
  readonly sweepInterval?: Duration.Input | undefined
  /** How long a connection may be silent. @default 2 minutes */
  readonly idleTimeout?: Duration.Input | undefined
  /** How long running transfers may go on when the server is told to stop. @default 1 second */
  readonly gracefulShutdownTimeout?: Duration.Input | undefined
}

/**
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
 * What can keep a server from starting.
 *
 * @category errors
 * @since 0.1.0
 */
export type StartError =
  | UnknownPlan
  | DataFolder.DataFolderError
  | Catalog.CatalogError
  | Blobs.BlobsError
  | HttpServerError.ServeError

const millis = (input: Duration.Input | undefined, standard: Duration.Input): number =>
  Duration.toMillis(Duration.fromInputUnsafe(input ?? standard))

/** A wildcard address is none that a client can use. */
const reachable = (host: string): string =>
  host === "0.0.0.0" || host === "::" || host === "" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host

const service = (options: TemporaryOptions) =>
  Effect.map(HttpServer.HttpServer, ({ address }) => {
    const port = "port" in address ? address.port : 0
    const url = `http://${reachable(options.host ?? "127.0.0.1")}:${port}`
    const publicUrl = options.publicUrl === undefined ? url : String(options.publicUrl).replace(/\/+$/, "")
    return FileIoServer.of({ url, port, publicUrl })
  })

const checkPlans = ({ accounts = [], anonymousPlan = "free" }: TemporaryOptions) =>
  Effect.flatMap(Plans.Plans, ({ all }) =>
    Effect.forEach(
      [anonymousPlan, ...accounts.map(({ plan = "free" }) => plan)],
      (plan) => all.has(plan) ? Effect.void : new UnknownPlan({ plan, known: [...all.keys()] }),
      { discard: true }
    ))

const make = (options: TemporaryOptions) => {
  const listening = NodeHttpServer.layer(
    () => Listener.make(millis(options.idleTimeout, "2 minutes")),
    {
      host: options.host ?? "127.0.0.1",
      port: options.port ?? 0,
      gracefulShutdownTimeout: options.gracefulShutdownTimeout ?? "1 second"
    }
  )
  const settings = Layer.effect(
    Settings,
    Effect.map(FileIoServer, ({ publicUrl }) => ({
      publicUrl,
      anonymousPlan: options.anonymousPlan ?? "free",
      anonymousRateLimit: options.anonymousRateLimit ?? null
    }))
  )
  const stores = Sweeper.layer({ interval: options.sweepInterval }).pipe(
    Layer.provideMerge(Layer.merge(
      Catalog.layer({ grace: millis(options.grace, "30 seconds") }),
      Blobs.layer
    )),
    Layer.provide(NodeCrypto.layerSecureRandom)
  )
  return HttpRouter.serve(Http.layer, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide([settings, Layer.effectDiscard(checkPlans(options))]),
    Layer.provide([ApiKeys.layer(options.accounts ?? []), Plans.layer(options.plans), RateCounter.layer]),
    Layer.provideMerge(Layer.effect(FileIoServer, service(options))),
    Layer.provide(listening),
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
  make({ ...options, anonymousPlan: options.anonymousPlan ?? "premium" }).pipe(Layer.provide(DataFolder.layerTemporary))

const Port = Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 65535 }))

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

/**
 * The options as the environment gives them: `FILEIO_SERVER_HOST`, `_PORT` (8080), `_DATA` (`./data`), `_PUBLIC_URL`,
 * `_ANONYMOUS_PLAN`, `_ANONYMOUS_RATE`, `_GRACE`, `_SWEEP_INTERVAL`, `_IDLE_TIMEOUT`, `_SHUTDOWN_TIMEOUT`, and one
 * account by `_API_KEY` and `_API_KEY_PLAN`.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<Options> = Config.all({
  host: Config.String("HOST").pipe(Config.withDefault("127.0.0.1")),
  // `Config.Port` refuses 0, which takes a free one.
  port: Config.schema(Port, "PORT").pipe(Config.withDefault(8080)),
  dataDirectory: Config.String("DATA").pipe(Config.withDefault("data")),
  publicUrl: optional(Config.URL("PUBLIC_URL")),
  anonymousPlan: Config.String("ANONYMOUS_PLAN").pipe(Config.withDefault("free")),
  anonymousRateLimit: optional(Config.Int("ANONYMOUS_RATE")),
  grace: optional(Config.Duration("GRACE")),
  sweepInterval: optional(Config.Duration("SWEEP_INTERVAL")),
  idleTimeout: optional(Config.Duration("IDLE_TIMEOUT")),
  gracefulShutdownTimeout: Config.Duration("SHUTDOWN_TIMEOUT").pipe(Config.withDefault(Duration.seconds(20))),
  accounts: Config.all({
    apiKey: optional(Config.Redacted("API_KEY")),
    plan: Config.String("API_KEY_PLAN").pipe(Config.withDefault("premium"))
  }).pipe(
    Config.map(({ apiKey, plan }) =>
      apiKey === undefined || Redacted.value(apiKey) === "" ? [] : [{ name: "default", apiKey, plan }]
    )
  )
}).pipe(Config.nested("FILEIO_SERVER"))

/**
 * A server whose options come from `Config`; without any, as the environment gives them (see `config`).
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options> = config
): Layer.Layer<FileIoServer, StartError | Config.ConfigError> => Layer.unwrap(Effect.map(Config.unwrap(options), layer))
