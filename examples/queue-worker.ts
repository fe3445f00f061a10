/**
 * Workers of one account, as they would run in several processes: they share its rate limit through Redis, so that the host
 * refuses nothing. Uses the Redis of FILEIO_REDIS_URL, or starts one.
 */
import { FileBody, FileIo, RateLimit } from "@effect-fileio/client"
import { NodeFileIo, NodeRateLimit } from "@effect-fileio/platform-node"
import { Console, Duration, Effect, Layer, Option, Queue } from "effect"
import { Host } from "./internal/Host.ts"
import { redisUrl } from "./internal/redis.ts"
import { run } from "./internal/run.ts"

const work = Effect.fnUntraced(function*(name: string, jobs: Queue.Dequeue<number>) {
  const fileIo = yield* FileIo.FileIo
  while (true) {
    const job = yield* Queue.poll(jobs)
    if (Option.isNone(job)) return
    yield* fileIo.upload(FileBody.text(`result ${job.value}`), { expires: "10m" })
    yield* Console.log(`${name} has sent result ${job.value}`)
  }
})

run(Effect.gen(function*() {
  const { apiKey, baseUrl } = yield* Host
  const url = yield* redisUrl
  if (url === undefined) return yield* Console.log("skipped: there is no redis-server on this machine")

  // In your program, each worker has this layer: `NodeFileIo.layerConfig()` over `NodeRateLimit.layerRedisConfig()`.
  const fileIo = NodeFileIo.layer({ apiKey, baseUrl }).pipe(
    Layer.provide(NodeRateLimit.layerRedis({ url })),
    // `RateLimit.learned()`, which asks the host, is the default.
    Layer.provide(RateLimit.layer(RateLimit.fixed(5)))
  )

  const jobs = yield* Queue.unbounded<number>()
  yield* Queue.offerAll(jobs, Array.from({ length: 12 }, (_, n) => n + 1))

  const [duration] = yield* Effect.timed(Effect.forEach(
    ["first", "second"],
    (name) => Effect.provide(work(name, jobs), Layer.fresh(fileIo)),
    { concurrency: "unbounded", discard: true }
  ))
  yield* Console.log(`12 jobs at 5 a second took more than 2 seconds: ${Duration.toSeconds(duration) > 2}`)
}))
