/** What only a real store shows: the server over Ceph's radosgw, in place of the stand-in of the other tests. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import { createHash } from "node:crypto"
import * as Http from "node:http"
import { ceph, hasCeph, objectsIn, type ObjectStore, unfinishedIn, withoutCeph } from "./ceph.ts"
import { runAll } from "./conformance/runAll.ts"
import { S3_CREDENTIALS } from "./engines.ts"
import { proxy } from "./lab/proxy.ts"
import { blobsAt, storeBlob } from "./s3Blobs.ts"
import { ANNA, anna, bytesOf, call, eventually, openDownload, pattern, start, upload, uploaded } from "./support.ts"

Object.assign(process.env, S3_CREDENTIALS)

const PART = 16 * 1024 * 1024
const DAY = 24 * 60 * 60 * 1000

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

withoutCeph("what only a real store of objects shows")
describe.skipIf(!hasCeph)("over Ceph", () => {
  const scope = Scope.makeUnsafe()
  let store: ObjectStore
  beforeAll(async () => {
    store = await Effect.runPromise(Scope.provide(ceph, scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), 60_000)

  /** A server with objects of its own, and a proxy before the store. */
  const serverOver = (prefix: string, options: Parameters<typeof start>[0] = {}) =>
    Effect.gen(function*() {
      const line = yield* proxy(Number(new URL(store.endpoint).port))
      const blobs = `s3://files/${prefix}?endpoint=http://127.0.0.1:${line.port}`
      const objects = () =>
        Effect.map(
          Effect.promise(() => objectsIn(store)),
          (keys) => keys.filter((key) => key.startsWith(`${prefix}/`) && !key.endsWith("fileio-store-id")).length
        )
      return { ...(yield* start({ blobs, ...options })), line, objects }
    })

  const storeIn = (prefix: string) => blobsAt(`s3://files/${prefix}?endpoint=${store.endpoint}`)

  it.live("the contract holds, row by row", () =>
    Effect.gen(function*() {
      const { url } = yield* serverOver("contract", {
        plans: { premium: { rateLimit: null, maxUploadBytes: 10_000_000 } }
      })
      const { failed, skipped } = yield* runAll(url, ANNA)
      assert.deepStrictEqual(failed, [])
      assert.deepStrictEqual(skipped, ["download: gives a browser a page unless the plan has direct download"])
    }))

  it.live("files of every size around a part are whole, and can be resumed", () =>
    Effect.gen(function*() {
      const { url } = yield* serverOver("sizes")
      for (const size of [1, PART - 1, PART, 2 * PART + 7]) {
        const content = pattern(size)
        const { key } = yield* uploaded(url, content, { fields: { maxDownloads: "2" } })
        const whole = yield* bytesOf(`${url}/${key}`)
        assert.deepStrictEqual([whole.status, sha256(whole.body)], [200, sha256(content)], `${size} bytes`)
        if (size < PART) continue
        const { headers, response } = yield* openDownload(`${url}/${key}`)
        response.destroy()
        const middle = size >> 1
        const rest = yield* bytesOf(`${url}/${key}`, {
          range: `bytes=${middle}-`,
          "if-range": String(headers.etag)
        })
        assert.deepStrictEqual([rest.status, sha256(rest.body)], [206, sha256(content.subarray(middle))])
        assert.strictEqual((yield* call(`${url}/${key}`, { headers: anna })).status, 404)
      }
    }))

  it.live("200 downloads that break off leave no connection behind", () =>
    Effect.gen(function*() {
      const { line, url } = yield* serverOver("broken")
      const { key } = yield* uploaded(url, pattern(8 * 1024 * 1024), { fields: { maxDownloads: "1000" } })
      const breakOff = Effect.fnUntraced(function*(i: number) {
        const { response, status } = yield* openDownload(`${url}/${key}`)
        assert.strictEqual(status, 200)
        // Some after the first bytes, some while the next ones are on their way.
        if (i % 2 === 0) {
          yield* Effect.promise(() => new Promise<void>((resolve) => response.once("data", () => resolve())))
        }
        response.destroy()
      })
      yield* Effect.all(Array.from({ length: 200 }, (_, i) => breakOff(i)), { concurrency: 4, discard: true })
      yield* eventually("no more connections to the store than requests under way", () => line.open() <= 2)
      const before = line.accepted()
      assert.strictEqual((yield* bytesOf(`${url}/${key}`)).status, 200)
      assert.isAtMost(line.accepted() - before, 2)
    }))

  it.live("uploads that their client breaks leave neither objects nor parts", () =>
    Effect.gen(function*() {
      const { objects, url } = yield* serverOver("leavings", { sweepInterval: "1 hour" })
      const boundary = "b"
      const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n`
      const content = pattern(40 * 1024 * 1024)
      const leave = (after: number) =>
        new Promise<void>((resolve) => {
          const request = Http.request(url, {
            method: "POST",
            agent: false,
            headers: { ...anna, "content-type": `multipart/form-data; boundary=${boundary}`, "content-length": 1e9 }
          })
          request.on("error", () => {})
          request.on("close", () => resolve())
          request.write(head)
          request.write(content.subarray(0, after), () => request.destroy())
        })
      const moments = [1, PART - 1, PART + 1, 2 * PART, 40 * 1024 * 1024]
      yield* Effect.promise(() => Promise.all(moments.flatMap((after) => [leave(after), leave(after)])))
      yield* eventually("no parts are left", async () => await unfinishedIn(store) === 0)
      assert.strictEqual(yield* objects(), 0)
      assert.strictEqual((yield* call(`${url}/me`, { headers: anna })).json["usedStorageBytes"], 0)
    }))

  it.live("parts whose server died are aborted a week later", () =>
    Effect.gen(function*() {
      const blobs = yield* storeIn("died/")
      const dying = yield* Scope.make()
      const writer = yield* Scope.provide(blobs.writer, dying)
      yield* writer.write(pattern(PART))
      yield* writer.write(pattern(PART))
      yield* eventually("parts are there", async () => await unfinishedIn(store) === 1)
      // The process with this scope ends without closing it.
      yield* blobs.tidy(Effect.succeed)
      assert.strictEqual(yield* Effect.promise(() => unfinishedIn(store)), 1)
      const later = (unknown: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>>) =>
        Effect.andThen(TestClock.setTime(Date.now() + 7 * DAY + 60_000), blobs.tidy(unknown)).pipe(
          Effect.provide(TestClock.layer())
        )
      // As if they were of a resumable upload that goes on.
      yield* later(() => Effect.succeed([]))
      assert.strictEqual(yield* Effect.promise(() => unfinishedIn(store)), 1)
      yield* later(Effect.succeed)
      assert.strictEqual(yield* Effect.promise(() => unfinishedIn(store)), 0)
      yield* Scope.close(dying, Exit.void)
    }))

  it.live("many objects are removed by a few requests, those that are not there too", () =>
    Effect.gen(function*() {
      const blobs = yield* storeIn("many/")
      const ids = yield* Effect.all(Array.from({ length: 600 }, () => storeBlob(blobs, pattern(10))), {
        concurrency: 16
      })
      const stored = () => objectsIn(store).then((keys) => keys.filter((key) => key.startsWith("many/")).length)
      assert.strictEqual(yield* Effect.promise(stored), 600)
      const all = [...ids, "f".repeat(32)]
      const { failure, removed } = yield* blobs.remove(all)
      assert.isUndefined(failure)
      assert.sameMembers([...removed], all)
      assert.strictEqual(yield* Effect.promise(stored), 0)
    }))

  it.live("a slow receiver gets the rest of content that is replaced meanwhile", () =>
    Effect.gen(function*() {
      const { objects, url } = yield* serverOver("replaced", { sweepInterval: "100 millis" })
      const content = pattern(40 * 1024 * 1024)
      const { key } = yield* uploaded(url, content, { headers: anna, fields: { maxDownloads: "2" } })
      const { response } = yield* openDownload(`${url}/${key}`)
      response.pause()
      const put = yield* upload(url, "new", { method: "PUT", path: `/${key}`, headers: anna })
      assert.strictEqual(put.status, 200)
      // Several sweeps, and longer than an unread download keeps its connection.
      yield* Effect.sleep("3 seconds")
      const read = yield* Effect.promise(async () => {
        const hash = createHash("sha256")
        for await (const chunk of response) hash.update(chunk as Buffer)
        return hash.digest("hex")
      })
      assert.strictEqual(read, sha256(content))
      yield* eventually("its bytes are removed afterwards", () => Effect.runPromise(objects()).then((n) => n === 1))
    }))
})
