/** What opens an encrypted file is in the link that the caller gets, and nowhere else. */
import { Encryption, FileBody, FileIo, FileTransfer, RetryPolicy } from "@effect-fileio/client"
import { Fault } from "@effect-fileio/client/testing"
import type { FileIoError } from "@effect-fileio/core"
import { FileKey } from "@effect-fileio/core"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { assert, it } from "@effect/vitest"
import { Cause, Effect, FileSystem, Logger, Metric, Redacted, References, Result } from "effect"
import { inspect } from "node:util"
import { recordingTracer } from "../../client/test/utils/recordingTracer.ts"
import { bytesOf, folder, overSockets } from "./faults/support.ts"

const PASSPHRASE = "vier-geheime-Wörter-hier"
const NAME = "payroll-of-everybody.xlsx"

it.live("no request, log, span, metric, error or file on the disk has a secret, or the name of the file", () =>
  Effect.gen(function*() {
    const host = yield* NodeFaultHost.NodeFaultHost
    const fs = yield* FileSystem.FileSystem
    const directory = yield* folder
    const { spans, tracer } = recordingTracer()
    const lines: Array<string> = []
    const logger = Logger.make(({ cause, fiber, message }) => {
      lines.push(inspect([message, cause, fiber.getRef(References.CurrentLogAnnotations)], { depth: 20 }))
    })
    const errors: Array<FileIoError.FileIoError> = []
    const secrets = [PASSPHRASE, "payroll"]
    const own = yield* Encryption.generateIdentity
    const other = yield* Encryption.generateIdentity
    secrets.push(Redacted.value(own.identity), Redacted.value(other.identity))

    yield* Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const transfer = yield* FileTransfer.FileTransfer
      const body = FileBody.bytes(bytesOf(150_000), { name: NAME })
      const failed = <A, R>(effect: Effect.Effect<A, FileIoError.FileIoError, R>) =>
        Effect.map(Effect.flip(effect), (error) => void errors.push(error))
      const fresh = Effect.map(fileIo.upload(body, { encryption: "link", maxDownloads: 9 }), ({ link }) => {
        const { opener } = Result.getOrThrow(FileKey.parse(link))
        if (opener?._tag === "Secret") secrets.push(Redacted.value(opener.identity))
        return link
      })
      const link = yield* fresh
      yield* fileIo.downloadBytes(link)
      yield* transfer.downloadFile(yield* fresh, { path: `${directory}/given.bin` })
      yield* failed(transfer.downloadFile(yield* fresh, { path: `${directory}/given.bin` }))
      yield* failed(fileIo.downloadBytes(`${link.slice(0, link.indexOf("&"))}Q`))
      yield* failed(fileIo.downloadBytes(link.replace(/AGE-[^&]+/, Redacted.value(other.identity))))
      for (
        const fault of [
          Fault.Truncate({ atByte: 70_000 }),
          Fault.ResetBeforeHeaders({ handled: false }),
          Fault.Refuse()
        ]
      ) {
        const one = yield* fresh
        yield* host.inject(fault, { on: "download" })
        yield* failed(transfer.downloadFile(one, { path: `${directory}/${errors.length}.bin` }))
        yield* host.clear
      }
      for (const code of [404, 423, 500]) {
        yield* host.inject(Fault.status(code), { on: "download" })
        yield* failed(fileIo.downloadBytes(link))
        yield* host.clear
      }
      yield* failed(fileIo.update(link, { file: body, encryption: { recipients: [Redacted.value(own.identity)] } }))
      const passphrase = Redacted.make(PASSPHRASE)
      const shared = yield* fileIo.upload(body, { encryption: { passphrase }, maxDownloads: 9 })
      yield* failed(fileIo.downloadBytes(shared.link, { passphrase: Redacted.make("another") }))
      yield* failed(fileIo.downloadBytes(shared.link, { identities: [own.identity] }))
      yield* host.inject(Fault.status(401), { on: "delete" })
      yield* failed(fileIo.delete(link))
    }).pipe(
      FileIo.withRetry(RetryPolicy.none),
      Effect.withTracer(tracer),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Trace")
    )

    const requests = (yield* host.requests).map(({ headers, operation, target }) => [headers, operation, target])
    const said: Record<string, string> = {
      requests: inspect(requests, { depth: 10 }),
      "names at the host": inspect((yield* host.files).map(({ name }) => name)),
      logs: lines.join("\n"),
      // What a call gave is in no span that is sent anywhere; why it failed is.
      spans: inspect(
        spans.map(({ attributes, name, status }) => [
          name,
          attributes,
          status._tag === "Ended" && status.exit._tag === "Failure" ? status.exit.cause : status._tag
        ]),
        { depth: 20 }
      ),
      metrics: JSON.stringify(yield* Metric.snapshot),
      errors: errors.map((error) =>
        [
          String(error),
          JSON.stringify(error),
          error.stack,
          inspect(error, { depth: 20 }),
          Cause.pretty(Cause.fail(error))
        ]
          .join("\n")
      ).join("\n")
    }
    for (const name of (yield* fs.readDirectory(directory)).filter((name) => /\.json$|\.part$/.test(name))) {
      said[name] = `${name} ${yield* fs.readFileString(`${directory}/${name}`)}`
    }
    assert.isAtLeast(errors.length, 12)
    assert.isAtLeast(Object.keys(said).length, 8, "a note and a part lie there")
    for (const [where, text] of Object.entries(said)) {
      // That nothing is logged is right too.
      if (where !== "logs") assert.isAbove(text.length, 10, where)
      for (const secret of secrets) assert.isFalse(text.includes(secret), `${where} has ${secret.slice(0, 20)}…`)
      assert.notMatch(text, /AGE-SECRET-KEY-1\w/, where)
    }
  }).pipe(Effect.scoped, Effect.provide(overSockets({ grace: "1 hour" }))))
