import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import {
  anna,
  assertRefused,
  blobs,
  call,
  eventually,
  LARGE,
  openDownload,
  pattern,
  start,
  uploaded
} from "./support.ts"

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

/** Waits until the server has seen a broken download, and says how long its lease still runs. */
const secondsLeft = (url: string) =>
  Effect.gen(function*() {
    // While bytes flow, the answer is always the whole grace time; it runs down once the break was seen.
    for (let tries = 0; tries < 2000; tries++) {
      yield* TestClock.adjust("1 second")
      const answer = yield* call(url)
      assertRefused(answer, 423, "DOWNLOAD_IN_PROGRESS")
      const seconds = Number(answer.headers.get("retry-after"))
      if (seconds < 30) return seconds
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
    }
    return assert.fail("the server did not see that the download broke")
  })

const get = (url: string, headers: Record<string, string>) =>
  Effect.promise(async () => {
    const response = await fetch(url, { headers })
    return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) }
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
        const got = yield* Effect.promise(() =>
          fetch(`${server.url}/${key}`).then((response) => response.arrayBuffer())
        )
        assert.isTrue(Buffer.from(got).equals(content), `${size} bytes`)
      }
    }))

  it.live("of a file for one download is given to one of 1,000 simultaneous requests", () =>
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
      assert.strictEqual(meanwhile.json["key"], key)
      assert.strictEqual(meanwhile.json["retryAfter"], Number(meanwhile.headers.get("retry-after")))
      broken.response.destroy()
      const left = yield* secondsLeft(url)

      yield* TestClock.adjust(`${left - 1} seconds`)
      assertRefused(yield* call(url), 423, "DOWNLOAD_IN_PROGRESS")
      assertRefused(yield* call(`${url}?download`), 423, "DOWNLOAD_IN_PROGRESS")
      yield* TestClock.adjust("1 second")
      const got = yield* Effect.promise(() => fetch(url).then((response) => response.arrayBuffer()))
      assert.isTrue(Buffer.from(got).equals(content))
      assertRefused(yield* call(url), 404, "FILE_NOT_FOUND")
    }))

  it.effect("that breaks can be resumed by its receiver, and counts once", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const content = pattern(LARGE)
      const { key } = yield* uploaded(server.url, content, { headers: anna, fields: { autoDelete: "false" } })
      const url = `${server.url}/${key}`
      const broken = yield* openDownload(url)
      const lease = String(broken.headers.etag)
      const first = yield* Effect.promise(() => new Promise<Buffer>((resolve) => broken.response.once("data", resolve)))
      broken.response.destroy()
      yield* secondsLeft(url)

      // Without the lease nobody gets any of it.
      for (const validator of [undefined, "\"nobodynobodynobodynobodynobodyno\"", lease.toLowerCase()]) {
        const headers = { range: "bytes=10-", ...(validator === undefined ? {} : { "if-range": validator }) }
        assertRefused(yield* call(url, { headers }), 423, "DOWNLOAD_IN_PROGRESS")
      }
      const middle = yield* get(url, { "if-range": lease, range: `bytes=${first.length}-${first.length + 999}` })
      assert.strictEqual(middle.status, 206)
      assert.strictEqual(
        middle.headers.get("content-range"),
        `bytes ${first.length}-${first.length + 999}/${content.length}`
      )
      assert.strictEqual(middle.headers.get("etag"), lease)
      const rest = yield* get(url, { "if-range": lease, range: `bytes=${first.length + 1000}-` })
      assert.strictEqual(rest.status, 206)
      assert.isTrue(Buffer.concat([first, middle.body, rest.body]).equals(content))

      assertRefused(yield* call(url), 404, "FILE_NOT_FOUND")
      const { json } = yield* call(`${server.url}/`, { headers: anna })
      assert.strictEqual(json.nodes[0]!["downloads"], 1)
    }))

  it.effect("whose last bytes were lost on the way can be resumed for the grace time, and is then gone", () =>
    Effect.gen(function*() {
      const server = yield* start({ grace: "30 seconds" })
      const { key } = yield* uploaded(server.url, "handed over but not arrived")
      const url = `${server.url}/${key}`
      const lease = (yield* call(url)).headers.get("etag")!
      assertRefused(yield* call(url), 404, "FILE_NOT_FOUND")
      const tail = yield* get(url, { "if-range": lease, range: "bytes=-7" })
      assert.strictEqual(tail.status, 206)
      assert.strictEqual(tail.body.toString(), "arrived")
      yield* TestClock.adjust("30 seconds")
      assertRefused(yield* call(url, { headers: { "if-range": lease, range: "bytes=-7" } }), 404, "FILE_NOT_FOUND")
      yield* TestClock.adjust("1 minute")
      yield* eventually("the bytes are deleted", () => blobs(server).length === 0)
    }))

  it.effect("of a range beyond the file is refused, and leaves the lease with its holder", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const content = pattern(LARGE)
      const { key } = yield* uploaded(server.url, content)
      const url = `${server.url}/${key}`
      const broken = yield* openDownload(url)
      broken.response.destroy()
      yield* secondsLeft(url)
      const lease = String(broken.headers.etag)
      const refused = yield* call(url, { headers: { "if-range": lease, range: `bytes=${LARGE}-` } })
      assertRefused(refused, 416, "RANGE_NOT_SATISFIABLE")
      assert.strictEqual(refused.headers.get("content-range"), `bytes */${LARGE}`)
      assert.strictEqual((yield* get(url, { "if-range": lease, range: "bytes=0-9" })).status, 206)
    }))

  it.effect("asked with a range but without a lease is given whole", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "all of it")
      const answer = yield* call(`${server.url}/${key}`, { headers: { range: "bytes=4-" } })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.text, "all of it")
    }))

  it.effect("is not begun by HEAD, by a browser that gets the page, or by looking at the page", () =>
    Effect.gen(function*() {
      const server = yield* start({ anonymousPlan: "free" })
      const { key } = yield* uploaded(server.url, "precious", { name: "<b>precious</b>.txt" })
      const url = `${server.url}/${key}`
      for (let i = 0; i < 3; i++) {
        const head = yield* call(url, { method: "HEAD" })
        assert.strictEqual(head.status, 200)
        assert.strictEqual(head.headers.get("content-length"), "8")
        assert.strictEqual(head.headers.get("content-type"), "application/octet-stream")
        const browser = yield* call(url, { headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" } })
        assert.strictEqual(browser.status, 302)
        assert.strictEqual(browser.headers.get("location"), `${server.url}/download/${key}`)
        const page = yield* call(browser.headers.get("location")!, { headers: { accept: "text/html" } })
        assert.strictEqual(page.status, 200)
        assert.strictEqual(page.headers.get("content-type"), "text/html; charset=utf-8")
        assert.notInclude(page.text, "<b>precious")
        assert.match(page.text, /(&#60;|&lt;)b(&#62;|&gt;)[\s\S]*precious[\s\S]*(&#60;|&lt;)\/b(&#62;|&gt;)/)
        assert.match(page.text, new RegExp(`action="[^"]*/${key}"`))
      }
      // What the button of the page does.
      const pressed = yield* call(`${url}?download=1`, { headers: { accept: "text/html" } })
      assert.strictEqual(pressed.status, 200)
      assert.strictEqual(pressed.text, "precious")
      assert.strictEqual((yield* call(url, { headers: { accept: "text/html" } })).status, 404)
      assert.strictEqual((yield* call(`${server.url}/download/${key}`)).status, 404)
      assertRefused(yield* call(url), 404, "FILE_NOT_FOUND")
      const goneHead = yield* call(url, { method: "HEAD" })
      assert.strictEqual(goneHead.status, 404)
      assert.strictEqual(goneHead.text, "")
    }))

  it.effect("of an account with direct download is given to browsers too", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "direct", { headers: anna })
      const answer = yield* call(`${server.url}/${key}`, { headers: { accept: "text/html" } })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.text, "direct")
    }))

  it.effect("needs no key, takes one, and refuses one that is not known", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "for all", { headers: anna, fields: { maxDownloads: "2" } })
      const url = `${server.url}/${key}`
      assertRefused(yield* call(url, { headers: { authorization: "Bearer nobody" } }), 401, "UNAUTHORIZED")
      assert.strictEqual((yield* call(url)).text, "for all")
      assert.strictEqual((yield* call(url, { headers: anna })).text, "for all")
    }))
})
