/** Untrusted text: names, types, titles and searches; and files that earlier versions have stored. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { execFile, spawnSync } from "node:child_process"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { promisify } from "node:util"
import { hasPostgres, postgres, skipping } from "./engines.ts"
import {
  anna,
  type Answer,
  assertRefused,
  call,
  sendParts,
  start,
  startStoppable,
  temporaryFolder,
  uploaded
} from "./support.ts"

const hasCurl = spawnSync("curl", ["--version"]).status === 0
if (!hasCurl) console.warn("SKIPPED: a download by curl; there is no curl")

const LENGTH = "it is longer than 1,024 bytes of UTF-8"
const CONTROLS = "it has control characters, such as line breaks; leave them out"

const send = (url: string, parameters: string, type = "text/plain", query = "") =>
  sendParts(`${url}/${query}`, [[
    [`Content-Disposition: form-data; name="file"; ${parameters}`, `Content-Type: ${type}`],
    "x"
  ]], { headers: anna })

const assertProblem = (answer: Answer, message: string) => {
  assertRefused(answer, 400, "INVALID_REQUEST")
  assert.strictEqual(answer.json["message"], message)
}

const checks = (server: Effect.Effect<{ readonly url: string }, unknown, Scope.Scope>) => {
  it.effect("that is too long is refused, by the name of the field and its limit", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.orDie(server)
      assertProblem(yield* send(url, `filename="${"ä".repeat(513)}"`), `name: ${LENGTH}`)
      assertProblem(yield* send(url, `filename*=UTF-8''${"%C3%A4".repeat(513)}`), `name: ${LENGTH}`)
      assertProblem(yield* send(url, "filename=a", `text/${"x".repeat(1020)}`), `contentType: ${LENGTH}`)
      assertProblem(yield* send(url, "filename=a", "text/plain", `?title=${"%C3%A4".repeat(513)}`), `title: ${LENGTH}`)
      const title = [["Content-Disposition: form-data; name=\"title\""], "ä".repeat(513)] as const
      assertProblem(yield* sendParts(url, [title], { headers: anna }), `title: ${LENGTH}`)
      const search = `${url}/?search=${encodeURIComponent("ä".repeat(513))}`
      assertProblem(yield* call(search, { headers: anna }), `search: ${LENGTH}`)
      const listed = yield* call(url, { headers: anna })
      assert.strictEqual(listed.json["count"], 0)
    }))

  it.effect("of the greatest length is stored, found and given", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.orDie(server)
      const name = "ä".repeat(512)
      const stored = yield* send(
        url,
        `filename="${name}"`,
        `text/${"x".repeat(120)}`,
        `?title=${encodeURIComponent(name)}`
      )
      assert.strictEqual(stored.status, 200, stored.text)
      assert.strictEqual(stored.json["name"], name)
      assert.strictEqual(stored.json["title"], name)
      const listed = yield* call(`${url}/?search=${encodeURIComponent(name)}`, { headers: anna })
      assert.strictEqual(listed.json.nodes.length, 1)
      const got = yield* call(`${url}/${stored.json.key}`)
      assert.strictEqual(got.text, "x")
      // A proxy such as nginx refuses a head of more than 4 KiB, after the file was given away.
      assert.isBelow([...got.headers].flat().join(": \r\n").length, 3000)
    }))

  it.effect("never is a fault of the host: control characters and halves of characters in every field", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.orDie(server)
      const strange = Array.from({ length: 0xA0 }, (_, code) => code).filter((code) => code < 0x20 || code > 0x7E)
      for (const code of strange) {
        const escaped = encodeURIComponent(String.fromCharCode(code))
        const stored = yield* send(url, `filename*=UTF-8''a${escaped}b.txt`)
        assert.strictEqual(stored.status, 200, `${code}: ${stored.text}`)
        assert.strictEqual(stored.json["name"], "ab.txt")
        assertProblem(yield* call(`${url}/?search=a${escaped}b`, { headers: anna }), `search: ${CONTROLS}`)
        assertProblem(yield* send(url, "filename=a", "text/plain", `?title=a${escaped}b`), `title: ${CONTROLS}`)
        assertRefused(yield* call(`${url}/?sort=${escaped}name`, { headers: anna }), 400, "INVALID_REQUEST")
        assertRefused(yield* call(`${url}/abcdefgh${escaped}`, { headers: anna }), 404, "FILE_NOT_FOUND")
      }
      // Half of a surrogate pair, as UTF-8 would have it if it could.
      assert.strictEqual((yield* call(`${url}/?search=%ED%A0%80`, { headers: anna })).status, 200)
      assert.strictEqual((yield* send(url, "filename=a", "text/plain", "?title=%ED%A0%80")).status, 200)
      const listed = yield* call(`${url}/?limit=1000`, { headers: anna })
      assert.strictEqual(listed.json.nodes.length, strange.length + 1)
    }))
}

describe("text in a catalog of SQLite", () => {
  checks(start())
})

if (!hasPostgres) skipping("text in a catalog of PostgreSQL")
describe.skipIf(!hasPostgres)("text in a catalog of PostgreSQL", () => {
  checks(Effect.gen(function*() {
    const { database } = yield* postgres()
    return yield* start({ catalog: yield* database })
  }))
})

describe("a name", () => {
  it.effect("loses deceptive characters, and keeps the joiners of its words", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (
        const [sent, kept] of [
          ["invoice\u202Efdp.exe", "invoicefdp.exe"],
          ["\u2066a\u2069.txt", "a.txt"],
          ["می\u200Cخواهم.pdf", "می\u200Cخواهم.pdf"],
          ["\u{1F468}\u200D\u{1F469}\u200D\u{1F467}.jpg", "\u{1F468}\u200D\u{1F469}\u200D\u{1F467}.jpg"],
          [".bashrc", ".bashrc"],
          ["\u202E", "file"]
        ] as const
      ) {
        const file = yield* uploaded(url, "x", { name: sent, headers: anna })
        assert.strictEqual(file["name"], kept)
        const got = yield* call(`${url}/${file.key}`)
        const given = /filename\*=UTF-8''(\S+)$/.exec(got.headers.get("content-disposition")!)?.[1]
        if (given !== undefined) assert.strictEqual(decodeURIComponent(given), kept)
      }
    }))
})

describe("a type", () => {
  it.effect("that is invalid in a header is stored as unknown bytes", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (
        const [sent, kept] of [
          ["text/html", "text/html"],
          ["image/svg+xml; a=b", "image/svg+xml"],
          ["text/pl\u00E4in", "application/octet-stream"],
          ["text", "application/octet-stream"],
          [`text/${"x".repeat(500)}`, "application/octet-stream"]
        ] as const
      ) {
        const stored = yield* send(url, "filename=a", sent)
        assert.strictEqual(stored.json["mimeType"], kept, stored.text)
        assert.strictEqual((yield* call(`${url}/${stored.json.key}`)).headers.get("content-type"), kept)
      }
    }))
})

describe("a file that an older version has stored under a name of any length", () => {
  it.live.skipIf(!hasCurl)("is given whole to every client", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const first = yield* startStoppable({ folder })
      const keys: Array<string> = []
      for (let i = 0; i < 6; i++) keys.push((yield* uploaded(first.url, `content ${i}`)).key)
      yield* Scope.close(first.scope, Exit.void)
      const db = new DatabaseSync(Path.join(folder, "catalog.sqlite"))
      const names = ["ä".repeat(7000), "\uFDFA".repeat(20_000), `${"x".repeat(60_000)}\u0000\r\n.tar.gz`]
      const change = db.prepare("UPDATE files SET name = ?, mime_type = ? WHERE key = ?")
      for (const [i, key] of keys.entries()) change.run(names[i % 3]!, `text/${"y".repeat(20_000)}`, key)
      db.close()
      const { url } = yield* start({ folder })
      for (const [i, key] of keys.entries()) {
        const address = `${url}/${key}`
        // The page that a browser shows before.
        assert.strictEqual((yield* call(`${url}/download/${key}`)).status, 200)
        const text = i % 2 === 0
          ? (yield* call(address)).text
          : yield* Effect.promise(async () => (await promisify(execFile)("curl", ["-sS", address])).stdout)
        assert.strictEqual(text, `content ${i}`)
        assert.strictEqual((yield* call(address)).status, 404)
      }
    }))
})
