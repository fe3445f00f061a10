/** Sweeping and storing with the engines of several servers: in bounded steps, and without orphans. */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { Blobs } from "../src/Blobs.ts"
import { Catalog } from "../src/Catalog.ts"
import * as DataFolder from "../src/DataFolder.ts"
import * as FolderBlobs from "../src/FolderBlobs.ts"
import * as PgCatalog from "../src/PgCatalog.ts"
import * as SqliteCatalog from "../src/SqliteCatalog.ts"
import * as Sweeper from "../src/Sweeper.ts"
import { hasPostgres, type Postgres, postgres, psql, s3, S3_CREDENTIALS, skipping } from "./engines.ts"
import { proxy } from "./lab/proxy.ts"
import { blobsAt, storeBlob } from "./s3Blobs.ts"
import {
  anna,
  assertRefused,
  blobs,
  call,
  eventually,
  pattern,
  start,
  startStoppable,
  upload,
  uploaded
} from "./support.ts"

Object.assign(process.env, S3_CREDENTIALS)

const engines = Scope.makeUnsafe()
let postgresql: Postgres
beforeAll(async () => {
  if (hasPostgres) postgresql = await Effect.runPromise(Scope.provide(postgres(), engines))
})
afterAll(() => Effect.runPromise(Scope.close(engines, Exit.void)))

const DAY = 24 * 60 * 60 * 1000

/** Number of blobs in the folder of the stand-in for S3. */
const objects = (folder: string): number =>
  Fs.readdirSync(Path.join(folder, "files")).filter((name) => /^[0-9a-f]{32}\._S3rver_object$/.test(name)).length

skipping("sweeping in PostgreSQL")
describe.skipIf(!hasPostgres)("sweeping in PostgreSQL", () => {
  const open = (url: Redacted.Redacted) =>
    Effect.flatMap(
      Layer.build(PgCatalog.layer({ url, grace: 1000 }).pipe(Layer.provide(NodeCrypto.layerSecureRandom))),
      (context) => Catalog.pipe(Effect.provide(context))
    )

  it.live(
    "removes files that expired at once in batches, by several servers, each file once",
    () =>
      Effect.gen(function*() {
        const url = yield* postgresql.database
        const servers = [yield* open(url), yield* open(url), yield* open(url)]
        psql(
          url,
          `INSERT INTO files (key, id, blob, owner, plan, name, folded_name, mime_type, size, expires, downloads, max_downloads,
           auto_delete, created, modified)
         SELECT 'key' || i, i, 'blob' || i, 'anna', 'premium', 'n', 'n', 'text/plain', 10, 1, 0, 1, TRUE, 1, 1
         FROM generate_series(1, 5000) AS i`
        )
        assert.strictEqual(yield* servers[0]!.usedBytes("anna"), 50_000)
        yield* Effect.all(servers.map(({ bury }) => bury), { concurrency: "unbounded" })
        // One may leave rows to another that is removing them.
        yield* servers[0]!.bury
        assert.strictEqual(yield* servers[0]!.usedBytes("anna"), 0)
        assert.strictEqual(psql(url, "SELECT count(*) FROM files"), "0")
        assert.strictEqual(psql(url, "SELECT count(*) FROM tombstones"), "5000")
        assert.strictEqual(psql(url, "SELECT count(*) FROM garbage"), "5000")
      })
  )

  it.live("between the bytes of an upload and its row makes the server refuse it, and acknowledge nothing", () =>
    Effect.gen(function*() {
      const url = yield* postgresql.database
      const server = yield* start({ catalog: Redacted.value(url) })
      const before = yield* uploaded(server.url, "before", { headers: anna })
      // The sweep removes what was expected an hour ago.
      psql(
        url,
        `CREATE FUNCTION sweep() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER sweep BEFORE INSERT ON garbage FOR EACH ROW EXECUTE FUNCTION sweep()`
      )
      assertRefused(yield* upload(server.url, "late", { headers: anna }), 503, "UNAVAILABLE")
      const put = { method: "PUT", path: `/${before.key}`, headers: anna }
      assertRefused(yield* upload(server.url, "late", put), 503, "UNAVAILABLE")
      assert.strictEqual(blobs(server).length, 1)
      assert.strictEqual(psql(url, "SELECT count(*) FROM files"), "1")
      psql(url, "DROP TRIGGER sweep ON garbage")
      assert.strictEqual((yield* upload(server.url, "new", put)).status, 200)
      assert.strictEqual((yield* call(`${server.url}/${before.key}`)).text, "new")
    }))

  it.live("finds the object of an upload whose server died together with PostgreSQL", () =>
    Effect.gen(function*() {
      const url = yield* postgresql.database
      const store = yield* s3
      const line = yield* proxy(Number(new URL(store.endpoint).port))
      const server = yield* startStoppable({
        catalog: Redacted.value(url),
        blobs: `s3://files?endpoint=http://127.0.0.1:${line.port}`,
        sweepInterval: "1 hour"
      })
      const stored = line.meet("lose", "PUT /files/")
      yield* Effect.forkScoped(Effect.ignore(upload(server.url, "content", { headers: anna })))
      yield* Effect.promise(() => stored)
      line.setMode("refuse")
      yield* postgresql.crash
      yield* Scope.close(server.scope, Exit.void)
      assert.strictEqual(objects(store.folder), 1)
      assert.strictEqual(psql(url, "SELECT count(*) FROM files"), "0")
      // An hour later. Otherwise only the search for orphans finds it: a day later, and only if there are few.
      assert.strictEqual(psql(url, "UPDATE garbage SET after = 0"), "UPDATE 1")
      line.setMode("pass")
      yield* start({ catalog: Redacted.value(url), blobs: `s3://files?endpoint=${store.endpoint}` })
      yield* eventually("the object is removed", () => objects(store.folder) === 0)
    }))

  it.live("after a claim, of a file that another server has deleted, makes the download a 404", () =>
    Effect.gen(function*() {
      const store = yield* s3
      const line = yield* proxy(Number(new URL(store.endpoint).port))
      const options = { catalog: Redacted.value(yield* postgresql.database), engineTimeout: "10 minutes" } as const
      const first = yield* start({ ...options, blobs: `s3://files?endpoint=http://127.0.0.1:${line.port}` })
      const other = yield* start({
        ...options,
        blobs: `s3://files?endpoint=${store.endpoint}`,
        sweepInterval: "100 millis"
      })
      const { key } = yield* uploaded(first.url, "content", { headers: anna })
      const opened = line.meet("hold", "HEAD /files/")
      const download = yield* Effect.forkScoped(call(`${first.url}/${key}`))
      yield* Effect.promise(() => opened)
      assert.strictEqual((yield* call(`${other.url}/${key}`, { method: "DELETE", headers: anna })).status, 200)
      yield* eventually("its object is removed", () => objects(store.folder) === 0)
      line.setMode("pass")
      assertRefused(yield* Fiber.join(download), 404, "FILE_NOT_FOUND")
    }))

  it.live("lets uploads of the account in meanwhile", () =>
    Effect.gen(function*() {
      const url = yield* postgresql.database
      const catalog = yield* open(url)
      psql(
        url,
        `INSERT INTO files (key, id, blob, owner, plan, name, folded_name, mime_type, size, expires, downloads, max_downloads,
           auto_delete, created, modified)
         SELECT 'key' || i, i, 'blob' || i, 'anna', 'premium', 'n', 'n', 'text/plain', 10, 1, 0, 1, TRUE, 1, 1
         FROM generate_series(1, 20000) AS i`
      )
      let buried = false
      let during = 0
      const insert = (blob: string) =>
        catalog.insert({
          blob,
          owner: "anna",
          plan: "premium",
          name: "n",
          title: null,
          mimeType: "text/plain",
          size: 1,
          expires: null,
          maxDownloads: 1,
          autoDelete: true,
          created: Date.now()
        })
      yield* Effect.all([
        Effect.tap(catalog.bury, () =>
          Effect.sync(() => {
            buried = true
          })),
        Effect.gen(function*() {
          while (!buried) {
            yield* insert(`new${during}`)
            if (!buried) during++
          }
        })
      ], { concurrency: 2 })
      // One statement for all of them would let no upload in before its end.
      assert.isAtLeast(during, 10)
    }))

  it.live("removes old tombstones", () =>
    Effect.gen(function*() {
      const url = yield* postgresql.database
      const catalog = yield* open(url)
      const now = Date.now()
      psql(url, `INSERT INTO tombstones (key, buried) VALUES ('old', ${now - 91 * DAY}), ('young', ${now - 89 * DAY})`)
      yield* catalog.bury
      assert.strictEqual(psql(url, "SELECT key FROM tombstones"), "young")
    }))

  it.live("reserves the storage of a large upload in large steps", () =>
    Effect.gen(function*() {
      const url = new URL(Redacted.value(yield* postgresql.database))
      const line = yield* proxy(Number(url.port))
      url.port = String(line.port)
      const server = yield* start({ catalog: url.href, sweepInterval: "1 hour" })
      const before = line.requests()
      assert.strictEqual((yield* upload(server.url, pattern(64 * 1024 * 1024), { headers: anna })).status, 200)
      // 8 MiB at a time; more than a thousand if it were for each piece.
      assert.isAtMost(line.requests() - before, 100)
    }))
})

describe("a sweep", () => {
  it.live("removes bytes while rows are still being removed", () =>
    Effect.gen(function*() {
      const removed = yield* Deferred.make<void>()
      const data = DataFolder.layerTemporary
      const catalog = Layer.effect(
        Catalog,
        Effect.map(Catalog, (catalog) => ({ ...catalog, bury: Effect.andThen(catalog.bury, Deferred.await(removed)) }))
      ).pipe(Layer.provide(SqliteCatalog.layer({ grace: 1000 })))
      const blobs = Layer.effect(
        Blobs,
        Effect.map(Blobs, (blobs) => ({
          ...blobs,
          remove: (ids: ReadonlyArray<string>) =>
            Effect.tap(
              blobs.remove(ids),
              () => ids.includes("gone") ? Deferred.succeed(removed, undefined) : Effect.void
            )
        }))
      ).pipe(Layer.provide(FolderBlobs.layer))
      const context = yield* Layer.build(
        Sweeper.layer({ interval: "1 hour" }).pipe(
          Layer.provideMerge([catalog, blobs]),
          Layer.provide([data, NodeCrypto.layerSecureRandom])
        )
      )
      const run = Effect.gen(function*() {
        const catalog = yield* Catalog
        const { sweep } = yield* Sweeper.Sweeper
        const expired = {
          owner: "",
          plan: "premium",
          name: "n",
          title: null,
          mimeType: "text/plain",
          size: 1,
          expires: 1
        }
        yield* catalog.insert({ ...expired, blob: "gone", maxDownloads: 1, autoDelete: true, created: 0 })
        yield* sweep
        assert.deepStrictEqual(yield* catalog.garbage(""), [])
      })
      yield* Effect.provide(run, context)
    }))
})

describe("a store of objects", () => {
  it.live("keeps nothing of clients that disconnect while their object is stored", () =>
    Effect.gen(function*() {
      const store = yield* s3
      const { url } = yield* start({ blobs: `s3://files?endpoint=${store.endpoint}`, sweepInterval: "1 hour" })
      const { hostname, port } = new URL(url)
      const body =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\ncontent\r\n--b--\r\n"
      const head = [
        "POST / HTTP/1.1",
        "host: a",
        `authorization: ${anna.authorization}`,
        "content-type: multipart/form-data; boundary=b",
        `content-length: ${body.length}`
      ].join("\r\n")
      const leave = (after: number) =>
        new Promise<void>((resolve) => {
          const socket = Net.connect(Number(port), hostname, () => {
            socket.write(`${head}\r\n\r\n${body}`)
            setTimeout(() => socket.resetAndDestroy(), after)
          })
          socket.on("error", () => {})
          socket.on("close", () => resolve())
        })
      // The whole body has arrived, so each may just as well become a file: then it has its object.
      yield* Effect.promise(() => Promise.all(Array.from({ length: 100 }, (_, i) => leave(i % 20))))
      yield* eventually("each object is of a file", async () => {
        const answer = await fetch(`${url}/?limit=1000`, { headers: anna })
        return objects(store.folder) === (await answer.json() as { count: number }).count
      })
      assert.strictEqual((yield* call(`${url}/me`, { headers: anna })).status, 200)
    }))

  it.live("removes a thousand objects by a few requests", () =>
    Effect.gen(function*() {
      const store = yield* s3
      const line = yield* proxy(Number(new URL(store.endpoint).port))
      const blobs = yield* blobsAt(`s3://files?endpoint=http://127.0.0.1:${line.port}`)
      const ids = yield* Effect.all(Array.from({ length: 300 }, () => storeBlob(blobs, pattern(10))), {
        concurrency: 16
      })
      assert.strictEqual(objects(store.folder), 300)
      const before = line.requests()
      const missing = "f".repeat(32)
      const { failure, removed } = yield* blobs.remove([...ids, missing])
      assert.isUndefined(failure)
      assert.sameMembers([...removed], [...ids, missing])
      assert.strictEqual(objects(store.folder), 0)
      assert.isAtMost(line.requests() - before, 20)
    }))

  it.live("removes the others where it fails at one object of a request", () =>
    Effect.gen(function*() {
      const store = yield* s3
      const blobs = yield* blobsAt(`s3://files?endpoint=${store.endpoint}`)
      // The stand-in takes it for a number, and fails at all objects of the request. One id in a million looks like one.
      const ids = ["4".repeat(32), "a".repeat(32), "b".repeat(32)]
      assert.deepStrictEqual(yield* blobs.remove(ids), { removed: ids, failure: undefined })
    }))
})
