import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Resumable from "./resumableClient.ts"
import * as Support from "./support.ts"

const { ask, finish, offsetOf, PARTIAL } = Resumable

const create = (url: string, asked: Partial<Resumable.Asked> = {}) =>
  ask(url, {
    method: "POST",
    path: "/",
    ...asked,
    headers: { "upload-complete": "?0", "content-disposition": "inline; filename=\"a.bin\"", ...asked.headers }
  })

const download = (url: string, key: string) =>
  Effect.promise(() => fetch(`${url}/${key}`).then(async (answer) => Buffer.from(await answer.arrayBuffer())))

const keyOf = (reply: Resumable.Reply): string => {
  assert.strictEqual(reply.status, 200, reply.text)
  assert.strictEqual(reply.headers["upload-complete"], "?1")
  return (JSON.parse(reply.text) as { readonly key: string }).key
}

const unfinished = ({ folder }: Support.Running): Array<string> => Fs.readdirSync(Path.join(folder, "unfinished"))

/** Bytes of unfinished uploads that are in files. */
const stored = (server: Support.Running): number =>
  unfinished(server).reduce(
    (sum, name) => sum + Fs.statSync(Path.join(server.folder, "unfinished", name)).size,
    0
  )

describe("resumable uploads", () => {
  it.live("are discovered by OPTIONS, with the limits of the caller's plan", () =>
    Effect.gen(function*() {
      const { url } = yield* Support.start({
        plans: { premium: { maxUploadBytes: 1000 }, free: { maxUploadBytes: 10, rateLimit: null } }
      })
      for (const path of ["/", "/ABCDEFGHIJKL", "/uploads/none"]) {
        const reply = yield* Effect.promise(() => ask(url, { method: "OPTIONS", path, headers: Support.fred }))
        assert.strictEqual(reply.status, 204)
        assert.strictEqual(reply.headers["accept-patch"], "application/partial-upload")
        assert.strictEqual(reply.headers["upload-limit"], "max-size=10, max-age=3600")
        assert.include(reply.headers["allow"], "OPTIONS")
      }
      const me = yield* Support.call(`${url}/me`, { headers: Support.fred })
      assert.strictEqual(me.headers.get("upload-limit"), "max-size=10, max-age=3600")
      const anonymous = yield* Effect.promise(() => ask(url, { method: "OPTIONS", path: "/" }))
      assert.strictEqual(anonymous.headers["upload-limit"], "max-size=1000, max-age=3600")
    }))

  it.live("arrive in parts, and end with the response of the contract, which can be repeated", () =>
    Effect.gen(function*() {
      const server = yield* Support.start()
      const { url } = server
      const body = Support.pattern(100_000)
      const begun = yield* Effect.promise(() =>
        create(url, {
          path: "/?maxDownloads=2&title=parts",
          headers: { "upload-length": String(body.length), "content-type": "image/png" },
          body: body.subarray(0, 10)
        })
      )
      assert.strictEqual(begun.status, 201)
      assert.strictEqual(begun.headers["upload-complete"], "?0")
      assert.strictEqual(begun.headers["upload-offset"], "10")
      const path = begun.headers["location"]!
      assert.match(path, /^\/uploads\/[\w-]{32}$/)
      const part = yield* Effect.promise(() =>
        ask(url, {
          method: "PATCH",
          path,
          headers: { ...PARTIAL, "upload-offset": "10", "upload-complete": "?0" },
          body: body.subarray(10, 70_000)
        })
      )
      assert.strictEqual(part.status, 204)
      assert.strictEqual(part.headers["upload-offset"], "70000")
      const before = yield* Effect.promise(() => offsetOf(url, path))
      assert.strictEqual(before.status, 204)
      assert.strictEqual(before.offset, 70_000)
      assert.isFalse(before.isComplete)
      assert.strictEqual(before.headers["upload-length"], "100000")
      assert.strictEqual(before.headers["cache-control"], "no-store")
      assert.match(before.headers["upload-limit"]!, /^max-size=\d+, max-age=\d+$/)

      const last = yield* Effect.promise(() => finish(url, path, body, 70_000))
      const key = keyOf(last)
      assert.strictEqual(last.headers["upload-offset"], "100000")
      const details = JSON.parse(last.text) as Record<string, unknown>
      assert.strictEqual(details["name"], "a.bin")
      assert.strictEqual(details["mimeType"], "image/png")
      assert.strictEqual(details["size"], 100_000)
      assert.strictEqual(details["title"], "parts")
      assert.strictEqual(details["maxDownloads"], 2)

      const after = yield* Effect.promise(() => offsetOf(url, path))
      assert.isTrue(after.isComplete)
      // So a client that lost the response can have the link.
      assert.strictEqual(after.headers["file-link"], `${url}/${key}`)
      assert.strictEqual(after.offset, 100_000)
      const again = yield* Effect.promise(() => finish(url, path, body, 100_000))
      assert.strictEqual(again.text, last.text)
      const more = yield* Effect.promise(() => finish(url, path, Buffer.alloc(100_001), 100_000))
      assert.strictEqual(more.status, 400)
      assert.include(more.text, "#inconsistent-upload-length")
      const elsewhere = yield* Effect.promise(() => finish(url, path, Buffer.alloc(0), 5))
      assert.strictEqual(elsewhere.status, 400)
      assert.include(elsewhere.text, "#completed-upload")

      assert.isTrue((yield* download(url, key)).equals(body))
      assert.deepStrictEqual(unfinished(server), [])
    }))

  for (const version of ["6", "8", undefined]) {
    it.live(`say their address before the body has come (version ${version ?? "of the RFC"})`, () =>
      Effect.gen(function*() {
        const { url } = yield* Support.start()
        const body = Support.pattern(300_000)
        const headers = {
          "upload-complete": "?1",
          ...(version === undefined ? {} : { "upload-draft-interop-version": version })
        }
        const broken = yield* Effect.promise(() => create(url, { headers, body, cut: 200_000 }))
        const interim = broken.interim[0]!
        assert.strictEqual(interim.status, 104)
        assert.strictEqual(interim.headers["upload-draft-interop-version"], version)
        assert.match(interim.headers["upload-limit"]!, /max-age=3600/)
        const path = interim.headers["location"]!
        const { headers: state, offset } = yield* Effect.promise(() => offsetOf(url, path))
        assert.strictEqual(offset, 200_000)
        assert.strictEqual(state["upload-length"], "300000")
        const key = keyOf(yield* Effect.promise(() => finish(url, path, body, offset)))
        assert.isTrue((yield* download(url, key)).equals(body))
      }))
  }

  it.live("respond to a single complete request as to an ordinary upload", () =>
    Effect.gen(function*() {
      const { url } = yield* Support.start()
      const body = Support.pattern(5000)
      const whole = yield* Effect.promise(() => create(url, { headers: { "upload-complete": "?1" }, body }))
      assert.isTrue((yield* download(url, keyOf(whole))).equals(body))
      const chunked = yield* Effect.promise(() =>
        fetch(`${url}/`, {
          method: "POST",
          headers: { "upload-complete": "?1" },
          body: new Blob([body]).stream(),
          duplex: "half"
        } as RequestInit).then((answer) => answer.json() as Promise<{ readonly key: string }>)
      )
      assert.isTrue((yield* download(url, chunked.key)).equals(body))
    }))

  it.live("of version 6 are complete with their last byte, as tus-js-client takes them; of others they are when that is said", () =>
    Effect.gen(function*() {
      const { url } = yield* Support.start()
      const body = Support.pattern(100)
      const six = { "upload-draft-interop-version": "6", "upload-length": "100" }
      const appended = yield* Effect.promise(() => create(url, { headers: six, body }))
      assert.isTrue((yield* download(url, keyOf(appended))).equals(body))
      // The bytes came by a request that did not end the upload, and nothing but the offset is asked for then.
      const begun = yield* Effect.promise(() => create(url, { headers: { "upload-length": "100" }, body }))
      assert.strictEqual(begun.status, 201)
      const path = begun.headers["location"]!
      assert.isFalse((yield* Effect.promise(() => offsetOf(url, path))).isComplete)
      const asked = yield* Effect.promise(() => ask(url, { method: "HEAD", path, headers: six }))
      assert.strictEqual(asked.headers["upload-complete"], "?1")
      assert.isTrue((yield* download(url, asked.headers["file-link"]!.slice(url.length + 1))).equals(body))
    }))

  for (const kind of ["bytes", "form"] as const) {
    it.live(`go on from each byte at which a small one breaks (${kind})`, () =>
      Effect.gen(function*() {
        const server = yield* Support.start()
        const { url } = server
        const content = Support.pattern(96)
        const boundary = "----edge"
        const body = kind === "bytes" ? content : Buffer.concat([
          Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="title"\r\n\r\nhello\r\n`),
          Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n`),
          content,
          Buffer.from(`\r\n--${boundary}--\r\n`)
        ])
        const headers = {
          "upload-complete": "?1",
          ...(kind === "bytes" ? {} : { "content-type": `multipart/form-data; boundary=${boundary}` })
        }
        for (let cut = 0; cut < body.length; cut++) {
          const broken = yield* Effect.promise(() => create(url, { headers, body, cut }))
          const path = broken.interim[0]!.headers["location"]!
          const { offset } = yield* Effect.promise(() => offsetOf(url, path))
          assert.strictEqual(offset, cut)
          const last = yield* Effect.promise(() => finish(url, path, body, offset))
          const key = keyOf(last)
          if (kind === "form") assert.include(last.text, "\"title\":\"hello\"")
          assert.isTrue((yield* download(url, key)).equals(content), `cut at ${cut}`)
        }
        assert.deepStrictEqual(unfinished(server), [])
      }))
  }

  it.live("refuse an offset that is not the upload's, and lengths that do not agree", () =>
    Effect.gen(function*() {
      const { url } = yield* Support.start()
      const begun = yield* Effect.promise(() =>
        create(url, { headers: { "upload-length": "100" }, body: Buffer.alloc(40) })
      )
      const path = begun.headers["location"]!
      const patch = (headers: Record<string, string>, size: number) =>
        Effect.promise(() =>
          ask(url, {
            method: "PATCH",
            path,
            headers: { ...PARTIAL, "upload-complete": "?0", ...headers },
            body: Buffer.alloc(size)
          })
        )
      for (const offset of ["0", "39", "41", "1000"]) {
        const wrong = yield* patch({ "upload-offset": offset }, 10)
        assert.strictEqual(wrong.status, 409)
        assert.strictEqual(wrong.headers["upload-offset"], "40")
        assert.strictEqual(wrong.headers["upload-complete"], "?0")
        assert.strictEqual(wrong.headers["content-type"], "application/problem+json")
        const problem = JSON.parse(wrong.text) as Record<string, unknown>
        assert.strictEqual(problem["type"], "https://iana.org/assignments/http-problem-types#mismatching-upload-offset")
        assert.strictEqual(problem["expected-offset"], 40)
        assert.strictEqual(problem["provided-offset"], Number(offset))
        assert.strictEqual(problem["code"], "UPLOAD_OFFSET")
      }
      for (
        const headers of [
          { "upload-offset": "40", "upload-length": "101" },
          { "upload-offset": "40", "upload-complete": "?1" }
        ]
      ) {
        const inconsistent = yield* patch(headers, 10)
        assert.strictEqual(inconsistent.status, 400)
        assert.include(inconsistent.text, "#inconsistent-upload-length")
      }
      for (
        const [headers, status] of [
          [{}, 400],
          [{ "upload-offset": "-1" }, 400],
          [{ "upload-offset": "40", "upload-complete": "yes" }, 400],
          [{ "upload-offset": "40", "content-type": "application/octet-stream" }, 415]
        ] as const
      ) {
        assert.strictEqual((yield* patch(headers, 10)).status, status)
      }
      // None of these has changed anything.
      assert.strictEqual((yield* Effect.promise(() => offsetOf(url, path))).offset, 40)
    }))

  it.live("end if more arrives than was announced", () =>
    Effect.gen(function*() {
      const server = yield* Support.start()
      const { url } = server
      const begun = yield* Effect.promise(() => create(url, { headers: { "upload-length": "100" } }))
      const path = begun.headers["location"]!
      const beyond = yield* Effect.promise(() =>
        fetch(`${url}${path}`, {
          method: "PATCH",
          headers: { ...PARTIAL, "upload-offset": "0", "upload-complete": "?0" },
          body: new Blob([Buffer.alloc(101)]).stream(),
          duplex: "half"
        } as RequestInit)
      )
      assert.strictEqual(beyond.status, 400)
      assert.strictEqual((yield* Effect.promise(() => offsetOf(url, path))).status, 404)
    }))

  it.live("are refused before the first byte if the plan does not allow them", () =>
    Effect.gen(function*() {
      const { url } = yield* Support.start({
        plans: { premium: { maxUploadBytes: 1000, maxDownloads: 5, rateLimit: null } }
      })
      const large = yield* Effect.promise(() => create(url, { headers: { "upload-length": "1001" } }))
      assert.strictEqual(large.status, 413)
      assert.match(large.headers["upload-limit"]!, /^max-size=1000,/)
      const many = yield* Effect.promise(() => create(url, { path: "/?maxDownloads=6" }))
      assert.strictEqual(many.status, 402)
      const grown = yield* Effect.promise(() => create(url, { body: Buffer.alloc(1000) }))
      const beyond = yield* Effect.promise(() => finish(url, grown.headers["location"]!, Buffer.alloc(1001), 1000))
      assert.strictEqual(beyond.status, 413)
      const empty = yield* Effect.promise(() => create(url))
      const nothing = yield* Effect.promise(() => finish(url, empty.headers["location"]!, Buffer.alloc(0), 0))
      assert.strictEqual(nothing.status, 400)
      // The target has responded, so it is over.
      assert.strictEqual(nothing.headers["upload-complete"], "?1")
      assert.strictEqual((yield* Effect.promise(() => offsetOf(url, empty.headers["location"]!))).status, 404)
    }))

  it.live("are not created by a part of an unknown version: it would be stored as the whole", () =>
    Effect.gen(function*() {
      const server = yield* Support.start()
      const { url } = server
      for (
        const headers of [
          { "upload-draft-interop-version": "5" },
          { "upload-draft-interop-version": "9" },
          { "upload-draft-interop-version": "3", "upload-complete": "", "upload-incomplete": "?1" }
        ]
      ) {
        const refused = yield* Effect.promise(() => create(url, { headers, body: Buffer.alloc(10) }))
        assert.strictEqual(refused.status, 400, JSON.stringify(headers))
      }
      assert.deepStrictEqual(Support.blobs(server), [])
      const whole = yield* Effect.promise(() =>
        create(url, {
          headers: { "upload-draft-interop-version": "99", "upload-complete": "?1" },
          body: Buffer.alloc(10)
        })
      )
      assert.strictEqual(whole.status, 200)
      assert.deepStrictEqual(whole.interim, [])
    }))

  it.live("have one request at a time: a newer one ends the older, and gets the accepted offset", () =>
    Effect.gen(function*() {
      const server = yield* Support.start()
      const { url } = server
      const body = Support.pattern(3_000_000)
      const begun = yield* Effect.promise(() => create(url, { headers: { "upload-length": String(body.length) } }))
      const path = begun.headers["location"]!
      const { promise, resolve } = Promise.withResolvers<number>()
      // The older one has sent some, and neither ends nor breaks.
      const older = yield* Effect.promise(() =>
        ask(url, {
          method: "PATCH",
          path,
          headers: { ...PARTIAL, "upload-offset": "0", "upload-complete": "?1" },
          body,
          cut: 1_000_000,
          beforeEnd: async () => {
            await Effect.runPromise(Support.eventually("bytes of the older one are stored", () => stored(server) > 0))
            resolve((await offsetOf(url, path)).offset)
          }
        })
      )
      assert.strictEqual(older.status, 409, older.text)
      assert.include(older.text, "UPLOAD_SUPERSEDED")
      const offset = yield* Effect.promise(() => promise)
      assert.isAtMost(offset, 1_000_000)
      const key = keyOf(yield* Effect.promise(() => finish(url, path, body, offset)))
      assert.isTrue((yield* download(url, key)).equals(body))
    }))

  it.live("mix nothing where many send at once", () =>
    Effect.gen(function*() {
      const { url } = yield* Support.start()
      const body = Support.pattern(2_000_000)
      const begun = yield* Effect.promise(() => create(url, { headers: { "upload-length": String(body.length) } }))
      const path = begun.headers["location"]!
      const replies = yield* Effect.promise(() =>
        Promise.all(Array.from({ length: 8 }, () => finish(url, path, body, 0)))
      )
      const statuses = replies.map(({ status }) => status)
      assert.isTrue(statuses.every((status) => [0, 200, 400, 409].includes(status)), String(statuses))
      const { isComplete, offset } = yield* Effect.promise(() => offsetOf(url, path))
      const done = yield* Effect.promise(() => finish(url, path, body, offset))
      assert.isTrue(isComplete || done.status === 200)
      assert.isTrue((yield* download(url, keyOf(done))).equals(body))
    }))

  it.live("belong to their account, and to those who know the address", () =>
    Effect.gen(function*() {
      const { url } = yield* Support.start()
      const of = (headers: Record<string, string>) =>
        Effect.map(Effect.promise(() => create(url, { headers })), (reply) => reply.headers["location"]!)
      const asks = (method: string, path: string, headers: Record<string, string>) =>
        Effect.map(Effect.promise(() => ask(url, { method, path, headers })), ({ status }) => status)
      const annas = yield* of(Support.anna)
      assert.strictEqual(yield* asks("HEAD", annas, Support.anna), 204)
      assert.strictEqual(yield* asks("HEAD", annas, {}), 204)
      assert.strictEqual(yield* asks("HEAD", annas, Support.bert), 404)
      assert.strictEqual(yield* asks("DELETE", annas, Support.bert), 404)
      assert.strictEqual(yield* asks("HEAD", annas, Support.bearer("nobody")), 401)
      const key = keyOf(yield* Effect.promise(() => finish(url, annas, Buffer.alloc(10), 0)))
      const listed = yield* Support.call(`${url}/?search=a.bin`, { headers: Support.anna })
      assert.deepStrictEqual(listed.json.nodes.map((node) => node["key"]), [key])

      const nobodys = yield* of({})
      assert.strictEqual(yield* asks("HEAD", nobodys, Support.bert), 204)
      assert.strictEqual(yield* asks("DELETE", nobodys, {}), 204)
      assert.strictEqual(yield* asks("HEAD", nobodys, {}), 404)
      assert.strictEqual(yield* asks("DELETE", nobodys, {}), 404)
      assert.strictEqual(yield* asks("PUT", nobodys, {}), 405)
    }))

  it.live("need a key where uploads need one", () =>
    Effect.gen(function*() {
      const { url } = yield* Support.start({ anonymous: "downloads" })
      assert.strictEqual((yield* Effect.promise(() => create(url))).status, 401)
      const begun = yield* Effect.promise(() => create(url, { headers: Support.anna }))
      assert.strictEqual(begun.status, 201)
      assert.strictEqual((yield* Effect.promise(() => offsetOf(url, begun.headers["location"]!))).status, 401)
    }))

  for (const method of ["PUT", "PATCH"]) {
    it.live(`give a file another content (${method})`, () =>
      Effect.gen(function*() {
        const server = yield* Support.start()
        const { url } = server
        const { key } = yield* Support.uploaded(url, "old", { headers: Support.anna, fields: { title: "t" } })
        const body = Support.pattern(50_000)
        const broken = yield* Effect.promise(() =>
          create(url, {
            method,
            path: `/${key}`,
            headers: { ...Support.anna, "upload-complete": "?1" },
            body,
            cut: 20_000
          })
        )
        const path = broken.interim[0]!.headers["location"]!
        // Until it is complete, the file has its old content.
        assert.strictEqual((yield* Support.call(`${url}/?search=file.txt`, { headers: Support.anna })).json["count"], 1)
        const last = yield* Effect.promise(() => finish(url, path, body, 20_000))
        assert.strictEqual(keyOf(last), key)
        assert.include(last.text, method === "PUT" ? "\"title\":null" : "\"title\":\"t\"")
        assert.isTrue((yield* download(url, key)).equals(body))
        const other = yield* Effect.promise(() =>
          create(url, { method, path: `/${key}`, headers: { ...Support.bert, "upload-complete": "?0" } })
        )
        assert.strictEqual(other.status, 404)
      }))
  }

  it.live("count against the plan while they are incomplete, and free it when they are cancelled", () =>
    Effect.gen(function*() {
      const server = yield* Support.start({ plans: { premium: { maxStorageBytes: 1_000_000, rateLimit: null } } })
      const { url } = server
      const used = Effect.map(
        Support.call(`${url}/me`, { headers: Support.anna }),
        ({ json }) => json["usedStorageBytes"] as number
      )
      const begun = yield* Effect.promise(() => create(url, { headers: Support.anna, body: Buffer.alloc(800_000) }))
      assert.strictEqual(yield* used, 800_000)
      const second = yield* Support.upload(url, Support.pattern(300_000), { headers: Support.anna })
      Support.assertRefused(second, 413, "STORAGE_QUOTA_EXCEEDED")
      const third = yield* Effect.promise(() => create(url, { headers: Support.anna, body: Buffer.alloc(300_000) }))
      assert.strictEqual(third.status, 413)
      const path = begun.headers["location"]!
      assert.strictEqual((yield* Effect.promise(() => ask(url, { method: "DELETE", path }))).status, 204)
      // The received part of the third one stays until its time is over.
      assert.isAtMost(yield* used, 300_000)
    }))

  it.live("count once against the plan, and in place of the file that they change", () =>
    Effect.gen(function*() {
      // The progress is recorded every 16 MiB; from then on the catalog counts these bytes.
      const size = 40 * 1024 * 1024
      const { url } = yield* Support.start({
        plans: { premium: { maxStorageBytes: size + 1000, rateLimit: null } }
      })
      const send = (asked: Partial<Resumable.Asked>, body: Uint8Array) =>
        Effect.promise(() =>
          create(url, { ...asked, headers: { ...Support.anna, "upload-complete": "?1" }, body: Buffer.from(body) })
        )
      const key = keyOf(yield* send({}, Buffer.alloc(size, 1)))
      assert.strictEqual(keyOf(yield* send({ method: "PATCH", path: `/${key}` }, Buffer.alloc(size, 2))), key)
      const me = yield* Support.call(`${url}/me`, { headers: Support.anna })
      assert.strictEqual(me.json["usedStorageBytes"], size)
      const tooMuch = yield* send({}, Buffer.alloc(2000))
      assert.strictEqual(tooMuch.status, 413)
      assert.include(tooMuch.text, "STORAGE_QUOTA_EXCEEDED")
    }))

  it.effect("do not end while their bytes arrive, however slowly", () =>
    Effect.gen(function*() {
      const server = yield* Support.start({ uploadLifetime: "1 hour", sweepInterval: "1 minute" })
      const { url } = server
      const path = (yield* Effect.promise(() => create(url))).headers["location"]!
      const { hostname, port } = new URL(url)
      const socket = Net.connect({ host: hostname, port: Number(port) })
      yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
      socket.write(
        `PATCH ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/partial-upload\r\nupload-offset: 0\r\n` +
          "upload-complete: ?1\r\ncontent-length: 80000\r\nconnection: close\r\n\r\n"
      )
      const response = new Promise<string>((resolve) => {
        let text = ""
        socket.setEncoding("latin1").on("data", (some: string) => text += some).on("close", () => resolve(text))
      })
      // Each part is in the file before the clock goes on.
      for (let sent = 20_000; sent <= 60_000; sent += 20_000) {
        socket.write(Buffer.alloc(20_000, 7))
        yield* Support.eventually(`${sent} bytes are stored`, () => Promise.resolve(stored(server) >= sent))
        yield* TestClock.adjust("40 minutes")
      }
      socket.write(Buffer.alloc(20_000, 7))
      assert.include(yield* Effect.promise(() => response), "upload-complete: ?1")
    }))

  it.effect("end when their time is over, with their bytes and rows", () =>
    Effect.gen(function*() {
      const server = yield* Support.start({ uploadLifetime: "1 hour", sweepInterval: "1 minute" })
      const { url } = server
      const begun = yield* Effect.promise(() => create(url, { body: Buffer.alloc(5000) }))
      const path = begun.headers["location"]!
      const done = yield* Effect.promise(() =>
        create(url, { headers: { "upload-complete": "?1" }, body: Buffer.alloc(9) })
      )
      assert.strictEqual(unfinished(server).length, 1)
      yield* TestClock.adjust("59 minutes")
      // New bytes prolong it; a HEAD does not.
      const state = yield* Effect.promise(() => offsetOf(url, path))
      assert.include(state.headers["upload-limit"], "max-age=60")
      const more = yield* Effect.promise(() =>
        ask(url, {
          method: "PATCH",
          path,
          headers: { ...PARTIAL, "upload-offset": "5000", "upload-complete": "?0" },
          body: Buffer.alloc(10)
        })
      )
      assert.strictEqual(more.status, 204)
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual((yield* Effect.promise(() => offsetOf(url, path))).status, 204)
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual((yield* Effect.promise(() => offsetOf(url, path))).status, 404)
      yield* Support.eventually("the bytes are gone", () => unfinished(server).length === 0)
      const db = new DatabaseSync(Path.join(server.folder, "catalog.sqlite"), { readOnly: true })
      yield* Support.eventually(
        "the rows are gone",
        () => db.prepare("SELECT count(*) AS rows FROM uploads").get()!["rows"] === 0
      )
      db.close()
      // The file of the completed one stays.
      assert.strictEqual((yield* download(url, keyOf(done))).length, 9)
    }))

  it.live("continue after a restart", () =>
    Effect.gen(function*() {
      const folder = yield* Support.temporaryFolder
      const body = Support.pattern(500_000)
      const path = yield* Effect.scoped(Effect.gen(function*() {
        const { url } = yield* Support.start({ folder })
        const broken = yield* Effect.promise(() =>
          create(url, { headers: { "upload-complete": "?1" }, body, cut: 123_456 })
        )
        return broken.interim[0]!.headers["location"]!
      }))
      const { url } = yield* Support.start({ folder })
      const { offset } = yield* Effect.promise(() => offsetOf(url, path))
      assert.strictEqual(offset, 123_456)
      const key = keyOf(yield* Effect.promise(() => finish(url, path, body, offset)))
      assert.isTrue((yield* download(url, key)).equals(body))
    }))
})
