/** Downloads keys into a folder, until it is killed. Run by `kill.test.ts` and `suspended.test.ts`. */
import { FileTransfer, RateLimit } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { Effect, Layer } from "effect"

const [baseUrl, directory, ...keys] = process.argv.slice(2) as [string, string, ...Array<string>]

const program = Effect.gen(function*() {
  const transfer = yield* FileTransfer.FileTransfer
  yield* Effect.forEach(keys, (key) => Effect.ignore(transfer.downloadFile(key, { directory })), {
    concurrency: "unbounded"
  })
}).pipe(
  Effect.provide(
    NodeFileIo.layer({ baseUrl, idleTimeout: Number(process.env["IDLE_MILLIS"] ?? 60_000) }).pipe(
      Layer.provide(RateLimit.layer(RateLimit.unlimited))
    )
  )
)

await Effect.runPromise(program)
process.stdout.write("done\n")
