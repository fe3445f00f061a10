import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as FileIoServer from "../src/FileIoServer.ts"
import { canMount, disk, fill, mount } from "./mounts.ts"
import {
  accounts,
  anna,
  type Answer,
  assertRefused,
  blobs,
  call,
  eventually,
  LARGE,
  large,
  pattern,
  plans,
  start,
  temporaryFolder,
  upload,
  uploaded
} from "./support.ts"

const startOn = (folder: string) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(FileIoServer.layer({
      dataDirectory: folder,
      accounts,
      plans,
      anonymousPlan: "premium",
      admin: {},
      minFreeBytes: 0,
      grace: "10 seconds"
    }))
    const { adminUrl, url } = yield* FileIoServer.FileIoServer.pipe(Effect.provide(context))
    return { folder, url, adminUrl: adminUrl! }
  })

const health = (adminUrl: string) => call(`${adminUrl}/healthz`)

/** An upload without a length. */
const uploadChunked = (url: string, size: number) =>
  Effect.promise(() =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const request = Http.request(url, {
        method: "POST",
        agent: false,
        headers: { "content-type": "multipart/form-data; boundary=b" }
      }, (response) => {
        let text = ""
        response.on("data", (chunk) => text += String(chunk))
        response.on("end", () => resolve({ status: response.statusCode!, text }))
      })
      request.on("error", reject)
      request.write("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n")
      request.write(Buffer.alloc(size))
      request.end("\r\n--b--\r\n")
    })
  )

const tellsNothing = (answer: Answer, folder: string) => {
  for (const word of [folder, "ENOSPC", "EROFS", "SQLITE", "sqlite", "blobs"]) assert.notInclude(answer.text, word)
}

/** Makes changes of the catalog fail, like a broken disk, until it is repaired. */
const failing = (folder: string, event: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const db = new DatabaseSync(Path.join(folder, "catalog.sqlite"), { timeout: 5000 })
      db.exec(`CREATE TRIGGER fault BEFORE ${event} BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END`)
      let lifted = false
      return () => {
        if (lifted) return
        lifted = true
        db.exec("DROP TRIGGER fault")
        db.close()
      }
    }),
    (lift) => Effect.sync(lift)
  )

describe("a full disk", () => {
  it.effect.skipIf(!canMount)(
    "is a 507; what is stored can be had, and room makes all well again",
    () =>
      Effect.gen(function*() {
        const folder = yield* disk(8)
        const server = yield* startOn(folder)
        const kept = yield* uploaded(server.url, pattern(1_000_000), { headers: anna, fields: { maxDownloads: "" } })
        const over = yield* upload(server.url, pattern(20_000_000), { headers: anna })
        assertRefused(over, 507, "INSUFFICIENT_STORAGE")
        tellsNothing(over, folder)
        // An upload without a length fills the disk.
        const unsaid = yield* uploadChunked(server.url, 20_000_000)
        assert.strictEqual(unsaid.status, 507, unsaid.text)
        for (const word of [folder, "ENOSPC"]) assert.notInclude(unsaid.text, word)
        yield* eventually("nothing of it is left", () => Fs.readdirSync(Path.join(folder, "incoming")).length === 0)

        // Another program takes all free space.
        const free = fill(folder)
        for (let i = 0; i < 3; i++) {
          const answer = yield* upload(server.url, pattern(100_000))
          assertRefused(answer, 507, "INSUFFICIENT_STORAGE")
          tellsNothing(answer, folder)
        }
        const sick = yield* health(server.adminUrl)
        assert.strictEqual(sick.status, 503)
        assert.strictEqual(sick.json["status"], "failing")
        assert.deepStrictEqual(sick.json["blobs"] as object, { ok: false, problem: "disk-full" })
        assert.isAtLeast((sick.json["faults"] as Record<string, { count: number }>)["disk-full"]!.count, 1)
        // A download is either given, or refused without taking anything.
        const tried = yield* call(`${server.url}/${kept.key}`)
        if (tried.status !== 200) assertRefused(tried, 507, "INSUFFICIENT_STORAGE")

        free()
        yield* uploaded(server.url, pattern(100_000))
        const got = yield* Effect.promise(() => fetch(`${server.url}/${kept.key}`).then((one) => one.arrayBuffer()))
        assert.isTrue(Buffer.from(got).equals(pattern(1_000_000)))
        const well = yield* health(server.adminUrl)
        assert.strictEqual(well.status, 200)
        assert.strictEqual(well.json["status"], "degraded")
        yield* TestClock.adjust("61 minutes")
        assert.strictEqual((yield* health(server.adminUrl)).json["status"], "ok")
      })
  )
})

describe("a disk without a byte left", () => {
  it.effect.skipIf(!canMount)("stores no upload that is lost, and gives no file twice", () =>
    Effect.gen(function*() {
      const folder = yield* disk(8)
      const server = yield* startOn(folder)
      const { key } = yield* uploaded(server.url, "once")
      const free = fill(folder)
      let given = 0
      for (let i = 0; i < 6; i++) {
        const answer = yield* call(`${server.url}/${key}`)
        if (answer.text === "once") given++
        else assert.notStrictEqual(answer.status, 200)
        assert.strictEqual((yield* upload(server.url, "x")).status, 507)
      }
      free()
      yield* TestClock.adjust("20 seconds")
      const left = yield* call(`${server.url}/${key}`)
      assert.strictEqual(given + (left.text === "once" ? 1 : 0), 1)
      assertRefused(yield* call(`${server.url}/${key}`), 404, "FILE_NOT_FOUND")
    }))
})

describe("a folder that became read-only", () => {
  it.effect.skipIf(!canMount)(
    "is a 500 and a sick health, nothing is given, and all is well when it can be written",
    () =>
      Effect.gen(function*() {
        const folder = yield* disk(16)
        const server = yield* startOn(folder)
        const { key } = yield* uploaded(server.url, "kept")
        // Open files prevent remounting, but not a read-only bind mount over the same path.
        const incoming = Path.join(folder, "incoming")
        yield* Effect.acquireRelease(
          Effect.sync(() =>
            assert.isTrue(mount("--bind", incoming, incoming) && mount("-o", "remount,bind,ro", incoming))
          ),
          () => Effect.sync(() => spawnSync("umount", ["-l", incoming]))
        )
        const refused = yield* upload(server.url, large("new"))
        assertRefused(refused, 500, "INTERNAL_ERROR")
        tellsNothing(refused, folder)
        const sick = yield* health(server.adminUrl)
        assert.strictEqual(sick.status, 503)
        assert.deepStrictEqual(sick.json["blobs"] as object, { ok: false, problem: "not-writable" })
        spawnSync("umount", ["-l", incoming])
        assert.strictEqual((yield* health(server.adminUrl)).status, 200)
        yield* uploaded(server.url, "new")
        assert.strictEqual((yield* call(`${server.url}/${key}`)).text, "kept")
      })
  )
})

describe("a missing blob", () => {
  it.effect("is a 500 that the health reports, and the server works on", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const server = yield* startOn(folder)
      const { key } = yield* uploaded(server.url, large("lost"))
      const store = Path.join(folder, "blobs")
      for (const name of Fs.readdirSync(store)) Fs.rmSync(Path.join(store, name))
      const answer = yield* call(`${server.url}/${key}`)
      assertRefused(answer, 500, "INTERNAL_ERROR")
      tellsNothing(answer, folder)
      const degraded = yield* health(server.adminUrl)
      assert.strictEqual(degraded.status, 200)
      assert.strictEqual(degraded.json["status"], "degraded")
      assert.strictEqual((degraded.json["faults"] as Record<string, { count: number }>)["blob-missing"]!.count, 1)
      assert.include((yield* call(`${server.adminUrl}/metrics`)).text, "fileio_faults_total{kind=\"blob-missing\"}")
      const other = yield* uploaded(server.url, "there")
      assert.strictEqual((yield* call(`${server.url}/${other.key}`)).text, "there")
    }))
})

describe("a blob that lost its end", () => {
  it.effect("breaks its download, which is logged, shows in the health, and does not count", () =>
    Effect.gen(function*() {
      const server = yield* startOn(yield* temporaryFolder)
      const { key } = yield* uploaded(server.url, pattern(3_000_000))
      const store = Path.join(server.folder, "blobs")
      for (const name of Fs.readdirSync(store)) Fs.truncateSync(Path.join(store, name), 2_500_000)
      const got = yield* Effect.promise(() =>
        fetch(`${server.url}/${key}`).then((one) => one.arrayBuffer()).catch(() => "broken")
      )
      assert.strictEqual(got, "broken")
      const faults = () =>
        Effect.runPromise(health(server.adminUrl)).then(({ json }) =>
          json["faults"] as Record<string, { count: number }>
        )
      yield* eventually("it is noted", async () => (await faults())["blobs"]?.count === 1)
      // The download was not taken: another receiver gets as far.
      const head = yield* call(`${server.url}/${key}`, { method: "HEAD" })
      assert.strictEqual(head.status, 200)
    }))
})

describe("a catalog that cannot be written", () => {
  it.effect("at the moment a download is whole: it is not given again, and counted once it can be", () =>
    Effect.gen(function*() {
      const server = yield* startOn(yield* temporaryFolder)
      const { key } = yield* uploaded(server.url, "once", { headers: anna, fields: { autoDelete: "false" } })
      const at = `${server.url}/${key}`
      const lift = yield* failing(server.folder, "UPDATE ON leases WHEN NEW.phase = 'counted'")
      assert.strictEqual((yield* call(at)).text, "once")
      assertRefused(yield* call(at), 423, "DOWNLOAD_IN_PROGRESS")
      // Its lease has ended by then, but its last byte was handed over.
      yield* TestClock.adjust("10 minutes")
      assertRefused(yield* call(at), 404, "FILE_NOT_FOUND")
      lift()
      yield* TestClock.adjust("10 seconds")
      const counted = () =>
        Effect.runPromise(call(server.url, { headers: anna })).then(({ json }) => json.nodes[0]!["downloads"] === 1)
      yield* eventually("it is counted", counted)
      assertRefused(yield* call(at), 404, "FILE_NOT_FOUND")
    }))

  it.effect("just before the last byte: that is not sent, and the file is available again after the grace time", () =>
    Effect.gen(function*() {
      const server = yield* startOn(yield* temporaryFolder)
      for (const content of [Buffer.from("s"), Buffer.from("small"), pattern(LARGE)]) {
        const isSmall = content.length < LARGE
        const { key } = yield* uploaded(server.url, content)
        const at = `${server.url}/${key}`
        const lift = yield* failing(server.folder, "UPDATE ON leases WHEN NEW.phase = 'handed'")
        const failed = yield* Effect.promise(() =>
          fetch(at).then((response) => response.arrayBuffer()).then(() => false, () => true)
        )
        assert.isTrue(failed)
        lift()
        // A small file is available at once; only a large one is worth resuming.
        const status = isSmall ? 200 : 423
        const head = () => Effect.runPromise(call(at, { method: "HEAD" })).then((answer) => answer.status)
        yield* eventually("the break is seen", () => head().then((seen) => seen === status))
        if (!isSmall) yield* TestClock.adjust("20 seconds")
        const got = yield* Effect.promise(() => fetch(at).then((response) => response.arrayBuffer()))
        assert.isTrue(Buffer.from(got).equals(content))
        assertRefused(yield* call(at), 404, "FILE_NOT_FOUND")
      }
    }))

  it.effect("refuses uploads and deletions with a 500, and keeps what is there", () =>
    Effect.gen(function*() {
      const server = yield* startOn(yield* temporaryFolder)
      const { key } = yield* uploaded(server.url, "kept", { headers: anna })
      const noInsert = yield* failing(server.folder, "INSERT ON files")
      assertRefused(yield* upload(server.url, "new"), 500, "INTERNAL_ERROR")
      noInsert()
      assert.strictEqual(blobs(server).length, 1)
      const noDelete = yield* failing(server.folder, "DELETE ON files")
      assertRefused(
        yield* call(`${server.url}/${key}`, { method: "DELETE", headers: anna }),
        500,
        "INTERNAL_ERROR"
      )
      noDelete()
      assert.strictEqual((yield* call(`${server.url}/${key}`)).text, "kept")
    }))

  it.effect("during a sweep only delays it", () =>
    Effect.gen(function*() {
      const server = yield* startOn(yield* temporaryFolder)
      yield* uploaded(server.url, "short-lived", { fields: { expires: "1m" } })
      const lift = yield* failing(server.folder, "DELETE ON files")
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(blobs(server).length, 1)
      lift()
      yield* TestClock.adjust("15 seconds")
      yield* eventually("it is swept", () => blobs(server).length === 0)
    }))
})

describe("the bytes of a file that has ended", () => {
  it.effect("are gone within a minute, used up or expired", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "used up")
      yield* uploaded(server.url, "expires", { fields: { expires: "1s" } })
      yield* call(`${server.url}/${key}`)
      assert.strictEqual(blobs(server).length, 2)
      for (let second = 1; second < 60; second++) {
        yield* TestClock.adjust("1 second")
        // A sweep takes real time on the real disk, and the next one is scheduled from its end.
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
      }
      yield* eventually("both are gone", () => blobs(server).length === 0)
    }))
})
