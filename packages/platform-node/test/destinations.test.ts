/** Existing destinations of a download: links, devices, pipes, files with permissions. */
import { FileTransfer, Platform } from "@effect-fileio/client"
import type { FileIoError } from "@effect-fileio/core"
import { NodePlatform } from "@effect-fileio/platform-node"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import { join } from "node:path"
import { bytesOf, folder, overSockets, until } from "./faults/support.ts"

const FILE = bytesOf(40_000)

const download = (key: string, target: FileTransfer.Target, options?: FileTransfer.DownloadFileOptions) =>
  FileTransfer.FileTransfer.use((transfer) => transfer.downloadFile(key, target, options))

const put = (name = "a.bin") =>
  Effect.map(
    Effect.flatMap(NodeFaultHost.NodeFaultHost, (host) => host.put({ bytes: FILE, name, maxDownloads: 99 })),
    ({ key }) => key
  )

const isWhole = (path: string): boolean => Buffer.from(FILE).equals(Fs.readFileSync(path))
const modeOf = (path: string): string => (Fs.statSync(path).mode & 0o7777).toString(8)

/** Expects that the destination is refused before the request. */
const assertLocal = (error: FileIoError.FileIoError, problem: RegExp) => {
  assert.strictEqual(error.reason._tag, "DestinationFailed")
  assert.match(error.message, problem)
  assert.strictEqual(error.copy, "kept")
}

const overwrite = { onCollision: "overwrite" } as const

describe("the permissions of a download", () => {
  it.live("are those of a new file, or those of the file that it replaces", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const key = yield* put()
      const usual = (0o666 & ~process.umask()).toString(8)
      const { path } = yield* download(key, { directory })
      assert.strictEqual(modeOf(path), usual)
      for (const mode of [0o600, 0o664, 0o444, 0o755]) {
        Fs.chmodSync(path, mode)
        yield* download(key, { path }, overwrite)
        assert.strictEqual(modeOf(path), mode.toString(8))
        yield* download(key, { directory }, overwrite)
        assert.strictEqual(modeOf(path), mode.toString(8))
      }
      // The set-user-ID bit is not passed to another content.
      Fs.chmodSync(path, 0o4755)
      yield* download(key, { path }, overwrite)
      assert.strictEqual(modeOf(path), "755")
      assert.strictEqual(modeOf((yield* download(key, { path }, { onCollision: "number" })).path), usual)
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("are the owner's alone while it is a part", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const key = yield* put()
      const seen: Array<string> = []
      const onProgress = () =>
        Effect.sync(() => {
          for (const name of Fs.readdirSync(directory).filter((name) => name.endsWith(".part"))) {
            seen.push(modeOf(join(directory, name)))
          }
        })
      yield* download(key, { directory }, { onProgress })
      assert.deepStrictEqual([...new Set(seen)], ["600"])
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

describe("a folder that is not there", () => {
  it.live("is made, with those above it, where it is named as one and where a path leads through it", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const key = yield* put()
      const { path } = yield* download(key, { directory: join(directory, "new", "inbox") })
      assert.strictEqual(path, join(directory, "new", "inbox", "a.bin"))
      assert.isTrue(isWhole(path))
      for (const options of [undefined, overwrite, { durable: false }]) {
        const copy = join(directory, "copies", "of today", "b.bin")
        assert.strictEqual((yield* download(key, { path: copy }, options)).path, copy)
        assert.isTrue(isWhole(copy))
        Fs.rmSync(join(directory, "copies"), { recursive: true })
      }
      assertLocal(yield* Effect.flip(download(key, { directory: join(path, "below a file") })), /is a file/)
      assert.deepStrictEqual(Fs.readdirSync(directory), ["new"])
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

describe("a link at the destination", () => {
  it.live("is written through where it was named and may be overwritten, whether or not it leads to a file", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const other = yield* folder
      const key = yield* put()
      const file = join(other, "real.bin")
      Fs.symlinkSync(file, join(directory, "second"))
      Fs.symlinkSync("second", join(directory, "first"))
      const path = join(directory, "first")
      // By default nothing is overwritten, and a dangling link takes the name too.
      assertLocal(yield* Effect.flip(download(key, { path })), /name is taken/)
      assert.strictEqual((yield* download(key, { path }, overwrite)).path, file)
      assert.isTrue(isWhole(file))
      Fs.writeFileSync(file, "old")
      Fs.chmodSync(file, 0o640)
      yield* download(key, { path }, overwrite)
      assert.isTrue(isWhole(file))
      assert.strictEqual(modeOf(file), "640")
      assert.deepStrictEqual(Fs.readdirSync(other), ["real.bin"])
      assert.isTrue(Fs.lstatSync(path).isSymbolicLink() && Fs.lstatSync(join(directory, "second")).isSymbolicLink())
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("is replaced where its name is the one that the host gives", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const other = yield* folder
      const key = yield* put("real.bin")
      const file = join(other, "precious")
      Fs.writeFileSync(file, "precious")
      Fs.symlinkSync(file, join(directory, "real.bin"))
      const { path } = yield* download(key, { directory }, overwrite)
      assert.strictEqual(path, join(directory, "real.bin"))
      assert.isFalse(Fs.lstatSync(path).isSymbolicLink())
      assert.isTrue(isWhole(path))
      assert.strictEqual(Fs.readFileSync(file, "utf8"), "precious")
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("that is a loop, leads to a folder or into none is refused before the request", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const key = yield* put()
      const link = (to: string) => {
        const path = join(directory, "link")
        Fs.rmSync(path, { force: true })
        Fs.symlinkSync(to, path)
        return Effect.flip(download(key, { path }, overwrite))
      }
      assertLocal(yield* link("link"), /loop/)
      assertLocal(yield* link("."), /it is a folder/)
      assertLocal(yield* link("none/at/all"), /folder does not exist/)
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("of another user in a folder that everybody can write is not followed", () => {
    const isRoot = process.geteuid?.() === 0
    // Root can create another user's link; others simulate another user id.
    const user = isRoot ? 0 : 1 + process.geteuid!()
    return Effect.gen(function*() {
      const directory = yield* folder
      const other = yield* folder
      const key = yield* put()
      const file = join(other, "precious")
      Fs.writeFileSync(file, "precious")
      const path = join(directory, "a.bin")
      Fs.symlinkSync(file, path)
      if (isRoot) Fs.lchownSync(path, 12_345, 12_345)
      Fs.chmodSync(directory, 0o1777)
      assertLocal(yield* Effect.flip(download(key, { path }, overwrite)), /link of another user/)
      assert.strictEqual(Fs.readFileSync(file, "utf8"), "precious")
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Layer.fresh(FileTransfer.layer).pipe(
          Layer.provide(Layer.succeed(Platform.CurrentPlatform, { ...NodePlatform.make, userId: user })),
          Layer.provideMerge(overSockets())
        )
      )
    )
  })
})

describe("a device or a pipe at the destination", () => {
  it.live("is refused before the request, and is never replaced", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const host = yield* NodeFaultHost.NodeFaultHost
      const key = yield* put("pipe")
      const path = join(directory, "pipe")
      execFileSync("mkfifo", [path])
      const link = join(directory, "link")
      Fs.symlinkSync(path, link)
      for (const onCollision of ["fail", "overwrite", "number"] as const) {
        for (const named of [path, link, "/dev/null"]) {
          assertLocal(yield* Effect.flip(download(key, { path: named }, { onCollision })), /device or a pipe/)
        }
      }
      assert.deepStrictEqual(yield* host.requests, [])
      // The host's name is that of the pipe.
      const file = yield* download(key, { directory }, overwrite)
      assert.strictEqual(file.path, join(directory, "pipe (1)"))
      assert.isTrue(isWhole(file.path))
      assert.isTrue(Fs.lstatSync(path).isFIFO())
      yield* until("counted", Effect.map(host.files, (files) => files[0]?.downloads === 1))
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

describe("a new folder", () => {
  it.live("is made with those above it", () =>
    Effect.gen(function*() {
      const directory = join(yield* folder, "a", "b")
      assert.isTrue(isWhole((yield* download(yield* put(), { directory })).path))
      const path = join(directory, "c", "d.bin")
      assert.strictEqual((yield* download(yield* put(), { path })).path, path)
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  // Linux says there of each new folder that it is not found, at which Node's recursive `mkdir` never ends.
  it.live.skipIf(!Fs.existsSync("/proc/self"))(
    "that the system does not make is refused before the request",
    () =>
      Effect.gen(function*() {
        const key = yield* put()
        for (const directory of ["/proc/new", "/proc/new/folder"]) {
          assertLocal(yield* Effect.flip(download(key, { directory })), /the folder does not exist/)
          assertLocal(yield* Effect.flip(download(key, { path: join(directory, "a") })), /the folder does not exist/)
        }
      }).pipe(Effect.scoped, Effect.provide(overSockets()))
  )
})
