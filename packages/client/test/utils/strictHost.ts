import { FileIo } from "@effect-fileio/client"
import { Clock, type Duration, Effect, Layer, Redacted, Stream } from "effect"
import { HttpClient, type HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"

/** Counts arrivals in any sliding second, as the strictest host does. */
export class StrictCounter {
  readonly arrivals: Array<number> = []
  worst = 0
  readonly window: number
  constructor(window = 1000) {
    this.window = window
  }
  /** Counts an arrival and returns how many there are in the window that ends with it. */
  arrive(now: number): number {
    this.arrivals.push(now)
    const count = this.arrivals.filter((time) => now - time < this.window).length
    this.worst = Math.max(this.worst, count)
    return count
  }
}

interface HostOptions {
  readonly limit: number
  /** The limit that `me` reports. @default the limit */
  readonly reported?: number | null | undefined
  readonly upMillis?: number
  readonly downMillis?: number
  readonly window?: number
  /** Refuses more than the limit; otherwise it only counts. @default true */
  readonly refuses?: boolean
  /** Scripted responses, by path and number of the request. */
  readonly answer?: (path: string, number: number) => Answer | undefined
}

export interface Answer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: string
}

export const json = (status: number, body: unknown, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(body)
})

/** A response whose body is available at once: the promises of a web response ignore a `TestClock`. */
export const respond = (request: HttpClientRequest.HttpClientRequest, { body, headers, status }: Answer) =>
  Object.create(HttpClientResponse.fromWeb(request, new Response(null, { status, headers })), {
    stream: { value: Stream.make(new TextEncoder().encode(body)) }
  }) as HttpClientResponse.HttpClientResponse

/** A host without sockets that counts arrivals; its requests take time on Effect's clock. */
export const strictHost = (options: HostOptions) => {
  const counter = new StrictCounter(options.window)
  const paths: Array<string> = []
  let rejected = 0
  const client = HttpClient.make((request, url) =>
    Effect.gen(function*() {
      const path = `${request.method} ${url.pathname}`
      yield* Effect.sleep(options.upMillis ?? 0)
      const inWindow = counter.arrive(yield* Clock.currentTimeMillis)
      paths.push(path)
      const own = options.answer?.(path, paths.length)
      const isTooMany = own === undefined && options.refuses !== false && inWindow > options.limit
      if (isTooMany) rejected++
      yield* Effect.sleep(options.downMillis ?? 0)
      const body = isTooMany
        ? { success: false, status: 429, code: "TOO_MANY_REQUESTS", message: "Too many requests", key: null }
        : path === "GET /me"
        ? { success: true, status: 200, rateLimit: options.reported === undefined ? options.limit : options.reported }
        : { success: true, status: 200, nodes: [], count: 0, size: 0, screeningStatus: "passed" }
      return respond(request, own ?? json(isTooMany ? 429 : 200, body))
    })
  )
  return {
    counter,
    paths,
    rejected: () => rejected,
    httpClient: Layer.succeed(HttpClient.HttpClient, client),
    /** How often a path was requested. */
    count: (path: string) => paths.filter((asked) => asked === path).length
  }
}

/** A typical 429. */
export const refusal = (headers: Record<string, string> = {}) =>
  json(
    429,
    { success: false, status: 429, code: "TOO_MANY_REQUESTS", message: "Too many requests", key: null },
    headers
  )

export const failure = (status: number) => json(status, { success: false, status, message: "no" })

/** Runs everything that needs no time. */
const settle = Effect.repeat(TestClock.withLive(Effect.sleep(1)), { times: 4 })

/** Advances the clock, before and after running everything that needs no time: `adjust` alone only wakes sleeping fibers. */
export const advance = (duration: Duration.Input) =>
  settle.pipe(Effect.andThen(TestClock.adjust(duration)), Effect.andThen(settle))

let hosts = 0

/** A `FileIo` over such a host, with a host name that no other test uses. */
export const fileIo = (
  host: ReturnType<typeof strictHost>,
  options?: { readonly baseUrl?: string; readonly anonymous?: boolean }
) =>
  FileIo.make({
    baseUrl: options?.baseUrl ?? `http://host${++hosts}.localhost`,
    ...(options?.anonymous === true ? {} : { apiKey: Redacted.make("KEY") })
  }).pipe(Effect.provide(host.httpClient))
