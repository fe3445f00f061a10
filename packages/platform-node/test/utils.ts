import { Transport } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer, Redacted, Stream } from "effect"

export const apiKey = Redacted.make("TESTKEY.0000001-0000002-0000003-0000004")
export const otherKey = Redacted.make("TESTKEY.1000001-1000002-1000003-1000004")

/** A real server on a free port, with two accounts. */
export const server = FileIoServer.layerTemporary({
  accounts: [
    { name: "test", apiKey, plan: "premium" },
    { name: "other", apiKey: otherKey, plan: "premium" }
  ]
})

/** The real client over the real server, with a key. */
export const keyed = Layer.unwrap(
  Effect.map(FileIoServer.FileIoServer, ({ url }) => NodeFileIo.layer({ baseUrl: url, apiKey }))
).pipe(Layer.provideMerge(server), Layer.merge(NodeServices.layer))

/** The same, without a key. */
export const anonymous = Layer.unwrap(
  Effect.map(FileIoServer.FileIoServer, ({ url }) => NodeFileIo.layer({ baseUrl: url }))
).pipe(Layer.provideMerge(server), Layer.merge(NodeServices.layer))

/** A folder that is removed with the scope. */
export const folder = FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped({ prefix: "fileio-test-" }))

const nobody: Transport.Observer = { onWaiting: () => {}, onHeadWritten: () => {}, onCollected: () => {} }

/** Sends a request over the transport in the context. */
export const send = (url: string, options?: Partial<Transport.Request>) =>
  Transport.Transport.use((transport) =>
    transport.send({ method: "GET", url, headers: {}, body: { _tag: "Empty" }, isRepeatable: true, ...options }, nobody)
  )

/** Sends a request over the transport in the context, and reads the whole response. */
export const fetchBytes = (url: string, options?: Partial<Transport.Request>) =>
  Effect.scoped(Effect.flatMap(send(url, options), ({ body }) => Stream.mkUint8Array(body("owned"))))
