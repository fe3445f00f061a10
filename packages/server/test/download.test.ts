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
  swept,
  upload,
  uploaded
} from "./support.ts"

const statuses = (answers: ReadonlyArray<number>) => {
  const counts: Record<number, number> = {}
  for (const status of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

/** Many simultaneous requests, each on its own connection. */
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

/** Waits until the server has noticed a broken download, and returns how long its lease lasts. */
const secondsLeft = (url: string) =>
  Effect.gen(function*() {
    // While bytes flow, the response is always the whole grace time; it decreases after the break was noticed.
    for (let tries = 0; tries < 80; tries++) {
      yield* TestClock.adjust("1 second")
      const answer = yield* call(url)
      assertRefused(answer, 423, "DOWNLOAD_IN_PROGRESS")
      const seconds = Number(answer.headers.get("retry-after"))
      if (seconds < 30) return seconds
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 100)))
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
      assert.strictEqual(first.headers.get("x-accel-buffering"), "no")
      assert.strictEqual(first.headers.get("cache-control"), "private, no-store, no-transform")
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
    }))

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
      yield* swept("1 minute", "the bytes are deleted", () => blobs(server).length === 0)
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

  it.live("that is resumed on a second connection ends on the first one, and is not given to two", () =>
    Effect.gen(function*() {
      const server = yield* start({ grace: "1 second" })
      const content = pattern(LARGE)
      const { key } = yield* uploaded(server.url, content)
      const url = `${server.url}/${key}`
      const first = yield* openDownload(url)
      const lease = String(first.headers.etag)
      const second = yield* openDownload(url, { range: "bytes=0-", "if-range": lease })
      assert.strictEqual(second.status, 206)
      // Unread until now: the bytes in the connection's buffers arrive, and then it ends.
      const got = yield* Effect.promise(() => first.response.toArray().then(() => "whole", () => "broken"))
      assert.strictEqual(got, "broken")
      second.response.destroy()
      yield* eventually(
        "it is free again",
        () => Effect.runPromise(call(url, { method: "HEAD" })).then(({ status }) => status === 200)
      )
      const other = yield* get(url, {})
      assert.isTrue(other.body.equals(content))
      assertRefused(yield* call(url), 404, "FILE_NOT_FOUND")
    }))

  it.effect("of which its holder requests several parts at the same time sends the last one", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const content = pattern(LARGE)
      const { key } = yield* uploaded(server.url, content, { headers: anna, fields: { autoDelete: "false" } })
      const url = `${server.url}/${key}`
      const lease = String((yield* openDownload(url)).headers.etag)
      const ends = yield* Effect.promise(() =>
        Promise.all([0, 1, 2, 3].map((i) =>
          fetch(url, { headers: { range: `bytes=${i}-`, "if-range": lease } })
            .then((response) => response.arrayBuffer()).then((bytes) => bytes.byteLength, () => 0)
        ))
      )
      const whole = ends.filter((size, i) => size === content.length - i)
      assert.strictEqual(whole.length, 1, JSON.stringify(ends))
      const { json } = yield* call(`${server.url}/`, { headers: anna })
      assert.deepStrictEqual([json.nodes[0]!["downloads"], json.nodes[0]!["attempts"]], [1, 1])
    }))

  it.effect("of several ranges at the same time gives each of them, and counts once", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const content = pattern(LARGE)
      const { key } = yield* uploaded(server.url, content, { headers: anna, fields: { autoDelete: "false" } })
      const url = `${server.url}/${key}`
      // It has the first bytes, and more are in transit.
      const first = yield* openDownload(url)
      const lease = String(first.headers.etag)
      const start0 = first.response.toArray().then(() => "whole", () => "broken")
      const bounds = [1 / 8, 3 / 8, 4 / 8, 7 / 8, 1].map((part) => Math.floor(part * LARGE))
      const parts = yield* Effect.promise(() =>
        Promise.all([3, 0, 2, 1].map(async (i) => {
          const range = `bytes=${bounds[i]}-${bounds[i + 1]! - 1}`
          const response = await fetch(url, { headers: { range, "if-range": lease } })
          return { i, status: response.status, body: Buffer.from(await response.arrayBuffer()) }
        }))
      )
      const inOrder = parts.toSorted((a, b) => a.i - b.i)
      assert.deepStrictEqual(inOrder.map(({ status }) => status), [206, 206, 206, 206])
      assert.isTrue(Buffer.concat(inOrder.map(({ body }) => body)).equals(content.subarray(bounds[0])))
      assert.strictEqual(yield* Effect.promise(() => start0), "broken")
      const head = yield* get(url, { range: `bytes=0-${bounds[0]! - 1}`, "if-range": lease })
      assert.isTrue(head.body.equals(content.subarray(0, bounds[0])))
      const { json } = yield* call(`${server.url}/`, { headers: anna })
      assert.deepStrictEqual([json.nodes[0]!["downloads"], json.nodes[0]!["attempts"]], [1, 1])
      assertRefused(yield* call(url), 404, "FILE_NOT_FOUND")
    }))

  it.effect("is sent up to where a later range begins", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const content = pattern(LARGE)
      const { key } = yield* uploaded(server.url, content)
      const url = `${server.url}/${key}`
      const half = LARGE / 2
      // Its receiver does not read yet, so it is far from the half.
      const first = yield* openDownload(url)
      const second = yield* openDownload(url, { range: `bytes=${half}-`, "if-range": String(first.headers.etag) })
      const got: Array<Buffer> = []
      yield* Effect.promise(() =>
        new Promise<void>((resolve) => {
          first.response.on("data", (bytes: Buffer) => got.push(bytes)).on("error", () => {}).on("close", resolve)
        })
      )
      assert.isTrue(Buffer.concat(got).equals(content.subarray(0, half)))
      const rest = yield* Effect.promise(() => second.response.toArray())
      assert.isTrue(Buffer.concat(rest).equals(content.subarray(half)))
      assertRefused(yield* call(url), 404, "FILE_NOT_FOUND")
    }))

  it.effect("of ranges that name no lease gives the file to the first, and refuses the others", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const content = pattern(LARGE)
      const { key } = yield* uploaded(server.url, content)
      const url = `${server.url}/${key}`
      const first = yield* openDownload(url)
      const range = `bytes=${LARGE / 2}-`
      for (const headers of [{ range }, { range, "if-range": "Thu, 01 Jan 1970 00:00:00 GMT" }]) {
        const refused = yield* call(url, { headers })
        assertRefused(refused, 423, "DOWNLOAD_IN_PROGRESS")
        assert.isAbove(Number(refused.headers.get("retry-after")), 0)
      }
      const got = yield* Effect.promise(() => first.response.toArray())
      assert.isTrue(Buffer.concat(got).equals(content))
    }))

  it.effect("is not held by requesting a byte again and again, or by reading nothing", () =>
    Effect.gen(function*() {
      const server = yield* start({ grace: "10 seconds", minimumRatePatience: "20 seconds" })
      const { key } = yield* uploaded(server.url, pattern(LARGE))
      const url = `${server.url}/${key}`
      const first = yield* openDownload(url)
      const lease = String(first.headers.etag)
      first.response.destroy()
      let byte = yield* get(url, { range: "bytes=7-7", "if-range": lease })
      // Bytes that its connection took count; from then on, single bytes gain no time.
      let seconds = 0
      for (; byte.status === 206; seconds++) {
        assert.isBelow(seconds, 40)
        yield* TestClock.adjust("1 second")
        byte = yield* get(url, { range: "bytes=7-7", "if-range": lease })
      }
      assert.isAbove(seconds, 20)
      assert.strictEqual(byte.status, 200)
      assert.strictEqual(byte.body.length, LARGE)
    }))

  it.effect("does not get the last byte of a file that was deleted meanwhile", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, pattern(LARGE), { headers: anna })
      const open = yield* openDownload(`${server.url}/${key}`)
      assert.strictEqual((yield* call(`${server.url}/${key}`, { method: "DELETE", headers: anna })).status, 200)
      const got = yield* Effect.promise(() => open.response.toArray().then(() => "whole", () => "broken"))
      assert.strictEqual(got, "broken")
    }))

  it.effect("that breaks is shown to the owner, and on the pages", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const content = pattern(LARGE)
      const { key } = yield* uploaded(server.url, content, { headers: anna })
      const url = `${server.url}/${key}`
      const page = () => call(`${server.url}/download/${key}`, { headers: { accept: "text/html" } })
      assert.notInclude((yield* page()).text, "Begun, but not finished")
      yield* TestClock.adjust("1 hour")
      const lease = String((yield* openDownload(url)).headers.etag)
      // All bytes but the last one, as often as one likes.
      for (let i = 0; i < 2; i++) {
        const read = yield* get(url, { "if-range": lease, range: `bytes=0-${LARGE - 2}` })
        assert.isTrue(read.body.equals(content.subarray(0, -1)))
      }
      const { json } = yield* call(`${server.url}/`, { headers: anna })
      const { attempts, countFrom, downloads, lastAttempt } = json.nodes[0]!
      assert.deepStrictEqual([downloads, attempts, lastAttempt, countFrom], [
        0,
        1,
        "1970-01-01T01:00:00.000Z",
        "last-byte"
      ])
      const { text } = yield* page()
      assert.include(text, "Begun, but not finished")
      assert.include(text, "1970-01-01T01:00:00Z")
      assert.include((yield* call(`${server.url}/uploaded/${key}`)).text, "Begun, but not finished")
    }))

  it.effect("of a file that counts from its first byte is given once, whether or not it breaks", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const wrong = yield* upload(server.url, "x", { fields: { countFrom: "sometimes" } })
      assertRefused(wrong, 400, "INVALID_REQUEST")
      assert.include(String(wrong.json["message"]), "countFrom")
      const content = pattern(LARGE)
      const { countFrom, key } = yield* uploaded(server.url, content, { fields: { countFrom: "first-byte" } })
      assert.strictEqual(countFrom, "first-byte")
      const url = `${server.url}/${key}`
      const open = yield* openDownload(url)
      open.response.destroy()
      yield* secondsLeft(url)
      const resumed = yield* get(url, { "if-range": String(open.headers.etag), range: "bytes=0-9" })
      assert.strictEqual(resumed.status, 206)
      yield* TestClock.adjust("31 seconds")
      assertRefused(yield* call(url), 404, "FILE_NOT_FOUND")
      assertRefused(
        yield* call(url, { headers: { "if-range": String(open.headers.etag), range: "bytes=0-9" } }),
        404,
        "FILE_NOT_FOUND"
      )
    }))

  it.effect("that a browser requests twice is given to it again, and to nobody else", () =>
    Effect.gen(function*() {
      const server = yield* start({ anonymousPlan: "free" })
      const browser = { accept: "text/html,*/*;q=0.8" }
      const seen = (key: string, headers = {}) =>
        call(`${server.url}/download/${key}`, { headers: { ...browser, ...headers } })
      for (const content of [pattern(1000), pattern(LARGE)]) {
        const { key } = yield* uploaded(server.url, content)
        const url = `${server.url}/${key}?download=1`
        const cookie = String((yield* seen(key)).headers.get("set-cookie"))
        assert.match(cookie, /^fileio-receiver=[A-Za-z0-9_-]{32}; Path=\/; HttpOnly; SameSite=Lax$/)
        const mine = { ...browser, cookie: cookie.split(";")[0]! }
        assert.isNull((yield* seen(key, mine)).headers.get("set-cookie"))
        const dropped = yield* openDownload(url, mine)
        assert.strictEqual(dropped.status, 200)
        dropped.response.destroy()
        // Its first request may still be running, or all of it may have been handed over.
        const other = (yield* call(url, { headers: browser })).status
        assert.include([404, 423], other)
        const again = yield* get(url, mine)
        assert.strictEqual(again.status, 200)
        assert.isTrue(again.body.equals(content))
        assert.strictEqual(again.headers.get("etag"), dropped.headers.etag)
        assertRefused(yield* call(url), 404, "FILE_NOT_FOUND")
        yield* TestClock.adjust("31 seconds")
        assert.strictEqual((yield* get(url, mine)).status, 404)
      }
    }))

  it.effect("that a browser asks for twice at the same time is given to it, and counts once", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const content = pattern(LARGE)
      const { key } = yield* uploaded(server.url, content, { headers: anna, fields: { maxDownloads: "5" } })
      const page = yield* call(`${server.url}/download/${key}`, { headers: { accept: "text/html" } })
      const cookie = String(page.headers.get("set-cookie")).split(";")[0]!
      const taps = yield* Effect.promise(() =>
        Promise.all(Array.from({ length: 5 }, () =>
          fetch(`${server.url}/${key}?download=1`, { headers: { cookie } })
            .then((response) => response.arrayBuffer()).then((bytes) => bytes.byteLength, () => 0)))
      )
      assert.include(taps, content.length)
      const { json } = yield* call(`${server.url}/`, { headers: anna })
      assert.deepStrictEqual([json.nodes[0]!["downloads"], json.nodes[0]!["attempts"]], [1, 1])
      const other = yield* get(`${server.url}/${key}`, {})
      assert.isTrue(other.body.equals(content))
    }))

  it.effect("asked with a range but without a lease is given whole", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "all of it")
      const answer = yield* call(`${server.url}/${key}`, { headers: { range: "bytes=4-" } })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.text, "all of it")
    }))

  it.effect("is the file for a program that names HTML among other types, and the page for a browser", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymousPlan: "free", plans: { free: { rateLimit: null, maxDownloads: null } } })
      const { key } = yield* uploaded(url, "precious", { fields: { maxDownloads: "99" } })
      const get = (headers: Record<string, string>) =>
        Effect.map(call(`${url}/${key}`, { headers }), ({ status, text }) => status === 302 ? "page" : text)
      for (
        const accept of [
          // Java's URL.openStream, of 8 and of 21.
          "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
          "text/html, image/gif, image/jpeg, */*; q=0.2",
          "application/json, text/html;q=0.9, */*;q=0.8",
          "text/html;q=0, */*",
          "text/plain, text/html",
          "*/*",
          "TEXT/PLAIN"
        ]
      ) {
        assert.strictEqual(yield* get({ accept }), "precious", accept)
      }
      for (
        const accept of [
          "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
          "text/html, application/xhtml+xml, image/jxr, */*",
          "Text/HTML",
          "text/html;charset=utf-8;q=0.5",
          "text/html,*/*;q=0.8"
        ]
      ) {
        assert.strictEqual(yield* get({ accept }), "page", accept)
      }
      // Only a browser says that it navigates; `fetch` says something else.
      const odd = { accept: "text/html, application/xml, */*" }
      assert.strictEqual(yield* get(odd), "precious")
      const browser = yield* openDownload(`${url}/${key}`, { ...odd, "sec-fetch-mode": "navigate" })
      assert.strictEqual(browser.status, 302)
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
      // The request of the page's button.
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
