/** Encrypted downloads to the disk: resumed by another call, after a crash at each step, and on a disk that is full. */
import { Encryption, FileBody, FileIo, FileTransfer, Platform, RetryPolicy } from "@effect-fileio/client"
import { Fault } from "@effect-fileio/client/testing"
import type { FileIoError } from "@effect-fileio/core"
import { NodePlatform } from "@effect-fileio/platform-node"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, FileSystem, Layer, PlatformError, Stream } from "effect"
import { bytesOf, folder, overSockets } from "./faults/support.ts"

const FILE = bytesOf(200_000)
const { bytes: ENCRYPTED, linkOf } = await Effect.runPromise(Effect.gen(function*() {
  const { body, linkOf } = yield* Encryption.encrypt(FileBody.bytes(FILE, { name: "a.bin" }), "link")
  return { bytes: yield* Stream.mkUint8Array(body.open("owned")), linkOf }
}))

const list = (path: string) =>
  FileSystem.FileSystem.use((fs) => Effect.map(fs.readDirectory(path), (names) => names.toSorted()))
const isFile = (path: string) =>
  FileSystem.FileSystem.use((fs) =>
    Effect.map(fs.readFile(path), (bytes) => assert.isTrue(Buffer.from(FILE).equals(bytes), path))
  )
const download = (link: string, directory: string, options?: FileTransfer.DownloadFileOptions) =>
  FileTransfer.FileTransfer.use((transfer) => transfer.downloadFile(link, { directory }, options)).pipe(
    FileIo.withRetry(RetryPolicy.none)
  )
const reasonOf = ({ message, reason }: FileIoError.FileIoError, tag: FileIoError.Reason["_tag"]) =>
  assert.strictEqual(reason._tag, tag, message)

/** A download that stopped after some bytes; returns its note and its part. */
const stopped = Effect.fnUntraced(function*(directory: string, atByte: number) {
  const host = yield* NodeFaultHost.NodeFaultHost
  const fs = yield* FileSystem.FileSystem
  const { key, link } = yield* host.put({ bytes: ENCRYPTED, name: "neutral.age" })
  yield* host.inject(Fault.Truncate({ atByte }), { on: "download" })
  reasonOf(yield* Effect.flip(download(linkOf(link), directory)), "TransferInterrupted")
  const names = yield* list(directory)
  const note = names.find((name) => name.endsWith(".json"))!
  const part = names.find((name) => name.endsWith(".part"))!
  assert.strictEqual(names.length, 2)
  assert.match(part, /^\.a\.bin\.age\.\w+\.part$/)
  for (const name of names) assert.notInclude(yield* fs.readFileString(`${directory}/${name}`), "AGE-SECRET-KEY")
  return { key, link: linkOf(link), note: `${directory}/${note}`, part: `${directory}/${part}` }
})

const editNote = Effect.fnUntraced(function*(path: string, change: object) {
  const fs = yield* FileSystem.FileSystem
  const note = JSON.parse(yield* fs.readFileString(path)) as object
  yield* fs.writeFileString(path, JSON.stringify({ ...note, ...change }), { mode: 0o600 })
})

describe("an encrypted download that broke", () => {
  it.live("goes on where it broke, whichever byte that was, with the secret from the link alone", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const header = ENCRYPTED.length - FILE.length - 4 * 16 - 16
      for (const at of [1, header - 1, header, header + 7, header + 16, header + 16 + 65_552, 150_001]) {
        const directory = yield* folder
        const { link } = yield* stopped(directory, at)
        yield* host.clear
        const { path } = yield* download(link, directory)
        yield* isFile(path)
        assert.deepStrictEqual(yield* list(directory), ["a.bin"], String(at))
      }
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("without its secret stays as it is, and is not lost", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      const { key, link, part } = yield* stopped(directory, 100_000)
      yield* host.clear
      // What a process had decrypted when it died; its plaintext does not stay.
      yield* fs.writeFile(part.replace(/\.part$/, ".plain.part"), FILE.subarray(0, 70_000))
      const other = yield* Encryption.generateIdentity
      const error = yield* Effect.flip(download(key, directory, { identities: [other.identity] }))
      reasonOf(error, "DecryptionFailed")
      assert.strictEqual(error.copy, "consumed")
      assert.deepStrictEqual(yield* list(directory), ["neutral.age"])
      // The host has nothing any more; the kept bytes are all there are.
      reasonOf(yield* Effect.flip(download(link, directory)), "FileNotFound")
      assert.isTrue(Buffer.from(ENCRYPTED).equals(yield* fs.readFile(`${directory}/neutral.age`)))
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

describe("a process that dies while it decrypts", () => {
  const whole = Effect.fnUntraced(function*(directory: string) {
    const fs = yield* FileSystem.FileSystem
    const seen = yield* stopped(directory, 100_000)
    yield* fs.writeFile(seen.part, ENCRYPTED)
    yield* (yield* NodeFaultHost.NodeFaultHost).clear
    const before = (yield* (yield* NodeFaultHost.NodeFaultHost).requests).length
    const again = Effect.gen(function*() {
      yield* isFile((yield* download(seen.link, directory)).path)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
      assert.strictEqual((yield* (yield* NodeFaultHost.NodeFaultHost).requests).length, before, "no request")
    })
    return { ...seen, again, plain: seen.part.replace(/\.part$/, ".plain.part") }
  })

  it.live("in its middle: the same call decrypts again, and no half of a file is left", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { again, plain } = yield* whole(yield* folder)
      yield* fs.writeFile(plain, FILE.subarray(0, 70_000))
      yield* again
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("once the note names the decrypted part: it gets its name, and the encrypted one goes", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      for (const hasName of [false, true]) {
        const directory = yield* folder
        const { again, note, part, plain } = yield* whole(directory)
        yield* fs.writeFile(plain, FILE)
        yield* fs.chmod(plain, 0o600)
        const parts = { part: plain.split("/").at(-1), encryptedPart: part.split("/").at(-1) }
        yield* editNote(note, { ...parts, size: FILE.length })
        if (hasName) yield* fs.link(plain, `${directory}/a.bin`)
        yield* again
      }
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

const noSpace = PlatformError.systemError({
  module: "FileSystem",
  method: "write",
  _tag: "Unknown",
  cause: Object.assign(new Error("no space left on device"), { code: "ENOSPC" })
})

/** A host and a client whose disk fails to write the bytes that `write` fails for. */
const withDisk = (
  resumable: boolean,
  write: (path: string, bytes: number) => Effect.Effect<void, PlatformError.PlatformError>,
  remove: (path: string) => void = () => {}
) => {
  const disk = Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => ({
      ...fs,
      remove: (path: string) => Effect.tap(fs.remove(path), () => Effect.sync(() => remove(path))),
      open: (path: string, options?: Parameters<FileSystem.FileSystem["open"]>[1]) =>
        Effect.map(fs.open(path, options), (file) => {
          const limited: FileSystem.File = Object.assign(Object.create(file) as FileSystem.File, {
            write: (bytes: Uint8Array) =>
              Effect.andThen(write(path, bytes.length), Effect.suspend(() => file.write.call(limited, bytes)))
          })
          return limited
        })
    }))
  )
  return Layer.fresh(FileTransfer.layer).pipe(
    Layer.provide(disk),
    Layer.provide(Layer.succeed(Platform.CurrentPlatform, NodePlatform.make)),
    Layer.provideMerge(overSockets({ resumable }))
  )
}

describe("a disk without room for what is decrypted", () => {
  let isFull = true
  const layer = (resumable: boolean) =>
    withDisk(resumable, (path) => isFull && path.endsWith(".plain.part") ? Effect.fail(noSpace) : Effect.void)

  it.live("keeps the encrypted part, with which the same call goes on once there is room", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { link } = yield* host.put({ bytes: ENCRYPTED, name: "neutral.age" })
      isFull = true
      const error = yield* Effect.flip(download(linkOf(link), directory))
      reasonOf(error, "DestinationFailed")
      assert.match(error.message, /disk is full.*\.a\.bin\.age\.\w+\.part/)
      assert.strictEqual((yield* list(directory)).length, 2)
      isFull = false
      yield* isFile((yield* download(linkOf(link), directory)).path)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
      assert.strictEqual((yield* host.requests).filter(({ operation }) => operation === "download").length, 1)
    }).pipe(Effect.scoped, Effect.provide(layer(true))))

  it.live("gives the encrypted file a name, where no note could say what it is", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      const { link } = yield* host.put({ bytes: ENCRYPTED, name: "neutral.age" })
      isFull = true
      const error = yield* Effect.flip(download(linkOf(link), directory))
      assert.match(error.message, /disk is full.*a\.bin\.age/)
      assert.deepStrictEqual(yield* list(directory), ["a.bin.age"])
      assert.isTrue(Buffer.from(ENCRYPTED).equals(yield* fs.readFile(`${directory}/a.bin.age`)))
    }).pipe(Effect.scoped, Effect.provide(layer(false))))
})

describe("a large encrypted download", () => {
  const MIB = 1024 * 1024
  const LARGE = bytesOf(24 * MIB)
  const encrypted = Effect.gen(function*() {
    const { body, linkOf } = yield* Encryption.encrypt(FileBody.bytes(LARGE, { name: "a.bin" }), "link")
    const host = yield* NodeFaultHost.NodeFaultHost
    const { key, link } = yield* host.put({ bytes: yield* Stream.mkUint8Array(body.open("owned")), name: "n.age" })
    return { key, link: linkOf(link) }
  })
  const isLarge = (path: string) =>
    FileSystem.FileSystem.use((fs) =>
      Effect.map(fs.readFile(path), (bytes) => assert.isTrue(Buffer.from(LARGE).equals(bytes), path))
    )
  const written = Deferred.makeUnsafe<void>()

  it.live("is decrypted while it arrives; what is decrypted goes if the call ends, and the encrypted part stays", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { link } = yield* encrypted
      yield* host.inject(Fault.StallBody({ atByte: 20 * MIB }), { on: "download" })
      const fiber = yield* Effect.forkChild(download(link, directory))
      yield* Deferred.await(written)
      assert.isTrue((yield* list(directory)).some((name) => name.endsWith(".plain.part")))
      yield* Fiber.interrupt(fiber)
      const left = yield* list(directory)
      assert.lengthOf(left, 2)
      assert.isFalse(left.some((name) => name.endsWith(".plain.part")))
      yield* host.clear
      yield* isLarge((yield* download(link, directory)).path)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
    }).pipe(
      Effect.scoped,
      Effect.provide(
        withDisk(true, (path) => path.endsWith(".plain.part") ? Deferred.succeed(written, undefined) : Effect.void)
      )
    ))

  it.live("stops when its header is for another key, if the host can resume, and goes on with the right one", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      const { key, link } = yield* encrypted
      const { identity } = yield* Encryption.generateIdentity
      const error = yield* Effect.flip(download(key, directory, { identities: [identity] }))
      assert(error.reason._tag === "DecryptionFailed")
      assert.strictEqual(error.reason.problem, "otherKey")
      assert.strictEqual(error.copy, "unknown")
      const part = error.reason.partPath!
      assert.include(error.message, part)
      const size = Number((yield* fs.stat(part)).size)
      assert.isAtLeast(size, 16 * MIB)
      assert.isBelow(size, LARGE.length)
      assert.lengthOf(yield* list(directory), 2)
      yield* isLarge((yield* download(link, directory)).path)
      const ranges = (yield* host.requests).map(({ headers }) => headers["range"])
      assert.deepStrictEqual(ranges, [undefined, `bytes=${size}-`])
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("for another key is fetched whole, and kept, if the host cannot resume", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const { key } = yield* encrypted
      const { identity } = yield* Encryption.generateIdentity
      const error = yield* Effect.flip(download(key, directory, { identities: [identity] }))
      reasonOf(error, "DecryptionFailed")
      assert.strictEqual(error.copy, "consumed")
      assert.deepStrictEqual(yield* list(directory), ["n.age"])
    }).pipe(Effect.scoped, Effect.provide(overSockets({ resumable: false }))))

  // Room for all of the encrypted bytes, but not for the decrypted ones beside them.
  let room = 27 * MIB
  const taken = new Map<string, number>()
  const decryptedSome = Deferred.makeUnsafe<void>()
  const crowded = withDisk(
    true,
    (path, bytes) =>
      Effect.gen(function*() {
        if (path.endsWith(".plain.part")) yield* Deferred.succeed(decryptedSome, undefined)
        else if ((taken.get(path) ?? 0) > 8 * MIB) yield* Deferred.await(decryptedSome)
        const total = Array.from(taken.values()).reduce((sum, one) => sum + one, bytes)
        if (total > room) return yield* Effect.fail(noSpace)
        taken.set(path, (taken.get(path) ?? 0) + bytes)
      }),
    (path) => void taken.delete(path)
  )

  it.live("gives the space of what is decrypted to the bytes that arrive, and decrypts them when there is room", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { link } = yield* encrypted
      const error = yield* Effect.flip(download(link, directory))
      assert(error.reason._tag === "DestinationFailed", error.message)
      assert.strictEqual(error.copy, "consumed")
      assert.strictEqual(error.reason.bytesDone, error.reason.bytesExpected)
      assert.lengthOf(yield* list(directory), 2)
      room = 100 * MIB
      yield* isLarge((yield* download(link, directory)).path)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
      assert.lengthOf((yield* host.requests).filter(({ operation }) => operation === "download"), 1)
    }).pipe(Effect.scoped, Effect.provide(crowded)))
})
