import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as FileBody from "../../FileBody.ts"
import { CurrentFlight, type Flight, isGivingUp } from "../../Flight.ts"
import * as LentStream from "../../LentStream.ts"
import { PartedBody } from "../../PartedBody.ts"
import type { Meter } from "../../Progress.ts"
import { derived } from "../derived.ts"
import type { RequestHooks, WithPermit } from "../limit/limiter.ts"
import { concat } from "../shared/bytes.ts"
import { Failure, unexpected } from "../shared/failure.ts"
import { nameOf } from "../shared/toBytes.ts"
import { lost, unreachable } from "./connectionError.ts"
import * as ContentEncoding from "./contentEncoding.ts"
import type { Form } from "./multipart.ts"
import * as Watchdog from "./timeouts.ts"

/** How long nothing may happen, in each phase. */
export interface Timeouts {
  readonly firstByte: Duration.Duration
  readonly idle: Duration.Duration
}

/** What a running request does at the moment. */
class Activity implements RequestHooks, Watchdog.Watched, Flight {
  readonly #timeouts: Timeouts
  readonly #clock: Clock.Clock
  readonly mayRepeat: boolean
  /** Whether a transport has said that the request left over an open connection. */
  hasDeparted = false
  at = Infinity
  underway: (() => void) | undefined = undefined
  onDeparture: ((isReused: boolean) => void) | undefined = undefined
  /** Whether the whole request has been handed over. */
  sent = true
  /** Nothing happened for too long. */
  timedOut: FileIoError.TimedOut | undefined = undefined
  #giveUp: ((error: Error) => void) | undefined = undefined

  constructor(timeouts: Timeouts, clock: Clock.Clock, mayRepeat: boolean) {
    this.#timeouts = timeouts
    this.#clock = clock
    this.mayRepeat = mayRepeat
  }

  get #phase(): "firstByte" | "idle" {
    return this.sent ? "firstByte" : "idle"
  }

  patience(): Duration.Duration {
    return this.#timeouts[this.#phase]
  }

  timeOut(after: Duration.Duration): FileIoError.TimedOut {
    return this.timedOut = new FileIoError.TimedOut({ phase: this.#phase, after })
  }

  expire(after: Duration.Duration) {
    this.giveUp(this.timeOut(after))
  }

  waiting() {
    this.at = Infinity
  }

  departed(isReused: boolean) {
    this.hasDeparted = true
    this.at = this.#clock.currentTimeMillisUnsafe()
    this.onDeparture?.(isReused)
  }

  giveUp(error: Error) {
    this.#giveUp?.(error)
  }

  begun(giveUp: (error: Error) => void) {
    this.#giveUp = giveUp
    if (this.timedOut !== undefined) giveUp(this.timedOut)
  }
}

/** The bytes of the file, counted against what was announced. */
const counted = (
  file: FileBody.FileBody | FileBody.OneShotBody,
  meter: Meter,
  tally: Tally | undefined,
  touch: (bytes: number) => void
): Stream.Stream<Uint8Array, FileIoError.SourceFailed> => {
  const size = file.size
  const path = file._tag === "FileBody" && file.path !== undefined ? { path: file.path } : {}
  const wrong = (problem: string) => Effect.fail(new FileIoError.SourceFailed({ ...path, problem }))
  return LentStream.map(file.open, (content) =>
    Stream.suspend(() => {
      let done = 0
      if (tally !== undefined) {
        tally.bytes = 0
        tally.complete = false
      }
      const count = (chunks: ReadonlyArray<Uint8Array>) => {
        let bytes = 0
        for (const chunk of chunks) {
          // A body that was made by hand; what the constructors make are bytes.
          if (!(chunk instanceof Uint8Array)) return wrong(`it gave ${nameOf(chunk)} in place of a Uint8Array`)
          bytes += chunk.length
        }
        done += bytes
        touch(done)
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
      return Stream.mapArrayEffect(content, (chunks) => {
        const told = count(chunks)
        return told === undefined ? Effect.succeed(chunks) : Effect.as(told, chunks)
      }).pipe(Stream.concat(Stream.drain(Stream.fromEffect(complete))))
    }))
}

/** A transport takes no more than this of a body before it has a connection and the head of the request is on its way. */
const UNDERWAY_BYTES = 2 * 1024 * 1024

/** A body up to this size is read before it is sent, so that every HTTP client sends it in one piece and with its length. */
const IN_MEMORY_BYTES = 256 * 1024

/** How far the last attempt to send a body came. */
export interface Tally {
  /** Bytes of the file that were handed over. */
  bytes: number
  /** Whether that was all of it, so that the host may have the file. */
  complete: boolean
}

export const makeTally = (): Tally => ({ bytes: 0, complete: false })

export interface Outgoing {
  readonly form: Form
  readonly file: FileBody.FileBody | FileBody.OneShotBody | undefined
  readonly tally?: Tally | undefined
}

/** What is known of a body while it is sent. */
interface Sending {
  readonly body: HttpBody.HttpBody
  readonly activity: Activity
  /** Why our own source broke off; transports wrap it beyond recognition. */
  sourceFailure: FileIoError.SourceFailed | undefined
}

const prepare = (
  outgoing: Outgoing,
  activity: Activity,
  meter: Meter,
  clock: Clock.Clock
): Effect.Effect<Sending, Failure> => {
  const { file, form, tally } = outgoing
  const inMemory = (bytes: ReadonlyArray<Uint8Array>): Sending => ({
    body: new PartedBody([form.head, ...bytes, form.tail], form.contentType),
    activity,
    sourceFailure: undefined
  })
  if (file === undefined) return Effect.succeed(inMemory([]))
  const isSmall = file.size !== undefined && file.size <= IN_MEMORY_BYTES
  const bytes = file._tag === "FileBody" ? file.content : undefined
  if (isSmall && bytes !== undefined) {
    return Effect.flatMap(meter.started(file.size), () => {
      if (tally !== undefined) {
        tally.bytes = bytes.length
        tally.complete = true
      }
      const sending = inMemory([bytes])
      const told = meter.advance(bytes.length)
      return told === undefined ? Effect.succeed(sending) : Effect.as(told, sending)
    })
  }
  const touch = (bytes: number) => {
    activity.at = clock.currentTimeMillisUnsafe()
    if (bytes > UNDERWAY_BYTES) activity.underway?.()
  }
  const content = counted(file, meter, tally, touch)
  if (isSmall) {
    const read = Effect.mapError(Stream.runCollect(content), (reason) => new Failure("withheld", reason))
    return Effect.andThen(meter.started(file.size), Effect.map(read, inMemory))
  }
  activity.sent = false
  const total = file.size === undefined ? undefined : form.head.length + file.size + form.tail.length
  const sending: Sending = {
    body: HttpBody.stream(
      LentStream.map(content, (content) =>
        Stream.suspend(() => {
          touch(0)
          return Stream.make(form.head)
        }).pipe(
          Stream.concat(Stream.tapError(content, (reason) =>
            Effect.sync(() => {
              sending.sourceFailure = reason
            }))),
          Stream.concat(Stream.sync(() => {
            touch(0)
            activity.sent = true
            return form.tail
          }))
        )),
      form.contentType,
      total
    ),
    activity,
    sourceFailure: undefined
  }
  return Effect.as(meter.started(file.size), sending)
}

/**
 * Redirects are never followed: one that is followed turns a page into a file. And HTTP clients of Effect tell third
 * parties of our traces unless they are told not to, with the key of the file in the address of the span.
 */
const quiet = derived((context) => {
  const given = Context.getOrUndefined(context, FetchHttpClient.RequestInit)
  // Each is laid over the context, where a merge would copy all of it.
  return context.pipe(
    Context.add(FetchHttpClient.RequestInit, given === undefined ? MANUAL : { ...given, ...MANUAL }),
    Context.add(HttpClient.TracerDisabledWhen, always),
    Context.add(HttpClient.TracerPropagationEnabled, false)
  )
})

const MANUAL: RequestInit = { redirect: "manual" }
const always = () => true

/** How the answers that are still to be read can be given up. */
const activities = new WeakMap<HttpClientResponse.HttpClientResponse, Activity>()

/** An answer, and its bytes where they were read with it. */
export interface Answered {
  readonly response: HttpClientResponse.HttpClientResponse
  readonly content: Uint8Array | undefined
}

/** An answer that announces no more than this is read with its head, which costs no stream. */
const SMALL_BYTES = 64 * 1024

const isSmall = ({ headers, status }: HttpClientResponse.HttpClientResponse): boolean =>
  status >= 200 && status < 300 && Number(headers["content-length"] ?? "NaN") <= SMALL_BYTES &&
  headers["content-encoding"] === undefined

/**
 * Sends one request and waits for the head of the answer. Fails with how far it came.
 */
export const execute = <R>(
  client: Pick<HttpClient.HttpClient.With<HttpClientError.HttpClientError, R>, "execute">,
  request: HttpClientRequest.HttpClientRequest,
  options: {
    readonly host: string
    readonly timeouts: Timeouts
    readonly meter: Meter
    readonly outgoing: Outgoing | undefined
    /** Makes the request once there is a permit; what has to be read before it is sent is read before that. */
    readonly withPermit: WithPermit
    /** Whether the answer is no file, so that a small one may be read at once. */
    readonly isWhole: boolean
    /** Whether the request is made again where its connection breaks. */
    readonly mayRepeat: boolean
  }
): Effect.Effect<Answered, Failure, R> =>
  Clock.clockWith((clock) => {
    const activity = new Activity(options.timeouts, clock, options.mayRepeat)
    const givesUp = isGivingUp(client)
    const receive = (
      response: HttpClientResponse.HttpClientResponse
    ): Effect.Effect<Answered, Failure> => {
      // A transport may stop sending once an answer is there, so the host need not have what it says that it has.
      if (!activity.sent && response.status >= 200 && response.status < 300) {
        return Effect.fail(unexpected(response.status, "it came before the whole file was sent"))
      }
      if (!options.isWhole || !isSmall(response)) {
        if (givesUp) activities.set(response, activity)
        return Effect.succeed({ response, content: undefined })
      }
      activity.at = clock.currentTimeMillisUnsafe()
      activity.sent = false
      return Effect.mapBoth(response.arrayBuffer, {
        // Whatever broke, the host has answered.
        onFailure: (error) => new Failure("broken", activity.timedOut ?? lost(options.host, error)),
        onSuccess: (buffer) => ({ response, content: new Uint8Array(buffer) })
      })
    }
    const send = (sending: Sending) => {
      const answered = Effect.updateContext(
        client.execute(sending.body._tag === "Empty" ? request : HttpClientRequest.setBody(request, sending.body)),
        (context: Context.Context<R>) => Context.add(quiet(context), CurrentFlight, activity)
      )
      const received = Effect.flatMap(
        Effect.mapError(answered, (error) =>
          activity.timedOut !== undefined
            ? new Failure("broken", activity.timedOut)
            : sending.sourceFailure === undefined
            ? unreachable(options.host, error, activity.hasDeparted)
            : new Failure("withheld", sending.sourceFailure)),
        receive
      )
      return options.withPermit(
        givesUp
          ? Watchdog.attend(received, activity, clock)
          : Watchdog.guard(received, activity, clock, (after) => new Failure("broken", activity.timeOut(after))),
        activity
      )
    }
    const { outgoing } = options
    return outgoing === undefined
      ? send({ body: HttpBody.empty, activity, sourceFailure: undefined })
      : Effect.flatMap(prepare(outgoing, activity, options.meter, clock), send)
  })

/**
 * Drops an answer with the scope, so that its connection closes where it was not read to its end. What all HTTP clients
 * understand is a reader that begins and stops; `HttpClient.withScope` only reaches those that are made by Effect.
 */
export const scoped = <E, R>(
  effect: Effect.Effect<Answered, E, R>
): Effect.Effect<HttpClientResponse.HttpClientResponse, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.tap(
      Effect.map(restore(effect), ({ response }) => response),
      (response) => Effect.addFinalizer(() => Effect.asVoid(Effect.exit(Effect.scoped(Stream.toPull(response.stream)))))
    )
  )

/**
 * The bytes that an answer stands for; fails when they break off, or when nothing comes for too long. No chunk is read
 * before it is asked for.
 */
export const incoming = (
  response: HttpClientResponse.HttpClientResponse,
  idle: Duration.Duration
): ContentEncoding.Bytes => {
  const activity = activities.get(response)
  const bytes: ContentEncoding.Bytes = LentStream.map(response.stream, (stream) =>
    activity !== undefined
      ? attended(stream, idle, activity)
      // `fetch` gives no body at all for an empty one.
      : guarded(Stream.catchIf(stream, (error) => error.reason._tag === "EmptyBodyError", () => Stream.empty), idle))
  return ContentEncoding.decoded(response, bytes)
}

interface Peeked {
  /** The first bytes: all of them where there are not many. */
  readonly start: Uint8Array
  readonly isWhole: boolean
  /** All bytes, those of `start` too. */
  readonly bytes: ContentEncoding.Bytes
}

/** Looks into bytes without losing any. They can be read as long as the scope is open. */
export const peek = Effect.fnUntraced(function*(
  bytes: ContentEncoding.Bytes,
  maxBytes: number
): Effect.fn.Return<Peeked, never, Scope.Scope> {
  const pull = yield* Stream.toPull(bytes)
  const chunks: Array<Uint8Array> = []
  let length = 0
  let rest = pull
  let isWhole = false
  // One more is asked for, to know whether there is more.
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
    bytes: Stream.concat(Stream.fromIterable(chunks), Stream.fromPull(Effect.succeed(rest)))
  }
})

const idleFor = (after: Duration.Duration) => new FileIoError.TimedOut({ phase: "idle", after })

/** Fails once nothing comes for too long, while somebody waits for it. */
const guarded = <E>(
  stream: Stream.Stream<Uint8Array, E>,
  idle: Duration.Duration
): Stream.Stream<Uint8Array, E | FileIoError.TimedOut> =>
  Stream.transformPull(stream, (pull, scope) =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const one = Watchdog.watched(() => idle)
      const remove = Watchdog.add(one, clock, fiber)
      return Effect.as(
        Scope.addFinalizer(scope, Effect.sync(remove)),
        Watchdog.guard(pull, one, clock, idleFor, true)
      )
    }))

/** The same over a transport that gives up when it is told to, which costs no fiber for each chunk. */
const attended = <E>(
  stream: Stream.Stream<Uint8Array, E>,
  idle: Duration.Duration,
  activity: Activity
): Stream.Stream<Uint8Array, E | FileIoError.TimedOut> =>
  Stream.transformPull(stream, (pull, scope) =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const one = Watchdog.watched(() => idle)
      let timedOut: FileIoError.TimedOut | undefined
      one.expire = (after) => {
        timedOut = idleFor(after)
        activity.giveUp(timedOut)
      }
      const failing = Effect.mapError(pull, (error) => timedOut ?? error)
      const rest = () => {
        one.at = Infinity
        return undefined
      }
      const next = Effect.suspend(() => {
        one.at = clock.currentTimeMillisUnsafe()
        return Effect.onExitPrimitive(failing, rest)
      })
      return Effect.as(Scope.addFinalizer(scope, Effect.sync(Watchdog.add(one, clock, fiber))), next)
    }))
