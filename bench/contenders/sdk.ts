/** This SDK, as a user would write it. `node sdk.ts upload|download|idle URL PATH [BYTES] [durable] [sockets]` */
import { FileIo, FileTransfer, RateLimit } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { Effect, Redacted } from "effect"
import { watchLoop } from "../internal/watchLoop.ts"

const [, , what, baseUrl, path, bytes, durable] = process.argv

const layer = process.argv.includes("sockets") ? NodeFileIo.layerSockets : NodeFileIo.layer

const program = Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const transfer = yield* FileTransfer.FileTransfer
  const stalls = watchLoop()
  const began = performance.now()
  if (what === "upload") yield* transfer.uploadFile(path!, { maxDownloads: 1 })
  if (what === "download") {
    yield* transfer.downloadFile(`bytes${bytes!.padStart(12, "0")}`, { path: path! }, {
      onCollision: "overwrite",
      durable: durable === "durable"
    })
  }
  if (what === "idle") yield* fileIo.me
  return { wallS: (performance.now() - began) / 1000, ...stalls() }
}).pipe(
  Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited),
  Effect.provide(layer({ baseUrl: baseUrl!, apiKey: Redacted.make("BENCH") }))
)

console.log(JSON.stringify(await Effect.runPromise(program)))
