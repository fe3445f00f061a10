/**
 * `FileIo` over the `fetch` of the platform, in one layer: for browsers, workers, Deno, Bun.
 *
 * @since 0.1.0
 */
import type { InvalidOption } from "@effect-fileio/core/InvalidOption"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FileIo from "./FileIo.ts"
import * as FetchTransport from "./internal/request/fetchTransport.ts"
import { type Service, Transport } from "./Transport.ts"

/**
 * The transport of `layer`, for a program without layers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeTransport: Effect.Effect<Service> = FetchTransport.make

/**
 * The transport of `layer`. It calls the `fetch` of `FetchHttpClient.Fetch`, with the options of `FetchHttpClient.RequestInit`,
 * such as `credentials`.
 *
 * **Details**
 *
 * Browsers refuse to stream a request's body to an HTTP/1.1 host. So a resumable upload, which large ones are if the host
 * supports it, goes in pieces of about two seconds, and its progress is that of the network. The body of any other upload is
 * collected in a `Blob` before it is sent, and progress reports the bytes read.
 *
 * **Gotchas**
 *
 * The `fetch` of Node 24 can end the whole process with an `AssertionError` (`assert(!this.paused)`) when a host cuts a
 * download off while its reader is slow, since the undici in it has that fault. On Node use `NodeFileIo`, whose undici does
 * not.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTransport: Layer.Layer<Transport> = /* @__PURE__ */ Layer.effect(Transport, makeTransport)

/**
 * Everything that a program in a browser needs. The host must allow the page's origin.
 *
 * **Example** (A file that a visitor chose)
 *
 * ```ts
 * import { FetchFileIo, FileBody, FileIo } from "@effect-fileio/client"
 * import { Effect } from "effect"
 *
 * const share = (file: File) =>
 *   FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.blob(file), { expires: "1d" })).pipe(
 *     Effect.map(({ link }) => link),
 *     Effect.provide(FetchFileIo.layer({ baseUrl: "https://files.example.org" }))
 *   )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: FileIo.Options): Layer.Layer<FileIo.FileIo, InvalidOption> =>
  Layer.provide(FileIo.layerTransport(options), layerTransport)

/**
 * `layer`, configured by `FileIo.config`, or by your own configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<FileIo.Options> = FileIo.config
): Layer.Layer<FileIo.FileIo, InvalidOption | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
