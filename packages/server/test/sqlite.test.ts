import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { diskFault } from "../src/internal/disk/diskFault.ts"
import { openDatabase, openReadOnly } from "../src/internal/sql/sqlite.ts"
import { canMount, disk, fill, mount } from "./mounts.ts"
import { temporaryFolder } from "./support.ts"

const openIn = (folder: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const db = openDatabase(Path.join(folder, "test.sqlite"))
      db.transaction(() => db.exec("CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT"))
      const insert = db.change("INSERT INTO t VALUES (:id, 0)")
      const insertReturning = db.returning("INSERT INTO t VALUES (:id, 0) RETURNING *")
      const update = db.change("UPDATE t SET n = n + 1 WHERE id = :id")
      const count = db.query("SELECT count(*) AS n FROM t")
      return { db, insert, insertReturning, update, count: () => count.first()!["n"] }
    }),
    ({ db }) => Effect.sync(() => db.close())
  )

const thrown = (run: () => unknown): unknown => {
  try {
    run()
  } catch (cause) {
    return cause
  }
  return assert.fail("it did not throw")
}

describe("a database", () => {
  it.effect("says how many rows a change has changed, and gives what it returns", () =>
    Effect.gen(function*() {
      const { count, db, insert, insertReturning, update } = yield* openIn(yield* temporaryFolder)
      assert.strictEqual(db.transaction(() => insert.run({ id: "a" })), 1)
      assert.deepStrictEqual({ ...db.transaction(() => insertReturning.first({ id: "b" })) }, { id: "b", n: 0 })
      assert.strictEqual(db.transaction(() => update.run({ id: "a" }), { durable: false }), 1)
      assert.strictEqual(db.transaction(() => update.run({ id: "none" })), 0)
      assert.strictEqual(count(), 2)
    }))

  it.effect("changes nothing outside of a transaction, and takes each statement only as what it is", () =>
    Effect.gen(function*() {
      const { count, db, insert, insertReturning } = yield* openIn(yield* temporaryFolder)
      assert.throws(() => insert.run({ id: "a" }), "needs a transaction")
      assert.throws(() => insertReturning.first({ id: "a" }), "needs a transaction")
      assert.throws(() => db.change("DELETE FROM t RETURNING id"), "RETURNING")
      assert.throws(() => db.returning("DELETE FROM t"), "RETURNING")
      assert.throws(() => db.transaction(() => db.transaction(() => insert.run({ id: "a" }))), "running already")
      assert.strictEqual(count(), 0)
      assert.strictEqual(db.transaction(() => insert.run({ id: "a" })), 1)
    }))

  it.effect("undoes a transaction that throws, and throws what failed first", () =>
    Effect.gen(function*() {
      const { count, db, insert } = yield* openIn(yield* temporaryFolder)
      const own = new Error("own")
      assert.strictEqual(
        thrown(() =>
          db.transaction(() => {
            insert.run({ id: "a" })
            throw own
          })
        ),
        own
      )
      // SQLite has ended the transaction by itself, so that there is nothing left to roll back.
      const conflict = thrown(() =>
        db.transaction(() => {
          insert.run({ id: "b" })
          db.exec("INSERT OR ROLLBACK INTO t VALUES ('b', 0)")
        })
      )
      assert.include(String(conflict), "UNIQUE constraint failed")
      assert.strictEqual(count(), 0)
      db.transaction(() => insert.run({ id: "c" }))
      assert.strictEqual(count(), 1)
    }))

  it.effect("is read by a second connection, which cannot change it", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const { db, insert } = yield* openIn(folder)
      db.transaction(() => insert.run({ id: "a" }))
      const second = openReadOnly(Path.join(folder, "test.sqlite"))
      assert.strictEqual(second.query("SELECT id FROM t").first()!["id"], "a")
      assert.throws(() => second.query("DELETE FROM t").all(), "readonly")
      second.close()
    }))

  it.effect("has files that only their owner can read, in a folder that all can", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      Fs.chmodSync(folder, 0o755)
      const { db, insert } = yield* openIn(folder)
      db.transaction(() => insert.run({ id: "a" }))
      const modes = Fs.readdirSync(folder).map((name) => [name, Fs.statSync(Path.join(folder, name)).mode & 0o777])
      assert.deepStrictEqual(modes.toSorted(), [
        ["test.sqlite", 0o600],
        ["test.sqlite-shm", 0o600],
        ["test.sqlite-wal", 0o600]
      ])
    }))
})

describe.skipIf(!canMount)("a database on a disk", () => {
  it.effect("without a byte left throws for every change, and keeps none", () =>
    Effect.gen(function*() {
      const folder = yield* disk(4)
      const { count, db, insert, insertReturning, update } = yield* openIn(folder)
      db.transaction(() => insert.run({ id: "kept" }))
      const free = fill(folder)
      for (const durable of [true, false]) {
        const every: ReadonlyArray<() => unknown> = [
          () => insert.run({ id: "lost" }),
          () => insertReturning.first({ id: "lost" }),
          () => insertReturning.all({ id: "lost" }),
          () => update.run({ id: "kept" })
        ]
        for (const change of every) {
          assert.strictEqual(diskFault(thrown(() => db.transaction(change, { durable }))), "disk-full")
          assert.strictEqual(count(), 1)
        }
      }
      free()
      db.transaction(() => insertReturning.first({ id: "more" }))
      assert.strictEqual(count(), 2)
    }))

  it.effect("that is read-only is not opened", () =>
    Effect.gen(function*() {
      const folder = yield* disk(4)
      yield* Effect.scoped(openIn(folder))
      assert.isTrue(mount("-o", "remount,ro", folder))
      assert.strictEqual(diskFault(thrown(() => openDatabase(Path.join(folder, "test.sqlite")))), "not-writable")
    }))
})
