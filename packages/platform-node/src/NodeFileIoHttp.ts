/**
 * The HTTP client of `NodeFileIo`: undici, set for transfers of any length.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import { hearOut } from "./internal/hearOut.ts"
import * as UndiciClient from "./internal/undiciClient.ts"

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
  Layer.effect(HttpClient.HttpClient)(Effect.gen(function*() {
    // Loaded when it is needed, since undici takes its time.
    const { Agent, buildConnector } = yield* Effect.promise(() => import("@effect/platform-node/Undici"))
    const connect = buildConnector({
      timeout: Duration.toMillis(Duration.fromInputUnsafe(options?.connectTimeout ?? "10 seconds"))
    })
    const dispatcher = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new Agent({
          connect: (target, callback) =>
            connect(target, (...result) => {
              // On a failure there is no socket, whatever the types say.
              if (result[0] === null) hearOut(result[1])
              callback(...result)
            })
        })
      ),
      (dispatcher) => Effect.promise(() => dispatcher.destroy())
    )
    return UndiciClient.make(dispatcher)
  }))
