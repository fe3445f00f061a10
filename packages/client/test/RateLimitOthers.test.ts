/** An account that something else uses too, and a host whose limit is lower than the one that it gives. */
import { type FileIo, RateLimit } from "@effect-fileio/client"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Logger, Random } from "effect"
import { TestClock } from "effect/testing"
import { modelHost } from "./utils/modelHost.ts"

const HOSTS = [
  { countsRefused: false, hasRetryAfter: false },
  { countsRefused: false, hasRetryAfter: true },
  { countsRefused: true, hasRetryAfter: false },
  { countsRefused: true, hasRetryAfter: true }
]

/** Makes calls on several fibers, as many as the limit takes and more. Returns how many failed. */
const busy = Effect.fnUntraced(function*(client: FileIo.Service, fibers: number) {
  const failed = { count: 0 }
  const call = Effect.tapError(client.list(), () => Effect.sync(() => failed.count++))
  for (let n = 0; n < fibers; n++) yield* Effect.forkScoped(Effect.forever(Effect.ignore(call)))
  return failed
})

const seconds = (count: number) => TestClock.adjust(count * 1000)

describe("a limit that is as the host says", () => {
  for (const limit of [1, 3, 10, 100]) {
    it.effect(
      `is not exceeded, and 0.95 of it is used in steady state: ${limit} a second`,
      () =>
        Effect.gen(function*() {
          for (const roundTrip of [0, 50, 200]) {
            yield* Effect.scoped(Effect.gen(function*() {
              const jitter = roundTrip === 0 ? 1 : 10
              const host = modelHost({
                reported: limit,
                limit,
                countsRefused: true,
                hasRetryAfter: true,
                roundTrip,
                jitter
              })
              yield* busy(yield* host.client("one"), limit * 2)
              // Long enough that one gap more or less does not matter.
              const length = limit === 100 ? 8 : limit === 1 ? 400 : 100 / Math.sqrt(limit)
              yield* seconds(length)
              const from = yield* Clock.currentTimeMillis
              yield* seconds(length)
              const all = host.share(0, Infinity)
              const { served } = host.share(from, from + length * 1000)
              assert.strictEqual(all.refused, 0, `${roundTrip} ms`)
              assert.isAtLeast(served / (length * limit), 0.95, `${roundTrip} ms`)
            })).pipe(Random.withSeed(1))
          }
        })
    )
  }
})

/** `RateLimitSharing.test.ts` looks at many more hosts and seeds, without the rest of the client. */
describe("a limit that is lower than the host says", () => {
  for (const [reported, limit, window] of [[1, 1, 2000], [3, 2, 1000], [10, 5, 1000]] as const) {
    it.effect(
      `a host that reports ${reported} per second and allows ${limit} in ${window} ms: the limit is found in a minute and remembered`,
      () =>
        Effect.forEach(HOSTS, (kind) =>
          Effect.scoped(Effect.gen(function*() {
            const host = modelHost({ reported, limit, window, roundTrip: 200, jitter: 10, ...kind })
            const failed = yield* busy(yield* host.client("one"), reported * 3)
            yield* seconds(60)
            const from = yield* Clock.currentTimeMillis
            yield* seconds(120)
            const { refusedPart, served } = host.share(from, from + 120_000)
            assert.isBelow(refusedPart, 0.01, JSON.stringify(kind))
            assert.isAtLeast(served / (120 * limit * 1000 / window), 0.9, JSON.stringify(kind))
            assert.strictEqual(failed.count, 0, JSON.stringify(kind))
          })).pipe(Random.withSeed(1)), { discard: true })
    )
  }
})

describe("an account that two processes use without a store", () => {
  for (const [n, kind] of HOSTS.entries()) {
    const limit = [3, 10, 5, 2][n]!
    it.effect(
      `both get at least a quarter of ${limit} a second: ${JSON.stringify(kind)}`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const host = modelHost({ reported: limit, limit, roundTrip: 20, jitter: 5, ...kind })
          const first = yield* busy(yield* host.client("first"), limit * 2)
          yield* seconds(30)
          const from = yield* Clock.currentTimeMillis
          const second = yield* busy(yield* host.client("second"), limit * 2)
          yield* seconds(180)
          assert.deepStrictEqual([first.count, second.count], [0, 0], "nothing fails")
          for (const name of ["first", "second"]) {
            assert.isAtLeast(host.share(from, from + 180_000, name).served / (180 * limit), 0.25, name)
          }
        })).pipe(Random.withSeed(3))
    )
  }

  it.effect(
    "a single call beside a busy process is answered within a minute, and that one is soon at its full rate again",
    () =>
      Effect.forEach(HOSTS, (kind) =>
        Effect.scoped(Effect.gen(function*() {
          const limit = 3
          const host = modelHost({ reported: limit, limit, roundTrip: 20, jitter: 5, ...kind })
          yield* busy(yield* host.client("busy"), limit * 2)
          yield* seconds(47)
          const alone = yield* host.client("alone")
          // As the command line makes it.
          const call = yield* Effect.forkScoped(RateLimit.withRateLimit(alone.list(), RateLimit.unlimited))
          yield* seconds(60)
          assert.isDefined(call.pollUnsafe(), JSON.stringify(kind))
          yield* Fiber.join(call)
          yield* seconds(120)
          const now = yield* Clock.currentTimeMillis
          const { served } = host.share(now - 60_000, now, "busy")
          assert.isAtLeast(served / (60 * limit), 0.85, JSON.stringify(kind))
        })).pipe(Random.withSeed(7)), { discard: true })
  )

  it.effect("the log says once that something else uses the account, and what to do", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => {
      lines.push(String(message))
    })
    return Effect.scoped(Effect.gen(function*() {
      const host = modelHost({ reported: 3, limit: 3, countsRefused: false, hasRetryAfter: true })
      yield* busy(yield* host.client("first"), 9)
      yield* seconds(30)
      yield* busy(yield* host.client("second"), 9)
      yield* seconds(120)
      const hints = lines.filter((line) => line.includes("something else uses it"))
      // One of each process.
      assert.strictEqual(hints.length, 2)
      assert.strictEqual(lines.filter((line) => line.includes("refused a request")).length, 2)
      for (const hint of hints) {
        assert.include(hint, "Redis")
        assert.include(hint, "its own key")
        assert.notInclude(hint, "KEY")
      }
    })).pipe(Random.withSeed(1), Effect.provide(Logger.layer([logger])))
  })
})
