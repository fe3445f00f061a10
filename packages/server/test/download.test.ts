import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import { anna, assertRefused, blobs, call, eventually, LARGE, openDownload, pattern, start, uploaded } from "./support.ts"

const statuses = (answers: ReadonlyArray<number>) => {
  const counts: Record<number, number> = {}
  for (const status of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

/** Many requests, each on a connection of its own, all under way at once. */
const simultaneously = (url: string, count: number): Effect.Effect<Array<number>> =>
  Effect.promise(() => {
    const agent = new Http.Agent({ maxSockets: count })
    const one = () =>
      new Promise<number>((resolve, reject) => {
        const request = Http.get(url, { agent }, (response) => {
          response.on("error", reject)
          response.on("end", () => resolve(response.statusCode!))
          response.resume()
        })
        request.on("error", reject)
      })
    return Promise.all(Array.from({ length: count }, one)).finally(() => agent.destroy())
  })

describe("a download", () => {
  it.effect("gives the bytes, the name, the type and the size, and then the file is gone", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "hello", { name: "häß lich;\".txt" })
      const first = yield* call(`${server.url}/${key}`)
      assert.strictEqual(first.status, 200)
      assert.strictEqual(first.text, "hello")
      assert.strictEqual(first.headers.get("content-length"), "5")
      assert.strictEqual(
        first.headers.get("content-disposition"),
        "attachment; filename=\"ha_ lich__.txt\"; filename*=UTF-8''h%C3%A4%C3%9F%20lich%3B%22.txt"
      )
      assert.match(first.headers.get("etag")!, /^"[A-Za-z0-9_-]{32}"$/)
      assert.strictEqual(first.headers.get("x-content-type-options"), "nosniff")
      assert.strictEqual(first.headers.get("content-security-policy"), "sandbox; default-src 'none'")
      assertRefused(yield* call(`${server.url}/${key}`), 404, "FILE_NOT_FOUND")
    }))

  it.effect("gives a file of many reads whole, to its last byte", () =>
    Effect.gen(function*() {
      const server = yield* start()
      for (const size of [1, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 5 * 1024 * 1024 + 3]) {
        const content = pattern(size)
        const { key } = yield* uploaded(server.url, content)
        const got = yield* Effect.promise(() => fetch(`${server.url}/${key}`).then((response) => response.arrayBuffer()))
        assert.isTrue(Buffer.from(got).equals(content), `${size} bytes`)
      }
    }))

  it.effect("of a file for one download is given to one of 1,000 simultaneous requests", () =>
    Effect.gen(function*() {
      const server = yield* start()
      for (const content of [Buffer.from("small"), pattern(3 * 1024 * 1024)]) {
        const { key } = yield* uploaded(server.url, content)
        const counts = statuses(yield* simultaneously(`${server.url}/${key}`, 1000))
        assert.strictEqual(counts[200], 1, JSON.stringify(counts))
        assert.strictEqual((counts[404] ?? 0) + (counts[423] ?? 0), 999, JSON.stringify(counts))
        assertRefused(yield* call(`${server.url}/${key}`), 404, "FILE_NOT_FOUND")
      }
    }), 120_000)

  it.effect("of a file for n downloads is given to n of many simultaneous requests", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "several", { fields: { maxDownloads: "7" } })
      const counts = statuses(yield* simultaneously(`${server.url}/${key}`, 100))
      assert.strictEqual(counts[200], 7, JSON.stringify(counts))
      assertRefused(yield* call(`${server.url}/${key}`), 404, "FILE_NOT_FOUND")
    }))

  it.effect("of an unlimited file is given every time, and counted", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "again", { headers: anna, fields: { maxDownloads: "" } })
      for (let i = 0; i < 5; i++) assert.strictEqual((yield* call(`${server.url}/${key}`)).text, "again")
      const { json } = yield* call(`${server.url}/`, { headers: anna })
      assert.strictEqual(json.nodes[0]!["downloads"], 5)
      assert.isNull(json.nodes[0]!["maxDownloads"])
    }))

  it.effect("that breaks gives the file back after the grace time, and not before", () =>
    Effect.gen(function*() {
      const server = yield* start({ grace: "30 seconds" })
      const content = pattern(LARGE)
      const { key } = yield* uploaded(server.url, content)
      const url = `${server.url}/${key}`

      const broken = yield* openDownload(url)
      assert.strictEqual(broken.status, 200)
      const meanwhile = yield* call(url)
      assertRefused(meanwhile, 423, "DOWNLOAD_IN_PROGRESS")
      assert.strictEqual(meanwhile.headers.get("retry-after"), "30")
      broken.response.destroy()

      // As soon as the server sees the broken connection, the time begins to run down.
      yield* eventually("the lease runs down", async () => {
        await Effect.runPromise(Effect.void)
        return true
      })
      yield* TestClock.adjust("29 seconds")
      assertRefused(yield* call(url), 423, "DOWNLOAD_IN_PROGRESS")
      // The clock stands still but for this: the lease ends 30 seconds after the break was seen, whenever that was.
      yield* eventually("the file is free again", async () => {
        const response = await fetch(url, { method: "HEAD" })
        if (response.status === 200) return true
        return false
      }, 50).pipe(Effect.ignoreCause)
      yield* TestClock.adjust("31 seconds")
      const got = yield* Effect.promise(() => fetch(url).then((response) => response.arrayBuffer()))
      assert.isTrue(Buffer.from(got).equals(content))
      assertRefused(yield* call(url), 404, "FILE_NOT_FOUND")
    }))
})
