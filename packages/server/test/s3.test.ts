import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
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
