/** The connections of one client: which are kept, for whom, and how many there are. */
import { type Connector, spokenUnasked, type Target } from "../connect.ts"
import { REUSE_MILLIS } from "../reuse.ts"
import { Connection } from "./connection.ts"
import { Input } from "./input.ts"

/** How long a connection is kept that nobody uses, in milliseconds, when the host does not say. */
const KEEP_ALIVE_MILLIS = 4000
const MAX_KEEP_ALIVE_MILLIS = 600_000
/** A connection is closed this much earlier than the host says, in milliseconds. */
const KEEP_ALIVE_MARGIN_MILLIS = 2000
/** How often connections are looked for that have been idle for too long, in milliseconds. */
const SWEEP_MILLIS = 1000

/** The layer of the client has gone. */
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
  /** All that are open or being opened. */
  count: number
  /** Those that nobody uses, the last used at the end. */
  readonly idle: Array<Connection>
  /** Requests that wait for one of them: each looks again when it is called. */
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
   * Calls back with a connection that is open and that nobody uses, or with why there is none. `mayBeIdle`: whether the request
   * may be repeated, and so may meet a host that closes the connection. Returns how to give up.
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

  /** Keeps a connection whose answer has ended, gives it to the next that waits, or closes it. */
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

  /** Closes what nobody has used for too long. */
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
