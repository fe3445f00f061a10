import { Config, Effect, Option } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { connect, createServer } from "node:net"
import { setTimeout } from "node:timers/promises"

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer()
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const isReady = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy()
      resolve(true)
    })
    socket.on("error", () => resolve(false))
  })

/** Address of a Redis: that of FILEIO_REDIS_URL, or a new one until the scope closes; `undefined` if there is none. */
export const redisUrl = Effect.gen(function*() {
  const given = yield* Config.option(Config.NonEmptyString("FILEIO_REDIS_URL"))
  if (Option.isSome(given)) return given.value
  if (spawnSync("redis-server", ["--version"]).status !== 0) return undefined
  const port = yield* Effect.promise(freePort)
  yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const redis = spawn("redis-server", [
        "--port",
        String(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no"
      ])
      while (!(await isReady(port))) await setTimeout(20)
      return redis
    }),
    (redis) => Effect.sync(() => redis.kill())
  )
  return `redis://127.0.0.1:${port}`
})
