/**
 * A host and the processes that use one of its accounts, in time that is only counted: what takes a minute with the whole client
 * and a `TestClock` takes milliseconds here, so that a test can look at hundreds of seeds. The processes have the real
 * `Account`, and ask it in the order in which `limiter.ts` does.
 */
import { Account } from "../../src/internal/limit/account.ts"
import * as RateLimit from "../../src/RateLimit.ts"
import { generator, type ModelOptions } from "./modelHost.ts"

/** Something that uses the account from `at` on, in seconds. */
interface Process {
  readonly at: number
  /** As many calls as these are made one after the other … */
  readonly fibers?: number
  /** … until this time, in seconds. */
  readonly until?: number
  /** Seconds between new processes that make one call each, as the command line does. */
  readonly oneShotEvery?: number
}

interface Call {
  readonly order: number
  readonly isMe: boolean
  refusedAt: number
}

class Timeline {
  readonly #events: Array<{ readonly at: number; readonly number: number; readonly run: (now: number) => void }> = []
  #number = 0

  push(at: number, run: (now: number) => void) {
    const event = { at, number: this.#number++, run }
    let low = 0
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.#events[middle]!
      if (other.at < at || (other.at === at && other.number < event.number)) high = middle
      else low = middle + 1
    }
    this.#events.splice(low, 0, event)
  }

  run(until: number) {
    for (let event = this.#events.pop(); event !== undefined && event.at < until; event = this.#events.pop()) {
      event.run(event.at)
    }
  }
}

/** How long a call goes on after its first refusal: the budget of the default policy. */
const BUDGET = 60_000

export const simulate = (options: ModelOptions, processes: ReadonlyArray<Process>, seconds: number) => {
  const { countsRefused, hasRetryAfter, jitter = 0, limit, roundTrip = 0, seed = 1, reported, window = 1000 } = options
  const random = generator(seed)
  const timeline = new Timeline()
  const arrivals: Array<{ readonly process: number; readonly at: number; readonly isRefused: boolean }> = []
  const failed = processes.map(() => 0)
  /** How long the calls of one-shot processes took, in milliseconds. */
  const oneShots: Array<number> = []
  /** When the requests arrived that count; those before `expired` no longer do. */
  const counted: Array<number> = []
  let expired = 0

  /** Sends a request. */
  const send = (process: number, now: number, then: (now: number, isRefused: boolean, retryAfter?: number) => void) => {
    timeline.push(now + roundTrip / 2 + jitter * random(), (at) => {
      while (expired < counted.length && at - counted[expired]! >= window) expired++
      const isRefused = counted.length - expired >= limit
      if (!isRefused || countsRefused) counted.push(at)
      arrivals.push({ process, at, isRefused })
      const wait = isRefused ? counted[counted.length - limit]! + window - at : 0
      const retryAfter = isRefused && hasRetryAfter ? 1000 * Math.max(1, Math.ceil(wait / 1000)) : undefined
      timeline.push(at + roundTrip / 2 + jitter * random(), (now) => then(now, isRefused, retryAfter))
    })
  }
  const open = (now: number) => new Account({ host: "model", isAnonymous: false, sharedWindow: undefined, now })

  const start = (process: number, from: number) => {
    const account = open(from)
    const rateLimit = RateLimit.learned()
    const lifetime = 600_000
    const calls: Array<Call> = []
    const until = (processes[process]!.until ?? Infinity) * 1000
    let orders = 0
    let wakeAt = Infinity
    const join = (call: Call) => {
      const later = calls.findIndex(({ order }) => order > call.order)
      calls.splice(later < 0 ? calls.length : later, 0, call)
    }
    const add = () => join({ order: ++orders, isMe: false, refusedAt: Infinity })
    const pump = (now: number) => {
      while (calls.length > 0 && now < until) {
        const { learning } = account
        const isDue = account.pausedUntil <= now && account.rate.consecutiveRejections === 0
        if (isDue && learning.isDue(now, lifetime)) {
          learning.started(now)
          join({ order: 0, isMe: true, refusedAt: Infinity })
        }
        const call = calls[0]!
        const awaitsMe = !call.isMe && learning.hostRate === undefined && learning.isRunning
        const readyAt = awaitsMe ? Infinity : account.readyAt(now, account.quota(rateLimit))
        if (readyAt > now) {
          if (readyAt === Infinity) return
          const at = Math.ceil(Math.max(readyAt, now + 1))
          if (at >= wakeAt && wakeAt > now) return
          wakeAt = at
          return timeline.push(at, (now) => wakeAt === now && pump(now))
        }
        calls.shift()
        request(call, now)
      }
    }
    const request = (call: Call, now: number) => {
      const sent = account.acquire(now, rateLimit, true)
      send(process, now, (now, isRefused, retryAfter) => {
        account.responded(sent, now)
        if (call.isMe) account.learning.ended(now, false)
        if (isRefused) {
          account.rejected(sent, now, retryAfter, rateLimit, random())
          call.refusedAt = Math.min(call.refusedAt, now)
          const left = call.refusedAt + BUDGET - now
          // A refused `me` is asked again when the pause is over.
          if (!call.isMe && left > 0 && account.pausedUntil - now <= left) join(call)
          else if (!call.isMe) {
            failed[process]!++
            add()
          }
        } else {
          account.served(sent, now, rateLimit)
          if (call.isMe) account.learned(now, reported)
          else add()
        }
        pump(now)
      })
    }
    for (let n = 0; n < (processes[process]!.fibers ?? 1); n++) add()
    pump(from)
  }

  const shoot = (process: number, every: number, from: number) => {
    const account = open(from)
    const request = (now: number) => {
      const sent = account.acquire(now, RateLimit.unlimited, false)
      send(process, now, (now, isRefused, retryAfter) => {
        if (!isRefused) return oneShots.push(now - from)
        account.rejected(sent, now, retryAfter, RateLimit.unlimited, random())
        if (account.pausedUntil - from > BUDGET) return failed[process]!++
        timeline.push(Math.ceil(account.pausedUntil), request)
      })
    }
    request(from)
    if (every < Infinity) timeline.push(from + every * 1000 * (0.5 + random()), (now) => shoot(process, every, now))
  }

  processes.forEach(({ at, oneShotEvery }, process) => {
    timeline.push(
      at * 1000,
      (now) => oneShotEvery === undefined ? start(process, now) : shoot(process, oneShotEvery, now)
    )
  })
  timeline.run(seconds * 1000)

  /** What came from a process, or from all, between two times in seconds. `share` is a part of what the host takes. */
  const between = (from: number, to: number, process?: number) => {
    let served = 0
    let refused = 0
    for (const { at, isRefused, process: of } of arrivals) {
      if (at < from * 1000 || at >= to * 1000 || (process ?? of) !== of) continue
      if (isRefused) refused++
      else served++
    }
    return { served, refused, share: served / ((to - from) * limit * 1000 / window) }
  }
  return { between, failed, oneShots }
}
