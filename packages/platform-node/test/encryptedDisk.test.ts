/** Encrypted downloads to the disk: resumed by another call, after a crash at each step, and on a disk that is full. */
import { Encryption, FileBody, FileIo, FileTransfer, Platform, RetryPolicy } from "@effect-fileio/client"
import { Fault } from "@effect-fileio/client/testing"
import type { FileIoError } from "@effect-fileio/core"
import { NodePlatform } from "@effect-fileio/platform-node"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, FileSystem, Layer, PlatformError, Redacted, Result, Stream } from "effect"
import { createHash } from "node:crypto"
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

const HEADER = ENCRYPTED.length - FILE.length - 4 * 16 - 16
/** Before the payload, only the encrypted bytes can be kept. */
const START = HEADER + 16

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
  const kept = yield* fs.readFile(`${directory}/${part}`)
  // The last chunk that arrived may be the last of all, which only what follows tells.
  const chunks = Math.max(0, Math.ceil((atByte - START) / 65_552) - 1)
  const expected = atByte < START ? ENCRYPTED.subarray(0, atByte) : FILE.subarray(0, chunks * 65_536)
  assert.match(part, atByte < START ? /^\.a\.bin\.age\.\w+\.part$/ : /^\.a\.bin\.\w+\.part$/)
  assert.isTrue(Buffer.from(expected).equals(kept), part)
  for (const name of names) assert.notInclude(yield* fs.readFileString(`${directory}/${name}`), "AGE-SECRET-KEY")
  return { key, link: linkOf(link), note: `${directory}/${note}`, part: `${directory}/${part}` }
})

const editNote = Effect.fnUntraced(function*(path: string, change: object) {
  const fs = yield* FileSystem.FileSystem
  const note = JSON.parse(yield* fs.readFileString(path)) as object
  yield* fs.writeFileString(path, JSON.stringify({ ...note, ...change }), { mode: 0o600 })
})

describe("an encrypted download that broke", () => {
  it.live("goes on at the chunk where it broke, whichever byte that was, with the secret from the link alone", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const asked: Array<unknown> = []
      for (const at of [1, HEADER, START - 1, START, START + 65_553, 150_001, ENCRYPTED.length - 1]) {
        const directory = yield* folder
        const { link } = yield* stopped(directory, at)
        yield* host.clear
        const { path } = yield* download(link, directory)
        yield* isFile(path)
        assert.deepStrictEqual(yield* list(directory), ["a.bin"], String(at))
        asked.push((yield* host.requests).at(-1)!.headers["range"])
      }
      const chunks = [0, 1, 2, 3].map((chunk) => `bytes=${START + chunk * 65_552}-`)
      assert.deepStrictEqual(asked, ["bytes=0-", "bytes=0-", "bytes=0-", ...chunks])
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("goes on behind what a dead process wrote of a chunk", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      const { link, part } = yield* stopped(directory, 100_000)
      yield* (yield* NodeFaultHost.NodeFaultHost).clear
      yield* fs.writeFile(part, FILE.subarray(0, 70_000))
      // It died while it encrypted again, since the bytes that it got were changed on the way.
      yield* fs.writeFile(part.replace(".part", ".age.part"), ENCRYPTED.subarray(0, 1000))
      yield* isFile((yield* download(link, directory)).path)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("asks nothing of the host without its secret, stays as it is, and goes on with it", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { key, link, part } = yield* stopped(directory, 100_000)
      yield* host.clear
      const before = yield* list(directory)
      const count = Effect.map(host.requests, (requests) => requests.length)
      const requests = yield* count
      const other = yield* Encryption.generateIdentity
      const error = yield* Effect.flip(download(key, directory, { identities: [other.identity] }))
      reasonOf(error, "DecryptionFailed")
      assert.strictEqual(error.copy, "unknown")
      assert.include(error.message, part)
      for (const options of [{ decrypt: false }, {}]) {
        const refused = yield* Effect.flip(download(key, directory, options))
        reasonOf(refused, "DestinationFailed")
        assert.strictEqual(refused.copy, "kept")
        assert.match(refused.message, /decrypted part.*secret/)
      }
      assert.deepStrictEqual(yield* list(directory), before)
      assert.strictEqual(yield* count, requests)
      yield* isFile((yield* download(link, directory)).path)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("is checked against its digest from its first byte on", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const sha256 = createHash("sha256").update(FILE).digest("hex")
      for (const digest of [sha256, sha256.replace(/^./, (digit) => digit === "0" ? "1" : "0")]) {
        const directory = yield* folder
        const { link, part } = yield* stopped(directory, 150_001)
        yield* host.clear
        const landed = yield* Effect.result(download(link, directory, { sha256: digest }))
        if (digest === sha256) {
          yield* isFile(Result.getOrThrow(landed).path)
          continue
        }
        assert(Result.isFailure(landed))
        assert.match(landed.failure.message, /SHA-256/)
        assert.include(landed.failure.message, part)
        assert.strictEqual(landed.failure.copy, "consumed")
        assert(landed.failure.reason._tag === "TransferInterrupted")
        assert.strictEqual(landed.failure.reason.bytesDone, FILE.length)
        yield* isFile(part)
      }
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("or that ends while its passphrase is checked can be asked for again", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const passphrase = Redacted.make("four words are enough")
      const { body } = yield* Effect.provide(
        Encryption.encrypt(FileBody.bytes(FILE, { name: "a.bin" }), { passphrase }),
        NodePlatform.layer
      )
      const bytes = yield* Stream.mkUint8Array(body.open("owned"))
      const { key } = yield* host.put({ bytes, name: "a.bin.age" })
      const directory = yield* folder
      const asked = Deferred.makeUnsafe<void>()
      const scrypt = () => Effect.andThen(Deferred.succeed(asked, undefined), Effect.never)
      const slow = Layer.fresh(FileTransfer.layer).pipe(
        Layer.provide(Layer.succeed(Platform.CurrentPlatform, { ...NodePlatform.make, scrypt }))
      )
      const fiber = yield* Effect.forkChild(Effect.provide(download(key, directory, { passphrase }), slow))
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(fiber)
      assert.lengthOf(yield* list(directory), 2)
      yield* isFile((yield* download(key, directory, { passphrase })).path)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
      assert.strictEqual((yield* host.requests).at(-1)!.headers["range"], "bytes=0-")
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("has no name before its end is authentic, also if the host says that nothing follows the header", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      const cut = ENCRYPTED.subarray(0, START + 16)
      const { link } = yield* host.put({ bytes: cut, name: "neutral.age" })
      yield* host.inject(Fault.Truncate({ atByte: START }), { on: "download" })
      reasonOf(yield* Effect.flip(download(linkOf(link), directory)), "TransferInterrupted")
      yield* host.clear
      const error = yield* Effect.flip(download(linkOf(link), directory))
      reasonOf(error, "DecryptionFailed")
      assert.strictEqual((yield* host.requests).at(-1)!.headers["range"], `bytes=${START}-`)
      assert.deepStrictEqual(yield* list(directory), ["a.bin.age"])
      assert.isTrue(Buffer.from(cut).equals(yield* fs.readFile(`${directory}/a.bin.age`)))
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("that is complete, but has no name yet, gets it without a request", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      for (const hasName of [false, true]) {
        const directory = yield* folder
        const { link, part } = yield* stopped(directory, 100_000)
        yield* host.clear
        yield* fs.writeFile(part, FILE)
        if (hasName) yield* fs.link(part, `${directory}/a.bin`)
        const before = (yield* host.requests).length
        yield* isFile((yield* download(link, directory)).path)
        assert.deepStrictEqual(yield* list(directory), ["a.bin"])
        assert.strictEqual((yield* host.requests).length, before)
      }
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

it.live("an encrypted file that is changed, cut or longer at the edge of any chunk is kept as it came", () =>
  Effect.gen(function*() {
    const host = yield* NodeFaultHost.NodeFaultHost
    const fs = yield* FileSystem.FileSystem
    const edges = [0, 1, 2, 3].map((chunk) => START + chunk * 65_552).concat(ENCRYPTED.length)
    const near = edges.flatMap((edge) => [-17, -16, -1, 0, 1, 16].map((distance) => edge + distance))
    const wrong: Array<Uint8Array> = [2, 1].map((times) =>
      Buffer.concat([ENCRYPTED, ENCRYPTED.subarray(START)], ENCRYPTED.length + times)
    )
    for (const at of near.filter((at) => at < ENCRYPTED.length)) {
      const changed = ENCRYPTED.slice()
      changed[at]! ^= 0x20
      wrong.push(changed, ENCRYPTED.subarray(0, at))
    }
    for (const [index, bytes] of wrong.entries()) {
      const directory = yield* folder
      const { link } = yield* host.put({ bytes, name: "neutral.age" })
      const error = yield* Effect.flip(download(linkOf(link), directory))
      reasonOf(error, "DecryptionFailed")
      assert.deepStrictEqual(yield* list(directory), ["a.bin.age"], String(index))
      assert.isTrue(Buffer.from(bytes).equals(yield* fs.readFile(`${directory}/a.bin.age`)), String(index))
    }
  }).pipe(Effect.scoped, Effect.provide(overSockets())))

describe("a process that dies while it decrypts a complete part", () => {
  const whole = Effect.fnUntraced(function*(directory: string) {
    const fs = yield* FileSystem.FileSystem
    const seen = yield* stopped(directory, 100)
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

/** A client whose disk takes no note that names an encrypted part in place of a decrypted one. */
const withoutNotes = Layer.fresh(FileTransfer.layer).pipe(
  Layer.provide(Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => ({
      ...fs,
      writeFileString: (
        path: string,
        text: string,
        options?: Parameters<FileSystem.FileSystem["writeFileString"]>[2]
      ) =>
        /"part":"\.a\.bin\.\w+\.age\.part"/.test(text)
          ? Effect.fail(noSpace)
          : fs.writeFileString(path, text, options)
    }))
  )),
  Layer.provide(Layer.succeed(Platform.CurrentPlatform, NodePlatform.make)),
  Layer.provideMerge(overSockets())
)

/** The text form, which is decrypted when all of it is there. */
const ARMORED = new TextEncoder().encode(
  ["BEGIN", Buffer.from(ENCRYPTED).toString("base64").replace(/.{64}(?=.)/g, "$&\n"), "END"]
    .map((line, index) => index === 1 ? line : `-----${line} AGE ENCRYPTED FILE-----`).join("\n")
)

describe("a disk without room for what an armored file is decrypted to", () => {
  let isFull = true
  const layer = (resumable: boolean) =>
    withDisk(resumable, (path) => isFull && path.endsWith(".plain.part") ? Effect.fail(noSpace) : Effect.void)

  it.live("keeps the encrypted part, with which the same call goes on once there is room", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { link } = yield* host.put({ bytes: ARMORED, name: "neutral.age" })
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
      const { link } = yield* host.put({ bytes: ARMORED, name: "neutral.age" })
      isFull = true
      const error = yield* Effect.flip(download(linkOf(link), directory))
      assert.match(error.message, /disk is full.*a\.bin\.age/)
      assert.deepStrictEqual(yield* list(directory), ["a.bin.age"])
      assert.isTrue(Buffer.from(ARMORED).equals(yield* fs.readFile(`${directory}/a.bin.age`)))
    }).pipe(Effect.scoped, Effect.provide(layer(false))))
})

describe("a large encrypted download", () => {
  const MIB = 1024 * 1024
  const LARGE = bytesOf(24 * MIB)
  const encrypted = Effect.fnUntraced(function*(change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes) {
    const { body, linkOf } = yield* Encryption.encrypt(FileBody.bytes(LARGE, { name: "a.bin" }), "link")
    const host = yield* NodeFaultHost.NodeFaultHost
    const bytes = change(yield* Stream.mkUint8Array(body.open("owned")))
    const { key, link } = yield* host.put({ bytes, name: "n.age" })
    return { key, link: linkOf(link), bytes }
  })
  const isSame = (path: string, bytes: Uint8Array) =>
    FileSystem.FileSystem.use((fs) =>
      Effect.map(fs.readFile(path), (read) => assert.isTrue(Buffer.from(bytes).equals(read), path))
    )
  const written = Deferred.makeUnsafe<void>()

  it.live("is decrypted while it arrives, into one part, which stays if the call ends", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fs = yield* FileSystem.FileSystem
      const directory = yield* folder
      const { link } = yield* encrypted()
      yield* host.inject(Fault.StallBody({ atByte: 20 * MIB }), { on: "download" })
      const fiber = yield* Effect.forkChild(download(link, directory))
      yield* Deferred.await(written)
      yield* Fiber.interrupt(fiber)
      const left = yield* list(directory)
      assert.lengthOf(left, 2)
      const part = `${directory}/${left.find((name) => name.endsWith(".part"))!}`
      const size = Number((yield* fs.stat(part)).size)
      assert.isAbove(size, 0)
      yield* isSame(part, LARGE.subarray(0, size))
      yield* host.clear
      yield* isSame((yield* download(link, directory)).path, LARGE)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
    }).pipe(
      Effect.scoped,
      Effect.provide(withDisk(true, (path) =>
        Effect.asVoid(path.endsWith(".part") ? Deferred.succeed(written, undefined) : Effect.void)))
    ))

  it.live("stops when its header is for another key, if the host can resume, and goes on with the right one", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { key, link } = yield* encrypted()
      const { identity } = yield* Encryption.generateIdentity
      for (const range of [undefined, "bytes=0-"]) {
        const error = yield* Effect.flip(download(key, directory, { identities: [identity] }))
        assert(error.reason._tag === "DecryptionFailed")
        assert.strictEqual(error.reason.problem, "otherKey")
        assert.strictEqual(error.copy, "unknown")
        assert.include(error.message, error.reason.partPath!)
        assert.lengthOf(yield* list(directory), 2)
        assert.strictEqual((yield* host.requests).at(-1)!.headers["range"], range)
      }
      yield* isSame((yield* download(link, directory)).path, LARGE)
      assert.deepStrictEqual(yield* list(directory), ["a.bin"])
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("for another key is fetched whole, and kept, if the host cannot resume", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const { bytes, key } = yield* encrypted()
      const { identity } = yield* Encryption.generateIdentity
      const error = yield* Effect.flip(download(key, directory, { identities: [identity] }))
      reasonOf(error, "DecryptionFailed")
      assert.strictEqual(error.copy, "consumed")
      assert.deepStrictEqual(yield* list(directory), ["n.age"])
      yield* isSame(`${directory}/n.age`, bytes)
    }).pipe(Effect.scoped, Effect.provide(overSockets({ resumable: false }))))

  /** A byte of the 301st chunk is another one. */
  const CHANGED = 300
  const changed = (bytes: Uint8Array) => {
    const copy = bytes.slice()
    copy[START + CHANGED * 65_552 + 7]! ^= 1
    return copy
  }
  const isKept = Effect.fnUntraced(function*(error: FileIoError.FileIoError, bytes: Uint8Array) {
    assert(error.reason._tag === "DecryptionFailed", error.message)
    assert.strictEqual(error.reason.problem, "changed")
    assert.strictEqual(error.reason.bytesDone, CHANGED * 65_536)
    assert.strictEqual(error.copy, "consumed")
    yield* isSame(error.reason.encryptedPath!, bytes)
  })

  it.live("with a changed chunk is kept as it came, also if it broke before and behind that chunk", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      for (const breaks of [[], [9 * MIB], [22 * MIB], [9 * MIB, 13 * MIB]]) {
        const directory = yield* folder
        const { bytes, link } = yield* encrypted(changed)
        for (const atByte of breaks) {
          yield* host.inject(Fault.Truncate({ atByte }), { on: "download" })
          reasonOf(yield* Effect.flip(download(link, directory)), "TransferInterrupted")
          assert.lengthOf(yield* list(directory), 2)
        }
        yield* isKept(yield* Effect.flip(download(link, directory)), bytes)
        assert.deepStrictEqual(yield* list(directory), ["a.bin.age"])
      }
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  // What each file takes, and how much there is.
  let room = 0
  const taken = new Map<string, number>()
  const limited = withDisk(
    true,
    (path, bytes) =>
      Effect.suspend(() => {
        if (path.includes("/elsewhere/")) return Effect.void
        const total = Array.from(taken.values()).reduce((sum, one) => sum + one, bytes)
        if (total > room) return Effect.fail(noSpace)
        taken.set(path, (taken.get(path) ?? 0) + bytes)
        return Effect.void
      }),
    (path) => void taken.delete(path)
  )

  it.live("needs room once; the rest of what a full disk does not take is decrypted elsewhere", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      room = 24 * MIB
      taken.clear()
      const directory = yield* folder
      yield* isSame((yield* download((yield* encrypted()).link, directory)).path, LARGE)
      const fallbackDirectory = `${directory}/elsewhere`
      yield* fs.makeDirectory(fallbackDirectory)
      const inbox = yield* folder
      room = 10 * MIB
      const error = yield* Effect.flip(download((yield* encrypted()).link, inbox, { fallbackDirectory }))
      assert(error.reason._tag === "DestinationFailed", error.message)
      assert.strictEqual(error.copy, "consumed")
      assert.lengthOf(error.reason.parts!, 1)
      yield* isSame(error.reason.parts![0]!, LARGE)
      assert.deepStrictEqual(yield* list(inbox), [])
    }).pipe(Effect.scoped, Effect.provide(limited)))

  it.live("with a changed chunk is kept elsewhere, if the disk has no room for its encrypted bytes", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      room = 30 * MIB
      taken.clear()
      const directory = yield* folder
      const fallbackDirectory = `${directory}/elsewhere`
      yield* fs.makeDirectory(fallbackDirectory)
      const { bytes, link } = yield* encrypted(changed)
      const error = yield* Effect.flip(download(link, directory, { fallbackDirectory }))
      yield* isKept(error, bytes)
      assert.include(error.message, fallbackDirectory)
      assert.deepStrictEqual(yield* list(directory), ["elsewhere"])
    }).pipe(Effect.scoped, Effect.provide(limited)))

  it.live("with a changed chunk can be resumed, also if the disk has no room for another note", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { bytes, link } = yield* encrypted(changed)
      yield* host.inject(Fault.Truncate({ atByte: 22 * MIB }), { on: "download" })
      reasonOf(yield* Effect.flip(download(link, directory)), "TransferInterrupted")
      yield* host.clear
      yield* isKept(yield* Effect.flip(download(link, directory)), bytes)
      const range = `bytes=${START + CHANGED * 65_552}-`
      assert.strictEqual((yield* host.requests).at(-1)!.headers["range"], range)
      assert.deepStrictEqual(yield* list(directory), ["a.bin.age"])
    }).pipe(Effect.scoped, Effect.provide(withoutNotes)))
})
