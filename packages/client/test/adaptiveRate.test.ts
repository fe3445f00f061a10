import { assert, describe, it } from "@effect/vitest"
import { AdaptiveRate, type HostRate } from "../src/internal/limit/adaptiveRate.ts"

/** Serves requests at the rate in force, one after the other, until a time. */
const saturate = (rate: AdaptiveRate, from: number, until: number, limit: HostRate) => {
  let now = from
  while (now < until) {
    now += 1000 / rate.current(limit)
    rate.served(now, now - 1, true, limit)
  }
  return now
}

/** Runs against a host that refuses every request that comes sooner after the one before than its rate allows. */
const against = (real: number, rate: AdaptiveRate, from: number, until: number, limit: HostRate) => {
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

/** A refusal after a pause that let one request through. */
const refuse = (rate: AdaptiveRate, now: number, limit: HostRate) => {
  rate.rejected(now, now - 1, 1000, limit, 0)
  rate.served(now + 1001, now + 1000, true, limit)
  return now + 1001
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

  it("falls to half of the limit at a refusal, and once for requests that were out together", () => {
    for (const [limit, fair] of [[1, 0.32], [2, 0.77], [10, 4.57], [100, 47.76]] as const) {
      const rate = new AdaptiveRate()
      rate.served(10, 0, false, limit)
      assert.strictEqual(rate.rejected(1000, 900, undefined, limit, 0), 1000)
      assert.strictEqual(rate.rejected(1001, 901, undefined, limit, 0), undefined)
      assert.closeTo(rate.current(limit), fair, 0.01)
      assert.isTrue(rate.leavesRoom(limit))
    }
  })

  it("keeps its lower rate while it is refused in a row: it has not used it", () => {
    const rate = new AdaptiveRate()
    rate.rejected(100, 50, 1000, 10, 0)
    const lower = rate.current(10)
    assert.isBelow(lower, 5)
    for (let n = 1; n < 20; n++) rate.rejected(n * 2000, n * 2000 - 50, 1000, 10, 0)
    assert.strictEqual(rate.current(10), lower)
    assert.strictEqual(rate.consecutiveRejections, 20)
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
    const found = rate.current(10)
    for (let now = 2000; now < 100_000; now += 100) rate.served(now, now - 1, false, 10)
    assert.strictEqual(rate.current(10), found)
  })

  it("keeps to one request a second until the limit is known, and starts at half of it if that was refused", () => {
    const rate = new AdaptiveRate()
    rate.served(10, 0, true, undefined)
    rate.rejected(100, 50, 1000, undefined, 0)
    assert.strictEqual(rate.current(undefined), 1)
    rate.hostRateChanged(10, true)
    assert.closeTo(rate.current(10), 4.57, 0.01)
    rate.hostRateChanged(20, false)
    assert.strictEqual(rate.current(20), 20)
  })

  it("lowers its rate at every refusal while it is above half of the limit", () => {
    const rate = new AdaptiveRate()
    let now = refuse(rate, saturate(rate, 0, 60_000, 16), 16)
    now = saturate(rate, now, now + 60_000, 16)
    assert.isFalse(rate.leavesRoom(16))
    while (!rate.leavesRoom(16)) {
      const before = rate.current(16)
      now = refuse(rate, now, 16)
      assert.isBelow(rate.current(16), before)
    }
  })

  it("keeps half of the limit and less: a refusal now and then changes nothing, many in a row do", () => {
    const rate = new AdaptiveRate()
    let now = refuse(rate, saturate(rate, 0, 60_000, 16), 16)
    const fair = rate.current(16)
    for (let n = 0; n < 20; n++) {
      now = refuse(rate, now + 15_000, 16)
      assert.strictEqual(rate.current(16), fair)
    }
    let refusals = 0
    for (; rate.current(16) === fair; refusals++) now = refuse(rate, now, 16)
    assert.isAtMost(refusals, 3)
    const lower = rate.current(16)
    let more = 0
    for (; rate.current(16) === lower; more++) now = refuse(rate, now, 16)
    assert.isAbove(more, refusals)
  })

  it("searches from 10 a second where no limit is given, twice as fast until it is refused", () => {
    const rate = new AdaptiveRate()
    assert.strictEqual(rate.current(null), 10)
    const { now } = against(300, rate, 0, 60_000, null)
    assert.isAtLeast(rate.current(null), 270)
    assert.isAtMost(rate.current(null), 300)
    against(0, rate, now, now + 3_600_000, null)
    assert.isAtMost(rate.current(null), 1 / 60)
  })

  it("waits as long as the host asks, at most a day", () => {
    const rate = new AdaptiveRate()
    assert.strictEqual(rate.rejected(0, -1, 7000, 10, 1), 7000)
    assert.strictEqual(rate.rejected(1, -1, 9000, 10, 1), 9000)
    assert.strictEqual(rate.rejected(2, -1, 1e12, 10, 1), 24 * 3_600_000)
  })

  it("keeps the first pause exact and spreads later ones at random, so that two clients do not stay in step", () => {
    const pausesOf = (random: number) => {
      const rate = new AdaptiveRate()
      rate.served(0, -1, false, 10)
      return [1000, 2100].map((now) => rate.rejected(now, now - 50, 1000, 10, random)!)
    }
    assert.deepStrictEqual(pausesOf(0), [1000, 1000])
    assert.deepStrictEqual(pausesOf(1), [1000, 5000])
  })

  it("waits at most ten seconds longer than the host asks", () => {
    const rate = new AdaptiveRate()
    rate.served(0, -1, false, 10)
    const pauses = Array.from({ length: 20 }, (_, n) => rate.rejected(60_000 * n, 60_000 * n - 1, 20_000, 10, 1)!)
    assert.strictEqual(pauses[0], 20_000)
    assert.strictEqual(Math.max(...pauses), 30_000)
  })

  it("tries about every second once it was refused often, to find the gap of a busy process, with some longer pauses", () => {
    const rate = new AdaptiveRate()
    const pauses = Array.from(
      { length: 33 },
      (_, n) => rate.rejected(10_000 * n, 10_000 * n - 1, undefined, undefined, 1)!
    )
    assert.isBelow(Math.max(...pauses.slice(4, 15), ...pauses.slice(16, 31)), 1100)
    assert.isAtLeast(Math.min(...pauses.slice(1, 4), pauses[15]!, pauses[31]!), 5000)
  })

  it("asks a host that refuses everything ever less often, down to once in a minute", () => {
    const rate = new AdaptiveRate()
    let now = 0
    let pause = 0
    for (let n = 0; n < 20_000; n++) {
      pause = rate.rejected(now, now - 1, undefined, 10, 0)!
      now += pause + 1
    }
    assert.strictEqual(pause, 60_000)
  })
})
