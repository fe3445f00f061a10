/** An HTTP/1.1 connection: carries one request and its response at a time. */
import type { Buffers } from "@effect-fileio/client/Transport"
import type * as Net from "node:net"
import type { Input } from "./input.ts"
import { type Head, type Listener, ResponseReader } from "./responseReader.ts"

/** How many bytes of a response are buffered for a reader of `owned` chunks before the socket stops reading. */
const HIGH_WATER_BYTES = 512 * 1024

/** The host closed the connection before the response was complete. */
class ConnectionClosedError extends Error {
  override readonly name = "ConnectionClosedError"
  readonly code = "ERR_CONNECTION_CLOSED"
  constructor() {
    super("the host closed the connection before its response was complete")
  }
}

/**
 * One request and its response. The bytes of the response stay in the connection's buffer until they are taken, and are
 * copied only for a reader of `owned` chunks.
 */
export class Exchange implements Listener {
  readonly reader: ResponseReader
  private connection: Connection | undefined
  private onHead: ((head: Head) => void) | undefined
  private onFailure: ((error: Error) => void) | undefined
  private arrived: Head | undefined
  /** Views of the connection's buffer. */
  private views: Array<Uint8Array> = []
  /** Copies, for a reader of `owned` chunks, or because the connection is used for something else now. */
  private copies: Array<Uint8Array> = []
  private copied = 0
  private areViewsOut = false
  /** Whether the reader wants `owned` chunks; unknown before it starts. */
  private isCopying = false
  private onArrival: (() => void) | undefined
  /** The whole request was written. */
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

  /** The whole response has arrived, or never will. */
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

  /** The whole request was written. */
  sent() {
    this.isSent = true
    if (this.arrived !== undefined) this.settle()
  }

  /** Passes on received bytes. Returns whether the connection may continue to read into its buffer. */
  settle(): boolean {
    if (this.hasEnded || this.isCopying) this.copy()
    if (this.hasEnded && this.hasResponse) {
      const { connection } = this
      this.connection = undefined
      connection?.finished(this, this.isSent)
    }
    this.deliver()
    this.wake()
    return this.views.length === 0 && !this.areViewsOut && this.copied < HIGH_WATER_BYTES
  }

  /**
   * A refusal ends the exchange while the request is still being sent, since the host will not read the rest. A success
   * waits until the request is sent.
   */
  get hasResponse(): boolean {
    return this.arrived !== undefined && (this.isSent || this.arrived.status >= 300)
  }

  private deliver() {
    if (!this.hasResponse || this.onHead === undefined) return
    const { onHead } = this
    this.onHead = undefined
    this.onFailure = undefined
    onHead(this.arrived!)
  }

  fail(error: Error) {
    if (this.failure !== undefined || (this.hasEnded && this.hasResponse)) return
    this.failure = error
    this.connection = undefined
    this.copy()
    const { onFailure } = this
    this.onHead = undefined
    this.onFailure = undefined
    onFailure?.(error)
    this.wake()
  }

  /** Nobody reads the response any more: closes the connection, unless it is used for something else now. */
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
   * Takes the available chunks; `reused` ones are valid until the next call. An empty list if there are none.
   */
  take(buffers: Buffers): ReadonlyArray<Uint8Array> {
    this.isCopying = buffers === "owned"
    if (this.isCopying) this.copy()
    this.areViewsOut = buffers === "reused" && this.views.length > 0
    const { copies, views } = this
    if (copies.length > 0) {
      this.copies = []
      this.copied = 0
      this.areViewsOut = false
    } else if (this.areViewsOut) {
      this.views = []
      return views
    }
    if (this.views.length === 0) this.connection?.resume()
    return copies
  }

  /** Calls back once bytes have arrived, or nothing more will. One caller waits at a time. */
  wait(callback: () => void) {
    this.onArrival = callback
  }

  /** Cancels `wait`. */
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

/** How a connection reports to its pool. */
interface Owner {
  /** A response has ended; `isReusable` says whether another request may follow it. */
  readonly finished: (connection: Connection, isReusable: boolean, keepAliveMillis: number | undefined) => void
  readonly closed: (connection: Connection) => void
}

export class Connection {
  readonly socket: Net.Socket
  readonly #owner: Owner
  #exchange: Exchange | undefined
  #isReading = true
  /** Whether it has carried a request before. */
  isUsed = false
  /** Since when it is idle, and when it is to be closed, by the clock of `performance`. */
  idleSince = 0
  keptUntil = 0

  constructor(socket: Net.Socket, input: Input, owner: Owner) {
    this.socket = socket
    this.#owner = owner
    input.onBytes = (bytes) => this.#isReading = this.#read(bytes)
    input.remaining = () => this.#exchange?.reader.remaining ?? 0
    socket.on("error", (error) => this.#closed(error))
    socket.on("end", () => this.#closed(undefined))
    socket.on("close", () => this.#closed(undefined))
  }

  #read(bytes: Buffer): boolean {
    const exchange = this.#exchange
    if (exchange === undefined) {
      // Bytes without a request: the next request must not take them for its response.
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

  /** Resumes reading. */
  resume() {
    if (this.#isReading || this.socket.destroyed) return
    this.#isReading = true
    this.socket.resume()
  }

  #closed(error: Error | undefined) {
    this.#owner.closed(this)
    const exchange = this.#exchange
    if (exchange !== undefined) {
      this.#exchange = undefined
      // A response that began before its request was sent is not complete if the connection ends there.
      if (error === undefined && exchange.reader.close() && exchange.hasResponse) exchange.settle()
      else exchange.fail(error ?? new ConnectionClosedError())
    }
    this.destroy()
  }

  begin(method: string, onHead: (head: Head) => void, onFailure: (error: Error) => void): Exchange {
    this.socket.ref()
    return this.#exchange = new Exchange(this, method, onHead, onFailure)
  }

  /** The response has ended. */
  finished({ reader }: Exchange, isSent: boolean) {
    this.#exchange = undefined
    this.isUsed = true
    this.#owner.finished(this, isSent && reader.isReusable && !this.socket.destroyed, reader.keepAliveMillis)
  }

  destroy() {
    this.#owner.closed(this)
    this.socket.destroy()
  }
}
