import { Encryption, FileBody, FileIo, Platform } from "@effect-fileio/client"
import { FileIoTest } from "@effect-fileio/client/testing"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"

it.live("the code that decrypts a download is loaded before its request, since the host may count it", () => {
  const events: Array<string> = []
  const loads = <A, E>(what: string, effect: Effect.Effect<A, E>) =>
    Effect.tap(effect, () => Effect.sync(() => events.push(what)))
  const platform: Platform.Platform = {
    ...Platform.portable,
    cipher: loads("cipher", Platform.portable.cipher),
    scrypt: (passphrase, salt, logN) => loads("scrypt", Platform.portable.scrypt(passphrase, salt, Math.min(logN, 4)))
  }
  const passphrase = Redacted.make("correct horse")
  return Effect.gen(function*() {
    const fileIo = yield* FileIo.FileIo
    const host = yield* FileIoTest.FileIoTest
    const { identity } = yield* Encryption.generateIdentity
    for (const [encryption, options] of [["link", {}], [{ passphrase }, { passphrase }]] as const) {
      const { link } = yield* fileIo.upload(FileBody.text("secret"), { encryption })
      events.length = 0
      const before = (yield* host.requests).length
      const onProgress = () => Effect.sync(() => void events.push("bytes"))
      const { bytes } = yield* fileIo.downloadBytes(link, { ...options, onProgress })
      assert.strictEqual(new TextDecoder().decode(bytes), "secret")
      assert.isAbove((yield* host.requests).length, before)
      const first = events.indexOf("bytes")
      assert.isAbove(first, 0, events.join())
      assert.include(events.slice(0, first), "cipher")
      assert.strictEqual(events.slice(0, first).includes("scrypt"), encryption !== "link")
    }
    assert.match(Redacted.value(identity), /^AGE-SECRET-KEY-1/)
  }).pipe(Effect.provide(Layer.provide(FileIoTest.layer(), Layer.succeed(Platform.CurrentPlatform, platform))))
})
