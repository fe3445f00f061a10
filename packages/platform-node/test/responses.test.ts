/** The client never takes a page or an error for a file or for JSON, in whatever form a host sends it. */
import { FileBody, FileIo, FileTransfer, RetryPolicy } from "@effect-fileio/client"
import type { FileIoError } from "@effect-fileio/core"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import { type Answer, scriptedHost, transportNames, transports } from "./faults/scriptedHost.ts"
import { bytesOf, folder } from "./faults/support.ts"
import { apiKey } from "./utils.ts"

const KEY = "abcdefgh1234"
const FILE = bytesOf(200_000)
const ATTACHED = { "content-disposition": "attachment; filename=a.bin" }
const PAGE = "<!doctype html><html><title>A page</title>"
const REFUSED = JSON.stringify({ success: false, status: 404, code: "FILE_NOT_FOUND", message: "gone" })
const DETAILS = { success: true, status: 200, key: KEY, link: `http://x/${KEY}`, name: "a.txt", size: 5 }

const list = (path: string) => FileSystem.FileSystem.use((fs) => fs.readDirectory(path))
const read = (path: string) =>
  FileSystem.FileSystem.use((fs) => Effect.map(fs.readFile(path), (bytes) => new Uint8Array(bytes)))
const download = (directory: string) =>
  FileTransfer.FileTransfer.use((transfer) => transfer.downloadFile(KEY, { directory }))

/** With the length that the body has. */
const sized = ({ body = "", ...answer }: Answer): Answer => ({
  ...answer,
  body,
  headers: { ...answer.headers, "content-length": String(Buffer.byteLength(body)) }
})

interface Refused {
  readonly answer: Answer
  readonly reason: FileIoError.Reason["_tag"]
  readonly copy: FileIoError.Copy
}

const html: Omit<Refused, "answer"> = { reason: "NotAnApi", copy: "unknown" }
const refusal: Omit<Refused, "answer"> = { reason: "FileNotFound", copy: "absent" }
const type = (contentType: string) => ({ "content-type": contentType })

const refused: Readonly<Record<string, Refused>> = {
  "an envelope in chunks": { answer: { headers: type("application/json"), body: REFUSED }, ...refusal },
  "an envelope as Application/JSON": {
    answer: sized({ headers: type("Application/JSON"), body: REFUSED }),
    ...refusal
  },
  "an envelope with parameters of its type": {
    answer: { headers: type("application/JSON ; Charset=UTF-8"), body: REFUSED },
    ...refusal
  },
  "an envelope as text/json": { answer: { headers: type("text/json"), body: REFUSED }, ...refusal },
  "an envelope as a problem": { answer: { headers: type("application/problem+json"), body: REFUSED }, ...refusal },
  "an envelope as text": { answer: sized({ headers: type("text/plain"), body: REFUSED }), ...refusal },
  "an envelope without a type": { answer: { body: REFUSED }, ...refusal },
  "an envelope with its values as text": {
    answer: { headers: type("application/json"), body: "{\"success\":\"false\",\"status\":\"404\"}" },
    ...refusal
  },
  "an envelope of the older form": {
    answer: { headers: type("application/json"), body: "{\"success\":false,\"error\":404,\"message\":\"Not Found\"}" },
    ...refusal
  },
  "an envelope that is compressed": {
    answer: { headers: { ...type("application/json"), "content-encoding": "gzip" }, body: gzipSync(REFUSED) },
    ...refusal
  },
  "an envelope that does not say why": {
    answer: { headers: type("application/json"), body: "{\"success\":false}" },
    reason: "UnexpectedResponse",
    copy: "unknown"
  },
  "an answer of JSON that is no file": {
    answer: { headers: type("application/json"), body: "{\"success\":true}" },
    reason: "UnexpectedResponse",
    copy: "unknown"
  },
  "a page in chunks": { answer: { headers: type("text/html; charset=utf-8"), body: PAGE }, ...html },
  "a page as TEXT/HTML": { answer: sized({ headers: type("TEXT/HTML"), body: PAGE }), ...html },
  "a page as XHTML": { answer: sized({ headers: type("application/xhtml+xml"), body: PAGE }), ...html },
  "a page without a type": { answer: sized({ body: PAGE }), ...html },
  "a page without a type or a length": { answer: { body: `\uFEFF\n <!-- a gateway -->\n<HTML lang=en>` }, ...html },
  "a long page without a type": { answer: { body: PAGE + "x".repeat(300_000) }, ...html },
  "a page without a type that is compressed": {
    answer: { headers: { "content-encoding": "gzip" }, body: gzipSync(PAGE) },
    ...html
  },
  // The host may have counted the download, so its copy is unknown.
  ...Object.fromEntries(
    Object.entries<Answer>({
      "a part that nobody asked for": {
        status: 206,
        headers: { ...ATTACHED, "content-range": "bytes 0-99/200" },
        body: FILE.subarray(0, 100)
      },
      "a part without a range": { status: 206, headers: ATTACHED, body: FILE.subarray(0, 100) },
      "a part of a page that somebody shares": {
        status: 206,
        headers: { ...type("text/html"), ...ATTACHED },
        body: PAGE
      },
      "a part of an envelope that somebody shares": {
        status: 206,
        headers: { ...type("application/json"), ...ATTACHED },
        body: REFUSED
      },
      "a part as the whole": {
        headers: { ...ATTACHED, "content-range": "bytes 0-99/200" },
        body: FILE.subarray(0, 100)
      },
      "the end as the whole": {
        headers: { ...ATTACHED, "content-range": "bytes 100-199/200" },
        body: FILE.subarray(100, 200)
      },
      "a whole of two lengths": sized({
        headers: { ...ATTACHED, "content-range": "bytes 0-199/200" },
        body: FILE.subarray(0, 100)
      }),
      "what was changed on the way": { status: 203, headers: ATTACHED, body: FILE },
      "a page in place of what was changed on the way": { status: 203, headers: type("text/html"), body: PAGE },
      "no content": { status: 204, headers: ATTACHED },
      "an order to reset": { status: 205, headers: ATTACHED }
    }).map(([what, answer]) => [what, { answer, reason: "UnexpectedResponse" as const, copy: "unknown" as const }])
  ),
  "nothing": { answer: sized({}), reason: "UnexpectedResponse", copy: "unknown" }
}

const files: Readonly<Record<string, Answer>> = {
  "a file without a type": { body: FILE },
  "a file that says its range, which is all of it": {
    headers: { ...ATTACHED, "content-range": `bytes 0-${FILE.length - 1}/${FILE.length}` },
    body: FILE
  },
  "a text without a type": { body: "see you at eight" },
  "a text": { headers: type("text/plain"), body: "see you at eight" },
  "a text with a page in it": { headers: type("text/plain"), body: `This is HTML: ${PAGE}` },
  "a page that somebody shares": { headers: { ...type("text/html"), ...ATTACHED }, body: PAGE },
  "a page that somebody shares, without a type": { headers: ATTACHED, body: PAGE },
  "a page as bytes": { headers: type("application/octet-stream"), body: PAGE },
  "an envelope that somebody shares": { headers: { ...type("application/json"), ...ATTACHED }, body: REFUSED },
  "a large file of JSON": { headers: type("application/json"), body: JSON.stringify("x".repeat(100_000)) },
  "a text that has a status": { headers: type("text/plain"), body: "{\"status\":404,\"page\":\"a.html\"}" }
}

for (const transport of transportNames) {
  describe(`over ${transport}, a download`, () => {
    for (const [what, { answer, copy, reason }] of Object.entries(refused)) {
      it.live(`is never ${what}`, () =>
        Effect.gen(function*() {
          const host = yield* scriptedHost(() => answer)
          const directory = yield* folder
          const error = yield* Effect.flip(download(directory)).pipe(
            FileIo.withRetry(RetryPolicy.none),
            Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
          )
          assert.strictEqual(error.reason._tag, reason, error.message)
          assert.strictEqual(error.copy, copy)
          assert.deepStrictEqual(yield* list(directory), [])
        }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))
    }

    for (const [what, answer] of Object.entries(files)) {
      it.live(`is ${what}`, () =>
        Effect.gen(function*() {
          const host = yield* scriptedHost(() => answer)
          const directory = yield* folder
          const { path } = yield* download(directory).pipe(
            Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
          )
          assert.deepStrictEqual(Buffer.from(yield* read(path)), Buffer.from(answer.body!))
        }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))
    }

    it.live("without a type that breaks leaves the received bytes", () =>
      Effect.gen(function*() {
        const host = yield* scriptedHost(() => ({ ...sized({ body: FILE }), cutAt: 30_000 }))
        const directory = yield* folder
        const error = yield* Effect.flip(download(directory)).pipe(
          FileIo.withRetry(RetryPolicy.none),
          Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
        )
        const { reason } = error
        assert.strictEqual(reason._tag, "TransferInterrupted", error.message)
        if (reason._tag !== "TransferInterrupted" || reason.bytesDone === 0) return
        assert.isDefined(reason.cause)
        assert.deepStrictEqual(yield* read(reason.partPath!), FILE.subarray(0, reason.bytesDone))
      }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))

    const codings = { gzip: gzipSync, "x-gzip": gzipSync, GZIP: gzipSync, deflate: deflateSync, br: brotliCompressSync }
    for (const [coding, compress] of Object.entries(codings)) {
      // `fetch` supports fewer names of codings.
      if (transport === "fetch" && coding === "x-gzip") continue
      it.live(`that was compressed (${coding}), unasked, is decompressed`, () =>
        Effect.gen(function*() {
          const host = yield* scriptedHost(() =>
            sized({ headers: { ...ATTACHED, "content-encoding": coding }, body: compress(FILE) })
          )
          const directory = yield* folder
          const result = yield* download(directory).pipe(
            Effect.result,
            Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
          )
          if (result._tag === "Success") return assert.deepStrictEqual(yield* read(result.success.path), FILE)
          // `fetch` does not say whether it got all of it, so the bytes are kept, but not under the file's name.
          assert.strictEqual(transport, "fetch")
          const { copy, reason } = result.failure
          assert(reason._tag === "TransferInterrupted" && copy === "unknown")
          assert.match(reason.problem, /it came compressed, unrequested/)
          assert.deepStrictEqual(yield* read(reason.partPath!), FILE)
          assert.notInclude(yield* list(directory), "a.bin")
        }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))
    }
  })
}

for (const transport of ["undici", "sockets"] as const) {
  describe(`over ${transport}, a download`, () => {
    const layer = (baseUrl: string) => transports[transport]({ baseUrl })

    it.live("in an encoding that cannot be decoded is no file; the received bytes are kept, and named", () =>
      Effect.gen(function*() {
        const body = zstdCompressSync(FILE)
        const host = yield* scriptedHost(() => ({ headers: { ...ATTACHED, "content-encoding": "zstd" }, body }))
        const directory = yield* folder
        const error = yield* Effect.flip(download(directory)).pipe(Effect.provide(layer(host.baseUrl)))
        const { reason } = error
        assert(reason._tag === "TransferInterrupted", error.message)
        assert.match(reason.problem, /zstd/)
        assert.strictEqual(error.copy, "consumed")
        assert.deepStrictEqual(Buffer.from(yield* read(reason.partPath!)), body)
        assert.notInclude(yield* list(directory), "a.bin")
      }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))

    for (
      const [how, body] of Object.entries({
        "is cut": gzipSync(FILE).subarray(0, 1000),
        "is none": Buffer.from(FILE),
        "has a wrong checksum": Buffer.concat([gzipSync(FILE).subarray(0, -8), Buffer.alloc(8)])
      })
    ) {
      it.live(`whose compression ${how} is not taken for whole`, () =>
        Effect.gen(function*() {
          const host = yield* scriptedHost(() => sized({ headers: { ...ATTACHED, "content-encoding": "gzip" }, body }))
          const directory = yield* folder
          const error = yield* Effect.flip(download(directory)).pipe(Effect.provide(layer(host.baseUrl)))
          assert.strictEqual(error.reason._tag, "TransferInterrupted", error.message)
          assert.match(error.message, /Content-Encoding/)
          assert.strictEqual(error.copy, "unknown")
          assert.notInclude(yield* list(directory), "a.bin")
        }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))
    }

    it.live("that is compressed and breaks says that the connection broke, and leaves the received bytes", () =>
      Effect.gen(function*() {
        const host = yield* scriptedHost(() => ({
          ...sized({ headers: { ...ATTACHED, "content-encoding": "gzip" }, body: gzipSync(FILE) }),
          cutAt: 100_000
        }))
        const directory = yield* folder
        const error = yield* Effect.flip(download(directory)).pipe(Effect.provide(layer(host.baseUrl)))
        const { reason } = error
        assert(reason._tag === "TransferInterrupted", error.message)
        assert.match(reason.problem, /the connection broke/)
        assert.isFalse(reason.resumable)
      }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))

    for (const [what, length] of [["no disk could take", 7000], ["no header should have", 15_000]] as const) {
      it.live(`with a name that ${what} is the file`, () =>
        Effect.gen(function*() {
          const name = "ä".repeat(length)
          const host = yield* scriptedHost(() => ({
            headers: {
              "content-disposition": `attachment; filename="${"a".repeat(length)}"; filename*=UTF-8''${
                encodeURIComponent(name)
              }`
            },
            body: FILE
          }))
          const directory = yield* folder
          const { path } = yield* download(directory).pipe(Effect.provide(layer(host.baseUrl)))
          assert.deepStrictEqual(yield* read(path), FILE)
        }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))
    }

    it.live("whose head is longer than any is said to have begun, and that its copy is unknown", () =>
      Effect.gen(function*() {
        const host = yield* scriptedHost(() => ({
          headers: { ...ATTACHED, "x-long": "x".repeat(300_000) },
          body: FILE
        }))
        const directory = yield* folder
        const error = yield* Effect.flip(download(directory)).pipe(Effect.provide(layer(host.baseUrl)))
        assert.strictEqual(error.reason._tag, "Unreachable", error.message)
        assert.match(error.message, /began a response/)
        assert.strictEqual(error.copy, "unknown")
        assert.strictEqual(host.requests.length, 1)
      }).pipe(Effect.scoped, Effect.provide(transports.sockets({}))))
  })
}

for (const transport of transportNames) {
  describe(`over ${transport}, an answer of JSON`, () => {
    const answered = (
      answer: Answer,
      call: (fileIo: FileIo.Service) => Effect.Effect<unknown, FileIoError.FileIoError>
    ) =>
      Effect.gen(function*() {
        const host = yield* scriptedHost(() => answer)
        return yield* Effect.result(
          Effect.flatMap(FileIo.FileIo, call).pipe(
            FileIo.withRetry(RetryPolicy.none),
            Effect.provide(transports[transport]({ baseUrl: host.baseUrl, checkLimits: false, apiKey }))
          )
        )
      }).pipe(Effect.scoped)
    const upload = (fileIo: FileIo.Service) => fileIo.upload(FileBody.text("hello"))

    it.live("that was compressed, unasked, is decompressed", () =>
      Effect.gen(function*() {
        for (const headers of [{}, type("application/json")]) {
          const result = yield* answered(
            sized({ headers: { ...headers, "content-encoding": "gzip" }, body: gzipSync(JSON.stringify(DETAILS)) }),
            upload
          )
          assert.strictEqual(result._tag, "Success", String(result))
        }
      }))

    it.live("that says that the call failed is a failure, however it says so", () =>
      Effect.gen(function*() {
        const bodies = [
          "{\"success\":false,\"status\":401}",
          "{\"success\":\"false\",\"status\":\"401\"}",
          "{\"success\":\"False\",\"error\":401}",
          "{\"success\":0,\"status\":401,\"message\":7}",
          "{\"status\":401,\"message\":\"no\"}"
        ]
        for (const body of bodies) {
          for (const call of [upload, (fileIo: FileIo.Service) => fileIo.delete(KEY)]) {
            const result = yield* answered({ headers: type("application/json"), body }, call)
            assert(result._tag === "Failure", body)
            assert.strictEqual(result.failure.reason._tag, "Unauthorized", body)
          }
        }
        const result = yield* answered({ body: "{\"success\":\"no\"}" }, (fileIo) => fileIo.delete(KEY))
        assert(result._tag === "Failure")
        assert.strictEqual(result.failure.reason._tag, "UnexpectedResponse")
      }))

    it.live("that is nested too deeply is a typed error, for every call", () =>
      Effect.gen(function*() {
        const deep = "[".repeat(100_000) + "]".repeat(100_000)
        const bodies = [deep, `{"success":true,"extra":${deep}}`, "{\"a\":".repeat(50_000) + "1" + "}".repeat(50_000)]
        const calls: ReadonlyArray<(fileIo: FileIo.Service) => Effect.Effect<unknown, FileIoError.FileIoError>> = [
          upload,
          (fileIo) => fileIo.me,
          (fileIo) => fileIo.list(),
          (fileIo) => fileIo.delete(KEY)
        ]
        for (const body of bodies) {
          for (const call of calls) {
            const result = yield* answered({ headers: type("application/json"), body }, call)
            assert(result._tag === "Failure")
            assert.match(result.failure.message, /nested/)
          }
        }
      }))
  })
}

describe("an account whose limits say nothing", () => {
  it.live("is neither kept waiting nor refused", () =>
    Effect.gen(function*() {
      for (
        const limits of [{ rateLimit: 0 }, { rateLimit: -1 }, { rateLimit: 0.001 }, {
          maxUploadBytes: -1,
          maxStorageBytes: 0
        }]
      ) {
        const host = yield* scriptedHost(({ path }) => ({
          headers: type("application/json"),
          body: JSON.stringify(path === "/me" ? { success: true, ...limits } : { ...DETAILS, nodes: [] })
        }))
        yield* Effect.gen(function*() {
          const fileIo = yield* FileIo.FileIo
          for (let n = 0; n < 3; n++) yield* fileIo.list()
          yield* fileIo.upload(FileBody.text("hello"))
        }).pipe(
          Effect.timeoutOrElse({
            duration: "1 minute",
            orElse: () => Effect.die(`it waits: ${JSON.stringify(limits)}`)
          }),
          Effect.provide(NodeFileIo.layer({ baseUrl: host.baseUrl, apiKey }))
        )
      }
    }).pipe(Effect.scoped))
})
