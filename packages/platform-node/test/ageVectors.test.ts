/** The official test vectors of the age format (https://c2sp.org/CCTV/age), each one over a real download. */
import { Encryption, FileBody, FileIo, FileTransfer, Platform } from "@effect-fileio/client"
import { assert, describe, layer, vi } from "@effect/vitest"
import * as cctv from "cctv-age"
import { Effect, Redacted, Stream } from "effect"
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { inflateSync } from "node:zlib"
import { folder, keyed } from "./utils.ts"

interface Vector {
  readonly fields: ReadonlyMap<string, string>
  readonly identities: ReadonlyArray<Redacted.Redacted>
  readonly passphrase: Redacted.Redacted | undefined
  readonly file: Uint8Array
}

const read = (bytes: Uint8Array): Vector => {
  const end = Buffer.from(bytes).indexOf("\n\n")
  const lines = Buffer.from(bytes.subarray(0, end)).toString("latin1").split("\n").map((line) => line.split(": ", 2))
  const fields = new Map(lines.map(([name, value]) => [name!, value!]))
  const body = bytes.subarray(end + 2)
  const passphrase = fields.get("passphrase")
  return {
    fields,
    identities: lines.filter(([name]) => name === "identity").map(([, value]) => Redacted.make(value!)),
    passphrase: passphrase === undefined ? undefined : Redacted.make(passphrase),
    file: fields.get("compressed") === "zlib" ? inflateSync(body) : body
  }
}

/** The vectors' names of faults. */
const PROBLEMS: Record<string, ReadonlyArray<string>> = {
  "no match": ["otherKey"],
  "HMAC failure": ["changed"],
  "header failure": ["malformed", "notEncrypted", "cut", "workFactor"],
  "armor failure": ["malformed", "notEncrypted", "cut"],
  "payload failure": ["changed", "malformed", "cut"]
}

const vectors = new Map(Object.entries(cctv).filter(([, bytes]) => bytes instanceof Uint8Array))

describe("the official vectors", () => {
  layer(keyed, { excludeTestServices: true })("over a real download", (it) => {
    it.effect("are all there", () => Effect.sync(() => assert.isAtLeast(vectors.size, 140)))

    for (const [name, vector] of vectors) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const fileIo = yield* FileIo.FileIo
          const { fields, file, identities, passphrase } = read(vector)
          const expected = fields.get("expect")!
          if (file.length === 0) {
            const refused = yield* Effect.flip(fileIo.upload(FileBody.bytes(file)))
            return assert.strictEqual(refused.reason._tag, "InvalidRequest")
          }
          const { key } = yield* fileIo.upload(FileBody.bytes(file, { name }))
          // Some have no key; any key reads them.
          const given = identities.length === 0 ? [(yield* Encryption.generateIdentity).identity] : identities
          const hash = createHash("sha256")
          const result = yield* Effect.result(Effect.scoped(Effect.gen(function*() {
            const { stream } = yield* fileIo.download(key, { identities: given, passphrase })
            yield* Stream.runForEach(stream, (chunk) => Effect.sync(() => hash.update(chunk)))
          })))
          const digest = hash.digest("hex")
          // In plain JavaScript, as in a browser whose cryptography has neither the cipher nor X25519, it is the same.
          const portable = createHash("sha256")
          const opened = Stream.runForEach(
            Encryption.decrypt(Stream.succeed(file), { identities: given, passphrase }),
            (chunk) => Effect.sync(() => portable.update(chunk))
          )
          const subtle = vi.spyOn(crypto.subtle, "importKey").mockRejectedValue(
            new DOMException("", "NotSupportedError")
          )
          const portableResult = yield* Effect.result(
            Effect.provideService(opened, Platform.CurrentPlatform, Platform.portable)
          ).pipe(Effect.ensuring(Effect.sync(() => subtle.mockRestore())))
          assert.strictEqual(portableResult._tag, result._tag)
          assert.strictEqual(portable.digest("hex"), digest)
          // On the disk there is the plaintext, or all bytes as they came.
          const transfer = yield* FileTransfer.FileTransfer
          const directory = yield* folder
          const again = yield* fileIo.upload(FileBody.bytes(file, { name }))
          const options = { identities: given, passphrase }
          const landed = yield* Effect.result(transfer.downloadFile(again.key, { directory }, options))
          const [only, ...more] = readdirSync(directory)
          const content = readFileSync(`${directory}/${only}`)
          assert.deepStrictEqual(more, [])
          assert.strictEqual(landed._tag, result._tag)
          if (landed._tag === "Success") assert.strictEqual(createHash("sha256").update(content).digest("hex"), digest)
          else assert.isTrue(content.equals(file), "it is kept as it came")
          if (expected === "success") {
            assert.strictEqual(result._tag, "Success", result._tag === "Failure" ? result.failure.message : "")
            return assert.strictEqual(digest, fields.get("payload"))
          }
          if (result._tag === "Success" || result.failure.reason._tag !== "DecryptionFailed") {
            return assert.fail(
              `${expected} was expected: ${result._tag === "Failure" ? result.failure.message : digest}`
            )
          }
          assert.include(PROBLEMS[expected]!, result.failure.reason.problem, result.failure.message)
          // Earlier output is authentic, and nothing more.
          if (expected === "payload failure") assert.strictEqual(digest, fields.get("payload"))
        }))
    }
  })
})
