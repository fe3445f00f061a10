import * as Flight from "@effect-fileio/client/Flight"
import * as LentStream from "@effect-fileio/client/LentStream"
import * as PartedBody from "@effect-fileio/client/PartedBody"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as Url from "effect/http/Url"
import * as UrlParams from "effect/http/UrlParams"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import { pipeArguments } from "effect/Pipeable"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { mayReuse } from "../reuse.ts"
import type { Connection, Exchange } from "./connection.ts"
import type { ConnectionPool } from "./pool.ts"
import { type Head, isField } from "./responseReader.ts"

type Chunks = readonly [Uint8Array, ...Array<Uint8Array>]

const decoder = new TextDecoder()

const whole = (chunks: ReadonlyArray<Uint8Array>): Uint8Array<ArrayBuffer> =>
  chunks.length === 1 ? chunks[0]! as Uint8Array<ArrayBuffer> : Buffer.concat(chunks)

class Answer extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: typeof HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly request: HttpClientRequest
  readonly status: number
  readonly headers: Headers.Headers
  readonly remoteAddress = Option.none()
  private readonly exchange: Exchange

  constructor(request: HttpClientRequest, head: Head, exchange: Exchange) {
    super()
    this.request = request
    this.status = head.status
    this.headers = Headers.fromRecordUnsafe(head.headers)
    this.exchange = exchange
  }

  get url(): string {
    return this.request.url
  }

  private failed(cause: unknown): HttpClientError.HttpClientError {
    return new HttpClientError.HttpClientError({
      reason: new HttpClientError.DecodeError({ request: this.request, response: this, cause })
    })
  }

  /** All that is here; waits until there is something. */
  private pull(lent: boolean): Pull.Pull<Chunks, HttpClientError.HttpClientError> {
    const { exchange } = this
    const next: Pull.Pull<Chunks, HttpClientError.HttpClientError> = Effect.suspend(() => {
      const chunks = exchange.take(lent)
      if (chunks.length > 0) return Effect.succeed(chunks as Chunks)
      if (exchange.failure !== undefined) return Effect.fail(this.failed(exchange.failure))
      return exchange.isOver ? Cause.done() : arrival
    })
    const arrival: typeof next = Effect.callback((resume) => {
      exchange.wait(() => resume(next))
      return stopWaiting
    })
    const stopWaiting = Effect.sync(() => exchange.stopWaiting())
    return next
  }

  private bytes(lent: boolean): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> {
    return Stream.fromPull(Effect.succeed(this.pull(lent))).pipe(
      Stream.ensuring(Effect.sync(() => this.exchange.abandon(new Error("the answer was not read to its end"))))
    )
  }

  get stream(): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> {
    return LentStream.make(this.bytes(false), this.bytes(true))
  }

  /** An answer that came in one piece is read without a stream, as most are. */
  private read<A>(
    evaluate: (bytes: Uint8Array<ArrayBuffer>) => A
  ): Effect.Effect<A, HttpClientError.HttpClientError> {
    const evaluated = (chunks: ReadonlyArray<Uint8Array>): Effect.Effect<A, HttpClientError.HttpClientError> => {
      try {
        return Effect.succeed(evaluate(whole(chunks)))
      } catch (cause) {
        return Effect.fail(this.failed(cause))
      }
    }
    return Effect.suspend(() =>
      this.exchange.isOver && this.exchange.failure === undefined
        ? evaluated(this.exchange.take(false))
        : Effect.flatMap(Stream.runCollect(this.stream), evaluated)
    )
  }

  get cookies(): Cookies.Cookies {
    const header = this.headers["set-cookie"]
    return header === undefined ? Cookies.empty : Cookies.fromSetCookie(header)
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, HttpClientError.HttpClientError> {
    return this.read(({ buffer, byteLength, byteOffset }) =>
      byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)
    )
  }

  get text(): Effect.Effect<string, HttpClientError.HttpClientError> {
    return this.read((bytes) => decoder.decode(bytes))
  }

  get json(): Effect.Effect<Schema.Json, HttpClientError.HttpClientError> {
    return this.read((bytes) => bytes.length === 0 ? null : JSON.parse(decoder.decode(bytes)))
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, HttpClientError.HttpClientError> {
    return this.read((bytes) => UrlParams.fromInput(new URLSearchParams(decoder.decode(bytes))))
  }

  get formData(): Effect.Effect<FormData, HttpClientError.HttpClientError> {
    return Effect.flatMap(this.read((bytes) => bytes), (bytes) =>
      Effect.tryPromise({
        try: () => new Response(bytes, { headers: this.headers }).formData(),
        catch: (cause) => this.failed(cause)
      }))
  }

  get upgrade(): Effect.Effect<never, HttpClientError.HttpClientError> {
    return Effect.fail(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.StatusCodeError({ request: this.request, response: this })
      })
    )
  }

  override toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "effect/http/HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }

  pipe() {
    return pipeArguments(this, arguments)
  }
}

/** Where a request goes. */
interface Target {
  readonly url: URL
  /** Path and query. */
  readonly path: string
}

const targetOf = (request: HttpClientRequest): Target | HttpClientError.HttpClientError => {
  const parsed = Url.make(request.url, request.urlParams, undefined)
  if (Result.isFailure(parsed) || !/^https?:$/.test(parsed.success.protocol)) {
    const cause = Result.isFailure(parsed) ? parsed.failure : new Error("only http: and https: can be asked")
    return new HttpClientError.HttpClientError({ reason: new HttpClientError.InvalidUrlError({ request, cause }) })
  }
  const { pathname, search } = parsed.success
  return { url: parsed.success, path: pathname + search }
}

/** The head of a request, or what is wrong with it. */
const headOf = (request: HttpClientRequest, target: Target): string | Error => {
  let head = `${request.method} ${target.path} HTTP/1.1\r\nhost: ${target.url.host}\r\n`
  for (const name in request.headers) {
    const value = request.headers[name]
    if (value === undefined) continue
    if (!isField(name, value)) return new Error(`the header ${name} cannot be sent`)
    head += `${name}: ${value}\r\n`
  }
  const { body } = request
  if (body._tag === "Stream" && body.contentLength === undefined) return `${head}transfer-encoding: chunked\r\n\r\n`
  if (body._tag === "Empty" && request.method !== "GET" && request.method !== "HEAD") head += "content-length: 0\r\n"
  return `${head}\r\n`
}

const LINE = Buffer.from("\r\n")
const LAST_CHUNK = Buffer.from("0\r\n\r\n")

/** Writes bytes, and is through once the system has taken them; what is lent may be used again then. */
const write = (connection: Connection, chunks: ReadonlyArray<Uint8Array>, isChunked: boolean): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const { socket } = connection
    // Why a socket cannot be written to is told by the answer, which is waited for beside.
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

/** What is smaller is put together before it is written, in bytes: each piece that is written costs as much as all of it. */
const SMALL_BYTES = 32 * 1024

const writeWhole = ({ socket }: Connection, head: string, parts: ReadonlyArray<Uint8Array>) => {
  const pieces = [Buffer.from(head, "latin1"), ...parts]
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  if (length <= SMALL_BYTES) return void socket.write(Buffer.concat(pieces, length))
  socket.cork()
  for (const piece of pieces) socket.write(piece)
  socket.uncork()
}

type Answering = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

const interrupted = () => new Error("the request was interrupted")

const run = (
  pool: ConnectionPool,
  unread: FinalizationRegistry<Exchange>,
  request: HttpClientRequest,
  flight: Flight.Flight | undefined
): Answering => {
  const { body } = request
  const transportError = (cause: unknown) =>
    new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
  const encodeError = (problem: { readonly description: string } | { readonly cause: unknown }) =>
    new HttpClientError.HttpClientError({ reason: new HttpClientError.EncodeError({ request, ...problem }) })

  if (body._tag === "Raw" || body._tag === "FormData") {
    return Effect.fail(encodeError({ description: `A ${body._tag} body is not for this client` }))
  }
  const target = targetOf(request)
  if ("_tag" in target) return Effect.fail(target)
  const head = headOf(request, target)
  if (typeof head !== "string") return Effect.fail(encodeError({ cause: head }))

  /** The head is written right after this. */
  const begin = (connection: Connection, resume: (answer: Answering) => void): Exchange => {
    flight?.departed(connection.isUsed)
    const exchange = connection.begin(
      request.method,
      (head) => {
        const answer = new Answer(request, head, exchange)
        if (!exchange.isOver) unread.register(answer, exchange)
        resume(Effect.succeed(answer))
      },
      (error) => resume(Effect.fail(transportError(error)))
    )
    return exchange
  }

  /** Returns how to let go of the connection, for whatever reason. */
  const connect = (
    callback: (connection: Connection) => (reason: Error) => void,
    fail: (error: Error) => void
  ): (reason: Error) => void => {
    let abandon: ((reason: Error) => void) | undefined
    const cancel = pool.acquire(target.url, mayReuse(flight, request.method), (result) => {
      if (result instanceof Error) fail(result)
      else abandon = callback(result)
    }, () => flight?.waiting())
    return (reason) => (abandon ?? cancel)(reason)
  }

  if (body._tag !== "Stream") {
    return Effect.callback((resume) => {
      const cancel = connect(
        (connection) => {
          const exchange = begin(connection, resume)
          if (body._tag === "Empty") connection.socket.write(head, "latin1")
          else writeWhole(connection, head, PartedBody.parts(body))
          exchange.sent()
          return (reason) => exchange.abandon(reason)
        },
        (error) => resume(Effect.fail(transportError(error)))
      )
      flight?.begun(cancel)
      return Effect.sync(() => cancel(interrupted()))
    })
  }

  const announced = body.contentLength
  const isChunked = announced === undefined
  const send = (connection: Connection) =>
    Effect.suspend(() => {
      let given = 0
      connection.socket.write(head, "latin1")
      return Stream.runForEachArray(LentStream.lent(body.stream), (chunks) => {
        const bytes = isChunked ? chunks.filter((chunk) => chunk.length > 0) : chunks
        for (const chunk of bytes) given += chunk.length
        if (announced !== undefined && given > announced) return Effect.fail(new LengthError(given, announced))
        return bytes.length === 0 ? Effect.void : write(connection, bytes, isChunked)
      }).pipe(
        Effect.andThen(Effect.suspend(() => {
          if (isChunked) return write(connection, [LAST_CHUNK], false)
          return given < announced ? Effect.fail(new LengthError(given, announced)) : Effect.void
        })),
        Effect.mapError(transportError)
      )
    })

  const opened = Effect.callback<Connection, HttpClientError.HttpClientError>((resume) => {
    const cancel = connect(
      (connection) => {
        resume(Effect.succeed(connection))
        return () => connection.destroy()
      },
      (error) => resume(Effect.fail(transportError(error)))
    )
    flight?.begun(cancel)
    return Effect.sync(() => cancel(interrupted()))
  })
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(opened), (connection) => {
      let exchange: Exchange
      const answer = Effect.callback<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>(
        (resume) => {
          exchange = begin(connection, resume)
          flight?.begun((reason) => exchange.abandon(reason))
        }
      )
      const sending = Effect.flatMap(send(connection), () => {
        exchange.sent()
        return Effect.never
      })
      return Effect.onError(restore(Effect.raceFirst(answer, sending)), () => Effect.sync(() => connection.destroy()))
    })
  )
}

const isSuccess = <A>(effect: Effect.Effect<A>): effect is Exit.Success<A> =>
  Exit.isExit(effect) && Exit.isSuccess(effect)

/**
 * An `HttpClient` over connections of its own. Redirects are not followed, time-outs are the caller's, and there are no
 * spans: the callers have theirs. An answer is dropped by beginning to read it and stopping.
 */
export const make = (pool: ConnectionPool): HttpClient.HttpClient => {
  /** An answer that nobody reads, and nobody can read any more, closes its connection. */
  const unread = new FinalizationRegistry<Exchange>((exchange) => exchange.abandon(interrupted()))
  return Flight.givesUp(HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
    (asking: Effect.Effect<HttpClientRequest>) => {
      const send = (request: HttpClientRequest) =>
        Effect.withFiber((fiber) => run(pool, unread, request, fiber.getRef(Flight.CurrentFlight)))
      // Where nothing is done to requests before, the request is here already.
      return isSuccess(asking) ? send(asking.value) : Effect.flatMap(asking, send)
    },
    Effect.succeed
  ))
}
