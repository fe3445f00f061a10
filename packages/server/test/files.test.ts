import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import {
  ANNA,
  anna,
  assertRefused,
  BERT,
  bert,
  blobs,
  call,
  fred,
  LARGE,
  openDownload,
  pattern,
  start,
  swept,
  upload,
  uploaded
} from "./support.ts"

const basic = (user: string, password = "") => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`
})

const send = (url: string, method: string, fields: Record<string, string>, headers: Record<string, string>) => {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  return call(url, { method, body: form, headers })
}

const names = (answer: { readonly json: { readonly nodes: ReadonlyArray<Record<string, unknown>> } }) =>
  answer.json.nodes.map((node) => node["name"])

describe("an API key", () => {
  it.effect("is taken as a bearer token and as the user name of HTTP Basic, in any case of the scheme", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (
        const headers of [
          anna,
          { authorization: `bearer ${ANNA}` },
          { authorization: `BEARER  ${ANNA}` },
          basic(ANNA),
          basic(ANNA, "any password")
        ]
      ) {
        const me = yield* call(`${url}/me`, { headers })
        assert.strictEqual(me.status, 200, JSON.stringify(headers))
      }
    }))

  it.effect("that is missing, unknown or malformed is refused, also where none is needed", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "x")
      for (
        const headers of [
          { authorization: "Bearer nobody" },
          { authorization: "Bearer " + ANNA.toLowerCase() },
          { authorization: "Bearer" },
          { authorization: "Token abc" },
          { authorization: "Basic !!!" },
          basic("nobody"),
          basic("", ANNA)
        ]
      ) {
        assertRefused(yield* call(`${server.url}/me`, { headers }), 401, "UNAUTHORIZED")
        assertRefused(yield* call(`${server.url}/${key}`, { headers }), 401, "UNAUTHORIZED")
        assertRefused(yield* upload(server.url, "x", { headers }), 401, "UNAUTHORIZED")
      }
      for (
        const [method, path] of [["GET", "/me"], ["GET", "/"], ["DELETE", `/${key}`], ["PATCH", `/${key}`], [
          "PUT",
          `/${key}`
        ]]
      ) {
        const answer = yield* call(`${server.url}${path}`, { method: method! })
        assertRefused(answer, 401, "UNAUTHORIZED")
        assert.match(answer.headers.get("www-authenticate")!, /Bearer/)
      }
      assert.strictEqual((yield* call(`${server.url}/${key}`)).text, "x")
      assert.strictEqual(blobs(server).length, 1)
    }))
})

describe("me", () => {
  it.effect("tells the plan and the storage in use", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ plans: { free: { rateLimit: 7 } } })
      yield* uploaded(url, "12345", { headers: fred })
      const { json } = yield* call(`${url}/me`, { headers: fred })
      assert.deepStrictEqual(json as unknown, {
        success: true,
        status: 200,
        planId: 0,
        maxUploadBytes: 2 * 1024 ** 3,
        maxStorageBytes: 100 * 1024 ** 3,
        usedStorageBytes: 5,
        maxDownloads: 1,
        maxExpires: 367 * 86_400,
        rateLimit: 7,
        customDomain: null,
        directDownload: 0,
        paymentCustomerId: null,
        paymentSubscriptionId: null
      })
      const other = yield* call(`${url}/me`, { headers: anna })
      assert.strictEqual(other.json["usedStorageBytes"], 0)
      assert.strictEqual(other.json["directDownload"], 1)
      assert.deepStrictEqual([other.json["maxDownloads"], other.json["maxExpires"]], [null, null])
    }))
})

describe("a list", () => {
  const names6 = ["b.txt", "A.txt", "100%.txt", "1000.txt", "ÄRGER_x.txt", "ärgeryx.txt"]

  const filled = Effect.gen(function*() {
    const server = yield* start()
    for (const [i, name] of names6.entries()) {
      yield* uploaded(server.url, "x".repeat(1 + (i * 7) % 6), {
        name,
        headers: anna,
        fields: { expires: `${6 - i}d`, title: `title ${i}` }
      })
      yield* TestClock.adjust("1 second")
    }
    yield* uploaded(server.url, "not anna's", { name: "b.txt", headers: bert })
    yield* uploaded(server.url, "nobody's", { name: "b.txt" })
    const list = (query = "") => call(`${server.url}/${query}`, { headers: anna })
    return { ...server, list }
  })

  it.effect("has the account's files alone, newest first, with their number and size", () =>
    Effect.gen(function*() {
      const { list } = yield* filled
      const all = yield* list()
      assert.deepStrictEqual(names(all), names6.toReversed())
      assert.strictEqual(all.json["count"], 6)
      assert.strictEqual(all.json["size"], 1 + 2 + 3 + 4 + 5 + 6)
      assert.strictEqual(all.json["success"], true)
      assert.strictEqual(all.json["status"], 200)
    }))

  it.effect("of many files, which is encoded in pieces, has each of them in order", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const none = yield* call(`${url}/`, { headers: anna })
      assert.deepStrictEqual([none.json.nodes, none.json["count"], none.json["size"]], [[], 0, 0])
      const many = Array.from({ length: 123 }, (_, i) => `${String(i).padStart(3, "0")} "é", 漢\\ 😀.txt`)
      yield* Effect.forEach(many, (name) => uploaded(url, "x", { name, headers: anna }), { concurrency: 8 })
      for (const limit of [1, 49, 50, 51, 100, 123, 1000]) {
        const page = yield* call(`${url}/?sort=name&limit=${limit}`, { headers: anna })
        assert.deepStrictEqual(names(page), many.slice(0, limit))
        assert.strictEqual(Buffer.byteLength(page.text), Number(page.headers.get("content-length")))
      }
    }))

  it.effect("searches part of the name, in any case and any script, and takes signs as they are", () =>
    Effect.gen(function*() {
      const { list } = yield* filled
      const search = (text: string) =>
        Effect.map(list(`?sort=created&search=${encodeURIComponent(text)}`), (answer) => {
          assert.strictEqual(answer.json["count"], answer.json.nodes.length)
          return names(answer)
        })
      assert.deepStrictEqual(yield* search("a.TXT"), ["A.txt"])
      assert.deepStrictEqual(yield* search("0%"), ["100%.txt"])
      assert.deepStrictEqual(yield* search("R_X"), ["ÄRGER_x.txt"])
      assert.deepStrictEqual(yield* search("ärger"), ["ÄRGER_x.txt", "ärgeryx.txt"])
      assert.deepStrictEqual(yield* search("a\u0308rger"), ["ÄRGER_x.txt", "ärgeryx.txt"])
      assert.deepStrictEqual(yield* search("\\"), [])
      assert.deepStrictEqual(yield* search("' OR 1=1 --"), [])
      assert.deepStrictEqual(yield* search("title"), [])
      assert.strictEqual((yield* search("")).length, 6)
    }))

  it.effect("sorts by any field, in both directions, and refuses others", () =>
    Effect.gen(function*() {
      const { list } = yield* filled
      const sorted = (sort: string) => Effect.map(list(`?sort=${sort}`), names)
      assert.deepStrictEqual(yield* sorted("name"), [
        "100%.txt",
        "1000.txt",
        "A.txt",
        "b.txt",
        "ÄRGER_x.txt",
        "ärgeryx.txt"
      ])
      assert.deepStrictEqual(yield* sorted("-name"), (yield* sorted("name")).toReversed())
      assert.deepStrictEqual(yield* sorted("size"), names6)
      assert.deepStrictEqual(yield* sorted("-size"), names6.toReversed())
      assert.deepStrictEqual(yield* sorted("expires"), yield* sorted("-created"))
      assert.deepStrictEqual(yield* sorted("title"), names6)
      for (
        const field of ["id", "key", "mimeType", "downloads", "maxDownloads", "autoDelete", "modified", "-downloads"]
      ) {
        assert.strictEqual((yield* sorted(field)).length, 6, field)
      }
      for (const field of ["owner", "blob", "name;DROP", "-", "Name"]) {
        assertRefused(yield* list(`?sort=${encodeURIComponent(field)}`), 400, "INVALID_REQUEST")
      }
    }))

  it.effect("pages by offset and limit, and refuses what is no number", () =>
    Effect.gen(function*() {
      const { list } = yield* filled
      const pages = [
        names(yield* list("?sort=created&limit=4")),
        names(yield* list("?sort=created&limit=4&offset=4")),
        names(yield* list("?sort=created&limit=4&offset=8"))
      ]
      assert.deepStrictEqual(pages.map((page) => page.length), [4, 2, 0])
      assert.deepStrictEqual(pages.flat(), names6)
      assert.strictEqual((yield* list("?limit=2&search=txt")).json["count"], 6)
      assert.strictEqual(names(yield* list("?limit=100000")).length, 6)
      for (const query of ["limit=0", "limit=-1", "limit=x", "limit=1.5", "offset=-1", "offset=x", "limit=1&limit=2"]) {
        assertRefused(yield* list(`?${query}`), 400, "INVALID_REQUEST")
      }
    }))
})

describe("an update", () => {
  it.effect("with PATCH keeps what is not given", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const before = yield* uploaded(url, "old content", {
        name: "old.txt",
        headers: anna,
        fields: { expires: "3d", maxDownloads: "5", autoDelete: "false", title: "t" }
      })
      yield* TestClock.adjust("1 minute")
      const at = `${url}/${before.key}`
      const one = yield* send(at, "PATCH", { maxDownloads: "" }, anna)
      assert.strictEqual(one.status, 200, one.text)
      assert.deepStrictEqual<unknown>({ ...one.json, modified: 0 }, { ...before, modified: 0, maxDownloads: null })
      assert.isAbove(Date.parse(String(one.json["modified"])), Date.parse(String(before["modified"])))
      const two = yield* call(at, {
        method: "PATCH",
        headers: anna,
        body: new URLSearchParams({ expires: "", autoDelete: "true" })
      })
      assert.isNull(two.json["expires"])
      assert.strictEqual(two.json["autoDelete"], true)
      assert.isNull(two.json["maxDownloads"])
      const three = yield* upload(url, "new content!", {
        method: "PATCH",
        path: `/${before.key}`,
        headers: anna,
        name: "new.txt"
      })
      assert.strictEqual(three.json["name"], "new.txt")
      assert.strictEqual(three.json["size"], 12)
      assert.strictEqual(three.json["title"], "t")
      assert.strictEqual(three.json["created"], before["created"])
      assert.strictEqual((yield* call(at)).text, "new content!")
      assert.strictEqual((yield* call(at, { method: "PATCH", headers: anna })).status, 200)
    }))

  it.effect("with PUT resets what is not given to the defaults", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const before = yield* uploaded(url, "content", {
        name: "name.txt",
        headers: anna,
        fields: { expires: "3d", maxDownloads: "5", autoDelete: "false", title: "t" }
      })
      yield* TestClock.adjust("1 hour")
      const at = `${url}/${before.key}`
      const reset = yield* send(at, "PUT", { maxDownloads: "2" }, anna)
      assert.strictEqual(reset.status, 200, reset.text)
      assert.strictEqual(reset.json["maxDownloads"], 2)
      assert.strictEqual(reset.json["autoDelete"], true)
      assert.isNull(reset.json["title"])
      assert.strictEqual(reset.json["name"], "name.txt")
      const { expires, modified } = reset.json
      assert.strictEqual(Date.parse(String(expires)) - Date.parse(String(modified)), 14 * 24 * 60 * 60 * 1000)
      const replaced = yield* upload(url, "other", {
        method: "PUT",
        path: `/${before.key}`,
        headers: anna,
        name: "other.txt"
      })
      assert.strictEqual(replaced.json["maxDownloads"], 1)
      assert.strictEqual((yield* call(at)).text, "other")
      assertRefused(yield* call(at), 404, "FILE_NOT_FOUND")
    }))

  it.effect("of a used-up file that is kept makes it available again, by more downloads or by new content", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const { key } = yield* uploaded(url, "one", { headers: anna, fields: { autoDelete: "false" } })
      const at = `${url}/${key}`
      assert.strictEqual((yield* call(at)).text, "one")
      assertRefused(yield* call(at), 404, "FILE_NOT_FOUND")
      const listed = yield* call(url, { headers: anna })
      assert.strictEqual(listed.json.nodes[0]!["downloads"], 1)
      yield* send(at, "PATCH", { maxDownloads: "2" }, anna)
      assert.strictEqual((yield* call(at)).text, "one")
      assertRefused(yield* call(at), 404, "FILE_NOT_FOUND")
      const replaced = yield* upload(url, "two", { method: "PATCH", path: `/${key}`, headers: anna })
      assert.strictEqual(replaced.json["downloads"], 0)
      assert.strictEqual((yield* call(at)).text, "two")
      assert.strictEqual((yield* call(at)).text, "two")
      assertRefused(yield* call(at), 404, "FILE_NOT_FOUND")
    }))

  it.effect("with a wrong setting, an empty file or a setting beyond the plan changes nothing", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const before = yield* uploaded(server.url, "kept", { headers: fred })
      const path = `/${before.key}`
      const at = `${server.url}${path}`
      for (const method of ["PATCH", "PUT"]) {
        assertRefused(yield* send(at, method, { expires: "nonsense" }, fred), 400, "INVALID_REQUEST")
        assertRefused(yield* send(at, method, { maxDownloads: "9" }, fred), 402, "PLAN_LIMIT")
        assertRefused(yield* upload(server.url, "", { method, path, headers: fred }), 400, "INVALID_REQUEST")
        assertRefused(
          yield* upload(server.url, "new", { method, path, headers: fred, fields: { maxDownloads: "9" } }),
          402,
          "PLAN_LIMIT"
        )
        assertRefused(
          yield* call(at, { method, headers: { ...fred, "content-type": "application/json" }, body: "{}" }),
          415,
          "UNSUPPORTED_MEDIA_TYPE"
        )
      }
      const { json } = yield* call(server.url, { headers: fred })
      const { status: _, success: __, ...details } = before
      assert.deepStrictEqual<unknown>(json.nodes[0], details)
      assert.strictEqual(blobs(server).length, 1)
      assert.strictEqual((yield* call(at)).text, "kept")
    }))

  it.effect("of the content lets a download of the old one finish, which counts for nothing", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const old = pattern(LARGE)
      const { key } = yield* uploaded(url, old, { headers: anna })
      const under = yield* openDownload(`${url}/${key}`)
      const replaced = yield* upload(url, "new", { method: "PATCH", path: `/${key}`, headers: anna })
      assert.strictEqual(replaced.status, 200)
      const got = yield* Effect.promise(() => under.response.toArray())
      assert.isTrue(Buffer.concat(got as Array<Buffer>).equals(old))
      assert.strictEqual((yield* call(`${url}/${key}`)).text, "new")
    }))
})

describe("another account's file", () => {
  it.effect("is not found, and stays as it is", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const mine = yield* uploaded(url, "mine", { headers: anna })
      const nobodys = yield* uploaded(url, "nobody's")
      for (const { key } of [mine, nobodys]) {
        for (const headers of [bert, basic(BERT)]) {
          assertRefused(yield* call(`${url}/${key}`, { method: "DELETE", headers }), 404, "FILE_NOT_FOUND")
          assertRefused(yield* send(`${url}/${key}`, "PATCH", { expires: "1d" }, headers), 404, "FILE_NOT_FOUND")
          assertRefused(yield* upload(url, "x", { method: "PUT", path: `/${key}`, headers }), 404, "FILE_NOT_FOUND")
        }
      }
      assert.strictEqual((yield* call(`${url}/${mine.key}`)).text, "mine")
      assert.strictEqual((yield* call(`${url}/${nobodys.key}`)).text, "nobody's")
    }))
})

describe("a deletion", () => {
  it.effect("removes the file and its bytes; a second one finds nothing", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "x", { headers: anna })
      const at = `${server.url}/${key}`
      const answer = yield* call(at, { method: "DELETE", headers: anna })
      assert.deepStrictEqual<unknown>(answer.json, { success: true, status: 200 })
      assertRefused(yield* call(at), 404, "FILE_NOT_FOUND")
      assertRefused(yield* call(at, { method: "DELETE", headers: anna }), 404, "FILE_NOT_FOUND")
      assert.strictEqual((yield* call(server.url, { headers: anna })).json["count"], 0)
      yield* swept("1 minute", "the bytes are deleted", () => blobs(server).length === 0)
    }))
})

describe("a rate limit", () => {
  it.effect("refuses what is more than the plan allows in any second, and says when to come again", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ plans: { free: { rateLimit: 2 }, premium: { rateLimit: null } } })
      const me = call(`${url}/me`, { headers: fred })
      assert.strictEqual((yield* me).status, 200)
      yield* TestClock.adjust("600 millis")
      assert.strictEqual((yield* me).status, 200)
      const over = yield* me
      assertRefused(over, 429, "TOO_MANY_REQUESTS")
      assert.strictEqual(over.headers.get("retry-after"), "1")
      assert.strictEqual((yield* call(`${url}/me`, { headers: anna })).status, 200)
      yield* TestClock.adjust("399 millis")
      assertRefused(yield* me, 429, "TOO_MANY_REQUESTS")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* me).status, 200)
      assertRefused(yield* upload(url, "x", { headers: fred }), 429, "TOO_MANY_REQUESTS")
    }))

  it.effect("of callers without a key is counted by address, and only if configured", () =>
    Effect.gen(function*() {
      const open = yield* start({ anonymousPlan: "free", plans: { free: { rateLimit: 1 } } })
      for (let i = 0; i < 5; i++) yield* uploaded(open.url, "x")
      const limited = yield* start({ anonymousRateLimit: 1, plans: { premium: { rateLimit: null } } })
      yield* uploaded(limited.url, "x")
      assertRefused(yield* upload(limited.url, "x"), 429, "TOO_MANY_REQUESTS")
      yield* uploaded(limited.url, "x", { headers: anna })
    }))
})
