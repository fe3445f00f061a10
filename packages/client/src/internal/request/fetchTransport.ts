/** The transport over `fetch`, for `FetchFileIo`. An `HttpClient` in between would double what a page loads of it. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Transport from "../../Transport.ts"
import { concat } from "../shared/bytes.ts"
import { isBrowser } from "../shared/isBrowser.ts"

/**
 * Whether `fetch` can send a stream. Browsers do so over HTTP/2 only, and with some of them not at all: then the body is
 * collected in a blob, which a browser may keep on disk.
 */
const canStream = (): boolean => {
  if (isBrowser()) return false
  const init: RequestInit & { readonly duplex: "half" } = { method: "POST", body: new ReadableStream(), duplex: "half" }
  // A runtime without streams takes it for a text.
  return !new Request("http://localhost", init).headers.has("content-type")
}

/** Sends a stream, or what the platform takes in its place. */
const sendStream = async (
  fetch: typeof globalThis.fetch,
  url: string,
  init: RequestInit & {
    readonly headers: Headers
    readonly body: ReadableStream<Uint8Array<ArrayBuffer>>
    readonly signal: AbortSignal
  },
  observer: Transport.Observer
): Promise<Response> => {
  if (canStream()) return fetch(url, { ...init, duplex: "half" } as RequestInit)
  // A cancelled upload stops reading its source.
  const body = init.body.pipeThrough(new TransformStream<Uint8Array<ArrayBuffer>>(), { signal: init.signal })
  if (init.method === "PATCH") {
    // Only large uploads need it.
    const FetchPieces = await import("./fetchPieces.ts")
    const offset = FetchPieces.offsetOf(init.headers)
    if (offset !== undefined) return FetchPieces.send(fetch, url, { ...init, body }, offset)
  }
  const blob = await new Response(body).blob()
  observer.onCollected(blob.size)
  return fetch(url, { ...init, body: blob })
}

/** Keeps the response as long as its body may be read: Node empties that of a response that was collected, without an error. */
const responseOf = (url: string, response: Response): Transport.Response => ({
  url,
  status: response.status,
  headers: Object.fromEntries(response.headers),
  isDecoded: true,
  hidesCuts: !isBrowser(),
  body: () =>
    response.body === null
      ? Stream.empty
      : Stream.fromReadableStream({ evaluate: () => response.body!, onError: Transport.responseError })
})

const send = /* @__PURE__ */ Effect.fnUntraced(function*(
  { body, headers: given, method, url }: Transport.Request,
  observer: Transport.Observer,
  layerContext: Context.Context<never>
): Effect.fn.Return<Transport.Response, Transport.TransportError, Scope.Scope> {
  if (!URL.canParse(url)) {
    return yield* Effect.fail(
      new Transport.TransportError({ phase: "prepare", part: "url", cause: new TypeError("invalid address") })
    )
  }
  const context = Context.merge(layerContext, yield* Effect.context<never>())
  // @effect-diagnostics globalFetch:off - the default of the service would keep the first one
  const fetch = Context.getOrUndefined(context, FetchHttpClient.Fetch) ?? globalThis.fetch
  const { headers: ofAll, ...options } = Context.getOrUndefined(context, FetchHttpClient.RequestInit) ?? {}
  const headers = new Headers(ofAll)
  for (const [name, value] of Object.entries(given)) headers.set(name, value)
  if (body._tag !== "Empty") headers.set("content-type", body.contentType)
  // Closing the scope also ends an upload to which the host has responded early, and a response that is not read to its end.
  const { signal } = yield* Effect.acquireRelease(
    Effect.sync(() => new AbortController()),
    (controller) => Effect.sync(() => controller.abort())
  )
  const init = { ...options, method, headers, signal, redirect: "manual" as const }
  const stream = body._tag === "Stream" ? yield* Stream.toReadableStreamEffect(body.open("owned")) : undefined
  const response = yield* Effect.tryPromise({
    try: () =>
      stream !== undefined
        ? sendStream(fetch, url, { ...init, body: stream as ReadableStream<Uint8Array<ArrayBuffer>> }, observer)
        : body._tag === "Bytes"
        ? fetch(url, {
          ...init,
          body: concat(body.chunks, body.chunks.reduce((sum, { length }) => sum + length, 0)) as Uint8Array<ArrayBuffer>
        })
        : fetch(url, init),
    catch: (cause) => Transport.requestError(cause, { isHeadWritten: false })
  })
  return responseOf(url, response)
})

/** Makes the transport. `fetch` and its options may be given to the layer or to a call. */
export const make: Effect.Effect<Transport.Service> = /* @__PURE__ */ Effect.map(
  Effect.context<never>(),
  (context) => ({ send: (request, observer) => send(request, observer, context) })
)
