/** Responses of PostgreSQL that are lost after it did what it was asked: nothing stored is lost, and every result is true. */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Redacted, Scope } from "effect"
import { execFileSync } from "node:child_process"
import { Catalog } from "../src/Catalog.ts"
import * as PgCatalog from "../src/PgCatalog.ts"
import { hasPostgres, type Postgres, postgres, psql, skipping } from "./engines.ts"
import { proxy } from "./lab/proxy.ts"
import { claimed, file } from "./leaseRules.ts"
import { anna, type Answer, assertRefused, blobs, call, eventually, start, upload, uploaded } from "./support.ts"

const engines = Scope.makeUnsafe()
let postgresql: Postgres
beforeAll(async () => {
  if (hasPostgres) postgresql = await Effect.runPromise(Scope.provide(postgres(), engines))
})
afterAll(() => Effect.runPromise(Scope.close(engines, Exit.void)))

const overPostgres = Effect.gen(function*() {
  const url = new URL(Redacted.value(yield* postgresql.database))
  const line = yield* proxy(Number(url.port))
  url.port = String(line.port)
  const server = yield* start({ catalog: url.href, engineTimeout: "5 seconds", grace: "1 hour" })
  return { ...server, line }
})

/** Two catalogs over one database, the first one through a proxy. */
const twoCatalogs = Effect.gen(function*() {
  const direct = yield* postgresql.database
  const url = new URL(Redacted.value(direct))
  const line = yield* proxy(Number(url.port))
  url.port = String(line.port)
  const open = (url: Redacted.Redacted) =>
    Effect.map(
      Layer.build(
        PgCatalog.layer({ url, grace: 60_000, timeout: "1 minute" }).pipe(Layer.provide(NodeCrypto.layerSecureRandom))
      ),
      (context) => Context.get(context, Catalog)
    )
  return { catalog: yield* open(Redacted.make(url.href)), line, other: yield* open(direct) }
})

/** Loses the response to the statement with these words, and keeps PostgreSQL away from then on, before anything is repeated. */
const cutOff = (line: Effect.Success<ReturnType<typeof proxy>>, ...words: ReadonlyArray<string>) => {
  const done = line.meet("lose", ...words).then(() => {
    line.setMode("refuse")
    line.cut()
  })
  return Effect.promise(() => done)
}

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
    }))

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
      })
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
    }))

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
      })
  )

  it.live("to the commit of new content that others replace meanwhile: theirs stays, with its bytes, and the first is unknown", () =>
    Effect.gen(function*() {
      const { catalog, line, other } = yield* twoCatalogs
      const { key } = yield* other.insert(file({ blob: "old" }))
      yield* catalog.expect("lost", { owner: "anna", key })
      const losing = cutOff(line, "lost", "COMMIT")
      const updating = yield* Effect.forkScoped(
        Effect.flip(catalog.update(key, "anna", { content: { ...file({ blob: "lost" }), isExpected: true } }))
      )
      yield* losing
      assert.strictEqual(Option.getOrThrow(yield* other.get(key)).blob, "lost")
      yield* other.expect("newer", { owner: "anna", key })
      yield* other.update(key, "anna", { content: { ...file({ blob: "newer" }), isExpected: true } })
      const garbage = yield* other.garbage("")
      assert.deepStrictEqual(garbage, ["lost", "old"])
      yield* other.forget(garbage)
      line.setMode("pass")
      assert.strictEqual((yield* Fiber.join(updating)).reason, "unknown")
      assert.strictEqual(Option.getOrThrow(yield* other.get(key)).blob, "newer")
      assert.deepStrictEqual(yield* other.garbage(""), [])
    }))

  it.live("to the commit of new content of a file that is used up meanwhile: unknown, and not that there is no such file", () =>
    Effect.gen(function*() {
      const { catalog, line, other } = yield* twoCatalogs
      const { key } = yield* other.insert(file({ blob: "old", maxDownloads: 1 }))
      yield* catalog.expect("lost", { owner: "anna", key })
      const losing = cutOff(line, "lost", "COMMIT")
      const updating = yield* Effect.forkScoped(
        Effect.flip(catalog.update(key, "anna", { content: { ...file({ blob: "lost" }), isExpected: true } }))
      )
      yield* losing
      const lease = claimed(yield* other.claim(key))
      yield* other.handOver(lease)
      yield* other.commit(lease)
      assert.isTrue(Option.isNone(yield* other.get(key)))
      line.setMode("pass")
      assert.strictEqual((yield* Fiber.join(updating)).reason, "unknown")
    }))

  it.live("to an upload whose content others replace meanwhile: theirs stays, and the first is unknown", () =>
    Effect.gen(function*() {
      const { catalog, line, other } = yield* twoCatalogs
      const shard = yield* catalog.expect("lost", { owner: "anna" })
      const losing = cutOff(line, "lost", "upload.bin")
      const uploading = yield* Effect.forkScoped(
        Effect.flip(catalog.insert(file({ blob: "lost", name: "upload.bin", isExpected: true, shard })))
      )
      yield* losing
      const { files } = yield* other.list({ owner: "anna", sort: "id", descending: false, offset: 0, limit: 9 })
      const { key } = files[0]!
      yield* other.expect("newer", { owner: "anna", key })
      yield* other.update(key, "anna", { content: { ...file({ blob: "newer" }), isExpected: true } })
      yield* other.forget(yield* other.garbage(""))
      line.setMode("pass")
      assert.strictEqual((yield* Fiber.join(uploading)).reason, "unknown")
      assert.strictEqual((yield* other.totals).files, 1)
      assert.strictEqual(Option.getOrThrow(yield* other.get(key)).blob, "newer")
    }))

  it.live("to new content, that is read after the deadline since the server stood still: unknown, or not made", () =>
    Effect.gen(function*() {
      const url = yield* postgresql.database
      const context = yield* Layer.build(
        PgCatalog.layer({ url, grace: 60_000, timeout: "3 seconds" }).pipe(Layer.provide(NodeCrypto.layerSecureRandom))
      )
      const catalog = Context.get(context, Catalog)
      const { key } = yield* catalog.insert(file({ blob: "old" }))
      yield* postgresql.execute(
        url,
        `CREATE FUNCTION wait() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NEW; END';
         CREATE TRIGGER wait BEFORE UPDATE ON files FOR EACH ROW EXECUTE FUNCTION wait()`
      )
      yield* catalog.expect("newer", { owner: "anna", key })
      const updating = yield* Effect.forkScoped(
        Effect.result(catalog.update(key, "anna", { content: { ...file({ blob: "newer" }), isExpected: true } }))
      )
      const waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
      yield* eventually("PostgreSQL updates the row", () => psql(url, waiting) === "1")
      // Nothing runs in this process meanwhile; then it notices the deadline before the response, which has come first.
      yield* Effect.callback<void>((resume) => {
        setImmediate(() => {
          execFileSync("sleep", ["5"])
          resume(Effect.void)
        })
      })
      const result = yield* Fiber.join(updating)
      yield* eventually(
        "the connection is closed",
        () => psql(url, "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") === "0"
      )
      const { blob } = Option.getOrThrow(yield* catalog.get(key))
      if (result._tag === "Success") assert.strictEqual(blob, "newer")
      else if (result.failure.reason !== "unknown") assert.strictEqual(blob, "old", String(result.failure.cause))
    }))

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
    }))

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
    }))
})
