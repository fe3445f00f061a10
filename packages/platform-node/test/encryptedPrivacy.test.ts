/** What opens an encrypted file is in the link that the caller gets, and nowhere else. */
import { Encryption, FileBody, FileIo, FileTransfer, RetryPolicy } from "@effect-fileio/client"
import { Fault } from "@effect-fileio/client/testing"
import type { FileIoError } from "@effect-fileio/core"
import { FileKey } from "@effect-fileio/core"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { assert, it } from "@effect/vitest"
import { Cause, Effect, FileSystem, Logger, Metric, Redacted, References, Result, Stream } from "effect"
import { inspect } from "node:util"
import { recordingTracer } from "../../client/test/utils/recordingTracer.ts"
import { bytesOf, folder, overSockets } from "./faults/support.ts"

type Call<A = unknown, R = never> = Effect.Effect<A, FileIoError.FileIoError, R>

/** What a program does under the eyes of a log, a tracer, and the metrics. */
interface Watched {
  readonly directory: string
  /** What must be found nowhere. */
  readonly secrets: Array<string>
  /** Makes a call that fails. */
  readonly failed: <R>(call: Call<unknown, R>) => Effect.Effect<void, unknown, R>
  /** Keeps the secret of a link. */
  readonly withSecret: <A extends { readonly link: string }, R>(call: Call<A, R>) => Call<string, R>
}

/** Runs a program, and searches everything that others can see for its secrets; returns the number of failed calls. */
const searched = <R>(policy: RetryPolicy.RetryPolicy, program: (watched: Watched) => Effect.Effect<void, unknown, R>) =>
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
    yield* program({
      directory,
      secrets,
      failed: (call) => Effect.map(Effect.flip(call), (error) => void errors.push(error)),
      withSecret: (call) =>
        Effect.map(call, ({ link }) => {
          const { opener } = Result.getOrThrow(FileKey.parse(link))
          if (opener?._tag === "Secret") secrets.push(Redacted.value(opener.identity))
          return link
        })
    }).pipe(
      FileIo.withRetry(policy),
      Effect.withTracer(tracer),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Trace")
    )
    const requests = (yield* host.requests).map((
      { headers, method, operation, target }
    ) => [headers, method, operation, target])
    const said: Record<string, string> = {
      requests: inspect(requests, { depth: 10, maxArrayLength: null }),
      "names at the host": inspect((yield* host.files).map(({ name }) => name)),
      logs: lines.join("\n"),
      // What a call gave is in no span that is sent anywhere; why it failed is.
      spans: inspect(
        spans.map(({ attributes, name, status }) => [
          name,
          attributes,
          status._tag === "Ended" && status.exit._tag === "Failure" ? status.exit.cause : status._tag
        ]),
        { depth: 20, maxArrayLength: null }
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
    for (const name of yield* fs.readDirectory(directory, { recursive: true })) {
      if (!/\.json$|\.part$/.test(name)) continue
      const bytes = yield* fs.readFile(`${directory}/${name}`)
      said[name] = `${name} ${Buffer.from(bytes).toString("latin1")}`
    }
    for (const [where, text] of Object.entries(said)) {
      // That nothing is logged is right too.
      if (where !== "logs") assert.isAbove(text.length, 10, where)
      for (const secret of secrets) assert.isFalse(text.includes(secret), `${where} has ${secret.slice(0, 20)}…`)
      assert.notMatch(text, /AGE-SECRET-KEY-1\w/, where)
    }
    return { errors: errors.length, places: Object.keys(said) }
  })

const PASSPHRASE = "vier-geheime-Wörter-hier"
const NAME = "payroll-of-everybody.xlsx"

const quick = RetryPolicy.make({ base: "1 millis", times: 2 })

const isPlace = (places: ReadonlyArray<string>, name: RegExp) =>
  assert.isTrue(places.some((place) => name.test(place)), `${name} is among ${places.join(", ")}`)

it.live("no request, log, span, metric, error or file on the disk has a secret, or the name of the file", () =>
  Effect.gen(function*() {
    const host = yield* NodeFaultHost.NodeFaultHost
    const own = yield* Encryption.generateIdentity
    const other = yield* Encryption.generateIdentity
    const { errors, places } = yield* searched(
      RetryPolicy.none,
      ({ directory, failed, secrets, withSecret }) =>
        Effect.gen(function*() {
          const fileIo = yield* FileIo.FileIo
          const transfer = yield* FileTransfer.FileTransfer
          secrets.push(Redacted.value(own.identity), Redacted.value(other.identity))
          const body = FileBody.bytes(bytesOf(150_000), { name: NAME })
          const fresh = withSecret(fileIo.upload(body, { encryption: "link", maxDownloads: 9 }))
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
            yield* host.inject(fault, { on: "download", times: 9 })
            yield* failed(transfer.downloadFile(one, { path: `${directory}/${fault._tag}.bin` }))
            yield* host.clear
          }
          for (const code of [404, 423, 500]) {
            yield* host.inject(Fault.status(code), { on: "download", times: 9 })
            yield* failed(fileIo.downloadBytes(link))
            yield* host.clear
          }
          // A download that another call continues, and one whose bytes were changed.
          const broken = yield* fresh
          yield* host.inject(Fault.Truncate({ atByte: 70_000 }), { on: "download", times: 9 })
          yield* failed(transfer.downloadFile(broken, { path: `${directory}/resumed.bin` }))
          yield* host.clear
          yield* transfer.downloadFile(broken, { path: `${directory}/resumed.bin` })
          const [stored] = (yield* host.files).filter(({ key }) => link.includes(key))
          const changed = stored!.bytes.map((byte, at) => at === 100_000 ? byte ^ 1 : byte)
          const put = yield* host.put({ bytes: changed, name: "n.age" })
          yield* failed(transfer.downloadFile(link.replace(stored!.key, put.key), { path: `${directory}/changed.bin` }))
          yield* failed(fileIo.update(link, { file: body, encryption: { recipients: [Redacted.value(own.identity)] } }))
          const passphrase = Redacted.make(PASSPHRASE)
          const shared = yield* fileIo.upload(body, { encryption: { passphrase }, maxDownloads: 9 })
          yield* failed(fileIo.downloadBytes(shared.link, { passphrase: Redacted.make("another") }))
          yield* failed(fileIo.downloadBytes(shared.link, { identities: [own.identity] }))
          yield* host.inject(Fault.status(401), { on: "delete" })
          yield* failed(fileIo.delete(link))
          yield* failed(transfer.pending(`${link.slice(0, link.indexOf("&"))}Q`, { directory }))
          // A link or a secret key in place of something else.
          const secret = Redacted.value(own.identity)
          for (const given of [link, secret]) {
            yield* failed(transfer.uploadFile(given))
            yield* failed(transfer.downloadFile(link, { path: given }))
            yield* failed(transfer.downloadFile(link, { directory: `${directory}/${given}` }))
            yield* failed(transfer.downloadFile(link, { directory }, { fallbackDirectory: given }))
            yield* failed(fileIo.upload(body, { encryption: { recipients: [given] } }))
            yield* failed(fileIo.downloadBytes(link, { identities: [Redacted.make(`${given}Q`)] }))
            yield* failed(fileIo.downloadBytes(link, { sha256: given }))
            yield* failed(fileIo.update(given, { expires: given }))
            yield* failed(fileIo.list({ sort: given as "created" }))
          }
        })
    )
    assert.strictEqual(errors, 34)
    isPlace(places, /\.json$/)
    isPlace(places, /\.part$/)
  }).pipe(Effect.scoped, Effect.provide(overSockets({ grace: "1 hour" }))))

it.live("an upload that breaks, is resumed, fails or is left to another process has none either", () =>
  Effect.gen(function*() {
    const host = yield* NodeFaultHost.NodeFaultHost
    const { errors, places } = yield* searched(
      quick,
      ({ directory, failed, secrets, withSecret }) =>
        Effect.gen(function*() {
          const fileIo = yield* FileIo.FileIo
          const transfer = yield* FileTransfer.FileTransfer
          const fs = yield* FileSystem.FileSystem
          const body = FileBody.bytes(bytesOf(300_000), { name: NAME })
          const { identity, recipient } = yield* Encryption.generateIdentity
          secrets.push(Redacted.value(identity))
          for (
            const fault of [
              Fault.ResetRequest({ atByte: 100_000 }),
              Fault.loseResponse,
              Fault.status(500),
              Fault.ResetBody({ atByte: 20 })
            ]
          ) {
            yield* host.inject(fault, { on: "upload", after: 1 })
            yield* withSecret(fileIo.upload(body, { encryption: "link" }))
            yield* host.clear
          }
          const encryptions = ["link", { passphrase: Redacted.make(PASSPHRASE) }, { recipients: [recipient] }] as const
          for (const [index, encryption] of encryptions.entries()) {
            const faults = [Fault.status(401), Fault.invalidJson, Fault.ResetRequest({ atByte: 0 }), Fault.Refuse()]
            for (const fault of index === 1 ? faults.slice(0, 1) : faults) {
              yield* host.inject(fault, { on: "upload", after: 1, times: 99 })
              yield* failed(fileIo.upload(body, { encryption }))
              yield* host.clear
            }
          }
          const source = `${directory}/${NAME}`
          yield* fs.writeFile(source, bytesOf(300_000))
          yield* host.inject(Fault.ResetRequest({ atByte: 0 }), { on: "upload", after: 1, times: 99 })
          yield* failed(transfer.uploadFile(source, { encryption: "link", notes: `${directory}/notes` }))
          // Such a note would have the key of the file.
          assert.isFalse(yield* fs.exists(`${directory}/notes`))
          yield* failed(fileIo.upload(body, { encryption: { passphrase: Redacted.make("") } }))
          const changing = FileBody.stream(() => Stream.make(bytesOf(10)), { name: NAME, size: 300_000 })
          yield* host.clear
          yield* failed(fileIo.upload(changing, { encryption: "link" }))
        })
    )
    assert.strictEqual(errors, 12)
    assert.include(places, "requests")
  }).pipe(Effect.scoped, Effect.provide(overSockets({ resumableUploads: true, resumableFrom: 1 }))))
