/** Node's ChaCha20-Poly1305 and scrypt against those in plain JavaScript, byte by byte. */
import { Platform } from "@effect-fileio/client"
import { NodePlatform } from "@effect-fileio/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
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
