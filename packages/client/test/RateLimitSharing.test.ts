/**
 * The shares of processes that use one account without a store, in a model. The constants of `adaptiveRate.ts` were chosen on
 * other seeds. `LIMIT_SEEDS=1000` tries more of them, `LIMIT_SEED=7` starts at another one.
 */
import { assert, describe, it } from "@effect/vitest"
import { simulate } from "./utils/limitModel.ts"
import { generator } from "./utils/modelHost.ts"

const SEEDS = Number(process.env["LIMIT_SEEDS"] ?? 40)
/** A hundred requests a second take as long as all other limits together. */
const seedsOf = (limit: number) => limit < 30 ? SEEDS : Math.ceil(SEEDS * 4 / limit)
const FIRST_SEED = Number(process.env["LIMIT_SEED"] ?? 20_000)

const HOSTS = [
  { countsRefused: false, hasRetryAfter: false },
  { countsRefused: false, hasRetryAfter: true },
  { countsRefused: true, hasRetryAfter: false },
  { countsRefused: true, hasRetryAfter: true }
]

const ROUND_TRIPS = [[2, 1], [20, 5], [50, 10], [200, 10], [200, 50]] as const

/** Several processes, the last of which has joined at `from`; they start together, or one after the other. */
const scene = (seed: number, limit: number, count: number) => {
  const random = generator(seed)
  const pick = <A>(values: ReadonlyArray<A>): A => values[Math.floor(random() * values.length)]!
  const [roundTrip, jitter] = pick(ROUND_TRIPS)
  const window = pick([1000, 1000, 2000, 10_000])
  const fibers = () => Math.max(2, Math.min(40, Math.ceil(limit * pick([1.5, 4]))))
  const isTogether = random() < 0.25
  let at = 0
  const processes = Array.from({ length: count }, (_, n) => {
    if (n > 0) at = isTogether ? random() * 2 : at + (n === 1 ? 20 : 0) + random() * 40
    return { at, fibers: fibers() }
  })
  const from = Math.max(...processes.map(({ at }) => at))
  // The limit is that of a second; other hosts count the same rate over a longer time.
  const options = {
    reported: limit,
    limit: limit * window / 1000,
    window,
    roundTrip,
    jitter,
    seed,
    ...HOSTS[seed % 4]!
  }
  return { options, processes, from }
}

const MINUTES = 3

/** The smallest share of each seed, the smallest first, and how many calls failed. */
const smallest = (limit: number, count: number) => {
  let failed = 0
  const shares = Array.from({ length: seedsOf(limit) }, (_, n) => {
    const { from, options, processes } = scene(FIRST_SEED + n, limit, count)
    const to = from + MINUTES * 60
    const model = simulate(options, processes, to)
    failed += model.failed.reduce((sum, each) => sum + each)
    const share = Math.min(...processes.map((_, process) => model.between(from, to, process).share))
    return { share, label: JSON.stringify({ ...options, processes }) }
  }).toSorted((a, b) => a.share - b.share)
  const part = (bound: number) => shares.filter(({ share }) => share < bound).length / shares.length
  return { failed, least: shares[0]!, median: shares[shares.length >> 1]!.share, part }
}

describe("two processes of one account", () => {
  for (const limit of [2, 3, 5, 10, 30, 100]) {
    it(`each get at least a quarter of ${limit} a second, and no call fails`, () => {
      const { failed, least, median } = smallest(limit, 2)
      assert.isAtLeast(least.share, 0.25, least.label)
      assert.isAtLeast(median, 0.37)
      assert.strictEqual(failed, 0)
    })
  }

  it("each get a quarter of one a second in most cases, though most of a minute may pass until they know of each other", () => {
    const { least, median, part } = smallest(1, 2)
    assert.isAtMost(part(0.25), 0.2, least.label)
    assert.isAtLeast(median, 0.28)
  })
})

describe("three processes of one account", () => {
  for (const limit of [3, 5, 10, 30, 100]) {
    it(`each get at least a sixth of ${limit} a second, and no call fails`, () => {
      const { failed, least, median } = smallest(limit, 3)
      assert.isAtLeast(least.share, 1 / 6, least.label)
      assert.isAtLeast(median, 0.21)
      assert.strictEqual(failed, 0)
    })
  }

  it("each get a sixth of two a second in most cases, and no call fails", () => {
    const { failed, least, median, part } = smallest(2, 3)
    assert.isAtMost(part(1 / 6), 0.25, least.label)
    assert.isAtLeast(median, 0.18)
    assert.strictEqual(failed, 0)
  })

  it("get a sixth of one a second in most cases", () => {
    assert.isAtLeast(smallest(1, 3).median, 1 / 6)
  })
})

describe("the command line beside a busy process", () => {
  for (const limit of [1, 3, 10, 100]) {
    it(`is answered within a minute at ${limit} a second, and the busy one goes back to its rate`, () => {
      for (let n = 0; n < seedsOf(limit); n++) {
        const [roundTrip, jitter] = ROUND_TRIPS[n % 4]!
        const options = { reported: limit, limit, roundTrip, jitter, seed: FIRST_SEED + n, ...HOSTS[n % 4]! }
        const at = 30 + (n * 3.7) % 50
        const model = simulate(options, [{ at: 0, fibers: limit * 3 }, { at, oneShotEvery: Infinity }], at + 240)
        const label = JSON.stringify({ ...options, at })
        assert.deepStrictEqual([...model.failed, model.oneShots.length], [0, 0, 1], label)
        assert.isAtLeast(model.between(at + 180, at + 240, 0).share, 0.85, label)
      }
    })
  }
})

describe("a host that takes less than the limit that it gives", () => {
  for (
    const [reported, limit] of [[6, 3], [20, 10], [60, 30], [200, 100], [3, 2], [10, 7], [10, 6], [10, 1]] as const
  ) {
    it(
      `refuses less than 1 % after a minute, and 0.9 of what it takes is used: ${limit} of ${reported} a second`,
      () => {
        for (let n = 0; n < seedsOf(limit); n++) {
          const [roundTrip, jitter] = ROUND_TRIPS[n % 4]!
          const options = { reported, limit, roundTrip, jitter, seed: FIRST_SEED + n, ...HOSTS[n % 4]! }
          const model = simulate(options, [{ at: 0, fibers: reported * 3 }], 240)
          const { refused, served, share } = model.between(60, 240)
          assert.isAtLeast(share, 0.9, JSON.stringify(options))
          assert.isBelow(refused / (served + refused), 0.01, JSON.stringify(options))
          assert.strictEqual(model.failed[0], 0, JSON.stringify(options))
        }
      }
    )
  }
})
