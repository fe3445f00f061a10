/** The official test vectors of the age format (https://c2sp.org/CCTV/age), each one over a real download. */
import { Encryption, FileBody, FileIo, Platform } from "@effect-fileio/client"
import { assert, describe, layer } from "@effect/vitest"
import * as cctv from "cctv-age"
import { Effect, Redacted, Stream } from "effect"
import { createHash } from "node:crypto"
import { inflateSync } from "node:zlib"
import { keyed } from "./utils.ts"

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
  "header failure": ["malformed", "notEncrypted", "cut"],
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
          // Without Node's cipher, in plain JavaScript as in a browser, it is the same.
          const portable = createHash("sha256")
          const opened = Stream.runForEach(
            Encryption.decrypt(Stream.succeed(file), { identities: given, passphrase }),
            (chunk) => Effect.sync(() => portable.update(chunk))
          )
          const portableResult = yield* Effect.result(
            Effect.provideService(opened, Platform.CurrentPlatform, Platform.portable)
          )
          assert.strictEqual(portableResult._tag, result._tag)
          assert.strictEqual(portable.digest("hex"), digest)
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
