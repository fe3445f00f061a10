import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { RoundTripStats } from "../src/internal/limit/roundTrip.ts"
import { ARRIVES_WITHIN, CONNECTS_WITHIN, SlidingWindow } from "../src/internal/limit/slidingWindow.ts"
import { StrictCounter } from "./utils/strictHost.ts"

const millis = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

/** The course of one request, chosen by the generator. */
const Request = Schema.Struct({
  after: millis(400),
  /** Milliseconds that it waits for a connection. */
  connect: Schema.Literals([0, 0, 0, 300, 9500, 15_000]),
  up: millis(1500),
  down: millis(1500),
  fate: Schema.Literals(["answered", "answered", "answered", "lost", "unsent"])
})

/** Runs requests as soon as there is a permit for each, and counts arrivals at the host. */
const simulate = (limit: number, requests: ReadonlyArray<typeof Request.Type>) => {
  const window = new SlidingWindow()
  const quota = { limit, window: 1000 }
  const counter = new StrictCounter()
  const arrivals: Array<number> = []
  const events: Array<{ readonly at: number; readonly run: (now: number) => void }> = []
  const at = (time: number, run: (now: number) => void) => {
    events.push({ at: time, run })
    events.sort((a, b) => a.at - b.at)
  }
  const waiting = [...requests]
  let started = 0
  const pump = (now: number) => {
    while (waiting.length > 0) {
      const free = window.freeAt(now, quota)
      if (free > now) {
        if (free !== Infinity) at(free, pump)
        return
      }
      const request = waiting.shift()!
      const permit = window.acquire(now)
      started++
      if (request.fate === "unsent") window.cancel(permit)
      else {
        const departs = now + request.connect
        if (request.connect > 0) {
          window.waitsForConnection(permit, now)
          at(departs, (time) => {
            window.departed(permit, time)
            pump(time)
          })
        }
        at(departs + request.up, (time) => arrivals.push(time))
        if (request.fate === "answered") {
          at(departs + request.up + request.down, (time) => {
            window.responded(permit, time)
            pump(time)
          })
        } else {
          // The caller was interrupted after the request was sent at the earliest; it arrives within a second of that.
          const gaveUp = departs + Math.max(0, request.up - 1000) + request.down / 2
          at(gaveUp, (time) => {
            window.countedAt(permit, time + 1000)
            pump(time)
          })
        }
      }
    }
  }
  let time = 0
  for (const { after } of requests) at(time += after, pump)
  let now = 0
  while (events.length > 0) {
    const next = events.shift()!
    now = next.at
    next.run(now)
  }
  for (const arrival of arrivals.toSorted((a, b) => a - b)) counter.arrive(arrival)
  return { window, quota, counter, started, now }
}

describe("SlidingWindow", () => {
  it.prop(
    "no interleaving of requests, responses, losses and time puts more requests in a second than the limit",
    [
      Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 }))),
      Arbitrary.schema(Schema.Array(Request).check(Schema.isMaxLength(60)))
    ],
    ([limit, requests]) => {
      const { counter, started } = simulate(limit, requests)
      assert.isAtMost(counter.worst, limit)
      assert.strictEqual(started, requests.length)
    },
    { arbitrary: { runs: 400 } }
  )

  it.prop(
    "no permit is lost: at the end as many are free as at the start",
    [Arbitrary.schema(Schema.Array(Request).check(Schema.isMaxLength(40)))],
    ([requests]) => {
      const { now, quota, window } = simulate(3, requests)
      assert.strictEqual(window.inUse(now + 3000, quota.window), 0)
    },
    { arbitrary: { runs: 200 } }
  )

  it("a lost response frees its permit when its request can no longer arrive", () => {
    const window = new SlidingWindow()
    const quota = { limit: 1, window: 1000 }
    window.acquire(0)
    assert.strictEqual(window.freeAt(10, quota), ARRIVES_WITHIN + 1002)
    assert.strictEqual(window.freeAt(ARRIVES_WITHIN + 1002, quota), ARRIVES_WITHIN + 1002)
  })

  it("a request that waits for a connection keeps its permit, and counts from when it departs", () => {
    const window = new SlidingWindow()
    const quota = { limit: 1, window: 1000 }
    const permit = window.acquire(0)
    window.waitsForConnection(permit, 10)
    assert.strictEqual(window.freeAt(20_000, quota), 10 + CONNECTS_WITHIN + 1002)
    assert.strictEqual(window.freeAt(20_000, quota, 0, 200), 21_002)
    window.departed(permit, 30_000)
    assert.strictEqual(window.freeAt(30_000, quota), 30_000 + ARRIVES_WITHIN + 1002)
    window.responded(permit, 30_200)
    assert.strictEqual(window.freeAt(30_200, quota), 31_202)
  })

  it("a request that departs after its permit has ended counts again", () => {
    const window = new SlidingWindow()
    const quota = { limit: 2, window: 1000 }
    const permit = window.acquire(0)
    window.responded(window.acquire(20_000), 20_000)
    assert.strictEqual(window.inUse(20_000, 1000), 1)
    window.departed(permit, 20_500)
    assert.strictEqual(window.inUse(20_500, 1000), 2)
    window.responded(permit, 20_600)
    assert.strictEqual(window.freeAt(20_600, quota), 21_002)
  })

  it("a learned round trip applies to earlier responses, also when it was too long", () => {
    const window = new SlidingWindow()
    const quota = { limit: 1, window: 1000 }
    window.responded(window.acquire(0), 200)
    assert.strictEqual(window.freeAt(300, quota), 1202)
    window.leastRoundTrip = 150
    assert.strictEqual(window.freeAt(300, quota), 1052)
    window.leastRoundTrip = 50
    assert.strictEqual(window.freeAt(300, quota), 1152)
  })

  it("a request is not counted before it was sent, however long a round trip takes", () => {
    const window = new SlidingWindow()
    window.leastRoundTrip = 200
    window.responded(window.acquire(1000), 1050)
    assert.strictEqual(window.freeAt(1100, { limit: 1, window: 1000 }), 2002)
  })

  it("forgets permits of calls that have no limit", () => {
    const window = new SlidingWindow()
    for (let now = 0; now < 100_000; now += 100) window.responded(window.acquire(now), now)
    assert.isAtMost(window.permits.length, 24)
  })

  it("estimates the wait behind others where no permit is held, for a store may have none", () => {
    const window = new SlidingWindow()
    const quota = { limit: 3, window: 1000 }
    assert.deepStrictEqual([0, 2, 3, 7].map((ahead) => window.freeAt(500, quota, ahead, 0)), [500, 500, 1502, 2504])
    window.responded(window.acquire(500), 500)
    // It no longer counts.
    assert.strictEqual(window.freeAt(9000, quota, 3, 0), 10_002)
  })

  it("estimates how long the tenth waiter will wait", () => {
    const window = new SlidingWindow()
    const quota = { limit: 3, window: 1000 }
    for (let n = 0; n < 3; n++) window.responded(window.acquire(0), n * 100)
    assert.strictEqual(window.freeAt(500, quota, 0, 0) - 500, 502)
    assert.strictEqual(window.freeAt(500, quota, 2, 0) - 500, 702)
    assert.strictEqual(window.freeAt(500, quota, 9, 0) - 500, 502 + 3 * 1002)
  })
})

describe("RoundTripStats", () => {
  const after = (samples: ReadonlyArray<number>) => {
    const roundTrip = new RoundTripStats()
    samples.forEach((sample, n) => roundTrip.observe(sample, n * 1000, true))
    return roundTrip.bound
  }

  it("is 0 until there are samples, and approaches a steady round trip", () => {
    assert.strictEqual(after([]), 0)
    assert.strictEqual(after([200, 200]), 0)
    const bounds = [3, 5, 10, 30, 100].map((count) => after(Array.from({ length: count }, () => 200)))
    assert.deepStrictEqual(bounds, bounds.toSorted((a, b) => a - b))
    assert.isAbove(after(Array.from({ length: 100 }, () => 200)), 193)
  })

  it.prop(
    "is never more than the shortest sample",
    [Arbitrary.schema(Schema.Array(millis(1000)).check(Schema.isMaxLength(200)))],
    ([samples]) => {
      const bound = after(samples)
      assert.isTrue(samples.length === 0 ? bound === 0 : bound <= Math.min(...samples.slice(-128)))
    }
  )

  it("does not count round trips with a new connection", () => {
    const roundTrip = new RoundTripStats()
    for (let n = 0; n < 50; n++) roundTrip.observe(600, n, false)
    assert.strictEqual(roundTrip.bound, 0)
    for (let n = 0; n < 50; n++) roundTrip.observe(200, n, true)
    assert.isBelow(roundTrip.bound, 200)
  })

  it("takes a new connection that was faster than all others for a shorter path", () => {
    const roundTrip = new RoundTripStats()
    for (let n = 0; n < 50; n++) roundTrip.observe(200, n * 1000, true)
    assert.isAbove(roundTrip.bound, 190)
    roundTrip.observe(100, 50_000, false)
    assert.strictEqual(roundTrip.bound, 0)
  })

  it("counts responses that arrive together as one observation", () => {
    const roundTrip = new RoundTripStats()
    for (let n = 0; n < 50; n++) roundTrip.observe(200, n, true)
    assert.strictEqual(roundTrip.bound, 0)
  })

  it("forgets an old path after two generations", () => {
    const roundTrip = new RoundTripStats()
    for (let n = 0; n < 100; n++) roundTrip.observe(10, n * 1000, true)
    for (let n = 100; n < 300; n++) roundTrip.observe(200, n * 1000, true)
    assert.isAbove(roundTrip.bound, 190)
  })
})
