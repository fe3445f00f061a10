/** Silent engines: every call gets a response in bounded time, and everything works when they are back. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted, Scope } from "effect"
import { existsSync, readdirSync, readlinkSync, rmSync } from "node:fs"
import { join } from "node:path"
import { hasPostgres, hasRedis, type Postgres, postgres, redis, s3, S3_CREDENTIALS, skipping } from "./engines.ts"
import { type Proxy, proxy } from "./lab/proxy.ts"
import {
  anna,
  assertRefused,
  bytesOf,
  call,
  eventually,
  openDownload,
  pattern,
  startStoppable,
  upload,
  uploaded
} from "./support.ts"

Object.assign(process.env, S3_CREDENTIALS)

const portOf = (url: string) => Number(new URL(url).port)
const through = (url: string, { port }: Proxy): string => url.replace(/(127\.0\.0\.1):\d+/, `$1:${port}`)

const engines = Scope.makeUnsafe()
let postgresql: Postgres
beforeAll(async () => {
  if (hasPostgres) postgresql = await Effect.runPromise(Scope.provide(postgres(), engines))
})
afterAll(() => Effect.runPromise(Scope.close(engines, Exit.void)))

/** Much longer than the server's time limits of these tests. */
const LIMIT = "1 minute"
const bounded = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.timeout(effect, LIMIT)

/** Files of a folder that this process has open, where the system lists them (Linux). */
const openFiles = (folder: string): Array<string> => {
  const descriptors = "/proc/self/fd"
  if (!existsSync(descriptors)) return []
  return readdirSync(descriptors).flatMap((name) => {
    try {
      const path = readlinkSync(join(descriptors, name))
      return path.startsWith(folder) ? [path] : []
    } catch {
      // Closed meanwhile.
      return []
    }
  })
}

const assertUnavailable = (answer: Parameters<typeof assertRefused>[0]) => {
  assertRefused(answer, 503, "UNAVAILABLE")
  assert.isAbove(Number(answer.headers.get("retry-after")), 0)
  assert.strictEqual(answer.json["retryAfter"], Number(answer.headers.get("retry-after")))
}

const health = (adminUrl: string) => call(`${adminUrl}/healthz`)

skipping("PostgreSQL that is silent")
describe.skipIf(!hasPostgres).concurrent("PostgreSQL that is silent", () => {
  const overPostgres = Effect.gen(function*() {
    const url = Redacted.value(yield* postgresql.database)
    const line = yield* proxy(portOf(url))
    const server = yield* startStoppable({
      catalog: through(url, line),
      engineTimeout: "3 seconds",
      admin: { port: 0 }
    })
    return { ...server, line }
  })

  it.live(
    "blocks no call: a 503 with Retry-After, and everything works when it responds again",
    () =>
      Effect.gen(function*() {
        const { adminUrl, line, url } = yield* overPostgres
        const { key } = yield* uploaded(url, "content", { headers: anna })
        line.setMode("silent")
        const [me, list, get, page, patch, report] = yield* bounded(Effect.all([
          call(`${url}/me`, { headers: anna }),
          call(`${url}/?search=x`, { headers: anna }),
          call(`${url}/${key}`),
          call(`${url}/download/${key}`),
          call(`${url}/${key}`, { method: "PATCH", headers: anna, body: new URLSearchParams({ expires: "1h" }) }),
          health(adminUrl!)
        ], { concurrency: "unbounded" }))
        for (const answer of [me, list, get, page, patch]) assertUnavailable(answer)
        assert.strictEqual(report.status, 503)
        assert.deepInclude(report.json["catalog"], { ok: false })
        assert.deepInclude(report.json["blobs"], { ok: true })
        line.setMode("pass")
        yield* eventually("it works again", async () => await (await fetch(`${url}/${key}`)).text() === "content")
      })
  )

  it.live("only on current connections, is bypassed at once by new connections", () =>
    Effect.gen(function*() {
      const { line, url } = yield* overPostgres
      const { key } = yield* uploaded(url, "content", { headers: anna })
      // The most connections of the pools.
      yield* Effect.all(Array.from({ length: 100 }, () => call(`${url}/${key}`, { method: "HEAD" })), {
        concurrency: "unbounded"
      })
      line.silenceOpen()
      assertUnavailable(yield* bounded(call(`${url}/me`, { headers: anna })))
      // One call noticed it for all of them: those that wait for the disk, those that do not, and those of lists.
      for (let i = 0; i < 20; i++) {
        assert.strictEqual((yield* bounded(call(`${url}/me`, { headers: anna }))).status, 200)
      }
      assert.strictEqual((yield* bounded(call(`${url}/?limit=1`, { headers: anna }))).status, 200)
      yield* bounded(uploaded(url, "more", { headers: anna }))
      assert.strictEqual((yield* bounded(call(`${url}/${key}`))).text, "content")
    }))

  it.live("does not keep the server from stopping", () =>
    Effect.gen(function*() {
      const { line, scope, url } = yield* overPostgres
      const { key } = yield* uploaded(url, "content", { headers: anna })
      line.setMode("silent")
      yield* Effect.forkChild(Effect.all([
        Effect.ignoreCause(Effect.tryPromise(() => fetch(`${url}/me`, { headers: anna }))),
        Effect.ignoreCause(Effect.tryPromise(() => fetch(`${url}/${key}`)))
      ], { concurrency: 2 }))
      yield* Effect.sleep("300 millis")
      yield* bounded(Scope.close(scope, Exit.void))
    }))
})

describe.concurrent("a store that is silent", () => {
  const overS3 = Effect.gen(function*() {
    const store = yield* s3
    const line = yield* proxy(portOf(store.endpoint))
    const server = yield* startStoppable({
      blobs: `s3://files?endpoint=http://127.0.0.1:${line.port}`,
      engineTimeout: "3 seconds",
      grace: "1 hour",
      admin: { port: 0 }
    })
    return { ...server, line, store }
  })

  it.live(
    "blocks no call: a 503 with Retry-After, and everything works when it responds again",
    () =>
      Effect.gen(function*() {
        const { adminUrl, line, url } = yield* overS3
        const { key } = yield* uploaded(url, pattern(5 * 1024 * 1024))
        line.setMode("silent")
        const [get, put, large, me, report] = yield* bounded(Effect.all([
          call(`${url}/${key}`),
          upload(url, "other"),
          upload(url, pattern(20 * 1024 * 1024)),
          call(`${url}/me`, { headers: anna }),
          health(adminUrl!)
        ], { concurrency: "unbounded" }))
        for (const answer of [get, put, large]) assertUnavailable(answer)
        assert.strictEqual(me.status, 200)
        assert.strictEqual(report.status, 503)
        assert.deepInclude(report.json["catalog"], { ok: true })
        assert.deepInclude(report.json["blobs"], { ok: false })
        line.setMode("pass")
        // The grace time is an hour; a download that gave nothing does not have it.
        yield* eventually("the file is free", async () => {
          const response = await fetch(`${url}/${key}`)
          return (await response.arrayBuffer()).byteLength === 5 * 1024 * 1024
        })
        assertRefused(yield* call(`${url}/${key}`), 404, "FILE_NOT_FOUND")
        assert.strictEqual((yield* upload(url, "other")).status, 200)
      })
  )

  for (const range of [undefined, "bytes=1000000-"]) {
    it.live(
      `after it said that the object is there, before its first byte: a 503, and the ${
        range === undefined ? "file is free" : "rest can be resumed"
      } at once`,
      () =>
        Effect.gen(function*() {
          const { line, url } = yield* overS3
          const content = pattern(5 * 1024 * 1024)
          const { key } = yield* uploaded(url, content)
          let headers: Record<string, string> = {}
          if (range !== undefined) {
            const first = yield* openDownload(`${url}/${key}`)
            headers = { range, "if-range": String(first.headers.etag) }
            first.response.destroy()
          }
          const silence = line.meet("silence", "GET /files/", "range")
          const [answer] = yield* bounded(
            Effect.all([call(`${url}/${key}`, { headers }), Effect.promise(() => silence)], { concurrency: 2 })
          )
          assertUnavailable(answer)
          line.setMode("pass")
          const again = yield* bytesOf(`${url}/${key}`, headers)
          assert.strictEqual(again.status, range === undefined ? 200 : 206)
          assert.isTrue(again.body.equals(content.subarray(range === undefined ? 0 : 1_000_000)))
          // One attempt: not one byte of the other was sent.
          assertRefused(yield* call(`${url}/${key}`), 404, "FILE_NOT_FOUND")
        })
    )
  }

  it.live("while the file is replaced and its bytes are removed: a 503, and no internal error", () =>
    Effect.gen(function*() {
      const { line, store, url } = yield* overS3
      const path = `${url}/${(yield* uploaded(url, pattern(5 * 1024 * 1024), { headers: anna })).key}`
      const bucket = join(store.folder, "files")
      const objects = readdirSync(bucket)
      const met = line.meet("swallow", "GET /files/", "range")
      const download = yield* Effect.forkChild(call(path))
      yield* bounded(Effect.promise(() => met))
      assert.strictEqual((yield* upload(path, "other", { method: "PUT", path: "", headers: anna })).status, 200)
      // As if its claim had been lost with the database: a sweep spares the bytes of one.
      for (const object of objects) rmSync(join(bucket, object), { recursive: true })
      assertUnavailable(yield* bounded(Fiber.join(download)))
      assert.strictEqual((yield* bytesOf(path)).body.toString(), "other")
    }))

  it.live("on the connections of now only: a download goes on over another one", () =>
    Effect.gen(function*() {
      const { line, url } = yield* overS3
      const content = pattern(24 * 1024 * 1024)
      const { key } = yield* uploaded(url, content)
      const { response } = yield* openDownload(`${url}/${key}`)
      const chunks: Array<Buffer> = []
      const ended = new Promise<void>((resolve) => response.once("close", () => resolve()))
      let before = Infinity
      response.on("data", (chunk: Buffer) => {
        if (chunks.length === 0) {
          line.silenceOpen()
          before = line.accepted()
        }
        chunks.push(chunk)
      })
      yield* bounded(Effect.promise(() => ended))
      assert.isAbove(line.accepted(), before)
      assert.isTrue(response.complete)
      assert.isTrue(Buffer.concat(chunks).equals(content))
      assertRefused(yield* call(`${url}/${key}`), 404, "FILE_NOT_FOUND")
    }))

  it.live("does not keep the server from stopping", () =>
    Effect.gen(function*() {
      const { folder, line, scope, url } = yield* overS3
      const { key } = yield* uploaded(url, "content")
      line.setMode("silent")
      yield* Effect.forkChild(Effect.all([
        Effect.ignoreCause(Effect.tryPromise(() => fetch(`${url}/${key}`))),
        Effect.ignoreCause(upload(url, pattern(20 * 1024 * 1024)))
      ], { concurrency: 2 }))
      yield* Effect.sleep("300 millis")
      yield* bounded(Scope.close(scope, Exit.void))
      // A part of the upload was in a file, which is unlinked while it is open.
      assert.deepStrictEqual(openFiles(folder), [])
    }))
})

skipping("Redis that is silent")
describe.skipIf(!hasRedis)("Redis that is silent", () => {
  it.live("delays one call by its time limit, and is used again when it responds again", () =>
    Effect.gen(function*() {
      const store = yield* redis
      const line = yield* proxy(portOf(store.url))
      const { adminUrl, scope, url } = yield* startStoppable({
        rateCounter: `redis://127.0.0.1:${line.port}`,
        plans: { premium: { rateLimit: 1_000_000 }, free: { rateLimit: null } },
        admin: { port: 0 }
      })
      const report = Effect.map(bounded(health(adminUrl!)), ({ json, status }) => [
        status,
        json["status"],
        json["rateCounter"]
      ])
      assert.deepStrictEqual(yield* report, [200, "ok", { ok: true }])
      const me = bounded(call(`${url}/me`, { headers: anna }))
      assert.strictEqual((yield* me).status, 200)
      line.setMode("silent")
      const before = line.accepted()
      for (let i = 0; i < 100; i++) assert.strictEqual((yield* me).status, 200)
      // The server still works, so a balancer keeps it.
      assert.deepStrictEqual(yield* report, [200, "degraded", { ok: false }])
      line.setMode("pass")
      yield* eventually("a new connection is made", () => line.accepted() > before)
      yield* eventually("the silent ones are closed", () => line.open() === 1)
      assert.strictEqual((yield* me).status, 200)
      yield* eventually("it is well", async () => (await Effect.runPromise(report))[1] === "ok")
      line.setMode("silent")
      yield* bounded(Scope.close(scope, Exit.void))
    }))
})

describe.skipIf(!hasPostgres || !hasRedis)("all engines that are silent", () => {
  it.live("do not keep the server from answering, nor from stopping", () =>
    Effect.gen(function*() {
      const urls = [Redacted.value(yield* postgresql.database), (yield* s3).endpoint, (yield* redis).url] as const
      const lines = yield* Effect.all(urls.map((url) => proxy(portOf(url))))
      const { adminUrl, scope, url } = yield* startStoppable({
        catalog: through(urls[0], lines[0]!),
        blobs: `s3://files?endpoint=${through(urls[1], lines[1]!)}`,
        rateCounter: through(urls[2], lines[2]!),
        engineTimeout: "3 seconds",
        admin: { port: 0 }
      })
      const content = pattern(20 * 1024 * 1024)
      const { key } = yield* uploaded(url, content, { headers: anna })
      // A download and an upload are under way.
      const { response } = yield* openDownload(`${url}/${key}`)
      response.pause()
      const seen = lines[1]!.requests()
      const asking = Effect.runPromise(Effect.exit(upload(url, content, { headers: anna })))
      yield* eventually("the upload reaches the store", () => lines[1]!.requests() > seen)
      for (const line of lines) line.setMode("silent")
      const [me, report] = yield* bounded(
        Effect.all([call(`${url}/me`, { headers: anna }), health(adminUrl!)], { concurrency: 2 })
      )
      assertUnavailable(me)
      assert.deepStrictEqual([report.status, report.json["status"]], [503, "failing"])
      for (const part of ["catalog", "blobs", "rateCounter"]) assert.deepInclude(report.json[part], { ok: false })
      yield* bounded(Scope.close(scope, Exit.void))
      response.destroy()
      yield* Effect.promise(() => asking)
    }))
})
