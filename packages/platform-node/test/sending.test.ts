/** Uploads over a real socket: sources that change, early refusals, names, many files at once, time-outs. */
import { FileBody, FileIo, FileTransfer, type Progress, RetryPolicy } from "@effect-fileio/client"
import { Fault } from "@effect-fileio/client/testing"
import * as PlainText from "@effect-fileio/core/PlainText"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, FileSystem, Layer, Result, Stream } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Net from "node:net"
import { bytesOf, folder, overSockets, until } from "./faults/support.ts"

const LARGE = bytesOf(2_000_000)
const upload = (body: FileBody.FileBody, options?: FileIo.UploadOptions) =>
  FileIo.FileIo.use((fileIo) => fileIo.upload(body, options))
const uploadsOf = Effect.flatMap(
  NodeFaultHost.NodeFaultHost,
  (host) => Effect.map(host.requests, (requests) => requests.filter(({ operation }) => operation === "upload"))
)

describe("Content-Length", () => {
  it.live("is exact whenever the size is known, and absent otherwise", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const fileIo = yield* FileIo.FileIo
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* folder}/l.bin`
      yield* fs.writeFile(path, LARGE)
      const chunks = Stream.make(LARGE.subarray(0, 999), LARGE.subarray(999))
      yield* upload(FileBody.bytes(LARGE))
      yield* upload(yield* FileBody.file(path))
      yield* upload(FileBody.blob(new Blob([LARGE])))
      yield* upload(FileBody.stream(() => chunks, { size: LARGE.length }))
      yield* upload(FileBody.bytes(LARGE.subarray(0, 9)))
      yield* fileIo.uploadOnce(FileBody.once(chunks, { size: LARGE.length }))
      const known = yield* uploadsOf
      assert.strictEqual(known.length, 6)
      for (const request of known) {
        assert.strictEqual(request.headers["content-length"], String(request.body!.length))
        assert.isUndefined(request.headers["transfer-encoding"])
      }
      yield* upload(FileBody.stream(() => chunks, {}))
      assert.isUndefined((yield* uploadsOf)[6]!.headers["content-length"])
      const files = yield* host.files
      for (const { bytes } of files) if (bytes.length > 9) assert.deepStrictEqual(bytes, LARGE)
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

describe("a source that fails", () => {
  /** A real file system that does something to a file after its first bytes were read. */
  const meddling = (meddle: (path: string) => Effect.Effect<void, unknown, FileSystem.FileSystem>) =>
    Layer.fresh(FileTransfer.layer).pipe(
      Layer.provide(Layer.effect(
        FileSystem.FileSystem,
        Effect.map(FileSystem.FileSystem, (fs) => ({
          ...fs,
          open: (path: string, options?: Parameters<FileSystem.FileSystem["open"]>[1]) =>
            Effect.map(fs.open(path, options), (file) => {
              let isDone = false
              const meddled = <A, E>(read: Effect.Effect<A, E>) =>
                Effect.tap(read, () => {
                  if (isDone) return Effect.void
                  isDone = true
                  return Effect.provideService(Effect.orDie(meddle(path)), FileSystem.FileSystem, fs)
                })
              const read: FileSystem.File["read"] = (buffer, options) => meddled(file.read(buffer, options))
              const readAlloc: FileSystem.File["readAlloc"] = (size, options) => meddled(file.readAlloc(size, options))
              return Object.assign(Object.create(file) as FileSystem.File, { read, readAlloc })
            })
        }))
      )),
      Layer.provideMerge(overSockets())
    )
  const files = FileSystem.FileSystem
  const meddlings: Record<string, (path: string) => Effect.Effect<void, unknown, FileSystem.FileSystem>> = {
    truncated: (path) => files.use((fs) => fs.truncate(path, 600_000)),
    grown: (path) => files.use((fs) => fs.writeFile(path, new Uint8Array(5), { flag: "a" })),
    removed: (path) => files.use((fs) => fs.remove(path)),
    replaced: (path) =>
      files.use((fs) => Effect.andThen(fs.writeFile(`${path}.new`, LARGE), fs.rename(`${path}.new`, path))),
    overwritten: (path) =>
      files.use((fs) => Effect.andThen(Effect.sleep(20), fs.writeFile(path, bytesOf(LARGE.length, 7), { flag: "r+" })))
  }
  for (const size of [LARGE.length, 200_000]) {
    for (const [how, meddle] of Object.entries(meddlings)) {
      if (size < 600_000 && how === "truncated") continue
      it.live(`a file of ${size} bytes that is ${how} while it is sent: nothing is stored, and it is not tried again`, () =>
        Effect.gen(function*() {
          const host = yield* NodeFaultHost.NodeFaultHost
          const transfer = yield* FileTransfer.FileTransfer
          const fs = yield* FileSystem.FileSystem
          const path = `${yield* folder}/s.bin`
          yield* fs.writeFile(path, LARGE.subarray(0, size))
          const error = yield* Effect.flip(transfer.uploadFile(path))
          assert.strictEqual(error.reason._tag, "SourceFailed", error.message)
          assert.strictEqual(error.stored, "no")
          assert.include(error.message, path)
          assert.isAtMost((yield* uploadsOf).length, 1)
          assert.strictEqual((yield* host.files).length, 0)
        }).pipe(Effect.scoped, Effect.provide(meddling(meddle))))
    }
  }

  for (const [how, meddle] of Object.entries(meddlings)) {
    it.live(`with \`snapshot\`, a file that is ${how} while it is sent`, () =>
      Effect.gen(function*() {
        const host = yield* NodeFaultHost.NodeFaultHost
        const transfer = yield* FileTransfer.FileTransfer
        const fs = yield* FileSystem.FileSystem
        const path = `${yield* folder}/s.log`
        yield* fs.writeFile(path, LARGE)
        const sent = yield* Effect.result(transfer.uploadFile(path, { snapshot: true }))
        // Its bytes at the start are still to be had where it has grown or lost its name, as a log that is rotated.
        const isWhole = how === "grown" || how === "removed" || how === "replaced"
        assert.strictEqual(Result.isSuccess(sent), isWhole)
        const stored = yield* host.files
        assert.strictEqual(stored.length, isWhole ? 1 : 0)
        if (isWhole) assert.deepStrictEqual(stored[0]!.bytes, LARGE)
        else if (Result.isFailure(sent)) assert.strictEqual(sent.failure.stored, "no")
      }).pipe(Effect.scoped, Effect.provide(meddling(meddle))))
  }

  it.live("says of a file that grows how it can be sent; and with `snapshot` sends no other file of its name", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* folder}/s.log`
      yield* fs.writeFile(path, LARGE)
      const plain = yield* FileBody.file(path)
      const snapshot = yield* FileBody.file(path, { snapshot: true })
      yield* fs.writeFile(path, new Uint8Array(5), { flag: "a" })
      assert.match((yield* Effect.flip(upload(plain))).message, /it became longer while it was sent; `snapshot` sends/)
      assert.strictEqual((yield* upload(snapshot)).size, LARGE.length)
      yield* fs.rename(path, `${path}.1`)
      yield* fs.writeFile(path, bytesOf(LARGE.length + 9, 7))
      assert.match((yield* Effect.flip(upload(snapshot))).message, /another file has its name by now/)
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  const bodies: Record<string, FileBody.FileBody> = {
    "ends early": FileBody.stream(() => Stream.make(LARGE.subarray(1)), { size: LARGE.length }),
    "gives too much": FileBody.stream(() => Stream.make(LARGE, LARGE), { size: LARGE.length }),
    "gives nothing": FileBody.stream(() => Stream.empty, {}),
    "fails midway": FileBody.stream(() => Stream.concat(Stream.make(LARGE), Stream.fail("no more")), {}),
    "fails midway, sized": FileBody.stream(() => Stream.concat(Stream.make(LARGE), Stream.fail("no more")), {
      size: LARGE.length + 1
    })
  }
  for (const [how, body] of Object.entries(bodies)) {
    it.live(`a stream that ${how}: nothing is stored`, () =>
      Effect.gen(function*() {
        const host = yield* NodeFaultHost.NodeFaultHost
        const error = yield* Effect.flip(upload(body))
        assert.strictEqual(error.reason._tag, "SourceFailed", error.message)
        assert.strictEqual(error.stored, "no")
        assert.isAtMost((yield* uploadsOf).length, 1)
        assert.strictEqual((yield* host.files).length, 0)
      }).pipe(Effect.provide(overSockets())))
  }

  it.live("a file that is changed or gone before it is opened", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* folder}/s.bin`
      yield* fs.writeFile(path, LARGE)
      const body = yield* FileBody.file(path)
      yield* fs.truncate(path, 10)
      assert.match((yield* Effect.flip(upload(body))).message, /shorter/)
      yield* fs.remove(path)
      assert.match((yield* Effect.flip(upload(body))).message, /no such file/)
      assert.match((yield* Effect.flip(FileBody.file(path))).message, /no such file/)
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

describe("an early refusal", () => {
  for (const close of [false, true]) {
    it.live(
      `reaches the caller as that refusal, every time${close ? ", though the host closes at once" : ""}`,
      () =>
        Effect.gen(function*() {
          const host = yield* NodeFaultHost.NodeFaultHost
          const huge = FileBody.stream(() => Stream.forever(Stream.make(LARGE.subarray(0, 500_000))), { size: 1e12 })
          const unknown = FileBody.stream(() => Stream.forever(Stream.make(LARGE.subarray(0, 500_000))), {})
          const seen = new Map<string, number>()
          const each = 24
          // Several at once, since a single one on an idle machine hides the race of the response and the failing write.
          for (const [code, atByte] of [[413, 0], [401, 0], [413, 200_000], [413, 3_000_000]] as const) {
            yield* host.inject(Fault.earlyStatus(code, { close, atByte }), { on: "upload", times: each })
            yield* Effect.forEach(Array.from({ length: each }, (_, i) => i), (i) =>
              Effect.gen(function*() {
                const error = yield* Effect.flip(upload(i % 2 === 0 ? huge : unknown)).pipe(
                  Effect.timeout("20 seconds")
                )
                const ends = error._tag === "FileIoError" ? `${error.reason._tag} ${error.stored}` : error._tag
                seen.set(ends, (seen.get(ends) ?? 0) + 1)
              }), { concurrency: 12 })
          }
          assert.deepStrictEqual(Object.fromEntries(seen), { "PlanLimit no": 3 * each, "Unauthorized no": each })
        }).pipe(Effect.provide(overSockets()), FileIo.withRetry(RetryPolicy.none))
    )
  }
})

describe("names", () => {
  const names = [
    "plain.txt",
    "with \"quotes\".txt",
    "a\"; name=\"x\"; filename=\"evil.sh",
    "line\nbreak.txt",
    "return\r\nX-Injected: yes\r\n\r\n.txt",
    "percent%20%22%0A.txt",
    "back\\slash\\.txt",
    "Z\u00FCrich \u6F22\u5B57 \u{1F600}.txt",
    "semi;colon=.txt",
    "  spaces  ",
    "tab\tnull\u0000.bin",
    "';--.txt",
    "filename*=UTF-8''x"
  ]
  it.live("arrive exactly as they are, by a strict reading of the form, and inject nothing", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      for (const name of names) {
        yield* upload(FileBody.bytes(LARGE.subarray(0, 10), { name }), { title: PlainText.strip(name) })
        const file = (yield* host.files).at(-1)!
        assert.strictEqual(file.name, name)
        assert.strictEqual(file.title, PlainText.strip(name))
        assert.deepStrictEqual(file.bytes, LARGE.subarray(0, 10))
        assert.isUndefined((yield* uploadsOf).at(-1)!.headers["x-injected"])
      }
    }).pipe(Effect.provide(overSockets())))
})

describe("many files", () => {
  it.live("go up and come down a few at once, in order; one failure loses no other", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const transfer = yield* FileTransfer.FileTransfer
      const fs = yield* FileSystem.FileSystem
      const source = yield* folder
      const target = yield* folder
      const paths = Array.from({ length: 9 }, (_, i) => `${source}/${i}.bin`)
      for (const [i, path] of paths.entries()) if (i !== 4) yield* fs.writeFile(path, bytesOf(300_000 + i, i + 1))
      const up: Array<Progress.Batch> = []
      const uploaded = yield* transfer.uploadAll(paths, {
        concurrency: 3,
        expires: "1d",
        onProgress: (event) => Effect.sync(() => void up.push(event))
      })
      assert.deepStrictEqual(
        uploaded.map((result) => result._tag === "Success" ? result.success.name : result.failure.reason._tag),
        [
          "0.bin",
          "1.bin",
          "2.bin",
          "3.bin",
          "SourceFailed",
          "5.bin",
          "6.bin",
          "7.bin",
          "8.bin"
        ]
      )
      const sum = paths.reduce((total, _, i) => i === 4 ? total : total + 300_000 + i, 0)
      assert.strictEqual(up[0]!._tag, "Started")
      assert.strictEqual(up[0]!.files.total, 9)
      const last = up.at(-1)!
      assert.strictEqual(last._tag, "Finished")
      assert.deepStrictEqual([last.bytes, last.total, last.files.done, last.files.failed], [sum, sum, 8, 1])

      const links = uploaded.map((result) => result._tag === "Success" ? result.success.link : "neverwas1234")
      yield* host.inject(Fault.ResetBody({ atByte: 1000 }), { on: "download", after: 2 })
      const down: Array<Progress.Batch> = []
      const downloaded = yield* transfer.downloadAll(links, { directory: target }, {
        onProgress: (event) => Effect.sync(() => void down.push(event))
      }).pipe(FileIo.withRetry(RetryPolicy.make({ base: 1 })))
      assert.deepStrictEqual(downloaded.map(Result.isSuccess), paths.map((_, i) => i !== 4))
      for (const [i, result] of downloaded.entries()) {
        if (result._tag === "Failure") continue
        assert.strictEqual(result.success.name, `${i}.bin`)
        assert.deepStrictEqual(new Uint8Array(yield* fs.readFile(result.success.path)), bytesOf(300_000 + i, i + 1))
      }
      assert.deepStrictEqual([down.at(-1)!._tag, down.at(-1)!.bytes], ["Finished", sum])
      for (const events of [up, down]) {
        const told = events.filter(({ _tag }) => _tag === "Advanced")
        for (const [i, event] of told.entries()) {
          if (i > 0) assert.isAtLeast(event.elapsedMillis - told[i - 1]!.elapsedMillis, 100)
        }
      }
    }).pipe(Effect.scoped, Effect.provide(overSockets())))

  it.live("never more at once than asked for", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const transfer = yield* FileTransfer.FileTransfer
      const target = yield* folder
      yield* host.inject(Fault.StallBeforeHeaders({ handled: false }), { on: "download", times: 99 })
      const keys = yield* Effect.forEach(Array.from({ length: 6 }), () => host.put({ bytes: LARGE }))
      const fiber = yield* Effect.forkChild(
        transfer.downloadAll(keys.map(({ key }) => key), { directory: target }, { concurrency: 2 })
      )
      yield* until("two under way", Effect.map(host.requests, (requests) => requests.length === 2))
      yield* Effect.sleep(50)
      assert.strictEqual((yield* host.requests).length, 2)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.scoped, Effect.provide(overSockets())))
})

describe("interruption", () => {
  it.live("of an upload closes the socket at once, and nothing is stored", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const slow = FileBody.stream(
        () => Stream.concat(Stream.make(LARGE), Stream.fromEffect(Effect.never)),
        { size: LARGE.length * 2 }
      )
      const fiber = yield* Effect.forkChild(upload(slow))
      yield* until("under way", Effect.map(uploadsOf, (requests) => (requests[0]?.bodyBytes ?? 0) > 1_000_000))
      const began = performance.now()
      yield* Fiber.interrupt(fiber)
      yield* until("closed", Effect.map(uploadsOf, (requests) => requests[0]!.aborted))
      assert.isBelow(performance.now() - began, 20_000)
      assert.strictEqual((yield* host.files).length, 0)
    }).pipe(Effect.provide(overSockets())))
})

describe("timeouts", () => {
  const phaseOf = (options: NodeFileIo.Options) =>
    Effect.map(
      Effect.flip(Effect.provide(
        FileIo.FileIo.use((fileIo) => fileIo.downloadBytes("neverwas1234")),
        NodeFileIo.layer(options)
      )),
      (error) => {
        const reason = "reason" in error ? error.reason : undefined
        assert.strictEqual(reason?._tag, "TimedOut", String(error))
        return reason?._tag === "TimedOut" && "copy" in error
          ? [reason.phase, Duration.toMillis(reason.after), error.copy]
          : []
      }
    )

  /** A port that accepts no more connections: its process is stopped. */
  const deaf = Effect.acquireRelease(
    Effect.promise(async () => {
      const code =
        `const s=require("node:net").createServer().listen({port:0,host:"127.0.0.1",backlog:1},()=>console.log(s.address().port))`
      const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] })
      const [line] = await once(child.stdout, "data") as [Buffer]
      child.kill("SIGSTOP")
      const port = Number(line.toString())
      const sockets = Array.from({ length: 8 }, () => Net.connect(port, "127.0.0.1").on("error", () => {}))
      return { child, port, sockets }
    }),
    ({ child, sockets }) =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        child.kill("SIGKILL")
      })
  )

  it.live("connect: says so, and the copy is kept", (test) =>
    Effect.gen(function*() {
      if (process.platform !== "linux") return test.skip("needs Linux's queue of connections")
      const { port } = yield* deaf
      assert.deepStrictEqual(
        yield* phaseOf({ baseUrl: `http://127.0.0.1:${port}`, connectTimeout: "300 millis" }).pipe(
          FileIo.withRetry(RetryPolicy.none)
        ),
        ["connect", 300, "kept"]
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("first byte and idle: each by its own limit", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const { key } = yield* host.put({ bytes: LARGE })
      yield* host.inject(Fault.StallBeforeHeaders({ handled: false }), { on: "download" })
      assert.deepStrictEqual(
        yield* phaseOf({ baseUrl: host.baseUrl, firstByteTimeout: "120 millis", idleTimeout: "20 seconds" }),
        ["firstByte", 120, "unknown"]
      )
      yield* host.inject(Fault.StallBody({ atByte: 1000 }), { on: "download" })
      const error = yield* Effect.flip(FileIo.FileIo.use((fileIo) => fileIo.downloadBytes(key))).pipe(
        Effect.provide(
          NodeFileIo.layer({ baseUrl: host.baseUrl, firstByteTimeout: "20 seconds", idleTimeout: "120 millis" })
        ),
        FileIo.withRetry(RetryPolicy.none)
      )
      const reason = "reason" in error ? error.reason : undefined
      assert.strictEqual(reason?._tag === "TimedOut" ? reason.phase : "", "idle")
    }).pipe(Effect.provide(NodeFaultHost.layer())))

  it.live("a slow transfer is not cut, however long it takes", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const { key } = yield* host.put({ bytes: LARGE.subarray(0, 2000) })
      yield* host.inject(Fault.Drip({ bytes: 20, every: 40 }), { on: "download" })
      const { bytes } = yield* FileIo.FileIo.use((fileIo) => fileIo.downloadBytes(key)).pipe(
        Effect.provide(
          NodeFileIo.layer({ baseUrl: host.baseUrl, firstByteTimeout: "3 seconds", idleTimeout: "3 seconds" })
        )
      )
      assert.strictEqual(bytes.length, 2000)
    }).pipe(Effect.provide(NodeFaultHost.layer())))
})
