/** Files on the disk after every kind of failure. */
import { FileIo, FileTransfer, Platform, RetryPolicy } from "@effect-fileio/client"
import { Fault } from "@effect-fileio/client/testing"
import type { FileIoError } from "@effect-fileio/core"
import { NodePlatform } from "@effect-fileio/platform-node"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Layer, Path, PlatformError, Stream } from "effect"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { bytesOf, folder, overSockets, until } from "./faults/support.ts"

const FILE = bytesOf(400_000)
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")
const read = (path: string) =>
  FileSystem.FileSystem.use((fs) => Effect.map(fs.readFile(path), (bytes) => new Uint8Array(bytes)))
const list = (path: string) =>
  FileSystem.FileSystem.use((fs) => Effect.map(fs.readDirectory(path), (names) => names.toSorted()))
const downloadsOf = Effect.flatMap(
  NodeFaultHost.NodeFaultHost,
  (host) => Effect.map(host.requests, (requests) => requests.filter(({ operation }) => operation === "download"))
)

const download = (
  key: string,
  target: FileTransfer.Target,
  options?: FileTransfer.DownloadFileOptions
) => FileTransfer.FileTransfer.use((transfer) => transfer.downloadFile(key, target, options))

const interrupted = (error: FileIoError.FileIoError) => {
  assert.strictEqual(error.reason._tag, "TransferInterrupted", error.message)
  return error.reason as FileIoError.TransferInterrupted
}
const destinationFailed = (error: FileIoError.FileIoError) => {
  assert.strictEqual(error.reason._tag, "DestinationFailed", error.message)
  return error.reason as FileIoError.DestinationFailed
}

const quick = RetryPolicy.make({ times: 3, base: 1 })

describe("a host that can resume", () => {
  const breaks: Record<string, Fault.Fault> = {
    "is reset": Fault.ResetBody({ atByte: 150_000 }),
    "is truncated": Fault.Truncate({ atByte: 150_000 }),
    "is cut in chunks": Fault.CutChunked({ atByte: 150_000 }),
    "stands still": Fault.StallBody({ atByte: 150_000 })
  }
  for (const [how, fault] of Object.entries(breaks)) {
    it.live(`a download that ${how} goes on where it broke, and counts once`, () =>
      Effect.gen(function*() {
        const host = yield* NodeFaultHost.NodeFaultHost
        const fs = yield* FileSystem.FileSystem
        const directory = yield* folder
        const one = yield* host.put({ bytes: FILE, name: "a.bin", maxDownloads: 2 })
        yield* host.inject(fault, { on: "download", times: 2 })
        const { path } = yield* download(one.key, { directory }).pipe(FileIo.withRetry(quick))
        assert.deepStrictEqual(yield* read(path), FILE)
        assert.deepStrictEqual(yield* list(directory), ["a.bin"])
        assert.strictEqual((yield* fs.stat(path)).mode & 0o777, 0o666 & ~process.umask())
        const requests = yield* downloadsOf
        assert.strictEqual(requests.length, 3)
        assert.match(requests[2]!.headers["range"]!, /^bytes=[1-9]\d*-$/)
        assert.match(requests[2]!.headers["if-range"]!, /^"lease-/)
        // The host knows the last byte after it has handed it over.
        yield* until("counted", Effect.map(host.files, (files) => files[0]?.downloads === 1))
      }).pipe(Effect.scoped, Effect.provide(overSockets(how === "stands still" ? { idleTimeout: "2 seconds" } : {}))))
  }

  it.live("the same call resumes the previous call's part, and checks the digest", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { key, link } = yield* host.put({ bytes: FILE, name: "a.bin" })
      yield* host.inject(Fault.Truncate({ atByte: 150_000 }), { on: "download" })
      const once = download(`${link}#sha256=${sha256(FILE)}`, { directory }).pipe(FileIo.withRetry(RetryPolicy.none))
      const error = yield* Effect.flip(once)
      const reason = interrupted(error)
      assert.isTrue(reason.resumable)
      assert.strictEqual(error.copy, "unknown")
      assert.match(error.message, /can be resumed/)
      const names = yield* list(directory)
      assert.strictEqual(names.length, 2)
      const note = names.find((name) => name.endsWith(".json"))!
      for (const name of names) assert.notInclude(name, key)
      const noted = new TextDecoder().decode(yield* read(`${directory}/${note}`))
      assert.notInclude(noted, key)
      assert.notInclude(noted, "TESTKEY")
      assert.strictEqual(
        (yield* FileSystem.FileSystem.use((fs) => fs.stat(`${directory}/${note}`))).mode & 0o777,
        0o600
      )

      const { bytes, path } = yield* once
      assert.strictEqual(bytes, FILE.length)
      assert.deepStrictEqual(yield* read(path), FILE)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
      assert.strictEqual((yield* downloadsOf)[1]!.headers["range"], `bytes=${reason.bytesDone}-`)
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("an empty response is no file, also when it is asked for again", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { link } = yield* host.put({ bytes: new Uint8Array(0), name: "x", maxDownloads: 2 })
      for (let call = 1; call <= 2; call++) {
        const error = yield* Effect.flip(download(link, { directory }))
        assert.match(error.message, /the body is empty/)
        assert.deepStrictEqual(yield* list(directory), [])
      }
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("a part with all bytes gets its name without a request", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      yield* host.inject(Fault.Truncate({ atByte: 150_000 }), { on: "download" })
      const once = download(key, { directory }).pipe(FileIo.withRetry(RetryPolicy.none))
      const { partPath } = interrupted(yield* Effect.flip(once))
      yield* fs.writeFile(partPath!, FILE)
      assert.deepStrictEqual(yield* read((yield* once).path), FILE)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
      assert.strictEqual((yield* downloadsOf).length, 1)
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("a file that was published before the process died is not published twice", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      yield* host.inject(Fault.Truncate({ atByte: 150_000 }), { on: "download" })
      const once = download(key, { directory }).pipe(FileIo.withRetry(RetryPolicy.none))
      const { partPath } = interrupted(yield* Effect.flip(once))
      yield* fs.writeFile(partPath!, FILE)
      yield* fs.link(partPath!, `${directory}/a.bin`)
      assert.strictEqual((yield* once).path, `${directory}/a.bin`)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("a host that has deleted the file meanwhile: the error says so, and the part stays", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fileIo = yield* FileIo.FileIo
      const directory = yield* folder
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      yield* host.inject(Fault.Truncate({ atByte: 150_000 }), { on: "download" })
      const once = download(key, { directory }).pipe(FileIo.withRetry(RetryPolicy.none))
      const { partPath } = interrupted(yield* Effect.flip(once))
      yield* fileIo.delete(key)
      const error = yield* Effect.flip(once)
      const reason = interrupted(error)
      assert.isFalse(reason.resumable)
      assert.strictEqual(error.copy, "consumed")
      assert.strictEqual(reason.partPath, partPath)
      assert.deepStrictEqual(yield* read(partPath!), FILE.subarray(0, reason.bytesDone))
      // From now on the call starts over.
      assert.strictEqual((yield* Effect.flip(once)).reason._tag, "FileNotFound")
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("a host that starts over: the file arrives completely, and only then the old part is removed", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      yield* host.inject(Fault.Truncate({ atByte: 150_000 }), { on: "download" })
      const once = download(key, { directory }).pipe(FileIo.withRetry(RetryPolicy.none))
      yield* Effect.flip(once)
      yield* Effect.sleep(60)
      assert.deepStrictEqual(yield* read((yield* once).path), FILE)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
    }).pipe(Effect.scoped, Effect.provide(overSockets({ grace: "50 millis" }))))

  it.live("two downloads of one key into one folder at once do not touch each other's part", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin", maxDownloads: 8 })
      yield* host.inject(Fault.Drip({ bytes: 20_000, every: 1 }), { on: "download", times: 8 })
      const files = yield* Effect.all(Array.from({ length: 8 }, () => download(key, { directory })), { concurrency: 8 })
      assert.strictEqual(new Set(files.map(({ path }) => path)).size, 8)
      for (const { path } of files) assert.deepStrictEqual(yield* read(path), FILE)
      assert.strictEqual((yield* list(directory)).length, 8)
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("by hand: `resume` of `FileIo.download` gives the rest", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fileIo = yield* FileIo.FileIo
      const { key } = yield* host.put({ bytes: FILE })
      const first = yield* Effect.scoped(Effect.gen(function*() {
        const { stream, validator } = yield* fileIo.download(key)
        const bytes = yield* Stream.mkUint8Array(Stream.take(stream, 1))
        return { bytes, validator: validator! }
      }))
      const offset = first.bytes.length
      const rest = yield* Effect.scoped(
        Effect.flatMap(fileIo.download(key, { resume: { offset, validator: first.validator } }), (download) => {
          assert.strictEqual(download.offset, offset)
          assert.strictEqual(download.size, FILE.length)
          return Stream.mkUint8Array(download.stream)
        })
      )
      assert.deepStrictEqual(rest, FILE.subarray(offset))
    }).pipe(Effect.provide(overSockets())))
})

describe("digests", () => {
  const cases: Record<string, (link: string, digest: string) => readonly [string, FileIo.DownloadOptions]> = {
    "in the link": (link, digest) => [`${link}#sha256=${digest}`, {}],
    "asked for": (link, digest) => [link, { sha256: digest.toUpperCase() }]
  }
  for (const [where, of] of Object.entries(cases)) {
    it.live(`the right one ${where} passes, another one fails, and the bytes are kept`, () =>
      Effect.gen(function*() {
        const host = yield* NodeFaultHost.NodeFaultHost
        const fileIo = yield* FileIo.FileIo
        const directory = yield* folder
        const { link } = yield* host.put({ bytes: FILE, name: "a.bin", maxDownloads: null })
        const [good, goodOptions] = of(link, sha256(FILE))
        assert.deepStrictEqual(yield* read((yield* download(good, { directory }, goodOptions)).path), FILE)
        assert.deepStrictEqual((yield* fileIo.downloadBytes(good, goodOptions)).bytes, FILE)
        const [bad, badOptions] = of(link, sha256(FILE.subarray(1)))
        const error = yield* Effect.flip(download(bad, { directory }, badOptions))
        const { partPath, problem, resumable } = interrupted(error)
        assert.strictEqual(error.copy, "consumed")
        assert.isFalse(resumable)
        assert.match(problem, /SHA-256/)
        assert.deepStrictEqual(yield* read(partPath!), FILE)
        interrupted(yield* Effect.flip(fileIo.downloadBytes(bad, badOptions)))
      }).pipe(Effect.scoped, Effect.provide(overSockets({ resumable: false }))))
  }

  it.live("what is no digest is refused before any request", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fileIo = yield* FileIo.FileIo
      const { key, link } = yield* host.put({ bytes: FILE })
      const errors = [
        yield* Effect.flip(fileIo.downloadBytes(key, { sha256: "abc" })),
        yield* Effect.flip(fileIo.downloadBytes(`${link}#sha256=abc`))
      ]
      for (const error of errors) {
        assert.strictEqual(error.reason._tag, "InvalidRequest")
        assert.strictEqual(error.copy, "kept")
      }
      assert.strictEqual((yield* downloadsOf).length, 0)
    }).pipe(Effect.provide(overSockets())))
})

describe("before the request", () => {
  const refused = (
    name: string,
    prepare: (
      directory: string
    ) => Effect.Effect<
      readonly [FileTransfer.Target, FileTransfer.DownloadFileOptions?],
      PlatformError.PlatformError,
      FileSystem.FileSystem
    >,
    problem: RegExp
  ) =>
    it.live(`${name}: nothing is asked of the host, and the copy is kept`, () =>
      Effect.gen(function*() {
        const host = yield* NodeFaultHost.NodeFaultHost
        const directory = yield* folder
        const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
        const [target, options] = yield* prepare(directory)
        const error = yield* Effect.flip(download(key, target, options))
        assert.match(destinationFailed(error).problem, problem)
        assert.strictEqual(error.copy, "kept")
        assert.strictEqual((yield* downloadsOf).length, 0)
        assert.deepStrictEqual((yield* list(directory)).filter((name) => name.startsWith(".")), [])
      }).pipe(Effect.scoped, Effect.provide(overSockets())))

  const make = FileSystem.FileSystem
  refused(
    "a file above the folder of a path",
    (directory) =>
      Effect.as(make.use((fs) => fs.writeFileString(`${directory}/f`, "")), [{ path: `${directory}/f/no/a` }] as const),
    /a part of the path is a file/
  )
  refused(
    "a link in place of the folder that leads nowhere",
    (directory) =>
      Effect.as(
        make.use((fs) => fs.symlink("/nowhere/at/all", `${directory}/f`)),
        [{ path: `${directory}/f/a` }] as const
      ),
    /the folder does not exist/
  )
  refused(
    "a file in place of the folder",
    (directory) =>
      Effect.as(make.use((fs) => fs.writeFileString(`${directory}/f`, "")), [{ directory: `${directory}/f` }] as const),
    /not a folder/
  )
  refused("a folder in place of the file", (directory) => Effect.succeed([{ path: directory }]), /is a folder/)
  refused(
    "a taken name",
    (directory) =>
      Effect.as(make.use((fs) => fs.writeFileString(`${directory}/f`, "old")), [{ path: `${directory}/f` }] as const),
    /taken/
  )
  refused(
    "a name taken by a link that leads nowhere",
    (directory) =>
      Effect.as(
        make.use((fs) => fs.symlink("/nowhere/at/all", `${directory}/f`)),
        [{ path: `${directory}/f` }] as const
      ),
    /taken/
  )
  refused("a disk without the room", (directory) => Effect.succeed([{ directory }, { size: 2 ** 60 }]), /the disk has/)
  refused(
    "no fallback folder",
    (directory) => Effect.succeed([{ directory }, { fallbackDirectory: `${directory}/no` }]),
    /does not exist/
  )
})

describe("names", () => {
  const hostile: Record<string, string> = {
    "../../../etc/passwd": "passwd",
    "..\\..\\boot.ini": "boot.ini",
    "/etc/shadow": "shadow",
    "..": "download",
    "": "download",
    "a\u0000b\u202Egnp.exe": "abgnp.exe",
    "CON.txt": "_CON.txt",
    "e\u0301.txt": "\u00E9.txt",
    "line\r\nbreak.txt": "linebreak.txt"
  }
  it.live("a hostile name never leaves the folder", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const paths = yield* Path.Path
      const outer = yield* folder
      const fs = yield* FileSystem.FileSystem
      for (const [name, expected] of Object.entries(hostile)) {
        const directory = paths.join(outer, "inner")
        yield* fs.makeDirectory(directory)
        const { key } = yield* host.put({ bytes: FILE, name })
        const file = yield* download(key, { directory })
        const safe = expected === "download" && name === "" ? file.name : expected
        assert.deepStrictEqual(yield* list(directory), [safe], JSON.stringify(name))
        assert.deepStrictEqual(yield* list(outer), ["inner"])
        yield* fs.remove(directory, { recursive: true })
      }
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("long names keep their extension, and their parts fit too", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      for (const letter of ["a", "\u00E9", "\u6F22", "\u{1F600}"]) {
        const { key } = yield* host.put({ bytes: FILE, name: `${letter.repeat(300)}.pdf` })
        const { name } = yield* download(key, { directory })
        assert.isAtMost(new TextEncoder().encode(name).length, 255)
        assert.match(name, /\.pdf$/)
      }
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("taken names: fail, overwrite, or number, as asked; a folder is never overwritten", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      const { key } = yield* host.put({ bytes: FILE, name: "a.tar.gz", maxDownloads: null })
      yield* fs.writeFileString(`${directory}/a.tar.gz`, "old")
      assert.strictEqual((yield* download(key, { directory })).name, "a (1).tar.gz")
      const error = yield* Effect.flip(download(key, { directory }, { onCollision: "fail" }))
      const { parts, problem } = destinationFailed(error)
      assert.match(problem, /taken/)
      assert.strictEqual(error.copy, "consumed")
      assert.deepStrictEqual(yield* read(parts![0]!), FILE)
      assert.strictEqual(yield* fs.readFileString(`${directory}/a.tar.gz`), "old")
      yield* fs.remove(parts![0]!)
      yield* download(key, { directory }, { onCollision: "overwrite" })
      assert.deepStrictEqual(yield* read(`${directory}/a.tar.gz`), FILE)
      yield* fs.remove(`${directory}/a.tar.gz`)
      yield* fs.makeDirectory(`${directory}/a.tar.gz/of others`, { recursive: true })
      const { name } = yield* download(key, { directory }, { onCollision: "overwrite" })
      assert.strictEqual(name, "a (2).tar.gz")
      assert.deepStrictEqual(yield* read(`${directory}/a (2).tar.gz`), FILE)
      const path = `${directory}/mine`
      yield* fs.writeFileString(path, "old")
      assert.strictEqual((yield* download(key, { path }, { onCollision: "number" })).path, `${path} (1)`)
    }).pipe(Effect.scoped, Effect.provide(overSockets({ resumable: false }))))
})

describe("interruption", () => {
  it.live("closes the socket at once, and leaves a part by name or nothing", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      for (const at of [0, 100_000]) {
        const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
        yield* host.clear
        yield* host.inject(Fault.StallBody({ atByte: at }), { on: "download" })
        const fiber = yield* Effect.forkChild(download(key, { directory }))
        yield* until(
          "under way",
          // Before the head arrives, there is no validator to resume with.
          Effect.map(Effect.orDie(list(directory)), (names) =>
            names.some((name) => name.endsWith(at === 0 ? ".json" : ".part")))
        )
        if (at > 0) {
          yield* Effect.sleep(50)
        }
        const began = performance.now()
        yield* Fiber.interrupt(fiber)
        yield* until(
          "closed",
          Effect.map(downloadsOf, (requests) =>
            requests[0]!.aborted)
        )
        assert.isBelow(performance.now() - began, 20_000)
        const names = yield* list(directory)
        assert.isTrue(names.every((name) => /^\.a\.bin\.\w+\.part$|^\.fileio-\w+\.json$/.test(name)), names.join())
        // The note is useful even with an empty part: with it the host gives the file only to us.
        yield* host.clear
        assert.deepStrictEqual(yield* read((yield* download(key, { directory })).path), FILE)
        assert.deepStrictEqual(yield* list(directory), ["a.bin"])
        yield* FileSystem.FileSystem.use((fs) => fs.remove(`${directory}/a.bin`))
      }
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

describe("a destination that fails midway", () => {
  /** A real file system, except that writes into a folder fail once it holds a number of bytes. */
  const fullAfter = (limit: number, inFolder: () => string) =>
    Layer.effect(
      FileSystem.FileSystem,
      Effect.map(FileSystem.FileSystem, (fs) => ({
        ...fs,
        open: (path: string, options?: Parameters<FileSystem.FileSystem["open"]>[1]) =>
          Effect.map(fs.open(path, options), (file) => {
            if (!path.startsWith(inFolder()) || !path.endsWith(".part")) return file
            let left = limit
            const full = Effect.fail(PlatformError.systemError({
              module: "FileSystem",
              method: "write",
              _tag: "Unknown",
              cause: Object.assign(new Error("no space left on device"), { code: "ENOSPC" })
            }))
            const write = (buffer: Uint8Array) =>
              left === 0 ? full : Effect.tap(file.write(buffer.subarray(0, left)), (count) =>
                Effect.sync(() => {
                  left -= count
                }))
            return Object.assign(Object.create(file) as FileSystem.File, { write })
          })
      }))
    )

  const withFull = (limit: number, free?: (path: string) => number | undefined) => {
    let target = "/nowhere"
    const layer = Layer.fresh(FileTransfer.layer).pipe(
      Layer.provide(fullAfter(limit, () => target)),
      Layer.provide(
        Layer.succeed(Platform.CurrentPlatform, {
          ...NodePlatform.make,
          freeSpace: (path) => Effect.sync(() => free?.(path))
        })
      ),
      Layer.provideMerge(overSockets({ resumable: false }))
    )
    return { layer, aim: (path: string) => Effect.sync(() => void (target = path)) }
  }

  it.live("a full disk: the whole file is put together in the fallback folder", () => {
    const { aim, layer } = withFull(123_457)
    return Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const fallbackDirectory = yield* folder
      yield* aim(directory)
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      const error = yield* Effect.flip(download(key, { directory }, { fallbackDirectory }))
      const reason = destinationFailed(error)
      assert.match(reason.problem, /disk is full/)
      assert.strictEqual(error.copy, "consumed")
      assert.strictEqual(reason.bytesDone, FILE.length)
      assert.strictEqual(reason.parts!.length, 1)
      assert.include(reason.parts![0]!, fallbackDirectory)
      assert.deepStrictEqual(yield* read(reason.parts![0]!), FILE)
      assert.deepStrictEqual(yield* list(directory), [])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("room for the rest only: both parts stay, and join in their order", () => {
    const { aim, layer } = withFull(123_457)
    return Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const shared = yield* folder
      yield* aim(directory)
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      // There is no space for a third file: the fallback folder is removed once the rest is in it.
      const fallbackDirectory = `${shared}/in`
      const fs = yield* FileSystem.FileSystem
      yield* fs.makeDirectory(fallbackDirectory)
      yield* host.inject(Fault.Drip({ bytes: 40_000, every: 5 }), { on: "download" })
      const fiber = yield* Effect.forkChild(Effect.flip(download(key, { directory }, { fallbackDirectory })))
      yield* until("given way", Effect.map(Effect.orDie(list(fallbackDirectory)), (names) => names.length === 1))
      const rest = `${fallbackDirectory}/${(yield* list(fallbackDirectory))[0]}`
      yield* fs.link(rest, `${shared}/kept`)
      // In one step: a folder that is removed file by file may get another one meanwhile.
      yield* fs.rename(fallbackDirectory, `${shared}/away`)
      const error = yield* Fiber.join(fiber)
      const reason = destinationFailed(error)
      assert.strictEqual(reason.parts!.length, 2)
      assert.strictEqual(reason.parts![1], rest)
      assert.match(error.message, /join them in this order/)
      const first = yield* read(reason.parts![0]!)
      const second = yield* read(`${shared}/kept`)
      assert.deepStrictEqual(Buffer.concat([first, second]), Buffer.from(FILE))
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("no space anywhere: the received bytes stay, and the error says how many", () => {
    const { aim, layer } = withFull(50_000)
    return Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      const outer = yield* folder
      const directory = `${outer}/a`
      const fallbackDirectory = `${outer}/b`
      yield* fs.makeDirectory(directory)
      yield* fs.makeDirectory(fallbackDirectory)
      yield* aim(outer)
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      const error = yield* Effect.flip(download(key, { directory }, { fallbackDirectory }))
      const reason = destinationFailed(error)
      assert.strictEqual(error.copy, "unknown")
      assert.strictEqual(reason.bytesDone, 100_000)
      assert.strictEqual(reason.bytesExpected, FILE.length)
      const pieces = yield* Effect.forEach(reason.parts!, read)
      assert.deepStrictEqual(Buffer.concat(pieces), Buffer.from(FILE.subarray(0, 100_000)))
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("a size that has no room in the folder goes to the fallback folder from its first byte", () => {
    const { layer } = withFull(1, (path) => path.includes("fallback") ? 1e9 : 1000)
    return Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      const fallbackDirectory = `${yield* folder}/fallback`
      yield* fs.makeDirectory(fallbackDirectory)
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      const error = yield* Effect.flip(download(key, { directory }, { fallbackDirectory }))
      const reason = destinationFailed(error)
      assert.strictEqual(error.copy, "consumed")
      assert.deepStrictEqual(yield* read(reason.parts![0]!), FILE)
      assert.deepStrictEqual(yield* list(directory), [])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("a folder that is removed: the whole file lies in the fallback folder", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      const directory = `${yield* folder}/goes`
      const fallbackDirectory = yield* folder
      yield* fs.makeDirectory(directory)
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      yield* host.inject(Fault.Drip({ bytes: 40_000, every: 10 }), { on: "download" })
      const fiber = yield* Effect.forkChild(Effect.flip(download(key, { directory }, { fallbackDirectory })))
      yield* until(
        "under way",
        Effect.map(Effect.orDie(list(directory)), (names) => names.some((name) => name.endsWith(".part")))
      )
      yield* fs.remove(directory, { recursive: true })
      const error = yield* Fiber.join(fiber)
      const reason = destinationFailed(error)
      assert.strictEqual(error.copy, "consumed")
      assert.strictEqual(reason.parts!.length, 1)
      assert.include(reason.parts![0]!, fallbackDirectory)
      assert.deepStrictEqual(yield* read(reason.parts![0]!), FILE)
    }).pipe(Effect.scoped, Effect.provide(overSockets({ resumable: false }))))

  const mount = (path: string): boolean => {
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", path], { stdio: "ignore" })
      return true
    } catch {
      return false
    }
  }

  it.live("a disk that is really full", (test) =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const fallbackDirectory = yield* folder
      if (!mount(directory)) return test.skip("only root can mount a small disk")
      yield* Effect.addFinalizer(() => Effect.sync(() => execFileSync("umount", [directory])))
      for (const size of [200_000, 240_000, 400_000]) {
        const { key } = yield* host.put({ bytes: FILE.subarray(0, size), name: `${size}.bin` })
        // Without a length, missing space cannot be known before.
        yield* host.inject(Fault.CutChunked({ atByte: 1e9 }), { on: "download" })
        const result = yield* Effect.result(download(key, { directory }, { fallbackDirectory }))
        if (result._tag === "Success") {
          assert.deepStrictEqual(yield* read(result.success.path), FILE.subarray(0, size))
        } else {
          const { reason } = result.failure
          const parts = reason._tag === "DestinationFailed"
            ? reason.parts!
            : reason._tag === "TransferInterrupted"
            ? [reason.partPath!]
            : assert.fail(result.failure.message)
          const pieces = yield* Effect.forEach(parts, read)
          assert.deepStrictEqual(Buffer.concat(pieces), Buffer.from(FILE.subarray(0, size)))
        }
      }
      // A file whose size is known beforehand.
      const { key } = yield* host.put({ bytes: FILE, name: "known.bin" })
      const { parts } = destinationFailed(yield* Effect.flip(download(key, { directory }, { fallbackDirectory })))
      assert.deepStrictEqual(yield* read(parts![0]!), FILE)
      for (const name of yield* list(directory)) assert.notMatch(name, /^400|^known/)
    }).pipe(Effect.scoped, Effect.provide(overSockets({ resumable: false }))))
})
