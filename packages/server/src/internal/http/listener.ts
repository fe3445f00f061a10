/** Listens, and has requests handled in order. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import { ServeError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import * as Messages from "../node/messages.ts"
import * as Connections from "./connections.ts"
import * as Refusal from "./refusal.ts"

interface Limits extends Connections.Limits {
  /** Milliseconds that a connection may be idle. */
  readonly idle: number
}

export interface Options {
  readonly host: string
  readonly port: number
  /** How long running transfers may continue when the server stops. */
  readonly gracefulShutdownTimeout: Duration.Duration
}

/** Most header fields of a request. Node silently drops those beyond its own limit. */
const MAX_FIELDS = 100

/** Node's server, with limits that suit long transfers of anonymous clients. */
const makeServer = (limits: Limits): Server => {
  const server = createServer({
    IncomingMessage: Messages.Request,
    ServerResponse: Messages.Response,
    // The whole body need not arrive within a fixed time: a slow upload is no attack as long as bytes arrive.
    requestTimeout: 0,
    headersTimeout: limits.headers,
    // Interval of Node's check of the headers' time limit.
    connectionsCheckingInterval: Math.min(5000, Math.max(100, limits.headers / 2)),
    keepAliveTimeout: limits.keepAlive
  })
  server.timeout = limits.idle
  server.maxHeadersCount = MAX_FIELDS + 1
  return server
}

/** Node's own response has no body, as to invalid requests. The request's body, if any, is not read. */
const refuse = (refusal: Refusal.Refusal) => (_request: IncomingMessage, response: ServerResponse): void => {
  const body = Refusal.toEnvelope(refusal)
  response.writeHead(refusal.status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    connection: "close"
  })
  response.end(body)
}

const listen = (server: Server, { host, port }: Options) =>
  Effect.callback<void, ServeError>((resume) => {
    const onError = (cause: Error) => resume(Effect.fail(new ServeError({ cause })))
    server.once("error", onError)
    server.listen({ host, port }, () => {
      server.off("error", onError)
      resume(Effect.void)
    })
  })

const addressOf = (server: Server) => {
  const address = server.address()
  if (address === null || typeof address === "string") return Effect.die(new Error("the server has no port"))
  return Effect.mapError(
    Effect.fromResult(NetAddress.inetAddressFromIpString(address.address, address.port)),
    (cause) => new ServeError({ cause })
  )
}

/** The connections of the listening server. */
export class Listening extends Context.Service<Listening, {
  readonly connections: () => number
}>()("@effect-fileio/server/internal/Listening") {}

/**
 * An HTTP server. Effect's own (`NodeHttpServer.make`) also accepts upgrades, which this one ignores, as RFC 9110 7.8 allows: a
 * client that offers one, such as `curl --http2`, gets a normal response.
 */
export const layer = (
  limits: Limits,
  options: Options
): Layer.Layer<HttpServer.HttpServer | Listening, ServeError> =>
  Layer.effectContext(Effect.gen(function*() {
    const scope = yield* Effect.scope
    const server = makeServer(limits)
    const connections = yield* Connections.watch(server, limits)
    // Accepts no new connections, and resolves when the last one has ended.
    const stop = yield* Effect.cached(Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
    }))
    yield* Scope.addFinalizer(scope, Effect.andThen(Effect.sync(connections.destroyAll), stop))
    yield* listen(server, options)
    const address = yield* addressOf(server)

    const serve: Parameters<typeof HttpServer.make>[0]["serve"] = Effect.fnUntraced(function*(app, middleware) {
      const serveScope = yield* Effect.scope
      const handlerScope = Scope.forkUnsafe(serveScope, "parallel")
      const handle = yield* NodeHttpServer.makeHandler(app, { middleware, scope: handlerScope })
      const checked = (request: IncomingMessage, response: ServerResponse) =>
        request.rawHeaders.length > MAX_FIELDS * 2
          ? refuse(Refusal.tooManyFields)(request, response)
          : handle(request, response)
      const onRequest = connections.take(checked)
      server.on("request", onRequest)
      server.on("checkContinue", (request: Messages.Request, response: ServerResponse) => {
        request.continues = response
        onRequest(request, response)
      })
      server.on("checkExpectation", connections.take(refuse(Refusal.expectation)))
      yield* Scope.addFinalizer(
        serveScope,
        Effect.timeoutOption(stop, options.gracefulShutdownTimeout)
      )
    })

    return Context.make(HttpServer.HttpServer, HttpServer.make({ address, serve })).pipe(
      Context.add(Listening, { connections: connections.count })
    )
  }))
