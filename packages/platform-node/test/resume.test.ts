/** The rest of a download joins a part only if both are of the same file (RFC 9110, 15.3.7.3). */
import { FileIo, FileTransfer, RetryPolicy } from "@effect-fileio/client"
import type { FileIoError } from "@effect-fileio/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Redacted, Stream } from "effect"
import { type Answer, type Request, scriptedHost, transportNames, transports } from "./faults/scriptedHost.ts"
import { bytesOf, folder } from "./faults/support.ts"

const FILE = bytesOf(300_000)
const OTHER = bytesOf(300_000, 0x1234567)
const KEY = "abcdefgh1234"
const SIZE = FILE.length

const quick = RetryPolicy.make({ times: 3, base: 1 })

const whole: Answer = {
  headers: {
    "content-length": String(SIZE),
    "content-disposition": "attachment; filename=a.bin",
    "accept-ranges": "bytes",
    etag: "\"one\""
  },
  body: FILE
}
const first = (cutAt: number): Answer => ({ ...whole, cutAt })

const from = (request: Request): number => Number(/^bytes=(\d+)-$/.exec(request.headers["range"] ?? "")?.[1])

/** A correct response with the rest, except for what a case changes. */
const rest = (request: Request, changes: Readonly<Record<string, string | undefined>> = {}, body = FILE): Answer => {
  const at = from(request)
  const headers: Record<string, string> = {
    "content-length": String(SIZE - at),
    "content-range": `bytes ${at}-${SIZE - 1}/${SIZE}`,
    etag: "\"one\""
  }
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete headers[name]
    else headers[name] = value
  }
  return { status: 206, headers, body: body.subarray(at) }
}

const refused: Readonly<Record<string, (request: Request) => Answer>> = {
  "of another ETag": (request) => rest(request, { etag: "\"two\"" }, OTHER),
  "of a weak ETag": (request) => rest(request, { etag: "W/\"one\"" }),
  "without an ETag": (request) => rest(request, { etag: undefined }, OTHER),
  "of a file of another size": (request) => {
    const at = from(request)
    const to = SIZE + 5
    return {
      ...rest(request, { "content-length": String(to - at), "content-range": `bytes ${at}-${to - 1}/${to}` }),
      body: Buffer.concat([OTHER.subarray(at), new Uint8Array(5)])
    }
  },
  "of a file of another size, whose total is not sent": (request) => {
    const at = from(request)
    const to = SIZE + 5
    return {
      ...rest(request, { "content-length": String(to - at), "content-range": `bytes ${at}-${to - 1}/*` }),
      body: Buffer.concat([OTHER.subarray(at), new Uint8Array(5)])
    }
  },
  "that begins elsewhere": (request) =>
    rest(request, { "content-range": `bytes ${from(request) + 1}-${SIZE}/${SIZE}` }),
  "that is not all of it": (request) =>
    rest(request, { "content-range": `bytes ${from(request)}-${SIZE - 2}/${SIZE}` }),
  "with two lengths": (request) => ({
    ...rest(request, { "content-length": "10" }),
    body: FILE.subarray(0, 10)
  }),
  "in an encoding": (request) => rest(request, { "content-encoding": "gzip" }),
  "that is said to be the whole file": (request) => ({ ...rest(request), status: 200 }),
  "without bytes": (request) => ({ ...rest(request, { "content-length": undefined }), status: 204, body: "" }),
  "of which there is said to be nothing": (request) => ({
    status: 416,
    headers: { etag: "\"one\"", "content-range": `bytes */${from(request)}` }
  }),
  "in several parts": (request) =>
    rest(request, { "content-range": undefined, "content-type": "multipart/byteranges; boundary=b" })
}

const interrupted = (error: FileIoError.FileIoError): FileIoError.TransferInterrupted => {
  assert.strictEqual(error.reason._tag, "TransferInterrupted", error.message)
  return error.reason as FileIoError.TransferInterrupted
}

const download = (directory: string) =>
  FileTransfer.FileTransfer.use((transfer) => transfer.downloadFile(KEY, { directory }))

const read = (path: string) =>
  FileSystem.FileSystem.use((fs) => Effect.map(fs.readFile(path), (bytes) => new Uint8Array(bytes)))

const list = (path: string) => FileSystem.FileSystem.use((fs) => fs.readDirectory(path))

/** The error names the part, which holds the bytes of the first file and no other. */
const assertKept = Effect.fnUntraced(function*(error: FileIoError.FileIoError, directory: string) {
  const { bytesDone, partPath, resumable } = interrupted(error)
  assert.isFalse(resumable)
  assert.strictEqual(error.copy, "unknown")
  assert.deepStrictEqual(yield* read(partPath!), FILE.subarray(0, bytesDone))
  assert.notInclude(yield* list(directory), "a.bin")
})

for (const transport of transportNames) {
  describe(`over ${transport}, the rest`, () => {
    for (const [how, answer] of Object.entries(refused)) {
      it.live(`${how} is refused in the same call`, () =>
        Effect.gen(function*() {
          const host = yield* scriptedHost((request, before) => before === 0 ? first(100_000) : answer(request))
          const directory = yield* folder
          const error = yield* download(directory).pipe(
            Effect.flip,
            FileIo.withRetry(quick),
            Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
          )
          yield* assertKept(error, directory)
          assert.strictEqual(host.requests.length, 2)
        }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))

      it.live(`${how} is refused in a later call, after which the file is asked for from its start`, () =>
        Effect.gen(function*() {
          const host = yield* scriptedHost((request, before) =>
            before === 0 ? first(100_000) : before === 1 ? answer(request) : whole
          )
          const directory = yield* folder
          yield* Effect.gen(function*() {
            const broken = interrupted(yield* Effect.flip(download(directory)))
            assert.isTrue(broken.resumable)
            const error = yield* Effect.flip(download(directory))
            yield* assertKept(error, directory)
            assert.strictEqual(interrupted(error).partPath, broken.partPath)
            const { path } = yield* download(directory)
            assert.isUndefined(host.requests[2]!.headers["range"])
            assert.deepStrictEqual(yield* read(path), FILE)
          }).pipe(
            FileIo.withRetry(RetryPolicy.none),
            Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
          )
        }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))
    }

    it.live("that is the whole file gives the rest in the same call, and breaks off like any other", () =>
      Effect.gen(function*() {
        const cuts = [100_000, 50_000, 200_000, undefined]
        const host = yield* scriptedHost((_, before) => ({ ...whole, cutAt: cuts[before]! }))
        const { path } = yield* download(yield* folder).pipe(
          FileIo.withRetry(quick),
          Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
        )
        assert.deepStrictEqual(yield* read(path), FILE)
        assert.strictEqual(host.requests.length, 4)
      }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))

    it.live("that is the whole of another file is refused in the same call, and replaces the part in a later one", () =>
      Effect.gen(function*() {
        const other = { ...whole, headers: { ...whole.headers, etag: "\"two\"" } }
        const host = yield* scriptedHost((_, before) => before === 0 ? first(100_000) : other)
        const directory = yield* folder
        yield* Effect.gen(function*() {
          yield* assertKept(yield* FileIo.withRetry(Effect.flip(download(directory)), quick), directory)
          assert.isDefined(host.requests[1]!.headers["range"])
          const { path } = yield* download(directory)
          assert.deepStrictEqual(yield* read(path), FILE)
        }).pipe(Effect.provide(transports[transport]({ baseUrl: host.baseUrl })))
      }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))

    it.live("of the same file joins, in the same call and in a later one", () =>
      Effect.gen(function*() {
        const host = yield* scriptedHost((request, before) =>
          request.headers["range"] === undefined ? first(before === 0 ? 100_000 : 50_000) : rest(request)
        )
        const directory = yield* folder
        yield* Effect.gen(function*() {
          const one = yield* FileIo.withRetry(download(directory), quick)
          assert.deepStrictEqual(yield* read(one.path), FILE)
          yield* FileIo.withRetry(Effect.flip(download(directory)), RetryPolicy.none)
          const two = yield* FileIo.withRetry(download(directory), RetryPolicy.none)
          assert.deepStrictEqual(yield* read(two.path), FILE)
          assert.strictEqual(host.requests.length, 4)
        }).pipe(Effect.provide(transports[transport]({ baseUrl: host.baseUrl })))
      }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))

    it.live("that the host refuses for its limit (429) is requested again after the pause, and joins", () =>
      Effect.gen(function*() {
        const host = yield* scriptedHost((request, before) =>
          before === 0
            ? first(100_000)
            : before <= 2
            ? { status: 429, headers: { "retry-after": "1" } }
            : rest(request)
        )
        const directory = yield* folder
        const { path } = yield* download(directory).pipe(
          FileIo.withRetry(quick),
          Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
        )
        assert.deepStrictEqual(yield* read(path), FILE)
        assert.deepStrictEqual(
          host.requests.map(({ headers }) => headers["range"]),
          [undefined, "bytes=100000-", "bytes=100000-", "bytes=100000-"]
        )
      }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))

    it.live("that the host refuses for longer than the budget stays on the disk, and a later call fetches it", () =>
      Effect.gen(function*() {
        const host = yield* scriptedHost((request, before) =>
          before === 0
            ? first(100_000)
            : before === 1
            ? { status: 429, headers: { "retry-after": "3600" } }
            : rest(request)
        )
        const directory = yield* folder
        const ask = download(directory).pipe(
          FileIo.withRetry(quick),
          // Each call with its own account, since a refusal is remembered for an hour.
          Effect.provide(
            Layer.fresh(
              Layer.suspend(() =>
                transports[transport]({ baseUrl: host.baseUrl, apiKey: Redacted.make(`KEY${host.requests.length}`) })
              )
            )
          )
        )
        const broken = interrupted(yield* Effect.flip(ask))
        assert.isTrue(broken.resumable)
        assert.deepStrictEqual(yield* read(broken.partPath!), FILE.subarray(0, 100_000))
        assert.strictEqual(host.requests.length, 2)
        const { path } = yield* ask
        assert.deepStrictEqual(yield* read(path), FILE)
        assert.strictEqual(host.requests[2]!.headers["range"], "bytes=100000-")
      }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))

    it.live("that does not know the total joins where the size is known", () =>
      Effect.gen(function*() {
        const host = yield* scriptedHost((request, before) =>
          before === 0
            ? first(100_000)
            : rest(request, { "content-range": `bytes ${from(request)}-${SIZE - 1}/*` })
        )
        const directory = yield* folder
        const { path } = yield* download(directory).pipe(
          FileIo.withRetry(quick),
          Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
        )
        assert.deepStrictEqual(yield* read(path), FILE)
      }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))

    it.live("that the host refuses for its range (416) cannot be had, and the part is named", () =>
      Effect.gen(function*() {
        const host = yield* scriptedHost((_, before) => before === 0 ? first(100_000) : { status: 416 })
        const directory = yield* folder
        yield* Effect.gen(function*() {
          interrupted(yield* Effect.flip(download(directory)))
          yield* assertKept(yield* Effect.flip(download(directory)), directory)
        }).pipe(
          FileIo.withRetry(RetryPolicy.none),
          Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
        )
      }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))

    it.live("asked for by hand is checked too, against the size where it is given", () =>
      Effect.gen(function*() {
        const host = yield* scriptedHost((request, before) => rest(request, before === 0 ? { etag: "\"two\"" } : {}))
        const ask = (size?: number) =>
          FileIo.FileIo.use((fileIo) => fileIo.download(KEY, { resume: { offset: 1000, validator: "\"one\"", size } }))
            .pipe(
              Effect.flatMap(({ stream }) => Stream.mkUint8Array(stream)),
              Effect.scoped,
              Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
            )
        for (const size of [undefined, SIZE + 1]) {
          const error = yield* Effect.flip(ask(size))
          assert.strictEqual(error.reason._tag, "UnexpectedResponse", error.message)
          assert.strictEqual(error.copy, "unknown")
        }
        assert.deepStrictEqual(yield* ask(SIZE), FILE.subarray(1000))
      }).pipe(Effect.scoped))
  })
}

describe("a download to go on with", () => {
  it.live("that could not be asked for is refused before any request, and leaves the part alone", () =>
    Effect.gen(function*() {
      const host = yield* scriptedHost(() => first(100_000))
      const directory = yield* folder
      yield* Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        for (
          const resume of [
            { offset: -1, validator: "\"one\"" },
            { offset: 1, validator: "W/\"one\"" },
            { offset: 1, validator: "\"one\r\nx: y\"" },
            { offset: 1, validator: "\"one\"", size: 1 }
          ]
        ) {
          const error = yield* Effect.flip(Effect.scoped(fileIo.download(KEY, { resume })))
          assert.strictEqual(error.reason._tag, "InvalidRequest")
          assert.strictEqual(error.copy, "kept")
        }
        assert.strictEqual(host.requests.length, 0)
        interrupted(yield* Effect.flip(download(directory)))
        const before = yield* list(directory)
        const error = yield* Effect.flip(
          FileTransfer.FileTransfer.use((transfer) =>
            transfer.downloadFile(KEY, { directory }, { sha256: "no digest" })
          )
        )
        assert.strictEqual(error.reason._tag, "InvalidRequest")
        assert.deepStrictEqual(yield* list(directory), before)
      }).pipe(FileIo.withRetry(RetryPolicy.none), Effect.provide(transports.sockets({ baseUrl: host.baseUrl })))
    }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))
})
