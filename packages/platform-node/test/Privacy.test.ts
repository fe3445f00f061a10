import { FileBody, FileIo, RetryPolicy } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer, Logger, Redacted, References } from "effect"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { type AddressInfo, createServer as createTcpServer } from "node:net"
import { inspect } from "node:util"
import { recordingTracer } from "../../client/test/utils/recordingTracer.ts"
import { transportNames, transports } from "./faults/scriptedHost.ts"
import { apiKey, server } from "./utils.ts"

/** A host that responds to `me`, and redirects everything else. */
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

/** A host with the same response to every request. */
const speaking = (answer: string) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
      const host = createTcpServer((socket) => {
        socket.on("error", () => {})
        socket.once("data", () => socket.end(answer, "latin1"))
      })
      host.listen(0, "127.0.0.1", () => {
        const { port } = host.address() as AddressInfo
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, close: () => host.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ url }) => url))

const me = (baseUrl: string) =>
  FileIo.FileIo.use((fileIo) => fileIo.me).pipe(Effect.provide(Layer.orDie(NodeFileIo.layer({ baseUrl, apiKey }))))

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
        yield* fileIo.status(file.key, { token: file.deleteToken })
        yield* Effect.exit(fileIo.delete(file.key, { token: file.deleteToken }))
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
      for (
        const name of [
          "FileIo.upload",
          "FileIo.list",
          "FileIo.downloadBytes",
          "FileIo.download",
          "FileIo.delete",
          "FileIo.status"
        ]
      ) {
        assert.include(names, name)
      }
      const attributes = spans.map((span) => ({ name: span.name, attributes: [...span.attributes] }))
      const said = JSON.stringify(attributes) + lines.join("\n")
      for (
        const secret of [
          Redacted.value(apiKey),
          Redacted.value(file.deleteToken!),
          file.key,
          file.link,
          "secret content"
        ]
      ) {
        assert.notInclude(said, secret)
      }
    }))

  const key = Redacted.value(apiKey)
  const json = (status: number, body: string) =>
    `HTTP/1.1 ${status} X\r\ncontent-type: application/json\r\ncontent-length: ${
      Buffer.byteLength(body)
    }\r\n\r\n${body}`
  const envelope = (status: number, words: string) =>
    json(
      status,
      JSON.stringify({ success: false, status, code: words, message: words, limit: words, help: words, key: words })
    )
  const echoes: Readonly<Record<string, string>> = {
    ...Object.fromEntries([200, 400, 402, 404, 413, 418, 422, 500, 503].flatMap((status) => [
      [`an envelope (${status})`, envelope(status, key)],
      [`an envelope (${status}), encoded`, envelope(status, Buffer.from(`${key}:`).toString("base64"))]
    ])),
    "a redirect": `HTTP/1.1 302 X\r\nlocation: https://x/${key}?key=${key}\r\ncontent-length: 0\r\n\r\n`,
    "a redirect to a page": `HTTP/1.1 302 X\r\nlocation: /download/AAAAAAAA?key=${key}\r\ncontent-length: 0\r\n\r\n`,
    "a type of a page": `HTTP/1.1 200 X\r\ncontent-type: text/html; key="${key}"\r\ncontent-length: 0\r\n\r\n`,
    "an encoding": `HTTP/1.1 200 X\r\ncontent-encoding: ${key}\r\ncontent-length: 3\r\n\r\nabc`,
    "JSON that is cut": json(200, `{"x":"${key}"`),
    "JSON of another shape": json(
      200,
      JSON.stringify({ success: true, key: [key], link: 7, nodes: key, planId: [key] })
    ),
    "a name in JSON of another shape": json(200, JSON.stringify({ nodes: [{ [key]: 1 }], key: { [key]: 1 } })),
    "no HTTP": `${key} ${key}\r\n\r\n`,
    "a head that is none": `HTTP/1.1 200 ${key}\r\n${key}\r\n\r\n`,
    "a wrong length": `HTTP/1.1 200 X\r\ncontent-length: ${key}\r\n\r\n`,
    "a wrong chunk": `HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n${key}\r\n`
  }
  const told = (error: unknown): string =>
    [
      inspect(error, { depth: 20, showHidden: true, getters: true }),
      JSON.stringify(error, (_, value: unknown) => typeof value === "bigint" ? String(value) : value),
      String(error),
      Cause.pretty(Cause.fail(error))
    ].join("\n")

  for (const transport of transportNames) {
    it.live(`an error over ${transport} has neither the key nor a deletion token, wherever the host repeats it`, () =>
      Effect.gen(function*() {
        for (const [what, answer] of Object.entries(echoes)) {
          const host = yield* speaking(answer)
          const { spans, tracer } = recordingTracer()
          const exits = yield* Effect.gen(function*() {
            const fileIo = yield* FileIo.FileIo
            return [
              yield* Effect.exit(fileIo.me),
              yield* Effect.exit(fileIo.list()),
              yield* Effect.exit(fileIo.upload(FileBody.text("hello"))),
              yield* Effect.exit(fileIo.downloadBytes("AAAAAAAA"))
            ]
          }).pipe(
            FileIo.withRetry(RetryPolicy.none),
            Effect.provide(transports[transport]({ baseUrl: host, apiKey, checkLimits: false })),
            Effect.withTracer(tracer)
          )
          // A deletion token that looks like the key, of a caller without one.
          const withToken = yield* Effect.gen(function*() {
            const fileIo = yield* FileIo.FileIo
            return [
              yield* Effect.exit(fileIo.delete("AAAAAAAA", { token: apiKey })),
              yield* Effect.exit(fileIo.status("AAAAAAAA", { token: apiKey }))
            ]
          }).pipe(
            FileIo.withRetry(RetryPolicy.none),
            Effect.provide(Layer.fresh(transports[transport]({ baseUrl: host }))),
            Effect.withTracer(tracer)
          )
          const errors = [...exits, ...withToken].filter((exit) => exit._tag === "Failure")
          assert.isNotEmpty(errors, what)
          for (const error of [...errors, ...spans.map(({ attributes }) => attributes)]) {
            assert.notMatch(told(error), /0000001-0000002|VEVTVEtFWS4wMDAwMDAx/, what)
          }
        }
      }).pipe(Effect.scoped))
  }
})
