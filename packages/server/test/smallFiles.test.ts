/** Files whose bytes are in the catalog. */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { text } from "node:stream/consumers"
import * as Catalog from "../src/Catalog.ts"
import * as DataFolder from "../src/DataFolder.ts"
import * as Engines from "../src/Engines.ts"
import { openDatabase } from "../src/internal/sql/sqlite.ts"
import { type Job, runTogether } from "../src/internal/sql/sqliteBatch.ts"
import { MIGRATIONS } from "../src/internal/sql/sqliteMigrations.ts"
import * as SqliteSpace from "../src/internal/sql/sqliteSpace.ts"
import { claimed, file, GRACE } from "./leaseRules.ts"
import { canMount, disk } from "./mounts.ts"
import {
  anna,
  blobs,
  bytesOf,
  call,
  eventually,
  pattern,
  start,
  startStoppable,
  swept,
  temporaryFolder,
  upload,
  uploaded
} from "./support.ts"

const SMALL = 16 * 1024
const inFolder = (folder: string): number => Fs.readdirSync(Path.join(folder, "blobs")).length

describe("a small file", () => {
  it.effect("is in the catalog, and a larger one in the folder; each is given once, in parts or whole", () =>
    Effect.gen(function*() {
      const server = yield* start()
      for (const [size, files] of [[1, 0], [SMALL, 0], [SMALL + 1, 1]] as const) {
        const content = pattern(size)
        const { key } = yield* uploaded(server.url, content)
        assert.strictEqual(inFolder(server.folder), files, String(size))
        const at = `${server.url}/${key}`
        const first = yield* Effect.promise(() => fetch(at))
        const etag = first.headers.get("etag")!
        const whole = yield* Effect.promise(() => first.arrayBuffer())
        assert.isTrue(Buffer.from(whole).equals(content), String(size))
        const half = Math.floor(size / 2)
        const again = yield* bytesOf(at, { range: `bytes=${half}-`, "if-range": etag })
        assert.strictEqual(again.status, 206)
        assert.isTrue(again.body.equals(content.subarray(half)))
        assert.strictEqual((yield* call(at)).status, 404)
        yield* swept("2 minutes", "its bytes are removed", () => blobs(server).length === 0)
      }
    }))

  it.live("arrives in any pieces, alone, in a form, and as a resumable upload", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const content = pattern(SMALL)
      const sent = new Promise<string>((resolve, reject) => {
        const request = Http.request(`${server.url}/a.bin`, { method: "PUT", headers: anna }, (response) => {
          text(response).then(resolve, reject)
        })
        request.on("error", reject)
        let at = 0
        const next = (): void => {
          if (at >= SMALL) return void request.end()
          const to = Math.min(SMALL, at === 0 ? 1 : at * 2 + 3)
          request.write(content.subarray(at, at = to), next)
        }
        next()
      })
      const { key } = JSON.parse(yield* Effect.promise(() => sent)) as { readonly key: string }
      assert.isTrue((yield* bytesOf(`${server.url}/${key}`)).body.equals(content))
      const { key: ofText } = (yield* call(server.url, {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: `text=${"%41".repeat(5000)}`
      })).json
      assert.strictEqual((yield* call(`${server.url}/${ofText}`)).text, "A".repeat(5000))
      assert.strictEqual(inFolder(server.folder), 0)
      const resumable = yield* call(`${server.url}/a.bin`, {
        method: "PUT",
        headers: { ...anna, "upload-complete": "?1", "content-type": "application/octet-stream" },
        body: content
      })
      assert.strictEqual(resumable.status, 200, resumable.text)
      assert.isTrue((yield* bytesOf(`${server.url}/${resumable.json.key}`)).body.equals(content))
    }))

  it.effect("becomes a large one and the other way round, counts as used, and leaves nothing when it is gone", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const used = Effect.map(call(`${server.url}/me`, { headers: anna }), ({ json }) => json["usedStorageBytes"])
      const { key } = yield* uploaded(server.url, pattern(100), { headers: anna })
      const at = `${server.url}/${key}`
      for (const size of [SMALL + 1, 200, 300, SMALL * 2, 5]) {
        const changed = yield* upload(server.url, pattern(size), {
          headers: anna,
          method: "PUT",
          path: `/${key}`,
          fields: { maxDownloads: "9" }
        })
        assert.strictEqual(changed.status, 200, changed.text)
        assert.isTrue((yield* bytesOf(at)).body.equals(pattern(size)))
        assert.strictEqual(yield* used, size)
      }
      yield* swept("2 minutes", "the earlier contents are removed", () => blobs(server).length === 1)
      assert.strictEqual((yield* call(at, { method: "DELETE", headers: anna })).status, 200)
      assert.strictEqual(yield* used, 0)
      yield* swept("1 minute", "nothing is left", () => blobs(server).length === 0)
    }))

  it.effect("that was deleted is not in the database's file either", () =>
    Effect.gen(function*() {
      const { folder, scope, url } = yield* startStoppable({})
      const content = (word: string) => `${word} `.repeat(1500)
      const files = ["first", "second", "third", "fourth"]
      const keys: Array<string> = []
      for (const word of files) keys.push((yield* uploaded(url, content(word), { headers: anna })).key)
      for (const at of [0, 2]) yield* call(`${url}/${keys[at]}`, { method: "DELETE", headers: anna })
      yield* swept("1 minute", "they are removed", () => blobs({ folder }).length === 2)
      yield* Scope.close(scope, Exit.void)
      const stored = Fs.readFileSync(Path.join(folder, "catalog.sqlite"), "latin1")
      const found = files.map((word) => stored.includes(`${word} ${word} `))
      assert.deepStrictEqual(found, [false, true, false, true])
      assert.isFalse(Fs.existsSync(Path.join(folder, "catalog.sqlite-wal")))
    }))

  it.effect("is not stored where its row is not", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const db = new DatabaseSync(Path.join(server.folder, "catalog.sqlite"), { timeout: 5000 })
      db.exec("CREATE TRIGGER broken BEFORE INSERT ON contents BEGIN SELECT RAISE(ABORT, 'broken'); END")
      assert.strictEqual((yield* upload(server.url, "x", { headers: anna })).status, 500)
      db.exec("DROP TRIGGER broken")
      db.exec("CREATE TRIGGER broken BEFORE INSERT ON files BEGIN SELECT RAISE(ABORT, 'broken'); END")
      assert.strictEqual((yield* upload(server.url, "x", { headers: anna })).status, 500)
      db.exec("DROP TRIGGER broken")
      db.close()
      assert.deepStrictEqual(blobs(server), [])
      assert.deepStrictEqual((yield* call(server.url, { headers: anna })).json.nodes, [])
      yield* uploaded(server.url, "x", { headers: anna })
      assert.strictEqual(blobs(server).length, 1)
    }))
})

describe("the bytes of a small file in the catalog", () => {
  const stores = (folder: string, options: Engines.Options = {}) =>
    Engines.catalog(options, { grace: GRACE }).pipe(
      Layer.provide([DataFolder.layer(folder), NodeCrypto.layerSecureRandom])
    )

  it.effect("stay while somebody receives them, and until the grace time is over", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const { isOne, newId, read } = catalog.smallFiles!
      const small = (word: string) =>
        Effect.map(newId, (blob) => ({ blob, bytes: Buffer.from(word), size: word.length }))
      const read_ = (blob: string) => Effect.map(read(blob), Option.map((bytes) => Buffer.from(bytes).toString()))
      /** As the sweep does. */
      const sweep = Effect.gen(function*() {
        yield* catalog.bury
        yield* catalog.forget(yield* catalog.garbage(""))
      })
      const old = yield* small("old")
      const { key } = yield* catalog.insert(file({ ...old, maxDownloads: 1 }))
      assert.isTrue(isOne(old.blob))
      const lease = claimed(yield* catalog.claim(key))
      const next = yield* small("new")
      yield* catalog.update(key, "anna", { content: { ...next, name: "n", mimeType: "t" } })
      yield* sweep
      assert.deepStrictEqual(yield* read_(old.blob), Option.some("old"))
      yield* catalog.release(lease, 0)
      yield* TestClock.adjust(GRACE)
      yield* sweep
      assert.deepStrictEqual(yield* read_(old.blob), Option.none())

      const other = claimed(yield* catalog.claim(key))
      yield* catalog.handOver(other)
      yield* catalog.commit(other)
      yield* sweep
      assert.deepStrictEqual(yield* read_(next.blob), Option.some("new"))
      yield* TestClock.adjust(GRACE)
      yield* sweep
      assert.deepStrictEqual(yield* read_(next.blob), Option.none())
    }).pipe(Effect.provide(Layer.unwrap(Effect.map(temporaryFolder, (folder) => stores(folder))))))

  it.effect("are not looked for in the store", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const blob = yield* catalog.smallFiles!.newId
      yield* catalog.insert(file({ blob: "0".repeat(32) }))
      yield* catalog.insert(file({ blob, bytes: Buffer.from("x") }))
      assert.deepStrictEqual(yield* catalog.newest(10), ["0".repeat(32)])
      // Also where thousands were uploaded since: else an unmounted disk of the store would not be noticed.
      const add = Effect.flatMap(
        catalog.smallFiles!.newId,
        (blob) => catalog.insert(file({ blob, bytes: Buffer.from("x") }))
      )
      yield* Effect.all(Array.from({ length: 1000 }, () => add), { concurrency: 100 })
      assert.deepStrictEqual(yield* catalog.newest(10), ["0".repeat(32)])
    }).pipe(Effect.provide(Layer.unwrap(Effect.map(temporaryFolder, (folder) => stores(folder))))))

  it.effect("are in the store where the operator has named one", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      assert.strictEqual(catalog.smallFiles!.maxBytes, 0)
    }).pipe(
      Effect.provide(Layer.unwrap(Effect.map(temporaryFolder, (folder) => stores(folder, { blobs: "s3://files" }))))
    ))
})

describe("the space of deleted files", () => {
  const pagesOf = (path: string): number => Fs.statSync(path).size / 4096

  it.effect("is given back once there is much of it, also by a catalog of an earlier version", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* temporaryFolder, "catalog.sqlite")
      const old = new DatabaseSync(path)
      old.exec("CREATE TABLE migrations (version INTEGER PRIMARY KEY) STRICT")
      MIGRATIONS.slice(0, -1).forEach((migration, index) => {
        old.exec(migration)
        old.exec(`INSERT INTO migrations VALUES (${index + 1})`)
      })
      old.exec("CREATE TABLE large AS SELECT zeroblob(8000000) AS bytes")
      old.close()

      const db = openDatabase(path)
      // Without the space to write it once more it stays as it is.
      const reports: Array<string> = []
      const report = (rewrite: SqliteSpace.Rewrite) => {
        const { text, warns } = SqliteSpace.describe(rewrite)
        reports.push(`${warns ? "WARN " : ""}${text.replaceAll(/\d+\.\d s/g, "0.1 s")}`)
      }
      SqliteSpace.prepare(db, 9_000_000, report)
      const rewrite = () => {
        throw new Error("no folder for temporary files")
      }
      SqliteSpace.prepare({ ...db, rewrite }, 1e9, report)
      db.transaction(() => db.exec("DELETE FROM large"))
      assert.isFalse(db.transaction(SqliteSpace.make(db, () => 1e9, 100).shrinkSome))
      SqliteSpace.prepare(db, 1e9, report)
      SqliteSpace.prepare(db, 1e9, report)
      const kept = "It works as before, but its file does not shrink when files are deleted."
      assert.deepStrictEqual(reports, [
        `WARN the catalog of an earlier version (8 MiB) was not written once more: that takes 24 MiB of free disk, and 9 MiB are free. ${kept} Free some space and start again`,
        "the catalog of an earlier version (8 MiB) is written once more, so that it can shrink",
        `WARN the catalog (8 MiB) could not be written once more (after 0.1 s): no folder for temporary files. ${kept} The next start tries it again`,
        "the catalog of an earlier version (8 MiB) is written once more, so that it can shrink",
        "the catalog was written once more in 0.1 s: 8 MiB before, 1 MiB now"
      ])
      db.transaction(() => db.exec("INSERT INTO large SELECT zeroblob(8000000)"))
      db.transaction(() => db.exec("DELETE FROM large"))
      const { shrinkSome } = SqliteSpace.make(db, () => 1e9, 100)
      assert.isFalse(db.transaction(SqliteSpace.make(db, () => 1e9, 4000).shrinkSome))
      // In a transaction with other changes.
      const job: Job = { run: shrinkSome, durable: false, usesReserve: true }
      let steps = 0
      while (runTogether(db, [job, job]).some((outcome) => "value" in outcome && outcome.value === true)) steps++
      assert.isAbove(steps, 1)
      // The rest goes where the disk is nearly full.
      while (db.transaction(SqliteSpace.make(db, () => 1e6, 100).shrinkSome));
      assert.strictEqual(Number(db.query("PRAGMA freelist_count").first()!["freelist_count"]), 0)
      db.close()
      assert.isBelow(pagesOf(path), 200)
    }))

  // By events of the folder, which only Linux keeps meanwhile.
  it.live.skipIf(process.platform !== "linux")(
    "takes no other disk than that of the database to be given back",
    () =>
      Effect.gen(function*() {
        const folder = Path.join(yield* temporaryFolder, "it's")
        Fs.mkdirSync(folder)
        const db = openDatabase(Path.join(folder, "catalog.sqlite"))
        db.exec("CREATE TABLE large AS SELECT zeroblob(8000000) AS bytes")
        const { promise, resolve } = Promise.withResolvers<void>()
        const watcher = Fs.watch(folder, (_, name) => name?.startsWith("etilqs_") === true && resolve())
        db.rewrite()
        yield* Effect.promise(() => promise)
        watcher.close()
        db.close()
      })
  )

  it.effect.skipIf(!canMount)(
    "that small files have filled a disk with is free for a large one after the sweep",
    () =>
      Effect.gen(function*() {
        const server = yield* start({ folder: yield* disk(40), minFreeBytes: 0 })
        const small = pattern(SMALL)
        const fillUp = Effect.gen(function*() {
          let status = 200
          while (status === 200) {
            const all = Array.from({ length: 32 }, () => upload(server.url, small, { fields: { expires: "1h" } }))
            status = Math.max(...(yield* Effect.all(all, { concurrency: 32 })).map((answer) => answer.status))
          }
          return status
        })
        assert.strictEqual(yield* fillUp, 507)
        const { length } = blobs(server)
        assert.isAbove(length, 800)
        const large = pattern(14_000_000)
        assert.strictEqual((yield* upload(server.url, large)).status, 507)
        yield* TestClock.adjust("61 minutes")
        yield* eventually("it is swept", () => blobs(server).length === 0)
        const isTaken = () => Effect.runPromise(upload(server.url, large)).then(({ status }) => status === 200)
        yield* eventually("a large one is taken", isTaken)
      })
  )
})
