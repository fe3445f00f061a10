/** Rules of single leases, for any catalog; `leases.test.ts` walks through all of them in any order. */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Catalog from "../src/Catalog.ts"

export const GRACE = 30_000
/** Bytes per second. */
export const RATE = 1280

export type Engine = Layer.Layer<Catalog.Catalog, unknown>

let blobs = 0
export const file = (changes: Partial<Catalog.NewFile> = {}): Catalog.NewFile => ({
  blob: `blob${++blobs}`,
  owner: "anna",
  plan: "premium",
  name: "file.txt",
  title: null,
  mimeType: "text/plain",
  // So large that a lease of it is worth resuming.
  size: 10_000_000,
  expires: null,
  maxDownloads: 1,
  autoDelete: true,
  created: 0,
  ...changes
})

export const claimed = (claim: Catalog.Claim): Catalog.Lease => {
  assert.strictEqual(claim._tag, "Claimed")
  return (claim as { readonly lease: Catalog.Lease }).lease
}

/** Tests of the rules, for an engine with this grace time and rate. */
export const leaseRules = (engine: Engine) => {
  it.effect("lets only the newest transfer of a lease end it, or give it back", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const { key } = yield* catalog.insert(file())
      const first = claimed(yield* catalog.claim(key))
      const second = Option.getOrThrow(yield* catalog.resume(key, first.id))
      assert.deepStrictEqual([first.generation, second.generation, second.counted], [1, 2, false])
      assert.strictEqual((yield* Effect.flip(catalog.handOver(first)))._tag, "LeaseEnded")
      yield* catalog.release(first, 0)
      assert.strictEqual((yield* catalog.claim(key))._tag, "InProgress")
      yield* catalog.release(second, 0)
      assert.strictEqual((yield* Effect.flip(catalog.handOver(second)))._tag, "LeaseEnded")
      const third = Option.getOrThrow(yield* catalog.resume(key, first.id))
      yield* catalog.handOver(third)
      // Its last byte may have been sent, so it counts, and further requests of its holder count for nothing.
      const fourth = Option.getOrThrow(yield* catalog.resume(key, first.id))
      assert.isTrue(fourth.counted)
      assert.strictEqual((yield* catalog.claim(key))._tag, "Gone")
      yield* catalog.release(third, 0)
      yield* catalog.release(fourth, 0)
      yield* catalog.commit(third)
      assert.strictEqual((yield* catalog.claim(key))._tag, "Gone")
    }).pipe(Effect.provide(engine)))

  it.effect("ends a lease without sent bytes after the patience and the grace time, however often it is resumed", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const { key } = yield* catalog.insert(file())
      const lease = claimed(yield* catalog.claim(key))
      for (let left = 60 + 30; left > 0; left -= 10) {
        assert.strictEqual((yield* catalog.claim(key))._tag, "InProgress", `${left} s before the end`)
        // Single bytes gain no noticeable time.
        yield* catalog.release(Option.getOrThrow(yield* catalog.resume(key, lease.id)), 0)
        yield* TestClock.adjust("10 seconds")
      }
      assert.isTrue(Option.isNone(yield* catalog.resume(key, lease.id)))
      const other = claimed(yield* catalog.claim(key))
      yield* catalog.handOver(other)
      yield* catalog.commit(other)
    }).pipe(Effect.provide(engine)))

  it.effect("lets a lease last as long as its bytes go out at the minimum rate, until all of the file could have", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const seconds = 4096
      const { key } = yield* catalog.insert(file({ size: seconds * RATE }))
      let lease = claimed(yield* catalog.claim(key))
      // Much more than is needed: treated like the minimum rate.
      for (let left = seconds + 60 + 30; left > 0; left -= 5) {
        assert.strictEqual((yield* catalog.claim(key))._tag, "InProgress", `${left} s before the end`)
        yield* catalog.prolong([{ lease, sent: 50 * RATE }])
        if (left % 100 === 0) {
          yield* catalog.release(lease, 10 * RATE)
          lease = Option.getOrThrow(yield* catalog.resume(key, lease.id))
        }
        yield* TestClock.adjust(`${Math.min(5, left)} seconds`)
      }
      assert.isTrue(Option.isNone(yield* catalog.resume(key, lease.id)))
      assert.strictEqual((yield* catalog.claim(key))._tag, "Claimed")
    }).pipe(Effect.provide(engine)))

  it.effect("keeps a counted lease, and its bytes, while other ranges of the file go out at the minimum rate", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const isGarbage = (blob: string) => Effect.map(catalog.garbage(""), (all) => all.includes(blob))
      const seconds = 600
      const given = file({ size: seconds * RATE })
      const { key } = yield* catalog.insert(given)
      const lease = claimed(yield* catalog.claim(key))
      // A download manager gets the end of the file first.
      yield* catalog.handOver(lease)
      yield* catalog.commit(lease)
      assert.strictEqual((yield* catalog.claim(key))._tag, "Gone")
      let other = Option.getOrThrow(yield* catalog.resume(key, lease.id))
      for (let passed = 0; passed < seconds; passed += 5) {
        yield* TestClock.adjust("5 seconds")
        yield* catalog.prolong([{ lease: other, sent: 3 * RATE }])
        if (passed % 100 === 0) {
          yield* catalog.release(other, 2 * RATE)
          other = Option.getOrThrow(yield* catalog.resume(key, lease.id))
        } else yield* catalog.prolong([{ lease: other, sent: 2 * RATE }])
        assert.isFalse(yield* isGarbage(given.blob), `after ${passed} s`)
      }
      yield* catalog.release(other, 0)
      yield* TestClock.adjust("31 seconds")
      assert.isTrue(Option.isNone(yield* catalog.resume(key, lease.id)))
      yield* catalog.bury
      assert.isTrue(yield* isGarbage(given.blob))
    }).pipe(Effect.provide(engine)))

  it.effect("ends a counted lease however often its holder asks for single bytes", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const { key } = yield* catalog.insert(file({ size: 600 * RATE }))
      const lease = claimed(yield* catalog.claim(key))
      yield* catalog.handOver(lease)
      yield* catalog.commit(lease)
      let passed = 0
      for (; passed < 600; passed += 5) {
        const again = yield* catalog.resume(key, lease.id)
        if (Option.isNone(again)) break
        yield* catalog.prolong([{ lease: again.value, sent: 1 }])
        yield* catalog.release(again.value, 1)
        yield* TestClock.adjust("5 seconds")
      }
      // The patience and the grace time of the claim, and what the bytes gain.
      assert.isBelow(passed, 120)
    }).pipe(Effect.provide(engine)))

  it.effect("gives a lease back whose bytes go out at half of the minimum rate", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const { key } = yield* catalog.insert(file())
      const lease = claimed(yield* catalog.claim(key))
      // The ninety seconds of patience are used up at half the speed.
      for (let passed = 0; passed < 2 * 90 - 5; passed += 5) {
        assert.strictEqual((yield* catalog.claim(key))._tag, "InProgress", `after ${passed} s`)
        yield* TestClock.adjust("5 seconds")
        yield* catalog.prolong([{ lease, sent: 2.5 * RATE }])
      }
      const other = claimed(yield* catalog.claim(key))
      assert.strictEqual((yield* Effect.flip(catalog.handOver(lease)))._tag, "LeaseEnded")
      yield* catalog.handOver(other)
    }).pipe(Effect.provide(engine)))

  it.effect("gives a small file back as soon as its transfer breaks", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const { key } = yield* catalog.insert(file({ size: 4 * 1024 * 1024 }))
      const broken = claimed(yield* catalog.claim(key))
      yield* catalog.release(broken, 0)
      assert.strictEqual((yield* catalog.peek(key))._tag, "Available")
      assert.isTrue(Option.isNone(yield* catalog.resume(key, broken.id)))
      const next = claimed(yield* catalog.claim(key))
      assert.strictEqual((yield* Effect.flip(catalog.handOver(broken)))._tag, "LeaseEnded")
      yield* catalog.handOver(next)
      yield* catalog.commit(next)
      assert.strictEqual((yield* catalog.claim(key))._tag, "Gone")
    }).pipe(Effect.provide(engine)))

  it.effect("says how many downloads were begun, and counts one from its first byte where that is asked for", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const begun = (key: string) =>
        Effect.map(
          catalog.get(key),
          Option.map(({ attempts, downloads, lastAttempt }) => [attempts, downloads, lastAttempt])
        )
      const usual = yield* catalog.insert(file())
      yield* TestClock.adjust("1 second")
      const lease = claimed(yield* catalog.claim(usual.key))
      assert.deepStrictEqual(yield* begun(usual.key), Option.some([1, 0, 1000]))
      yield* catalog.release(lease, 0)
      yield* catalog.release(Option.getOrThrow(yield* catalog.resume(usual.key, lease.id)), 0)
      assert.deepStrictEqual(yield* begun(usual.key), Option.some([1, 0, 1000]))
      yield* TestClock.adjust("30 seconds")
      yield* catalog.claim(usual.key)
      assert.deepStrictEqual(yield* begun(usual.key), Option.some([2, 0, 31_000]))

      for (const size of [1, 10_000_000]) {
        const { key } = yield* catalog.insert(file({ size, countFrom: "first-byte", autoDelete: false }))
        const first = claimed(yield* catalog.claim(key))
        yield* catalog.release(first, 0)
        // Its holder may resume for the grace time, others get nothing.
        assert.strictEqual((yield* catalog.claim(key))._tag, "InProgress")
        yield* catalog.release(Option.getOrThrow(yield* catalog.resume(key, first.id)), 0)
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* catalog.peek(key))._tag, "Gone")
        assert.strictEqual((yield* catalog.claim(key))._tag, "Gone")
        yield* catalog.bury
        assert.strictEqual(Option.getOrThrow(yield* catalog.get(key)).downloads, 1)
      }
    }).pipe(Effect.provide(engine)))

  it.effect("takes back a claim without sent bytes, as if it had never been made", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const { key } = yield* catalog.insert(file({ countFrom: "first-byte", autoDelete: false }))
      for (let i = 0; i < 3; i++) yield* catalog.abandon(claimed(yield* catalog.claim(key)))
      const { attempts, downloads } = Option.getOrThrow(yield* catalog.get(key))
      assert.deepStrictEqual([attempts, downloads], [0, 0])
      const lease = claimed(yield* catalog.claim(key))
      // The bytes of its first transfer were sent, so it counts.
      yield* catalog.abandon(Option.getOrThrow(yield* catalog.resume(key, lease.id)))
      assert.strictEqual((yield* catalog.claim(key))._tag, "InProgress")
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* catalog.claim(key))._tag, "Gone")
    }).pipe(Effect.provide(engine)))

  it.effect("counts from its first byte a download that comes after many broken ones", () =>
    Effect.gen(function*() {
      const catalog = yield* Catalog.Catalog
      const { key } = yield* catalog.insert(file({ size: 1, autoDelete: false, maxDownloads: 2 }))
      for (let broken = 0; broken < 100; broken++) {
        yield* catalog.release(claimed(yield* catalog.claim(key)), 0)
        assert.strictEqual((yield* catalog.peek(key))._tag, "Available", `after ${broken} broken ones`)
      }
      for (const downloads of [1, 2]) {
        yield* catalog.release(claimed(yield* catalog.claim(key)), 0)
        yield* TestClock.adjust("30 seconds")
        yield* catalog.bury
        assert.strictEqual(Option.getOrThrow(yield* catalog.get(key)).downloads, downloads)
      }
      assert.strictEqual((yield* catalog.claim(key))._tag, "Gone")
    }).pipe(Effect.provide(engine)))
}
