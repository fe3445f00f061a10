/** A download is the file or a typed error, whatever bytes a host writes, and is asked for once. */
import { FileIo, RateLimit, RetryPolicy } from "@effect-fileio/client"
import type { FileIoError } from "@effect-fileio/core"
import { NodeHttpClient } from "@effect/platform-node"
import { Agent } from "@effect/platform-node/Undici"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { FetchHttpClient, type HttpClient } from "effect/http"
import { createHash } from "node:crypto"
import * as Net from "node:net"
import { gzipSync } from "node:zlib"
import { transportNames as ownNames, transports as own } from "./faults/scriptedHost.ts"
import { listening, portOf } from "./network.ts"

const over = (http: Layer.Layer<HttpClient.HttpClient>) => ({ baseUrl }: { readonly baseUrl: string }) =>
  FileIo.layer({ baseUrl }).pipe(Layer.provide([http, RateLimit.layer(RateLimit.unlimited)]), Layer.orDie)

/** Besides the transports of their own: through a proxy for plain HTTP, which the host plays, and over what a user gives. */
const transports = {
  ...own,
  proxy: ({ baseUrl }: { readonly baseUrl: string }) => own.undici({ baseUrl: "http://files.example", proxy: baseUrl }),
  dispatcher: ({ baseUrl }: { readonly baseUrl: string }) => own.undici({ baseUrl, dispatcher: new Agent() }),
  "fetch as HttpClient": over(FetchHttpClient.layer),
  "node:http": over(NodeHttpClient.layerNodeHttp)
}
const transportNames = [...ownNames, "proxy", "dispatcher", "fetch as HttpClient", "node:http"] as const

const KEY = "abcdefgh1234"
const FILE = "the only copy, of forty-two bytes in total"
const NAMED = "content-disposition: attachment; filename=a.bin\r\n"
const headOf = (fields: string): string => `HTTP/1.1 200 OK\r\n${NAMED}${fields}\r\n`
const LENGTH = `content-length: ${FILE.length}\r\n`
const CHUNKED = "transfer-encoding: chunked\r\n"
const CHUNKS = `a\r\n${FILE.slice(0, 10)}\r\n20\r\n${FILE.slice(10)}\r\n0\r\n`
const WHOLE = headOf(LENGTH) + FILE

interface Answer {
  readonly bytes: string | Uint8Array
  /** How the connection ends. @default "end" */
  readonly by?: "end" | "reset"
}

/** A host that writes these bytes in response to each request. */
const rawHost = (answer: (head: string) => Answer) =>
  Effect.gen(function*() {
    let requests = 0
    const server = Net.createServer((socket) => {
      let head = ""
      socket.on("error", () => {})
      socket.on("data", (bytes: Buffer) => {
        head += bytes.toString("latin1")
        if (!head.includes("\r\n\r\n")) return
        const { by = "end", bytes: response } = answer(head)
        head = ""
        requests++
        if (by === "end") socket.end(response)
        // The bytes before the reset have to be read before it comes.
        else socket.write(response, () => setTimeout(() => socket.resetAndDestroy(), 10))
      })
    })
    yield* listening(server)
    return { baseUrl: `http://127.0.0.1:${portOf(server)}`, requests: () => requests }
  })

const encoded = (fields: string, bytes: Uint8Array): Answer => ({
  bytes: Buffer.concat([Buffer.from(headOf(fields)), bytes])
})

const files: Readonly<Record<string, Answer>> = {
  "of a length": { bytes: WHOLE },
  "in chunks": { bytes: `${headOf(CHUNKED)}${CHUNKS}\r\n` },
  "with trailers": { bytes: `${headOf(`${CHUNKED}trailer: x-a\r\n`)}${CHUNKS}x-a: b\r\nx-c: d\r\n\r\n` },
  "behind an interim response (102)": { bytes: `HTTP/1.1 102 Processing\r\n\r\n${WHOLE}` },
  "behind early hints (103)": { bytes: `HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n${WHOLE}` },
  "behind several interim responses": {
    bytes: `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n${WHOLE}`
  },
  "without a length, to the end of the connection": { bytes: headOf("") + FILE },
  "of HTTP/1.0": { bytes: (headOf("") + FILE).replace("HTTP/1.1", "HTTP/1.0") }
}

/** Files whose last bytes `fetch`, or a dispatcher of the user's, may drop without a word. */
const doubtful: Readonly<Record<string, Answer & { readonly over: ReadonlyArray<string> }>> = {
  "that is compressed": {
    ...encoded("content-encoding: gzip\r\n", gzipSync(FILE)),
    over: ["fetch", "fetch as HttpClient"]
  },
  "without a length, on a connection that is to close": {
    bytes: headOf("connection: close\r\n") + FILE,
    over: ["fetch", "dispatcher", "fetch as HttpClient", "node:http"]
  }
}

/** What no transport takes for the file. */
const failures: Readonly<Record<string, Answer>> = {
  "that is shorter than its length": { bytes: headOf("content-length: 52\r\n") + FILE },
  "that is shorter than its length, before a reset": { bytes: headOf("content-length: 52\r\n") + FILE, by: "reset" },
  "of two lengths": { bytes: headOf(`content-length: 10\r\n${LENGTH}`) + FILE },
  "of a length, and in chunks": { bytes: `${headOf(`${CHUNKED}content-length: 5\r\n`)}${CHUNKS}\r\n` },
  "whose trailer is another length": { bytes: `${headOf(CHUNKED)}${CHUNKS}content-length: 3\r\n\r\n` },
  "behind another protocol (101)": {
    bytes: `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n${WHOLE}`
  },
  "of which only an interim response comes": { bytes: "HTTP/1.1 103 Early Hints\r\n\r\n" },
  "of which interim responses come without end": { bytes: "HTTP/1.1 102 Processing\r\n\r\n".repeat(3000) },
  "in an unknown encoding": encoded("content-encoding: unknown\r\n", gzipSync(FILE)),
  "with bytes behind its compressed ones": encoded(
    "content-encoding: gzip\r\n",
    Buffer.concat([gzipSync(FILE), Buffer.from("more")])
  )
}

type Outcome = Result.Result<string, FileIoError.Copy | undefined>
const file: Outcome = Result.succeed(FILE)
const unknown: Outcome = Result.fail("unknown")
const consumed: Outcome = Result.fail("consumed")

const RESUMABLE = "etag: \"one\"\r\naccept-ranges: bytes\r\n"
const UNTIL_CLOSE = headOf(`${RESUMABLE}connection: close\r\n`)
const IN_CHUNKS = `${headOf(RESUMABLE + CHUNKED)}14\r\n${FILE.slice(0, 20)}\r\n`

/** The rest from an offset, of a host that knows the size of the file only then. */
const restAt = (at: number): Answer => {
  const size = FILE.length
  const [status, range, rest] = at < size
    ? ["206 Partial Content", `${at}-${size - 1}`, FILE.slice(at)]
    : ["416 Range Not Satisfiable", "*", ""]
  const fields = `etag: "one"\r\ncontent-range: bytes ${range}/${size}\r\ncontent-length: ${rest.length}\r\n`
  return { bytes: `HTTP/1.1 ${status}\r\n${fields}\r\n${rest}` }
}

/** Responses of a host that can resume: the first, and those to requests for the rest. */
const resumed: Readonly<Record<string, readonly [Answer, (at: number) => Answer, Outcome]>> = {
  "only the end of the connection ends, is the file where the host has no more of it": [
    { bytes: UNTIL_CLOSE + FILE },
    restAt,
    file
  ],
  "only the end of the connection ends, and is cut, is the file with its rest": [
    { bytes: UNTIL_CLOSE + FILE.slice(0, 20), by: "reset" },
    restAt,
    file
  ],
  "comes in chunks, and is cut, is the file with its rest from a whole one with a length": [
    { bytes: IN_CHUNKS },
    () => ({ bytes: headOf(RESUMABLE + LENGTH) + FILE }),
    file
  ],
  "comes in chunks, and is cut, fails with a whole one that is shorter": [
    { bytes: IN_CHUNKS },
    () => ({ bytes: headOf(`${RESUMABLE}content-length: 10\r\n`) + FILE.slice(0, 10) }),
    unknown
  ],
  "comes in chunks, and is cut, fails with a rest that is cut without a length": [
    { bytes: IN_CHUNKS },
    () => ({ bytes: UNTIL_CLOSE + FILE.slice(0, 30), by: "reset" }),
    unknown
  ]
}

const outcomeOf = (result: Result.Result<FileIo.DownloadedBytes, FileIoError.FileIoError>): Outcome =>
  Result.map(
    Result.mapError(result, ({ copy }) => copy),
    ({ bytes }) => new TextDecoder().decode(bytes)
  )

const download = (
  transport: (typeof transportNames)[number],
  answer: () => Answer,
  times = 1,
  options?: FileIo.DownloadOptions
) =>
  Effect.gen(function*() {
    const host = yield* rawHost(answer)
    const results = yield* Effect.replicateEffect(
      FileIo.FileIo.use((fileIo) => Effect.result(fileIo.downloadBytes(KEY, options))),
      times
    ).pipe(Effect.provide(transports[transport]({ baseUrl: host.baseUrl })))
    // A response that breaks may have used up the copy: another request could only make things worse.
    assert.strictEqual(host.requests(), times)
    return results.map(outcomeOf)
  }).pipe(Effect.scoped)

describe.each(transportNames)("a download over %s", (transport) => {
  it.live.each(Object.entries(files))("%s is the file", ([, answer]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* download(transport, () => answer), [file])
    }))

  it.live.each(Object.entries(doubtful))(
    "%s is the file, where a cut would show, or if its SHA-256 is known",
    ([, answer]) =>
      Effect.gen(function*() {
        const sha256 = createHash("sha256").update(FILE).digest("hex")
        assert.deepStrictEqual(yield* download(transport, () => answer), [
          answer.over.includes(transport) ? unknown : file
        ])
        assert.deepStrictEqual(yield* download(transport, () => answer, 1, { sha256 }), [file])
      })
  )

  it.live.each(Object.entries(resumed))("that %s", ([, [first, rest, outcome]]) =>
    Effect.gen(function*() {
      const host = yield* rawHost((head) => {
        const [, at] = /\r\nrange: bytes=(\d+)-/i.exec(head) ?? []
        return at === undefined ? first : rest(Number(at))
      })
      const result = yield* FileIo.FileIo.use((fileIo) => Effect.result(fileIo.downloadBytes(KEY))).pipe(
        FileIo.withRetry(RetryPolicy.make({ times: 3, base: 1 })),
        Effect.provide(transports[transport]({ baseUrl: host.baseUrl }))
      )
      assert.deepStrictEqual(outcomeOf(result), outcome)
    }).pipe(Effect.scoped))

  it.live.each(Object.entries(failures))(
    "%s fails, and its copy is not said to be there",
    ([, answer]) =>
      Effect.gen(function*() {
        const [result] = yield* download(transport, () => answer)
        assert.deepInclude([unknown, consumed], result)
      })
  )

  it.live("whose head is cut after any of its bytes fails, and its copy is unknown", () =>
    Effect.gen(function*() {
      const head = headOf(LENGTH)
      for (const by of ["end", "reset"] as const) {
        let at = 0
        const results = yield* download(transport, () => ({ bytes: head.slice(0, at++), by }), head.length)
        assert.deepStrictEqual(results, results.map(() => unknown))
      }
    }))

  it.live("whose chunks are cut after any of their bytes fails, and its copy is unknown", () =>
    Effect.gen(function*() {
      const chunks = `${CHUNKS}x-a: b\r\n\r\n`
      let at = 0
      const results = yield* download(
        transport,
        () => ({ bytes: headOf(CHUNKED) + chunks.slice(0, at++) }),
        chunks.length
      )
      assert.deepStrictEqual(results, results.map(() => unknown))
    }))

  it.live("without a length fails where its connection is reset", () =>
    Effect.gen(function*() {
      // HTTP/1.1 says before such a body that the connection will close (RFC 9112, 9.6).
      const cut = `${headOf("connection: close\r\n")}${FILE.slice(0, 20)}`
      assert.deepStrictEqual(yield* download(transport, () => ({ bytes: cut, by: "reset" })), [unknown])
    }))

  it.live("that is compressed, and was cut where it was compressed, fails", () =>
    Effect.gen(function*() {
      const cut = encoded("content-encoding: gzip\r\n", gzipSync(FILE).subarray(0, -12))
      const [result] = yield* download(transport, () => cut)
      assert.deepInclude([unknown, consumed], result)
    }))

  it.live("behind an unasked 100 (Continue) is the file, or its copy is unknown", () =>
    Effect.gen(function*() {
      const [result] = yield* download(transport, () => ({ bytes: `HTTP/1.1 100 Continue\r\n\r\n${WHOLE}` }))
      // undici refuses it.
      assert.deepStrictEqual(result, transport === "sockets" || transport === "node:http" ? file : unknown)
    }))

  it.live("never has bytes beyond its length", () =>
    Effect.gen(function*() {
      const short = headOf("content-length: 8\r\n") + FILE
      assert.deepStrictEqual(yield* download(transport, () => ({ bytes: short })), [Result.succeed(FILE.slice(0, 8))])
    }))
})
