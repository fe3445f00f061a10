import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Catalog from "../src/Catalog.ts"
import * as DataFolder from "../src/DataFolder.ts"
import { MIGRATIONS } from "../src/internal/sql/sqliteMigrations.ts"
import * as SqliteCatalog from "../src/SqliteCatalog.ts"
import { temporaryFolder } from "./support.ts"

/** The schema whose leases had flags instead of one phase. */
const FLAGGED = 2

describe("a catalog of an older server", () => {
  it.effect("keeps its files and leases, each in its state", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const db = new DatabaseSync(Path.join(folder, "catalog.sqlite"))
      db.exec("CREATE TABLE migrations (version INTEGER PRIMARY KEY) STRICT")
      MIGRATIONS.slice(0, FLAGGED).forEach((migration, index) => {
        db.exec(migration)
        db.exec(`INSERT INTO migrations VALUES (${index + 1})`)
      })
      // A running download, a broken one, one with its last byte handed over, and a complete one.
      const leases = [
        ["flowing000001", 0, 0, null],
        ["broken0000001", 0, 0, 30_000],
        ["handed0000001", 1, 0, null],
        ["counted000001", 1, 1, 30_000]
      ] as const
      for (const [key, handed, consumed, until] of leases) {
        db.prepare(`
          INSERT INTO files (key, id, blob, owner, plan, name, folded_name, title, mime_type, size, expires, downloads,
            max_downloads, auto_delete, created, modified)
          VALUES (?, 'i', ?, 'anna', 'free', 'n', 'n', NULL, 't', 10000000, NULL, ?, 2, 0, 0, 0)`).run(
          key,
          key,
          consumed
        )
        db.prepare(`
          INSERT INTO leases (id, key, generation, blob, name, mime_type, size, expires, consumed, until, handed)
          VALUES (?, ?, 1, ?, 'n', 't', 10000000, NULL, ?, ?, ?)`).run(`L${key}`, key, key, consumed, until, handed)
      }
      db.close()

      const context = yield* Layer.build(
        SqliteCatalog.layer({ grace: 30_000 }).pipe(
          Layer.provide([DataFolder.layer(folder), NodeCrypto.layerSecureRandom])
        )
      )
      const catalog = yield* Catalog.Catalog.pipe(Effect.provide(context))
      for (const [key, handed] of leases) {
        const { attempts, countFrom, downloads } = Option.getOrThrow(yield* catalog.get(key))
        assert.deepStrictEqual([downloads, countFrom], [handed, "last-byte"], key)
        assert.isAtMost(attempts, downloads)
        const resumed = Option.getOrThrow(yield* catalog.resume(key, `L${key}`))
        assert.deepStrictEqual([resumed.generation, resumed.counted], [2, handed === 1], key)
        yield* catalog.release(resumed, 0)
      }
      yield* TestClock.adjust("30 seconds")
      for (const [key, handed] of leases) {
        for (let left = 2 - handed; left > 0; left--) {
          assert.strictEqual((yield* catalog.claim(key))._tag, "Claimed", key)
        }
        assert.strictEqual((yield* catalog.claim(key))._tag, "InProgress", key)
      }
    }))
})
