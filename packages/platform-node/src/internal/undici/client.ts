/** The dispatcher of undici, with proxies, certificates and limits; the transport and the `HttpClient` over it. */
import * as Transport from "@effect-fileio/client/Transport"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import Undici, { type buildConnector, type Dispatcher } from "@effect/platform-node/Undici"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as Scope from "effect/Scope"
import type { Socket } from "node:net"
import { ConnectError, type Connector, ConnectTimeoutError, prepare, type TlsSettings } from "../connect.ts"
import type { Proxies } from "../proxies.ts"
import { type Hints, OriginPool } from "./originPool.ts"
import * as UndiciTransport from "./transport.ts"

type Connect = buildConnector.connector

export interface Options {
  readonly connector: Connector
  readonly connectMillis: number
  readonly connections: number
  readonly tls: TlsSettings | undefined
  readonly proxies: Proxies
}

/** undici's name of a failed connection, and the message for the caller. */
const tunnelError = (error: Error, proxy: string): ConnectError => {
  const refused = /^Proxy response \((\d{3})\)/.exec(error.message)
  if (refused !== null) return new ConnectError(error, `ERR_PROXY_${refused[1]}`, proxy)
  const inner = error.cause instanceof Error ? error.cause : error
  const code = "code" in inner && typeof inner.code === "string" ? inner.code : "ERR_PROXY"
  // undici retries without end after an error with one of its own socket codes.
  return new ConnectError(error, code.startsWith("UND_ERR") ? "ERR_PROXY_CLOSED" : code, proxy)
}

/**
 * A connector for undici whose every failure says that there was no connection, and which keeps the time-out of
 * connecting.
 */
const throughProxy = (connect: Connect, proxy: string, millis: number): Connect => (options, callback) => {
  const controller = new AbortController()
  let isOver = false
  const settle = (error: Error | null, socket?: Socket | null) => {
    if (isOver) return void socket?.destroy()
    isOver = true
    clearTimeout(timer)
    if (error !== null) return callback(error instanceof ConnectTimeoutError ? error : tunnelError(error, proxy), null)
    prepare(socket!)
    callback(null, socket!)
  }
  // @effect-diagnostics-next-line globalTimers:off - sockets of Node, outside of every fiber
  const timer = setTimeout(() => {
    settle(new ConnectTimeoutError(millis), null)
    controller.abort()
  }, millis)
  const aborting = { ...options, signal: controller.signal }
  connect(aborting, (...[error, socket]) => settle(error, socket))
}

const direct = (connector: Connector): Connect => ({ hostname, port, protocol, servername }, callback) => {
  const isSecure = protocol === "https:"
  connector.open(
    {
      host: hostname,
      port: port === "" ? (isSecure ? 443 : 80) : Number(port),
      isSecure,
      servername: servername ?? undefined
    },
    (result) => result instanceof Error ? callback(result, null) : callback(null, result)
  )
}

const hostOf = (address: string): string => address === "" ? "" : new URL(address).host

const dispatcherOf = ({ connections, connectMillis, connector, proxies, tls }: Options): Dispatcher => {
  const connect = direct(connector)
  const isProxy = (origin: URL) =>
    [proxies.http, proxies.https].some((address) => address !== "" && new URL(address).origin === origin.origin)
  // A client certificate is for the host, not for the proxy before it.
  const { cert: _cert, key: _key, passphrase: _passphrase, servername: _servername, ...ofProxy } = tls ?? {}
  return new Undici.EnvHttpProxyAgent({
    httpProxy: proxies.http,
    httpsProxy: proxies.https,
    noProxy: proxies.none,
    connect,
    connectTimeout: connectMillis,
    requestTls: { ...tls, allowH2: false },
    proxyTls: { ...ofProxy, allowH2: false },
    factory: (origin, options) => {
      const url = new URL(origin)
      const given = (options as { readonly connect: Connect }).connect
      if (given === connect) return new OriginPool(url, { connect }, connections)
      if (isProxy(url)) {
        // Plain HTTP goes to the proxy unchanged, each request over its own connection. undici wants a pool of its own here.
        const connectThrough = throughProxy(given, url.host, connectMillis)
        const pool = new OriginPool(url, { connect: connectThrough, pipelining: 0 }, connections)
        return new Undici.Pool(url, { factory: () => pool })
      }
      const proxy = hostOf(url.protocol === "https:" ? proxies.https : proxies.http)
      return new OriginPool(url, { connect: throughProxy(given, proxy, connectMillis) }, connections)
    }
  })
}

/** `FileIo.Options` sets time-outs: undici has none. */
const withoutTimeouts: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) =>
  dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, handler)

/** For plain HTTP a proxy refuses with a response, which undici turns into its own error. */
const explainBy = (proxy: string | undefined): UndiciTransport.Explain => (error) =>
  error.message.endsWith("(407)") && !(error instanceof ConnectError)
    ? new ConnectError(error, "ERR_PROXY_407", proxy)
    : error

/** How many bytes of a response may wait to be read: they are read at once, and each read has a cost. */
const READ_BYTES = 512 * 1024

/** What a layer provides: the transport, and the same connections for code that wants an `HttpClient`. */
export interface Clients {
  readonly transport: Transport.Service
  readonly httpClient: HttpClient.HttpClient
}

/** Clients over a dispatcher, which reports to the request's observer. */
const over = (
  dispatcher: Dispatcher,
  buffers: Transport.Buffers,
  proxy: string | undefined
): Effect.Effect<Clients> => {
  const explain = explainBy(proxy)
  const explained = (error: HttpClientError.HttpClientError) => {
    const { reason } = error
    return reason._tag === "TransportError" && reason.cause instanceof Error
      ? new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({ request: reason.request, cause: explain(reason.cause) })
      })
      : error
  }
  const httpClient = Effect.map(
    Effect.provideService(
      NodeHttpClient.makeUndici,
      NodeHttpClient.Dispatcher,
      dispatcher.compose(withoutTimeouts)
    ),
    HttpClient.transform((effect) =>
      Effect.withFiber((fiber) => {
        const hints: Hints & Partial<Dispatcher.RequestOptions> = {
          highWaterMark: READ_BYTES,
          ...fiber.getRef(NodeHttpClient.UndiciOptions),
          current: fiber.getRef(Transport.CurrentRequest)
        }
        return Effect.mapError(Effect.provideService(effect, NodeHttpClient.UndiciOptions, hints), explained)
      })
    )
  )
  return Effect.map(httpClient, (httpClient) => ({
    transport: UndiciTransport.make({ dispatcher, buffers, explain }),
    httpClient
  }))
}

/** Over the caller's dispatcher, which the caller closes. */
export const make = (dispatcher: Dispatcher): Effect.Effect<Clients> => over(dispatcher, "owned", undefined)

/** Over its own connections, which close with the scope. */
export const makeScoped = (options: Options): Effect.Effect<Clients, never, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() => dispatcherOf(options)),
      (dispatcher) => Effect.promise(() => dispatcher.destroy())
    ),
    (dispatcher) => over(dispatcher, "reused", options.proxies.http === "" ? undefined : hostOf(options.proxies.http))
  )
