/**
 * Runs a script in Redis over one connection, which is dropped as soon as it is silent and opened again in the background: a
 * circuit breaker. Without a connection, calls fail at once. `RedisRateCounter` uses it; this module needs `redis`.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { RedisError } from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { createHash } from "node:crypto"
import { createClient } from "redis"
import { within } from "../shared/deadline.ts"

export interface Options {
  readonly url: Redacted.Redacted
  /** How long a call may wait. */
  readonly timeout: Duration.Duration
  /** A script with one key and one argument. */
  readonly lua: string
  /** Arguments of a test run of the script. */
  readonly probe: readonly [key: string, argument: string]
}

type Run = (key: string, argument: string) => Effect.Effect<unknown, RedisError>

type Client = ReturnType<typeof open>

interface Connection {
  readonly client: Client
  readonly lost: Deferred.Deferred<unknown>
}

const RECONNECT = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")])

/** It neither reconnects by itself nor queues commands: both would hide that it is silent. */
const open = ({ timeout, url }: Options) =>
  createClient({
    url: Redacted.value(url),
    disableOfflineQueue: true,
    socket: { connectTimeout: Duration.toMillis(timeout), reconnectStrategy: false }
  })

const close = ({ client }: Connection): void => {
  if (client.isOpen) client.destroy()
}

/** Connects, and keeps connected until the scope closes. Fails if Redis cannot be reached now. */
export const make = Effect.fnUntraced(function*(options: Options) {
  const { lua, probe, timeout } = options
  const sha = createHash("sha1").update(lua).digest("hex")
  let current: Connection | undefined

  const evaluate = async (client: Client, key: string, argument: string): Promise<unknown> => {
    try {
      return await client.sendCommand(["EVALSHA", sha, "1", key, argument])
    } catch (cause) {
      if (!(cause instanceof Error) || !cause.message.startsWith("NOSCRIPT")) throw cause
      return await client.sendCommand(["EVAL", lua, "1", key, argument])
    }
  }

  const inTime = <A>(run: () => Promise<A>): Effect.Effect<A, RedisError> =>
    within(
      Effect.tryPromise({ try: run, catch: (cause) => new RedisError({ cause }) }),
      timeout,
      () => new RedisError({ cause: new Error("Redis did not respond in time") })
    )

  const connect = Effect.gen(function*() {
    const client = open(options)
    const connection: Connection = { client, lost: yield* Deferred.make<unknown>() }
    // Without a listener an error ends the process.
    client.on("error", (cause) => Deferred.doneUnsafe(connection.lost, Effect.succeed(cause)))
    yield* inTime(() => client.connect().then(() => evaluate(client, ...probe))).pipe(
      Effect.onError(() => Effect.sync(() => close(connection)))
    )
    current = connection
    return connection
  })

  /** Each connection until it is lost, and then the next one. */
  const keep = Effect.fnUntraced(function*(first: Connection) {
    let connection = first
    while (true) {
      const cause = yield* Deferred.await(connection.lost)
      current = undefined
      close(connection)
      yield* Effect.logWarning("Redis does not respond; this server counts requests alone until it is back", cause)
      connection = yield* Effect.orDie(Effect.retry(connect, RECONNECT))
      yield* Effect.logInfo("Redis responds again")
    }
  })

  yield* Effect.addFinalizer(() => Effect.sync(() => current === undefined ? undefined : close(current)))
  yield* Effect.forkScoped(keep(yield* connect))

  const away = Effect.fail(new RedisError({ cause: new Error("there is no connection to Redis") }))
  const run: Run = (key, argument) =>
    Effect.suspend(() => {
      const connection = current
      if (connection === undefined) return away
      return Effect.tapError(inTime(() => evaluate(connection.client, key, argument)), (error) =>
        Effect.sync(() => {
          // Before the next request is sent.
          if (current === connection) current = undefined
          Deferred.doneUnsafe(connection.lost, Effect.succeed(error.cause))
        }))
    })
  return run
})
