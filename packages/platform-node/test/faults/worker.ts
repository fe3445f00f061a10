/** Downloads a key into a folder in its own thread, and posts the result. Run by `planted.test.ts`. */
import { FileIo, FileTransfer, RateLimit, RetryPolicy } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { Effect, Layer } from "effect"
import { parentPort, workerData } from "node:worker_threads"

const { baseUrl, directory, key } = workerData as { baseUrl: string; directory: string; key: string }

const ended = await FileTransfer.FileTransfer.use((transfer) => transfer.downloadFile(key, { directory })).pipe(
  FileIo.withRetry(RetryPolicy.none),
  Effect.match({ onFailure: ({ reason }) => reason._tag, onSuccess: ({ path }) => path }),
  Effect.provide(NodeFileIo.layer({ baseUrl }).pipe(Layer.provide(RateLimit.layer(RateLimit.unlimited)))),
  Effect.runPromise
)
parentPort!.postMessage(ended)
