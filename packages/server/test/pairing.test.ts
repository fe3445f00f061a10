import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as FileIoServer from "../src/FileIoServer.ts"
import type * as ServerOptions from "../src/ServerOptions.ts"
import { hasPostgres, type Postgres, postgres, s3, S3_CREDENTIALS, skipping } from "./engines.ts"
import {
  accounts,
  anna,
  assertRefused,
  call,
  eventually,
  large,
  plans,
  swept,
  temporaryFolder,
  uploaded
} from "./support.ts"

/** A server that can be stopped, with its log. */
const open = (folder: string, options: ServerOptions.TemporaryOptions = {}) =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const logged: Array<string> = []
    const logger = Logger.make(({ message }) => void logged.push(String(message)))
    const context = yield* Scope.provide(
      Layer.build(FileIoServer.layer({ dataDirectory: folder, accounts, plans, anonymousPlan: "premium", ...options })),
      scope
    ).pipe(Effect.provide(Logger.layer([logger])))
    const { url } = yield* FileIoServer.FileIoServer.pipe(Effect.provide(context))
    return { folder, url, logged, stop: Scope.close(scope, Exit.void) }
  })

const refused = (folder: string, options: ServerOptions.TemporaryOptions = {}) =>
  Effect.map(Effect.flip(Effect.scoped(open(folder, options))), (error) => {
    assert.strictEqual(error._tag, "StoreMismatch", error.message)
    assert.notInclude(error.message, "\n")
    return error.message
  })

/** A folder with this many files, and a stopped server. */
const filled = (files: number, options: ServerOptions.TemporaryOptions = {}) =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const server = yield* open(folder, options)
    const keys: Array<string> = []
    for (let i = 0; i < files; i++) keys.push((yield* uploaded(server.url, large(`file ${i}`), { headers: anna })).key)
    yield* server.stop
    return { folder, keys }
  })

const blobsIn = (folder: string): number => Fs.readdirSync(Path.join(folder, "blobs")).length

const readId = (folder: string): string => Fs.readFileSync(Path.join(folder, "store-id"), "utf8").trim()

const withCatalog = (folder: string, run: (db: DatabaseSync) => void) => {
  const db = new DatabaseSync(Path.join(folder, "catalog.sqlite"))
  run(db)
  db.close()
}

/** As an earlier version left it: neither side has an id. */
const withoutIds = (folder: string) => {
  Fs.rmSync(Path.join(folder, "store-id"))
  withCatalog(folder, (db) => db.exec("DELETE FROM store"))
}

const removeCatalog = (folder: string) => {
  for (const end of ["", "-wal", "-shm"]) Fs.rmSync(Path.join(folder, `catalog.sqlite${end}`), { force: true })
}

describe("a catalog and a store", () => {
  it.effect("stay paired across restarts, and are refused if one of them is another", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* filled(2), yield* filled(2)]
      assert.notStrictEqual(readId(first.folder), readId(second.folder))
      const again = yield* open(first.folder)
      assert.strictEqual((yield* call(`${again.url}/${first.keys[0]}`)).text, large("file 0"))
      yield* again.stop

      Fs.copyFileSync(Path.join(second.folder, "catalog.sqlite"), Path.join(first.folder, "catalog.sqlite"))
      const message = yield* refused(first.folder)
      for (
        const part of [
          `SQLite in ${first.folder}/catalog.sqlite`,
          `the folder ${first.folder}/blobs`,
          readId(first.folder),
          readId(second.folder)
        ]
      ) assert.include(message, part)
      assert.strictEqual(blobsIn(first.folder), 2)
      // Not even if orphans are to be removed.
      yield* refused(first.folder, { removeOrphans: true })
      assert.strictEqual(blobsIn(first.folder), 2)
    }))

  it.effect("find each other after a first start that was killed in between", () =>
    Effect.gen(function*() {
      const { folder } = yield* filled(0)
      const id = readId(folder)
      withCatalog(folder, (db) => db.exec("DELETE FROM store"))
      yield* (yield* open(folder)).stop
      assert.strictEqual(readId(folder), id)
      // An empty file is none.
      Fs.writeFileSync(Path.join(folder, "store-id"), "")
      assert.include(yield* refused(folder), "this one has no id")
    }))

  it.effect("are refused where the catalog is new and the store is not", () =>
    Effect.gen(function*() {
      const { folder, keys } = yield* filled(20)
      Fs.renameSync(Path.join(folder, "catalog.sqlite"), Path.join(folder, "aside"))
      removeCatalog(folder)
      assert.include(yield* refused(folder), "the catalog has no files, and the store has some")
      assert.strictEqual(blobsIn(folder), 20)
      removeCatalog(folder)
      Fs.renameSync(Path.join(folder, "aside"), Path.join(folder, "catalog.sqlite"))
      const server = yield* open(folder)
      for (const key of keys) assert.strictEqual((yield* call(`${server.url}/${key}`)).status, 200)
    }))

  it.effect("are refused if the store was replaced by an empty one; a copy is accepted once it has the id", () =>
    Effect.gen(function*() {
      const { folder, keys } = yield* filled(2)
      const id = readId(folder)
      Fs.rmSync(Path.join(folder, "store-id"))
      const message = yield* refused(folder)
      assert.include(message, id)
      assert.include(message, `write the id into ${folder}/store-id`)
      Fs.writeFileSync(Path.join(folder, "store-id"), id)
      const server = yield* open(folder)
      assert.strictEqual((yield* call(`${server.url}/${keys[1]}`)).text, large("file 1"))
    }))

  it.effect("log an error if no file has its bytes, as with an unmounted disk", () =>
    Effect.gen(function*() {
      const { folder } = yield* filled(3)
      Fs.renameSync(Path.join(folder, "blobs"), Path.join(folder, "elsewhere"))
      const server = yield* open(folder)
      assert.isTrue(server.logged.some((line) => line.includes("is a disk not mounted?")))
      yield* server.stop
      Fs.rmdirSync(Path.join(folder, "blobs"))
      Fs.renameSync(Path.join(folder, "elsewhere"), Path.join(folder, "blobs"))
      const again = yield* open(folder)
      assert.isFalse(again.logged.some((line) => line.includes("is a disk not mounted?")))
    }))

  it.effect("of an earlier version get an id if they belong together", () =>
    Effect.gen(function*() {
      const { folder, keys } = yield* filled(3)
      withoutIds(folder)
      const server = yield* open(folder)
      assert.match(readId(folder), /^[0-9a-f-]{36}$/)
      assert.strictEqual((yield* call(`${server.url}/${keys[2]}`)).text, large("file 2"))
      yield* server.stop

      const other = yield* filled(3)
      withoutIds(folder)
      Fs.copyFileSync(Path.join(other.folder, "catalog.sqlite"), Path.join(folder, "catalog.sqlite"))
      withCatalog(folder, (db) => db.exec("DELETE FROM store"))
      assert.include(yield* refused(folder), "the bytes of 3 of its 3 newest files are not in this store")
      removeCatalog(folder)
      assert.include(yield* refused(folder), "start once with --remove-orphans")
      assert.strictEqual(blobsIn(folder), 3)
      // Orphans that the operator allows to remove.
      const last = yield* open(folder, { removeOrphans: true })
      yield* eventually("it is removed", () => blobsIn(last.folder) === 0)
    }))
})

describe("orphans", () => {
  it.effect("are removed if they are few, and it is logged; names of another form are left alone", () =>
    Effect.gen(function*() {
      const { folder, keys } = yield* filled(3)
      const orphan = "0123456789abcdef".repeat(2)
      Fs.writeFileSync(Path.join(folder, "blobs", orphan), "nobody's")
      for (const name of ["notes.txt", orphan.toUpperCase(), `${orphan}0`]) {
        Fs.writeFileSync(Path.join(folder, "blobs", name), "not ours")
        Fs.writeFileSync(Path.join(folder, "incoming", name), "not ours")
      }
      const server = yield* open(folder)
      yield* eventually("it is removed", () => !Fs.existsSync(Path.join(folder, "blobs", orphan)))
      assert.strictEqual(blobsIn(server.folder), 6)
      assert.strictEqual(Fs.readdirSync(Path.join(folder, "incoming")).length, 3)
      assert.isTrue(server.logged.some((line) => line.includes("removed 1 orphaned blobs") && line.includes(orphan)))
      for (const key of keys) assert.strictEqual((yield* call(`${server.url}/${key}`)).status, 200)
    }))

  it.effect("stay if they are many, as after an old copy of the catalog, unless the operator removes them", () =>
    Effect.gen(function*() {
      const { folder } = yield* filled(2)
      const [catalog, copy] = [Path.join(folder, "catalog.sqlite"), Path.join(folder, "copy")]
      Fs.copyFileSync(catalog, copy)
      const full = yield* open(folder)
      for (let i = 0; i < 8; i++) yield* uploaded(full.url, large("new"), { headers: anna })
      yield* full.stop
      Fs.copyFileSync(copy, catalog)

      const old = yield* open(folder)
      yield* eventually("it is said", () => old.logged.some((line) => line.includes("8 of 10 blobs")))
      assert.isTrue(old.logged.some((line) => line.includes("start once with --remove-orphans")))
      const times = () => old.logged.filter((line) => line.includes("8 of 10 blobs")).length
      for (let tries = 0; times() < 2 && tries < 100; tries++) {
        yield* TestClock.adjust("6 hours")
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
      }
      assert.isAtLeast(times(), 2)
      assert.strictEqual(blobsIn(old.folder), 10)
      yield* old.stop

      const given = yield* open(folder, { removeOrphans: true })
      yield* eventually("they are removed", () => blobsIn(given.folder) === 2)
    }))

  it.effect("of interrupted uploads are removed at the next start, or an hour later", () =>
    Effect.gen(function*() {
      const { folder } = yield* filled(1)
      const ids = ["a", "b", "c", "d", "e", "f", "0", "1"].map((digit) => digit.repeat(32))
      const [lost, unsure] = [ids.slice(0, 7), ids[7]!]
      for (const id of ids) Fs.writeFileSync(Path.join(folder, "blobs", id), "half an upload")
      withCatalog(folder, (db) => {
        const expect = db.prepare("INSERT INTO garbage (blob, after, expected) VALUES (?, 3600000, 1)")
        for (const id of lost) expect.run(id)
      })
      const server = yield* open(folder)
      yield* eventually("they are removed", () => blobsIn(server.folder) === 1)

      Fs.writeFileSync(Path.join(folder, "blobs", unsure), "nobody said what became of it")
      withCatalog(folder, (db) => {
        db.prepare("INSERT INTO garbage (blob, after, expected) VALUES (?, 3600000, 1)").run(unsure)
      })
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual(blobsIn(server.folder), 2)
      yield* swept("2 minutes", "it is removed", () => blobsIn(server.folder) === 1)
    }))
})

skipping("a wrong catalog in PostgreSQL")
describe.skipIf(!hasPostgres)("a catalog in PostgreSQL and a store", () => {
  const scope = Scope.makeUnsafe()
  let server: Postgres
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.provide(postgres(), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  it.live("are refused where the catalog is new and the folder is not, and nothing is removed", () =>
    Effect.gen(function*() {
      const { folder, keys } = yield* filled(20)
      const catalog = yield* server.database
      assert.include(yield* refused(folder, { catalog }), "has a catalog in SQLite with files")
      // Also where the catalog in SQLite is lost.
      const aside = `${folder}-catalog`
      Fs.renameSync(Path.join(folder, "catalog.sqlite"), aside)
      assert.match(yield* refused(folder, { catalog }), /PostgreSQL at 127\.0\.0\.1:\d+\/files\d+/)
      Fs.renameSync(aside, Path.join(folder, "catalog.sqlite"))
      withoutIds(folder)
      yield* refused(folder, { catalog })
      assert.strictEqual(blobsIn(folder), 20)
      const back = yield* open(folder)
      for (const key of keys) assert.strictEqual((yield* call(`${back.url}/${key}`)).status, 200)
    }))

  it.live("are refused where the files of SQLite are so small that the folder has none", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const first = yield* open(folder)
      const { key } = yield* uploaded(first.url, "small", { headers: anna })
      yield* first.stop
      assert.strictEqual(blobsIn(folder), 0)
      const catalog = yield* server.database
      assert.include(yield* refused(folder, { catalog }), "has a catalog in SQLite with files")
      const back = yield* open(folder)
      assert.strictEqual((yield* call(`${back.url}/${key}`)).text, "small")
      yield* back.stop
      // The file is gone, so nothing is lost by another catalog.
      const other = yield* open(folder, { catalog })
      yield* uploaded(other.url, "more", { headers: anna })
    }))

  it.live("are refused for a second server with a folder of its own, also of an earlier version", () =>
    Effect.gen(function*() {
      const catalog = yield* server.database
      const [own, other] = [yield* temporaryFolder, yield* temporaryFolder]
      const first = yield* open(own, { catalog })
      assert.include(yield* refused(other, { catalog }), readId(own))
      const { key } = yield* uploaded(first.url, "kept", { headers: anna })
      yield* refused(other, { catalog })
      assert.strictEqual((yield* call(`${first.url}/${key}`)).text, "kept")
      yield* first.stop
      const again = yield* open(own, { catalog })
      assertRefused(yield* call(`${again.url}/${key}`), 404, "FILE_NOT_FOUND")
    }))

  it.live(
    "in a bucket are refused for another catalog; what is not ours in the bucket is never touched",
    () =>
      Effect.gen(function*() {
        Object.assign(process.env, S3_CREDENTIALS)
        const store = yield* s3
        const address = `s3://files?endpoint=${encodeURIComponent(store.endpoint)}`
        const put = (key: string) =>
          Effect.promise(() => fetch(`${store.endpoint}/files/${key}`, { method: "PUT", body: "x" }))
        const names = Effect.promise(async () => {
          const text = await (await fetch(`${store.endpoint}/files`)).text()
          return [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key!)
        })
        yield* put("photos/holiday.jpg")
        yield* put("database-backup.tar")
        const catalog = yield* server.database
        // Both start at once.
        const [first, second] = yield* Effect.all(
          [
            open(yield* temporaryFolder, { catalog, blobs: address }),
            open(yield* temporaryFolder, { catalog, blobs: address })
          ],
          { concurrency: 2 }
        )
        for (let i = 0; i < 5; i++) yield* uploaded(first.url, "kept", { headers: anna })
        yield* first.stop
        const before = yield* names
        assert.strictEqual(before.length, 8)
        const another = yield* temporaryFolder
        assert.include(yield* refused(another, { blobs: address }), "the bucket s3://files/")
        yield* refused(another, { blobs: address, removeOrphans: false })
        assert.deepStrictEqual(yield* names, before)
        yield* uploaded(second.url, "more", { headers: anna })
        assert.strictEqual((yield* names).length, 9)
      })
  )
})
