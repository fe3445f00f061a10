/** Senders without an account delete their files with the token that the response to the upload had. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Resumable from "./resumableClient.ts"
import {
  anna,
  type Answer,
  assertRefused,
  bert,
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

const TOKEN = /^[A-Za-z0-9_-]{32}$/

const tokenOf = (answer: Answer): string => {
  const token = String(answer.json["deleteToken"])
  assert.match(token, TOKEN)
  assert.strictEqual(answer.headers.get("delete-token"), token)
  assert.strictEqual(answer.headers.get("cache-control"), "no-store")
  return token
}

const remove = (url: string, key: string, token: string, headers: Record<string, string> = {}) =>
  call(`${url}/${key}`, { method: "DELETE", headers: { "delete-token": token, ...headers } })

describe("a deletion token", () => {
  it.effect("comes with every kind of upload, and deletes the file without a key", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { url } = server
      const form = new URLSearchParams({ text: "a text" })
      for (
        const answer of [
          yield* upload(url, "x"),
          yield* upload(url, "x", { headers: anna }),
          yield* call(url, { method: "POST", body: form }),
          yield* call(url, { method: "POST", body: "bytes", headers: { "content-type": "image/png" } }),
          yield* call(`${url}/photo.jpg`, { method: "PUT", body: "bytes", headers: { "content-type": "image/jpeg" } })
        ]
      ) {
        const token = tokenOf(answer)
        const removed = yield* remove(url, answer.json.key, token)
        assert.strictEqual(removed.status, 200, removed.text)
        assert.isNull(removed.headers.get("delete-token"))
        assertRefused(yield* call(`${url}/${answer.json.key}`), 404, "FILE_NOT_FOUND")
        assertRefused(yield* remove(url, answer.json.key, token), 404, "FILE_NOT_FOUND")
      }
    }))

  it.effect("that is wrong is refused exactly as one of a file that never was, and deletes nothing", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const mine = yield* upload(url, "mine")
      const other = yield* upload(url, "other", { headers: anna })
      const token = tokenOf(mine)
      const shape = ({ headers, status, text }: Answer, key: string) => [
        status,
        text.replaceAll(key, "KEY"),
        [...headers].map(([name, value]) => [name, name === "date" ? "" : value])
      ]
      const unknown = shape(yield* remove(url, "abcdefghijkl", token), "abcdefghijkl")
      assert.strictEqual(unknown[0], 404)
      const changed = (token.startsWith("A") ? "B" : "A") + token.slice(1)
      for (
        const wrong of [
          changed,
          tokenOf(other),
          "",
          " ",
          token.slice(1),
          `${token}x`,
          `${token}, ${token}`,
          token.toUpperCase() === token ? token.toLowerCase() : token.toUpperCase(),
          "null",
          "undefined",
          "%00",
          "a".repeat(4000),
          Buffer.from(Array.from({ length: 120 }, (_, i) => 0x80 + i)).toString("latin1")
        ]
      ) {
        assert.deepStrictEqual(
          shape(yield* remove(url, mine.json.key, wrong), mine.json.key),
          unknown,
          JSON.stringify(wrong)
        )
      }
      // A token takes the place of a key, so a key does not help a wrong one.
      assertRefused(yield* remove(url, other.json.key, token, anna), 404, "FILE_NOT_FOUND")
      // An unknown key is refused before the token is looked at.
      assertRefused(yield* remove(url, mine.json.key, token, { authorization: "Bearer no" }), 401, "UNAUTHORIZED")
      assertRefused(yield* call(`${url}/${mine.json.key}`, { method: "DELETE" }), 401, "UNAUTHORIZED")
      assert.strictEqual((yield* call(`${url}/${mine.json.key}`)).text, "mine")
      assert.strictEqual((yield* call(`${url}/${other.json.key}`)).text, "other")
    }))

  it.effect("stays with the file when it is changed, and no other response has it", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const answer = yield* upload(url, "x", { headers: anna, fields: { maxDownloads: "2" } })
      const token = tokenOf(answer)
      const { key } = answer.json
      const page = { accept: "text/html,application/xhtml+xml" }
      for (
        const later of [
          yield* call(`${url}/${key}`, { method: "HEAD" }),
          yield* call(`${url}/?limit=10`, { headers: anna }),
          yield* upload(url, "new", { path: `/${key}`, method: "PATCH", headers: anna }),
          yield* upload(url, "newer", { path: `/${key}`, method: "PUT", headers: anna }),
          yield* call(`${url}/download/${key}`, { headers: page }),
          yield* call(`${url}/uploaded/${key}`, { headers: page })
        ]
      ) {
        assert.strictEqual(later.status, 200, later.text)
        assert.isNull(later.headers.get("delete-token"))
        assert.notInclude(later.text, token)
        assert.notMatch(later.text, /deletetoken|deletehash/i)
      }
      // A caller with the key of another account still needs only the token.
      assert.strictEqual((yield* remove(url, key, token, bert)).status, 200)
      assertRefused(yield* call(`${url}/${key}`), 404, "FILE_NOT_FOUND")
    }))

  it.effect("of a resumable upload comes again for a client that lost the response", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const created = yield* Effect.promise(() =>
        Resumable.ask(url, {
          method: "POST",
          path: "/",
          headers: {
            "content-type": "image/png",
            "content-disposition": "attachment; filename=a.png",
            "upload-complete": "?0"
          }
        })
      )
      assert.strictEqual(created.status, 201, created.text)
      assert.isUndefined(created.headers["delete-token"])
      const path = created.headers["location"]!
      const last = (body: Buffer, offset: number) =>
        Effect.promise(() =>
          Resumable.ask(url, {
            method: "PATCH",
            path,
            headers: { ...Resumable.PARTIAL, "upload-offset": String(offset), "upload-complete": "?1" },
            body
          })
        )
      const body = Buffer.from("all of it")
      const first = yield* last(body, 0)
      assert.strictEqual(first.status, 200, first.text)
      const token = first.headers["delete-token"]!
      assert.match(token, TOKEN)
      const { deleteToken, key } = JSON.parse(first.text) as { deleteToken: string; key: string }
      assert.strictEqual(deleteToken, token)
      const again = yield* last(Buffer.alloc(0), body.length)
      assert.deepStrictEqual([again.status, again.headers["delete-token"]], [200, token])
      assert.strictEqual((JSON.parse(again.text) as { deleteToken: string }).deleteToken, token)
      assert.strictEqual((yield* Effect.promise(() => Resumable.offsetOf(url, path))).headers["delete-token"], token)
      assert.strictEqual((yield* remove(url, key, token)).status, 200)
      assertRefused(yield* call(`${url}/${key}`), 404, "FILE_NOT_FOUND")
    }))

  it.effect("of a file that a resumable upload changes is not revealed, and stays", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const answer = yield* upload(url, "old", { headers: anna })
      const { key } = answer.json
      const changed = yield* Effect.promise(() =>
        Resumable.ask(url, {
          method: "PATCH",
          path: `/${key}`,
          headers: { "content-type": "image/png", "upload-complete": "?1", ...anna },
          body: Buffer.from("new")
        })
      )
      assert.strictEqual(changed.status, 200, changed.text)
      assert.isUndefined(changed.headers["delete-token"])
      assert.notInclude(changed.text, "deleteToken")
      assert.strictEqual((yield* remove(url, key, tokenOf(answer))).status, 200)
    }))

  it.effect("deletes while a download runs: the receiver gets no last byte, and one of two deletions succeeds", () =>
    Effect.gen(function*() {
      const server = yield* start({ minimumRate: 0 })
      const { url } = server
      const answer = yield* upload(url, pattern(LARGE))
      const { key } = answer.json
      const download = yield* openDownload(`${url}/${key}`)
      assert.strictEqual(download.status, 200)
      const token = tokenOf(answer)
      const removed = yield* Effect.all(Array.from({ length: 8 }, () => remove(url, key, token)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(removed.map(({ status }) => status).toSorted(), [200, ...Array(7).fill(404)])
      const taken = yield* Effect.promise(() => download.response.toArray().then(() => "whole", () => "broken off"))
      assert.strictEqual(taken, "broken off")
      assertRefused(yield* call(`${url}/${key}`), 404, "FILE_NOT_FOUND")
    }))

  it.effect("is enough where everything else needs a key", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymous: "none" })
      const answer = yield* upload(url, "x", { headers: fred })
      const { key } = answer.json
      assertRefused(yield* call(`${url}/${key}`), 401, "UNAUTHORIZED")
      assertRefused(yield* remove(url, key, "wrong"), 404, "FILE_NOT_FOUND")
      assert.strictEqual((yield* remove(url, key, tokenOf(answer))).status, 200)
      assertRefused(yield* call(`${url}/${key}`, { headers: fred }), 404, "FILE_NOT_FOUND")
    }))

  it.effect("counts against the limit of its address, right or wrong", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymousRateLimit: 5 })
      const answers = yield* Effect.all(Array.from({ length: 12 }, () => remove(url, "abcdefghijkl", "wrong")), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(answers.map(({ status }) => status).toSorted(), [
        ...Array(5).fill(404),
        ...Array(7).fill(429)
      ])
    }))

  it.effect("works from pages of the server and of allowed sites, and from no other site", () =>
    Effect.gen(function*() {
      const SITE = "https://site.example"
      const own = yield* start()
      const allowing = yield* start({ allowedOrigins: [SITE] })
      const mine = yield* upload(own.url, "x")
      const theirs = yield* upload(allowing.url, "x")
      assertRefused(
        yield* remove(own.url, mine.json.key, tokenOf(mine), { origin: SITE }),
        403,
        "ORIGIN_NOT_ALLOWED"
      )
      const { host } = new URL(own.url)
      const same = { origin: `http://${host}`, "sec-fetch-site": "same-origin" }
      assert.strictEqual((yield* remove(own.url, mine.json.key, tokenOf(mine), same)).status, 200)
      const asked = yield* call(`${allowing.url}/${theirs.json.key}`, {
        method: "OPTIONS",
        headers: {
          origin: SITE,
          "access-control-request-method": "DELETE",
          "access-control-request-headers": "delete-token"
        }
      })
      assert.include(asked.headers.get("access-control-allow-headers")!, "delete-token")
      assert.include(asked.headers.get("access-control-expose-headers")!, "delete-token")
      assert.strictEqual(
        (yield* remove(allowing.url, theirs.json.key, tokenOf(theirs), { origin: SITE })).status,
        200
      )
    }))

  it.effect("is stored only as a hash, and is in no log", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const logs = yield* temporaryFolder
      const server = yield* startStoppable({
        folder,
        auditLog: Path.join(logs, "audit"),
        accessLog: Path.join(logs, "access")
      })
      const answers = [yield* upload(server.url, "kept"), yield* upload(server.url, "deleted", { headers: anna })]
      const [kept, deleted] = answers.map(tokenOf)
      const last = answers[1]!.json.key
      assert.strictEqual((yield* remove(server.url, last, deleted!)).status, 200)
      yield* remove(server.url, last, kept!)
      const read = (path: string) =>
        Fs.readdirSync(path, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => Fs.readFileSync(Path.join(entry.parentPath, entry.name), "latin1"))
          .join("")
      yield* eventually("the audit log", () => read(logs).includes("\"by\":\"token\""))
      const stored = read(folder) + read(logs)
      for (const token of [kept!, deleted!]) assert.notInclude(stored, token)
      assert.include(stored, "\"account\":\"anna\"")
    }))
})
