/** Uploads a file with notes, until it is killed. Run by `killedUploads.test.ts`. */
import { FileTransfer, RateLimit } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { Effect, Layer, Redacted } from "effect"

const [baseUrl, path, notes] = process.argv.slice(2) as [string, string, string]
const apiKey = Redacted.make(process.env["UPLOADER_KEY"]!)

const program = Effect.gen(function*() {
  const transfer = yield* FileTransfer.FileTransfer
  return yield* transfer.uploadFile(path, { notes, maxDownloads: 1 })
}).pipe(
  Effect.provide(
    NodeFileIo.layer({ baseUrl, apiKey }).pipe(Layer.provide(RateLimit.layer(RateLimit.unlimited)))
  )
)

const { key } = await Effect.runPromise(program)
process.stdout.write(`${key}\n`)
