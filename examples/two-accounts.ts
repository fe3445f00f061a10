/** Two accounts in one program: one service for each. */
import { FileBody, FileIo } from "@effect-fileio/client"
import { NodeHttp } from "@effect-fileio/platform-node"
import { Console, Context, Effect, Layer } from "effect"
import { Host } from "./internal/Host.ts"
import { run } from "./internal/run.ts"

class Sales extends Context.Service<Sales, FileIo.Service>()("examples/Sales") {
  static readonly layer = Layer.effect(
    Sales,
    Effect.flatMap(Host, ({ apiKey, baseUrl }) => FileIo.make({ baseUrl, apiKey }))
  )
}

class Support extends Context.Service<Support, FileIo.Service>()("examples/Support") {
  static readonly layer = Layer.effect(
    Support,
    Effect.flatMap(Host, ({ baseUrl, secondApiKey }) => FileIo.make({ baseUrl, apiKey: secondApiKey }))
  )
}

const program = Effect.gen(function*() {
  const sales = yield* Sales
  const support = yield* Support
  const offer = yield* sales.upload(FileBody.text("our offer", { name: "offer.txt" }), { maxDownloads: 2 })

  yield* Console.log("sales has  ", (yield* sales.list()).files.map((file) => file.name))
  yield* Console.log("support has", (yield* support.list()).files.map((file) => file.name))

  // Support can download the file, since it knows the link, but it cannot delete another account's file.
  yield* Console.log("support got", (yield* support.downloadBytes(offer.link)).name)
  const refused = yield* Effect.flip(support.delete(offer.key))
  yield* Console.log("support gets", refused.reason._tag)
})

run(Effect.provide(program, Layer.provide(Layer.mergeAll(Sales.layer, Support.layer), NodeHttp.layerUndici())))
