import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { execFile } from "node:child_process"
import * as Path from "node:path"
import { promisify } from "node:util"
import { build } from "vite"
import { openDatabase } from "../src/internal/sql/sqlite.ts"
import * as SqliteReader from "../src/internal/sql/sqliteReader.ts"
import { eventually, temporaryFolder } from "./support.ts"

/** Some seconds, for hundreds of turns of the event loop: the thread of a query ends after it. */
const LONG =
  "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000) SELECT count(*) FROM n"

const opened = Effect.gen(function*() {
  const path = Path.join(yield* temporaryFolder, "test.sqlite")
  const db = yield* Effect.acquireRelease(Effect.sync(() => openDatabase(path)), (db) => Effect.sync(() => db.close()))
  db.exec("CREATE TABLE numbers (n INTEGER)")
  const add = db.change("INSERT INTO numbers (n) VALUES (:n)")
  return { path, insert: (n: number, durable: boolean) => db.transaction(() => add.run({ n }), { durable }) }
})

const sum = { text: "SELECT coalesce(sum(n), 0) AS sum FROM numbers", values: {} }

describe("a reader in its own thread", () => {
  it.live("sees every change that was committed before it was asked, synced or not", () =>
    Effect.gen(function*() {
      const { insert, path } = yield* opened
      const { read } = yield* SqliteReader.make(path)
      for (let n = 1; n <= 200; n++) {
        insert(1, n % 2 === 0)
        const [[row]] = (yield* read([sum])) as [[Record<string, unknown>]]
        assert.strictEqual(row["sum"], n)
      }
    }))

  it.live("reads all statements of a question at one moment", () =>
    Effect.gen(function*() {
      const { insert, path } = yield* opened
      const { read } = yield* SqliteReader.make(path)
      yield* read([sum])
      const asked = Array.from({ length: 50 }, () => Effect.runPromise(read([sum, sum, sum])))
      for (let n = 0; n < 200; n++) insert(1, false)
      for (const rows of yield* Effect.promise(() => Promise.all(asked))) {
        assert.strictEqual(new Set(rows.map(([row]) => row!["sum"])).size, 1)
      }
    }))

  it.live("leaves the event loop free while it reads", () =>
    Effect.gen(function*() {
      const { path } = yield* opened
      const scope = yield* Scope.make()
      const { read } = yield* Scope.provide(SqliteReader.make(path), scope)
      yield* read([sum])
      const reading = yield* Effect.forkChild(Effect.exit(read([{ text: LONG, values: {} }])))
      // A query in this thread would end neither this nor the test.
      for (let turn = 0; turn < 100; turn++) {
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      assert.isUndefined(reading.pollUnsafe())
    }))

  it.live("says what is wrong with a statement, and goes on", () =>
    Effect.gen(function*() {
      const { path } = yield* opened
      const { read } = yield* SqliteReader.make(path)
      const error = yield* Effect.flip(read([{ text: "SELECT * FROM missing", values: {} }]))
      assert.match((error.cause as Error).message, /no such table/)
      assert.strictEqual((yield* read([sum])).length, 1)
    }))

  it.live("can change nothing", () =>
    Effect.gen(function*() {
      const { path } = yield* opened
      const { read } = yield* SqliteReader.make(path)
      const error = yield* Effect.flip(read([{ text: "INSERT INTO numbers (n) VALUES (1)", values: {} }]))
      assert.match((error.cause as Error).message, /readonly/)
    }))

  it.live("starts again when its thread has died, and leaves no query without a result", () =>
    Effect.gen(function*() {
      const { path } = yield* opened
      const { read, thread } = yield* SqliteReader.make(path)
      assert.isUndefined(thread())
      yield* read([sum])
      const first = thread()!
      const waiting = Effect.runPromise(Effect.flip(read([{ text: LONG, values: {} }])))
      void first.terminate()
      // A thread ends only after its query. On a slow machine, the time limit of the query may come first.
      assert.include(["unavailable", "slow"], (yield* Effect.promise(() => waiting)).reason)
      yield* eventually("the thread is gone", () => thread() !== first)
      assert.strictEqual((yield* read([sum])).length, 1)
    }))

  it.effect(
    "says of the query that takes too long that it is slow, and not of those behind it",
    () =>
      Effect.gen(function*() {
        const { path } = yield* opened
        const { read } = yield* SqliteReader.make(path)
        const [slow, behind] = yield* Effect.forEach(
          [LONG, sum.text],
          (text) => Effect.forkChild(Effect.flip(read([{ text, values: {} }])), { startImmediately: true })
        )
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual([(yield* Fiber.join(slow!)).reason, (yield* Fiber.join(behind!)).reason], [
          "slow",
          "unavailable"
        ])
      })
  )

  it.live("ends with the scope, and a program does not wait for it", () =>
    Effect.gen(function*() {
      const { path } = yield* opened
      const scope = yield* Scope.make()
      const { read, thread } = yield* Scope.provide(SqliteReader.make(path), scope)
      yield* read([sum])
      yield* Scope.close(scope, Exit.void)
      assert.isUndefined(thread())
    }))

  it.live("works in a bundle, minified", () =>
    Effect.gen(function*() {
      const { insert, path } = yield* opened
      insert(42, true)
      const folder = yield* temporaryFolder
      const entry = Path.join(import.meta.dirname, "fixtures", "readerProgram.ts")
      yield* Effect.promise(() =>
        build({
          logLevel: "silent",
          configFile: false,
          root: Path.dirname(entry),
          ssr: { noExternal: true },
          build: {
            ssr: entry,
            outDir: folder,
            minify: true,
            rollupOptions: { output: { entryFileNames: "program.mjs" } }
          }
        })
      )
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(process.execPath, ["--no-warnings", Path.join(folder, "program.mjs"), path])
      )
      assert.deepStrictEqual(JSON.parse(stdout), [[{ sum: 42 }]])
    }))
})
