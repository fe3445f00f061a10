import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import * as Path from "node:path"
import type { Worker } from "node:worker_threads"
import * as Catalog from "../src/Catalog.ts"
import * as DataFolder from "../src/DataFolder.ts"
import { diskFault } from "../src/internal/disk/diskFault.ts"
import { UploadEnded } from "../src/internal/sql/rows.ts"
import { openDatabase, openReadOnly } from "../src/internal/sql/sqlite.ts"
import { type Job, type Outcome, runTogether, runUnsynced } from "../src/internal/sql/sqliteBatch.ts"
import * as SqliteWriter from "../src/internal/sql/sqliteWriter.ts"
import * as SqliteCatalog from "../src/SqliteCatalog.ts"
import { canMount, disk, fill } from "./mounts.ts"
import { anna, call, eventually, start, temporaryFolder, upload, uploaded } from "./support.ts"

const job = (run: Job["run"], options: Partial<Job> = {}): Job => ({
  durable: true,
  usesReserve: true,
  run,
  ...options
})

const opened = (folder: string, makeRoom?: () => void) =>
  Effect.gen(function*() {
    const path = Path.join(folder, "test.sqlite")
    const db = yield* Effect.acquireRelease(
      Effect.sync(() => openDatabase(path, makeRoom)),
      (db) => Effect.sync(() => db.close())
    )
    db.transaction(() => db.exec("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY) STRICT"))
    const insert = db.change("INSERT INTO t VALUES (:n)")
    const all = db.query("SELECT n FROM t ORDER BY n")
    const transactions: Array<boolean> = []
    const counted = {
      ...db,
      transaction: <A>(run: () => A, options: { readonly durable?: boolean } = {}): A => {
        transactions.push(options.durable ?? true)
        return db.transaction(run, options)
      }
    }
    return { path, db: counted, insert, transactions, rows: () => all.all().map(({ n }) => n) }
  })

const refused = new UploadEnded()

const causes = (outcomes: ReadonlyArray<Outcome>) =>
  outcomes.map((outcome) => "cause" in outcome ? outcome.cause : undefined)

describe("changes that wait together", () => {
  it.effect("are committed by one transaction, and none is seen before", () =>
    Effect.gen(function*() {
      const { db, insert, path, rows, transactions } = yield* opened(yield* temporaryFolder)
      const other = openReadOnly(path)
      const seen = other.query("SELECT count(*) AS n FROM t")
      const during: Array<unknown> = []
      const outcomes = runTogether(
        db,
        [1, 2, 3].map((n) =>
          job(() => {
            insert.run({ n })
            during.push(seen.first()!["n"])
            return n
          })
        )
      )
      assert.deepStrictEqual(outcomes, [{ value: 1 }, { value: 2 }, { value: 3 }])
      assert.deepStrictEqual(during, [0, 0, 0])
      assert.strictEqual(seen.first()!["n"], 3)
      assert.deepStrictEqual(transactions, [true])
      assert.deepStrictEqual(rows(), [1, 2, 3])
      other.close()
    }))

  it.effect("each have an outcome of their own: one that is refused leaves the others alone", () =>
    Effect.gen(function*() {
      const { db, insert, rows, transactions } = yield* opened(yield* temporaryFolder)
      const outcomes = runTogether(db, [
        job(() => insert.run({ n: 1 })),
        job(() => {
          throw refused
        }),
        job(() => insert.run({ n: 3 }))
      ])
      assert.deepStrictEqual(causes(outcomes), [undefined, refused, undefined])
      assert.deepStrictEqual(rows(), [1, 3])
      assert.strictEqual(transactions.length, 1)
    }))

  it.effect("run one by one where one of them fails, and what that one had changed is undone", () =>
    Effect.gen(function*() {
      const { db, insert, rows } = yield* opened(yield* temporaryFolder)
      const own = new Error("own")
      const outcomes = runTogether(db, [
        job(() => insert.run({ n: 1 })),
        job(() => {
          insert.run({ n: 2 })
          throw own
        }),
        job(() => insert.run({ n: 3 }))
      ])
      assert.deepStrictEqual(causes(outcomes), [undefined, own, undefined])
      assert.deepStrictEqual(rows(), [1, 3])
    }))

  it.effect("run one by one where SQLite refuses one of them, also if it has ended the transaction by itself", () =>
    Effect.gen(function*() {
      const { db, insert, rows, transactions } = yield* opened(yield* temporaryFolder)
      for (const statement of ["INSERT INTO t VALUES (1)", "INSERT OR ROLLBACK INTO t VALUES (1)"]) {
        transactions.length = 0
        db.transaction(() => db.exec("DELETE FROM t"))
        const outcomes = runTogether(db, [
          job(() => insert.run({ n: 1 })),
          job(() => db.exec(statement)),
          job(() => insert.run({ n: 2 }))
        ])
        assert.deepStrictEqual(causes(outcomes).map((cause) => cause === undefined), [true, false, true])
        assert.include(String(causes(outcomes)[1]), "UNIQUE constraint failed")
        assert.deepStrictEqual(rows(), [1, 2])
        // The one of this test, the one of all, and one for each.
        assert.strictEqual(transactions.length, 5)
      }
    }))

  it.effect("are synced if one of them must be, and not otherwise", () =>
    Effect.gen(function*() {
      const { db, insert, rows, transactions } = yield* opened(yield* temporaryFolder)
      const relaxed = (n: number, must = false) =>
        job((mustSync) => {
          if (must) mustSync()
          insert.run({ n })
        }, { durable: false })
      runTogether(db, [relaxed(1), relaxed(2)])
      assert.deepStrictEqual(transactions.splice(0), [false])
      runTogether(db, [relaxed(3), job(() => insert.run({ n: 4 }))])
      assert.deepStrictEqual(transactions.splice(0), [true])
      // It turns out only while it runs, so all of it runs once more.
      runTogether(db, [relaxed(5), relaxed(6, true)])
      assert.deepStrictEqual(transactions.splice(0), [false, true])
      runTogether(db, [relaxed(7, true)])
      assert.deepStrictEqual(transactions.splice(0), [false, true])
      assert.deepStrictEqual(rows(), [1, 2, 3, 4, 5, 6, 7])
    }))

  it.effect("go first without a sync, unless one of them needs it or fails: then none has run", () =>
    Effect.gen(function*() {
      const { db, insert, rows, transactions } = yield* opened(yield* temporaryFolder)
      const relaxed = (n: number, then: Job["run"] = () => n) =>
        job((mustSync) => {
          insert.run({ n })
          return then(mustSync)
        }, { durable: false })
      const fails = (cause: Error) => () => {
        throw cause
      }
      assert.deepStrictEqual(runUnsynced(db, [relaxed(1), job(fails(refused)), relaxed(3)]), [
        { value: 1 },
        { cause: refused },
        { value: 3 }
      ])
      assert.deepStrictEqual(transactions.splice(0), [false])
      assert.strictEqual(runUnsynced(db, [relaxed(4), relaxed(5, (mustSync) => mustSync())]), undefined)
      assert.strictEqual(runUnsynced(db, [relaxed(6), relaxed(1)]), undefined)
      assert.strictEqual(runUnsynced(db, [relaxed(7), relaxed(8, fails(new Error("own")))]), undefined)
      assert.deepStrictEqual(rows(), [1, 3])
    }))
})

describe.skipIf(!canMount)("changes that wait together for a full disk", () => {
  it.effect("get the reserve only where each of them may have it", () =>
    Effect.gen(function*() {
      const folder = yield* disk(4)
      let free = () => {}
      const { db, insert, rows } = yield* opened(folder, () => free())
      for (let n = 1; n <= 3; n++) db.transaction(() => insert.run({ n }))
      db.checkpoint()
      const remove = db.change("DELETE FROM t WHERE n = :n")
      const large = db.exec.bind(undefined, "CREATE TABLE large AS SELECT zeroblob(1000000) AS bytes")
      free = fill(folder)
      const outcomes = runTogether(db, [
        job(() => remove.run({ n: 1 })),
        job(large, { usesReserve: false }),
        job(() => remove.run({ n: 2 }))
      ])
      assert.deepStrictEqual(causes(outcomes).map(diskFault), [undefined, "disk-full", undefined])
      assert.deepStrictEqual(rows(), [3])
    }))
})

const newFile = (n: number): Catalog.NewFile => ({
  blob: `blob ${n}`,
  owner: "anna",
  plan: "premium",
  name: "a.txt",
  title: null,
  mimeType: "text/plain",
  size: 1,
  expires: null,
  maxDownloads: 1,
  autoDelete: true,
  created: 0
})

const catalogIn = (folder: string, scope: Scope.Scope) =>
  Scope.provide(
    Effect.flatMap(
      Layer.build(
        SqliteCatalog.layer({ grace: 1000 }).pipe(
          Layer.provide([DataFolder.layer(folder), NodeCrypto.layerSecureRandom])
        )
      ),
      (context) => Catalog.Catalog.pipe(Effect.provide(context))
    ),
    scope
  )

describe("the thread of the catalog", () => {
  it.live("does what waits before it closes, and nothing afterwards", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const scope = yield* Scope.make()
      const catalog = yield* catalogIn(folder, scope)
      const asked = Array.from({ length: 300 }, (_, n) => Effect.runPromise(catalog.insert(newFile(n))))
      yield* Scope.close(scope, Exit.void)
      const keys = (yield* Effect.promise(() => Promise.all(asked))).map(({ key }) => key)
      const late = yield* Effect.flip(catalog.insert(newFile(300)))
      assert.include(String(late.cause), "closed")
      const again = yield* catalogIn(folder, yield* Scope.Scope)
      for (const key of keys) assert.strictEqual((yield* again.get(key))._tag, "Some")
      assert.strictEqual((yield* again.totals).files, 300)
    }))

  it.live("answers a claim before the durable changes that came with it, unless the claim counts at once", () =>
    Effect.gen(function*() {
      const catalog = yield* catalogIn(yield* temporaryFolder, yield* Scope.Scope)
      const { key: once } = yield* catalog.insert(newFile(1))
      const { key: counted } = yield* catalog.insert({ ...newFile(2), countFrom: "first-byte" })
      const order = (key: string, n: number) =>
        Effect.promise(async () => {
          const done: Array<string> = []
          await Promise.all([
            Effect.runPromise(catalog.insert(newFile(n))).then(() => done.push("insert")),
            Effect.runPromise(catalog.claim(key)).then(({ _tag }) => done.push(_tag))
          ])
          return done
        })
      assert.deepStrictEqual(yield* order(once, 3), ["Claimed", "insert"])
      assert.deepStrictEqual(yield* order(counted, 4), ["insert", "Claimed"])
    }))

  it.live("that dies leaves no change without an outcome, and is started again by the next one", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const settings = { maxBroken: 100, terms: { grace: 1000, minimumRate: 0, patience: 0 } }
      const writer = yield* SqliteWriter.make({ folder, ...settings })
      yield* writer.call("insert", "KEY1", "id1", newFile(1))
      const first = writer.thread()!
      const ended = first.terminate()
      const waiting = yield* Effect.flip(writer.call("insert", "KEY2", "id2", newFile(2)))
      assert.strictEqual(waiting.reason, "unknown")
      yield* Effect.promise(() => ended)
      yield* writer.call("insert", "KEY3", "id3", newFile(3))
      assert.notStrictEqual(writer.thread(), first)
      const db = openReadOnly(Path.join(folder, "catalog.sqlite"))
      const keys = db.query("SELECT key FROM files ORDER BY key").all().map(({ key }) => key)
      db.close()
      assert.include(keys, "KEY1")
      assert.include(keys, "KEY3")
    }))

  it.live("that dies during a change is a fault that /healthz names, and uploads go on", () =>
    Effect.gen(function*() {
      const threads: Array<Worker> = []
      const note = (worker: Worker) => void threads.push(worker)
      process.on("worker", note)
      yield* Effect.addFinalizer(() => Effect.sync(() => process.off("worker", note)))
      const { adminUrl, url } = yield* start({ admin: {} })
      const { key } = yield* uploaded(url, "before", { headers: anna })
      // It may end after the last change was made.
      yield* eventually("it is named", async () => {
        const uploads = Array.from({ length: 32 }, () => Effect.runPromise(upload(url, "meanwhile", { headers: anna })))
        await Promise.race(uploads)
        const ended = threads.at(-1)!.terminate()
        for (const { status } of await Promise.all(uploads)) assert.include([200, 500, 503], status)
        await ended
        const report = await Effect.runPromise(call(`${adminUrl}/healthz`))
        return (report.json["faults"] as Record<string, unknown>)["catalog"] !== undefined
      })
      yield* uploaded(url, "after", { headers: anna })
      assert.strictEqual((yield* call(`${url}/${key}`)).text, "before")
    }))
})
