import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as FileIoServer from "../src/FileIoServer.ts"
import * as ServerOptions from "../src/ServerOptions.ts"
import {
  ANNA,
  anna,
  assertRefused,
  blobs,
  call,
  eventually,
  incoming,
  LARGE,
  openDownload,
  pattern,
  start,
  startStoppable,
  swept,
  temporaryFolder,
  uploaded
} from "./support.ts"

const BIN = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

const stop = ({ scope }: { readonly scope: Scope.Closeable }) => Scope.close(scope, Exit.void)

describe("a restart", () => {
  it.effect("keeps files, counts and tombstones", () =>
    Effect.gen(function*() {
      const first = yield* startStoppable({})
      const file = yield* uploaded(first.url, "kept", { headers: anna, fields: { maxDownloads: "3", title: "t" } })
      const used = yield* uploaded(first.url, "used up")
      assert.strictEqual((yield* call(`${first.url}/${file.key}`)).text, "kept")
      assert.strictEqual((yield* call(`${first.url}/${used.key}`)).text, "used up")
      yield* stop(first)

      const second = yield* start({ folder: first.folder })
      const { json } = yield* call(second.url, { headers: anna })
      const { link, status: _, success: __, ...details } = file
      assert.deepStrictEqual<unknown>(json.nodes, [{
        ...details,
        link: String(link).replace(first.url, second.url),
        downloads: 1,
        attempts: 1,
        lastAttempt: "1970-01-01T00:00:00.000Z"
      }])
      assert.strictEqual((yield* call(`${second.url}/${file.key}`)).text, "kept")
      assertRefused(yield* call(`${second.url}/${used.key}`), 404, "FILE_NOT_FOUND")
    }))

  it.effect("in the middle of a download gives its receiver the grace time to resume, then frees the file", () =>
    Effect.gen(function*() {
      const first = yield* startStoppable({ gracefulShutdownTimeout: 0 })
      const content = pattern(LARGE)
      const { key } = yield* uploaded(first.url, content, { headers: anna, fields: { maxDownloads: "1" } })
      const open = yield* openDownload(`${first.url}/${key}`)
      const stopping = yield* Effect.forkChild(stop(first))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopping)
      open.response.resume()
      yield* eventually("the receiver sees it break", () => open.response.destroyed)
      assert.isFalse(open.response.complete)

      const second = yield* start({ folder: first.folder })
      const at = `${second.url}/${key}`
      assertRefused(yield* call(at), 423, "DOWNLOAD_IN_PROGRESS")
      const resumed = yield* Effect.promise(() =>
        fetch(at, { headers: { range: "bytes=0-9", "if-range": String(open.headers.etag) } })
      )
      assert.strictEqual(resumed.status, 206)
      assert.isTrue(Buffer.from(yield* Effect.promise(() => resumed.arrayBuffer())).equals(content.subarray(0, 10)))
      yield* TestClock.adjust("31 seconds")
      const whole = yield* Effect.promise(() => fetch(at).then((response) => response.arrayBuffer()))
      assert.isTrue(Buffer.from(whole).equals(content))
    }))

  it.effect("sweeps what an interrupted process left behind, and nothing else", () =>
    Effect.gen(function*() {
      const first = yield* startStoppable({})
      const { key } = yield* uploaded(first.url, "kept")
      yield* stop(first)
      const [half, orphan] = ["1".repeat(32), "2".repeat(32)]
      Fs.writeFileSync(Path.join(first.folder, "incoming", half), "half an upload")
      Fs.writeFileSync(Path.join(first.folder, "blobs", orphan), "a blob without a row")
      const second = yield* start({ folder: first.folder })
      assert.deepStrictEqual(incoming(second), [])
      assert.strictEqual(blobs(second).length, 1)
      assert.strictEqual((yield* call(`${second.url}/${key}`)).text, "kept")
    }))

  it.effect("of a server while another one runs in the same folder is refused", () =>
    Effect.gen(function*() {
      const { folder, url } = yield* start()
      const { key } = yield* uploaded(url, "safe")
      const error = yield* Effect.flip(start({ folder }))
      assert.strictEqual(error._tag, "DataFolderError")
      assert.include(error.message, "another server uses it")
      assert.strictEqual((yield* call(`${url}/${key}`)).text, "safe")
    }))
})

describe("an expired file", () => {
  it.effect("is not given one second late, is gone from every response, and its bytes are deleted within a minute", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "short-lived", {
        headers: anna,
        fields: { expires: "10m", maxDownloads: "" }
      })
      const at = `${server.url}/${key}`
      yield* TestClock.adjust("599 seconds")
      assert.strictEqual((yield* call(at)).text, "short-lived")
      yield* TestClock.adjust("1 second")
      assertRefused(yield* call(at), 404, "FILE_NOT_FOUND")
      assertRefused(yield* call(at, { method: "PATCH", headers: anna }), 404, "FILE_NOT_FOUND")
      assert.strictEqual((yield* call(server.url, { headers: anna })).json["count"], 0)
      yield* swept("1 minute", "the bytes are deleted", () => blobs(server).length === 0)
      assert.strictEqual((yield* call(`${server.url}/me`, { headers: anna })).json["usedStorageBytes"], 0)
    }))

  it.effect("that is kept stays with its owner, who can make it live again", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { key } = yield* uploaded(server.url, "kept", {
        headers: anna,
        fields: { expires: "1m", autoDelete: "false" }
      })
      const at = `${server.url}/${key}`
      yield* TestClock.adjust("5 minutes")
      assertRefused(yield* call(at), 404, "FILE_NOT_FOUND")
      assert.strictEqual((yield* call(server.url, { headers: anna })).json["count"], 1)
      const alive = yield* call(at, { method: "PATCH", headers: anna, body: new URLSearchParams({ expires: "1h" }) })
      assert.strictEqual(alive.status, 200)
      assert.strictEqual((yield* call(at)).text, "kept")
    }))

  it.effect("without an owner is deleted even where it was to be kept", () =>
    Effect.gen(function*() {
      const server = yield* start()
      yield* uploaded(server.url, "nobody's", { fields: { expires: "1m", autoDelete: "false" } })
      yield* swept("2 minutes", "the bytes are deleted", () => blobs(server).length === 0)
    }))

  it.effect("is swept at the start too, and its key stays a 404", () =>
    Effect.gen(function*() {
      const first = yield* startStoppable({})
      const { key } = yield* uploaded(first.url, "short-lived", { fields: { expires: "1h" } })
      yield* stop(first)
      yield* TestClock.adjust("2 hours")
      const second = yield* start({ folder: first.folder })
      assert.deepStrictEqual(blobs(second), [])
      assertRefused(yield* call(`${second.url}/${key}`), 404, "FILE_NOT_FOUND")
    }))

  it.live("is swept by the real clock", () =>
    Effect.gen(function*() {
      const server = yield* start({ sweepInterval: "50 millis" })
      yield* uploaded(server.url, "a second", { fields: { expires: "1s" } })
      assert.strictEqual(blobs(server).length, 1)
      yield* eventually("the bytes are deleted", () => blobs(server).length === 0)
    }))
})

describe("a used-up file", () => {
  it.effect("is swept with its bytes", () =>
    Effect.gen(function*() {
      const server = yield* start({ grace: 0 })
      const { key } = yield* uploaded(server.url, "once", { headers: anna })
      yield* call(`${server.url}/${key}`)
      assert.strictEqual((yield* call(`${server.url}/me`, { headers: anna })).json["usedStorageBytes"], 0)
      yield* swept("1 minute", "the bytes are deleted", () => blobs(server).length === 0)
    }))
})

describe("the layers", () => {
  it.effect("layerTemporary lets anybody do everything, and removes its folder with the scope", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const { TMPDIR } = process.env
      process.env["TMPDIR"] = folder
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (TMPDIR === undefined) delete process.env["TMPDIR"]
          else process.env["TMPDIR"] = TMPDIR
        })
      )
      const scope = yield* Scope.make()
      const context = yield* Scope.provide(Layer.build(FileIoServer.layerTemporary()), scope)
      const { port, publicUrl, url } = yield* FileIoServer.FileIoServer.pipe(Effect.provide(context))
      assert.strictEqual(url, `http://127.0.0.1:${port}`)
      assert.strictEqual(publicUrl, url)
      const file = yield* uploaded(url, "x", { fields: { maxDownloads: "", expires: "", autoDelete: "false" } })
      assert.isNull(file["maxDownloads"])
      assert.strictEqual(Fs.readdirSync(folder).length, 1)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(Fs.readdirSync(folder), [])
      assert.isTrue(yield* Effect.promise(() => fetch(url).then(() => false, () => true)))
    }))

  it.effect("layerConfig reads the environment, and keeps the key out of sight", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const environment = ConfigProvider.fromEnv({
        env: {
          FILEIO_SERVER_HOST: "127.0.0.1",
          FILEIO_SERVER_PORT: "0",
          FILEIO_SERVER_DATA: Path.join(folder, "deep", "data"),
          FILEIO_SERVER_PUBLIC_URL: "https://files.example/",
          FILEIO_SERVER_API_KEY: ANNA,
          FILEIO_SERVER_GRACE: "5 seconds"
        }
      })
      const context = yield* Layer.build(FileIoServer.layerConfig()).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, environment)
      )
      const { publicUrl, url } = yield* FileIoServer.FileIoServer.pipe(Effect.provide(context))
      assert.strictEqual(publicUrl, "https://files.example")
      const file = yield* uploaded(url, "x", { headers: anna })
      assert.strictEqual(file["link"], `https://files.example/${file.key}`)
      assert.isTrue(Fs.existsSync(Path.join(folder, "deep", "data", "catalog.sqlite")))
      const config = yield* ServerOptions.config.pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, environment)
      )
      assert.notInclude(JSON.stringify(config), ANNA)
    }))

  it.effect("fails with a typed error where the folder cannot be used or the port is taken", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      Fs.writeFileSync(Path.join(folder, "file"), "")
      const noFolder = yield* Effect.flip(start({ folder: Path.join(folder, "file", "data") }))
      assert.strictEqual(noFolder._tag, "DataFolderError")
      const { url } = yield* start()
      const taken = yield* Effect.flip(start({ port: Number(new URL(url).port) }))
      assert.strictEqual(taken._tag, "ListenError")
      const noPlan = yield* Effect.flip(start({ anonymousPlan: "gold" }))
      assert.strictEqual(noPlan._tag, "UnknownPlan")
      assert.include(noPlan.message, "gold; known: free, premium")
    }))
})

describe("the program", () => {
  it.live(
    "prints one line with what it serves and one when it stops, and lets a transfer end",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const child = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, [BIN], {
              env: { ...process.env, FILEIO_SERVER_PORT: "0", FILEIO_SERVER_DATA: folder },
              stdio: ["ignore", "pipe", "pipe"]
            })
          ),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        let output = ""
        child.stdout.on("data", (chunk) => output += String(chunk))
        child.stderr.on("data", (chunk) => output += String(chunk))
        yield* eventually("it says where it listens", () => output.includes("\n"))
        const url = /http:\/\/127\.0\.0\.1:\d+/.exec(output)![0]
        const content = pattern(LARGE)
        const { key } = yield* uploaded(url, content)
        const open = yield* openDownload(`${url}/${key}`)
        const ended = new Promise<number | null>((resolve) => child.once("exit", resolve))
        child.kill("SIGTERM")
        yield* eventually("nobody else is let in", () => fetch(url).then(() => false, () => true))
        const got = yield* Effect.promise(() => open.response.toArray())
        assert.isTrue(Buffer.concat(got as Array<Buffer>).equals(content))
        assert.strictEqual(yield* Effect.promise(() => ended), 0)
        const [first, ...others] = output.trim().split("\n")
        assert.match(first!, /^file\.io on /)
        assert.deepStrictEqual(others, ["stopping: running transfers have at most 20s"])
      })
  )
})
