/** The header of an encrypted file, which its page gets before the file is taken: all of the header, and nothing else. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { ARMORED, headerOf, MAC, WITH_PASSPHRASE } from "./ageFiles.ts"
import { s3, S3_CREDENTIALS } from "./engines.ts"
import { proxy } from "./lab/proxy.ts"
import { anna, assertRefused, blobs, bytesOf, call, openDownload, pattern, start, uploaded } from "./support.ts"

Object.assign(process.env, S3_CREDENTIALS)

const PAGE = { accept: "text/html,application/xhtml+xml" }

/** More than the catalog holds, so that the bytes are in the store. */
const LARGE_BYTES = 100_000

/** A content behind a header, which must stay with the host: it looks like a part of the header as far as it can. */
const PAYLOADS = [
  Buffer.alloc(0),
  Buffer.from("-"),
  Buffer.from(`-> X25519 secret\nsecret\n${MAC}`),
  Buffer.from(`\n${MAC}`),
  pattern(1000),
  pattern(LARGE_BYTES)
]

const headerAt = (url: string, key: string) => bytesOf(`${url}/header/${key}`)

/** Uploads a content, asks for its header, and checks that nothing was taken. */
const given = Effect.fnUntraced(function*(url: string, content: Uint8Array<ArrayBuffer>, text = "") {
  const { key } = yield* uploaded(url, content, { headers: anna })
  const { body, status } = yield* headerAt(url, key)
  assert.strictEqual(status, body.length === 0 ? 204 : 200, text)
  const { json } = yield* call(`${url}/status/${key}`)
  assert.deepStrictEqual([json["state"], json["downloads"], json["attempts"]], ["available", 0, 0])
  assert.isTrue((yield* bytesOf(`${url}/${key}`)).body.equals(content))
  assert.strictEqual((yield* headerAt(url, key)).status, 404)
  return body.toString("latin1")
})

const assertOnlyHeaders = Effect.fnUntraced(function*(url: string) {
  for (const header of [headerOf(1), headerOf(100)]) {
    for (const payload of PAYLOADS) {
      const content = Buffer.concat([Buffer.from(header), payload])
      assert.strictEqual(yield* given(url, content), header)
    }
  }
})

describe("the header of an encrypted file", () => {
  it.effect("is given without a byte behind it, from the catalog and from a folder", () =>
    Effect.gen(function*() {
      yield* assertOnlyHeaders((yield* start()).url)
      const server = yield* start()
      const { key } = yield* uploaded(server.url, Buffer.concat([Buffer.from(headerOf(1)), pattern(LARGE_BYTES)]))
      const { key: small } = yield* uploaded(server.url, headerOf(1))
      assert.lengthOf(Fs.readdirSync(Path.join(server.folder, "blobs")), 1)
      for (const one of [key, small]) {
        const { headers, status, text } = yield* call(`${server.url}/header/${one}`)
        assert.strictEqual(status, 200)
        assert.strictEqual(text, headerOf(1))
        // It is text that somebody else has chosen.
        assert.strictEqual(headers.get("content-type"), "application/octet-stream")
        assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
        assert.include(headers.get("content-security-policy")!, "sandbox")
        assert.include(headers.get("cache-control")!, "no-store")
        assert.strictEqual((yield* call(`${server.url}/header/${one}`, { method: "HEAD" })).text, "")
        assertRefused(yield* call(`${server.url}/header/${one}`, { method: "DELETE" }), 405, "METHOD_NOT_ALLOWED")
      }
    }))

  it.effect("of the age program is given as it is, and decoded from its text form", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const header = yield* given(url, WITH_PASSPHRASE)
      assert.match(header, /^age-encryption\.org\/v1\n-> scrypt \S{22} 18\n\S{43}\n--- \S{43}\n$/)
      assert.isTrue(WITH_PASSPHRASE.toString("latin1").startsWith(header))
      for (const text of [ARMORED, `\r\n ${ARMORED}`, ARMORED.replaceAll("\n", "\r\n")]) {
        assert.match(
          yield* given(url, Buffer.from(text)),
          /^age-encryption\.org\/v1\n-> scrypt MgVq\/Tumz\S+ 18\n\S{43}\n--- fr2pexcfL\S{34}\n$/
        )
      }
    }))

  it.effect("is not given of what has none, and of a hostile one there is nothing but a header", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const whole = headerOf(2)
      const behind = "the content"
      for (
        const content of [
          "content",
          "age-encryption.org/v1",
          whole.replace("v1", "v2"),
          whole.replaceAll("\n", "\r\n"),
          whole.slice(0, -1),
          whole.slice(0, 100),
          ` ${whole}`,
          // No stanza.
          headerOf(0),
          // Lines that are no stanzas, which may be a text about the format.
          whole.replace("--- ", "a line of text\n--- "),
          whole.replace("g\n", "g=\n"),
          whole.replace("-> ", "->"),
          whole.replace("X25519 ", "X25519  "),
          whole.replace("X25519", "X25519\u00E4"),
          whole.replace("X25519", "X25519\0"),
          // Longer than a header may be.
          headerOf(200),
          "-> x\n".repeat(10_000),
          `-----BEGIN AGE ENCRYPTED FILE-----\n${Buffer.from("the content").toString("base64")}`,
          `-----BEGIN AGE ENCRYPTED FILE-----\n${"=".repeat(1000)}`
        ]
      ) {
        const found = yield* given(url, Buffer.from(content + behind, "latin1"), content)
        assert.strictEqual(found, "", content.slice(0, 300))
      }
      const strange = whole.replace(
        "--- ",
        `-> "><script>alert(1)</script> \${x}\n\n-> grease ~!\n${"g".repeat(64)}\n\n--- `
      )
      assert.strictEqual(yield* given(url, Buffer.from(strange + behind)), strange)
    }))

  it.effect("ends with its file, and needs a key where the page of the file does", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { url } = server
      const send = () => uploaded(url, headerOf(1), { headers: anna, fields: { expires: "1h" } })
      const [deleted, replaced, expired] = [yield* send(), yield* send(), yield* send()]
      yield* call(`${url}/${deleted.key}`, { method: "DELETE", headers: anna })
      const form = new FormData()
      form.append("file", new Blob([headerOf(2)]), "new.age")
      yield* call(`${url}/${replaced.key}`, { method: "PUT", headers: anna, body: form })
      assertRefused(yield* call(`${url}/header/${deleted.key}`), 404, "FILE_NOT_FOUND")
      assert.strictEqual(String((yield* headerAt(url, replaced.key)).body), headerOf(2))
      yield* TestClock.adjust("61 minutes")
      assertRefused(yield* call(`${url}/header/${expired.key}`), 404, "FILE_NOT_FOUND")
      assertRefused(yield* call(`${url}/header/abcdefghijkl`), 404, "FILE_NOT_FOUND")
      assertRefused(yield* call(`${url}/header/%00`), 404, "FILE_NOT_FOUND")

      const closed = yield* start({ anonymous: "none" })
      const { key } = yield* uploaded(closed.url, headerOf(1), { headers: anna })
      assertRefused(yield* call(`${closed.url}/header/${key}`), 401, "UNAUTHORIZED")
      assert.strictEqual((yield* call(`${closed.url}/header/${key}`, { headers: anna })).text, headerOf(1))
    }))

  it.live("is given during a download, which it leaves alone; there is none where the bytes are missing", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const content = Buffer.concat([Buffer.from(headerOf(1)), pattern(32 * 1024 * 1024)])
      const { key } = yield* uploaded(server.url, content)
      const { response } = yield* openDownload(`${server.url}/${key}`)
      response.pause()
      assert.strictEqual(String((yield* headerAt(server.url, key)).body), headerOf(1))
      const chunks = yield* Effect.promise(() => Array.fromAsync(response as AsyncIterable<Buffer>))
      assert.isTrue(Buffer.concat(chunks).equals(content))
      assert.strictEqual((yield* headerAt(server.url, key)).status, 404)

      const lost = yield* uploaded(server.url, Buffer.concat([Buffer.from(headerOf(1)), pattern(LARGE_BYTES)]))
      for (const blob of blobs(server)) Fs.rmSync(Path.join(server.folder, "blobs", blob), { force: true })
      assert.strictEqual((yield* headerAt(server.url, lost.key)).status, 204)
    }))

  it.live("is read from S3, whose silence holds no page", () =>
    Effect.gen(function*() {
      const store = yield* s3
      const line = yield* proxy(Number(new URL(store.endpoint).port))
      const { url } = yield* start({
        blobs: `s3://files?endpoint=http://127.0.0.1:${line.port}`,
        engineTimeout: "2 seconds"
      })
      yield* assertOnlyHeaders(url)
      const content = Buffer.concat([Buffer.from(headerOf(3)), pattern(LARGE_BYTES)])
      const { key } = yield* uploaded(url, content, { name: "a.age" })
      line.setMode("silent")
      line.silenceOpen()
      const asked = call(`${url}/header/${key}`)
      const page = call(`${url}/download/${key}`, { headers: PAGE })
      const [refused, shown] = yield* Effect.all([asked, page], { concurrency: 2 })
      assert.strictEqual(shown.status, 200)
      assertRefused(refused, 503, "UNAVAILABLE")
      line.setMode("pass")
      line.cut()
      assert.strictEqual((yield* call(`${url}/header/${key}`)).text, headerOf(3))
      assert.isTrue((yield* bytesOf(`${url}/${key}`)).body.equals(content))
    }))
})
