/**
 * `FileIo` and `FileTransfer` for Node, in one layer: HTTP over undici, files over `node:fs`.
 *
 * @since 0.1.0
 */
import * as FileIo from "@effect-fileio/client/FileIo"
import * as FileTransfer from "@effect-fileio/client/FileTransfer"
import type { InvalidOption } from "@effect-fileio/core/InvalidOption"
import * as Variable from "@effect-fileio/core/Variable"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { pathToFileURL } from "node:url"
import * as NodeHttp from "./NodeHttp.ts"
import * as NodePlatform from "./NodePlatform.ts"

/**
 * Options of `FileIo` and of the HTTP client.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends FileIo.Options, NodeHttp.Options {}

/** Layers are memoized by reference; `Layer.fresh` gives each host its own `FileTransfer`. */
const withTransfer = <E, R>(fileIo: Layer.Layer<FileIo.FileIo, E, R>) =>
  Layer.fresh(FileTransfer.layer).pipe(
    Layer.provideMerge(fileIo),
    Layer.provide([NodeFileSystem.layer, NodePath.layer, NodePlatform.layer])
  )

/**
 * Everything a Node program needs except an `HttpClient`: it uses the one that you provide.
 *
 * **Example** (Over the client of `node:http`)
 *
 * ```ts no-run
 * import { NodeFileIo } from "@effect-fileio/platform-node"
 * import { NodeHttpClient } from "@effect/platform-node"
 * import { Layer } from "effect"
 *
 * const layer = NodeFileIo.layerNoHttp({ baseUrl: "http://localhost:8080" }).pipe(
 *   Layer.provide(NodeHttpClient.layerNodeHttp)
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNoHttp = (
  options?: FileIo.Options
): Layer.Layer<FileIo.FileIo | FileTransfer.FileTransfer, InvalidOption, HttpClient.HttpClient> =>
  withTransfer(FileIo.layer(options))

/**
 * Everything a Node program needs, over `NodeHttp.layer`: undici, and sockets on Bun.
 *
 * **Example** (A program)
 *
 * ```ts no-run
 * import { FileBody, FileIo } from "@effect-fileio/client"
 * import { NodeFileIo } from "@effect-fileio/platform-node"
 * import { Effect } from "effect"
 *
 * const program = FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.text("hello"))).pipe(
 *   Effect.provide(NodeFileIo.layer({ baseUrl: "http://localhost:8080" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Options
): Layer.Layer<FileIo.FileIo | FileTransfer.FileTransfer, InvalidOption> =>
  withTransfer(Layer.provide(FileIo.layerTransport(options), NodeHttp.layer(options)))

/**
 * Everything a Node program needs, over `NodeHttp.layerSockets`: for large files, without a proxy.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSockets = (
  options?: FileIo.Options & NodeHttp.SocketsOptions
): Layer.Layer<FileIo.FileIo | FileTransfer.FileTransfer, InvalidOption> =>
  withTransfer(Layer.provide(FileIo.layerTransport(options), NodeHttp.layerSockets(options)))

const file = (name: string) => Variable.optional(name, (path) => Result.succeed(pathToFileURL(path)))

const tls: Config.Config<NodeHttp.Tls | undefined> = Config.all({
  ca: file("FILEIO_CA_CERT"),
  cert: file("FILEIO_CLIENT_CERT"),
  key: file("FILEIO_CLIENT_KEY"),
  passphrase: Variable.secret("FILEIO_CLIENT_KEY_PASSPHRASE")
}).pipe(Config.map((tls) => Object.values(tls).every((value) => value === undefined) ? undefined : tls))

/**
 * Options from the configuration: those of `FileIo.config`, and
 *
 * | variable                                  | meaning                                                               |
 * | ----------------------------------------- | --------------------------------------------------------------------- |
 * | `FILEIO_CONNECT_TIMEOUT`                  | how long connecting may take, such as `5 seconds`                     |
 * | `FILEIO_CONNECTIONS`                      | the most connections to a host at a time                              |
 * | `FILEIO_PROXY`                            | a proxy in place of `HTTPS_PROXY` and `HTTP_PROXY`; `none`: no proxy   |
 * | `FILEIO_CA_CERT`                          | a file of certificate authorities to trust, in PEM                    |
 * | `FILEIO_CLIENT_CERT`, `FILEIO_CLIENT_KEY` | files of the client certificate and its key, in PEM                   |
 * | `FILEIO_CLIENT_KEY_PASSPHRASE`            | the passphrase of that key                                            |
 * | `FILEIO_SOCKET_PATH`                      | a unix socket in place of the host                                    |
 *
 * @category configuration
 * @since 0.1.0
 */
export const config: Config.Config<Options> = Config.all({
  fileIo: FileIo.config,
  connectTimeout: Variable.withDefault("FILEIO_CONNECT_TIMEOUT", Variable.duration, Duration.seconds(10)),
  connections: Variable.optional("FILEIO_CONNECTIONS", Variable.integer(1)),
  proxy: Variable.secret("FILEIO_PROXY"),
  socketPath: Variable.optional("FILEIO_SOCKET_PATH", Variable.text),
  tls
}).pipe(
  Config.map(({ fileIo, proxy, ...http }) => ({
    ...fileIo,
    ...http,
    proxy: proxy !== undefined && Redacted.value(proxy) === "none" ? false as const : proxy
  }))
)

/**
 * Everything a Node program needs, configured by `config`, or by your own configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options> = config
): Layer.Layer<FileIo.FileIo | FileTransfer.FileTransfer, InvalidOption | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
