/**
 * A transport over its own connections: writes a request to a connection of the pool, and reads the response from it.
 */
import * as Transport from "@effect-fileio/client/Transport"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Connection, Exchange } from "./connection.ts"
import type { ConnectionPool } from "./pool.ts"
import { type Head, isField } from "./responseReader.ts"

type Chunks = readonly [Uint8Array, ...Array<Uint8Array>]

/** All available bytes; waits for the first. */
const pull = (exchange: Exchange, buffers: Transport.Buffers): Pull.Pull<Chunks, Transport.TransportError> => {
  const next: Pull.Pull<Chunks, Transport.TransportError> = Effect.suspend(() => {
    const chunks = exchange.take(buffers)
    if (chunks.length > 0) return Effect.succeed(chunks as Chunks)
    if (exchange.failure !== undefined) return Effect.fail(Transport.responseError(exchange.failure))
    return exchange.isOver ? Cause.done() : arrival
  })
  const arrival: typeof next = Effect.callback((resume) => {
    exchange.wait(() => resume(next))
    return Effect.sync(() => exchange.stopWaiting())
  })
  return next
}

const unread = () => new Error("the response was not read to its end")

const responseOf = (url: string, { headers, status }: Head, exchange: Exchange): Transport.Response => ({
  url,
  status,
  headers,
  isDecoded: false,
  body: (buffers) =>
    Stream.fromPull(Effect.succeed(pull(exchange, buffers))).pipe(
      Stream.ensuring(Effect.sync(() => exchange.abandon(unread())))
    )
})

const refused = (part: "url" | "body", cause: unknown) =>
  new Transport.TransportError({ phase: "prepare", part, cause })

const targetOf = (address: string): URL | Error => {
  try {
    const url = new URL(address)
    return /^https?:$/.test(url.protocol) ? url : new Error("only http: and https: are supported")
  } catch (error) {
    return error as Error
  }
}

/** The head of a request, or what is wrong with it. */
const headOf = ({ body, headers, method }: Transport.Request, { host, pathname, search }: URL): string | Error => {
  let head = `${method} ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n`
  const add = (name: string, value: string) => {
    if (!isField(name, value)) return new Error(`the header ${name} cannot be sent`)
    head += `${name}: ${value}\r\n`
    return undefined
  }
  for (const name in headers) {
    const problem = add(name, headers[name]!)
    if (problem !== undefined) return problem
  }
  if (body._tag === "Empty") {
    return method === "GET" || method === "HEAD" ? `${head}\r\n` : `${head}content-length: 0\r\n\r\n`
  }
  const problem = add("content-type", body.contentType)
  if (problem !== undefined) return problem
  const length = body._tag === "Stream" ? body.length : lengthOf(body.chunks)
  return length === undefined ? `${head}transfer-encoding: chunked\r\n\r\n` : `${head}content-length: ${length}\r\n\r\n`
}

const lengthOf = (chunks: ReadonlyArray<Uint8Array>): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0)

const LINE = Buffer.from("\r\n")
const LAST_CHUNK = Buffer.from("0\r\n\r\n")

/** Writes bytes, and completes once the system has taken them; a buffer may then be reused. */
const write = (connection: Connection, chunks: ReadonlyArray<Uint8Array>, isChunked: boolean): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const { socket } = connection
    // The response, which is awaited at the same time, fails with the reason.
    const done = (error?: Error | null) => {
      if (error === null || error === undefined) resume(Effect.void)
    }
    if (chunks.length === 1 && !isChunked) return void socket.write(chunks[0]!, done)
    socket.cork()
    for (const chunk of chunks) {
      if (isChunked) socket.write(`${chunk.length.toString(16)}\r\n`, "latin1")
      socket.write(chunk)
      if (isChunked) socket.write(LINE)
    }
    socket.write("", done)
    socket.uncork()
  })

class LengthError extends Error {
  override readonly name = "LengthError"
  constructor(given: number, announced: number) {
    super(
      `the body has ${given < announced ? `only ${given}` : "more"} bytes than the ${announced} that were announced`
    )
  }
}

/**
 * Smaller pieces are joined before they are written, in bytes: a write of a small piece costs as much as a write of all
 * of them.
 */
const SMALL_BYTES = 32 * 1024

const writeWhole = ({ socket }: Connection, head: string, chunks: ReadonlyArray<Uint8Array>) => {
  const pieces = [Buffer.from(head, "latin1"), ...chunks]
  const length = lengthOf(pieces)
  if (length <= SMALL_BYTES) return void socket.write(Buffer.concat(pieces, length))
  socket.cork()
  for (const piece of pieces) socket.write(piece)
  socket.uncork()
}

/** Writes a streamed body after the head. */
const writeStream = (
  connection: Connection,
  { length, open }: Extract<Transport.Body, { readonly _tag: "Stream" }>
): Effect.Effect<void, unknown> =>
  Effect.suspend(() => {
    const isChunked = length === undefined
    let given = 0
    return Stream.runForEachArray(open("reused"), (chunks) => {
      const bytes = isChunked ? chunks.filter((chunk) => chunk.length > 0) : chunks
      given += lengthOf(bytes)
      if (length !== undefined && given > length) return Effect.fail(new LengthError(given, length))
      return bytes.length === 0 ? Effect.void : write(connection, bytes, isChunked)
    }).pipe(
      Effect.andThen(Effect.suspend((): Effect.Effect<void, unknown> => {
        if (isChunked) return write(connection, [LAST_CHUNK], false)
        return given < length ? Effect.fail(new LengthError(given, length)) : Effect.void
      }))
    )
  })

const interrupted = () => new Error("the request was interrupted")

/** Acquires a connection; closes it if the request is interrupted first. */
const acquire = (
  pool: ConnectionPool,
  url: URL,
  isRepeatable: boolean,
  observer: Transport.Observer
): Effect.Effect<Connection, Transport.TransportError> =>
  Effect.callback((resume) => {
    let connection: Connection | undefined
    const cancel = pool.acquire(url, isRepeatable, (result) => {
      if (result instanceof Error) {
        resume(Effect.fail(Transport.requestError(result, { isHeadWritten: false })))
      } else {
        connection = result
        resume(Effect.succeed(result))
      }
    }, observer.onWaiting)
    return Effect.sync(() => connection === undefined ? cancel(interrupted()) : connection.destroy())
  })

/** Sends a request over a connection, and waits for the head of the response. */
const exchangeOver = (
  connection: Connection,
  request: Transport.Request,
  head: string,
  observer: Transport.Observer,
  onBegin: (exchange: Exchange) => void
): Effect.Effect<Transport.Response, Transport.TransportError> => {
  const { body } = request
  const failed = (cause: unknown) => Transport.requestError(cause, { isHeadWritten: true })
  let exchange: Exchange
  const response = Effect.callback<Transport.Response, Transport.TransportError>((resume) => {
    exchange = connection.begin(
      request.method,
      (head) => resume(Effect.succeed(responseOf(request.url, head, exchange))),
      (error) => resume(Effect.fail(failed(error)))
    )
    onBegin(exchange)
    observer.onHeadWritten(connection.isUsed ? "reused" : "new")
    if (body._tag === "Bytes") writeWhole(connection, head, body.chunks)
    else connection.socket.write(head, "latin1")
    if (body._tag !== "Stream") exchange.sent()
  })
  if (body._tag !== "Stream") return response
  const sending = Effect.mapError(writeStream(connection, body), failed).pipe(
    Effect.tap(() => Effect.sync(() => exchange.sent())),
    Effect.andThen(Effect.never)
  )
  return Effect.raceFirst(response, sending)
}

const send = (
  pool: ConnectionPool,
  request: Transport.Request,
  observer: Transport.Observer
): Effect.Effect<Transport.Response, Transport.TransportError, Scope.Scope> => {
  const url = targetOf(request.url)
  if (url instanceof Error) return Effect.fail(refused("url", url))
  const head = headOf(request, url)
  if (typeof head !== "string") return Effect.fail(refused("body", head))
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(acquire(pool, url, request.isRepeatable, observer)), (connection) => {
      let exchange: Exchange | undefined
      const close = Effect.sync(() => exchange === undefined ? connection.destroy() : exchange.abandon(unread()))
      const response = exchangeOver(connection, request, head, observer, (begun) => {
        exchange = begun
      })
      return Effect.andThen(Effect.addFinalizer(() => close), Effect.onError(restore(response), () => close))
    })
  )
}

/** The caller sets time-outs. */
export const make = (pool: ConnectionPool): Transport.Service => ({
  send: (request, observer) => Effect.suspend(() => send(pool, request, observer))
})
