import { assert, describe, it } from "@effect/vitest"
import { AdaptiveRate } from "../src/internal/limit/adaptiveRate.ts"

/** Serves requests at the rate in force, one after the other, until a time. */
const saturate = (rate: AdaptiveRate, from: number, until: number, limit: number | undefined) => {
  let now = from
  while (now < until) {
    now += 1000 / rate.current(limit)
    rate.served(now, now - 1, true, limit)
  }
  return now
}

/** Runs against a host that refuses every request that comes sooner after the one before than its rate allows. */
const against = (real: number, rate: AdaptiveRate, from: number, until: number, limit: number | undefined) => {
  let now = from
  let refused = 0
  while (now < until) {
    const current = rate.current(limit)
    now += 1000 / current
    if (current <= real) rate.served(now, now - 1, true, limit)
    else {
      refused++
      now += rate.rejected(now, now - 1, undefined, limit, 0.5) ?? 0
      // After the pause there is room for one.
      if (real > 0) rate.served(now + 2, now + 1, true, limit)
    }
  }
  return { refused, now }
}

describe("AdaptiveRate", () => {
  it("uses all of a limit that is not refused", () => {
    const rate = new AdaptiveRate()
    saturate(rate, 0, 60_000, 10)
    assert.deepStrictEqual(rate.quota(10), { limit: 10, window: 1000 })
    assert.isFalse(rate.isReduced)
  })

  it("rounds a limit down to whole requests, and spreads one below 1 a second", () => {
    const rate = new AdaptiveRate()
    assert.deepStrictEqual(rate.quota(2.5), { limit: 2, window: 1000 })
    assert.deepStrictEqual(rate.quota(0.5), { limit: 1, window: 2000 })
  })

  it("halves at a refusal, and once for requests that were out together", () => {
    const rate = new AdaptiveRate()
    rate.served(10, 0, false, 10)
    assert.strictEqual(rate.rejected(1000, 900, undefined, 10, 0), 1000)
    assert.strictEqual(rate.rejected(1001, 901, undefined, 10, 0), undefined)
    assert.strictEqual(rate.current(10), 5)
  })

  it("keeps its rate where its first request was refused: it has not used it", () => {
    const rate = new AdaptiveRate()
    rate.rejected(100, 50, 1000, 10, 0)
    assert.strictEqual(rate.current(10), 10)
    assert.strictEqual(rate.consecutiveRejections, 1)
  })

  for (const [limit, part] of [[1, 1 / 2], [3, 1 / 2], [10, 1 / 2], [100, 1 / 2], [10, 0.9], [10, 1 / 8]] as const) {
    it(`finds ${part} of ${limit} within a minute, stays there, and tries more ever less often`, () => {
      const real = limit * part
      const rate = new AdaptiveRate()
      rate.served(10, 0, false, limit)
      const first = against(real, rate, 0, 60_000, limit)
      assert.isAtLeast(rate.current(limit), 0.9 * real)
      assert.isAtMost(rate.current(limit), real)
      const later = against(real, rate, first.now, first.now + 3_600_000, limit)
      assert.isAtLeast(rate.current(limit), 0.9 * real)
      assert.isBelow(later.refused / (3600 * real), 0.01)
    })
  }

  it("goes back to all of the limit when nothing is refused any more", () => {
    const rate = new AdaptiveRate()
    const first = against(5, rate, 0, 60_000, 10)
    saturate(rate, first.now, first.now + 600_000, 10)
    assert.strictEqual(rate.current(10), 10)
    assert.isFalse(rate.isReduced)
  })

  it("does not try more while nobody waits for it", () => {
    const rate = new AdaptiveRate()
    rate.served(10, 0, false, 10)
    rate.rejected(1000, 900, undefined, 10, 0)
    for (let now = 2000; now < 100_000; now += 100) rate.served(now, now - 1, false, 10)
    assert.strictEqual(rate.current(10), 5)
  })

  it("begins with half where others used the account before the limit was known", () => {
    const rate = new AdaptiveRate()
    rate.rejected(100, 50, 1000, 1, 0)
    rate.limitChanged(10, true)
    assert.strictEqual(rate.current(10), 5)
    rate.limitChanged(20, false)
    assert.strictEqual(rate.current(20), 20)
  })

  it("gives way in a shared account while it has more than half, and insists on an eighth", () => {
    const rate = new AdaptiveRate()
    let now = saturate(rate, 0, 60_000, 16)
    for (let n = 0; n < 40; n++) {
      const before = rate.current(16)
      rate.rejected(now, now - 1, 1000, 16, 0)
      if (before > 8) assert.isBelow(rate.current(16), before)
      now = saturate(rate, now + 1000, now + 1001, 16)
    }
    assert.strictEqual(rate.current(16), 2)
  })

  it("searches from 10 a second where no limit is given, twice as fast until it is refused", () => {
    const rate = new AdaptiveRate()
    assert.strictEqual(rate.current(undefined), 10)
    const { now } = against(300, rate, 0, 60_000, undefined)
    assert.isAtLeast(rate.current(undefined), 270)
    assert.isAtMost(rate.current(undefined), 300)
    against(0, rate, now, now + 3_600_000, undefined)
    assert.isAtMost(rate.current(undefined), 1 / 60)
  })

  it("waits as long as the host asks, at most a day", () => {
    const rate = new AdaptiveRate()
    assert.strictEqual(rate.rejected(0, -1, 7000, 10, 1), 7000)
    assert.strictEqual(rate.rejected(1, -1, 9000, 10, 1), 9000)
    assert.strictEqual(rate.rejected(2, -1, 1e12, 10, 1), 24 * 3_600_000)
  })

  it("spreads the pauses after further refusals at random, so that two clients do not stay in step", () => {
    const pauseOf = (random: number) => {
      const rate = new AdaptiveRate()
      rate.served(0, -1, false, 10)
      rate.rejected(1000, 900, 1000, 10, random)
      return rate.rejected(2100, 2050, 1000, 10, random)!
    }
    assert.strictEqual(pauseOf(0), 1000)
    assert.strictEqual(pauseOf(1), 1500)
  })
})
