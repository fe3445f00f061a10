/**
 * The connections of the server: how many there are and whose, whose request is next, and how long each may take.
 *
 * Every open connection has a time limit at every moment, by what it is doing:
 *
 * - it waits for a request: `headers`, and between two requests `keepAlive` more;
 * - a body comes in, or an answer goes out: an average of `rate` bytes a second, with `patience` to spare;
 * - it was answered before its body had ended, or is being closed: `drain`, in which what still comes is discarded. Closing
 *   at once would make the system reset the connection, and the client could lose the answer.
 *
 * Only the server's own work has none: a request that is here in full and has yet to be answered.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http"
import { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { writeQueueSize } from "../node/socket.ts"
import { MemoryBudget } from "../shared/memoryBudget.ts"
import * as Forwarded from "./forwarded.ts"
import * as Refusal from "./refusal.ts"

export interface Limits {
  /** Connections at a time. */
  readonly connections: number
  /** Connections of one address at a time. */
  readonly connectionsPerAddress: number
  /** Addresses without a limit of their own: each stands for many clients. */
  readonly proxies: Forwarded.Proxies
  /** Milliseconds that the headers of a request may take. */
  readonly headers: number
  /** Milliseconds that a connection may wait for its next request. */
  readonly keepAlive: number
  /** Bytes a second that a transfer must make on average; 0: any rate will do. */
  readonly rate: number
  /** Milliseconds that a transfer which had been fast enough may stand still. */
  readonly patience: number
  /** Milliseconds in which an answered or closing connection is read and what comes is discarded. */
  readonly drain: number
  /** Bytes that are discarded so. */
  readonly drainBytes: number
}

/** Connections beyond a limit that get an answer; more are closed without one. */
const REFUSED = 64
/** Requests that a connection may send ahead of the answers. */
const MAX_WAITING = 256

/** Milliseconds that a closing connection has when the server stops. */
const STOPPING_DRAIN = 1000

/** Bytes that a request takes beside its header fields. */
const REQUEST_BYTES = 4096

type Handler = (request: IncomingMessage, response: ServerResponse) => void

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly handle: Handler
}

interface Moved {
  readonly bytes: number
  /** Bytes that the system has yet to take; its socket has no public word for them. */
  readonly queued: number
}

interface Connection {
  readonly socket: Socket
  /** The request that is being handled, or was the last one. */
  exchange: Exchange | undefined
  /** Requests that came ahead of their turn. */
  readonly waiting: Array<Exchange>
  /** Sent instead of an answer to what came after the last request, which was no HTTP. */
  refusal: Refusal.Refusal | undefined
  /** Nothing is answered any more. */
  closing: boolean
  /** What it was doing when it was last looked at, since when, and the bytes that had come until then. */
  phase: Exchange | "idle" | "drain" | "closing" | undefined
  since: number
  from: number
  moved: Moved
  /** Bytes by which the transfer is ahead of the slowest that is allowed. */
  credit: number
}

const movedBy = (socket: Socket): Moved => ({
  bytes: socket.bytesRead + socket.bytesWritten,
  queued: writeQueueSize(socket)
})

/** A large write counts when it is begun; from then on, what leaves the queue is what moves. */
const between = (before: Moved, after: Moved): number =>
  after.bytes - before.bytes + Math.max(0, before.queued - after.queued)

const isAnswered = ({ response }: Exchange): boolean => response.writableFinished || response.destroyed

/** About as many bytes as a request takes while it waits for its turn. */
const bytesOf = ({ request }: Exchange): number =>
  request.rawHeaders.reduce((sum, text) => sum + text.length, REQUEST_BYTES + request.url!.length)

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined ||
  (headers["content-length"] !== undefined && headers["content-length"] !== "0")

const offersUpgrade = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade !== undefined && /upgrade/i.test(headers.connection ?? "")

/** Whether the other side is who is waited for: a body that does not come, or an answer that is not taken. */
const waits = ({ request, response }: Exchange, socket: Socket): boolean =>
  (!request.complete && request.readableLength === 0 && !response.headersSent) || socket.writableLength > 0

const phaseOf = ({ closing, exchange }: Connection): NonNullable<Connection["phase"]> =>
  closing
    ? "closing"
    : exchange === undefined
    ? "idle"
    : !isAnswered(exchange)
    ? exchange
    : exchange.request.complete || exchange.request.destroyed
    ? "idle"
    : "drain"

/** Writes an envelope where there is no response to write it with. */
const writeRefusal = (socket: Duplex, refusal: Refusal.Refusal): void => {
  const body = Refusal.toEnvelope(refusal)
  const headers = Object.entries(refusal.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`).join("")
  socket.write(
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n${headers}` +
      "Content-Type: application/json; charset=utf-8\r\nCache-Control: no-store\r\n" +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  )
}

/** Reads what is left of a body and forgets it, whoever read it before. */
const discard = (request: IncomingMessage): void => {
  if (request.complete || request.destroyed) return
  request.removeAllListeners("readable")
  // A stream without it stops flowing when its last listener for "readable" goes, as that of a handler does later on.
  request.on("data", () => {})
  request.resume()
}

/** Ends a request whose connection gets another answer than its own; its handler sees a client that has gone. */
const abandon = (exchange: Exchange): void => {
  if (isAnswered(exchange)) return
  const { response } = exchange
  if (response.socket !== null) response.detachSocket(response.socket)
  response.destroy()
  response.emit("close")
}

export interface Connections {
  /** Open connections. */
  readonly count: () => number
  /** Has a request handled when its connection's requests before it are answered. */
  readonly take: (handle: Handler) => Handler
  /** Closes all connections at once. */
  readonly destroyAll: () => void
}

/** Watches the connections of a server. */
export const watch = Effect.fnUntraced(function*(
  server: Server,
  limits: Limits
): Effect.fn.Return<Connections, never, Scope.Scope> {
  const all = new Map<Duplex, Connection>()
  const perNetwork = new Map<string, number>()
  const fullCredit = limits.rate * limits.patience / 1000
  const budget = yield* MemoryBudget
  let accepted = 0
  let refused = 0

  /** Says goodbye: nothing more is sent, and what still comes is discarded until the other side has closed too. */
  const close = (connection: Connection): void => {
    connection.closing = true
    for (const exchange of [connection.exchange, ...connection.waiting]) {
      if (exchange !== undefined) discard(exchange.request)
    }
    connection.socket.end()
    connection.socket.resume()
  }

  /** Forgets the requests that wait for their turn. */
  const forget = (connection: Connection): void => {
    for (const exchange of connection.waiting.splice(0)) budget.release(bytesOf(exchange))
  }

  const refuse = (connection: Connection, refusal: Refusal.Refusal): void => {
    for (const exchange of [connection.exchange, ...connection.waiting]) {
      if (exchange !== undefined) abandon(exchange)
    }
    forget(connection)
    writeRefusal(connection.socket, refusal)
    close(connection)
  }

  const begin = (connection: Connection, exchange: Exchange): void => {
    const { request, response } = exchange
    connection.exchange = exchange
    connection.phase = undefined
    // A listener for each answer would cost as much as a small answer.
    if (hasBody(request)) response.once("finish", () => discard(request))
    exchange.handle(request, response)
  }

  /** Goes on with what came meanwhile when the present request is answered. */
  const whenAnswered = (connection: Connection): void => {
    connection.exchange!.response.once("close", () => {
      if (connection.closing || connection.socket.destroyed) return
      const exchange = connection.waiting.shift()
      if (exchange !== undefined) {
        budget.release(bytesOf(exchange))
        begin(connection, exchange)
      } else if (connection.refusal !== undefined) return refuse(connection, connection.refusal)
      if (connection.waiting.length > 0 || connection.refusal !== undefined) whenAnswered(connection)
      else connection.socket.resume()
    })
  }

  const take = (handle: Handler): Handler => (request, response) => {
    const connection = all.get(request.socket)
    if (connection === undefined || connection.closing) return discard(request)
    // Node forgets what comes right behind a request that offers an upgrade, so nothing may come behind it.
    if (offersUpgrade(request)) response.shouldKeepAlive = false
    const exchange: Exchange = { request, response, handle }
    if (connection.exchange === undefined || isAnswered(connection.exchange)) return begin(connection, exchange)
    // Answering out of turn would cost memory for each of them, and claim a download that may never be read.
    if (connection.waiting.length >= MAX_WAITING || !budget.tryTake(bytesOf(exchange))) {
      return void connection.socket.destroy()
    }
    if (connection.waiting.length === 0) {
      if (connection.refusal === undefined) whenAnswered(connection)
      // Node starts reading again at the end of each request.
      setImmediate(() => {
        if (connection.waiting.length > 0) connection.socket.pause()
      })
    }
    connection.waiting.push(exchange)
  }

  const add = (socket: Socket): Connection => {
    const connection: Connection = {
      socket,
      exchange: undefined,
      waiting: [],
      refusal: undefined,
      closing: false,
      phase: undefined,
      since: 0,
      from: 0,
      moved: movedBy(socket),
      credit: fullCredit
    }
    all.set(socket, connection)
    // Node closes so after the last answer of a connection, also where the body is still coming.
    socket.destroySoon = () => {
      const { exchange } = connection
      if (exchange !== undefined && !exchange.request.complete) close(connection)
      else Socket.prototype.destroySoon.call(socket)
    }
    return connection
  }

  server.on("connection", (socket: Socket) => {
    const connection = add(socket)
    const address = Forwarded.plain(socket.remoteAddress ?? "")
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

  // Node would answer what it cannot parse without a body; the contract has an envelope for every error.
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    const connection = all.get(socket)
    const refusal = Refusal.ofProtocol(error.code)
    if (connection === undefined || refusal === undefined) return void socket.destroy(error)
    // What comes after a goodbye, or after what could not be parsed, means nothing.
    if (connection.closing || connection.refusal !== undefined) return
    const { exchange, waiting } = connection
    if (exchange === undefined || isAnswered(exchange)) return refuse(connection, refusal)
    if (exchange.request.complete) {
      // It came after requests that are still to be answered.
      connection.refusal = refusal
      if (waiting.length === 0) whenAnswered(connection)
    } else if (exchange.response.headersSent) socket.destroy(error)
    else refuse(connection, refusal)
  })

  server.on("connect", (_request: IncomingMessage, socket: Duplex) => {
    socket.on("error", () => {})
    const connection = all.get(socket)
    if (connection === undefined) return void socket.destroy()
    const { exchange } = connection
    if (exchange === undefined || isAnswered(exchange)) return refuse(connection, Refusal.noTunnel)
    connection.refusal ??= Refusal.noTunnel
    if (connection.waiting.length === 0) whenAnswered(connection)
  })

  const look = (connection: Connection, now: number, elapsed: number): void => {
    const { socket } = connection
    const before = connection.moved
    const moved = connection.moved = movedBy(socket)
    const phase = phaseOf(connection)
    if (phase !== connection.phase) {
      connection.phase = phase
      connection.since = now
      connection.from = socket.bytesRead
      connection.credit = fullCredit
      return
    }
    const lasted = now - connection.since
    if (phase === "idle") {
      if (lasted >= limits.headers + limits.keepAlive || !server.listening) socket.destroy()
    } else if (phase === "drain" || phase === "closing") {
      const drain = server.listening ? limits.drain : Math.min(limits.drain, STOPPING_DRAIN)
      if (lasted >= drain || socket.bytesRead - connection.from > limits.drainBytes) socket.destroy()
    } else if (limits.rate > 0 && waits(phase, socket)) {
      const credit = connection.credit + between(before, moved) - limits.rate * elapsed / 1000
      connection.credit = Math.min(credit, fullCredit)
      if (credit > 0) return
      if (phase.response.headersSent) socket.destroy()
      else refuse(connection, Refusal.tooSlow)
    }
  }

  const shortest = Math.min(limits.patience, limits.drain, limits.headers + limits.keepAlive)
  const every = Math.max(50, Math.min(1000, shortest / 4))
  let last: number | undefined
  // The rate is that of the wire, so it is measured by the real clock whatever clock the program has.
  yield* Effect.map(Clock.currentTimeMillis, (now) => {
    const elapsed = now - (last ?? now)
    last = now
    for (const connection of all.values()) look(connection, now, elapsed)
  }).pipe(
    Effect.schedule(Schedule.spaced(Duration.millis(every))),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()),
    Effect.forkScoped
  )

  return {
    count: () => accepted,
    take,
    destroyAll: () => {
      for (const { socket } of all.values()) socket.destroy()
    }
  }
})
