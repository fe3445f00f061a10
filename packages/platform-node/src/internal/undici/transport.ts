/**
 * The transport over an undici dispatcher. It calls `dispatch` itself: chunks of a body go to the socket as they are read from
 * the file, and chunks of a response to the reader, without a Node stream in between, whose copies and garbage cost more than
 * everything else in a large transfer.
 */
import * as Transport from "@effect-fileio/client/Transport"
import type { Dispatcher } from "@effect/platform-node/Undici"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { getDefaultHighWaterMark, type Readable } from "node:stream"
import type { Hints } from "./originPool.ts"

type Chunks = readonly [Uint8Array, ...Array<Uint8Array>]

/**
 * Frees unused memory at once. Node allocates outside the heap for each read of a socket, and left to the collector this causes
 * a full collection every 50 MB. A chunk that is only a part of its memory is left alone, since somebody may have the rest.
 */
const giveBack = ({ buffer, byteLength }: Uint8Array): void => {
  if (buffer instanceof ArrayBuffer && byteLength > 0 && byteLength === buffer.byteLength) buffer.transfer(0)
}

/** How many bytes of a response may wait to be read before the socket is paused. */
const MAX_WAITING_BYTES = 1024 * 1024

/** A chunk that fills the socket's buffer is written before undici requests the next one; smaller ones may wait in memory. */
const minWrittenBytes = () => Math.max(64 * 1024, getDefaultHighWaterMark(false))

/** Converts an error of undici's. */
export type Explain = (error: Error) => Error

/** One request and its response. */
class Exchange implements Dispatcher.DispatchHandler, Transport.Observer {
  readonly #request: Transport.Request
  readonly #observer: Transport.Observer
  readonly #explain: Explain
  readonly #hidesCuts: boolean
  readonly #onHead: (response: Transport.Response) => void
  readonly #onFailure: (error: Transport.TransportError) => void
  #controller: Dispatcher.DispatchController | undefined
  /** Why the response is not wanted any more. */
  #abandoned: Error | undefined
  #isHeadWritten = false
  #hasHead = false
  #isOver = false
  #failure: unknown
  #chunks: Array<Uint8Array> = []
  #bytes = 0
  #wake: (() => void) | undefined

  constructor(
    request: Transport.Request,
    observer: Transport.Observer,
    { buffers, explain }: Options,
    onHead: (response: Transport.Response) => void,
    onFailure: (error: Transport.TransportError) => void
  ) {
    this.#request = request
    this.#observer = observer
    this.#explain = explain
    // Only the connections of this package say how they end.
    this.#hidesCuts = buffers === "owned"
    this.#onHead = onHead
    this.#onFailure = onFailure
  }

  get isAbandoned() {
    return this.#abandoned !== undefined
  }

  readonly onWaiting = () => this.#observer.onWaiting()
  readonly onCollected = (bytes: number) => this.#observer.onCollected(bytes)

  readonly onHeadWritten = (connection: "new" | "reused") => {
    this.#isHeadWritten = true
    this.#observer.onHeadWritten(connection)
  }

  onRequestStart(controller: Dispatcher.DispatchController) {
    this.#controller = controller
    if (this.#abandoned !== undefined) controller.abort(this.#abandoned)
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Readonly<Record<string, unknown>>) {
    // An interim response; the final one follows.
    if (status < 200) return
    this.#hasHead = true
    const fields: Record<string, string> = {}
    for (const name in headers) {
      const value = headers[name]
      if (value !== undefined) fields[name] = Array.isArray(value) ? value.join(", ") : String(value)
    }
    this.#onHead({
      url: this.#request.url,
      status,
      headers: fields,
      isDecoded: false,
      hidesCuts: this.#hidesCuts,
      body: (buffers) => Stream.fromPull(Effect.succeed(this.#pull(buffers)))
    })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array) {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes >= MAX_WAITING_BYTES) controller.pause()
    this.#changed()
  }

  onResponseEnd() {
    this.#isOver = true
    this.#changed()
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error) {
    this.#isOver = true
    this.#failure = error
    if (!this.#hasHead) {
      const cause = this.#explain(error)
      const isRefused = !this.#isHeadWritten && "code" in cause && cause.code === "UND_ERR_INVALID_ARG"
      this.#onFailure(
        isRefused
          ? new Transport.TransportError({ phase: "prepare", part: "body", cause })
          : Transport.requestError(cause, { isHeadWritten: this.#isHeadWritten })
      )
    }
    this.#changed()
  }

  /** Closes the connection, unless the response was read to its end. */
  abandon() {
    if (this.#isOver) return
    this.#abandoned ??= new Error("the response was not read to its end")
    this.#controller?.abort(this.#abandoned)
  }

  /** All available bytes; waits for the first. */
  #pull(buffers: Transport.Buffers): Pull.Pull<Chunks, Transport.TransportError> {
    let taken: ReadonlyArray<Uint8Array> = []
    const next: Pull.Pull<Chunks, Transport.TransportError> = Effect.suspend(() => {
      if (buffers === "reused") { for (const chunk of taken) giveBack(chunk) }
      taken = []
      const chunks = this.#chunks
      if (chunks.length > 0) {
        taken = chunks
        this.#chunks = []
        this.#bytes = 0
        this.#controller?.resume()
        return Effect.succeed(chunks as unknown as Chunks)
      }
      if (this.#failure !== undefined) return Effect.fail(Transport.responseError(this.#failure))
      return this.#isOver ? Cause.done() : arrival
    })
    const arrival: typeof next = Effect.callback((resume) => {
      this.#wake = () => resume(next)
      return Effect.sync(() => {
        this.#wake = undefined
      })
    })
    return next
  }

  /**
   * Wakes the reader after everything of this turn of the event loop has arrived: each wake costs as much as reading 64 KiB.
   */
  #changed() {
    const wake = this.#wake
    this.#wake = undefined
    if (wake !== undefined) setImmediate(wake)
  }
}

/** Hands the chunks of a body to undici one by one, each when undici requests it. */
class Outgoing implements AsyncIterableIterator<Uint8Array> {
  #resolve: ((result: IteratorResult<Uint8Array, undefined>) => void) | undefined
  #reject: ((cause: unknown) => void) | undefined
  #onAsked: (() => void) | undefined;

  [Symbol.asyncIterator]() {
    return this
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#onAsked?.()
    })
  }

  /** Waits until undici requests a chunk. */
  readonly asked: Effect.Effect<void> = Effect.suspend(() =>
    this.#resolve !== undefined ? Effect.void : Effect.callback<void>((resume) => {
      this.#onAsked = () => resume(Effect.void)
      return Effect.sync(() => {
        this.#onAsked = undefined
      })
    })
  )

  #settle(result: IteratorResult<Uint8Array, undefined>) {
    this.#onAsked = undefined
    const resolve = this.#resolve
    this.#resolve = undefined
    resolve?.(result)
  }

  give(chunk: Uint8Array) {
    this.#settle({ done: false, value: chunk })
  }

  end(exit: Exit.Exit<void, unknown>) {
    if (Exit.isSuccess(exit)) this.#settle({ done: true, value: undefined })
    else this.#reject?.(Cause.squash(exit.cause))
  }
}

/**
 * Passes the chunks of a body to undici; each is written before the next one is read. Nothing is read before there is a
 * connection.
 */
const sendBody = (
  outgoing: Outgoing,
  { open }: Extract<Transport.Body, { readonly _tag: "Stream" }>,
  buffers: Transport.Buffers
): Effect.Effect<void> => {
  const give = (chunk: Uint8Array) => {
    if (chunk.length === 0) return Effect.void
    outgoing.give(buffers === "reused" && chunk.length < minWrittenBytes() ? chunk.slice() : chunk)
    return outgoing.asked
  }
  return Effect.andThen(outgoing.asked, Stream.runForEach(open(buffers), give)).pipe(
    Effect.exit,
    Effect.map((exit) => outgoing.end(exit))
  )
}

const targetOf = (address: string): URL | Error => {
  try {
    return new URL(address)
  } catch (error) {
    return error as Error
  }
}

const headersOf = ({ body, headers }: Transport.Request): Readonly<Record<string, string>> => {
  if (body._tag === "Empty") return headers
  const length = body._tag === "Stream" && body.length !== undefined ? { "content-length": String(body.length) } : {}
  return { ...headers, "content-type": body.contentType, ...length }
}

const send = (
  options: Options,
  request: Transport.Request,
  observer: Transport.Observer
): Effect.Effect<Transport.Response, Transport.TransportError, Scope.Scope> => {
  const { buffers, dispatcher } = options
  const { body, method } = request
  const url = targetOf(request.url)
  if (url instanceof Error) {
    return Effect.fail(new Transport.TransportError({ phase: "prepare", part: "url", cause: url }))
  }
  const outgoing = new Outgoing()
  let exchange: Exchange | undefined
  const response = Effect.callback<Transport.Response, Transport.TransportError>((resume) => {
    exchange = new Exchange(
      request,
      observer,
      options,
      // In a moment, when the bytes that came with the head are there too, so that nobody waits for those of a small response.
      (response) => queueMicrotask(() => resume(Effect.succeed(response))),
      (error) => resume(Effect.fail(error))
    )
    const dispatched: Dispatcher.DispatchOptions & Hints = {
      origin: url.origin,
      path: url.pathname + url.search,
      method,
      headers: headersOf(request),
      // undici documents iterables, but its types omit them.
      body: body._tag === "Empty"
        ? null
        : body._tag === "Bytes"
        ? Buffer.concat(body.chunks)
        : outgoing as unknown as Readable,
      // `FileIo.Options` sets time-outs.
      headersTimeout: 0,
      bodyTimeout: 0,
      current: { request, observer: exchange }
    }
    dispatcher.dispatch(dispatched, exchange)
  })
  const close = Effect.sync(() => exchange?.abandon())
  return Effect.uninterruptibleMask((restore) => {
    const received = Effect.andThen(
      Effect.addFinalizer(() => close),
      Effect.onError(restore(response), () => close)
    )
    return body._tag === "Stream"
      ? Effect.andThen(Effect.forkScoped(sendBody(outgoing, body, buffers)), received)
      : received
  })
}

export interface Options {
  readonly dispatcher: Dispatcher
  /** `reused` if the chunks of a body reach the socket directly; a user's dispatcher may keep them. */
  readonly buffers: Transport.Buffers
  readonly explain: Explain
}

export const make = (options: Options): Transport.Service => ({
  send: (request, observer) => Effect.suspend(() => send(options, request, observer))
})
