/**
 * The HTTP client of `NodeFileIo`: undici, set for transfers of any length.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Duration from "effect/Duration"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How long connecting may take. @default 10 seconds */
  readonly connectTimeout?: Duration.Input | undefined
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<HttpClient.HttpClient> =>
  NodeHttpClient.layerUndiciOptions({
    connect: { timeout: Duration.toMillis(Duration.fromInputUnsafe(options?.connectTimeout ?? "10 seconds")) }
  })
