import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Blobs from "../src/Blobs.ts"
import * as DataFolder from "../src/DataFolder.ts"
import * as FolderBlobs from "../src/FolderBlobs.ts"
import * as Range from "../src/internal/http/range.ts"
import * as Spool from "../src/internal/s3/spool.ts"
import * as DrawnRandom from "../src/internal/shared/drawnRandom.ts"
import * as Key from "../src/internal/shared/key.ts"
import * as RateCounter from "../src/RateCounter.ts"
import { temporaryFolder } from "./support.ts"

describe("random bytes that are drawn in advance", () => {
  it.effect("are given once, in any sizes, and as likely as any others", () =>
    Effect.gen(function*() {
      const random = DrawnRandom.make()
      const seen = new Set<string>()
      const counts = new Uint32Array(256)
      let total = 0
      for (let i = 0; i < 12_000; i++) {
        const size = 8 + i % 60
        const bytes = yield* random.randomBytes(size)
        assert.strictEqual(bytes.length, size)
        // None shares memory with others, or with what is yet to be given.
        assert.strictEqual(bytes.buffer.byteLength, size)
        seen.add(Buffer.from(bytes).subarray(0, 8).toString("hex"))
        for (const byte of bytes) counts[byte]!++
        total += size
        bytes.fill(0)
      }
      assert.strictEqual(seen.size, 12_000)
      // Chance alone strays by about 2.3 % here.
      for (const count of counts) assert.approximately(count, total / 256, total / 256 * 0.16)
      for (const size of [0, 4096, 4097, 100_000]) {
        const bytes = yield* random.randomBytes(size)
        assert.strictEqual(bytes.length, size)
        if (size > 0) assert.isAbove(new Set(bytes).size, 200)
      }
    }))
})

describe.skipIf(process.platform !== "linux")("the file in which a part of an upload is collected", () => {
  const isOpen = (path: string) =>
    Fs.readdirSync("/proc/self/fd").some((fd) => {
      try {
        return Fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(path)
      } catch {
        // It was that of the folder itself.
        return false
      }
    })

  it.live("is closed if the upload is given up while it is created, where nothing is written, and not created after that", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const bytes = new Uint8Array(64 * 1024)
      const path = Path.join(folder, "part")
      const used = Spool.make(folder, "part")
      yield* Effect.promise(() => used.append(bytes))
      assert.isTrue(isOpen(path))
      yield* Effect.promise(() => used.close())
      assert.isFalse(isOpen(path))

      const early = Spool.make(folder, "part")
      const appended = early.append(bytes)
      const [given, up] = yield* Effect.promise(() => Promise.allSettled([early.close(), appended]))
      assert.deepStrictEqual([given.status, up.status], ["fulfilled", "rejected"])
      assert.isFalse(isOpen(path))

      const late = Spool.make(folder, "part")
      yield* Effect.promise(() => late.close())
      yield* Effect.flip(Effect.tryPromise(() => late.append(bytes)))
      assert.isFalse(isOpen(path))
    }))
})

describe("keys", () => {
  it.effect("are 12 letters and digits, each as likely as any other", () =>
    Effect.gen(function*() {
      const random = yield* SecureRandom.SecureRandom
      const counts = new Map<string, number>()
      const total = 20_000
      for (let i = 0; i < total; i++) {
        const key = yield* Key.make(random)
        assert.match(key, /^[A-Za-z0-9]{12}$/)
        for (const letter of key) counts.set(letter, (counts.get(letter) ?? 0) + 1)
      }
      assert.strictEqual(counts.size, 62)
      // A byte modulo 62 would make the first 8 letters 25 % likelier; chance alone strays by about 1.6 % here.
      const expected = total * 12 / 62
      for (const [letter, count] of counts) assert.approximately(count, expected, expected * 0.12, letter)
    }).pipe(Effect.provide(NodeCrypto.layerSecureRandom)))

  it.effect("take no byte that would favour a letter", () =>
    Effect.gen(function*() {
      const bytes = [255, 248, 0, 247, 61, 62]
      let next = 0
      const key = yield* Key.make(
        {
          randomBytes: (size: number) =>
            Effect.sync(() => Uint8Array.from({ length: size }, () => bytes[next++ % bytes.length]!))
        } as unknown as SecureRandom.SecureRandom["Service"]
      )
      assert.strictEqual(key, "A99AA99AA99A")
    }))
})

describe("a rate counter", () => {
  it.effect("counts exactly: no second has more than the limit, and none that is allowed is refused", () =>
    Effect.gen(function*() {
      const { take } = yield* RateCounter.RateCounter
      const limit = 3
      const taken: Array<number> = []
      let now = 0
      for (let i = 0; i < 2000; i++) {
        const step = (i * 7919) % 401
        yield* TestClock.adjust(Duration.millis(step))
        now += step
        const inLastSecond = taken.filter((time) => now - time < 1000).length
        const { allowed, remaining, reset } = yield* take("a", limit)
        assert.strictEqual(allowed, inLastSecond < limit, `at ${now}`)
        assert.strictEqual(remaining, Math.max(0, limit - inLastSecond - 1))
        if (allowed) taken.push(now)
        else {
          const oldest = taken.at(-limit)!
          assert.strictEqual(Duration.toMillis(reset), oldest + 1000 - now)
        }
      }
      assert.isAbove(taken.length, 500)
      assert.isTrue((yield* take("another", limit)).allowed)
    }).pipe(Effect.provide(RateCounter.layer)))
})

describe("a range", () => {
  it("is read as RFC 9110 says, and ignored where it is none or several", () => {
    assert.deepStrictEqual(Range.parse("bytes=0-", 10), { start: 0, end: 10 })
    assert.deepStrictEqual(Range.parse("bytes=3-5", 10), { start: 3, end: 6 })
    assert.deepStrictEqual(Range.parse("bytes=9-99", 10), { start: 9, end: 10 })
    assert.deepStrictEqual(Range.parse("bytes=-3", 10), { start: 7, end: 10 })
    assert.deepStrictEqual(Range.parse("bytes=-30", 10), { start: 0, end: 10 })
    assert.strictEqual(Range.parse("bytes=10-", 10), "unsatisfiable")
    assert.strictEqual(Range.parse("bytes=-0", 10), "unsatisfiable")
    for (const header of [undefined, "", "bytes=", "bytes=-", "bytes=5-3", "bytes=0-1,3-4", "items=0-1", "bytes=a-b"]) {
      assert.isUndefined(Range.parse(header, 10), header)
    }
  })
})

describe("a blob", () => {
  it.live("has the bytes of all pieces, and takes the memory of no piece that is a part of something else", () =>
    Effect.gen(function*() {
      const blobs = yield* Blobs.Blobs
      const piece = 64 * 1024
      const pieces = 80
      const shared = new Uint8Array(2 * piece).fill(7)
      const written = yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* blobs.writer
        const whole: Array<Uint8Array> = []
        for (let n = 0; n < pieces; n++) {
          const bytes = new Uint8Array(piece).fill(n)
          whole.push(bytes)
          yield* writer.write(bytes)
          yield* writer.write(shared.subarray(0, piece))
        }
        yield* writer.finish
        yield* writer.keep
        assert.isTrue(whole.every(({ length }) => length === 0), "memory was not given back")
        return writer.id
      }))
      assert.isTrue(shared.length === 2 * piece && shared.every((byte) => byte === 7))
      const content = new Uint8Array(2 * pieces * piece)
      const read = yield* Effect.scoped(
        Effect.flatMap(blobs.open(written), ({ read }) => Effect.promise(() => read(content, 0)))
      )
      assert.strictEqual(read, content.length)
      for (let n = 0; n < 2 * pieces; n++) {
        const expected = n % 2 === 0 ? n / 2 : 7
        assert.isTrue(content.subarray(n * piece, (n + 1) * piece).every((byte) => byte === expected), `piece ${n}`)
      }
    }).pipe(
      Effect.provide(FolderBlobs.layer.pipe(Layer.provide([DataFolder.layerTemporary, NodeCrypto.layerSecureRandom])))
    ))
})
