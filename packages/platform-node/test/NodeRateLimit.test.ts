import { FileBody, FileIo, RateLimitRedis, type RateLimitStore, RetryPolicy } from "@effect-fileio/client"
import { NodeHttp, NodeRateLimit } from "@effect-fileio/platform-node"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Logger, Redacted, Schedule, type Scope, Stream } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"

const hasRedis = spawnSync("redis-server", ["--version"]).status === 0
if (!hasRedis) {
  process.stderr.write(
    "no redis-server in the path: the tests of shared rate limits are skipped (apt-get install redis-server)\n"
  )
}

const listen = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

const freePort = Effect.promise(async () => {
  const server = createServer()
  const port = await listen(server)
  server.close()
  return port
})

/** A busy machine may take longer than the default. */
const CONNECT_TIMEOUT = "1 minute"

/** A Redis that keeps nothing; it goes away with its scope. */
const startRedis = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
      const redis = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] })
      for await (const line of redis.stdout) if (String(line).includes("Ready to accept connections")) break
      redis.stdout.resume()
      return redis
    }),
    (redis) =>
      Effect.promise(async () => {
        if (redis.exitCode !== null || redis.signalCode !== null) return
        redis.kill()
        await once(redis, "exit")
      })
  )

/** Counts the arrivals of any sliding second. */
const strictHost = (limit: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const arrivals: Array<number> = []
      const asked: Array<string> = []
      let worst = 0
      const server = createServer((request, response) => {
        const now = performance.now()
        arrivals.push(now)
        asked.push(request.url ?? "")
        worst = Math.max(worst, arrivals.filter((time) => now - time < 1000).length)
        const body = request.url === "/me"
          ? { success: true, status: 200, rateLimit: limit }
          : { success: true, status: 200, nodes: [], count: 0, size: 0 }
        response.writeHead(200, { "content-type": "application/json" })
        response.end(JSON.stringify(body))
      })
      const port = await listen(server)
      return { server, asked, arrivals, worst: () => worst, baseUrl: `http://127.0.0.1:${port}` }
    }),
    ({ server }) =>
      Effect.promise(async () => {
        server.closeAllConnections()
        server.close()
        await once(server, "close")
      })
  )

const apiKey = Redacted.make("REDISKEY.0000001-0000002-0000003-0000004")

/** What one process has: each has its own store, so only Redis is shared. */
const process_ = (
  baseUrl: string,
  port: number,
  whenAway?: "fail" | { readonly processes: number }
): Effect.Effect<FileIo.Service, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      FileIo.layerTransport({ baseUrl, apiKey }).pipe(
        Layer.provide([
          NodeHttp.layerSockets(),
          NodeRateLimit.layerRedis({
            url: `redis://127.0.0.1:${port}`,
            connectTimeout: CONNECT_TIMEOUT,
            ...(whenAway === undefined ? {} : { whenAway })
          })
        ]),
        Layer.fresh
      )
    )
    return yield* Effect.provide(FileIo.FileIo, context)
  })

const storeOf = Effect.fnUntraced(function*(port: number) {
  const connectTimeout = Duration.toMillis(CONNECT_TIMEOUT)
  const redis = yield* Layer.build(NodeRedis.layer({ url: `redis://127.0.0.1:${port}`, socket: { connectTimeout } }))
  return yield* Effect.provide(RateLimitRedis.make(), redis)
})

/** Each service makes calls on several fibers, until something holds. */
const busyUntil = (services: ReadonlyArray<FileIo.Service>, fibers: number, holds: () => boolean) =>
  Effect.raceFirst(
    Effect.all(
      services.flatMap((service) => Array.from({ length: fibers }, () => Effect.forever(service.list()))),
      { concurrency: "unbounded", discard: true }
    ),
    Effect.repeat(Effect.delay(Effect.sync(holds), 20), { until: (is) => is })
  )

const redisKeys = (port: number): ReadonlyArray<string> =>
  spawnSync("redis-cli", ["-p", String(port), "keys", "*"], { encoding: "utf8" }).stdout.trim().split("\n")

// Each test has its own Redis, and mostly waits.
describe.skipIf(!hasRedis).concurrent("a limit that is shared through Redis", () => {
  it.live("four processes together keep it, learn it once each, and use it", () =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* freePort
      yield* startRedis(port)
      const host = yield* strictHost(20)
      const services = yield* Effect.all([0, 1, 2, 3].map(() => process_(host.baseUrl, port)))
      yield* busyUntil(services, 10, () => host.arrivals.length >= 60)
      assert.isAtMost(host.worst(), 20)
      assert.isAtMost(host.asked.filter((path) => path === "/me").length, 4)
    })))

  it.live("a long upload of one process does not hold a permit of the others until it ends", () =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* freePort
      yield* startRedis(port)
      let isListed = false
      // It takes the file to its end only once another request has come.
      const server = createServer((request, response) => {
        if (request.method === "POST") {
          let received = 0
          request.on("data", (chunk: Uint8Array) => {
            received += chunk.length
            if (received > 8_000_000 && !isListed) request.pause()
          })
          request.on(
            "end",
            () => response.end(JSON.stringify({ success: true, key: "abcdefABCDEF", link: "http://a/b" }))
          )
          released.push(() => request.resume())
          return
        }
        isListed = request.url !== "/me"
        if (isListed) { for (const release of released) release() }
        response.end(JSON.stringify({ success: true, status: 200, rateLimit: 1, nodes: [], count: 0, size: 0 }))
      })
      const released: Array<() => void> = []
      const baseUrl = `http://127.0.0.1:${yield* Effect.promise(() => listen(server))}`
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
      )
      const [one, other] = [yield* process_(baseUrl, port), yield* process_(baseUrl, port)]
      const file = FileBody.stream(
        () => Stream.fromIterable(Array.from({ length: 320 }, () => new Uint8Array(50_000))),
        {
          size: 16_000_000
        }
      )
      const upload = yield* Effect.forkChild(one.upload(file))
      yield* Effect.sleep("2500 millis")
      assert.isFalse(isListed)
      yield* Effect.timeout(other.list(), "9 seconds")
      yield* Fiber.join(upload)
    })))

  it.live("a permit is held from when it is acquired until a window after its request was counted", () =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* freePort
      yield* startRedis(port)
      const { acquire, pause, release } = yield* storeOf(port)
      const ask = (permit: string, quota?: RateLimitStore.Quota, isReduced = false) =>
        acquire({ account: "account", permit, quota, isReduced })
      const window = 3000
      // What the limiter adds to each window.
      const guard = 2
      const one = { limit: 1, window }
      const isFull = ({ _tag }: RateLimitStore.Acquired) => assert.strictEqual(_tag, "Full")
      const isAcquired = ({ _tag }: RateLimitStore.Acquired) => assert.strictEqual(_tag, "Acquired")
      isAcquired(yield* ask("a", one))
      isFull(yield* ask("b", one))
      // Never sent: free at once.
      yield* release("account", "a", undefined)
      isAcquired(yield* ask("c", one))
      yield* release("account", "c", 500)
      const released = performance.now()
      const full = yield* ask("d", one)
      if (full._tag !== "Full") return assert.fail(full._tag)
      assert.isTrue(Number.isInteger(full.wait))
      assert.isAtMost(full.wait, 500 + window + guard)
      // A timer may end a millisecond early: then it is full for one more.
      const acquired = yield* Effect.sleep(full.wait).pipe(
        Effect.andThen(ask("e", one)),
        Effect.repeat({ until: ({ _tag }) => _tag === "Acquired", times: 2 })
      )
      isAcquired(acquired)
      assert.isAtLeast(performance.now() - released, 500 + window)
      yield* pause("account", 60_000)
      const paused = yield* ask("f", one)
      if (paused._tag !== "Paused") return assert.fail(paused._tag)
      assert.isAtMost(paused.wait, 60_000)
      assert.isAtLeast(paused.wait, 30_000)
    })))

  it.live("a permit counts from when it was last renewed, and is there again if Redis has lost it", () =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* freePort
      yield* startRedis(port)
      const { acquire, release, renew } = yield* storeOf(port)
      const quota = { limit: 1, window: 3_600_000 }
      const ask = (permit: string) => acquire({ account: "account", permit, quota, isReduced: false })
      const cli = (...args: ReadonlyArray<string>) =>
        spawnSync("redis-cli", ["-p", String(port), ...args], { encoding: "utf8" }).stdout.trim()
      const countedAt = () => Number(cli("zscore", "fileio:{account}:permits", "a"))
      yield* ask("a")
      const acquired = countedAt()
      yield* Effect.sleep(20)
      yield* renew("account", "a")
      assert.isAtLeast(countedAt(), acquired + 20)
      yield* release("account", "a", 0)
      assert.isBelow(countedAt(), acquired)
      cli("flushall")
      yield* renew("account", "a")
      assert.isAtLeast(countedAt(), acquired)
      assert.strictEqual((yield* ask("b"))._tag, "Full")
    })))

  it.live("a process that does not know the limit yet has that of the others, and all keep to a quota that was reduced", () =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* freePort
      yield* startRedis(port)
      const { acquire } = yield* storeOf(port)
      let permits = 0
      const count = Effect.fnUntraced(function*(quota: RateLimitStore.Quota | undefined, isReduced = false) {
        const account = "account"
        let acquired = 0
        for (let n = 0; n < 12; n++) {
          const { _tag } = yield* acquire({ account, permit: `${++permits}`, quota, isReduced })
          if (_tag === "Acquired") acquired++
        }
        return acquired
      })
      assert.strictEqual(yield* count(undefined), 1)
      assert.strictEqual(yield* count({ limit: 10, window: 1000 }), 9)
      assert.strictEqual(yield* count({ limit: 12, window: 1000 }), 2)
      // Twelve are held: a process that is reduced to 5 has none, nor has another one until that is over.
      assert.strictEqual(yield* count({ limit: 5, window: 1000 }, true), 0)
      assert.strictEqual(yield* count({ limit: 20, window: 1000 }), 0)
      assert.strictEqual(yield* count(undefined), 0)
    })))

  it.live("keys in Redis are hashed, and go away by themselves", () =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* freePort
      yield* startRedis(port)
      const host = yield* strictHost(5)
      const service = yield* process_(host.baseUrl, port)
      yield* service.list()
      const keys = redisKeys(port)
      assert.isAbove(keys.length, 0)
      for (const key of keys) {
        assert.match(key, /^fileio:\{[0-9a-f]{64}\}:(?:permits|state)$/)
        const ttl = spawnSync("redis-cli", ["-p", String(port), "pttl", key], { encoding: "utf8" }).stdout
        assert.isAbove(Number(ttl), 0)
      }
    })))

  it.live("a refusal of one process makes all wait", () =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* freePort
      yield* startRedis(port)
      const host = yield* strictHost(50)
      const [one, two] = yield* Effect.all([process_(host.baseUrl, port), process_(host.baseUrl, port)])
      yield* one!.list()
      yield* two!.list()
      host.server.removeAllListeners("request")
      host.server.on("request", (_, response) => {
        host.arrivals.push(performance.now())
        response.writeHead(429, { "content-type": "application/json", "retry-after": "3600" })
        response.end(JSON.stringify({ success: false, status: 429 }))
      })
      yield* Effect.flip(one!.list())
      const isPaused = Effect.sync(() =>
        redisKeys(port).some((key) =>
          key.endsWith(":state") &&
          spawnSync("redis-cli", ["-p", String(port), "hexists", key, "pausedUntil"], { encoding: "utf8" }).stdout
              .trim() ===
            "1"
        )
      )
      yield* Effect.repeat(Effect.delay(isPaused, 10), { until: (paused) => paused })
      const before = host.arrivals.length
      const error = yield* Effect.flip(two!.list())
      assert.strictEqual(host.arrivals.length, before)
      if (error.reason._tag !== "RateLimited") return assert.fail(error.reason._tag)
      assert.isAbove(Duration.toMinutes(error.reason.retryAfter!), 59)
    })))

  it.live("when Redis goes away calls fail, and say so once; when it is back they work again", () =>
    Effect.scoped(Effect.gen(function*() {
      const lines: Array<string> = []
      const port = yield* freePort
      const redis = yield* startRedis(port)
      const host = yield* strictHost(50)
      const service = yield* process_(host.baseUrl, port)
      yield* service.list()
      redis.kill("SIGKILL")
      yield* Effect.promise(() => once(redis, "exit"))
      const count = host.arrivals.length
      yield* Effect.gen(function*() {
        for (let n = 0; n < 3; n++) {
          const error = yield* Effect.flip(FileIo.withRetry(service.list(), RetryPolicy.none))
          if (error.reason._tag !== "Unreachable") return assert.fail(error.reason._tag)
          assert.match(error.reason.message, /^the permit store of the rate limit does not respond; .*whenAway/)
        }
      }).pipe(Effect.provide(Logger.layer([
        Logger.make(({ message }) => {
          lines.push(String(message))
        })
      ])))
      assert.strictEqual(host.arrivals.length, count)
      assert.strictEqual(lines.filter((line) => line.includes("store of the rate limit")).length, 1)
      yield* startRedis(port)
      yield* service.list().pipe(
        Effect.retry(Schedule.spaced("200 millis")),
        Effect.timeout("1 minute")
      )
    })))

  it.live("without Redis a process uses its share, if configured", () =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* freePort
      const host = yield* strictHost(8)
      const service = yield* process_(host.baseUrl, port, { processes: 4 })
      yield* busyUntil([service], 5, () => host.arrivals.length >= 6)
      assert.isAtMost(host.worst(), 2)
    })))

  it.live("without Redis the layer fails, if calls are to fail", () =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* freePort
      const error = yield* Effect.flip(process_("http://127.0.0.1:9", port))
      assert.strictEqual((error as { readonly _tag?: string })._tag, "RedisError")
    })))
})
