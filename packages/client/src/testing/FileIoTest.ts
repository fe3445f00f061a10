/**
 * `FileIo` over a host in memory with injected faults, for your tests, anywhere, without sockets.
 *
 * **Example** (A host that loses a response)
 *
 * ```ts
 * import { FileBody, FileIo } from "@effect-fileio/client"
 * import { Fault, FileIoTest } from "@effect-fileio/client/testing"
 * import { Effect } from "effect"
 *
 * const test = Effect.gen(function*() {
 *   const host = yield* FileIoTest.FileIoTest
 *   const fileIo = yield* FileIo.FileIo
 *   yield* host.inject(Fault.loseResponse, { on: "upload" })
 *   const error = yield* Effect.flip(fileIo.upload(FileBody.text("hello")))
 *   return [error.stored, (yield* host.files).length] // ["unknown", 1]
 * }).pipe(Effect.provide(FileIoTest.layer()))
 * ```
 *
 * The clock is Effect's, so with `TestClock` files expire and calls time out.
 *
 * @since 0.1.0
 */
import { parseOptionUnsafe } from "@effect-fileio/core/DurationInput"
import type { InvalidOption } from "@effect-fileio/core/InvalidOption"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as FileIo from "../FileIo.ts"
import { concat } from "../internal/shared/bytes.ts"
import type { Fault } from "./Fault.ts"
import * as MemoryHost from "./MemoryHost.ts"

/**
 * Controls the host in memory: its faults, requests and files.
 *
 * @category services
 * @since 0.1.0
 */
export class FileIoTest extends Context.Service<FileIoTest, MemoryHost.Host>()("@effect-fileio/client/FileIoTest") {}

/**
 * The host in memory, and a client for it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends MemoryHost.Options, Omit<FileIo.Options, "baseUrl"> {}

const BASE_URL = "http://fileio.localhost"
const CHUNK_BYTES = 16 * 1024

/** An error like that of Node's sockets. */
const broken = (code: string): Error => Object.assign(new Error(`the test host: ${code}`), { code })

/** The part of a body that arrives at the host. */
const collect = (
  request: HttpClientRequest.HttpClientRequest,
  stopAt: number,
  onBytes: (total: number) => void
): Effect.Effect<Uint8Array, unknown> => {
  const { body } = request
  if (body._tag === "Empty") return Effect.succeed(new Uint8Array(0))
  if (body._tag === "Uint8Array") {
    onBytes(Math.min(stopAt, body.body.length))
    return Effect.succeed(body.body)
  }
  if (body._tag !== "Stream") return Effect.fail("the test host does not take such a body")
  return Effect.suspend(() => {
    const chunks: Array<Uint8Array> = []
    let length = 0
    return body.stream.pipe(
      Stream.takeUntil((chunk) => {
        chunks.push(chunk)
        length += chunk.length
        onBytes(Math.min(stopAt, length))
        return length >= stopAt
      }),
      Stream.runDrain,
      Effect.flatMap(() => {
        if (length < stopAt && body.contentLength !== undefined && body.contentLength !== length) {
          return Effect.fail(broken("UND_ERR_REQ_CONTENT_LENGTH_MISMATCH"))
        }
        return Effect.succeed(concat(chunks, length))
      })
    )
  })
}

const chunksOf = (bytes: Uint8Array, size: number): Stream.Stream<Uint8Array> =>
  Stream.unfold(
    0,
    (at) => Effect.succeed(at >= bytes.length ? undefined : [bytes.subarray(at, at + size), at + size] as const)
  )

/** The bytes of a response, with its fault. */
const sending = (hostResponse: MemoryHost.HostResponse, fault: Fault | undefined): Stream.Stream<Uint8Array, Error> => {
  const until = (atByte: number) => chunksOf(hostResponse.body.subarray(0, atByte), CHUNK_BYTES)
  switch (fault?._tag) {
    case "ResetBody":
      return Stream.concat(until(fault.atByte), Stream.fail(broken("ECONNRESET")))
    case "Truncate":
    case "CutChunked":
      return Stream.concat(until(fault.atByte), Stream.fail(broken("UND_ERR_SOCKET")))
    case "StallBody":
      return Stream.concat(until(fault.atByte), Stream.never)
    case "TooManyBytes":
      return Stream.concat(until(hostResponse.body.length), Stream.make(new Uint8Array(fault.extra)))
    case "Drip":
      return Stream.mapEffect(
        chunksOf(hostResponse.body, fault.bytes),
        (chunk) => Effect.delay(Effect.succeed(chunk), parseOptionUnsafe("every", fault.every))
      )
    default:
      return until(hostResponse.body.length)
  }
}

/**
 * Makes a host and the HTTP client for it; the client ignores the address.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: MemoryHost.Options
): Effect.Effect<{ readonly host: MemoryHost.Host; readonly client: HttpClient.HttpClient }> =>
  Effect.sync(() => {
    const core = MemoryHost.makeCore({ ...options, baseUrl: () => BASE_URL })

    const respond = (
      request: HttpClientRequest.HttpClientRequest,
      arrived: MemoryHost.Request,
      hostResponse: MemoryHost.HostResponse,
      fault: Fault | undefined
    ) =>
      Effect.gen(function*() {
        const clock = yield* Clock.Clock
        let given = 0
        const bytes = sending(hostResponse, fault).pipe(
          Stream.map((chunk) => {
            given += chunk.length
            return new Uint8Array(chunk)
          }),
          Stream.onExit((exit) =>
            Effect.sync(() => {
              if (exit._tag === "Failure" && given < hostResponse.body.length) arrived.aborted = true
              hostResponse.settle(given, clock.currentTimeMillisUnsafe())
            })
          )
        )
        const isBodiless = hostResponse.body.length === 0
        if (isBodiless) hostResponse.settle(0, clock.currentTimeMillisUnsafe())
        const { "content-length": length, ...rest } = hostResponse.headers
        const headers = new Headers(rest)
        if (length !== undefined && fault?._tag !== "CutChunked") headers.set("content-length", length)
        headers.set("date", DateTime.toDateUtc(yield* DateTime.now).toUTCString())
        return HttpClientResponse.fromWeb(
          request,
          new Response(isBodiless ? null : yield* Stream.toReadableStreamEffect(bytes), {
            status: hostResponse.status,
            headers
          })
        )
      })

    const client = HttpClient.make((request, url) => {
      const transport = (cause: unknown) =>
        new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
      return Effect.gen(function*() {
        const clock = yield* Clock.Clock
        const { fault, request: arrived } = core.arrive(
          { method: request.method, target: url.pathname + url.search, headers: request.headers },
          clock.currentTimeMillisUnsafe()
        )
        if (fault?._tag === "Refuse") {
          core.requests.pop()
          return yield* Effect.fail(broken("ECONNREFUSED"))
        }
        const stopAt = fault !== undefined && "atByte" in fault &&
            (fault._tag === "ResetRequest" || fault._tag === "StallRequest" || fault._tag === "EarlyStatus")
          ? fault.atByte
          : Infinity
        const early = fault?._tag === "EarlyStatus" && fault.atByte === 0
        const body = early ? new Uint8Array(0) : yield* collect(request, stopAt, (total) => {
          arrived.bodyBytes = total
        })
        const now = clock.currentTimeMillisUnsafe()
        const stalled = Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            arrived.aborted = true
          }))
        switch (fault?._tag) {
          case "ResetRequest":
            core.keep(arrived, body.subarray(0, stopAt))
            return yield* Effect.fail(broken("ECONNRESET"))
          case "StallRequest":
            core.keep(arrived, body.subarray(0, stopAt))
            return yield* stalled
          case "ResetBeforeHeaders":
            if (fault.handled) core.handle(arrived, body, now).settle(Infinity, now)
            return yield* Effect.fail(broken("ECONNRESET"))
          case "StallBeforeHeaders":
            if (fault.handled) core.handle(arrived, body, now).settle(Infinity, now)
            return yield* stalled
          default: {
            const hostResponse = fault === undefined
              ? core.handle(arrived, body, now)
              : core.responseOf(fault, arrived, body, now)
            return yield* respond(request, arrived, hostResponse, fault)
          }
        }
      }).pipe(Effect.mapError(transport))
    })

    const host: MemoryHost.Host = {
      baseUrl: BASE_URL,
      apiKey: options?.apiKey ?? MemoryHost.apiKey,
      inject: (fault, injection) => Effect.sync(() => core.inject(fault, injection)),
      clear: Effect.sync(core.clear),
      requests: Effect.sync(() => [...core.requests]),
      files: Effect.map(Clock.currentTimeMillis, core.files),
      put: (file) => Effect.map(Clock.currentTimeMillis, (now) => core.put(file, now))
    }
    return { host, client }
  })

/**
 * The host and its `HttpClient`, for a `FileIo` with your own options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHost = (options?: MemoryHost.Options): Layer.Layer<FileIoTest | HttpClient.HttpClient> =>
  Layer.effectContext(
    Effect.map(
      make(options),
      ({ client, host }) => Context.make(FileIoTest, host).pipe(Context.add(HttpClient.HttpClient, client))
    )
  )

/**
 * `FileIo` over a host in memory, with the host's key; `apiKey: undefined` makes calls without one.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Options
): Layer.Layer<FileIo.FileIo | FileIoTest, InvalidOption> =>
  FileIo.layer({ apiKey: MemoryHost.apiKey, ...options, baseUrl: BASE_URL }).pipe(
    Layer.provideMerge(layerHost(options))
  )
