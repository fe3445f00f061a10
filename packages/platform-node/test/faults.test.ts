/**
 * Every fault × every call: the reason, what became of the only copy, how many requests arrived, what is on the disk, and that
 * it ended in bounded time. Over the host in memory, and over each HTTP client that a Node program may have.
 */
import { Encryption, FetchFileIo, FileBody, FileIo, FileTransfer, RateLimit, RetryPolicy } from "@effect-fileio/client"
import { Fault, FileIoTest } from "@effect-fileio/client/testing"
import { type FileDetails, type FileIoError, FileKey } from "@effect-fileio/core"
import { NodeFileIo, NodePlatform } from "@effect-fileio/platform-node"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, FileSystem, Layer, Logger, Redacted, Result, Stream } from "effect"
import { bytesOf, folder } from "./faults/support.ts"

type Call =
  | "upload"
  | "upload, large"
  | "uploadOnce, large"
  | "upload, encrypted"
  | "download"
  | "downloadBytes"
  | "downloadFile"
  | "download, encrypted"
  | "downloadFile, encrypted"
  | "list"
  | "me"
  | "update"
  | "update, file"
  | "replace"
  | "delete"
  | "delete, token"
  | "status"

const SMALL = bytesOf(20_000)
const LARGE = bytesOf(1_500_000)
const FILE = bytesOf(200_000)

/** `FILE` as its host has it when it is encrypted, and its link. */
const encrypted = await Effect.runPromise(Effect.gen(function*() {
  const { body, linkOf } = yield* Encryption.encrypt(FileBody.bytes(FILE, { name: "file.bin" }), "link")
  return { bytes: yield* Stream.mkUint8Array(body.open("owned")), linkOf }
}))

const once = () => FileBody.once(Stream.make(LARGE.subarray(0, 700_000), LARGE.subarray(700_000)), { name: "o.bin" })

/** Makes the call; `key` is of an existing file, and `directory` is empty. */
const calls: Record<
  Call,
  (
    key: string,
    directory: string
  ) => Effect.Effect<unknown, FileIoError.FileIoError, FileIo.FileIo | FileTransfer.FileTransfer>
> = {
  upload: () => FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.bytes(SMALL, { name: "s.bin" }))),
  "upload, large": () => FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.bytes(LARGE, { name: "l.bin" }))),
  "uploadOnce, large": () => FileIo.FileIo.use((fileIo) => fileIo.uploadOnce(once())),
  "upload, encrypted": () =>
    FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.bytes(LARGE, { name: "l.bin" }), { encryption: "link" })),
  "download, encrypted": (link, directory) => calls.download(link, directory),
  "downloadFile, encrypted": (link, directory) => calls.downloadFile(link, directory),
  download: (key) =>
    Effect.scoped(
      FileIo.FileIo.use((fileIo) => Effect.flatMap(fileIo.download(key), ({ stream }) => Stream.mkUint8Array(stream)))
    ).pipe(Effect.tap((bytes) => Effect.sync(() => assert.deepStrictEqual(bytes, FILE)))),
  downloadBytes: (key) =>
    FileIo.FileIo.use((fileIo) => fileIo.downloadBytes(key)).pipe(
      Effect.tap(({ bytes }) => Effect.sync(() => assert.deepStrictEqual(bytes, FILE)))
    ),
  downloadFile: (key, directory) =>
    FileTransfer.FileTransfer.use((transfer) => transfer.downloadFile(key, { directory })),
  list: () => FileIo.FileIo.use((fileIo) => fileIo.list()),
  me: () => FileIo.FileIo.use((fileIo) => fileIo.me),
  update: (key) => FileIo.FileIo.use((fileIo) => fileIo.update(key, { expires: "1h" })),
  "update, file": (key) => FileIo.FileIo.use((fileIo) => fileIo.update(key, { file: FileBody.bytes(LARGE) })),
  replace: (key) => FileIo.FileIo.use((fileIo) => fileIo.replace(key, { maxDownloads: 3 })),
  delete: (key) => FileIo.FileIo.use((fileIo) => fileIo.delete(key)),
  status: (key) => FileIo.FileIo.use((fileIo) => fileIo.status(key)),
  "delete, token": (keyAndToken) =>
    FileIo.FileIo.use((fileIo) => {
      const [key, token] = keyAndToken.split(" ")
      return fileIo.delete(key!, { token: Redacted.make(token!) })
    })
}

const uploads: ReadonlyArray<Call> = ["upload", "upload, large", "uploadOnce, large", "upload, encrypted"]
const downloads: ReadonlyArray<Call> = [
  "download",
  "downloadBytes",
  "downloadFile",
  "download, encrypted",
  "downloadFile, encrypted"
]
const isEncrypted = (call: Call) => call.endsWith(", encrypted")
const reads: ReadonlyArray<Call> = ["list", "me", "status"]
const changes: ReadonlyArray<Call> = ["update", "replace"]
const operationOf = (call: Call) =>
  (downloads.includes(call)
    ? "download"
    : uploads.includes(call)
    ? "upload"
    : call.split(",")[0]) as Fault.Operation
/** New content for a file is repeated as rarely as an upload: it may have been downloaded since. */
const kindOf = (call: Call) =>
  uploads.includes(call) || call === "update, file"
    ? "upload"
    : downloads.includes(call)
    ? "download"
    : reads.includes(call)
    ? "read"
    : changes.includes(call)
    ? "change"
    : "delete"

interface Outcome {
  /** `ok`, or the tag of the reason. */
  readonly ends: "ok" | FileIoError.Reason["_tag"]
  /** The verdict, if the call has one. */
  readonly verdict?: "kept" | "consumed" | "absent" | "unknown" | "no"
  /** How many requests arrived. */
  readonly requests: number
  /** The files in the folder. @default the file after a success, nothing after a failure */
  readonly disk?: "nothing" | "part" | "file"
  readonly also?: (error: FileIoError.FileIoError) => void
}

type Kind = ReturnType<typeof kindOf>
type Expected = { readonly [K in Kind | Call]?: Outcome }

interface Row {
  readonly name: string
  readonly fault: (call: Call) => Fault.Fault
  readonly times?: number
  readonly only?: ReadonlyArray<Call>
  readonly expected: Expected
  /** Exceptions over real networks. */
  readonly onNetwork?: Expected
  /** Other allowed results, since a client does not always see the response: its verdict has to be true nevertheless. */
  readonly or?: { readonly [T in Transport]?: Expected }
  /** Calls that crash the process over a client, and why. */
  readonly crashes?: { readonly [T in Transport]?: readonly [calls: ReadonlyArray<Call>, why: string] }
}

/** `memory` has no network; the others are Node's HTTP clients. */
const transports = ["memory", "undici", "sockets", "nodeHttp", "fetch"] as const
type Transport = (typeof transports)[number]

const ok = (requests = 1): Outcome => ({ ends: "ok", requests })
const all = (ends: FileIoError.Reason["_tag"], requests = 1): Expected => ({
  upload: { ends, verdict: "no", requests },
  download: { ends, verdict: "kept", requests },
  read: { ends, requests },
  change: { ends, verdict: "no", requests },
  delete: { ends, requests }
})
const phase = (expected: string) => ({ reason }: FileIoError.FileIoError) => {
  assert.strictEqual(reason._tag === "TimedOut" ? reason.phase : undefined, expected)
}
/** A response that breaks off: JSON after a few bytes, a file in the middle. */
const middle = (call: Call) => downloads.includes(call) ? 90_000 : 12

const ALWAYS = 99
/** The policy allows two repetitions, so whatever may be repeated arrives three times. */
const THRICE = 3

const brokenInside: Expected = {
  upload: { ends: "Unreachable", verdict: "unknown", requests: 1 },
  download: {
    ends: "TransferInterrupted",
    verdict: "unknown",
    requests: 1,
    disk: "part",
    also: ({ reason }) =>
      assert.isTrue(reason._tag === "TransferInterrupted" && reason.bytesDone > 0 && !reason.resumable)
  },
  read: { ends: "Unreachable", requests: THRICE },
  change: { ends: "Unreachable", verdict: "unknown", requests: THRICE },
  // The host did it the first time, so the repetition finds nothing: the status alone shows that it is done.
  delete: ok(2)
}

const lostAnswerTwice: Expected = {
  upload: { ends: "Unreachable", verdict: "unknown", requests: 1 },
  download: { ends: "Unreachable", verdict: "unknown", requests: 1 },
  read: ok(THRICE),
  change: ok(THRICE),
  delete: ok(THRICE)
}

const timedOut = (expected: "firstByte" | "idle"): Expected => {
  const ends = "TimedOut"
  const also = phase(expected)
  return {
    upload: { ends, verdict: "unknown", requests: 1, also },
    download: { ends, verdict: "unknown", requests: 1, disk: expected === "idle" ? "part" : "nothing", also },
    read: { ends, requests: THRICE, also },
    change: { ends, verdict: "unknown", requests: THRICE, also },
    delete: expected === "idle" ? ok(2) : { ends, requests: THRICE, also }
  }
}

const unexpected: Expected = {
  upload: { ends: "UnexpectedResponse", verdict: "unknown", requests: 1 },
  download: { ends: "UnexpectedResponse", verdict: "unknown", requests: 1 },
  read: { ends: "UnexpectedResponse", requests: 1 },
  change: { ends: "UnexpectedResponse", verdict: "unknown", requests: 1 },
  delete: { ends: "UnexpectedResponse", requests: 1 }
}

const limitedOnce: Expected = {
  upload: ok(2),
  "uploadOnce, large": { ends: "RateLimited", verdict: "no", requests: 1 },
  download: ok(2),
  read: ok(2),
  change: ok(2),
  delete: ok(2)
}

const early = (code: number, close: boolean): Row => ({
  name: `an early ${code}${close ? ", and the host closes at once" : ""}`,
  fault: () => Fault.earlyStatus(code, { close, atByte: 0 }),
  only: [...uploads, ...changes, "update, file"],
  expected: {
    upload: { ends: code === 413 ? "PlanLimit" : "Unauthorized", verdict: "no", requests: 1 },
    change: { ends: code === 413 ? "PlanLimit" : "Unauthorized", verdict: "no", requests: 1 }
  },
  // It fails at the first write that the host does not take, and never reads the response that explains it.
  ...(close
    ? { or: { fetch: { upload: { ends: "Unreachable", verdict: "unknown", requests: 1 }, change: ok(2) } } }
    : {})
})

/** undici 7, which is inside Node 24: `Parser.finish` asserts that it is not paused, and throws into the event loop. */
const cutFetch = { fetch: [downloads, "nodejs/undici: assert(!this.paused) outside of every promise"] } as const

const rows: ReadonlyArray<Row> = [
  {
    name: "nothing",
    fault: () => Fault.status(500),
    times: 0,
    expected: {
      upload: ok(),
      download: ok(),
      read: ok(),
      change: ok(),
      delete: ok()
    }
  },
  { name: "refuse", fault: () => Fault.Refuse(), times: ALWAYS, expected: all("Unreachable", 0) },
  {
    name: "reset before the headers",
    fault: () => Fault.ResetBeforeHeaders({ handled: false }),
    times: ALWAYS,
    expected: {
      ...brokenInside,
      download: { ends: "Unreachable", verdict: "unknown", requests: 1 },
      delete: { ends: "Unreachable", requests: THRICE }
    }
  },
  {
    name: "reset before the headers, twice",
    fault: () => Fault.ResetBeforeHeaders({ handled: false }),
    times: 2,
    expected: lostAnswerTwice
  },
  { name: "the response is lost", fault: () => Fault.loseResponse, times: 2, expected: lostAnswerTwice },
  {
    name: "reset in the body",
    fault: (call) => Fault.ResetBody({ atByte: middle(call) }),
    times: ALWAYS,
    expected: brokenInside,
    crashes: cutFetch
  },
  {
    name: "truncate with Content-Length",
    fault: (call) => Fault.Truncate({ atByte: middle(call) }),
    times: ALWAYS,
    expected: brokenInside,
    crashes: cutFetch
  },
  {
    name: "cut a chunked body",
    fault: (call) => Fault.CutChunked({ atByte: middle(call) }),
    times: ALWAYS,
    expected: brokenInside,
    crashes: cutFetch
  },
  {
    name: "reset while the request is sent",
    fault: () => Fault.ResetRequest({ atByte: 300_000 }),
    times: ALWAYS,
    only: ["upload, large", "uploadOnce, large", "upload, encrypted", "update, file"],
    expected: {
      upload: { ends: "Unreachable", verdict: "unknown", requests: 1 },
      change: { ends: "Unreachable", verdict: "unknown", requests: THRICE }
    }
  },
  {
    name: "too many bytes",
    fault: () => Fault.TooManyBytes({ extra: 7 }),
    times: ALWAYS,
    expected: {
      ...unexpected,
      download: { ends: "TransferInterrupted", verdict: "consumed", requests: 1, disk: "part" }
    },
    onNetwork: { upload: ok(), download: ok(), read: ok(), change: ok(), delete: ok() }
  },
  {
    name: "stall before the headers",
    fault: () => Fault.StallBeforeHeaders({ handled: false }),
    times: ALWAYS,
    expected: timedOut("firstByte")
  },
  {
    name: "stall in the body",
    fault: (call) => Fault.StallBody({ atByte: middle(call) }),
    times: ALWAYS,
    expected: timedOut("idle")
  },
  {
    name: "stall while the request is sent",
    fault: () => Fault.StallRequest({ atByte: 100_000 }),
    times: ALWAYS,
    only: ["upload, large", "uploadOnce, large", "upload, encrypted"],
    expected: {
      upload: { ends: "TimedOut", verdict: "unknown", requests: 1 }
    }
  },
  {
    name: "drip",
    fault: (call) => Fault.Drip({ bytes: downloads.includes(call) ? 20_000 : 100, every: 1 }),
    times: ALWAYS,
    expected: { upload: ok(), download: ok(), read: ok(), change: ok(), delete: ok() }
  },
  {
    name: "an HTML page with a 200",
    fault: () => Fault.Html({ status: 200 }),
    times: ALWAYS,
    expected: {
      upload: { ends: "NotAnApi", verdict: "unknown", requests: 1 },
      download: { ends: "NotAnApi", verdict: "unknown", requests: 1 },
      read: { ends: "NotAnApi", requests: 1 },
      change: { ends: "NotAnApi", verdict: "unknown", requests: 1 },
      delete: { ends: "NotAnApi", requests: 1 }
    }
  },
  {
    name: "an HTML page with a 404",
    fault: () => Fault.Html({ status: 404 }),
    times: ALWAYS,
    expected: all("NotAnApi")
  },
  {
    name: "a redirect to another host",
    fault: () => Fault.Redirect({ to: "https://example.com/else" }),
    times: ALWAYS,
    expected: all("NotAnApi")
  },
  {
    name: "a redirect to the file's page",
    fault: () => Fault.Redirect({ to: "page" }),
    times: ALWAYS,
    expected: {
      ...all("NotAnApi"),
      download: {
        ends: "DirectDownloadUnavailable",
        verdict: "kept",
        requests: 1,
        also: ({ reason }) =>
          assert.match(reason._tag === "DirectDownloadUnavailable" ? reason.page : "", /^http.*\/download\/\w+$/)
      }
    }
  },
  {
    name: "a redirect in a loop",
    fault: () => Fault.Redirect({ to: "loop" }),
    times: ALWAYS,
    expected: all("NotAnApi")
  },
  { name: "invalid JSON", fault: () => Fault.invalidJson, times: ALWAYS, expected: unexpected },
  {
    name: "JSON of another shape",
    fault: () => Fault.wrongShape,
    times: ALWAYS,
    expected: {
      ...unexpected,
      delete: ok()
    }
  },
  { name: "an empty body", fault: () => Fault.emptyBody, times: ALWAYS, expected: { ...unexpected, delete: ok() } },
  {
    name: "`success: false` with a 200 (500)",
    fault: () => Fault.successFalse(500),
    times: ALWAYS,
    expected: {
      upload: { ends: "ServerFailure", verdict: "unknown", requests: 1 },
      download: { ends: "ServerFailure", verdict: "unknown", requests: 1 },
      read: { ends: "ServerFailure", requests: THRICE },
      change: { ends: "ServerFailure", verdict: "unknown", requests: THRICE },
      delete: { ends: "ServerFailure", requests: THRICE }
    }
  },
  {
    name: "`success: false` with a 200 (401)",
    fault: () => Fault.successFalse(401),
    times: ALWAYS,
    expected: all("Unauthorized")
  },
  {
    name: "the size of another file",
    fault: () => Fault.WrongSize({ by: -1 }),
    times: ALWAYS,
    only: [...uploads, "update, file"],
    expected: {
      upload: { ends: "UnexpectedResponse", verdict: "unknown", requests: 1 },
      change: { ends: "UnexpectedResponse", verdict: "unknown", requests: 1 }
    }
  },
  {
    name: "507: the host has no room",
    fault: () => Fault.status(507),
    times: ALWAYS,
    expected: {
      upload: { ends: "ServerFailure", verdict: "no", requests: 1 },
      download: { ends: "ServerFailure", verdict: "unknown", requests: 1 },
      read: { ends: "ServerFailure", requests: THRICE },
      change: { ends: "ServerFailure", verdict: "no", requests: THRICE },
      delete: { ends: "ServerFailure", requests: THRICE }
    }
  },
  {
    name: "503 twice, then well",
    fault: () => Fault.status(503),
    times: 2,
    expected: {
      upload: { ends: "ServerFailure", verdict: "unknown", requests: 1 },
      download: ok(THRICE),
      read: ok(THRICE),
      change: ok(THRICE),
      delete: ok(THRICE)
    }
  },
  {
    name: "503 always",
    fault: () => Fault.status(503),
    times: ALWAYS,
    expected: {
      upload: { ends: "ServerFailure", verdict: "unknown", requests: 1 },
      download: { ends: "ServerFailure", verdict: "kept", requests: THRICE },
      read: { ends: "ServerFailure", requests: THRICE },
      change: { ends: "ServerFailure", verdict: "unknown", requests: THRICE },
      delete: { ends: "ServerFailure", requests: THRICE }
    }
  },
  {
    name: "500 always",
    fault: () => Fault.status(500),
    times: ALWAYS,
    expected: {
      upload: { ends: "ServerFailure", verdict: "unknown", requests: 1 },
      download: { ends: "ServerFailure", verdict: "unknown", requests: 1 },
      read: { ends: "ServerFailure", requests: THRICE },
      change: { ends: "ServerFailure", verdict: "unknown", requests: THRICE },
      delete: { ends: "ServerFailure", requests: THRICE }
    }
  },
  { name: "429 with no seconds", fault: () => Fault.tooManyRequests(0), expected: limitedOnce },
  {
    name: "429 with a date",
    fault: () => Fault.tooManyRequests("Thu, 01 Jan 2026 00:00:00 GMT"),
    expected: limitedOnce
  },
  { name: "429 with nothing", fault: () => Fault.tooManyRequests(), expected: limitedOnce },
  {
    name: "429 with an hour",
    fault: () => Fault.tooManyRequests(3600),
    times: ALWAYS,
    expected: all("RateLimited")
  },
  { name: "401", fault: () => Fault.status(401), times: ALWAYS, expected: all("Unauthorized") },
  { name: "403", fault: () => Fault.status(403), times: ALWAYS, expected: all("Unauthorized") },
  {
    name: "404",
    fault: () => Fault.status(404),
    times: ALWAYS,
    expected: {
      upload: { ends: "InvalidRequest", verdict: "no", requests: 1 },
      download: { ends: "FileNotFound", verdict: "absent", requests: 1 },
      read: { ends: "InvalidRequest", requests: 1 },
      change: { ends: "FileNotFound", verdict: "no", requests: 1 },
      "update, file": { ends: "FileNotFound", verdict: "no", requests: 1 },
      delete: { ends: "FileNotFound", requests: 1 },
      status: { ends: "FileNotFound", requests: 1 }
    }
  },
  {
    name: "408 twice, then well",
    fault: () => Fault.status(408),
    times: 2,
    expected: {
      upload: ok(THRICE),
      "uploadOnce, large": { ends: "ServerFailure", verdict: "no", requests: 1 },
      download: ok(THRICE),
      read: ok(THRICE),
      change: ok(THRICE),
      delete: ok(THRICE)
    }
  },
  {
    name: "408 always",
    fault: () => Fault.status(408),
    times: ALWAYS,
    expected: {
      ...all("ServerFailure", THRICE),
      "uploadOnce, large": { ends: "ServerFailure", verdict: "no", requests: 1 }
    }
  },
  {
    name: "423",
    fault: () => Fault.status(423, { retryAfter: 60 }),
    times: ALWAYS,
    only: downloads,
    expected: {
      download: { ends: "DownloadInProgress", verdict: "kept", requests: 1 }
    }
  },
  {
    name: "413",
    fault: () => Fault.status(413),
    times: ALWAYS,
    only: [...uploads, ...changes, "update, file"],
    expected: all("PlanLimit")
  },
  early(413, false),
  early(413, true),
  early(401, false),
  early(401, true)
]

const noLimit = RateLimit.layer(RateLimit.unlimited)
const policy = RetryPolicy.make({ times: 2, base: 1 })

/**
 * Long enough for a loaded machine, also where the fault is that nothing comes: the checks of those rows begin together, and a
 * request must arrive at its host before its time is over.
 */
const timeouts = (row: Row) => {
  const long = Duration.seconds(60)
  const short = Duration.seconds(12)
  return {
    firstByteTimeout: row.name.startsWith("stall") && row.name !== "stall in the body" ? short : long,
    idleTimeout: row.name.startsWith("stall") && row.name !== "stall before the headers" ? short : long
  }
}

let hosts = 0

/** One key per host, since the account remembers refusals, and ports are reused. */
const keyOfHost = () => Redacted.make(`TESTKEY.HOST-${++hosts}`)

const inMemory = (row: Row) =>
  Layer.mergeAll(FileTransfer.layer, Layer.effect(NodeFaultHost.NodeFaultHost, FileIoTest.FileIoTest)).pipe(
    Layer.provideMerge(FileIoTest.layer({
      apiKey: keyOfHost(),
      resumable: false,
      checkLimits: false,
      ...timeouts(row)
    })),
    Layer.provide(noLimit),
    Layer.provideMerge(NodeServices.layer)
  )

const clients = {
  undici: NodeFileIo.layer,
  sockets: NodeFileIo.layerSockets,
  nodeHttp: (options: FileIo.Options) =>
    Layer.provide(NodeFileIo.layerNoHttp(options), Layer.fresh(NodeHttpClient.layerNodeHttp)),
  fetch: (options: FileIo.Options) =>
    Layer.fresh(FileTransfer.layer).pipe(
      Layer.provideMerge(FetchFileIo.layer(options)),
      Layer.provide([NodePlatform.layer, NodeServices.layer])
    )
}

const onNetwork = (row: Row, client: keyof typeof clients) =>
  Layer.unwrap(
    Effect.map(NodeFaultHost.NodeFaultHost, ({ apiKey, baseUrl }) =>
      clients[client]({ baseUrl, apiKey, checkLimits: false, ...timeouts(row) }))
  ).pipe(
    Layer.provide(noLimit),
    Layer.provideMerge(NodeFaultHost.layer({ apiKey: keyOfHost(), resumable: false })),
    Layer.provideMerge(NodeServices.layer)
  )

const check = (row: Row, call: Call, expected: Outcome, or: Outcome | undefined) =>
  Effect.gen(function*() {
    const host = yield* NodeFaultHost.NodeFaultHost
    const fs = yield* FileSystem.FileSystem
    const directory = yield* folder
    const stored = isEncrypted(call) ? encrypted.bytes : FILE
    const { deleteToken, key } = yield* host.put({ bytes: stored, name: "file.bin" })
    const given = isEncrypted(call)
      ? encrypted.linkOf(key)
      : call === "delete, token"
      ? `${key} ${Redacted.value(deleteToken)}`
      : key
    const operation = operationOf(call)
    if (row.times !== 0) yield* host.inject(row.fault(call), { on: operation, times: row.times ?? 1 })
    const result = yield* calls[call](given, directory).pipe(
      FileIo.withRetry(policy),
      Effect.result,
      Effect.timeoutOrElse({ duration: "100 seconds", orElse: () => Effect.die("it did not end in time") })
    )

    const error = result._tag === "Failure" ? result.failure : undefined
    const ends = error?.reason._tag ?? "ok"
    const outcome = or?.ends === ends ? or : expected
    assert.strictEqual(ends, outcome.ends, error?.message)
    if (error !== undefined) {
      assert.strictEqual(error.operation, operation)
      const kind = kindOf(call)
      assert.strictEqual(error.copy, kind === "download" ? outcome.verdict : undefined, error.message)
      assert.strictEqual(
        error.stored,
        kind === "upload" || kind === "change" ? outcome.verdict : undefined,
        error.message
      )
      outcome.also?.(error)
    }
    const arrived = (yield* host.requests).filter((request) => request.operation === operation)
    assert.strictEqual(arrived.length, outcome.requests, "requests that arrived")

    // Compares the verdict with what the host really has.
    const files = yield* host.files
    const isThere = files.some((file) => file.key === key && file.downloads === 0)
    if (error?.copy === "kept") assert.isTrue(isThere, "the copy is kept")
    if (error?.copy === "consumed") assert.isFalse(isThere, "the copy is consumed")
    const news = files.filter((file) => file.key !== key)
    if (uploads.includes(call)) {
      if (error === undefined) assert.strictEqual(news.length, 1)
      if (error?.stored === "no") assert.strictEqual(news.length, 0, "nothing is stored")
      assert.isAtMost(news.length, 1, "never stored twice")
      if (result._tag === "Success" && isEncrypted(call)) {
        const link = FileKey.parse((result.success as FileDetails.FileDetails).link)
        const { opener } = Result.getOrThrow(link)
        const identities = opener?._tag === "Secret" ? [opener.identity] : []
        const opened = Encryption.decrypt(Stream.succeed(news[0]!.bytes), { identities })
        assert.deepStrictEqual(yield* Stream.mkUint8Array(opened), LARGE)
      } else if (!isEncrypted(call)) {
        for (const file of news) assert.deepStrictEqual(file.bytes, call === "upload" ? SMALL : LARGE)
      }
    }

    const names = yield* fs.readDirectory(directory)
    const disk = outcome.disk ?? (outcome.ends === "ok" ? "file" : "nothing")
    if (!call.startsWith("downloadFile") || disk === "nothing") {
      assert.deepStrictEqual(names, [])
    } else if (disk === "file") {
      assert.deepStrictEqual(names, ["file.bin"])
      assert.deepStrictEqual(new Uint8Array(yield* fs.readFile(`${directory}/file.bin`)), FILE)
    } else {
      assert.strictEqual(names.length, 1)
      assert.match(names[0]!, /^\.file\.bin\.\w+\.part$/)
      const part = `${directory}/${names[0]}`
      const { reason } = error!
      const told = reason._tag === "TransferInterrupted" || reason._tag === "TimedOut" ? reason : undefined
      assert.strictEqual(told?.partPath, part)
      const bytes = new Uint8Array(yield* fs.readFile(part))
      // An encrypted file is decrypted chunk by chunk; the error counts its encrypted bytes, as the host does.
      const chunks = bytes.length / 65_536
      const header = stored.length - FILE.length - 16 * Math.ceil(FILE.length / 65_536)
      assert.strictEqual(told?.bytesDone, isEncrypted(call) ? header + chunks * 65_552 : bytes.length)
      assert.deepStrictEqual(bytes, FILE.subarray(0, bytes.length))
      assert.strictEqual((yield* fs.stat(part)).mode & 0o777, 0o600)
    }
  })

/** Checks of the rows that spend their time waiting: all begin with the first one, and each test awaits its own. */
const waiting: Array<Effect.Effect<void, unknown>> = []
let running: ReadonlyArray<Fiber.Fiber<void, unknown>> | undefined
const together = (effect: Effect.Effect<void, unknown>): Effect.Effect<void, unknown> => {
  const index = waiting.push(effect) - 1
  return Effect.suspend(() =>
    Fiber.join((running ??= waiting.map((each) => Effect.runFork(Effect.provide(each, Logger.layer([])))))[index]!)
  )
}

for (const transport of transports) {
  describe(`faults over ${transport}`, () => {
    for (const row of rows) {
      for (const call of row.only ?? Object.keys(calls) as Array<Call>) {
        // Encryption uses the same requests, so one client is enough.
        if (isEncrypted(call) && transport !== "undici") continue
        if (row.crashes?.[transport]?.[0].includes(call) === true) continue
        const expected = { ...row.expected, ...(transport === "memory" ? {} : row.onNetwork) }
        const outcomeOf = (expected: Expected | undefined) => expected?.[call] ?? expected?.[kindOf(call)]
        const checked = check(row, call, outcomeOf(expected)!, outcomeOf(row.or?.[transport])).pipe(
          Effect.scoped,
          Effect.provide(transport === "memory" ? inMemory(row) : onNetwork(row, transport))
        )
        const test = /^stall|^429 with nothing/.test(row.name) ? together(checked) : checked
        it.live(`${row.name} × ${call}`, () => test)
      }
    }
  })
}
