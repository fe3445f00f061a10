/**
 * Rate limits that several processes share through Redis, on Node.
 *
 * @since 0.1.0
 */
import * as RateLimitRedis from "@effect-fileio/client/RateLimitRedis"
import * as DurationInput from "@effect-fileio/core/DurationInput"
import type { InvalidOption } from "@effect-fileio/core/InvalidOption"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redis from "effect/persistence/Redis"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

/**
 * Address of Redis, and what calls do while it is unavailable.
 *
 * @category models
 * @since 0.1.0
 */
export interface RedisOptions extends RateLimitRedis.Options {
  /** Address of Redis, such as `redis://localhost:6379` or `rediss://user:password@host:6380/0`. */
  readonly url: string
  /** How long connecting may take. @default 2 seconds */
  readonly connectTimeout?: DurationInput.DurationInput | undefined
}

interface Connection {
  readonly url: string
  readonly connectTimeout: Duration.Duration
}

const connect = Effect.fnUntraced(function*(
  options: Connection
): Effect.fn.Return<Redis.Redis["Service"], Redis.RedisError, Scope.Scope> {
  // Loaded lazily: other programs do not need the Redis client.
  const NodeRedis = yield* Effect.promise(() => import("@effect/platform-node/NodeRedis"))
  const connectTimeout = Duration.toMillis(options.connectTimeout)
  const context = yield* Layer.build(
    // A command that waits for the connection would delay a call invisibly.
    NodeRedis.layer({ url: options.url, disableOfflineQueue: true, socket: { connectTimeout } }).pipe(
      // The client would log every attempt to connect; the limiter reports once that Redis is unavailable.
      Layer.provide(Logger.layer([]))
    )
  )
  return Context.get(context, Redis.Redis)
})

/** A Redis that may be unavailable when the program starts. */
const connectLater = Effect.fnUntraced(function*(
  options: Connection
): Effect.fn.Return<Redis.Redis["Service"], never, Scope.Scope> {
  let connected: Redis.Redis["Service"] | undefined
  yield* connect(options).pipe(
    Effect.tap((redis) =>
      Effect.sync(() => {
        connected = redis
      })
    ),
    Effect.retry(Schedule.spaced("5 seconds")),
    Effect.forkScoped
  )
  const withRedis = <A>(
    use: (redis: Redis.Redis["Service"]) => Effect.Effect<A, Redis.RedisError>
  ): Effect.Effect<A, Redis.RedisError> =>
    Effect.suspend(() =>
      connected === undefined
        ? Effect.fail(new Redis.RedisError({ cause: new Error("there is no connection to Redis yet") }))
        : use(connected)
    )
  return Redis.Redis.of({
    send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
      withRedis((redis) => redis.send<A>(command, ...args)),
    eval: (script) => (...params) => withRedis((redis) => redis.eval(script)(...params)),
    subscribe: (channel) =>
      Effect.flatMap(Effect.orDie(withRedis(Effect.succeed)), (redis) => redis.subscribe(channel)),
    reserve: Effect.flatMap(withRedis(Effect.succeed), (redis) => redis.reserve)
  })
})

/**
 * Shares the rate limit of each account with all processes that use the same Redis.
 *
 * **Details**
 *
 * With `whenAway: "fail"`, the default, the layer fails if Redis is unavailable. With `{ processes }` it does not:
 * until Redis is available, this process uses its share of the limit.
 *
 * **Example** (Four workers with one key)
 *
 * ```ts
 * import { NodeFileIo, NodeRateLimit } from "@effect-fileio/platform-node"
 * import { Layer } from "effect"
 *
 * const fileIo = NodeFileIo.layerConfig().pipe(
 *   Layer.provide(NodeRateLimit.layerRedis({ url: "redis://localhost:6379", whenAway: { processes: 4 } }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (options: RedisOptions): Layer.Layer<never, Redis.RedisError | InvalidOption> =>
  Layer.provide(
    RateLimitRedis.layer(options),
    Layer.effect(
      Redis.Redis,
      Effect.flatMap(
        Effect.fromResult(DurationInput.parseOption("connectTimeout", options.connectTimeout ?? "2 seconds")),
        (connectTimeout) => {
          const connection = { url: options.url, connectTimeout }
          return (options.whenAway ?? "fail") === "fail" ? connect(connection) : connectLater(connection)
        }
      )
    )
  )

/**
 * `layerRedis` with the address from the configuration: `FILEIO_REDIS_URL`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedisConfig = (
  options?: Omit<RedisOptions, "url">
): Layer.Layer<never, Redis.RedisError | InvalidOption | Config.ConfigError> =>
  Layer.unwrap(
    Effect.map(Config.NonEmptyString("FILEIO_REDIS_URL"), (url) => layerRedis({ ...options, url: url.trim() }))
  )
