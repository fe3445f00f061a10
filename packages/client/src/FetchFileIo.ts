/**
 * `FileIo` over the `fetch` of the platform, in one layer: for browsers, workers, Deno, Bun.
 *
 * @since 0.1.0
 */
import type { InvalidOption } from "@effect-fileio/core/InvalidOption"
import type * as Config from "effect/Config"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as FileIo from "./FileIo.ts"

/** Browsers stream a request's body over HTTP/2 only; elsewhere they need a blob, which they may keep on disk. */
const isBrowser = (): boolean => "document" in globalThis || "importScripts" in globalThis

// @effect-diagnostics globalFetch:off - this is the fetch that Effect's client is given
const send: typeof globalThis.fetch = async (input, init) => {
  if (!(init?.body instanceof ReadableStream) || !isBrowser()) return globalThis.fetch(input, init)
  const { duplex: _, ...rest } = init as RequestInit & { readonly duplex?: "half" }
  if (init.method === "PATCH") {
    // Only large uploads need it.
    const FetchPieces = await import("./internal/request/fetchPieces.ts")
    const headers = new Headers(init.headers)
    const offset = FetchPieces.offsetOf(headers)
    if (offset !== undefined) {
      return FetchPieces.send(globalThis.fetch, input, { ...rest, headers, body: init.body }, offset)
    }
  }
  return globalThis.fetch(input, { ...rest, body: await new Response(init.body).blob() })
}

/**
 * The HTTP client of `layer`.
 *
 * **Details**
 *
 * Browsers refuse to stream a request's body to an HTTP/1.1 host. So a resumable upload, which large ones are if the host
 * supports it, goes in pieces of about two seconds, and its progress is that of the network. The body of any other upload is
 * collected in a `Blob` before it is sent, and progress reports the bytes read.
 *
 * **Gotchas**
 *
 * The `fetch` of Node 24 can end the whole process with an `AssertionError` (`assert(!this.paused)`) when a host cuts a download off
 * while its reader is slow, since the undici in it has that fault. On Node use `NodeFileIo`, whose undici does not.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttp: Layer.Layer<HttpClient.HttpClient> = FetchHttpClient.layer.pipe(
  Layer.provide(Layer.succeed(FetchHttpClient.Fetch, send))
)

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
  Layer.provide(FileIo.layer(options), layerHttp)

/**
 * `layer`, configured by `FileIo.config`, or by your own configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<FileIo.Options> = FileIo.config
): Layer.Layer<FileIo.FileIo, InvalidOption | Config.ConfigError> =>
  Layer.provide(FileIo.layerConfig(options), layerHttp)
