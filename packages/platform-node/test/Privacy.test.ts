import { FileBody, FileIo } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted, References } from "effect"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { inspect } from "node:util"
import { recordingTracer } from "../../client/test/utils/recordingTracer.ts"
import { apiKey, server } from "./utils.ts"

/** A host that answers `me`, and says where to go for everything else. */
const recording = (answer: { readonly status: number; readonly location: string } | undefined) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly seen: Array<IncomingHttpHeaders>; close: () => void }>(
      (resume) => {
        const seen: Array<IncomingHttpHeaders> = []
        const host = createServer((request, response) => {
          seen.push(request.headers)
          if (answer === undefined) response.end(JSON.stringify({ success: true, status: 200, rateLimit: 100 }))
          else response.writeHead(answer.status, { location: answer.location }).end()
        })
        host.listen(0, "127.0.0.1", () => {
          const { port } = host.address() as AddressInfo
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, seen, close: () => host.close() }))
        })
      }
    ),
    ({ close }) => Effect.sync(close)
  )

const me = (baseUrl: string) =>
  FileIo.FileIo.use((fileIo) => fileIo.me).pipe(Effect.provide(NodeFileIo.layer({ baseUrl, apiKey })))

describe("privacy", () => {
  it.live("hosts get the key and no trace headers, also within a span", () =>
    Effect.scoped(Effect.gen(function*() {
      const host = yield* recording(undefined)
      yield* Effect.withSpan(me(host.url), "parent")
      assert.isAbove(host.seen.length, 0)
      for (const headers of host.seen) {
        assert.strictEqual(headers.authorization, `Bearer ${Redacted.value(apiKey)}`)
        assert.deepStrictEqual(
          Object.keys(headers).filter((name) => /^(?:b3|x-b3|traceparent|tracestate)/.test(name)),
          []
        )
      }
    })))

  it.live("a redirect to another host is not followed, so the key stays", () =>
    Effect.scoped(Effect.gen(function*() {
      const stranger = yield* recording(undefined)
      for (const status of [301, 302, 307, 308]) {
        const host = yield* recording({ status, location: `${stranger.url}/me` })
        const error = yield* Effect.flip(me(host.url))
        assert.strictEqual(error.reason._tag, "NotAnApi")
        assert.include(error.message, stranger.url)
        assert.include(error.message, "FILEIO_BASE_URL")
      }
      assert.strictEqual(stranger.seen.length, 0)
    })))

  it.live("spans and log lines name the operation, and hold neither the API key nor the key of a file", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      const lines: Array<string> = []
      const logger = Logger.make((options) => {
        lines.push(inspect([options.message, options.fiber.getRef(References.CurrentLogAnnotations)], { depth: 10 }))
      })
      const file = yield* Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const file = yield* fileIo.upload(FileBody.text("secret content", { name: "secret-name.txt" }))
        yield* fileIo.list()
        yield* fileIo.downloadBytes(file.link)
        yield* Effect.exit(fileIo.downloadBytes(file.link))
        yield* Effect.exit(fileIo.delete(file.key))
        return file
      }).pipe(
        Effect.provide(Layer.unwrap(
          Effect.map(FileIoServer.FileIoServer, ({ url }) => NodeFileIo.layer({ baseUrl: url, apiKey }))
        )),
        Effect.withTracer(tracer),
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "Trace"),
        Effect.provide(server)
      )
      const names = spans.map((span) => span.name)
      for (const name of ["FileIo.upload", "FileIo.list", "FileIo.downloadBytes", "FileIo.download", "FileIo.delete"]) {
        assert.include(names, name)
      }
      const attributes = spans.map((span) => ({ name: span.name, attributes: [...span.attributes] }))
      const said = JSON.stringify(attributes) + lines.join("\n")
      for (const secret of [Redacted.value(apiKey), file.key, file.link, "secret content"]) {
        assert.notInclude(said, secret)
      }
    }))
})
