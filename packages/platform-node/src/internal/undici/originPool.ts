/**
 * The connections to one host, as an undici dispatcher. undici's own `Pool` cannot say how long a connection has been
 * idle, so it cannot keep a request that must not be repeated off a connection that the host is about to close.
 */
import type * as Transport from "@effect-fileio/client/Transport"
import Undici, { type buildConnector, type Dispatcher } from "@effect/platform-node/Undici"
import type { Socket } from "node:net"
import { REUSE_MILLIS } from "../reuse.ts"
import { MAX_HEAD_BYTES } from "../sockets/responseReader.ts"

type Handler = Dispatcher.DispatchHandler
type Options = Dispatcher.DispatchOptions & Hints

/** Additions of `NodeHttp` to an undici request. */
export interface Hints {
  /** The caller's request and its observer. */
  readonly current?: {
    readonly request: Transport.Request
    readonly observer: Transport.Observer & { readonly isAbandoned?: boolean }
  } | undefined
  readonly signal?: unknown
}

const REPEATABLE = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])

/** Whether the request may use a connection that has been idle for longer. */
const mayBeIdle = ({ current, method }: Options): boolean => current?.request.isRepeatable ?? REPEATABLE.has(method)

interface Waiting {
  readonly options: Options
  readonly handler: Handler
}

type ClientOptions = Undici.Client.Options & { readonly connect: buildConnector.connector }

/** One connection. undici's `Client` opens it with its first request. */
class Slot {
  readonly client: Undici.Client
  socket: Socket | undefined
  isConnected = false
  isBusy = false
  /** Number of responses over this connection. */
  served = 0
  /** When its last response ended, by the clock of `performance`. */
  idleSince = 0

  constructor(origin: string | URL, options: ClientOptions) {
    this.client = new Undici.Client(origin, {
      maxHeaderSize: MAX_HEAD_BYTES,
      ...options,
      connect: (target, callback) =>
        options.connect(target, (...result) => {
          this.socket = result[1] ?? undefined
          callback(...result)
        })
    })
  }

  /** Why its connection broke. */
  get failure(): Error | undefined {
    return this.socket?.errored ?? undefined
  }
}

/** Forwards all events, and reports when the head of the request is written and when the connection is idle. */
class Watched implements Handler {
  readonly #handler: Handler
  readonly #onStart: () => void
  readonly #onEnd: (isServed: boolean) => void
  readonly #slot: Slot
  /** Whether nothing but the end of the connection ends the response. */
  #isUntilClose = false

  constructor(handler: Handler, slot: Slot, onStart: () => void, onEnd: (isServed: boolean) => void) {
    this.#handler = handler
    this.#slot = slot
    this.#onStart = onStart
    this.#onEnd = onEnd
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown) {
    this.#onStart()
    this.#handler.onRequestStart?.(controller, context)
  }

  onRequestUpgrade(...args: Parameters<NonNullable<Handler["onRequestUpgrade"]>>) {
    this.#onEnd(false)
    this.#handler.onRequestUpgrade?.(...args)
  }

  onResponseStart(...args: Parameters<NonNullable<Handler["onResponseStart"]>>) {
    const [, , headers] = args
    this.#isUntilClose = headers["content-length"] === undefined && headers["transfer-encoding"] === undefined
    this.#handler.onResponseStart?.(...args)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer) {
    this.#handler.onResponseData?.(controller, chunk)
  }

  onResponseEnd(...args: Parameters<NonNullable<Handler["onResponseEnd"]>>) {
    const { failure } = this.#slot
    // undici takes such a response for whole when its connection is reset.
    if (this.#isUntilClose && failure !== undefined) return this.onResponseError(args[0], failure)
    this.#onEnd(true)
    this.#handler.onResponseEnd?.(...args)
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error) {
    this.#onEnd(false)
    this.#handler.onResponseError?.(controller, error)
  }

  onBodySent(chunk: Buffer) {
    this.#handler.onBodySent?.(chunk)
  }

  onRequestSent() {
    this.#handler.onRequestSent?.()
  }
}

export class OriginPool extends Undici.Dispatcher {
  readonly #open: () => Slot
  readonly #limit: number
  readonly #slots = new Set<Slot>()
  /** Idle connections, the most recently used last. */
  readonly #idle: Array<Slot> = []
  readonly #waiting: Array<Waiting> = []
  #isDestroyed = false

  constructor(origin: string | URL, options: ClientOptions, limit: number) {
    super()
    this.#open = () => new Slot(origin, options)
    this.#limit = limit
  }

  override dispatch(options: Options, handler: Handler): boolean {
    if (this.#isDestroyed) {
      fail(handler, new Undici.errors.ClientDestroyedError())
      return false
    }
    const slot = this.#take(mayBeIdle(options))
    if (slot?.isConnected !== true) options.current?.observer.onWaiting()
    if (slot === undefined) this.#waiting.push({ options, handler })
    else this.#send(slot, options, handler)
    return true
  }

  /** A connection for a request; `undefined` if all are in use. */
  #take(mayBeIdle: boolean): Slot | undefined {
    const last = this.#idle.at(-1)
    if (last !== undefined && (mayBeIdle || performance.now() - last.idleSince < REUSE_MILLIS)) {
      this.#idle.pop()
      return last
    }
    if (this.#slots.size >= this.#limit) {
      const oldest = this.#idle[0]
      if (oldest === undefined) return undefined
      this.#drop(oldest)
    }
    const slot = this.#open()
    slot.client.on("connect", () => {
      slot.isConnected = true
      slot.served = 0
    })
    slot.client.on("disconnect", () => {
      slot.isConnected = false
      if (!slot.isBusy) this.#drop(slot)
    })
    this.#slots.add(slot)
    return slot
  }

  #send(slot: Slot, options: Options, handler: Handler) {
    slot.isBusy = true
    const observer = options.current?.observer
    slot.client.dispatch(
      // The caller sets the time-out of a response.
      { ...options, headersTimeout: 0, bodyTimeout: 0 },
      new Watched(handler, slot, () => observer?.onHeadWritten(slot.served > 0 ? "reused" : "new"), (isServed) => {
        if (isServed) slot.served++
        // The client has to finish the request first.
        queueMicrotask(() => this.#release(slot))
      })
    )
  }

  #release(slot: Slot) {
    if (!slot.isBusy) return
    slot.isBusy = false
    if (!slot.isConnected) this.#drop(slot)
    else {
      slot.idleSince = performance.now()
      this.#idle.push(slot)
    }
    this.#next()
  }

  #drop(slot: Slot) {
    this.#slots.delete(slot)
    const at = this.#idle.indexOf(slot)
    if (at !== -1) this.#idle.splice(at, 1)
    void slot.client.destroy()
  }

  #next() {
    while (this.#waiting.length > 0 && !this.#isDestroyed) {
      const { handler, options } = this.#waiting[0]!
      const { current, signal } = options
      const isAbandoned = current?.observer.isAbandoned === true || (signal instanceof AbortSignal && signal.aborted)
      if (!isAbandoned) {
        const slot = this.#take(mayBeIdle(options))
        if (slot === undefined) return
        this.#send(slot, options, handler)
      }
      this.#waiting.shift()
    }
  }

  override destroy(): Promise<void>
  override destroy(...args: ReadonlyArray<unknown>): Promise<void>
  override destroy(): Promise<void> {
    if (this.#isDestroyed) return Promise.resolve()
    this.#isDestroyed = true
    const error = new Undici.errors.ClientDestroyedError()
    for (const { handler } of this.#waiting.splice(0)) fail(handler, error)
    return Promise.all(Array.from(this.#slots, ({ client }) => client.destroy(error))).then(() => {})
  }
}

// An undici handler accepts an error without a controller, as undici's own dispatchers call it.
const fail = (handler: Handler, error: Error) => handler.onResponseError?.(undefined!, error)
