/** A broken download resumes from files in its folder only if nobody else can have put them there, or is writing them. */
import { FileIo, FileTransfer, Platform, RetryPolicy } from "@effect-fileio/client"
import { Fault } from "@effect-fileio/client/testing"
import { NodePlatform } from "@effect-fileio/platform-node"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Layer, Logger, Option } from "effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import { basename, join } from "node:path"
import { Worker } from "node:worker_threads"
import { bytesOf, folder, overSockets, until } from "./faults/support.ts"

const FILE = bytesOf(200_000)
const FORGED = bytesOf(200_000, 0x1234567)

const download = (key: string, directory: string) =>
  FileTransfer.FileTransfer.use((transfer) => transfer.downloadFile(key, { directory })).pipe(
    FileIo.withRetry(RetryPolicy.none),
    Effect.timeoutOrElse({ duration: "100 seconds", orElse: () => Effect.die("it hangs") })
  )

const downloadsOf = Effect.flatMap(
  NodeFaultHost.NodeFaultHost,
  (host) => Effect.map(host.requests, (requests) => requests.filter(({ operation }) => operation === "download"))
)

const read = (path: string) => new Uint8Array(Fs.readFileSync(path))

interface Left {
  readonly directory: string
  /** Another folder, with files that must stay unchanged. */
  readonly elsewhere: string
  readonly note: string
  readonly part: string
  readonly key: string
}

/** A broken download, with its part and its note. */
const broken = (name = "a.bin") =>
  Effect.gen(function*() {
    const host = yield* NodeFaultHost.NodeFaultHost
    const directory = yield* folder
    const elsewhere = yield* folder
    const { key } = yield* host.put({ bytes: FILE, name, maxDownloads: 9 })
    yield* host.inject(Fault.Truncate({ atByte: 80_000 }), { on: "download" })
    yield* Effect.flip(download(key, directory))
    const names = Fs.readdirSync(directory)
    const [note, part] = [".json", ".part"].map((end) => join(directory, names.find((name) => name.endsWith(end))!))
    return { directory, elsewhere, note: note!, part: part!, key } as Left
  })

const replaceBy = (path: string, put: (path: string) => void) => {
  Fs.rmSync(path)
  put(path)
}
const fifo = (path: string) => void execFileSync("mkfifo", ["-m", "600", path])
const write = (bytes: Uint8Array) => (path: string) => Fs.writeFileSync(path, bytes, { mode: 0o600 })
/** Claims that all bytes are there, so that they would be published without a request. */
const complete = ({ part }: Left) => Fs.writeFileSync(part, FORGED)

/** A stranger's action, and files elsewhere that must stay unchanged. */
const planted: Readonly<Record<string, (left: Left) => string | void>> = {
  "a note that is a link to another": ({ elsewhere, note }) => {
    Fs.renameSync(note, join(elsewhere, "note"))
    Fs.symlinkSync(join(elsewhere, "note"), note)
    return join(elsewhere, "note")
  },
  "a note that is a pipe": ({ note }) => replaceBy(note, fifo),
  "a note that is a folder": ({ note }) => replaceBy(note, (path) => Fs.mkdirSync(path)),
  "a note that others can write": (left) => {
    complete(left)
    Fs.chmodSync(left.note, 0o666)
  },
  "a note that the group can write": (left) => {
    complete(left)
    Fs.chmodSync(left.note, 0o660)
  },
  "a note that has another name": (left) => {
    complete(left)
    Fs.linkSync(left.note, join(left.elsewhere, "note"))
  },
  "a note without end": ({ note }) => replaceBy(note, write(new Uint8Array(10_000_000).fill(32))),
  "a part that is a link to a file of ours": ({ elsewhere, part }) => {
    const victim = join(elsewhere, "victim")
    write(FORGED.subarray(0, 80_000))(victim)
    replaceBy(part, (path) => Fs.symlinkSync(victim, path))
    return victim
  },
  "a part that is a hard link to a file of ours": ({ elsewhere, part }) => {
    const victim = join(elsewhere, "victim")
    write(FORGED.subarray(0, 80_000))(victim)
    replaceBy(part, (path) => Fs.linkSync(victim, path))
    return victim
  },
  "a whole part that is a hard link to a file of ours": ({ elsewhere, part }) => {
    const victim = join(elsewhere, "victim")
    write(FORGED)(victim)
    replaceBy(part, (path) => Fs.linkSync(victim, path))
    return victim
  },
  "a part that is a link to nothing": ({ part }) => replaceBy(part, (path) => Fs.symlinkSync("/nowhere/at/all", path)),
  "a part that is a device": ({ part }) => replaceBy(part, (path) => Fs.symlinkSync("/dev/zero", path)),
  "a part that is a pipe": ({ part }) => replaceBy(part, fifo),
  "a part that is a folder": ({ part }) => replaceBy(part, (path) => Fs.mkdirSync(path)),
  "a part that others can write": (left) => {
    complete(left)
    Fs.chmodSync(left.part, 0o666)
  },
  "a part that is larger than the file": ({ part }) => Fs.appendFileSync(part, FILE),
  "a part that is gone": ({ part }) => Fs.rmSync(part),
  "another part of ours in its place, in a folder that all can write": ({ directory, part }) => {
    const other = join(directory, ".b.bin.0123456789.part")
    write(FORGED)(other)
    Fs.renameSync(other, part)
    Fs.chmodSync(directory, 0o777)
  }
}

describe("a download starts over, and touches nobody else's files, if there is", () => {
  for (const [what, plant] of Object.entries(planted)) {
    it.live(what, () => {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
      return Effect.gen(function*() {
        const left = yield* broken()
        const victim = plant(left) ?? undefined
        const before = victim === undefined ? undefined : read(victim)
        const { path } = yield* download(left.key, left.directory).pipe(Effect.provide(Logger.layer([logger])))
        assert.deepStrictEqual(read(path), FILE)
        assert.isTrue(Fs.lstatSync(path).isFile())
        const requests = yield* downloadsOf
        assert.strictEqual(requests.length, 2)
        assert.isUndefined(requests[1]!.headers["range"])
        if (victim !== undefined) assert.deepStrictEqual(read(victim), before)
        // A warning says why, unless the note is only obsolete.
        if (what !== "a note without end") {
          assert.isTrue(lines.some((line) => /^Warn .*cannot be resumed/.test(String(line))), lines.join())
        }
        for (const line of lines) for (const name of [left.key, "a.bin"]) assert.notInclude(String(line), name)
      }).pipe(Effect.scoped, Effect.provide(overSockets()))
    })
  }

  it.live("a note of another user, and no note is written over it", () =>
    Effect.gen(function*() {
      const { directory, key, note, part } = yield* broken()
      Fs.writeFileSync(part, FORGED)
      const [noteBefore, partBefore] = [read(note), read(part)]
      const stranger = Layer.succeed(Platform.CurrentPlatform, {
        ...NodePlatform.make,
        userId: NodePlatform.make.userId! + 1
      })
      const { path } = yield* download(key, directory).pipe(
        Effect.provide(Layer.fresh(FileTransfer.layer).pipe(Layer.provide(stranger)))
      )
      assert.deepStrictEqual(read(path), FILE)
      assert.deepStrictEqual([read(note), read(part)], [noteBefore, partBefore])
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("a note and a part that root finds of somebody else", (test) =>
    Effect.gen(function*() {
      if (NodePlatform.make.userId !== 0) return test.skip("only root can give files away")
      for (const given of ["note", "part"] as const) {
        const left = yield* broken(`${given}.bin`)
        complete(left)
        Fs.chmodSync(left.directory, 0o1777)
        Fs.chownSync(left[given], 65534, 65534)
        assert.deepStrictEqual(read((yield* download(left.key, left.directory)).path), FILE)
        assert.deepStrictEqual(read(left.part), FORGED)
      }
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("the note of another file under the name of this one's", () =>
    Effect.gen(function*() {
      const one = yield* broken()
      const host = yield* NodeFaultHost.NodeFaultHost
      const { key } = yield* host.put({ bytes: FORGED, name: "b.bin", maxDownloads: 9 })
      yield* host.inject(Fault.Truncate({ atByte: 80_000 }), { on: "download" })
      yield* Effect.flip(download(key, one.directory))
      const names = Fs.readdirSync(one.directory)
      const other = names.find((name) => name.endsWith(".json") && name !== basename(one.note))!
      const otherPart = names.find((name) => name.startsWith(".b.bin"))!
      Fs.writeFileSync(join(one.directory, otherPart), FORGED)
      Fs.renameSync(join(one.directory, other), one.note)
      assert.deepStrictEqual(read((yield* download(one.key, one.directory)).path), FILE)
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

describe("our own files are resumed", () => {
  const kept: Readonly<Record<string, (left: Left) => void>> = {
    "in a folder that all can write, with the sticky bit": ({ directory }) => Fs.chmodSync(directory, 0o1777),
    "in a folder that all can write": ({ directory }) => Fs.chmodSync(directory, 0o777),
    "in a folder of the group": ({ directory }) => Fs.chmodSync(directory, 0o775),
    "after its process died while it gave the note its name": ({ note }) => Fs.linkSync(note, `${note}.0123456789`),
    "in a folder that was moved": ({ directory, elsewhere }) => {
      // Moved back: only its content was elsewhere meanwhile.
      for (const name of Fs.readdirSync(directory)) {
        Fs.cpSync(join(directory, name), join(elsewhere, name))
        Fs.rmSync(join(directory, name))
        Fs.cpSync(join(elsewhere, name), join(directory, name))
        Fs.chmodSync(join(directory, name), 0o600)
      }
    }
  }
  for (const [where, change] of Object.entries(kept)) {
    it.live(where, () =>
      Effect.gen(function*() {
        const left = yield* broken()
        change(left)
        const transfer = yield* FileTransfer.FileTransfer
        const pending = Option.getOrThrow(yield* transfer.pending(left.key, { directory: left.directory }))
        assert.deepStrictEqual(pending, { path: left.part, bytes: read(left.part).length, size: FILE.length })
        const { path } = yield* download(left.key, left.directory)
        assert.deepStrictEqual(read(path), FILE)
        assert.strictEqual((yield* downloadsOf)[1]!.headers["range"], `bytes=${pending.bytes}-`)
        assert.deepStrictEqual(Fs.readdirSync(left.directory), ["a.bin"])
        assert.isTrue(Option.isNone(yield* transfer.pending(left.key, { directory: left.directory })))
      }).pipe(Effect.scoped, Effect.provide(overSockets())))
  }

  it.live("and nothing planted is reported as pending", () =>
    Effect.gen(function*() {
      const left = yield* broken()
      replaceBy(left.note, fifo)
      const transfer = yield* FileTransfer.FileTransfer
      assert.isTrue(Option.isNone(yield* transfer.pending(left.key, { directory: left.directory })))
      const error = yield* Effect.flip(transfer.pending("no key", { directory: left.directory }))
      assert.strictEqual(error.reason._tag, "InvalidRequest")
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

describe("a part that is replaced while it is written", () => {
  it.live("never returns a stranger's file: the error names where the bytes are", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const fallbackDirectory = yield* folder
      Fs.chmodSync(directory, 0o777)
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      yield* host.inject(Fault.Drip({ bytes: 20_000, every: 5 }), { on: "download" })
      const isPart = (name: string) => name.endsWith(".part")
      const fiber = yield* Effect.forkChild(
        Effect.flip(
          FileTransfer.FileTransfer.use((transfer) => transfer.downloadFile(key, { directory }, { fallbackDirectory }))
        )
      )
      yield* until("under way", Effect.sync(() => Fs.readdirSync(directory).some(isPart)))
      const part = join(directory, Fs.readdirSync(directory).find(isPart)!)
      replaceBy(part, write(FORGED))
      const error = yield* Fiber.join(fiber)
      const { reason } = error
      assert(reason._tag === "DestinationFailed", error.message)
      assert.match(reason.problem, /replaced the part by another file/)
      assert.strictEqual(error.copy, "consumed")
      assert.deepStrictEqual(read(reason.parts![0]!), FILE)
    }).pipe(Effect.scoped, Effect.provide(overSockets({ resumable: false }))))
})

describe("a note that another process claims first", () => {
  let claim: ((note: string) => void) | undefined
  /** The other process is quick: it writes its own note after we have read the old one, and before we rename that. */
  const disk = Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => ({
      ...fs,
      rename: (from: string, to: string) =>
        Effect.suspend(() => {
          if (from.endsWith(".json")) claim?.(from)
          claim = undefined
          return fs.rename(from, to)
        })
    }))
  )
  const layer = Layer.fresh(FileTransfer.layer).pipe(
    Layer.provide([disk, Layer.succeed(Platform.CurrentPlatform, NodePlatform.make)]),
    Layer.provideMerge(overSockets())
  )

  it.live("stays, and its part is not written by two processes", () =>
    Effect.gen(function*() {
      const { directory, key, note, part } = yield* broken()
      const before = read(part)
      const { self } = NodePlatform.make.process
      const theirs = JSON.stringify({ ...JSON.parse(Fs.readFileSync(note, "utf8")), owner: self })
      claim = (path) => replaceBy(path, write(Buffer.from(theirs)))
      assert.deepStrictEqual(read((yield* download(key, directory)).path), FILE)
      assert.isUndefined((yield* downloadsOf)[1]!.headers["range"])
      assert.deepStrictEqual(read(part), before)
      assert.strictEqual(Fs.readFileSync(note, "utf8"), theirs)
      assert.strictEqual(Fs.readdirSync(directory).length, 3)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})

describe("threads of one process", () => {
  const script = new URL("./faults/worker.ts", import.meta.url)
  /** Downloads in its own thread; returns the path, or the tag of the reason. */
  const inThread = (workerData: { baseUrl: string; directory: string; key: string }) =>
    Effect.callback<string>((resume) => {
      const worker = new Worker(script, { workerData })
      worker.once("message", (ended: string) => resume(Effect.succeed(ended)))
      worker.once("error", (error) => resume(Effect.die(error)))
      return Effect.promise(() => worker.terminate())
    })

  for (const [copies, expected] of [[2, 2], [1, 1]] as const) {
    it.live(`do not take each other's parts: of ${copies} copies they get ${expected}`, () =>
      Effect.gen(function*() {
        const host = yield* NodeFaultHost.NodeFaultHost
        const { baseUrl } = host
        const directory = yield* folder
        const { key } = yield* host.put({ bytes: FILE, name: "a.bin", maxDownloads: copies })
        yield* host.inject(Fault.Drip({ bytes: 2000, every: 30 }), { on: "download", times: 2 })
        const first = yield* Effect.forkChild(inThread({ baseUrl, directory, key }))
        yield* until(
          "under way",
          Effect.sync(() => Fs.readdirSync(directory).some((name) => name.endsWith(".json")))
        )
        const ends = [yield* inThread({ baseUrl, directory, key }), yield* Fiber.join(first)]
        const paths = ends.filter((end) => end.startsWith("/"))
        assert.strictEqual(new Set(paths).size, expected, ends.join())
        for (const path of paths) assert.deepStrictEqual(read(path), FILE)
        // The other file is put there while ours is claimed, or, on a busy machine, after that.
        for (const end of ends) if (!end.startsWith("/")) assert.include(["DownloadInProgress", "FileNotFound"], end)
        for (const { headers } of yield* downloadsOf) assert.isUndefined(headers["range"])
        assert.strictEqual(Fs.readdirSync(directory).length, expected)
      }).pipe(Effect.scoped, Effect.provide(overSockets())))
  }

  it.live("resume at once what another thread has left", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      yield* host.inject(Fault.Truncate({ atByte: 80_000 }), { on: "download" })
      assert.strictEqual(yield* inThread({ baseUrl: host.baseUrl, directory, key }), "TransferInterrupted")
      assert.deepStrictEqual(read((yield* download(key, directory)).path), FILE)
      assert.isDefined((yield* downloadsOf)[1]!.headers["range"])
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

describe("who writes a part", () => {
  const { released, self, stateOf } = NodePlatform.make.process
  const mine = JSON.parse(self) as Array<unknown>
  const changed = (index: number, value: unknown) => JSON.stringify(mine.map((one, n) => n === index ? value : one))
  const MINUTE = 60_000

  it.live("is known on this machine, and judged by silence elsewhere", () =>
    Effect.gen(function*() {
      const now = Date.now()
      assert.strictEqual(yield* stateOf(self, now), "alive")
      assert.strictEqual(yield* stateOf(released, now), "exited")
      assert.strictEqual(yield* stateOf(changed(3, 2 ** 30), now), "exited")
      const bySilence = {
        "another machine": changed(0, "elsewhere"),
        "another container": changed(2, "pid:[1]"),
        "another thread": changed(5, 123),
        "nothing that can be read": "nonsense"
      }
      for (const [what, owner] of Object.entries(bySilence)) {
        assert.strictEqual(yield* stateOf(owner, now), "alive", what)
        assert.strictEqual(yield* stateOf(owner, now - 6 * MINUTE), "exited", what)
      }
      assert.strictEqual(yield* stateOf(changed(1, "another boot"), now), "rebooted")
      assert.strictEqual(yield* stateOf(JSON.stringify([mine[0], "another boot"]), now), "rebooted")
    }))
})
