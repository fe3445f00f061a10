/** Resumable uploads over PostgreSQL and S3: begun at one server, continued at another. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Redacted, Scope } from "effect"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { hasPostgres, type Postgres, postgres, psql, s3, S3_CREDENTIALS, skipping } from "./engines.ts"
import { ask, finish, offsetOf, PARTIAL } from "./resumableClient.ts"
import { anna, call, eventually, pattern, start, uploaded } from "./support.ts"

Object.assign(process.env, S3_CREDENTIALS)

const MIB = 1024 * 1024

const engines = Scope.makeUnsafe()
let postgresql: Postgres
beforeAll(async () => {
  if (hasPostgres) postgresql = await Effect.runPromise(Scope.provide(postgres(), engines))
})
afterAll(() => Effect.runPromise(Scope.close(engines, Exit.void)))

const servers = (options: Parameters<typeof start>[0] = {}) =>
  Effect.gen(function*() {
    const catalog = yield* postgresql.database
    const { endpoint } = yield* s3
    const blobs = `s3://files/some?endpoint=${encodeURIComponent(endpoint)}&region=us-east-1`
    const one = yield* start({ catalog, blobs, ...options })
    const two = yield* start({ catalog, blobs, ...options })
    const sql = (text: string) => psql(catalog, text)
    /** The servers are in this process: on a busy machine, asking again and again without a pause would stop them. */
    const received = async () =>
      Number(
        (await promisify(execFile)("psql", [
          Redacted.value(catalog),
          "-X",
          "-A",
          "-t",
          "-c",
          "SELECT received FROM uploads"
        ])).stdout
      )
    return { urls: [one.url, two.url] as const, sql, received }
  })

const begin = (url: string, asked: Partial<Parameters<typeof ask>[1]>) =>
  Effect.promise(() =>
    ask(url, {
      method: "POST",
      path: "/",
      ...asked,
      headers: { "upload-complete": "?0", "content-disposition": "inline; filename=a.bin", ...asked.headers }
    })
  )

const download = (url: string, key: string) =>
  Effect.promise(() => fetch(`${url}/${key}`).then(async (answer) => Buffer.from(await answer.arrayBuffer())))

skipping("resumable uploads at several servers")
describe.skipIf(!hasPostgres)("resumable uploads at several servers", () => {
  it.live(
    "break at one and continue at the other, on both sides of each part that the store takes",
    () =>
      Effect.gen(function*() {
        const { received, sql, urls } = yield* servers()
        const size = 17 * MIB + 5
        const body = pattern(size)
        const begun = yield* begin(urls[0], { headers: { "upload-length": String(size) } })
        assert.strictEqual(begun.status, 201, begun.text)
        const path = begun.headers["location"]!
        const stops = [1, 16 * MIB - 1, 16 * MIB, 16 * MIB + 1, size - 1]
        let from = 0
        for (const [index, until] of stops.entries()) {
          const url = urls[index % 2]!
          const isBroken = index % 3 === 1
          const part = yield* Effect.promise(() =>
            ask(url, {
              method: "PATCH",
              path,
              headers: { ...PARTIAL, "upload-offset": String(from), "upload-complete": isBroken ? "?1" : "?0" },
              body: isBroken ? body.subarray(from) : body.subarray(from, until),
              // Some of them break, and some end.
              ...(isBroken ? { cut: until - from } : {})
            })
          )
          if (!isBroken) assert.strictEqual(part.status, 204, part.text)
          // What the other server does not know of yet would be sent again.
          yield* eventually(
            "received bytes are recorded",
            async () => (await received()) > from,
            100_000
          )
          const { offset } = yield* Effect.promise(() => offsetOf(urls[(index + 1) % 2]!, path))
          // Of a part that broke, bytes that were on their way inside the server may be missing: a client continues before them.
          if (isBroken) assert.isTrue(from < offset && offset <= until, `${from} < ${offset} <= ${until}`)
          else assert.strictEqual(offset, until)
          from = offset
        }
        const last = yield* Effect.promise(() => finish(urls[1], path, body, from))
        assert.strictEqual(last.status, 200, last.text)
        const { key } = JSON.parse(last.text) as { readonly key: string }
        // The other server knows the response, too.
        const again = yield* Effect.promise(() => finish(urls[0], path, body, size))
        assert.strictEqual((JSON.parse(again.text) as { readonly key: string }).key, key)
        assert.isTrue((yield* download(urls[0], key)).equals(body))
        assert.strictEqual(sql("SELECT count(*), sum(received) FROM uploads"), "1|0")
      })
  )

  it.live(
    "have one request at a time also between servers: the older one cannot complete anything",
    () =>
      Effect.gen(function*() {
        const { urls } = yield* servers()
        const body = pattern(3 * MIB)
        const begun = yield* begin(urls[0], { headers: { "upload-length": String(body.length) } })
        const path = begun.headers["location"]!
        const { promise, resolve } = Promise.withResolvers<number>()
        // The older request has sent all but one byte when the other server is asked.
        const older = yield* Effect.promise(() =>
          ask(urls[0], {
            method: "PATCH",
            path,
            headers: { ...PARTIAL, "upload-offset": "0", "upload-complete": "?0" },
            body,
            cut: body.length - 1,
            beforeEnd: async () => {
              resolve((await offsetOf(urls[1], path)).offset)
            }
          })
        )
        assert.notStrictEqual(older.status, 204)
        const offset = yield* Effect.promise(() => promise)
        const last = yield* Effect.promise(() => finish(urls[1], path, body, offset))
        assert.strictEqual(last.status, 200, last.text)
        const { key } = JSON.parse(last.text) as { readonly key: string }
        assert.isTrue((yield* download(urls[1], key)).equals(body))
      })
  )

  it.live("continue at another server while the first still stores what it has received", () =>
    Effect.gen(function*() {
      const { sql, urls } = yield* servers()
      const body = pattern(5 * MIB)
      const begun = yield* begin(urls[0], { body: body.subarray(0, MIB) })
      assert.strictEqual(begun.status, 201, begun.text)
      const path = begun.headers["location"]!
      const headers = { ...PARTIAL, "upload-complete": "?0" }
      // Three times, the other server takes the upload before or after the first has stored bytes that it cannot record any more.
      for (const _ of [1, 2, 3]) {
        const { offset } = yield* Effect.promise(() => offsetOf(urls[0], path))
        yield* Effect.promise(() =>
          ask(urls[0], {
            method: "PATCH",
            path,
            headers: { ...headers, "upload-offset": String(offset) },
            body: body.subarray(offset),
            cut: MIB
          })
        )
        const taken = yield* Effect.promise(() => offsetOf(urls[1], path))
        assert.isAtLeast(taken.offset, offset)
        const part = yield* Effect.promise(() =>
          ask(urls[1], {
            method: "PATCH",
            path,
            headers: { ...headers, "upload-offset": String(taken.offset) },
            body: body.subarray(taken.offset, taken.offset + 1000)
          })
        )
        assert.strictEqual(part.status, 204, part.text)
        assert.strictEqual(part.headers["upload-offset"], String(taken.offset + 1000))
        assert.strictEqual(sql("SELECT received FROM uploads"), String(taken.offset + 1000))
      }
      const { offset } = yield* Effect.promise(() => offsetOf(urls[1], path))
      const last = yield* Effect.promise(() => finish(urls[1], path, body, offset))
      assert.strictEqual(last.status, 200, last.text)
      const { key } = JSON.parse(last.text) as { readonly key: string }
      assert.isTrue((yield* download(urls[0], key)).equals(body))
    }), 120_000)

  it.live("change a file, read forms, count against the plan, and end with their bytes", () =>
    Effect.gen(function*() {
      const { sql, urls } = yield* servers({ sweepInterval: "100 millis" })
      const { key } = yield* uploaded(urls[0], "old", { headers: anna, fields: { maxDownloads: "2" } })
      const form = Buffer.from(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"new.txt\"\r\n\r\nnew content\r\n--b--\r\n"
      )
      const headers = { ...anna, "content-type": "multipart/form-data; boundary=b" }
      const begun = yield* begin(urls[0], { method: "PATCH", path: `/${key}`, headers, body: form.subarray(0, 20) })
      const path = begun.headers["location"]!
      const used = Effect.map(call(`${urls[1]}/me`, { headers: anna }), ({ json }) => json["usedStorageBytes"])
      assert.strictEqual(yield* used, 23)
      const last = yield* Effect.promise(() => finish(urls[1], path, form, 20))
      assert.strictEqual(last.status, 200, last.text)
      assert.strictEqual((yield* download(urls[0], key)).toString(), "new content")

      const given = yield* begin(urls[0], { body: Buffer.alloc(1000) })
      assert.strictEqual(given.status, 201)
      const gone = yield* Effect.promise(() => ask(urls[1], { method: "DELETE", path: given.headers["location"]! }))
      assert.strictEqual(gone.status, 204)
      const ending = yield* begin(urls[0], { body: Buffer.alloc(1000) })
      sql(`UPDATE uploads SET ends = 1 WHERE file IS NULL`)
      assert.strictEqual((yield* Effect.promise(() => offsetOf(urls[1], ending.headers["location"]!))).status, 404)
      yield* eventually("the rows are gone", () => sql("SELECT count(*) FROM uploads WHERE file IS NULL") === "0")
      yield* eventually("the bytes are gone", () => sql("SELECT count(*) FROM garbage") === "0")
    }))
})
