/** The faults of a resumable upload over each HTTP client of Node: what the host has is what the call says. */
import { FileBody, FileIo, RateLimit, RetryPolicy } from "@effect-fileio/client"
import { Fault } from "@effect-fileio/client/testing"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { RESUMABLE_FAULTS } from "../../client/test/utils/resumableFaults.ts"
import { bytesOf, until } from "./faults/support.ts"

const SIZES = { small: 1000, large: 700_000 }
const clients = { undici: NodeFileIo.layer, sockets: NodeFileIo.layerSockets }
const retry = RetryPolicy.make({ base: "1 millis", maxDelay: "20 millis" })

const isStall = (name: string) => name.includes("stall")

/** A host that supports resumable uploads, and a client of it. */
const setUp = (client: keyof typeof clients, name: string) =>
  Effect.gen(function*() {
    const host = yield* NodeFaultHost.make({ resumableUploads: true })
    // An upload that runs into it on a slow machine is repeated, so that its row passes nevertheless.
    const patience = isStall(name) ? "2 seconds" : "1 minute"
    const context = yield* Layer.build(
      Layer.fresh(clients[client]({
        baseUrl: host.baseUrl,
        apiKey: host.apiKey,
        resumableFrom: 1,
        firstByteTimeout: patience,
        idleTimeout: patience
      })).pipe(Layer.provide(RateLimit.layer(RateLimit.unlimited)))
    )
    return { host, fileIo: Context.get(context, FileIo.FileIo) }
  })

// `Refuse` closes the port for every request; it has a test of its own below.
const rows = RESUMABLE_FAULTS.filter(([, fault]) => fault._tag !== "Refuse")

describe.concurrent.each(Object.keys(clients) as Array<keyof typeof clients>)("over %s", (client) => {
  for (const [size, bytes] of Object.entries(SIZES)) {
    for (const encryption of size === "large" ? [undefined, "link"] as const : [undefined]) {
      const kind = encryption === undefined ? size : `${size}, encrypted`
      // Each stall takes a time-out, and its size makes no difference to a transport.
      for (const [name, fault, fails] of rows.filter(([name]) => !isStall(name) || kind === "large")) {
        it.live(`${name}, ${kind}`, () =>
          Effect.gen(function*() {
            const { fileIo, host } = yield* setUp(client, name)
            const content = bytesOf(bytes)
            // The first request creates the upload.
            yield* host.inject(fault, { on: "upload", after: 1 })
            const body = FileBody.bytes(content, { name: "a.bin" })
            const result = yield* Effect.result(FileIo.withRetry(fileIo.upload(body, { encryption }), retry))
            const files = yield* host.files
            if (fails === undefined) {
              assert(result._tag === "Success", result._tag === "Failure" ? result.failure.message : "")
              assert.deepStrictEqual(files.map(({ key }) => key), [result.success.key])
              const back = yield* fileIo.downloadBytes(result.success.link)
              assert.isTrue(Buffer.from(back.bytes).equals(content))
            } else {
              assert(result._tag === "Failure")
              assert.deepStrictEqual<unknown>([result.failure.reason._tag, result.failure.stored], fails)
              if (result.failure.stored === "no") assert.deepStrictEqual(files, [])
            }
            const created = (yield* host.requests).filter(({ method, target }) =>
              method === "POST" && target.split("?")[0] === "/"
            )
            // A slow machine may run into the time-out of a stall before.
            if (!isStall(name)) assert.strictEqual(created.length, 1)
          }).pipe(Effect.scoped))
      }
    }
  }

  it.live("a port that refuses connections for a while, in the middle of an upload", () =>
    Effect.gen(function*() {
      const { fileIo, host } = yield* setUp(client, "")
      const content = bytesOf(700_000)
      yield* host.inject(Fault.StallRequest({ atByte: 300_000 }), { on: "upload", after: 1 })
      const uploading = yield* Effect.forkChild(
        FileIo.withRetry(
          fileIo.upload(FileBody.bytes(content, { name: "a.bin" })),
          RetryPolicy.make({ base: "20 millis", maxDelay: "20 millis", times: 10_000 })
        )
      )
      const isPatched = Effect.map(host.requests, (all) =>
        all.some(({ bodyBytes, method }) => method === "PATCH" && bodyBytes >= 300_000))
      yield* until("the upload has come half of the way", isPatched)
      yield* host.inject(Fault.Refuse())
      yield* Effect.sleep(100)
      yield* host.clear
      const file = yield* Fiber.join(uploading)
      assert.deepStrictEqual(
        (yield* host.files).map(({ key }) =>
          key
        ),
        [file.key]
      )
      assert.isTrue(Buffer.from((yield* host.files)[0]!.bytes).equals(content))
    }).pipe(Effect.scoped))
})
