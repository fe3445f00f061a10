/**
 * The calls of the file.io API as async functions, over the `fetch` of the platform: in browsers, Deno, Bun, workers. On Node
 * prefer `NodeFileIo`, which also has files on disk.
 *
 * @since 0.1.0
 */
import * as FetchFileIo from "@effect-fileio/client/FetchFileIo"
import * as ClientFileIo from "@effect-fileio/client/FileIo"
import type * as RateLimit from "@effect-fileio/client/RateLimit"
import type * as RetryPolicy from "@effect-fileio/client/RetryPolicy"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as InternalOptions from "./internal/options.ts"
import * as Promised from "./Promised.ts"

/**
 * The calls; see `FileIo` of `@effect-fileio/client` for what each does.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileIo extends Promised.Promised<ClientFileIo.Service>, Promised.Closeable {}

/**
 * The host, the key, and the policies of all calls.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Omit<ClientFileIo.Options, "apiKey" | "headers"> {
  /** The account's key; without one, calls are anonymous. It is kept redacted. */
  readonly apiKey?: string | undefined
  /** Headers that every request to the host has, such as those that a gateway before it wants. They are kept redacted. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** When calls that failed are made again. @default `RetryPolicy.make()` */
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  /** How many calls are made in a second. @default `RateLimit.learned()` */
  readonly rateLimit?: RateLimit.RateLimit | undefined
}

/**
 * The calls of `FileIo` over any layer, such as that of `FileIoTest` in your tests.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromLayer = async <E>(layer: Layer.Layer<ClientFileIo.FileIo, E>): Promise<FileIo> => {
  const runtime = ManagedRuntime.make(layer)
  const service = await runtime.runPromise(ClientFileIo.FileIo)
  return {
    ...Promised.fromService<ClientFileIo.Service, ClientFileIo.FileIo, E>(service, runtime, await runtime.context()),
    close: runtime.dispose,
    [Symbol.asyncDispose]: runtime.dispose
  }
}

/**
 * The calls over `fetch`. Throws `FileIoError` with `InvalidRequest` when an option is wrong.
 *
 * **Example** (An upload)
 *
 * ```ts
 * import { FileBody, FileIo } from "@effect-fileio/promise"
 *
 * const share = async (text: string) => {
 *   await using fileIo = await FileIo.make({ baseUrl: "https://files.example.org" })
 *   const file = await fileIo.upload(FileBody.text(text), { expires: "1d" })
 *   return file.link
 * }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Promise<FileIo> =>
  fromLayer(
    FetchFileIo.layer(InternalOptions.toClient(options)).pipe(
      Layer.provideMerge(InternalOptions.layerPolicies(options))
    )
  )
