import type { FileIo, FileTransfer } from "@effect-fileio/client"
import type { InvalidOption } from "@effect-fileio/core"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { Config, Context, Effect, Layer, Option, Redacted } from "effect"

interface HostShape {
  /** Description of the host. */
  readonly description: string
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted
  /** The key of another account. */
  readonly secondApiKey: Redacted.Redacted
}

const embeddedKey = Redacted.make("EXAMPLE.0000001-0000002-0000003-0000004")
const embeddedSecondKey = Redacted.make("EXAMPLE.1000001-1000002-1000003-1000004")

const embedded = FileIoServer.layerTemporary({
  accounts: [
    { name: "example", apiKey: embeddedKey, plan: "premium" },
    { name: "second", apiKey: embeddedSecondKey, plan: "premium" }
  ]
})

/**
 * The host of the examples: that of FILEIO_BASE_URL and FILEIO_API_KEY, or the embedded server on a free port with an empty
 * folder, which is removed at the end.
 */
export class Host extends Context.Service<Host, HostShape>()("examples/Host") {
  static readonly layer = Layer.unwrap(Effect.gen(function*() {
    const baseUrl = yield* Config.option(Config.NonEmptyString("FILEIO_BASE_URL"))
    if (Option.isNone(baseUrl)) {
      return Layer.effect(
        Host,
        Effect.map(FileIoServer.FileIoServer, ({ url }) => ({
          description: `the embedded server at ${url}`,
          baseUrl: url,
          apiKey: embeddedKey,
          secondApiKey: embeddedSecondKey
        }))
      ).pipe(Layer.provide(embedded))
    }
    const apiKey = yield* Config.Redacted("FILEIO_API_KEY")
    const secondApiKey = yield* Config.Redacted("FILEIO_SECOND_API_KEY").pipe(Config.withDefault(apiKey))
    return Layer.succeed(Host, { description: baseUrl.value, baseUrl: baseUrl.value, apiKey, secondApiKey })
  }))

  /** The host, with `FileIo` and `FileTransfer` over it. */
  static readonly layerClient: Layer.Layer<
    Host | FileIo.FileIo | FileTransfer.FileTransfer,
    FileIoServer.StartError | InvalidOption.InvalidOption | Config.ConfigError
  > = Layer.unwrap(
    Effect.map(Host, ({ apiKey, baseUrl }) => NodeFileIo.layer({ apiKey, baseUrl }))
  ).pipe(Layer.provideMerge(Host.layer))
}
