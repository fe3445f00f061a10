/** The SDK for a command's host: the configured one, or the host of a link. */
import type * as FileIo from "@effect-fileio/client/FileIo"
import type * as FileTransfer from "@effect-fileio/client/FileTransfer"
import * as RateLimit from "@effect-fileio/client/RateLimit"
import type * as Transport from "@effect-fileio/client/Transport"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileKey from "@effect-fileio/core/FileKey"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import type * as Scope from "effect/Scope"
import { fromInvalidOption, type Problem, usage } from "./problem.ts"
import * as Settings from "./settings.ts"
import type { Stdio } from "./stdio.ts"

export interface Client {
  readonly baseUrl: string
  readonly hasKey: boolean
  readonly fileIo: FileIo.Service
  readonly transfer: FileTransfer.Service
}

export interface Session {
  readonly settings: Settings.Settings
  /** The client of the configured host, or of a link's host. */
  readonly open: (link?: string) => Effect.Effect<Client, Problem | FileIoError.FileIoError>
}

/**
 * Called when a request is written to an open connection. Before that nothing was sent, however much of the file was read, so a
 * command that is stopped knows that the host has done nothing.
 */
export const CurrentOnSent = Context.Reference<(request: Transport.Request) => void>(
  "@effect-fileio/cli/CurrentOnSent",
  { defaultValue: () => () => {} }
)

/** The transport, which also calls `CurrentOnSent`. */
const observed = (service: typeof Transport.Transport) =>
  Layer.effect(
    service,
    Effect.map(service, ({ send }) =>
      service.of({
        send: (request, observer) =>
          Effect.flatMap(CurrentOnSent, (onSent) =>
            send(request, {
              ...observer,
              onHeadWritten: (connection) => {
                onSent(request)
                observer.onHeadWritten(connection)
              }
            }))
      }))
  )

export const Session = Context.Service<Session>("@effect-fileio/cli/Session")

/** A command that makes one call does without the rate limit, which another call would have to learn. */
export const make = Effect.fnUntraced(function*(calls: "one" | "many"): Effect.fn.Return<
  Session,
  Problem,
  Stdio | FileSystem.FileSystem | Path.Path | ChildProcessSpawner | Scope.Scope
> {
  const settings = yield* Settings.resolve
  const environment = yield* Effect.context<
    Stdio | ChildProcessSpawner | FileSystem.FileSystem | Path.Path | Scope.Scope
  >()
  const clients = new Map<string, Client>()

  const connect = Effect.fnUntraced(function*(baseUrl: string) {
    // Loaded lazily: it is most of the code, and "config" and "--help" do not need it.
    const modules = yield* Effect.promise(() =>
      Promise.all([
        import("@effect-fileio/client/Transport"),
        import("@effect-fileio/platform-node/NodeFileIo"),
        import("@effect-fileio/platform-node/NodeHttp"),
        import("@effect-fileio/platform-node/NodePlatform"),
        import("./network.ts"),
        import("@effect-fileio/client/FileIo"),
        import("@effect-fileio/client/FileTransfer")
      ])
    )
    const [{ Transport }, NodeFileIo, NodeHttp, NodePlatform, Network, FileIo, FileTransfer] = modules
    const apiKey = yield* Settings.keyFor(settings, baseUrl)
    const provider = yield* Settings.provider
    const variables = yield* Effect.mapError(
      NodeFileIo.config.parse(provider),
      (error) => usage(error.message, "Correct or unset it.")
    )
    const options = { ...yield* Network.options(settings, baseUrl, variables), baseUrl, apiKey }
    const services = yield* Effect.flatMap(
      NodeHttp.hasProxy(options),
      (isProxied) =>
        Layer.build(
          Layer.fresh(FileTransfer.layer).pipe(
            Layer.provideMerge(FileIo.layerTransport(options)),
            Layer.provide(observed(Transport)),
            Layer.provide(isProxied ? NodeHttp.layer(options) : NodeHttp.layerSockets(options)),
            Layer.provide(NodePlatform.layer)
          )
        )
    ).pipe(
      Effect.mapError(fromInvalidOption),
      Effect.provideService(ConfigProvider.ConfigProvider, provider),
      calls === "one" ? Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited) : identity
    )
    return {
      baseUrl,
      hasKey: apiKey !== undefined,
      fileIo: Context.get(services, FileIo.FileIo),
      transfer: Context.get(services, FileTransfer.FileTransfer)
    }
  })

  return {
    settings,
    open: Effect.fnUntraced(function*(link) {
      const { from, value } = settings.baseUrl
      const named = link === undefined || from === "flag" ? undefined : FileKey.baseUrl(link)
      // A host may have several services below different paths, and keys belong to one of them.
      const baseUrl = named === undefined || named === Settings.normalize(value) ? value : named
      const known = clients.get(baseUrl)
      if (known !== undefined) return known
      const client = yield* connect(baseUrl)
      clients.set(baseUrl, client)
      return client
    }, Effect.provideContext(environment))
  }
})
