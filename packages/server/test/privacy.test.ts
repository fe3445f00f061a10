/** Spans, log lines and metrics contain no keys of files, links, names, searches or API keys. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, References, Tracer } from "effect"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { inspect } from "node:util"
import * as FileIoServer from "../src/FileIoServer.ts"
import type * as ServerOptions from "../src/ServerOptions.ts"
import { hasPostgres, postgres, skipping } from "./engines.ts"
import { accounts, ANNA, anna, call, plans, temporaryFolder, upload, uploaded } from "./support.ts"

const NAME = "secret-name"
const WORD = "secret-word"
const TOKEN = "secret-token"

/** A server in a program that traces and logs everything. */
const watched = (options: Partial<ServerOptions.Options> = {}) =>
  Effect.gen(function*() {
    const spans: Array<Tracer.NativeSpan> = []
    const lines: Array<string> = []
    const tracer = Tracer.make({
      span: (given) => {
        const span = new Tracer.NativeSpan(given)
        spans.push(span)
        return span
      }
    })
    const logger = Logger.make<unknown, void>(({ cause, fiber, message }) => {
      const annotations = fiber.getRef(References.CurrentLogAnnotations)
      lines.push(inspect([message, cause, annotations], { depth: 12, showHidden: true }))
    })
    const folder = yield* temporaryFolder
    const context = yield* Layer.build(FileIoServer.layer({
      dataDirectory: folder,
      accounts,
      plans,
      anonymousPlan: "premium",
      admin: {},
      ...options
    })).pipe(
      Effect.withTracer(tracer),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Trace")
    )
    const { adminUrl, url } = yield* Effect.provide(FileIoServer.FileIoServer, context)
    const told = () => ({
      spans: inspect(
        spans.map(({ attributes, events, links, name, status }) => [name, attributes, events, links, status]),
        {
          depth: 12
        }
      ),
      lines: lines.join("\n")
    })
    return { url, folder, adminUrl: adminUrl!, spans, told }
  })

/** Every kind of request, with a secret in each possible position. */
const ask = (url: string) =>
  Effect.gen(function*() {
    const { key } = yield* uploaded(url, "x", { name: `${NAME}.txt`, headers: anna, fields: { title: WORD } })
    yield* call(`${url}/?search=${WORD}`, { headers: anna })
    yield* call(`${url}/download/${key}`, { headers: { accept: "text/html" } })
    yield* call(`${url}/header/${key}`)
    yield* call(`${url}/${key}`, { method: "HEAD" })
    yield* call(`${url}/${key}/${WORD}`, { headers: { accept: "text/html" } })
    yield* call(`${url}/${key}?${WORD}=${WORD}`, { method: "PATCH", headers: anna })
    yield* call(`${url}/${key}`, { headers: { range: "bytes=0-", "if-range": `"${"a".repeat(32)}"` } })
    yield* call(`${url}/${key}`)
    yield* upload(url, "x", { path: `/${key}`, method: "PUT", name: NAME, headers: anna })
    yield* upload(url, "x", { path: `/?title=${WORD}&expires=${WORD}`, name: NAME })
    yield* call(`${url}/${key}`, { method: "DELETE", headers: anna })
    yield* call(`${url}/status/${key}`, { headers: { "delete-token": TOKEN } })
    yield* call(`${url}/${key}`, { method: "DELETE", headers: { "delete-token": TOKEN } })
    return key
  })

const assertPrivate = (what: string, text: string, key: string) => {
  for (const secret of [key, NAME, WORD, TOKEN, ANNA, ANNA.split(".")[1]!]) {
    assert.isFalse(
      text.includes(secret),
      `${what}: ${text.slice(Math.max(0, text.indexOf(secret) - 400), text.indexOf(secret) + 100)}`
    )
  }
}

type Watched = Effect.Success<ReturnType<typeof watched>>

/** Calls that all fail, and are logged. */
const askBroken = (server: Watched, key: string) =>
  Effect.gen(function*() {
    const answers = [
      yield* call(`${server.url}/${key}`),
      yield* call(`${server.url}/?search=${WORD}`, { headers: anna }),
      yield* upload(server.url, "x", { name: NAME, headers: anna, fields: { title: WORD } }),
      yield* call(`${server.url}/download/${key}`, { headers: { accept: "text/html" } }),
      yield* call(`${server.url}/header/${key}`),
      yield* call(`${server.url}/${key}`, { method: "DELETE", headers: anna }),
      yield* call(`${server.url}/${key}`, { method: "DELETE", headers: { "delete-token": TOKEN } }),
      yield* call(`${server.url}/status/${key}`, { headers: { "delete-token": TOKEN } })
    ]
    for (const { status } of answers) assert.isAtLeast(status, 500)
    const { lines, spans } = server.told()
    assert.notStrictEqual(lines, "")
    assertPrivate("spans", spans, key)
    assertPrivate("lines", lines, key)
  })

const BREAK = "ALTER TABLE files RENAME TO away; ALTER TABLE leases RENAME TO gone;"

describe("privacy", () => {
  it.live("holds in spans, log lines and metrics of every call", () =>
    Effect.gen(function*() {
      const { adminUrl, spans, told, url } = yield* watched()
      const key = yield* ask(url)
      const said = told()
      assertPrivate("spans", said.spans, key)
      assertPrivate("lines", said.lines, key)
      yield* call(`${adminUrl}/${key}`)
      assertPrivate("metrics", (yield* call(`${adminUrl}/metrics`)).text, key)
      assertPrivate("spans", told().spans, key)
      // What an operator needs is there: one span for each request, with the pattern of its route.
      assert.strictEqual(spans.length, 14)
      const [first] = spans
      assert.strictEqual(first!.name, "http.server POST")
      assert.deepStrictEqual(Object.fromEntries(first!.attributes), {
        "http.request.method": "POST",
        "http.route": "/",
        "http.response.status_code": 200
      })
      assert.includeMembers(spans.map((span) => span.attributes.get("http.route")), ["/:key", "/download/:key", "/"])
    }))

  it.live("holds in log lines when the catalog breaks", () =>
    Effect.gen(function*() {
      const server = yield* watched()
      const { key } = yield* uploaded(server.url, "x", { name: NAME, headers: anna })
      const db = new DatabaseSync(Path.join(server.folder, "catalog.sqlite"))
      db.exec(BREAK)
      db.close()
      yield* askBroken(server, key)
    }))
})

if (!hasPostgres) skipping("privacy with a catalog of PostgreSQL")
describe.skipIf(!hasPostgres)("privacy, with a catalog of PostgreSQL,", () => {
  it.live("holds in spans and log lines, also when it breaks", () =>
    Effect.gen(function*() {
      const { database, execute } = yield* postgres()
      const address = yield* database
      const server = yield* watched({ catalog: address })
      const asked = yield* ask(server.url)
      assertPrivate("spans", server.told().spans, asked)
      assertPrivate("lines", server.told().lines, asked)
      const { key } = yield* uploaded(server.url, "x", { name: NAME, headers: anna })
      yield* execute(address, BREAK)
      yield* askBroken(server, key)
    }))
})
