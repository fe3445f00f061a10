/** What became of a file, for its sender, and for the browser that downloads it. Asking takes nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  anna,
  type Answer,
  assertRefused,
  call,
  eventually,
  fred,
  LARGE,
  openDownload,
  pattern,
  start,
  startStoppable,
  temporaryFolder,
  upload
} from "./support.ts"

const PAGE = { accept: "text/html,application/xhtml+xml" }
const GRACE_SECONDS = 30

const statusOf = (url: string, key: string, headers: Record<string, string> = {}) =>
  call(`${url}/status/${key}`, { headers })

const sent = (answer: Answer) => ({
  key: answer.json.key,
  token: { "delete-token": String(answer.json["deleteToken"]) }
})

/** A browser that has seen the file's page. */
const visitor = (url: string, key: string) =>
  Effect.map(call(`${url}/download/${key}`, { headers: PAGE }), ({ headers }) => ({
    cookie: headers.get("set-cookie")!.split(";")[0]!
  }))

const isState = (url: string, key: string, headers: Record<string, string>, state: string) =>
  eventually(state, async () => {
    const answer = await fetch(`${url}/status/${key}`, { headers })
    return ((await answer.json()) as { state?: string }).state === state
  })

describe("the status of a file", () => {
  it.effect("says what is there without taking it, and nothing of what is gone", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const { key } = sent(yield* upload(url, "content", { name: "a b.txt" }))
      for (let i = 0; i < 3; i++) {
        const { headers, json, status } = yield* statusOf(url, key)
        assert.strictEqual(status, 200)
        assert.strictEqual(headers.get("cache-control"), "no-store")
        assert.deepStrictEqual<unknown>(json, {
          success: true,
          status: 200,
          state: "available",
          yours: false,
          seconds: null,
          name: "a b.txt",
          title: null,
          size: 7,
          mimeType: "application/octet-stream",
          expires: "1970-01-15T00:00:00.000Z",
          downloads: 0,
          maxDownloads: 1,
          attempts: 0,
          lastAttempt: null
        })
      }
      const head = yield* call(`${url}/status/${key}`, { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.text], [200, ""])
      assert.strictEqual((yield* call(`${url}/${key}`)).text, "content")
      assertRefused(yield* statusOf(url, key), 404, "FILE_NOT_FOUND")
      assertRefused(yield* statusOf(url, "abcdefghijkl"), 404, "FILE_NOT_FOUND")
      assertRefused(yield* call(`${url}/status/${key}`, { method: "DELETE" }), 405, "METHOD_NOT_ALLOWED")
    }))

  it.effect("says to its sender what became of it, also after a restart, and to nobody else", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const first = yield* startStoppable({ folder })
      const files = {
        available: sent(yield* upload(first.url, "x")),
        downloaded: sent(yield* upload(first.url, "x")),
        expired: sent(yield* upload(first.url, "x", { fields: { expires: "1m" } })),
        deleted: sent(yield* upload(first.url, "x")),
        byAccount: sent(yield* upload(first.url, "x", { headers: anna }))
      }
      assert.strictEqual((yield* call(`${first.url}/${files.downloaded.key}`)).text, "x")
      yield* TestClock.adjust("2 minutes")
      yield* call(`${first.url}/${files.deleted.key}`, { method: "DELETE", headers: files.deleted.token })
      yield* call(`${first.url}/${files.byAccount.key}`, { method: "DELETE", headers: anna })
      const isAsExpected = Effect.fnUntraced(function*(url: string) {
        for (const [name, { key, token }] of Object.entries(files)) {
          const { json, status } = yield* statusOf(url, key, token)
          assert.deepStrictEqual([status, json["state"]], [200, name === "byAccount" ? "deleted" : name])
          assert.strictEqual(json["size"], name === "available" ? 1 : undefined)
          const wrong = yield* statusOf(url, key, { "delete-token": "wrong" })
          assertRefused(wrong, 404, "FILE_NOT_FOUND")
          const unknown = yield* statusOf(url, "abcdefghijkl", { "delete-token": "wrong" })
          assert.strictEqual(wrong.text.replaceAll(key, ""), unknown.text.replaceAll("abcdefghijkl", ""))
          assertRefused(
            yield* statusOf(url, key, name === "available" ? files.deleted.token : files.available.token),
            404,
            "FILE_NOT_FOUND"
          )
        }
      })
      yield* isAsExpected(first.url)
      // The sweep has run, and the server starts again.
      yield* TestClock.adjust("1 hour")
      yield* isAsExpected(first.url)
      yield* Scope.close(first.scope, Exit.void)
      const second = yield* start({ folder })
      yield* isAsExpected(second.url)
    }))

  it.effect("of a file that is kept when it has ended says how it ended", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const kept = { headers: anna, fields: { autoDelete: "false", expires: "1h" } }
      const taken = sent(yield* upload(url, "x", kept))
      const expired = sent(yield* upload(url, "x", kept))
      assert.strictEqual((yield* call(`${url}/${taken.key}`)).text, "x")
      yield* TestClock.adjust("2 hours")
      for (const [state, { key, token }] of [["downloaded", taken], ["expired", expired]] as const) {
        const { json } = yield* statusOf(url, key, token)
        assert.deepStrictEqual([json["state"], json["name"]], [state, "file.txt"])
        assertRefused(yield* statusOf(url, key), 404, "FILE_NOT_FOUND")
      }
    }))

  it.effect("says to a browser that its own download broke, and that it may begin again for the grace time", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ minimumRate: 0 })
      const content = pattern(LARGE)
      const { key, token } = sent(yield* upload(url, content))
      const mine = yield* visitor(url, key)
      const other = yield* visitor(url, key)
      assert.notStrictEqual(mine.cookie, other.cookie)
      assert.include((yield* statusOf(url, key, mine)).json, { state: "available", yours: false })

      const first = yield* openDownload(`${url}/${key}?download=1`, mine)
      assert.strictEqual(first.status, 200)
      assert.include((yield* statusOf(url, key, mine)).json, { state: "downloading", yours: true, seconds: null })
      assert.include((yield* statusOf(url, key, other)).json, { state: "downloading", yours: false })
      assert.include((yield* statusOf(url, key, token)).json, { state: "downloading", yours: false })

      first.response.destroy()
      yield* isState(url, key, mine, "interrupted")
      yield* TestClock.adjust("10 seconds")
      assert.include((yield* statusOf(url, key, mine)).json, {
        state: "interrupted",
        yours: true,
        seconds: GRACE_SECONDS - 10,
        size: LARGE
      })
      assert.include((yield* statusOf(url, key, other)).json, {
        state: "downloading",
        yours: false,
        seconds: GRACE_SECONDS - 10
      })
      assertRefused(yield* call(`${url}/${key}`), 423, "DOWNLOAD_IN_PROGRESS")

      const second = yield* openDownload(`${url}/${key}?download=1`, mine)
      assert.strictEqual(second.status, 200)
      const bytes = Buffer.concat(yield* Effect.promise(() => second.response.toArray()))
      assert.isTrue(bytes.equals(content))
      yield* isState(url, key, mine, "downloaded")
      assert.include((yield* statusOf(url, key, mine)).json, { yours: true, seconds: GRACE_SECONDS })
      assertRefused(yield* statusOf(url, key, other), 404, "FILE_NOT_FOUND")
      assert.include((yield* statusOf(url, key, token)).json, { state: "downloaded", yours: false })
      yield* TestClock.adjust("31 seconds")
      assertRefused(yield* statusOf(url, key, mine), 404, "FILE_NOT_FOUND")
      assert.include((yield* statusOf(url, key, token)).json, { state: "downloaded", yours: false })
    }))

  it.effect("is given up to others when the grace time is over", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ minimumRate: 0 })
      const { key } = sent(yield* upload(url, pattern(LARGE)))
      const mine = yield* visitor(url, key)
      const { response } = yield* openDownload(`${url}/${key}?download=1`, mine)
      response.destroy()
      yield* isState(url, key, mine, "interrupted")
      yield* TestClock.adjust("31 seconds")
      assert.include((yield* statusOf(url, key, mine)).json, { state: "available", yours: false, attempts: 1 })
    }))

  it.effect("needs a key where the file does, or the token", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymous: "none" })
      const { key, token } = sent(yield* upload(url, "x", { headers: fred }))
      assertRefused(yield* statusOf(url, key), 401, "UNAUTHORIZED")
      assert.include((yield* statusOf(url, key, fred)).json, { state: "available" })
      assert.include((yield* statusOf(url, key, token)).json, { state: "available" })
      assertRefused(yield* statusOf(url, key, { "delete-token": "wrong" }), 404, "FILE_NOT_FOUND")
    }))
})
