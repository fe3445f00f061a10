/**
 * Connections of HTTP/1.1: each carries one request and its answer at a time, and reads into one buffer again and again.
 * ARCHITECTURE.md, "Decisions", says why this is not left to a library.
 */
import * as Net from "node:net"
import * as Tls from "node:tls"
import { hearOut } from "./hearOut.ts"
import { type Head, type Listener, ResponseReader } from "./responseReader.ts"

/** What a socket is read into; the system only backs what is used of it. */
const READ_BYTES = 2 * 1024 * 1024
/** What is kept of an answer for a reader who keeps chunks, before the socket is told to wait. */
const HIGH_WATER_BYTES = 512 * 1024
/** How long a connection is kept that nobody uses, when the host does not say; many hosts close theirs after 5 seconds. */
const KEEP_ALIVE_MILLIS = 4000
const MAX_KEEP_ALIVE_MILLIS = 600_000
/** How often it is looked for connections that have been idle for too long. */
const SWEEP_MILLIS = 1000
/** So much earlier than the host says a connection is closed here, so that no request meets a host that is closing it. */
const KEEP_ALIVE_MARGIN_MILLIS = 2000

/** The connection was not made in time. */
export class ConnectTimeoutError extends Error {
  override readonly name = "ConnectTimeoutError"
  readonly code = "ERR_CONNECT_TIMEOUT"
  constructor(millis: number) {
    super(`no connection was made within the timeout: ${millis}ms`)
  }
}

/** The host closed the connection before its answer was whole. */
export class ConnectionClosedError extends Error {
  override readonly name = "ConnectionClosedError"
  readonly code = "ERR_CONNECTION_CLOSED"
  constructor() {
    super("the host closed the connection before its answer was whole")
  }
}

/**
 * One request and its answer. The bytes of the answer lie in the buffer of the connection until they are taken, and are
 * copied only for a reader who keeps them.
 */
export class Exchange implements Listener {
  readonly reader: ResponseReader
  private connection: Connection | undefined
  private onHead: ((head: Head) => void) | undefined
  private onFailure: ((error: Error) => void) | undefined
  private arrived: Head | undefined
  /** Views of the connection's buffer. */
  private views: Array<Uint8Array> = []
  /** Copies, for a reader who keeps chunks, or since the connection went on to something else. */
  private copies: Array<Uint8Array> = []
  private copied = 0
  private isLending = false
  /** Whether the reader keeps chunks; not known before it begins. */
  private isCopying = false
  private onArrival: (() => void) | undefined
  /** The whole request was handed over. */
  private isSent = false
  private hasEnded = false
  failure: Error | undefined

  constructor(
    connection: Connection,
    method: string,
    onHead: (head: Head) => void,
    onFailure: (error: Error) => void
  ) {
    this.connection = connection
    this.reader = new ResponseReader(method, this)
    this.onHead = onHead
    this.onFailure = onFailure
  }

  /** The whole answer is here, or will never be. */
  get isOver(): boolean {
    return this.hasEnded || this.failure !== undefined
  }

  head(head: Head) {
    this.arrived = head
  }

  body(bytes: Buffer) {
    this.views.push(bytes)
  }

  end() {
    this.hasEnded = true
  }

  /** The whole request was handed over. */
  sent() {
    this.isSent = true
    if (this.arrived !== undefined) this.settle()
  }

  /** Passes on what was read. Gives whether the connection may read on into its buffer. */
  settle(): boolean {
    if (this.hasEnded || this.isCopying) this.copy()
    if (this.hasEnded && this.isAnswered) {
      const { connection } = this
      this.connection = undefined
      connection?.finished(this, this.isSent)
    }
    this.deliver()
    this.wake()
    return this.views.length === 0 && !this.isLending && this.copied < HIGH_WATER_BYTES
  }

  /**
   * A refusal is an answer while the request is still being sent, since nobody will read the rest of it. Any other waits
   * until the request is out, so that it is not taken for the end of what is to be done.
   */
  get isAnswered(): boolean {
    return this.arrived !== undefined && (this.isSent || this.arrived.status >= 300)
  }

  private deliver() {
    if (!this.isAnswered || this.onHead === undefined) return
    const { onHead } = this
    this.onHead = undefined
    this.onFailure = undefined
    onHead(this.arrived!)
  }

  fail(error: Error) {
    if (this.failure !== undefined || (this.hasEnded && this.isAnswered)) return
    this.failure = error
    this.connection = undefined
    this.copy()
    const { onFailure } = this
    this.onHead = undefined
    this.onFailure = undefined
    onFailure?.(error)
    this.wake()
  }

  /** Nobody wants the answer any more: the connection closes, unless it has gone on to something else. */
  abandon(reason: Error) {
    const { connection } = this
    if (connection === undefined) return
    this.fail(reason)
    connection.destroy()
  }

  private copy() {
    for (const view of this.views) {
      this.copies.push(Uint8Array.prototype.slice.call(view))
      this.copied += view.length
    }
    this.views = []
  }

  /**
   * Takes what is there: chunks that may be kept, or chunks that are lent until the next call. An empty list when nothing
   * has come.
   */
  take(lent: boolean): ReadonlyArray<Uint8Array> {
    this.isCopying = !lent
    if (!lent) this.copy()
    this.isLending = lent && this.views.length > 0
    const { copies, views } = this
    if (copies.length > 0) {
      this.copies = []
      this.copied = 0
      this.isLending = false
    } else if (this.isLending) {
      this.views = []
      return views
    }
    if (this.views.length === 0) this.connection?.resume()
    return copies
  }

  /** Calls back once something has come, or nothing more will. One waits at a time. */
  wait(callback: () => void) {
    this.onArrival = callback
  }

  /** Nobody waits any more. */
  stopWaiting() {
    this.onArrival = undefined
  }

  private wake() {
    const { onArrival } = this
    if (onArrival === undefined || (this.views.length === 0 && this.copies.length === 0 && !this.isOver)) return
    this.onArrival = undefined
    onArrival()
  }
}

export class Connection {
  readonly socket: Net.Socket
  private readonly pool: ConnectionPool
  readonly origin: string
  private exchange: Exchange | undefined
  private isReading = true
  /** Whether it has carried a request before. */
  isUsed = false
  /** When it is closed if nobody uses it, by the clock of `performance`. */
  keptUntil = 0

  constructor(pool: ConnectionPool, origin: string, connect: (onread: Net.OnReadOpts) => Net.Socket) {
    this.pool = pool
    this.origin = origin
    this.socket = connect({
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (count, buffer) => {
        this.isReading = this.read((buffer as Buffer).subarray(0, count))
        return this.isReading
      }
    })
    hearOut(this.socket)
    this.socket.on("error", (error) => this.closed(error))
    this.socket.on("end", () => this.closed(undefined))
    this.socket.on("close", () => this.closed(undefined))
  }

  private read(bytes: Buffer): boolean {
    const { exchange } = this
    if (exchange === undefined) {
      // Nobody asked: it is nothing that the next request may take for its answer.
      this.destroy()
      return false
    }
    try {
      exchange.reader.read(bytes)
    } catch (error) {
      exchange.fail(error as Error)
      this.destroy()
      return false
    }
    return exchange.settle()
  }

  /** Reads on, where it was told to wait. */
  resume() {
    if (this.isReading || this.socket.destroyed) return
    this.isReading = true
    this.socket.resume()
  }

  private closed(error: Error | undefined) {
    this.pool.forget(this)
    const { exchange } = this
    if (exchange !== undefined) {
      this.exchange = undefined
      // An answer that came before its request was out is none when the connection ends there.
      if (error === undefined && exchange.reader.close() && exchange.isAnswered) exchange.settle()
      else exchange.fail(error ?? new ConnectionClosedError())
    }
    this.destroy()
  }

  begin(method: string, onHead: (head: Head) => void, onFailure: (error: Error) => void): Exchange {
    this.socket.ref()
    return this.exchange = new Exchange(this, method, onHead, onFailure)
  }

  /** The answer has ended; the connection is kept for the next request if that is safe. */
  finished(exchange: Exchange, isSent: boolean) {
    this.exchange = undefined
    this.isUsed = true
    const { isReusable, keepAliveMillis } = exchange.reader
    const millis = keepAliveMillis === undefined
      ? KEEP_ALIVE_MILLIS
      : Math.min(keepAliveMillis - KEEP_ALIVE_MARGIN_MILLIS, MAX_KEEP_ALIVE_MILLIS)
    if (isSent && isReusable && millis > 0 && !this.socket.destroyed) this.pool.keep(this, millis)
    else this.destroy()
  }

  destroy() {
    this.pool.forget(this)
    this.socket.destroy()
  }
}

/** The connections of one client, by the origin that they lead to. */
export class ConnectionPool {
  private readonly all = new Set<Connection>()
  private readonly idle = new Map<string, Array<Connection>>()
  /** The last TLS session with each origin, which makes the next connection faster. */
  private readonly sessions = new Map<string, Buffer>()
  private readonly connectMillis: number
  private sweeper: NodeJS.Timeout | undefined

  constructor(connectMillis: number) {
    this.connectMillis = connectMillis
  }

  /** A connection that is open and that nobody uses. */
  takeIdle(origin: string): Connection | undefined {
    const idle = this.idle.get(origin)
    if (idle === undefined || idle.length === 0) return undefined
    const now = performance.now()
    for (let connection = idle.pop(); connection !== undefined; connection = idle.pop()) {
      if (connection.keptUntil > now) return connection
      connection.destroy()
    }
    return undefined
  }

  /** Opens a connection. Gives how to give it up, for a reason that the callback is told. */
  open(url: URL, callback: (result: Connection | Error) => void): (reason: Error) => void {
    const { origin } = url
    const isSecure = url.protocol === "https:"
    const host = url.hostname.replace(/^\[(.*)\]$/, "$1")
    const port = url.port === "" ? (isSecure ? 443 : 80) : Number(url.port)
    const connection = new Connection(this, origin, (onread) => {
      if (!isSecure) return Net.connect({ host, port, noDelay: true, onread })
      const session = this.sessions.get(origin)
      // The types of Node leave `onread` out, its documentation does not.
      const options: Tls.ConnectionOptions & { readonly onread: Net.OnReadOpts } = {
        host,
        port,
        onread,
        ALPNProtocols: ["http/1.1"],
        ...(Net.isIP(host) === 0 ? { servername: host } : {}),
        ...(session === undefined ? {} : { session })
      }
      return Tls.connect(options).setNoDelay(true).on("session", (session) => this.sessions.set(origin, session))
    })
    const { socket } = connection
    this.all.add(connection)
    let isSettled = false
    const settle = (result: Connection | Error) => {
      if (isSettled) return
      isSettled = true
      clearTimeout(timer)
      if (result instanceof Error) connection.destroy()
      callback(result)
    }
    // @effect-diagnostics-next-line globalTimers:off - a socket of Node, outside of every fiber
    const timer = setTimeout(() => settle(new ConnectTimeoutError(this.connectMillis)), this.connectMillis)
    socket.once("error", settle)
    socket.once("close", () => settle(new ConnectionClosedError()))
    socket.once(isSecure ? "secureConnect" : "connect", () => settle(connection))
    return settle
  }

  keep(connection: Connection, millis: number) {
    const idle = this.idle.get(connection.origin)
    if (idle === undefined) this.idle.set(connection.origin, [connection])
    else idle.push(connection)
    // An idle connection does not keep a program alive.
    connection.socket.unref()
    connection.keptUntil = performance.now() + millis
    // A timer for each of them would cost a small request as much as its answer does.
    // @effect-diagnostics-next-line globalTimers:off - sockets of Node, outside of every fiber
    this.sweeper ??= setInterval(() => this.sweep(), SWEEP_MILLIS).unref()
  }

  /** Closes what nobody has used for too long. */
  private sweep() {
    const now = performance.now()
    let left = 0
    for (const idle of this.idle.values()) {
      for (const connection of idle.filter(({ keptUntil }) => keptUntil <= now)) connection.destroy()
      left += idle.length
    }
    if (left > 0) return
    clearInterval(this.sweeper)
    this.sweeper = undefined
  }

  forget(connection: Connection) {
    this.all.delete(connection)
    const idle = this.idle.get(connection.origin)
    const at = idle === undefined ? -1 : idle.indexOf(connection)
    if (at !== -1) idle!.splice(at, 1)
  }

  destroy() {
    clearInterval(this.sweeper)
    for (const connection of this.all) connection.destroy()
  }
}
