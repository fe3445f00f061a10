/** Sends one request over the transport, with its time-outs, and reads the bytes of its response. */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Transport from "../../Transport.ts"
import type { RequestHooks, WithPermit } from "../limit/limiter.ts"
import { concat, followedBy } from "../shared/bytes.ts"
import { Failure, unexpected } from "../shared/failure.ts"
import { unreachable } from "./connectionError.ts"
import * as ContentEncoding from "./contentEncoding.ts"
import type { Endpoint } from "./endpoint.ts"
import type { RequestHead } from "./requestHead.ts"
import * as Timeouts from "./timeouts.ts"

/** An in-flight request: the transport and the body report events; the time-outs and the rate limiter use them. */
export class InFlight implements Timeouts.Activity, Transport.Observer, RequestHooks {
  readonly #clock: Clock.Clock
  lastAt = Infinity
  stalledMillis = 0
  collectedBytes = 0
  /** Whether the whole request was handed over. */
  isSent = true
  /** Whether the head of the response has come. */
  hasResponse = false
  /** Why our own source failed; transports wrap it beyond recognition. */
  sourceFailure: FileIoError.SourceFailed | undefined = undefined
  /** Set by the rate limiter. */
  underway: (() => void) | undefined = undefined
  onConnectionWait: (() => void) | undefined = undefined
  onDeparture: ((isReused: boolean) => void) | undefined = undefined

  constructor(clock: Clock.Clock) {
    this.#clock = clock
  }

  get phase(): "firstByte" | "idle" {
    return this.isSent && !this.hasResponse ? "firstByte" : "idle"
  }

  touch() {
    if (!this.hasResponse) this.lastAt = this.#clock.currentTimeMillisUnsafe()
  }

  /** This many bytes of the file were handed over. */
  advanced(bytes: number) {
    this.touch()
    if (bytes > UNDERWAY_BYTES) this.underway?.()
  }

  readonly onWaiting = () => {
    this.lastAt = Infinity
    this.onConnectionWait?.()
  }

  readonly onHeadWritten = (connection: "new" | "reused") => {
    this.touch()
    this.onDeparture?.(connection === "reused")
  }

  readonly onCollected = (bytes: number) => {
    this.touch()
    this.collectedBytes = bytes
  }
}

/** The most bytes of a body that a transport takes before it has a connection and has sent the head of the request. */
const UNDERWAY_BYTES = 2 * 1024 * 1024

/**
 * Sends one request and waits for the head of the response. Fails with the stage that it reached. The connection is in use
 * until the scope closes or the response is read to its end.
 */
export const execute = (
  client: {
    readonly transport: Transport.Service
    readonly endpoint: Endpoint
    readonly timeouts: Timeouts.Timeouts
  },
  head: RequestHead,
  options: {
    /** Prepares the body (`outgoing.ts`). Without it, the request has none. */
    readonly body?: ((inFlight: InFlight) => Effect.Effect<Transport.Body, Failure>) | undefined
    /** Sends the request once there is a permit; a small body is read before that. */
    readonly withPermit: WithPermit
    /** Whether the request is repeated if its connection breaks. */
    readonly isRepeatable: boolean
  }
): Effect.Effect<ContentEncoding.Response, Failure, Scope.Scope> =>
  Clock.clockWith((clock) => {
    const { isRepeatable, withPermit } = options
    const { endpoint: { host }, timeouts, transport } = client
    const inFlight = new InFlight(clock)
    const guard = Timeouts.watch(clock, inFlight, timeouts)
    const send = (body: Transport.Body) =>
      Effect.suspend(() => {
        const began = clock.currentTimeMillisUnsafe()
        return Effect.mapBoth(guard(transport.send({ ...head, body, isRepeatable }, inFlight)), {
          onSuccess: (response): ContentEncoding.Response => {
            inFlight.hasResponse = true
            inFlight.collectedBytes = 0
            const bytes = (buffers: Transport.Buffers) => Timeouts.guarded(response.body(buffers), guard)
            return { ...response, body: ContentEncoding.decoded(response, bytes) }
          },
          onFailure: (error) =>
            error._tag === "TimedOut"
              ? new Failure("broken", error)
              : inFlight.sourceFailure !== undefined
              ? new Failure("withheld", inFlight.sourceFailure)
              : unreachable(host, error, clock.currentTimeMillisUnsafe() - began)
        })
      })
    const prepared = options.body?.(inFlight) ?? Effect.succeed<Transport.Body>({ _tag: "Empty" })
    return Effect.flatMap(prepared, (body) => withPermit(send(body), inFlight)).pipe(
      // A transport may stop sending once a response arrives, so the host need not have the whole file, even if it says so.
      Effect.flatMap((response) =>
        !inFlight.isSent && response.status >= 200 && response.status < 300
          ? Effect.fail(unexpected(response.status, "it came before the whole file was sent"))
          : Effect.succeed(response)
      )
    )
  })

/** Closes the resources of a failed attempt at once, and those of a successful one with the enclosing scope. */
export const scopedToSuccess = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.scope, (outer) =>
      Effect.flatMap(Scope.fork(outer), (scope) =>
        Effect.onExit(
          restore(Scope.provide(effect, scope)),
          (exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void
        )))
  )

interface Peeked {
  /** The first bytes: all of them if there are few. */
  readonly start: Uint8Array
  readonly isWhole: boolean
  /** All bytes, including `start`. */
  readonly bytes: ContentEncoding.Bytes
}

/** Peeks at the bytes without losing any. They can be read as long as the scope is open. */
export const peek = /* @__PURE__ */ Effect.fnUntraced(function*(
  bytes: ContentEncoding.Bytes,
  maxBytes: number
): Effect.fn.Return<Peeked, never, Scope.Scope> {
  const pull = yield* Stream.toPull(bytes("owned"))
  const chunks: Array<Uint8Array> = []
  let length = 0
  let rest = pull
  let isWhole = false
  // Requests one more, to know whether there is more.
  while (length <= maxBytes && rest === pull) {
    const exit = yield* Effect.exit(pull)
    if (Exit.isFailure(exit)) {
      rest = exit
      isWhole = Pull.isDoneCause(exit.cause)
    } else {
      for (const chunk of exit.value) {
        chunks.push(chunk)
        length += chunk.length
      }
    }
  }
  return {
    start: concat(chunks, length),
    isWhole,
    bytes: () => followedBy(Stream.fromPull(Effect.succeed(rest)))(Stream.fromIterable(chunks))
  }
})
