import { assert } from "@effect/vitest"
import { type Duration, Effect, Layer, Redacted, Scope } from "effect"
import * as TestClock from "effect/testing/TestClock"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Os from "node:os"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as FileIoServer from "../src/FileIoServer.ts"
import type * as ServerOptions from "../src/ServerOptions.ts"

export const ANNA = "ANNA000.0000000-0000000-0000000-0000001"
export const BERT = "BERT000.0000000-0000000-0000000-0000002"
export const FRED = "FRED000.0000000-0000000-0000000-0000003"

/** Anna and Bert may do everything, Fred has the free plan. */
export const accounts = [
  { name: "anna", apiKey: Redacted.make(ANNA), plan: "premium" },
  { name: "bert", apiKey: Redacted.make(BERT), plan: "premium" },
  { name: "fred", apiKey: Redacted.make(FRED) }
]

export const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
export const anna = bearer(ANNA)
export const bert = bearer(BERT)
export const fred = bearer(FRED)

/** Rate limits have their own tests; elsewhere they would only make tests depend on speed. */
export const plans = { premium: { rateLimit: null }, free: { rateLimit: null } }

export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "fileio-server-test-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

export interface Running {
  readonly url: string
  readonly folder: string
  readonly adminUrl: string | undefined
}

/** A server that ends with the scope, in a folder that can be inspected. */
export const start = (options: ServerOptions.TemporaryOptions & { readonly folder?: string } = {}) =>
  Effect.gen(function*() {
    const folder = options.folder ?? (yield* temporaryFolder)
    const context = yield* Layer.build(FileIoServer.layer({
      dataDirectory: folder,
      accounts,
      plans,
      anonymousPlan: "premium",
      ...options
    }))
    const { adminUrl, url } = yield* FileIoServer.FileIoServer.pipe(Effect.provide(context))
    return { url, folder, adminUrl } satisfies Running
  })

/** A server that can be stopped before the test ends. */
export const startStoppable = (options: Parameters<typeof start>[0]) =>
  Effect.gen(function*() {
    // The folder outlives the server.
    const folder = options?.folder ?? (yield* temporaryFolder)
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const server = yield* Scope.provide(start({ ...options, folder }), scope)
    return { ...server, scope }
  })

/** Ids of small files, whose bytes are in the catalog. */
const smallFiles = ({ folder }: Pick<Running, "folder">): Array<string> => {
  const path = Path.join(folder, "catalog.sqlite")
  if (!Fs.existsSync(path)) return []
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    return db.prepare("SELECT blob FROM contents").all().map(({ blob }) => String(blob))
  } finally {
    db.close()
  }
}

/** Ids of all stored bytes, in the folder and in the catalog. */
export const blobs = (server: Pick<Running, "folder">): Array<string> => [
  ...Fs.readdirSync(Path.join(server.folder, "blobs")),
  ...smallFiles(server)
]
/** A content that is too large for the catalog, so that it is a file in the folder. */
export const large = (content: string): string => content.padEnd(16 * 1024 + 1)
export const incoming = ({ folder }: Running): Array<string> => Fs.readdirSync(Path.join(folder, "incoming"))

/** Waits for a condition in real time, whatever the test's clock. */
export const eventually = (
  what: string,
  condition: () => boolean | Promise<boolean>,
  within = 100_000
): Effect.Effect<void> =>
  Effect.promise(async () => {
    const end = performance.now() + within
    while (!(await condition())) {
      if (performance.now() > end) assert.fail(`it did not come about: ${what}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })

/**
 * Waits for what a sweep does, after the test's clock has moved by `after`. A sweep that runs at that moment is followed by the
 * next one a minute after its end, so the clock moves on.
 */
export const swept = (after: Duration.Input, what: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* TestClock.adjust(after)
    const end = performance.now() + 100_000
    for (let looks = 1; !condition(); looks++) {
      if (performance.now() > end) assert.fail(`it did not come about: ${what}`)
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
      if (looks % 200 === 0) yield* TestClock.adjust("1 minute")
    }
  })

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: Record<string, unknown> & {
    readonly key: string
    readonly nodes: ReadonlyArray<Record<string, unknown>>
  }
}

export const call = (url: string, init: RequestInit = {}): Effect.Effect<Answer> =>
  Effect.promise(async () => {
    const response = await fetch(url, { redirect: "manual", ...init })
    const text = await response.text()
    const isJson = response.headers.get("content-type")?.startsWith("application/json") === true
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson && text !== "" ? JSON.parse(text) : {}
    }
  })

/** The response's body as bytes. */
export const bytesOf = (url: string, headers: Record<string, string> = {}) =>
  Effect.promise(async () => {
    const response = await fetch(url, { headers })
    return { status: response.status, body: Buffer.from(await response.arrayBuffer()) }
  })

/** Checks the status, and that the body is the contract's envelope for it. */
export const assertRefused = (answer: Answer, status: number, code: string): void => {
  assert.strictEqual(answer.status, status, answer.text)
  assert.strictEqual(answer.headers.get("content-type"), "application/json; charset=utf-8")
  assert.strictEqual(answer.json["success"], false)
  assert.strictEqual(answer.json["status"], status)
  assert.strictEqual(answer.json["code"], code)
  assert.isString(answer.json["message"])
  assert.isTrue("help" in answer.json && "key" in answer.json)
}

export interface UploadOptions {
  readonly method?: string
  readonly path?: string
  readonly headers?: Record<string, string>
  readonly name?: string
  readonly fields?: Record<string, string>
}

export const upload = (
  url: string,
  content: string | Uint8Array<ArrayBuffer>,
  options: UploadOptions = {}
): Effect.Effect<Answer> => {
  const form = new FormData()
  form.append("file", new Blob([content]), options.name ?? "file.txt")
  for (const [name, value] of Object.entries(options.fields ?? {})) form.append(name, value)
  return call(`${url}${options.path ?? "/"}`, {
    method: options.method ?? "POST",
    body: form,
    headers: options.headers ?? {}
  })
}

/** The details of an uploaded file, as later responses repeat them: without its deletion token. */
export const uploaded = (url: string, content: string | Uint8Array<ArrayBuffer>, options: UploadOptions = {}) =>
  Effect.map(upload(url, content, options), (answer): Answer["json"] => {
    assert.strictEqual(answer.status, 200, answer.text)
    const { deleteToken: _, ...details } = answer.json
    return details as Answer["json"]
  })

/** Sends a raw multipart body; each part is its header lines and its content. */
export const sendParts = (
  url: string,
  parts: ReadonlyArray<readonly [headers: ReadonlyArray<string>, content: string | Buffer]>,
  init: RequestInit = {}
): Effect.Effect<Answer> => {
  const boundary = "-----------------------------9051914041544843365972754266"
  const body = Buffer.concat([
    ...parts.flatMap(([headers, content]) => [
      Buffer.from(`--${boundary}\r\n${headers.map((header) => `${header}\r\n`).join("")}\r\n`),
      Buffer.from(content),
      Buffer.from("\r\n")
    ]),
    Buffer.from(`--${boundary}--\r\n`)
  ])
  return call(url, {
    method: "POST",
    ...init,
    body,
    headers: { ...init.headers as Record<string, string>, "content-type": `multipart/form-data; boundary=${boundary}` }
  })
}

interface OpenResponse {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly response: Http.IncomingMessage
}

/** A download of which only the headers are read; the socket reads no more than its buffers hold. */
export const openDownload = (url: string, headers: Record<string, string> = {}): Effect.Effect<OpenResponse> =>
  Effect.promise(() =>
    new Promise((resolve, reject) => {
      const request = Http.get(url, { headers, agent: false }, (response) => {
        response.on("error", () => {})
        resolve({ status: response.statusCode!, headers: response.headers, response })
      })
      request.on("error", reject)
    })
  )

/** More than a connection's buffers, so that a download of it cannot end unread. */
export const LARGE = 32 * 1024 * 1024

/** Bytes of which each position is distinct. */
export const pattern = (size: number): Buffer<ArrayBuffer> => {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i + 4 <= size; i += 4) bytes.writeUInt32LE((i * 2654435761) >>> 0, i)
  return bytes
}
