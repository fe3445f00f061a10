import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"
import { Blobs } from "../src/Blobs.ts"
import * as S3Blobs from "../src/S3Blobs.ts"
import { s3, S3_CREDENTIALS } from "./engines.ts"
import { proxy } from "./lab/proxy.ts"
import { call, eventually, openDownload, pattern, start, uploaded } from "./support.ts"

Object.assign(process.env, S3_CREDENTIALS)

/** A server over the stand-in of S3, with a proxy between them. */
const overS3 = Effect.gen(function*() {
  const store = yield* s3
  const line = yield* proxy(Number(new URL(store.endpoint).port))
  const server = yield* start({ blobs: `s3://files?endpoint=http://127.0.0.1:${line.port}` })
  return { ...server, line }
})

describe("downloads from S3", () => {
  it.live("that their client breaks off give their connection to the store back", () =>
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
    }), 60_000)

  it.live("hold no connection while their client reads nothing, and go on afterwards", () =>
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
    }), 60_000)

  it.live("reuse the connections to the store", () =>
    Effect.gen(function*() {
      const { line, url } = yield* overS3
      const { key } = yield* uploaded(url, pattern(100_000), { fields: { maxDownloads: "100" } })
      const before = line.accepted()
      for (let i = 0; i < 20; i++) assert.strictEqual((yield* call(`${url}/${key}`)).status, 200)
      assert.isAtMost(line.accepted() - before, 3)
    }))
})

/** A store that says 200 to everything, with this body for the end of an upload in parts. */
const agreeable = (completed: (tries: number) => string) =>
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
              if (what === "part") response.setHeader("etag", "\"part\"")
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
    ({ asked, completions, server }) => ({
      asked,
      completions,
      blobs: Layer.build(
        S3Blobs.layer({
          bucket: "files",
          client: {
            endpoint: `http://127.0.0.1:${(server.address() as Net.AddressInfo).port}`,
            region: "us-east-1",
            forcePathStyle: true
          }
        })
      ).pipe(
        Effect.flatMap((context) => Effect.provide(Blobs, context)),
        Effect.provide(NodeCrypto.layerSecureRandom)
      )
    })
  )

const writeLarge = (blobs: Blobs["Service"]) =>
  Effect.scoped(Effect.gen(function*() {
    const writer = yield* blobs.writer
    yield* writer.write(Buffer.alloc(17 * 1024 * 1024))
    yield* writer.finish
    yield* writer.keep
  }))

describe("an upload to S3", () => {
  it.live("is not there where the store says 200 with an error in the body, and is given up", () =>
    Effect.gen(function*() {
      const { asked, blobs, completions } = yield* agreeable(() =>
        "<Error><Code>InternalError</Code><Message>it did not work</Message></Error>"
      )
      const error = yield* Effect.flip(writeLarge(yield* blobs))
      assert.strictEqual(error.operation, "finish a blob")
      assert.strictEqual(completions(), 3)
      // The object, if there is one after all, and the parts.
      assert.strictEqual(asked.filter((what) => what === "DELETE").length, 2)
    }))

  it.live("is there where the second attempt says so", () =>
    Effect.gen(function*() {
      const { blobs, completions } = yield* agreeable((tries) =>
        tries === 1
          ? "<Error><Code>InternalError</Code></Error>"
          : "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>"
      )
      yield* writeLarge(yield* blobs)
      assert.strictEqual(completions(), 2)
    }))

  it.live("is looked for where the store says neither", () =>
    Effect.gen(function*() {
      const { asked, blobs } = yield* agreeable(() => "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
      const error = yield* Effect.flip(writeLarge(yield* blobs))
      assert.include(String(error.cause), "did not say that it has the object")
      assert.isAtLeast(asked.filter((what) => what === "HEAD").length, 2)
    }))
})
