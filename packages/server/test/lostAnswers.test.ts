/** Responses of PostgreSQL that are lost after it did what it was asked: nothing stored is lost, and every result is true. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Redacted, Scope } from "effect"
import { hasPostgres, type Postgres, postgres, skipping } from "./engines.ts"
import { proxy } from "./lab/proxy.ts"
import { anna, type Answer, assertRefused, blobs, call, eventually, start, upload, uploaded } from "./support.ts"

const engines = Scope.makeUnsafe()
let postgresql: Postgres
beforeAll(async () => {
  if (hasPostgres) postgresql = await Effect.runPromise(Scope.provide(postgres(), engines))
}, 60_000)
afterAll(() => Effect.runPromise(Scope.close(engines, Exit.void)))

const overPostgres = Effect.gen(function*() {
  const url = new URL(Redacted.value(yield* postgresql.database))
  const line = yield* proxy(Number(url.port))
  url.port = String(line.port)
  const server = yield* start({ catalog: url.href, engineTimeout: "5 seconds", grace: "1 hour" })
  return { ...server, line }
})

/** The result of a call in which PostgreSQL's response to the statement with these words is lost. */
const losing = (
  line: Effect.Success<ReturnType<typeof proxy>>,
  words: ReadonlyArray<string>,
  asking: Effect.Effect<Answer>
) =>
  Effect.gen(function*() {
    const lost = line.meet("lose", ...words)
    const [answer] = yield* Effect.all([asking, Effect.promise(() => lost)], { concurrency: 2 })
    return answer
  })

const list = (url: string) => Effect.map(call(`${url}/`, { headers: anna }), ({ json }) => json)

skipping("answers of PostgreSQL that are lost")
describe.skipIf(!hasPostgres)("a lost response of PostgreSQL", () => {
  it.live("to an upload: the file is there once, and has its bytes", () =>
    Effect.gen(function*() {
      const { line, url } = yield* overPostgres
      const answer = yield* losing(
        line,
        ["phantom.bin"],
        upload(url, "content", { name: "phantom.bin", headers: anna })
      )
      assert.strictEqual(answer.status, 200, answer.text)
      const { count, nodes } = yield* list(url)
      assert.deepStrictEqual([count, nodes.map(({ key }) => key)], [1, [answer.json.key]])
      assert.strictEqual((yield* call(`${url}/${answer.json.key}`)).text, "content")
      assertRefused(yield* call(`${url}/${answer.json.key}`), 404, "FILE_NOT_FOUND")
    }), 40_000)

  it.live(
    "to an upload, and PostgreSQL is away then: the answer says that it is unknown, and the bytes stay",
    () =>
      Effect.gen(function*() {
        const server = yield* overPostgres
        const { line, url } = server
        const lost = line.meet("lose", "phantom.bin")
        const asking = Effect.runPromise(upload(url, "content", { name: "phantom.bin", headers: anna }))
        yield* Effect.promise(() => lost)
        line.setMode("refuse")
        line.cut()
        assertRefused(yield* Effect.promise(() => asking), 500, "OUTCOME_UNKNOWN")
        assert.strictEqual(blobs(server).length, 1)
        line.setMode("pass")
        yield* eventually("it works again", async () => (await fetch(`${url}/me`, { headers: anna })).ok)
        const { nodes } = yield* list(url)
        assert.strictEqual((yield* call(`${url}/${String(nodes[0]!["key"])}`)).text, "content")
      }),
    40_000
  )

  it.live("to the commit of new content: the new content is there, and only its bytes", () =>
    Effect.gen(function*() {
      const server = yield* overPostgres
      const { line, url } = server
      const { key } = yield* uploaded(url, "old", { name: "old.bin", headers: anna, fields: { maxDownloads: "2" } })
      const put = upload(url, "newer", {
        method: "PUT",
        path: `/${key}`,
        name: "newer.bin",
        headers: anna,
        fields: { maxDownloads: "2" }
      })
      const answer = yield* losing(line, ["newer.bin", "COMMIT"], put)
      assert.strictEqual(answer.status, 200, answer.text)
      assert.deepStrictEqual([answer.json["name"], answer.json["downloads"]], ["newer.bin", 0])
      for (let i = 0; i < 2; i++) assert.strictEqual((yield* call(`${url}/${key}`)).text, "newer")
      assertRefused(yield* call(`${url}/${key}`), 404, "FILE_NOT_FOUND")
    }), 40_000)

  it.live(
    "to the commit of new content: its downloads meanwhile stay counted",
    () =>
      Effect.gen(function*() {
        const { line, url } = yield* overPostgres
        const { key } = yield* uploaded(url, "old", {
          headers: anna,
          fields: { maxDownloads: "1", autoDelete: "false" }
        })
        const put = upload(url, "newer", {
          method: "PUT",
          path: `/${key}`,
          name: "newer.bin",
          headers: anna,
          fields: { maxDownloads: "1", autoDelete: "false" }
        })
        const lost = line.meet("lose", "newer.bin", "COMMIT")
        const asking = Effect.runPromise(put)
        yield* Effect.promise(() => lost)
        const first = yield* call(`${url}/${key}`)
        const answer = yield* Effect.promise(() => asking)
        assert.strictEqual(answer.status, 200, answer.text)
        assert.strictEqual(first.text, "newer")
        assertRefused(yield* call(`${url}/${key}`), 404, "FILE_NOT_FOUND")
      }),
    40_000
  )

  it.live("to a deletion: it is done, and reported as such", () =>
    Effect.gen(function*() {
      const { line, url } = yield* overPostgres
      const { key } = yield* uploaded(url, "content", { headers: anna })
      // The statement's text is sent only once, and the key with every other statement.
      yield* call(`${url}/${key}`, { method: "HEAD" })
      const deletion = call(`${url}/${key}`, { method: "DELETE", headers: anna })
      const answer = yield* losing(line, ["DELETE FROM files", key], deletion)
      assert.strictEqual(answer.status, 200, answer.text)
      assertRefused(yield* call(`${url}/${key}`, { method: "DELETE", headers: anna }), 404, "FILE_NOT_FOUND")
      assert.strictEqual((yield* list(url))["count"], 0)
    }), 40_000)

  it.live("to a claim: a 503, and the file is available again at once", () =>
    Effect.gen(function*() {
      const { line, url } = yield* overPostgres
      const { key } = yield* uploaded(url, "content", { headers: anna })
      const answer = yield* losing(line, ["INSERT INTO leases", key], call(`${url}/${key}`))
      assertRefused(answer, 503, "UNAVAILABLE")
      // The grace time, for which the lease would hold it, is an hour.
      yield* eventually("the file is free", async () => (await fetch(`${url}/${key}`, { method: "HEAD" })).ok)
      assert.strictEqual((yield* call(`${url}/${key}`)).text, "content")
      assertRefused(yield* call(`${url}/${key}`), 404, "FILE_NOT_FOUND")
    }), 40_000)
})
