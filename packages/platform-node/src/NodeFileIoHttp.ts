/**
 * The HTTP client of `NodeFileIo`: HTTP/1.1 over sockets, made for transfers of any length.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import { ConnectionPool } from "./internal/connection.ts"
import * as SocketClient from "./internal/socketClient.ts"

/**
 * How connections are made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How long connecting may take. @default 10 seconds */
  readonly connectTimeout?: Duration.Input | undefined
}

/**
 * An `HttpClient` with connections of its own, which close with the layer. It takes bodies of bytes and streams.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient)(
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() =>
          new ConnectionPool(Duration.toMillis(Duration.fromInputUnsafe(options?.connectTimeout ?? "10 seconds")))
        ),
        (pool) => Effect.sync(() => pool.destroy())
      ),
      SocketClient.make
    )
  )
