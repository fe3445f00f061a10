/**
 * HTTP for Node: `layerUndici`, the client of `NodeFileIo.layer`, and `layerSockets`, a transport that needs less
 * memory and time for large files but supports no proxies.
 *
 * @since 0.1.0
 */
import * as Transport from "@effect-fileio/client/Transport"
import * as DurationInput from "@effect-fileio/core/DurationInput"
import { InvalidOption } from "@effect-fileio/core/InvalidOption"
import type * as Undici from "@effect/platform-node/Undici"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { Connector } from "./internal/connect.ts"
import * as Proxies from "./internal/proxies.ts"
import { ConnectionPool } from "./internal/sockets/pool.ts"
import * as SocketTransport from "./internal/sockets/socketTransport.ts"
import * as TlsOptions from "./internal/tlsOptions.ts"

/**
 * A certificate or a key in PEM: its text, its bytes, or the `file:` URL of a file.
 *
 * @category models
 * @since 0.1.0
 */
export type Pem = string | Uint8Array | URL

/**
 * Certificates for `https:`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tls {
  /** Certificate authorities to trust, in addition to those that Node trusts (which include `NODE_EXTRA_CA_CERTS`). */
  readonly ca?: Pem | ReadonlyArray<Pem> | undefined
  /** The client certificate, with its chain. */
  readonly cert?: Pem | undefined
  /** The key of the client certificate. */
  readonly key?: Pem | Redacted.Redacted<string | Uint8Array> | undefined
  /** The passphrase of `key`. */
  readonly passphrase?: Redacted.Redacted | undefined
  /** The name that the host's certificate must have. @default the host's */
  readonly servername?: string | undefined
  /**
   * Whether to refuse a host whose certificate cannot be verified; with `false`, anybody between the two can read the files.
   *
   * @default true
   */
  readonly rejectUnauthorized?: boolean | undefined
}

/**
 * Options of connections, for both clients.
 *
 * @category models
 * @since 0.1.0
 */
export interface SocketsOptions {
  /** Time-out of connecting, over all addresses of the host, with TLS and proxy. @default 10 seconds */
  readonly connectTimeout?: DurationInput.DurationInput | undefined
  /** The most connections to one host at a time; further requests wait. @default no limit */
  readonly connections?: number | undefined
  /** Certificates and keys. */
  readonly tls?: Tls | undefined
  /**
   * Path of a unix socket to connect to in place of the host. The address still sets the path and the `Host` header.
   */
  readonly socketPath?: string | undefined
}

/**
 * Options of `layerUndici`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends SocketsOptions {
  /**
   * The proxy for every host, such as `http://proxy.example:3128`; with `user:password@` before the host, best as
   * `Redacted`. `false`: no proxy.
   *
   * @default `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` of the configuration, which is the environment unless
   * another `ConfigProvider` is set; lower case takes precedence
   */
  readonly proxy?: string | URL | Redacted.Redacted | false | undefined
  /**
   * Your own undici dispatcher, such as a `MockAgent`; it stays open when the layer closes. It then decides everything
   * that the other options set, such as how long idle connections are kept.
   */
  readonly dispatcher?: Undici.Dispatcher | undefined
}

const invalid = ({ field, problem }: { readonly field: string; readonly problem: string }) =>
  new InvalidOption({ option: field, problem })

/** The parsed and checked options. */
const prepare = Effect.fnUntraced(function*(options: SocketsOptions | undefined) {
  const timeout = Option.filter(
    Result.getSuccess(DurationInput.parse(options?.connectTimeout ?? "10 seconds")),
    Duration.isPositive
  )
  if (Option.isNone(timeout) || !Duration.isFinite(timeout.value)) {
    return yield* invalid({ field: "connectTimeout", problem: "allowed: a positive duration, such as 10 seconds" })
  }
  const connections = options?.connections ?? Infinity
  if (connections !== Infinity && !(Number.isSafeInteger(connections) && connections >= 1)) {
    return yield* invalid({ field: "connections", problem: "allowed: a whole number from 1" })
  }
  const connectMillis = Duration.toMillis(timeout.value)
  const tls = options?.tls === undefined
    ? undefined
    : yield* Effect.mapError(Effect.fromResult(TlsOptions.read(options.tls)), invalid)
  return {
    connectMillis,
    connections,
    tls,
    connector: new Connector({ connectMillis, tls, socketPath: options?.socketPath })
  }
})

const proxiesOf = (options: Options | undefined) => {
  const proxy = options?.proxy
  // A unix socket is on this machine.
  if (proxy === false || options?.socketPath !== undefined) return Effect.succeed(Proxies.NONE)
  const found = proxy === undefined
    ? Effect.mapError(
      Proxies.fromConfig,
      (error: Config.ConfigError) =>
        invalid({ field: "proxy", problem: `the configuration cannot be read: ${error.message}` })
    )
    : Effect.succeed(Proxies.fromOption(proxy))
  return Effect.flatMap(
    found,
    Result.match({
      onFailure: (problem) => Effect.fail(invalid(problem)),
      onSuccess: Effect.succeed
    })
  )
}

/**
 * Whether requests to a host would use a proxy, by `proxy` or by the configuration. Ignores `NO_PROXY`.
 *
 * @category guards
 * @since 0.1.0
 */
export const hasProxy = (options?: Options): Effect.Effect<boolean, InvalidOption> =>
  Effect.map(proxiesOf(options), ({ http, https }) => http !== "" || https !== "")

/** Bun puts a small part of its own in the place of undici. */
const isBun = "bun" in process.versions

const noUndici = () =>
  new InvalidOption({
    option: "runtime",
    problem:
      "Bun has no undici; allowed: NodeFileIo.layer or layerSockets without a proxy, or NodeFileIo.layerNoHttp " +
      "with FetchHttpClient.layer, which uses the proxies of the environment"
  })

/**
 * HTTP by undici, over connections that close with the layer, and through the proxies of the environment unless an option says
 * otherwise: the `Transport` that `NodeFileIo.layer` uses, and an `HttpClient` over the same connections for a program that
 * wants to change requests, as with `HttpClient.mapRequest`, and hands the result to `NodeFileIo.layerNoHttp`.
 *
 * **Details**
 *
 * A request that must not be repeated, such as an upload, uses a connection that is new or was used within the last 25
 * ms, so that it never meets a host that closes an idle connection. A failure before the connection exists is an
 * `Unreachable` or a `TimedOut` that says that nothing was sent. undici's own time-outs are off: `FileIo.Options` has
 * them.
 *
 * **Example** (A company's proxy and certificate authority)
 *
 * ```ts no-run
 * import { NodeFileIo } from "@effect-fileio/platform-node"
 * import { Redacted } from "effect"
 * import { pathToFileURL } from "node:url"
 *
 * const layer = NodeFileIo.layer({
 *   baseUrl: "https://share.example",
 *   proxy: Redacted.make("http://ada:secret@proxy.example:3128"),
 *   tls: { ca: pathToFileURL("/etc/ssl/company.pem") }
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerUndici = (
  options?: Options
): Layer.Layer<Transport.Transport | HttpClient.HttpClient, InvalidOption> =>
  Layer.effectContext(
    Effect.gen(function*() {
      if (isBun) return yield* noUndici()
      // Loaded lazily: a program over sockets does not need it.
      const Client = yield* Effect.promise(() => import("./internal/undici/client.ts"))
      const { httpClient, transport } = options?.dispatcher !== undefined
        ? yield* Client.make(options.dispatcher)
        : yield* Client.makeScoped({ ...yield* prepare(options), proxies: yield* proxiesOf(options) })
      return Context.make(Transport.Transport, transport).pipe(Context.add(HttpClient.HttpClient, httpClient))
    })
  )

/**
 * A `Transport` for files only, over its own connections, which close with the layer: uploads and downloads of any size
 * in constant memory, at about the speed of curl.
 *
 * **Details**
 *
 * It implements HTTP/1.1 as far as file transfers need it. It supports **no proxies**, neither from the environment nor
 * by an option; no HTTP/2; no redirects, compression or upgrades; no interceptors; bodies are bytes or streams, not
 * `FormData`. It refuses every response that two programs could read as two messages.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSockets = (
  options?: SocketsOptions
): Layer.Layer<Transport.Transport, InvalidOption> =>
  Layer.effect(
    Transport.Transport,
    Effect.gen(function*() {
      const { connections, connector } = yield* prepare(options)
      const pool = yield* Effect.acquireRelease(
        Effect.sync(() => new ConnectionPool(connector, connections)),
        (pool) => Effect.sync(() => pool.destroy())
      )
      return SocketTransport.make(pool)
    })
  )

/**
 * The `Transport` that `NodeFileIo.layer` uses: `layerUndici`. On Bun, which has no undici, it is `layerSockets`; a proxy or a
 * dispatcher is `InvalidOption` there.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Transport.Transport, InvalidOption> =>
  isBun
    ? Layer.unwrap(Effect.gen(function*() {
      if (options?.dispatcher !== undefined || (yield* hasProxy(options))) return yield* noUndici()
      return layerSockets(options)
    }))
    : layerUndici(options)
