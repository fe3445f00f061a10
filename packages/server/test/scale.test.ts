import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Redacted, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Net from "node:net"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Blobs } from "../src/Blobs.ts"
import * as DataFolder from "../src/DataFolder.ts"
import { RateCounter } from "../src/RateCounter.ts"
import * as RedisRateCounter from "../src/RedisRateCounter.ts"
import * as S3Blobs from "../src/S3Blobs.ts"
import { allChecks } from "./conformance/allChecks.ts"
import { hasPostgres, hasRedis, type Postgres, postgres, redis, s3, S3_CREDENTIALS, skipping } from "./engines.ts"
import {
  assertRefused,
  bytesOf,
  call,
  eventually,
  LARGE,
  openDownload,
  pattern,
  start,
  temporaryFolder,
  uploaded
} from "./support.ts"

const BIN = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

describe("blobs in an S3 store", () => {
  const open = Effect.gen(function*() {
    const store = yield* s3
    const client = {
      endpoint: store.endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: {
        accessKeyId: S3_CREDENTIALS.AWS_ACCESS_KEY_ID,
        secretAccessKey: S3_CREDENTIALS.AWS_SECRET_ACCESS_KEY
      }
    }
    const context = yield* Layer.build(
      S3Blobs.layer({ bucket: "files", prefix: "some/where/", client }).pipe(
        Layer.provide([NodeCrypto.layerSecureRandom, DataFolder.layerTemporary])
      )
    )
    const objects = () => {
      const folder = Path.join(store.folder, "files", "some", "where")
      return Fs.existsSync(folder) ? Fs.readdirSync(folder).filter((name) => name.endsWith("_object")).length : 0
    }
    return { blobs: yield* Blobs.pipe(Effect.provide(context)), objects }
  })

  it.live("are whole, of any size, from any position, until they are removed", () =>
    Effect.gen(function*() {
      const { blobs, objects } = yield* open
      for (const size of [1, 100_000, 40 * 1024 * 1024 + 3]) {
        const content = pattern(size)
        const id = yield* Effect.scoped(Effect.gen(function*() {
          const writer = yield* blobs.writer
          // Pieces of sizes other than the parts'.
          for (let at = 0; at < size; at += 1_000_003) yield* writer.write(content.subarray(at, at + 1_000_003))
          yield* writer.finish
          yield* writer.keep
          return writer.id
        }))
        yield* Effect.scoped(Effect.gen(function*() {
          const reader = yield* blobs.open(id)
          const whole = Buffer.alloc(size)
          const read = (buffer: Uint8Array, position: number) => Effect.promise(() => reader.read(buffer, position))
          for (let at = 0; at < size; at += 1024 * 1024) {
            yield* read(whole.subarray(at, at + 1024 * 1024), at)
          }
          assert.strictEqual(sha256(whole), sha256(content), `${size} bytes`)
          const piece = Buffer.alloc(10)
          const middle = Math.floor(size / 2)
          const got = yield* read(piece, middle)
          assert.isTrue(piece.subarray(0, got).equals(content.subarray(middle, middle + 10)))
        }))
        assert.strictEqual(objects(), 1)
        assert.deepStrictEqual(yield* blobs.remove([id]), { removed: [id], failure: undefined })
        assert.deepStrictEqual(yield* blobs.remove([id]), { removed: [id], failure: undefined })
        assert.strictEqual(objects(), 0)
        const missing = yield* Effect.flip(Effect.scoped(blobs.open(id)))
        assert.strictEqual(missing.code, "ENOENT")
      }
    }))

  it.live("that were not kept are gone, and a young one without a row is no orphan", () =>
    Effect.gen(function*() {
      const { blobs, objects } = yield* open
      yield* Effect.scoped(
        Effect.flatMap(blobs.writer, (writer) => Effect.andThen(writer.write(pattern(10)), writer.finish))
      )
      assert.strictEqual(objects(), 0)
      yield* Effect.scoped(Effect.flatMap(blobs.writer, (writer) => writer.write(pattern(20 * 1024 * 1024))))
      assert.strictEqual(objects(), 0)
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* blobs.writer
        yield* writer.write(pattern(10))
        yield* writer.finish
        const list = Effect.map(Stream.runCollect(blobs.list), (pages) => pages.flat())
        assert.deepStrictEqual(yield* list, [{ id: writer.id, settled: false }])
        const later = Date.now() + 25 * 60 * 60 * 1000
        const listed = yield* Effect.andThen(TestClock.setTime(later), list).pipe(
          Effect.provide(TestClock.layer())
        )
        assert.deepStrictEqual(listed, [{ id: writer.id, settled: true }])
      }))
    }))
})

describe("an engine", () => {
  it("is named by its address", () => {
    assert.deepStrictEqual(S3Blobs.fromUrl(new URL("s3://bucket")), {
      bucket: "bucket",
      prefix: "",
      client: { forcePathStyle: false }
    })
    assert.deepStrictEqual(
      S3Blobs.fromUrl(
        new URL("s3://bucket/a/b/?endpoint=https://minio.example:9000&region=eu-central-1&pathStyle=false")
      ),
      {
        bucket: "bucket",
        prefix: "a/b/",
        client: { endpoint: "https://minio.example:9000", region: "eu-central-1", forcePathStyle: false }
      }
    )
  })

  it.effect("that is unknown, or cannot be reached, is reported at the start without its password", () =>
    Effect.gen(function*() {
      const address = Redacted.make("mysql://user:secret@127.0.0.1/files")
      for (const part of ["catalog", "blobs", "rateCounter"] as const) {
        const error = yield* Effect.flip(start({ [part]: address }))
        assert.strictEqual(error._tag, "EngineError")
        assert.include(error.message, `${part}: not an address that begins with`)
        assert.notInclude(error.message, "secret")
      }
      const good = "postgresql://user:sec,ret@127.0.0.1:1/files"
      const second = yield* Effect.flip(start({ catalog: `${good}, mysql://user:secret@127.0.0.1/files` }))
      assert.strictEqual(second.message, "catalog: not an address that begins with postgresql://")
      const twice = yield* Effect.flip(start({ catalog: [good, good] }))
      assert.strictEqual(twice.message, "catalog: an address is in the list twice")
      const none = yield* Effect.flip(start({ catalog: [] }))
      assert.strictEqual(none.message, "catalog: not an address that begins with postgresql://")
      const away = yield* Effect.flip(start({ rateCounter: "redis://user:secret@127.0.0.1:1" }))
      assert.include(away.message, "Redis cannot be reached")
      const nowhere = yield* Effect.flip(start({ catalog: "postgresql://user:secret@127.0.0.1:1/files" }))
      assert.strictEqual(nowhere._tag, "CatalogError")
      assert.notInclude(nowhere.message, "secret")
    }))

  it.live("that is not chosen is not loaded", () =>
    Effect.gen(function*() {
      const module = (name: string) => JSON.stringify(new URL(`../src/${name}.ts`, import.meta.url).href)
      const script = `
        import { registerHooks } from "node:module"
        import { Effect, Layer } from "effect"
        const loaded = []
        registerHooks({ resolve: (name, context, next) => {
          const engine = /sql-pg|client-s3|^redis$/.exec(name)
          if (engine !== null) loaded.push(engine[0])
          return next(name, context)
        } })
        const { FileIoServer } = await import(${module("index")})
        await Effect.runPromise(Effect.scoped(Layer.build(FileIoServer.layerTemporary())))
        const before = [...loaded]
        for (const name of [${module("PgCatalog")}, ${module("S3Blobs")}, ${
        module("RedisRateCounter")
      }]) await import(name)
        console.log(JSON.stringify({ before, after: [...new Set(loaded)].toSorted() }))
      `
      const output = yield* Effect.promise(() =>
        new Promise<string>((resolve) => {
          const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
            cwd: fileURLToPath(new URL("..", import.meta.url))
          })
          let text = ""
          for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => text += String(chunk))
          child.once("close", () => resolve(text))
        })
      )
      assert.deepStrictEqual(JSON.parse(output), { before: [], after: ["client-s3", "redis", "sql-pg"] }, output)
    }))
})

skipping("rate counters in Redis")
describe.skipIf(!hasRedis)("rate counters in Redis", () => {
  it.live("count together, by Redis' clock, and alone while Redis is away", () =>
    Effect.gen(function*() {
      const { child, url } = yield* redis
      const open = Effect.flatMap(
        Layer.build(RedisRateCounter.layer({ url: Redacted.make(url) })),
        (context) => RateCounter.pipe(Effect.provide(context))
      )
      const [one, other] = [yield* open, yield* open]
      const began = performance.now()
      const taken = yield* Effect.all(
        Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? one : other).take("account anna", 5)),
        { concurrency: "unbounded" }
      )
      const seconds = (performance.now() - began) / 1000
      const allowed = taken.filter(({ allowed }) => allowed)
      // On a machine so busy that this takes seconds, later ones may rightly be counted again.
      assert.isAtLeast(allowed.length, 5)
      assert.isAtMost(allowed.length, 5 * (1 + Math.floor(seconds)))
      if (seconds < 1) {
        assert.deepStrictEqual(allowed.map(({ remaining }) => remaining).toSorted(), [0, 1, 2, 3, 4])
      }
      const refused = taken.find(({ allowed }) => !allowed)!
      assert.strictEqual(refused.remaining, 0)
      assert.isAbove(Duration.toMillis(refused.reset), 0)
      assert.isAtMost(Duration.toMillis(refused.reset), 1000)
      assert.isTrue((yield* one.take("account bert", 5)).allowed)
      yield* Effect.sleep("1010 millis")
      assert.isTrue((yield* other.take("account anna", 5)).allowed)

      child.kill("SIGKILL")
      yield* eventually("Redis is gone", () => child.signalCode !== null)
      // A busy machine may take longer than a second for them, and then others are allowed: so there are more than enough.
      const alone = yield* Effect.forEach(Array.from({ length: 1000 }), () => one.take("account carl", 2))
      assert.deepStrictEqual(alone.slice(0, 2).map(({ allowed }) => allowed), [true, true])
      assert.isTrue(alone.some(({ allowed }) => !allowed))
    }))
})

const engines = Scope.makeUnsafe()
let database: Postgres
let shared: { readonly redis: string; readonly s3: string }
let both: readonly [Process, Process]
let front: string

interface Process {
  readonly url: string
  readonly child: ChildProcess
}

const KEY = "ANNA000.0000000-0000000-0000000-0000001"

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) =>
    child.exitCode !== null || child.signalCode !== null ? resolve() : child.once("exit", () => resolve())
  )

/** The program, with three lines for its shared engines. */
const startProcess = (catalog: Redacted.Redacted, publicUrl: string) =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [BIN], {
          env: {
            ...process.env,
            ...S3_CREDENTIALS,
            FILEIO_SERVER_CATALOG: Redacted.value(catalog),
            FILEIO_SERVER_BLOBS: `s3://files?endpoint=${shared.s3}`,
            FILEIO_SERVER_RATE_COUNTER: shared.redis,
            FILEIO_SERVER_PORT: "0",
            FILEIO_SERVER_DATA: folder,
            FILEIO_SERVER_GRACE: "2 seconds",
            FILEIO_SERVER_ANONYMOUS_PLAN: "premium",
            FILEIO_SERVER_ANONYMOUS_RATE: "none",
            // All clients here have the same address.
            FILEIO_SERVER_MAX_CONNECTIONS_PER_ADDRESS: "none",
            FILEIO_SERVER_API_KEY: KEY,
            FILEIO_SERVER_PUBLIC_URL: publicUrl
          },
          stdio: ["ignore", "pipe", "pipe"]
        })
      ),
      (child) =>
        Effect.promise(() => {
          child.kill("SIGKILL")
          return ended(child)
        })
    )
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => output += String(chunk))
    yield* eventually("it says where it listens", () => {
      if (child.exitCode !== null) assert.fail(output)
      return output.includes("file.io on")
    })
    return { url: /http:\/\/127\.0\.0\.1:\d+/.exec(output)![0], child } satisfies Process
  })

/** A balancer of connections: each goes to the next server. */
const balancer = Effect.gen(function*() {
  const ports: Array<number> = []
  let next = 0
  const open = new Set<Net.Socket>()
  const server = Net.createServer((socket) => {
    const other = Net.connect(ports[next++ % ports.length]!, "127.0.0.1")
    for (const [from, to] of [[socket, other], [other, socket]] as const) {
      open.add(from)
      from.on("error", () => to.destroy())
      from.on("close", () => {
        open.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
    () =>
      Effect.promise(() =>
        new Promise<void>((resolve) => {
          server.close(() => resolve())
          for (const socket of open) socket.destroy()
        })
      )
  )
  return { url: `http://127.0.0.1:${(server.address() as Net.AddressInfo).port}`, ports }
})

/** In place of the status of a response that broke. */
const BROKEN = 0

const simultaneously = (servers: ReadonlyArray<Process>, key: string, count: number) =>
  Effect.promise(async () => {
    const agent = new Http.Agent({ maxSockets: count })
    const ask = (index: number) =>
      new Promise<number>((resolve, reject) => {
        const request = Http.get(`${servers[index % servers.length]!.url}/${key}`, { agent }, (response) => {
          response.on("error", () => resolve(BROKEN))
          response.on("end", () => resolve(response.statusCode!))
          response.resume()
        })
        request.on("error", reject)
      })
    // A busy server may refuse a request for now, or give up a transfer, which gives the file back: it is asked again.
    const one = async (index: number) => {
      for (let left = 50;; left--) {
        const status = await ask(index)
        if ((status !== 503 && status !== BROKEN) || left === 0) return status
        await sleep(200)
      }
    }
    const counts: Record<number, number> = {}
    for (const status of await Promise.all(Array.from({ length: count }, (_, index) => one(index)))) {
      counts[status] = (counts[status] ?? 0) + 1
    }
    agent.destroy()
    return counts
  })

skipping("two servers over one PostgreSQL, one Redis and one store")
describe.skipIf(!hasPostgres || !hasRedis)("two servers over one PostgreSQL, one Redis and one store", () => {
  beforeAll(async () => {
    await Effect.runPromise(Scope.provide(
      Effect.gen(function*() {
        database = yield* postgres()
        shared = { redis: (yield* redis).url, s3: (yield* s3).endpoint }
        const catalog = yield* database.database
        const { ports, url } = yield* balancer
        front = url
        both = yield* Effect.all([startProcess(catalog, url), startProcess(catalog, url)], { concurrency: 2 })
        ports.push(...both.map(({ url }) => Number(new URL(url).port)))
      }),
      engines
    ))
  })
  afterAll(() => Effect.runPromise(Scope.close(engines, Exit.void)))

  it.live(
    "give a one-time file to one of 1,000 simultaneous requests, whichever server they ask",
    () =>
      Effect.gen(function*() {
        for (
          const [content, most, requests] of [
            [Buffer.from("small"), 1, 1000],
            [pattern(3 * 1024 * 1024), 1, 1000],
            [Buffer.from("seven"), 7, 100]
          ] as const
        ) {
          const { key } = yield* uploaded(both[0].url, content, { fields: { maxDownloads: String(most) } })
          const counts = yield* simultaneously(both, key, requests)
          assert.strictEqual(counts[200], most, JSON.stringify(counts))
          assert.strictEqual((counts[404] ?? 0) + (counts[423] ?? 0), requests - most, JSON.stringify(counts))
          for (const { url } of both) assertRefused(yield* call(`${url}/${key}`), 404, "FILE_NOT_FOUND")
        }
        // A file uploaded to one server is given, changed and deleted by the other.
        const headers = { authorization: `Bearer ${KEY}` }
        const content = pattern(LARGE)
        const { key } = yield* uploaded(both[0].url, content, { headers, fields: { maxDownloads: "3" } })
        assert.isTrue((yield* bytesOf(`${both[1].url}/${key}`)).body.equals(content))
        const changed = yield* call(`${both[1].url}/${key}`, {
          method: "PATCH",
          headers,
          body: new URLSearchParams({ expires: "1h" })
        })
        assert.strictEqual(changed.json["downloads"], 1)
        assert.strictEqual((yield* call(both[0].url, { headers })).json.nodes[0]!["expires"], changed.json["expires"])
        assert.strictEqual((yield* call(`${both[0].url}/me`, { headers })).json["usedStorageBytes"], LARGE)
        assert.strictEqual((yield* call(`${both[0].url}/${key}`, { method: "DELETE", headers })).status, 200)
        assertRefused(yield* call(`${both[1].url}/${key}`), 404, "FILE_NOT_FOUND")
      })
  )

  it.live("keep the contract, row by row, as each request goes to the next of them", () =>
    Effect.gen(function*() {
      const failures = yield* Effect.forEach(allChecks, ({ about, run, says }) =>
        Effect.promise(() =>
          run({ url: front, key: KEY }).then(() =>
            undefined, (cause: unknown) => `${about}: ${says}: ${String(cause)}`)
        ), { concurrency: 2 })
      assert.deepStrictEqual(
        failures.filter((failure) =>
          failure !== undefined
        ),
        []
      )
      assert.isAbove(failures.length, 20)
    }))

  it.live("keep to one rate of an account together", () =>
    Effect.gen(function*() {
      const headers = { authorization: `Bearer ${KEY}` }
      // Earlier requests do not count any more.
      yield* Effect.sleep("1010 millis")
      const began = performance.now()
      const answers = yield* Effect.all(
        Array.from({ length: 300 }, (_, index) => call(`${both[index % 2]!.url}/me`, { headers })),
        { concurrency: "unbounded" }
      )
      const seconds = (performance.now() - began) / 1000
      const taken = answers.filter(({ status }) => status === 200).length
      assert.isAtLeast(taken, 100)
      assert.isAtMost(taken, 100 * (1 + Math.floor(seconds)))
      const refused = answers.find(({ status }) => status === 429)
      if (refused !== undefined) assertRefused(refused, 429, "TOO_MANY_REQUESTS")
    }))

  // The last, since it ends one of them.
  it.live("get the leases of one that is killed, and its receiver resumes at the other", () =>
    Effect.gen(function*() {
      const [dying, other] = both
      const content = pattern(LARGE)
      const free = yield* uploaded(dying.url, content)
      const resumed = yield* uploaded(other.url, content)
      const [abandoned, kept] = [
        yield* openDownload(`${dying.url}/${free.key}`),
        yield* openDownload(`${dying.url}/${resumed.key}`)
      ]
      assertRefused(yield* call(`${other.url}/${free.key}`), 423, "DOWNLOAD_IN_PROGRESS")
      dying.child.kill("SIGKILL")
      yield* Effect.promise(() => ended(dying.child))
      abandoned.response.destroy()
      kept.response.destroy()

      const rest = yield* bytesOf(`${other.url}/${resumed.key}`, {
        range: "bytes=1000-",
        "if-range": String(kept.headers.etag)
      })
      assert.strictEqual(rest.status, 206)
      assert.isTrue(rest.body.equals(content.subarray(1000)))
      assertRefused(yield* call(`${other.url}/${resumed.key}`), 404, "FILE_NOT_FOUND")

      const refused = yield* call(`${other.url}/${free.key}`)
      assertRefused(refused, 423, "DOWNLOAD_IN_PROGRESS")
      assert.isAtMost(Number(refused.headers.get("retry-after")), 5)
      yield* eventually("the download is given back", async () =>
        (await fetch(`${other.url}/${free.key}`, { method: "HEAD" })).ok)
      assert.isTrue((yield* bytesOf(`${other.url}/${free.key}`)).body.equals(content))
      assertRefused(yield* call(`${other.url}/${free.key}`), 404, "FILE_NOT_FOUND")
    }))
})
