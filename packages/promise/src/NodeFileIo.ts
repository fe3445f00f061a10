/**
 * The calls of the file.io API as async functions for Node, with files on disk.
 *
 * @since 0.1.0
 */
import * as ClientFileIo from "@effect-fileio/client/FileIo"
import * as FileTransfer from "@effect-fileio/client/FileTransfer"
import * as NodeLayer from "@effect-fileio/platform-node/NodeFileIo"
import type * as NodeHttp from "@effect-fileio/platform-node/NodeHttp"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import type * as FileIo from "./FileIo.ts"
import * as InternalOptions from "./internal/options.ts"
import * as Promised from "./Promised.ts"

/**
 * The calls; see `FileIo` and `FileTransfer` of `@effect-fileio/client` for what each does.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeFileIo
  extends Promised.Promised<ClientFileIo.Service>, Promised.Promised<FileTransfer.Service>, Promised.Closeable
{}

/**
 * Whom to trust, and who we are, over `https:`: texts or bytes in PEM, or `file:` URLs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tls extends Omit<NodeHttp.Tls, "key" | "passphrase"> {
  /** The key of the client certificate. */
  readonly key?: NodeHttp.Pem | undefined
  /** The passphrase of `key`. It is kept redacted. */
  readonly passphrase?: string | undefined
}

/**
 * As the options of `FileIo`, with those of the HTTP client of Node.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends FileIo.Options, Omit<NodeHttp.Options, "proxy" | "tls"> {
  /**
   * The proxy for every host, such as `http://user:password@proxy.example:3128`; it is kept redacted. `false` is none.
   * @default `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` of the environment
   */
  readonly proxy?: string | URL | false | undefined
  /** Certificates and keys. */
  readonly tls?: Tls | undefined
}

const toHttp = ({ connectTimeout, connections, dispatcher, proxy, socketPath, tls }: Options): NodeHttp.Options => ({
  connectTimeout,
  connections,
  dispatcher,
  socketPath,
  proxy: proxy === undefined || proxy === false ? proxy : Redacted.make(String(proxy)),
  tls: tls === undefined
    ? undefined
    : { ...tls, passphrase: tls.passphrase === undefined ? undefined : Redacted.make(tls.passphrase) }
})

/**
 * The calls over any layer of both services.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromLayer = async <E>(
  layer: Layer.Layer<ClientFileIo.FileIo | FileTransfer.FileTransfer, E>
): Promise<NodeFileIo> => {
  const runtime = ManagedRuntime.make(layer)
  const context = await runtime.context()
  return {
    ...Promised.fromService(Context.get(context, ClientFileIo.FileIo), runtime, context),
    ...Promised.fromService(Context.get(context, FileTransfer.FileTransfer), runtime, context),
    close: runtime.dispose,
    [Symbol.asyncDispose]: runtime.dispose
  }
}

/**
 * The calls for Node. Throws `FileIoError` with `InvalidRequest` when an option is wrong.
 *
 * **Example** (A file there and back)
 *
 * ```ts
 * import { FileIoError, NodeFileIo } from "@effect-fileio/promise"
 *
 * const move = async (path: string) => {
 *   await using fileIo = await NodeFileIo.make({ baseUrl: "http://localhost:8080" })
 *   const file = await fileIo.uploadFile(path, { expires: "2w" })
 *   try {
 *     return await fileIo.downloadFile(file.link, { directory: "inbox" })
 *   } catch (error) {
 *     if (error instanceof FileIoError.FileIoError && error.reason._tag === "FileNotFound") return undefined
 *     throw error
 *   }
 * }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Promise<NodeFileIo> =>
  fromLayer(
    NodeLayer.layer({ ...InternalOptions.toClient(options), ...toHttp(options) }).pipe(
      Layer.provideMerge(InternalOptions.layerPolicies(options))
    )
  )

/**
 * The calls for Node, configured by the environment: `FILEIO_BASE_URL`, `FILEIO_API_KEY` and the other variables of
 * `NodeFileIo.config` of `@effect-fileio/platform-node`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeConfig = (): Promise<NodeFileIo> => fromLayer(NodeLayer.layerConfig())
