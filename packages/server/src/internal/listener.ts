import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { createServer, IncomingMessage, type Server, ServerResponse, STATUS_CODES } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import * as Refusal from "./refusal.ts"

export interface Limits {
  /** Milliseconds that a connection may be silent. */
  readonly idle: number
  /** Milliseconds that the headers of a request may take. */
  readonly headers: number
  /** Connections at a time. */
  readonly connections: number
  /** Bytes a second that a transfer must make, over `patience`; 0: any rate will do. */
  readonly rate: number
  /** Milliseconds that a transfer may be slower than `rate`. */
  readonly patience: number
}

/** Connections beyond the limit that are told so; more are closed without a word. */
const TOLD = 64

/** Writes an envelope where there is no response to write it with. */
const answerRaw = (socket: Duplex, refusal: Refusal.Refusal): void => {
  const body = Refusal.toEnvelope(refusal)
  const headers = Object.entries(refusal.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`).join("")
  socket.end(
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n${headers}` +
      "Content-Type: application/json; charset=utf-8\r\nCache-Control: no-store\r\n" +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  )
}

/** Node would answer what it cannot parse without a body; the contract has an envelope for every error. */
const answerClientError = (error: NodeJS.ErrnoException, socket: Duplex): void => {
  const refusal = Refusal.ofProtocol(error.code)
  if (refusal === undefined || !socket.writable) {
    socket.destroy(error)
    return
  }
  answerRaw(socket, refusal)
  // Whoever does not read the answer does not keep the connection by that.
  socket.once("finish", () => socket.destroy())
}

/**
 * Effect has Node compare each body with its length. It counts the length itself, and comparing makes Node hand a short
 * answer to the system in two pieces instead of one.
 */
class Response<R extends IncomingMessage = IncomingMessage> extends ServerResponse<R> {}
Object.defineProperty(Response.prototype, "strictContentLength", { get: () => false, set: () => {} })

/** Bytes in which small chunks are gathered. */
const GATHERED_BYTES = 16 * 1024

/**
 * Node hands on each chunk of a chunked body by a call of its own: 64 KiB from a socket can be 11,000 chunks of a byte.
 * The small ones of one turn are handed on as one. They are copied at once: keeping them costs five times as much.
 */
class Request extends IncomingMessage {
  private gathered: Buffer | undefined = undefined
  private gatheredBytes = 0

  private flush(): boolean {
    const { gathered, gatheredBytes } = this
    if (gathered === undefined || gatheredBytes === 0) return true
    this.gathered = undefined
    this.gatheredBytes = 0
    // What is small is copied, since its memory would be kept as a whole.
    return super.push(
      gatheredBytes * 2 < gathered.length
        ? Buffer.from(gathered.subarray(0, gatheredBytes))
        : gathered.subarray(0, gatheredBytes)
    )
  }

  override push(chunk: Buffer | null): boolean {
    if (chunk === null || chunk.length * 4 > GATHERED_BYTES) {
      this.flush()
      return super.push(chunk)
    }
    if (this.gatheredBytes + chunk.length > GATHERED_BYTES) this.flush()
    if (this.gathered === undefined) {
      this.gathered = Buffer.allocUnsafe(GATHERED_BYTES)
      setImmediate(() => this.flush())
    }
    chunk.copy(this.gathered, this.gatheredBytes)
    this.gatheredBytes += chunk.length
    return this.readableLength + this.gatheredBytes < this.readableHighWaterMark
  }
}

/** Node's server, with the limits that suit long transfers of anybody. */
export const make = (limits: Limits): Server => {
  const server = createServer({
    IncomingMessage: Request,
    ServerResponse: Response,
    // The whole body need not come within a fixed time: a slow upload is no attack as long as bytes come.
    requestTimeout: 0,
    headersTimeout: limits.headers,
    // How often the headers are looked after.
    connectionsCheckingInterval: Math.min(5000, Math.max(100, limits.headers / 2)),
    // Longer than a proxy keeps a connection, so that it is never the server who closes one that is about to be used.
    keepAliveTimeout: Math.min(limits.idle, 75_000)
  })
  server.timeout = limits.idle
  server.maxConnections = limits.connections + TOLD
  server.on("clientError", answerClientError)
  // As with what it cannot parse: Node's own answer has no body.
  server.on("checkExpectation", (_request: IncomingMessage, response: ServerResponse) => {
    const body = Refusal.toEnvelope(Refusal.expectation)
    response.writeHead(Refusal.expectation.status, {
      "content-type": "application/json; charset=utf-8",
      "content-length": Buffer.byteLength(body),
      "cache-control": "no-store",
      // Its body, if there is one, is not read.
      connection: "close"
    })
    response.end(body)
  })
  return server
}

interface Moved {
  readonly bytes: number
  /** Bytes that the system has yet to take; its socket has no public word for them. */
  readonly queued: number
}

const movedBy = (socket: Socket): Moved => ({
  bytes: socket.bytesRead + socket.bytesWritten,
  queued: (socket as { readonly _handle?: { readonly writeQueueSize?: number } | null })._handle?.writeQueueSize ?? 0
})

/** A large write counts when it is begun; from then on, what leaves the queue is what moves. */
const between = (before: Moved, after: Moved): number =>
  after.bytes - before.bytes + Math.max(0, before.queued - after.queued)

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/** A connection, as it was when it was last looked at. */
interface Watched {
  readonly socket: Socket
  exchange: Exchange | undefined
  /** Exchanges that were asked for before the one before them has ended. */
  readonly next: Array<Exchange>
  seen: Exchange | undefined
  moved: Moved
  slowSince: number | undefined
}

const isOver = ({ response }: Exchange): boolean => response.writableFinished || response.destroyed

/** Whether the other side is who is waited for: a body that does not come, or an answer that is not taken. */
const waits = ({ request, response }: Exchange, socket: Socket): boolean =>
  (!request.complete && request.readableLength === 0 && !response.headersSent) || socket.writableLength > 0

/**
 * Watches the connections: refuses those beyond the limit, and ends transfers that are too slow for too long, in both
 * directions. Says how many there are.
 */
export const watch = Effect.fnUntraced(function*(
  server: Server,
  limits: Limits
): Effect.fn.Return<() => number, never, Scope.Scope> {
  let open = 0
  const all = new Map<Socket, Watched>()

  server.on("connection", (socket: Socket) => {
    open++
    all.set(socket, {
      socket,
      exchange: undefined,
      next: [],
      seen: undefined,
      moved: movedBy(socket),
      slowSince: undefined
    })
    socket.once("close", () => {
      open--
      all.delete(socket)
    })
    if (open > limits.connections) {
      socket.on("error", () => {})
      answerRaw(socket, Refusal.tooManyConnections)
      socket.once("finish", () => socket.destroy())
    }
  })

  if (limits.rate > 0) {
    // Nothing is waited for here: a listener for the end of each exchange would cost as much as a small answer.
    const begin = (request: IncomingMessage, response: ServerResponse) => {
      const watched = all.get(request.socket)
      if (watched === undefined) return
      if (watched.exchange === undefined || isOver(watched.exchange)) watched.exchange = { request, response }
      else watched.next.push({ request, response })
    }
    server.on("request", begin)
    server.on("checkContinue", begin)

    const every = Math.max(50, Math.min(5000, limits.patience / 4))
    const look = Effect.map(Clock.currentTimeMillis, (now) => {
      for (const watched of all.values()) {
        const { socket } = watched
        while (watched.exchange !== undefined && isOver(watched.exchange)) watched.exchange = watched.next.shift()
        const { exchange } = watched
        const before = watched.moved
        const moved = watched.moved = movedBy(socket)
        const isNew = exchange !== watched.seen
        watched.seen = exchange
        const slow = exchange !== undefined && !isNew && waits(exchange, socket) &&
          between(before, moved) < limits.rate * every / 1000
        watched.slowSince = slow ? watched.slowSince ?? now - every : undefined
        if (exchange === undefined || watched.slowSince === undefined || now - watched.slowSince < limits.patience) {
          continue
        }
        watched.exchange = undefined
        if (exchange.response.headersSent) socket.destroy()
        else {
          answerRaw(socket, Refusal.tooSlow)
          socket.once("finish", () => socket.destroy())
        }
      }
    })
    // The rate is that of the wire, so it is measured by the real clock whatever clock the program has.
    yield* look.pipe(
      Effect.schedule(Schedule.spaced(Duration.millis(every))),
      Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()),
      Effect.forkScoped
    )
  }

  return () => open
})
