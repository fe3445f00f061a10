import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type * as Net from "node:net"
import * as Path from "node:path"
import * as V8 from "node:v8"
import * as Vm from "node:vm"
import { Blobs } from "../src/Blobs.ts"
import * as DataFolder from "../src/DataFolder.ts"
import * as S3Blobs from "../src/S3Blobs.ts"
import { s3, S3_CREDENTIALS } from "./engines.ts"
import { proxy } from "./lab/proxy.ts"
import { ask, finish, offsetOf } from "./resumableClient.ts"
import { blobsAt, storeBlob } from "./s3Blobs.ts"
import { call, eventually, openDownload, pattern, start, temporaryFolder, uploaded } from "./support.ts"

Object.assign(process.env, S3_CREDENTIALS)

/** A server over the stand-in of S3, with a proxy between them. */
const overS3 = Effect.gen(function*() {
  const store = yield* s3
  const line = yield* proxy(Number(new URL(store.endpoint).port))
  const server = yield* start({ blobs: `s3://files?endpoint=http://127.0.0.1:${line.port}` })
  return { ...server, line }
})

const BEGIN = { "upload-complete": "?0", "content-disposition": "inline; filename=a.bin" }

/** Bytes of buffers that are still used. */
const buffers = (): number => {
  V8.setFlagsFromString("--expose-gc")
  const collect = Vm.runInNewContext("gc") as () => void
  collect()
  collect()
  return process.memoryUsage().arrayBuffers
}

describe("downloads from S3", () => {
  it.live("that their client breaks return their connection to the store", () =>
    Effect.gen(function*() {
      const { line, url } = yield* overS3
      const content = pattern(24 * 1024 * 1024)
      const { key } = yield* uploaded(url, content, { fields: { maxDownloads: "1000" } })
      for (let i = 0; i < 120; i++) {
        const { response, status } = yield* openDownload(`${url}/${key}`)
        assert.strictEqual(status, 200)
        // Some after the first bytes, some while the next ones are on their way.
        if (i % 2 === 0) {
          yield* Effect.promise(() => new Promise<void>((resolve) => response.once("data", () => resolve())))
        }
        response.destroy()
      }
      yield* eventually("no more connections to the store than requests under way", () => line.open() <= 2)
      const before = line.accepted()
      const whole = yield* call(`${url}/${key}`)
      assert.strictEqual(whole.status, 200)
      assert.isAtMost(line.accepted() - before, 2)
    }))

  it.live("hold no connection while their client reads nothing, and continue afterwards", () =>
    Effect.gen(function*() {
      const { line, url } = yield* overS3
      const content = pattern(32 * 1024 * 1024)
      const { key } = yield* uploaded(url, content)
      const { response } = yield* openDownload(`${url}/${key}`)
      response.pause()
      yield* eventually("the connection is given back", () => line.open() === 0)
      const read = yield* Effect.promise(async () => {
        const chunks: Array<Buffer> = []
        for await (const chunk of response) chunks.push(chunk as Buffer)
        return Buffer.concat(chunks)
      })
      assert.isTrue(read.equals(content))
    }))

  it.live("hold little memory each while their clients read nothing", () =>
    Effect.gen(function*() {
      const { line, url } = yield* overS3
      const size = 16 * 1024 * 1024
      const { key } = yield* uploaded(url, pattern(size), { fields: { maxDownloads: "100" } })
      const before = buffers()
      const responses = yield* Effect.all(Array.from({ length: 48 }, () => openDownload(`${url}/${key}`)), {
        concurrency: 8
      })
      for (const { response } of responses) response.pause()
      yield* eventually("the connections to the store are given back", () => line.open() === 0)
      // Both sides of each are in this process; whole files would take 768 MiB.
      assert.isAtMost(buffers() - before, 48 * 1024 * 1024)
      for (const { response } of responses) response.destroy()
    }))

  it.live("reuse the connections to the store", () =>
    Effect.gen(function*() {
      const { line, url } = yield* overS3
      const { key } = yield* uploaded(url, pattern(100_000), { fields: { maxDownloads: "100" } })
      const before = line.accepted()
      for (let i = 0; i < 20; i++) assert.strictEqual((yield* call(`${url}/${key}`)).status, 200)
      assert.isAtMost(line.accepted() - before, 3)
    }))
})

/**
 * A store that responds with 200 to everything, with this body for the end of a multipart upload. `isEmpty`: but to the question
 * for an object.
 */
const agreeable = (completed: (tries: number) => string, isEmpty = false) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() =>
        new Promise<{ server: Http.Server; asked: Array<string>; completions: () => number }>((resolve) => {
          const asked: Array<string> = []
          let completions = 0
          const server = Http.createServer((request, response) => {
            request.resume().once("end", () => {
              const { searchParams } = new URL(request.url!, "http://store")
              const what = searchParams.has("uploads")
                ? "begin"
                : request.method === "POST"
                ? "complete"
                : searchParams.has("partNumber")
                ? "part"
                : request.method!
              asked.push(what)
              if (what === "complete") completions++
              if (what === "part" || what === "PUT") response.setHeader("etag", "\"part\"")
              if (isEmpty && what === "HEAD" && /^\/files\/./.test(request.url!)) response.statusCode = 404
              response.end(
                what === "begin"
                  ? "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
                  : what === "complete"
                  ? completed(completions)
                  : ""
              )
            })
          }).listen(0, "127.0.0.1", () => resolve({ server, asked, completions: () => completions }))
        })
      ),
      ({ server }) =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections()
        })
    ),
    ({ asked, completions, server }) => {
      const endpoint = `http://127.0.0.1:${(server.address() as Net.AddressInfo).port}`
      return { asked, completions, endpoint, blobs: blobsAt(`s3://files?endpoint=${endpoint}`) }
    }
  )

const writeLarge = (blobs: Blobs["Service"]) => storeBlob(blobs, Buffer.alloc(17 * 1024 * 1024))

describe("an upload to S3", () => {
  it.live("does not exist if the store responds 200 with an error in the body, and is aborted", () =>
    Effect.gen(function*() {
      const { asked, blobs, completions } = yield* agreeable(() =>
        "<Error><Code>InternalError</Code><Message>it did not work</Message></Error>"
      )
      const error = yield* Effect.flip(writeLarge(yield* blobs))
      assert.strictEqual(error.operation, "finish a blob")
      assert.strictEqual(completions(), 3)
      // The object, if it exists after all, and the parts.
      assert.strictEqual(asked.filter((what) => what === "DELETE").length, 2)
    }))

  it.live("exists if the second attempt says so", () =>
    Effect.gen(function*() {
      const { blobs, completions } = yield* agreeable((tries) =>
        tries === 1
          ? "<Error><Code>InternalError</Code></Error>"
          : "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>"
      )
      yield* writeLarge(yield* blobs)
      assert.strictEqual(completions(), 2)
    }))

  it.live("is looked up if the store says neither", () =>
    Effect.gen(function*() {
      const { asked, blobs } = yield* agreeable(() => "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
      const error = yield* Effect.flip(writeLarge(yield* blobs))
      assert.include(String(error.cause), "did not say that it has the object")
      assert.isAtLeast(asked.filter((what) => what === "HEAD").length, 2)
    }))
})

/** A clock that is a week and a day ahead of the system's. */
const nextWeek = Object.assign(Object.create(Clock.Clock.defaultValue()) as Clock.Clock, {
  currentTimeMillis: Effect.map(Clock.Clock.defaultValue().currentTimeMillis, (now) => now + 8 * 24 * 3_600_000)
})

describe("a resumable upload to S3", () => {
  it.live("starts over if a part was replaced at the store, which gives it another ETag", () =>
    Effect.gen(function*() {
      const { endpoint } = yield* agreeable(() => "<Error><Code>InvalidPart</Code></Error>", true)
      const { url } = yield* start({ blobs: `s3://files?endpoint=${endpoint}` })
      const { headers } = yield* Effect.promise(() => ask(url, { method: "POST", path: "/", headers: BEGIN }))
      const path = headers["location"]!
      const answer = yield* Effect.promise(() => finish(url, path, pattern(17 * 1024 * 1024), 0))
      assert.deepStrictEqual([answer.status, JSON.parse(answer.text).code], [404, "UPLOAD_NOT_FOUND"])
      // That would be the response for the file.
      assert.notStrictEqual(answer.headers["upload-complete"], "?1")
      assert.strictEqual((yield* Effect.promise(() => offsetOf(url, path))).status, 404)
    }))

  it.live("leaves no object behind but that of its file, however it ends", () =>
    Effect.gen(function*() {
      const store = yield* s3
      const blobs = yield* blobsAt(`s3://files?endpoint=${store.endpoint}`)
      const tails = (id: string) => {
        const folder = Path.join(store.folder, "files", "tails", id)
        return Fs.existsSync(folder) ? Fs.readdirSync(folder).filter((name) => name.endsWith("_object")).length : 0
      }
      /** A request that goes on in a state, and records or completes the upload. */
      const request = (id: string, state: string | undefined, bytes: number, ends = false) =>
        Effect.scoped(Effect.gen(function*() {
          const blob = yield* blobs.unfinished!(id, state)
          if (bytes > 0) yield* blob.write(pattern(bytes))
          const progress = yield* blob.sync
          if (ends) yield* blob.finish
          return progress.state
        }))
      const [small, large, given] = ["1", "2", "3"].map((digit) => digit.repeat(31) + "a") as [string, string, string]
      const part = 16 * 1024 * 1024
      for (const [id, pieces] of [[small, [1000, 1000, 0]], [large, [part - 1000, 2000, 10]]] as const) {
        let state: string | undefined
        for (const [index, bytes] of pieces.entries()) {
          state = yield* request(id, state, bytes, index === pieces.length - 1)
          // The new one, and the one before it until its state is known to be recorded.
          yield* eventually("older tails are gone", () => tails(id) <= 2)
        }
        yield* eventually("no tail is left", () => tails(id) === 0)
        assert.deepStrictEqual((yield* blobs.remove([id])).removed, [id])
      }
      // Its state was not recorded, so the next request replaces the same tail once more.
      const state = yield* request(given, undefined, 1000)
      yield* request(given, state, 1000)
      yield* request(given, state, 500)
      assert.isAbove(tails(given), 1)
      yield* blobs.remove([given])
      yield* blobs.tidy(Effect.succeed)
      assert.isAbove(tails(given), 1)
      // It is older than a week, and the catalog still has it.
      yield* Effect.provideService(blobs.tidy(() => Effect.succeed([])), Clock.Clock, nextWeek)
      assert.isAbove(tails(given), 1)
      // Nobody continues it any more.
      yield* Effect.provideService(blobs.tidy(Effect.succeed), Clock.Clock, nextWeek)
      assert.strictEqual(tails(given), 0)
    }))
})

describe("idle uploads to S3", () => {
  it.live("wait on the disk and not in memory, and continue", () =>
    Effect.gen(function*() {
      const { endpoint } = yield* s3
      const folder = yield* temporaryFolder
      const blobs = yield* blobsAt(`s3://files?endpoint=${endpoint}`, DataFolder.layer(folder))
      const content = pattern(15 * 1024 * 1024)
      const before = buffers()
      const writers = yield* Effect.all(
        Array.from({ length: 12 }, () =>
          Effect.gen(function*() {
            const writer = yield* blobs.writer
            for (let at = 0; at < content.length; at += 65_536) {
              yield* writer.write(new Uint8Array(content.subarray(at, at + 65_536)))
            }
            return writer
          })),
        { concurrency: 4 }
      )
      assert.isAtMost(buffers() - before, 64 * 1024 * 1024)
      // A killed process leaves nothing behind.
      assert.deepStrictEqual(Fs.readdirSync(Path.join(folder, "incoming")), [])
      const some = writers.slice(0, 2)
      yield* Effect.all(
        some.map((writer) => Effect.andThen(writer.write(new Uint8Array(2_000_000)), writer.finish)),
        {
          concurrency: "unbounded",
          discard: true
        }
      )
      const read = Buffer.alloc(content.length)
      for (const { id } of some) {
        yield* Effect.scoped(Effect.flatMap(blobs.open(id), (reader) => Effect.promise(() => reader.read(read, 0))))
        assert.isTrue(read.equals(content))
      }
    }))

  it.live("fail with an error of the disk on which they wait, not of the store", () =>
    Effect.gen(function*() {
      const { endpoint } = yield* s3
      const folder = yield* temporaryFolder
      const blobs = yield* blobsAt(`s3://files?endpoint=${endpoint}`, DataFolder.layer(folder))
      Fs.rmSync(Path.join(folder, "incoming"), { recursive: true })
      const error = yield* Effect.flip(Effect.scoped(Effect.gen(function*() {
        const writer = yield* blobs.writer
        yield* writer.write(new Uint8Array(100_000))
      })))
      // A missing folder stands for every fault of the disk, as opposed to one of the store.
      assert.deepStrictEqual([error.code, error.reason], ["ENOENT", undefined])
    }))
})

describe("a store that cannot be used", () => {
  const start = (client: S3Blobs.Options["client"], timeout: S3Blobs.Options["timeout"] = "5 seconds") =>
    Layer.build(
      S3Blobs.layer({ bucket: "files", timeout, client: { region: "us-east-1", forcePathStyle: true, ...client } })
        .pipe(
          Layer.provide([NodeCrypto.layerSecureRandom, DataFolder.layerTemporary])
        )
    ).pipe(Effect.flatMap((context) => Blobs.pipe(Effect.provide(context))))

  it.live("says at the start what to do", () =>
    Effect.gen(function*() {
      const { endpoint } = yield* s3
      const credentials = () =>
        Promise.reject(Object.assign(new Error("there are none"), { name: "CredentialsProviderError" }))
      assert.strictEqual(
        (yield* Effect.flip(start({ endpoint, credentials }))).message,
        "cannot reach the bucket (CredentialsProviderError): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and " +
          "AWS_SESSION_TOKEN if they are temporary"
      )
      assert.match(
        (yield* Effect.flip(start({ endpoint: "http://127.0.0.1:1" }))).message,
        /: check that the store runs, /
      )
      const missing = S3Blobs.layer({
        bucket: "other",
        client: { endpoint, region: "us-east-1", forcePathStyle: true }
      })
      const none = yield* Effect.flip(
        Layer.build(missing.pipe(Layer.provide([NodeCrypto.layerSecureRandom, DataFolder.layerTemporary])))
      )
      assert.match(none.message, /: there is none of that name; create it, /)
    }))

  it.live("is asked twice where it is silent", () =>
    Effect.gen(function*() {
      let asked = 0
      const server = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Promise<Http.Server>((resolve) => {
            const server = Http.createServer((request, response) => {
              if (request.method === "HEAD") response.end()
              else if (request.method === "PUT") asked++
            }).listen(0, "127.0.0.1", () => resolve(server))
          })
        ),
        (server) =>
          Effect.sync(() => {
            server.close()
            server.closeAllConnections()
          })
      )
      const { port } = server.address() as Net.AddressInfo
      const blobs = yield* start({ endpoint: `http://127.0.0.1:${port}` }, "1 second")
      const error = yield* Effect.flip(Effect.scoped(Effect.gen(function*() {
        const writer = yield* blobs.writer
        yield* writer.write(new Uint8Array(1000))
        yield* writer.finish
      })))
      assert.deepStrictEqual([error.code, error.reason, asked], ["TimeoutError", "unavailable", 2])
    }))
})
