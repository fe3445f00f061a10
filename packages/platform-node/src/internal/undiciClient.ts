import { CurrentDeparture } from "@effect-fileio/client/Departure"
import * as NodeStream from "@effect/platform-node/NodeStream"
import type * as Undici from "@effect/platform-node/Undici"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as UrlParams from "effect/http/UrlParams"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import { pipeArguments } from "effect/Pipeable"
import type * as Pull from "effect/Pull"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Readable } from "node:stream"

/** What may wait here to be read, before the socket is told to wait. */
const HIGH_WATER_BYTES = 512 * 1024

type Chunks = readonly [Uint8Array, ...Array<Uint8Array>]

/**
 * The body of an answer, as the socket gives it: no `Readable` in between, which would copy every chunk into a new and
 * larger one, and no promise a chunk. That is a third of the time of a large download, and of a small call too.
 */
class Incoming {
  private chunks: Array<Uint8Array> = []
  private bytes = 0
  private isPaused = false
  private end: { readonly error: unknown } | undefined
  private wake: (() => void) | undefined
  private readonly controller: Undici.Dispatcher.DispatchController

  constructor(controller: Undici.Dispatcher.DispatchController) {
    this.controller = controller
  }

  push(chunk: Uint8Array): void {
    this.chunks.push(chunk)
    this.bytes += chunk.length
    if (this.bytes >= HIGH_WATER_BYTES && !this.isPaused) {
      this.isPaused = true
      this.controller.pause()
    }
    this.wake?.()
  }

  finish(error: unknown): void {
    this.end ??= { error }
    this.wake?.()
  }

  /** Closes the connection, unless the body has come to its end. */
  abandon(): void {
    if (this.end === undefined) this.controller.abort(new Error("The answer was not read to its end"))
  }

  /** All that is here; waits until there is something. */
  pull<E>(onError: (cause: unknown) => E): Pull.Pull<Chunks, E> {
    return Effect.suspend((): Pull.Pull<Chunks, E> => {
      if (this.chunks.length > 0) {
        const chunks = this.chunks as unknown as Chunks
        this.chunks = []
        this.bytes = 0
        if (this.isPaused) {
          this.isPaused = false
          this.controller.resume()
        }
        return Effect.succeed(chunks)
      }
      if (this.end !== undefined) {
        return this.end.error === undefined ? Cause.done() : Effect.fail(onError(this.end.error))
      }
      return Effect.flatMap(
        Effect.callback<void>((resume) => {
          this.wake = () => {
            this.wake = undefined
            resume(Effect.void)
          }
          return Effect.sync(() => {
            this.wake = undefined
          })
        }),
        () => this.pull(onError)
      )
    })
  }
}

const decoder = new TextDecoder()

class Answer extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: typeof HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly request: HttpClientRequest
  readonly url: string
  readonly status: number
  readonly headers: Headers.Headers
  readonly remoteAddress = Option.none()
  private readonly body: Incoming

  constructor(request: HttpClientRequest, url: string, status: number, headers: Headers.Headers, body: Incoming) {
    super()
    this.request = request
    this.url = url
    this.status = status
    this.headers = headers
    this.body = body
  }

  private failed(cause: unknown): HttpClientError.HttpClientError {
    return new HttpClientError.HttpClientError({
      reason: new HttpClientError.DecodeError({ request: this.request, response: this, cause })
    })
  }

  private read<A>(evaluate: (bytes: Uint8Array<ArrayBuffer>) => A | Promise<A>) {
    return Effect.flatMap(
      Stream.mkUint8Array(this.stream),
      (bytes) => Effect.tryPromise({ try: async () => evaluate(bytes), catch: (cause) => this.failed(cause) })
    )
  }

  get cookies(): Cookies.Cookies {
    const header = this.headers["set-cookie"]
    return header === undefined ? Cookies.empty : Cookies.fromSetCookie(header)
  }

  get stream(): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> {
    return Stream.fromPull(Effect.succeed(this.body.pull((cause) => this.failed(cause)))).pipe(
      Stream.ensuring(Effect.sync(() => this.body.abandon()))
    )
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, HttpClientError.HttpClientError> {
    return Effect.map(Stream.mkUint8Array(this.stream), (bytes) => bytes.buffer)
  }

  get text(): Effect.Effect<string, HttpClientError.HttpClientError> {
    return Effect.map(Stream.mkUint8Array(this.stream), (bytes) => decoder.decode(bytes))
  }

  get json(): Effect.Effect<Schema.Json, HttpClientError.HttpClientError> {
    return this.read((bytes) => bytes.length === 0 ? null : JSON.parse(decoder.decode(bytes)))
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, HttpClientError.HttpClientError> {
    return this.read((bytes) => UrlParams.fromInput(new URLSearchParams(decoder.decode(bytes))))
  }

  get formData(): Effect.Effect<FormData, HttpClientError.HttpClientError> {
    return this.read((bytes) => new Response(bytes, { headers: this.headers }).formData())
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

const isStream = (body: unknown): body is Readable =>
  typeof body === "object" && body !== null && "destroy" in body && "pipe" in body

/** An `HttpClient` straight over undici's dispatcher. */
export const make = (dispatcher: Undici.Dispatcher): HttpClient.HttpClient => {
  // A connection is told of right before its first request is written, and both within one run of the event loop.
  let isFresh = false
  dispatcher.on("connect", () => {
    isFresh = true
    queueMicrotask(() => {
      isFresh = false
    })
  })
  return HttpClient.make((request, url, signal, fiber) => {
    const departure = fiber.getRef(CurrentDeparture)
    const failed = (cause: unknown) =>
      Effect.fail(
        new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
      )

    const dispatch = (body: Readable | Uint8Array | string | null) =>
      Effect.callback<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>((resume) => {
        let controller: Undici.Dispatcher.DispatchController | undefined
        let incoming: Incoming | undefined
        let reason: Error | undefined
        const abort = () => {
          reason ??= signal.reason instanceof Error ? signal.reason : new Error("The request was interrupted")
          controller?.abort(reason)
        }
        // What was still to be sent is of no use any more, and its source must learn of it.
        const release = (cause?: Error) => {
          signal.removeEventListener("abort", abort)
          if (isStream(body) && !body.destroyed) body.on("error", () => {}).destroy(cause)
        }
        signal.addEventListener("abort", abort, { once: true })
        try {
          dispatcher.dispatch(
            {
              origin: url.origin,
              path: url.pathname + url.search,
              method: request.method as Undici.Dispatcher.HttpMethod,
              headers: request.headers,
              body,
              // Time-outs are the caller's.
              headersTimeout: 0,
              bodyTimeout: 0
            },
            {
              onRequestStart(started) {
                controller = started
                departure?.(!isFresh)
                isFresh = false
                if (reason !== undefined) started.abort(reason)
              },
              onResponseStart(_, status, headers) {
                // 1xx: the answer itself is still to come.
                if (status < 200) return
                incoming = new Incoming(controller!)
                resume(Effect.succeed(
                  new Answer(request, url.href.split("#")[0]!, status, Headers.fromInput(headers), incoming)
                ))
              },
              onResponseData(_, chunk) {
                incoming!.push(chunk)
              },
              onResponseEnd() {
                incoming!.finish(undefined)
                release()
              },
              onResponseError(_, cause) {
                if (incoming === undefined) resume(failed(cause))
                else incoming.finish(cause)
                release(cause)
              }
            }
          )
        } catch (cause) {
          release()
          resume(failed(cause))
        }
        return Effect.sync(abort)
      })

    const { body } = request
    switch (body._tag) {
      case "Empty":
        return dispatch(null)
      case "Uint8Array":
        return dispatch(body.body)
      case "Stream":
        return Effect.flatMap(NodeStream.toReadable(body.stream), dispatch)
      case "Raw":
      case "FormData":
        return Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.EncodeError({
              request,
              description: `A ${body._tag} body is not for this client`
            })
          })
        )
    }
  })
}
