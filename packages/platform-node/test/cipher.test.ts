/** Node's ChaCha20-Poly1305 and scrypt against those in plain JavaScript, byte by byte. */
import { Encryption, FileBody, FileIo, Platform } from "@effect-fileio/client"
import { NodeHttp, NodePlatform } from "@effect-fileio/platform-node"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Stream } from "effect"
import { bytesOf } from "./faults/support.ts"

it.effect("seals the same bytes as plain JavaScript, and each opens what the other sealed", () =>
  Effect.gen(function*() {
    const native = yield* NodePlatform.make.cipher
    const portable = yield* Platform.portable.cipher
    for (const [n, size] of [0, 1, 15, 16, 17, 63, 64, 65, 1000, 65_535, 65_536].entries()) {
      const key = bytesOf(32, n + 1)
      const nonce = bytesOf(12, n + 100)
      const plaintext = bytesOf(size, n + 1000)
      const [one, two] = [new Uint8Array(size + 16), new Uint8Array(size + 16)]
      native.seal(key, nonce, plaintext, one)
      portable.seal(key, nonce, plaintext, two)
      assert.isTrue(Buffer.from(one).equals(two), String(size))
      for (const cipher of [native, portable]) {
        const into = new Uint8Array(size)
        assert.isTrue(cipher.open(key, nonce, one, into))
        assert.isTrue(Buffer.from(into).equals(plaintext), String(size))
        for (const at of [0, size, size + 15]) {
          const changed = one.slice()
          changed[at]! ^= 1
          assert.isFalse(cipher.open(key, nonce, changed, new Uint8Array(size)))
        }
      }
      // What was given stays as it was.
      assert.isTrue(Buffer.from(plaintext).equals(bytesOf(size, n + 1000)))
    }
  }))

it.effect("derives the same keys from a passphrase", () =>
  Effect.gen(function*() {
    const salt = bytesOf(16)
    const native = yield* NodePlatform.make.scrypt("Zoë 日本", salt, 10)
    assert.deepStrictEqual(new Uint8Array(native), yield* Platform.portable.scrypt("Zoë 日本", salt, 10))
  }))

it.effect("says so if a passphrase takes more memory than there is, before that much is used", () =>
  Effect.gen(function*() {
    for (const { scrypt } of [NodePlatform.make, Platform.portable]) {
      const error = yield* Effect.flip(scrypt("four words", new Uint8Array(16), 50))
      assert.strictEqual(error._tag, "NotEnoughMemory")
    }
    const passphrase = Redacted.make("four words")
    const { body } = yield* Effect.provide(
      Encryption.encrypt(FileBody.text("hello"), { passphrase }),
      NodePlatform.layer
    )
    const encrypted = yield* Stream.mkUint8Array(body.open("owned"))
    const small: Platform.Platform = {
      ...NodePlatform.make,
      scrypt: () => Effect.fail({ _tag: "NotEnoughMemory", free: 100 * 1024 * 1024 })
    }
    const decrypted = Stream.mkUint8Array(Encryption.decrypt(Stream.succeed(encrypted), { passphrase }))
    const error = yield* Effect.flip(Effect.provideService(decrypted, Platform.CurrentPlatform, small))
    assert(error.reason._tag === "DecryptionFailed")
    assert.strictEqual(error.reason.problem, "workFactor")
    assert.strictEqual(error.reason.detail, "it takes 256 MiB of memory, and 100 MiB can be used")
    const refused = yield* Effect.flip(
      Effect.provideService(
        Encryption.encrypt(FileBody.text("hello"), { passphrase }),
        Platform.CurrentPlatform,
        small
      )
    )
    assert.strictEqual(refused.stored, "no")
    assert.match(refused.message, /invalid encryption\.passphrase: it takes 256 MiB.*encrypt for a key/)
  }))

it.live("is that of the client's layer in every call, whatever is in the context of the call", () =>
  Effect.gen(function*() {
    const host = yield* NodeFaultHost.make()
    const used = { seal: 0, open: 0, scrypt: 0 }
    const native = yield* NodePlatform.make.cipher
    const platform: Platform.Platform = {
      ...NodePlatform.make,
      cipher: Effect.succeed({
        seal: (...args) => {
          used.seal++
          native.seal(...args)
        },
        open: (...args) => {
          used.open++
          return native.open(...args)
        }
      }),
      scrypt: (...args) => {
        used.scrypt++
        return NodePlatform.make.scrypt(...args)
      }
    }
    const { apiKey, baseUrl } = host
    const context = yield* Layer.build(
      FileIo.layerTransport({ baseUrl, apiKey, checkLimits: false }).pipe(
        Layer.provide(NodeHttp.layer()),
        Layer.provide(Layer.succeed(Platform.CurrentPlatform, platform))
      )
    )
    const fileIo = Context.get(context, FileIo.FileIo)
    const passphrase = Redacted.make("four or five random words")
    const content = bytesOf(200_000)
    const body = FileBody.bytes(content)
    const file = yield* fileIo.upload(body, { encryption: { passphrase } })
    // One chunk is the file's key in the header.
    assert.deepStrictEqual(used, { seal: 5, open: 0, scrypt: 1 })
    const changed = yield* fileIo.update(file.key, { file: body, encryption: "link" })
    assert.deepStrictEqual(used, { seal: 10, open: 0, scrypt: 1 })
    assert.isTrue(Buffer.from((yield* fileIo.downloadBytes(changed.link)).bytes).equals(content))
    assert.strictEqual(used.open, 5)
  }).pipe(Effect.scoped))
