/** The connections of one client: keeps idle ones, and bounds their number per host. */
import { type Connector, spokenUnasked, type Target } from "../connect.ts"
import { REUSE_MILLIS } from "../reuse.ts"
import { Connection } from "./connection.ts"
import { Input } from "./input.ts"

/** How long an idle connection is kept, in milliseconds, if the host does not say. */
const KEEP_ALIVE_MILLIS = 4000
const MAX_KEEP_ALIVE_MILLIS = 600_000
/** How much earlier than the host says a connection is closed, in milliseconds. */
const KEEP_ALIVE_MARGIN_MILLIS = 2000
/** Interval of the check for idle connections, in milliseconds. */
const SWEEP_MILLIS = 1000

/** The layer of the client was closed. */
class ClientClosedError extends Error {
  override readonly name = "ClientClosedError"
  readonly syscall = "connect"
  readonly code = "ERR_CLIENT_CLOSED"
  constructor() {
    super("the HTTP client was closed")
  }
}

type Callback = (result: Connection | Error) => void

/** The connections to one host. */
interface Host {
  readonly target: Target
  /** All connections that are open or being opened. */
  count: number
  /** Idle connections, the most recently used last. */
  readonly idle: Array<Connection>
  /** Requests that wait for a connection; each looks again when called. */
  readonly waiting: Array<() => void>
}

export class ConnectionPool {
  readonly #connector: Connector
  readonly #limit: number
  readonly #hosts = new Map<string, Host>()
  readonly #all = new Set<Connection>()
  #sweeper: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(connector: Connector, limit: number) {
    this.#connector = connector
    this.#limit = limit
  }

  /**
   * Calls back with an open, unused connection, or with the error. `mayBeIdle`: whether the request may be repeated,
   * and so may use a connection that the host is about to close. Returns a function that cancels.
   */
  acquire(url: URL, mayBeIdle: boolean, callback: Callback, onWaiting: () => void): (reason: Error) => void {
    if (this.#isClosed) {
      callback(new ClientClosedError())
      return () => {}
    }
    const host = this.#hostOf(url)
    const idle = this.#takeIdle(host, mayBeIdle)
    if (idle !== undefined) {
      callback(idle)
      return () => {}
    }
    if (host.count >= this.#limit && host.idle.length > 0) host.idle[0]!.destroy()
    onWaiting()
    if (host.count < this.#limit) return this.#open(host, callback)
    const look = () => {
      cancel = this.acquire(url, mayBeIdle, callback, onWaiting)
    }
    let cancel = (reason: Error) => {
      const at = host.waiting.indexOf(look)
      if (at !== -1) host.waiting.splice(at, 1)
      callback(reason)
    }
    host.waiting.push(look)
    return (reason) => cancel(reason)
  }

  #hostOf(url: URL): Host {
    let host = this.#hosts.get(url.origin)
    if (host === undefined) {
      const isSecure = url.protocol === "https:"
      host = {
        target: {
          host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
          port: url.port === "" ? (isSecure ? 443 : 80) : Number(url.port),
          isSecure
        },
        count: 0,
        idle: [],
        waiting: []
      }
      this.#hosts.set(url.origin, host)
    }
    return host
  }

  #takeIdle({ idle }: Host, mayBeIdle: boolean): Connection | undefined {
    const last = idle.at(-1)
    if (last === undefined) return undefined
    const now = performance.now()
    if (mayBeIdle ? last.keptUntil <= now : now - last.idleSince >= REUSE_MILLIS) return undefined
    return idle.pop()
  }

  #open(host: Host, callback: Callback): (reason: Error) => void {
    host.count++
    const inputs = new Map<unknown, Input>()
    return this.#connector.open(
      host.target,
      (result) => {
        const input = inputs.get(result)
        if (result instanceof Error || input === undefined || input.isUnasked || this.#isClosed) {
          host.count--
          if (!(result instanceof Error)) result.destroy()
          callback(result instanceof Error ? result : this.#isClosed ? new ClientClosedError() : spokenUnasked())
          host.waiting.shift()?.()
          return
        }
        const connection = new Connection(result, input, {
          finished: (one, isReusable, keepAliveMillis) => this.#finished(host, one, isReusable, keepAliveMillis),
          closed: (one) => this.#closed(host, one)
        })
        this.#all.add(connection)
        callback(connection)
      },
      (connect) => {
        const input = new Input()
        const socket = connect(input.onread)
        inputs.set(socket, input)
        return socket
      }
    )
  }

  /** Takes back a connection after its response: passes it to the next waiting request, keeps it, or closes it. */
  #finished(host: Host, connection: Connection, isReusable: boolean, keepAliveMillis: number | undefined) {
    const millis = keepAliveMillis === undefined
      ? KEEP_ALIVE_MILLIS
      : Math.min(keepAliveMillis - KEEP_ALIVE_MARGIN_MILLIS, MAX_KEEP_ALIVE_MILLIS)
    if (!isReusable || millis <= 0 || this.#isClosed) return connection.destroy()
    // An idle connection does not keep a program alive.
    connection.socket.unref()
    connection.idleSince = performance.now()
    connection.keptUntil = connection.idleSince + millis
    host.idle.push(connection)
    // @effect-diagnostics-next-line globalTimers:off - sockets of Node, outside of every fiber
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MILLIS).unref()
    host.waiting.shift()?.()
  }

  #closed(host: Host, connection: Connection) {
    if (!this.#all.delete(connection)) return
    host.count--
    const at = host.idle.indexOf(connection)
    if (at !== -1) host.idle.splice(at, 1)
    host.waiting.shift()?.()
  }

  /** Closes connections that have been idle for too long. */
  #sweep() {
    const now = performance.now()
    let left = 0
    for (const { idle } of this.#hosts.values()) {
      for (const connection of idle.filter(({ keptUntil }) => keptUntil <= now)) connection.destroy()
      left += idle.length
    }
    if (left > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }

  destroy() {
    this.#isClosed = true
    clearInterval(this.#sweeper)
    for (const { waiting } of this.#hosts.values()) {
      for (const look of waiting.splice(0)) look()
    }
    for (const connection of this.#all) connection.destroy()
  }
}
