/**
 * The server's connections: limits their number, handles their requests in order, and limits how long each may take.
 *
 * Every open connection has a time limit at every moment, by what it is doing:
 *
 * - it waits for a request: `headers`, and between two requests `keepAlive` more;
 * - it transfers a body: an average of `rate` bytes per second, with `patience` to spare;
 * - it got an early response, or is being closed: `drain`, in which incoming bytes are discarded. Closing at once would make
 *   the system reset the connection, and the client could lose the response.
 *
 * Only the server's own work has no limit: a request that has arrived completely and has no response yet.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { plain } from "../shared/addresses.ts"
import { MemoryBudget } from "../shared/memoryBudget.ts"
import { close, type Connection, discard, forget, type Handler, isFree, refuse } from "./connection.ts"
import * as Forwarded from "./forwarded.ts"
import * as Refusal from "./refusal.ts"
import * as TimeLimits from "./timeLimits.ts"
import * as Turns from "./turns.ts"

export interface Limits extends TimeLimits.Limits {
  /** Concurrent connections. */
  readonly connections: number
  /** Concurrent connections of one address. */
  readonly connectionsPerAddress: number
  /** Addresses without their own limit: each stands for many clients. */
  readonly proxies: Forwarded.Proxies
}

/** Connections beyond a limit that get a response; more are closed without one. */
const REFUSED = 64
export interface Connections {
  /** Open connections. */
  readonly count: () => number
  /** Handles a request after its connection's previous ones. */
  readonly take: (handle: Handler) => Handler
  /** Closes all connections at once. */
  readonly destroyAll: () => void
}

/** Node's own response to an invalid request has no body; the contract has an envelope for every error. */
const unreadable = (connection: Connection | undefined, socket: Duplex, error: NodeJS.ErrnoException): void => {
  const refusal = Refusal.ofProtocol(error.code)
  if (connection === undefined || refusal === undefined) return void socket.destroy(error)
  // Bytes after a graceful close, or after invalid bytes, are ignored.
  if (connection.closing || connection.refusal !== undefined) return
  const { exchange, waiting } = connection
  if (exchange === undefined || isFree(connection)) return refuse(connection, refusal)
  if (exchange.request.complete) {
    // Previous requests are still pending.
    connection.refusal = refusal
    if (waiting.length === 0) Turns.whenResponded(connection)
  } else if (exchange.response.headersSent) socket.destroy(error)
  else refuse(connection, refusal)
}

/** This is no proxy. */
const tunnel = (connection: Connection | undefined, socket: Duplex): void => {
  socket.on("error", () => {})
  if (connection === undefined) return void socket.destroy()
  if (isFree(connection)) return refuse(connection, Refusal.noTunnel)
  connection.refusal ??= Refusal.noTunnel
  if (connection.waiting.length === 0) Turns.whenResponded(connection)
}

/** Watches the connections of a server. */
export const watch = Effect.fnUntraced(function*(
  server: Server<typeof IncomingMessage, typeof ServerResponse>,
  limits: Limits
): Effect.fn.Return<Connections, never, Scope.Scope> {
  const all = new Map<Duplex, Connection>()
  const perNetwork = new Map<string, number>()
  const budget = yield* MemoryBudget
  let accepted = 0
  let refused = 0

  const add = (socket: Socket): Connection => {
    const connection: Connection = {
      socket,
      budget,
      exchange: undefined,
      waiting: [],
      refusal: undefined,
      closing: false,
      progress: TimeLimits.start(socket)
    }
    all.set(socket, connection)
    // Node does so after the last response of a connection, even if the body is still arriving.
    socket.destroySoon = () => {
      const { exchange } = connection
      if (exchange !== undefined && !exchange.request.complete) close(connection)
      else Socket.prototype.destroySoon.call(socket)
    }
    return connection
  }

  server.on("connection", (socket: Socket) => {
    const connection = add(socket)
    const address = plain(socket.remoteAddress ?? "")
    const network = limits.proxies.trusts(address) ? undefined : Forwarded.networkOf(address)
    const ofNetwork = network === undefined ? 0 : perNetwork.get(network) ?? 0
    const refusal = ofNetwork >= limits.connectionsPerAddress
      ? Refusal.tooManyOfAddress
      : accepted >= limits.connections
      ? Refusal.tooManyConnections
      : undefined
    if (refusal === undefined) {
      accepted++
      if (network !== undefined) perNetwork.set(network, ofNetwork + 1)
    } else refused++
    socket.once("close", () => {
      all.delete(socket)
      forget(connection)
      if (refusal !== undefined) return void refused--
      accepted--
      if (network === undefined) return
      const left = perNetwork.get(network)! - 1
      if (left === 0) perNetwork.delete(network)
      else perNetwork.set(network, left)
    })
    if (refusal === undefined) return
    socket.on("error", () => {})
    if (refused > REFUSED) socket.destroy()
    else refuse(connection, refusal)
  })
  server.maxConnections = limits.connections + REFUSED

  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => unreadable(all.get(socket), socket, error))
  server.on("connect", (_request: IncomingMessage, socket: Duplex) => tunnel(all.get(socket), socket))

  const shortest = Math.min(limits.patience, limits.drain, limits.headers + limits.keepAlive)
  const every = Math.max(50, Math.min(1000, shortest / 4))
  let last: number | undefined
  // The rate is that of the wire, so it is measured with the real clock, whatever the program's clock is.
  yield* Effect.map(Clock.currentTimeMillis, (now) => {
    const elapsed = now - (last ?? now)
    last = now
    for (const connection of all.values()) TimeLimits.look(connection, server, limits, now, elapsed)
  }).pipe(
    Effect.schedule(Schedule.spaced(Duration.millis(every))),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()),
    Effect.forkScoped
  )

  return {
    count: () => accepted,
    take: (handle) => (request, response) => {
      const connection = all.get(request.socket)
      if (connection === undefined) return discard(request)
      Turns.take(connection, { request, response, handle })
    },
    destroyAll: () => {
      for (const { socket } of all.values()) socket.destroy()
    }
  }
})
