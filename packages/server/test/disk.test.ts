import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Accounts from "../src/Accounts.ts"
import * as ApiKeys from "../src/ApiKeys.ts"
import * as FileIoServer from "../src/FileIoServer.ts"
import type * as ServerOptions from "../src/ServerOptions.ts"
import { s3, S3_CREDENTIALS } from "./engines.ts"
import { canMount, disk, fill, freeBytes } from "./mounts.ts"
import {
  accounts,
  ANNA,
  anna,
  assertRefused,
  blobs,
  call,
  eventually,
  pattern,
  plans,
  swept,
  temporaryFolder,
  upload,
  uploaded
} from "./support.ts"

const open = (folder: string, options: ServerOptions.TemporaryOptions = {}) =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const context = yield* Scope.provide(
      Layer.build(FileIoServer.layer({
        dataDirectory: folder,
        accounts,
        plans,
        anonymousPlan: "premium",
        admin: {},
        grace: "10 seconds",
        minFreeBytes: 0,
        ...options
      })),
      scope
    )
    const { adminUrl, url } = yield* FileIoServer.FileIoServer.pipe(Effect.provide(context))
    return { folder, url, adminUrl: adminUrl!, stop: Scope.close(scope, Exit.void) }
  })

const health = (adminUrl: string) => call(`${adminUrl}/healthz`)

const reserveOf = (folder: string): number =>
  Fs.statSync(Path.join(folder, "reserve"), { throwIfNoEntry: false })?.size ?? 0

/** The catalog creates its reserve in the background. */
const reserved = (folder: string) => eventually("the reserve exists", () => reserveOf(folder) > 0)

describe.skipIf(!canMount)("a disk without a byte left", () => {
  it.effect("is no dead end: deletions work, downloads count, the sweep frees space, and the reserve is restored", () =>
    Effect.gen(function*() {
      const folder = yield* disk(24)
      const server = yield* open(folder)
      yield* reserved(folder)
      const large = yield* uploaded(server.url, pattern(4_000_000), { headers: anna })
      const once = yield* uploaded(server.url, "once")
      const mine = (yield* upload(server.url, "mine")).json
      const kept = yield* uploaded(server.url, "kept", { headers: anna, fields: { maxDownloads: "2" } })
      yield* uploaded(server.url, pattern(500_000), { fields: { expires: "1m" } })
      fill(folder)

      const deleted = yield* call(`${server.url}/${large.key}`, { method: "DELETE", headers: anna })
      assert.strictEqual(deleted.status, 200, deleted.text)
      const takenBack = yield* call(`${server.url}/${mine.key}`, {
        method: "DELETE",
        headers: { "delete-token": String(mine["deleteToken"]) }
      })
      assert.strictEqual(takenBack.status, 200, takenBack.text)
      assert.strictEqual((yield* call(`${server.url}/${once.key}`)).text, "once")
      assertRefused(yield* call(`${server.url}/${once.key}`), 404, "FILE_NOT_FOUND")
      assert.strictEqual((yield* call(`${server.url}/${kept.key}`)).text, "kept")
      yield* swept("2 minutes", "what has ended is swept", () => blobs(server).length === 1)
      assert.isAbove(freeBytes(folder), 3_000_000)
      yield* TestClock.adjust("10 seconds")
      yield* reserved(folder)

      const [listed] = (yield* call(server.url, { headers: anna })).json.nodes
      assert.deepInclude(listed, { key: kept.key, downloads: 1 })
      yield* uploaded(server.url, pattern(100_000))
    }))

  it.effect("does not keep a server from starting, nor a downloaded file from being counted then", () =>
    Effect.gen(function*() {
      const folder = yield* disk(16)
      const first = yield* open(folder)
      yield* reserved(folder)
      const once = yield* uploaded(first.url, "once")
      const [large, kept] = [
        yield* uploaded(first.url, pattern(1_000_000), { headers: anna }),
        yield* uploaded(first.url, "k")
      ]
      const free = fill(folder)
      yield* first.stop
      free()
      fill(folder)

      const second = yield* open(folder)
      assert.strictEqual((yield* call(`${second.url}/${once.key}`)).text, "once")
      assertRefused(yield* call(`${second.url}/${once.key}`), 404, "FILE_NOT_FOUND")
      assert.strictEqual(
        (yield* call(`${second.url}/${large.key}`, { method: "DELETE", headers: anna })).status,
        200
      )
      yield* second.stop
      const third = yield* open(folder)
      assertRefused(yield* call(`${third.url}/${once.key}`), 404, "FILE_NOT_FOUND")
      assert.strictEqual((yield* call(`${third.url}/${kept.key}`)).text, "k")
    }))

  it.effect("without a reserve is reported at the start, with what to do", () =>
    Effect.gen(function*() {
      const folder = yield* disk(8)
      yield* (yield* open(folder)).stop
      Fs.rmSync(Path.join(folder, "reserve"), { force: true })
      fill(folder)
      const error = yield* Effect.flip(open(folder))
      assert.strictEqual(error.message, "cannot use the catalog: its disk is full; free at least 1 MiB and start again")
    }))

  it.live("refuses uploads also where the bytes lie in a bucket, and says so in its health", () =>
    Effect.gen(function*() {
      const store = yield* s3
      Object.assign(process.env, S3_CREDENTIALS)
      const folder = yield* disk(24)
      const server = yield* open(folder, {
        blobs: `s3://files?endpoint=${encodeURIComponent(store.endpoint)}`,

        minFreeBytes: 4 * 1024 * 1024
      })
      const { key } = yield* uploaded(server.url, pattern(10_000_000), { headers: anna })
      assert.strictEqual((yield* health(server.adminUrl)).json["status"], "ok")
      const free = fill(folder, 1024 * 1024)
      assertRefused(yield* upload(server.url, "new"), 507, "INSUFFICIENT_STORAGE")
      const sick = yield* health(server.adminUrl)
      assert.strictEqual(sick.status, 503)
      assert.isFalse((sick.json["disk"] as { ok: boolean }).ok)
      assert.strictEqual(
        (yield* call(`${server.url}/${key}`, { method: "DELETE", headers: anna })).status,
        200
      )
      free()
      yield* uploaded(server.url, "new")
      assert.strictEqual((yield* health(server.adminUrl)).status, 200)
    }))
})

describe("the floor of the disk", () => {
  it.effect.skipIf(!canMount)(
    "is left by any number of uploads at the same time, also of those that do not say their size",
    () =>
      Effect.gen(function*() {
        const folder = yield* disk(64)
        const server = yield* open(folder, { minFreeBytes: 16 * 1024 * 1024 })
        yield* reserved(folder)
        const answers = yield* Effect.forEach(
          Array.from({ length: 24 }),
          () => upload(server.url, pattern(4_000_000)),
          { concurrency: "unbounded" }
        )
        assert.isAtLeast(freeBytes(folder), 15 * 1024 * 1024)
        assert.isAtLeast(answers.filter(({ status }) => status === 507).length, 12)
        assert.isAtLeast(answers.filter(({ status }) => status === 200).length, 1)
      })
  )
})

describe("the file of accounts", () => {
  it.effect("is readable by its owner only, whatever the umask; a start warns if others can write it or the data folder", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = Path.join(folder, "accounts.json")
      yield* Effect.acquireUseRelease(
        Effect.sync(() => process.umask(0)),
        () => Accounts.createKey(file, { account: "anna" }).pipe(Effect.provide(NodeCrypto.layerSecureRandom)),
        (umask) => Effect.sync(() => process.umask(umask))
      )
      assert.strictEqual(Fs.statSync(file).mode & 0o777, 0o600)
      const logged: Array<string> = []
      const started = Effect.scoped(open(folder, { accountsFile: file })).pipe(
        Effect.provide(Logger.layer([Logger.make(({ message }) => void logged.push(String(message)))]))
      )
      yield* started
      assert.isFalse(logged.some((line) => line.includes("others can write")))
      Fs.chmodSync(file, 0o666)
      Fs.chmodSync(folder, 0o777)
      yield* started
      assert.isTrue(logged.some((line) => line.includes(`others can write the file of accounts ${file}`)))
      assert.isTrue(logged.some((line) => line.includes(`others can write in the data folder ${folder}`)))
    }))

  it.effect("is read again until that works, so that a revoked key does not stay", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = Path.join(folder, "accounts.json")
      // Neither size nor time distinguishes the last content from the one before.
      const write = (text: string, size = 400) => {
        Fs.writeFileSync(file, text.padEnd(size))
        Fs.utimesSync(file, 1000, 1000)
      }
      const sha256 = ApiKeys.hash(ANNA).toString("hex")
      const key = { id: "ANNA000", sha256, created: "2026-01-01T00:00:00.000Z" }
      write(JSON.stringify({ accounts: [{ name: "anna", plan: "free", keys: [key] }] }), 410)
      const context = yield* Layer.build(Accounts.layer(file))
      const { find } = yield* Effect.provide(ApiKeys.ApiKeys, context)
      assert.isTrue(Option.isSome(find(ANNA)))
      write("{ half")
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("1 second")
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
      }
      assert.isTrue(Option.isSome(find(ANNA)))
      write(JSON.stringify({ accounts: [{ name: "anna", plan: "free", keys: [] }] }))
      for (let tries = 0; Option.isSome(find(ANNA)) && tries < 100; tries++) {
        yield* TestClock.adjust("1 second")
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
      }
      assert.isTrue(Option.isNone(find(ANNA)))
    }))
})

describe("what lies in the data folder", () => {
  it.effect("can be read by its owner only, in a folder that was there before and had files that others could read", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      Fs.chmodSync(folder, 0o755)
      yield* (yield* open(folder)).stop
      for (const name of Fs.readdirSync(folder)) Fs.chmodSync(Path.join(folder, name), 0o755)
      const server = yield* open(folder)
      yield* uploaded(server.url, "secret")
      yield* reserved(folder)
      for (const name of Fs.readdirSync(folder)) {
        const stat = Fs.statSync(Path.join(folder, name))
        assert.strictEqual(stat.mode & 0o077, 0, `${name} ${stat.mode.toString(8)}`)
      }
      assert.strictEqual(Fs.statSync(folder).mode & 0o777, 0o755)
    }))
})
