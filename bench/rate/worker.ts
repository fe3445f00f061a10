/** A process that makes calls on a number of fibers until it gets a message to stop. */
import { FileIo, RetryPolicy } from "@effect-fileio/client"
import { NodeFileIo, NodeRateLimit } from "@effect-fileio/platform-node"
import { Effect, Layer, Redacted } from "effect"

export interface Work {
  readonly baseUrl: string
  readonly fibers: number
  readonly seconds: number
  readonly redis: string | undefined
}

const { baseUrl, fibers, redis, seconds } = JSON.parse(process.argv[2] ?? "{}") as Work

process.on("disconnect", () => process.exit())

const key = Redacted.make("BENCHKEY.0000001-0000002-0000003-0000004")
const fileIo = NodeFileIo.layer({ baseUrl, apiKey: key })

const program = Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const work = Effect.forever(Effect.ignore(FileIo.withRetry(fileIo.list(), RetryPolicy.none)))
  yield* Effect.timeoutOption(
    Effect.all(Array.from({ length: fibers }, () => work), { concurrency: "unbounded", discard: true }),
    seconds * 1000
  )
})

await Effect.runPromise(
  Effect.provide(
    program,
    redis === undefined
      ? fileIo
      : Layer.provide(fileIo, NodeRateLimit.layerRedis({ url: redis, prefix: `bench:${new URL(baseUrl).port}` }))
  )
)
process.exit()
