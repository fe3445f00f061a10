/**
 * A bucket of S3 with deadlines: no call takes longer than it may, however silent the store is. `S3Blobs` makes all its calls
 * through this.
 *
 * - A call without a body has a deadline for all of it, retries included.
 * - A call with a body takes as long as its bytes move: the connection is closed when nothing has moved either way for that
 *   time. A silent attempt is repeated once, over a new connection.
 */
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import * as Http from "node:http"
import * as Https from "node:https"
import { BlobsError } from "../../Blobs.ts"
import { within } from "../shared/deadline.ts"
import * as S3Retries from "./s3Retries.ts"

/**
 * No limit on the connections here: each connection to the server needs at most two to the store, and the server limits its
 * own. With a smaller limit, slow receivers would block all others.
 */
const AGENT = {
  keepAlive: true,
  maxSockets: Infinity,
  // Bytes that wait in a download which is not read; Node's default of 64 KiB is no faster.
  readableHighWaterMark: 16 * 1024
}
/** Parts of uploads in memory at a time, 16 MiB each. */
const SLOTS = 8
/** How long a caller waits for what it need not wait for: usually it takes a few milliseconds. */
const ASIDE_WAIT = "1 second"

export interface Store {
  readonly client: S3Client
  /** How long the store may be silent. */
  readonly timeout: Duration.Duration
  /** Closes the connections that wait for a request. */
  readonly dropIdle: () => void
  /** A call without a body. */
  readonly call: <A>(operation: string, run: (abortSignal: AbortSignal) => Promise<A>) => Effect.Effect<A, BlobsError>
  /**
   * Runs one of the few concurrent operations that need much memory, when there is room. Fails if none of them succeeded for as
   * long as the attempts at one may take: a silent store does not block the queue.
   */
  readonly slot: <A>(run: () => Promise<A>) => Promise<A>
  /**
   * Runs what the caller need not wait for: after a second it continues in the background, until the store closes at the
   * latest.
   */
  readonly aside: (run: Effect.Effect<unknown>) => Effect.Effect<void>
  /** A call with a body; interrupting its caller does not abort it, since the state of the object would be unknown. */
  readonly send: <A>(operation: string, run: () => Promise<A>) => Effect.Effect<A, BlobsError>
}

const property = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined

/** A missing object has the system's code for that, as in a folder. */
const codeOf = (cause: unknown): string | undefined => {
  const name = property(cause, "name")
  return name === "NotFound" || name === "NoSuchKey" ? "ENOENT" : typeof name === "string" ? name : undefined
}

/** The store did not respond, or reported that it cannot now. */
const isUnavailable = (cause: unknown): boolean => {
  const status = property(property(cause, "$metadata"), "httpStatusCode")
  return typeof status !== "number" || status >= 500 || status === 429
}

export const toError = (operation: string, cause: unknown): BlobsError => {
  if (cause instanceof BlobsError) return cause
  const code = codeOf(cause)
  return new BlobsError({
    operation,
    cause,
    ...(code === undefined ? {} : { code }),
    ...(isUnavailable(cause) ? { reason: "unavailable" } : {})
  })
}

const silent = (operation: string) =>
  new BlobsError({
    operation,
    code: "TimeoutError",
    reason: "unavailable",
    cause: new Error("the store did not respond in time")
  })

/** A store that is closed with the scope. `timeout` is how long it may be silent. */
export const make = Effect.fnUntraced(function*(config: S3ClientConfig, timeout: Duration.Duration) {
  const scope = yield* Effect.scope
  const runPromise = Effect.runPromiseWith(yield* Effect.context<never>())
  const agents = [new Http.Agent(AGENT), new Https.Agent(AGENT)] as const
  /** If one connection is silent, idle ones are probably too. */
  const dropIdle = () => {
    for (const agent of agents) {
      for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
    }
  }

  const client = yield* Effect.acquireRelease(
    Effect.sync(() =>
      new S3Client({
        // Not every store supports the checksums that the SDK adds by default.
        requestChecksumCalculation: "WHEN_REQUIRED",
        responseChecksumValidation: "WHEN_REQUIRED",
        // It costs a new connection for each part.
        expectContinueHeader: false,
        retryStrategy: S3Retries.make(dropIdle),
        requestHandler: {
          httpAgent: agents[0],
          httpsAgent: agents[1],
          connectionTimeout: Math.min(5000, Duration.toMillis(timeout)),
          socketTimeout: Duration.toMillis(timeout)
        },
        ...config
      })
    ),
    (client) =>
      Effect.sync(() => {
        client.destroy()
        for (const agent of agents) agent.destroy()
      })
  )

  const attempt = <A>(operation: string, run: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, BlobsError> =>
    Effect.tryPromise({ try: run, catch: (cause) => toError(operation, cause) })

  const tidied = <A>(effect: Effect.Effect<A, BlobsError>): Effect.Effect<A, BlobsError> =>
    Effect.tapError(effect, ({ code }) => code === "TimeoutError" ? Effect.sync(dropIdle) : Effect.void)

  const slots = Semaphore.makeUnsafe(SLOTS)
  let done = 0
  const patience = Duration.times(timeout, S3Retries.SILENT_ATTEMPTS + 1)
  const take: Effect.Effect<void, BlobsError> = Effect.suspend(() => {
    const before = done
    return Effect.flatMap(Effect.timeoutOption(slots.take(1), patience), (taken) =>
      Option.isSome(taken)
        ? Effect.void
        : done > before
        ? take
        : Effect.fail(silent("write a blob")))
  })
  const slot = <A>(run: () => Promise<A>): Promise<A> =>
    runPromise(Effect.acquireUseRelease(
      take,
      () =>
        Effect.map(Effect.promise(run), (value) => {
          done++
          return value
        }),
      () => slots.release(1)
    ))

  return {
    client,
    timeout,
    dropIdle,
    slot,
    aside: (run) =>
      Effect.flatMap(
        Effect.forkIn(run, scope),
        (fiber) => Effect.asVoid(Effect.timeoutOption(Fiber.await(fiber), ASIDE_WAIT))
      ),
    call: (operation, run) => tidied(within(attempt(operation, run), timeout, () => silent(operation))),
    send: (operation, run) => tidied(attempt(operation, () => run()))
  } satisfies Store
})
