/**
 * The interface between `FileIo` and HTTP: a transport sends one request and returns the response.
 *
 * **When to use**
 *
 * Use `fromHttpClient`, or `FileIo.layer`, which calls it, to send requests over any `HttpClient`. Implement a
 * transport where an `HttpClient` cannot do what you need, such as reading a large response into reused buffers.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as HttpMethod from "effect/http/HttpMethod"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { concat } from "./internal/shared/bytes.ts"
import { isBrowser } from "./internal/shared/isBrowser.ts"
import { present } from "./internal/shared/present.ts"
import * as SystemError from "./internal/shared/systemError.ts"

/**
 * Who may keep the chunks of a stream. `owned`: the reader may keep a chunk. `reused`: a chunk is valid until the next one is
 * requested, so that the buffer can be reused. A stream may give owned chunks in either case.
 *
 * @category models
 * @since 0.1.0
 */
export type Buffers = "owned" | "reused"

/**
 * The body of a request.
 *
 * @category models
 * @since 0.1.0
 */
export type Body =
  | { readonly _tag: "Empty" }
  | {
    readonly _tag: "Bytes"
    readonly contentType: string
    /** The bytes, in order. */
    readonly chunks: ReadonlyArray<Uint8Array>
  }
  | {
    readonly _tag: "Stream"
    readonly contentType: string
    /** Number of bytes; `undefined` if unknown. */
    readonly length: number | undefined
    /** The bytes. Run at most once per request. */
    readonly open: (buffers: Buffers) => Stream.Stream<Uint8Array, unknown>
  }

/**
 * A request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  readonly method: HttpMethod.HttpMethod
  /** An absolute address. */
  readonly url: string
  /** By lower-case names; without those of the body, such as `content-type`. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Body
  /**
   * Whether the caller repeats the request if its connection breaks. If not, the request may only use a connection that
   * is new or was just used, since a host may be closing an idle one.
   */
  readonly isRepeatable: boolean
}

/**
 * Callbacks that a transport fires for an in-flight request. They make the rate limit and the time-outs more exact; a
 * transport does not fire a callback whose event it does not know.
 *
 * @category models
 * @since 0.1.0
 */
export interface Observer {
  /**
   * The request waits for a connection, as long as the transport allows. Time-outs start when its head is written, and
   * its permit of the rate limit is held until then, for 5 minutes at most.
   */
  readonly onWaiting: () => void
  /**
   * The head of the request is written to an open connection. `reused`: the connection has carried a response before. No round
   * trip is learned from a `new` connection, whose first response may take unusually long.
   */
  readonly onHeadWritten: (connection: "new" | "reused") => void
  /**
   * The transport has read this many bytes of the body into memory before it sends them, and will not learn how many are
   * sent, as `fetch` in browsers. The time-out starts now, and is longer by the time that a slow network takes for them.
   */
  readonly onCollected: (bytes: number) => void
}

/**
 * The head of a response, and its bytes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Response {
  /** The requested address. */
  readonly url: string
  readonly status: number
  /** By lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Whether the transport has decoded each `content-encoding` that it knows, as `fetch` does. */
  readonly isDecoded: boolean
  /**
   * Whether bytes that are cut may end without an error, as those of Node's `fetch`, `node:http` and undici do: where only the
   * end of the connection ends them, and the connection is reset; and where they are compressed, and the transport decodes them.
   */
  readonly hidesCuts?: boolean | undefined
  /**
   * The bytes, which can be read once, while the scope of the request is open. No chunk is read before it is requested.
   */
  readonly body: (buffers: Buffers) => Stream.Stream<Uint8Array, TransportError>
}

/**
 * How far a failed request came. `prepare`: the transport cannot send it. `connect`: no connection was made, so nothing
 * was sent. `request`: it may have been sent, and no response came. `response`: a response began.
 *
 * @category errors
 * @since 0.1.0
 */
export type Phase = "prepare" | "connect" | "request" | "response"

/**
 * Why a request got no response, or an incomplete one.
 *
 * @category errors
 * @since 0.1.0
 */
export class TransportError extends Data.TaggedError("TransportError")<{
  readonly phase: Phase
  /** What cannot be sent, for the phase `prepare`. */
  readonly part?: "url" | "body"
  /** The code of the system, of TLS or of the transport, such as `ECONNRESET`. */
  readonly code?: string
  /** The proxy, as `host:port`. */
  readonly proxy?: string
  /** The time-out of connecting that was exceeded, in milliseconds. */
  readonly connectTimeout?: number
  /** The original error, without the request, whose headers contain the API key. */
  readonly cause: unknown
}> {}

/**
 * Converts the error of a socket or an HTTP library, by the system's codes in it. `isHeadWritten`: whether the head of
 * the request was written.
 *
 * @category errors
 * @since 0.1.0
 */
export const requestError = (cause: unknown, options: { readonly isHeadWritten: boolean }): TransportError => {
  const found = SystemError.find(cause)
  return new TransportError({
    phase: found !== undefined && SystemError.isUnsent(found, options.isHeadWritten) ? "connect" : "request",
    ...present("code", found === undefined ? undefined : SystemError.codeOf(found)),
    ...present("proxy", typeof found?.proxy === "string" ? found.proxy : undefined),
    ...present("connectTimeout", typeof found?.connectTimeout === "number" ? found.connectTimeout : undefined),
    cause: SystemError.withoutPacket(cause)
  })
}

/**
 * The error of a response that broke.
 *
 * @category errors
 * @since 0.1.0
 */
export const responseError = (cause: unknown): TransportError =>
  new TransportError({
    phase: "response",
    ...present("code", SystemError.find(cause)?.code),
    cause: SystemError.withoutPacket(cause)
  })

/**
 * A transport.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /**
   * Sends a request and returns the head of its response. Redirects are not followed. Interrupting it, or closing its
   * scope before the end of the response, closes the connection.
   */
  readonly send: (request: Request, observer: Observer) => Effect.Effect<Response, TransportError, Scope.Scope>
}

/**
 * The transport of `FileIo.layerTransport`.
 *
 * @category services
 * @since 0.1.0
 */
export class Transport extends Context.Service<Transport, Service>()("@effect-fileio/client/Transport") {}

/**
 * The request that an `HttpClient` is sending for `fromHttpClient`. An `HttpClient` that knows its connections fires
 * the callbacks of `observer`, and chooses a connection by `request.isRepeatable`.
 *
 * **Example** (An HttpClient that reports when a request is sent)
 *
 * ```ts
 * import { Transport } from "@effect-fileio/client"
 * import { Effect } from "effect"
 * import { HttpClient, type HttpClientRequest, type HttpClientResponse } from "effect/http"
 *
 * declare const send: (
 *   request: HttpClientRequest.HttpClientRequest,
 *   onHeadWritten: (connection: "new" | "reused") => void
 * ) => Effect.Effect<HttpClientResponse.HttpClientResponse>
 *
 * const client = HttpClient.make((request, _url, _signal, fiber) => {
 *   const current = fiber.getRef(Transport.CurrentRequest)
 *   return send(request, (connection) => current?.observer.onHeadWritten(connection))
 * })
 * ```
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentRequest = /* @__PURE__ */ Context.Reference<
  { readonly request: Request; readonly observer: Observer } | undefined
>("@effect-fileio/client/Transport/CurrentRequest", { defaultValue: () => undefined })

/** `fetch` and Effect's clients read bytes in one piece, or a stream of owned chunks. */
const bodyOf = (body: Body): HttpBody.HttpBody => {
  switch (body._tag) {
    case "Empty":
      return HttpBody.empty
    case "Bytes": {
      const length = body.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
      return HttpBody.uint8Array(concat(body.chunks, length), body.contentType)
    }
    case "Stream":
      return HttpBody.stream(body.open("owned"), body.contentType, body.length)
  }
}

const MANUAL: RequestInit = { redirect: "manual" }

/**
 * Settings of a client in the context. A followed redirect would turn a page into a file. Effect's HTTP clients send
 * trace headers to third parties, and put the address, with the file's key, into their own span.
 */
const settings = (
  context: Context.Context<never>,
  request: Request,
  observer: Observer
): Context.Context<never> =>
  context.pipe(
    Context.add(FetchHttpClient.RequestInit, {
      ...Context.getOrUndefined(context, FetchHttpClient.RequestInit),
      ...MANUAL
    }),
    Context.add(HttpClient.TracerDisabledWhen, () => true),
    Context.add(HttpClient.TracerPropagationEnabled, false),
    Context.add(CurrentRequest, { request, observer })
  )

/** An error of an HTTP client wraps the request, whose headers contain the API key. */
const causeOf = ({ reason }: HttpClientError.HttpClientError): unknown => "cause" in reason ? reason.cause : undefined

const sendError = (error: HttpClientError.HttpClientError, isHeadWritten: boolean): TransportError => {
  const part = error.reason._tag === "InvalidUrlError"
    ? "url"
    : error.reason._tag === "EncodeError"
    ? "body"
    : undefined
  return part === undefined
    ? requestError(causeOf(error), { isHeadWritten })
    : new TransportError({ phase: "prepare", part, cause: causeOf(error) })
}

/**
 * Sends requests over an `HttpClient`, with everything that it does to its requests, such as `HttpClient.mapRequest`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromHttpClient = (client: HttpClient.HttpClient): Service => {
  const scoped = HttpClient.withScope(client)
  return {
    send: (request, observer) =>
      Effect.suspend(() => {
        let isHeadWritten = false
        const watching: Observer = {
          onWaiting: observer.onWaiting,
          onCollected: observer.onCollected,
          onHeadWritten: (connection) => {
            isHeadWritten = true
            observer.onHeadWritten(connection)
          }
        }
        const sending = HttpClientRequest.makeWith(
          request.method,
          request.url,
          UrlParams.empty,
          Option.none(),
          Headers.fromInput(request.headers),
          HttpBody.empty
        ).pipe(HttpClientRequest.setBody(bodyOf(request.body)))
        const received = Effect.mapError(
          Effect.updateContext(
            scoped.execute(sending),
            (context: Context.Context<Scope.Scope>) =>
              settings(context as Context.Context<never>, request, watching) as Context.Context<Scope.Scope>
          ),
          (error) => sendError(error, isHeadWritten)
        )
        return Effect.uninterruptibleMask((restore) => Effect.flatMap(restore(received), responseOf))
      })
  }
}

const responseOf = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<Response, never, Scope.Scope> => {
  let isRead = false
  // `HttpClient.withScope` closes only the connections of Effect's clients. Every client supports a reader that stops.
  const drop = Effect.suspend(() =>
    isRead ? Effect.void : Effect.asVoid(Effect.exit(Effect.scoped(Stream.toPull(response.stream))))
  )
  return Effect.as(Effect.addFinalizer(() => drop), {
    url: response.request.url,
    status: response.status,
    headers: response.headers,
    isDecoded: Option.isSome(HttpClientResponse.toWeb(response)),
    hidesCuts: !isBrowser(),
    body: () =>
      Stream.suspend(() => {
        isRead = true
        return response.stream
      }).pipe(
        // `fetch` has no body at all for an empty one.
        Stream.catchIf((error) => error.reason._tag === "EmptyBodyError", () => Stream.empty),
        Stream.mapError((error) => responseError(causeOf(error)))
      )
  })
}

/**
 * The transport over the `HttpClient` in the context.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttpClient: Layer.Layer<Transport, never, HttpClient.HttpClient> = /* @__PURE__ */ Layer.effect(
  Transport,
  /* @__PURE__ */ Effect.map(HttpClient.HttpClient, fromHttpClient)
)
