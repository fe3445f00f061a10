/** Sends one request over the transport, with its time-outs, and reads the bytes of its response. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as FileBody from "../../FileBody.ts"
import * as Progress from "../../Progress.ts"
import type * as Transport from "../../Transport.ts"
import type { RequestHooks, WithPermit } from "../limit/limiter.ts"
import { concat, followedBy, mapChunks } from "../shared/bytes.ts"
import { Failure, unexpected } from "../shared/failure.ts"
import { nameOf } from "../shared/toBytes.ts"
import { unreachable } from "./connectionError.ts"
import * as ContentEncoding from "./contentEncoding.ts"
import type { Endpoint } from "./endpoint.ts"
import type { Form } from "./multipart.ts"
import * as Timeouts from "./timeouts.ts"

/** An in-flight request: the transport and the body report events; the time-outs and the rate limiter use them. */
class InFlight implements Timeouts.Activity, Transport.Observer, RequestHooks {
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

/** Whether a body that was made by hand returned a stream. */
const isBytes = (content: unknown): content is Stream.Stream<Uint8Array, FileIoError.SourceFailed> =>
  Stream.isStream(content)

/** The bytes of the file, checked against the announced size. */
const counted = (
  file: FileBody.FileBody | FileBody.OneShotBody,
  meter: Progress.Meter,
  tally: Tally | undefined,
  touch: (bytes: number) => void,
  offset: number
): (buffers: Transport.Buffers) => Stream.Stream<Uint8Array, FileIoError.SourceFailed> => {
  const size = file.size
  const path = file._tag === "FileBody" && file.path !== undefined ? { path: file.path } : {}
  const wrong = (problem: string) => Effect.fail(new FileIoError.SourceFailed({ ...path, problem }))
  return (buffers) =>
    Stream.suspend(() => {
      let done = offset
      if (tally !== undefined) {
        tally.bytes = offset
        tally.complete = false
      }
      const count = (chunks: ReadonlyArray<Uint8Array>) => {
        let bytes = 0
        for (const chunk of chunks) {
          // Checks a body that was made by hand; the constructors only make bytes.
          if (!(chunk instanceof Uint8Array)) return wrong(`it gave ${nameOf(chunk)} in place of a Uint8Array`)
          bytes += chunk.length
        }
        done += bytes
        touch(done - offset)
        if (tally !== undefined) tally.bytes = done
        if (size !== undefined && done > size) return wrong(`it gave more than the ${size} bytes that were announced`)
        return meter.advance(bytes)
      }
      const complete = Effect.suspend((): Effect.Effect<void, FileIoError.SourceFailed> =>
        done === 0
          ? wrong("it gave no bytes; a file has at least one")
          : size !== undefined && done < size
          ? wrong(`it ended after ${done} of the ${size} bytes that were announced`)
          : Effect.sync(() => {
            if (tally !== undefined) tally.complete = true
          })
      )
      const content: unknown = offset > 0 && file._tag === "FileBody" && file.openAt !== undefined
        ? file.openAt(offset, buffers)
        : file.open(buffers)
      if (!isBytes(content)) {
        return Stream.fromEffect(wrong(`its \`open\` gave ${nameOf(content)} in place of a Stream`))
      }
      return mapChunks(content, (chunks) => {
        const event = count(chunks)
        return event === undefined ? Effect.succeed(chunks) : Effect.as(event, chunks)
      }).pipe(followedBy(Stream.drain(Stream.fromEffect(complete))))
    })
}

/** The most bytes of a body that a transport takes before it has a connection and has sent the head of the request. */
const UNDERWAY_BYTES = 2 * 1024 * 1024

/** A body up to this size is read before it is sent, so that every HTTP client sends it in one piece and with its length. */
const IN_MEMORY_BYTES = 256 * 1024

/** How far the last attempt to send a body came. */
export interface Tally {
  /** Bytes of the file that were handed over. */
  bytes: number
  /** Whether all of them were, so that the host may have the file. */
  complete: boolean
}

export const makeTally = (): Tally => ({ bytes: 0, complete: false })

export interface Outgoing {
  readonly form: Form
  readonly file: FileBody.FileBody | FileBody.OneShotBody | undefined
  readonly tally: Tally
  /** Position of the first byte of the file to send; the body can be opened there. @default 0 */
  readonly offset?: number
}

/** The body of a request: read first if it is small, else streamed. */
const prepare = (
  { file, form, offset = 0, tally }: Outgoing,
  inFlight: InFlight,
  meter: Progress.Meter
): Effect.Effect<Transport.Body, Failure> => {
  const { contentType, head, tail } = form
  const inMemory = (bytes: ReadonlyArray<Uint8Array>): Transport.Body => ({
    _tag: "Bytes",
    contentType,
    chunks: [head, ...bytes, tail]
  })
  if (file === undefined) return Effect.succeed(inMemory([]))
  const content = counted(file, meter, tally, (bytes) => inFlight.advanced(bytes), offset)
  if (file.size !== undefined && file.size - offset <= IN_MEMORY_BYTES) {
    const read = Effect.mapError(Stream.runCollect(content("owned")), (reason) => new Failure("withheld", reason))
    return Effect.andThen(meter.started(file.size, offset), Effect.map(read, inMemory))
  }
  inFlight.isSent = false
  const body: Transport.Body = {
    _tag: "Stream",
    contentType,
    length: file.size === undefined ? undefined : head.length + file.size - offset + tail.length,
    open: (buffers) =>
      Stream.sync(() => {
        inFlight.touch()
        return head
      }).pipe(
        followedBy(Stream.tapError(content(buffers), (reason) =>
          Effect.sync(() => {
            inFlight.sourceFailure = reason
          }))),
        followedBy(Stream.sync(() => {
          inFlight.touch()
          inFlight.isSent = true
          return tail
        }))
      )
  }
  return Effect.as(meter.started(file.size, offset), body)
}

/** A request without its body. */
export type RequestHead = Pick<Transport.Request, "method" | "url" | "headers">

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
    /** Without it, the request has no body. */
    readonly outgoing?: Outgoing | undefined
    /** Counts the bytes of the body. */
    readonly meter?: Progress.Meter | undefined
    /** Sends the request once there is a permit; a small body is read before that. */
    readonly withPermit: WithPermit
    /** Whether the request is repeated if its connection breaks. */
    readonly isRepeatable: boolean
  }
): Effect.Effect<ContentEncoding.Response, Failure, Scope.Scope> =>
  Clock.clockWith((clock) => {
    const { isRepeatable, meter = Progress.silent, outgoing, withPermit } = options
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
    const prepared = outgoing === undefined
      ? Effect.succeed<Transport.Body>({ _tag: "Empty" })
      : prepare(outgoing, inFlight, meter)
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
