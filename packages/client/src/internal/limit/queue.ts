/** The calls that wait for a permit, in order. */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

export interface Waiter {
  readonly order: number
  /** Open when the waiter must check again; the waiter closes it before it checks. */
  readonly poked: Latch.Latch
}

/** Sleeps for this many milliseconds, or until the waiter is poked. */
export const sleep = ({ poked }: Waiter, millis: number): Effect.Effect<unknown> =>
  // Rounded up: Node drops fractions, and the caller would check too early and once more.
  Number.isFinite(millis) ? Effect.timeoutOption(poked.await, Math.max(1, Math.ceil(millis))) : poked.await

export class Queue {
  /** The first one is the next to get a permit. */
  readonly waiters: Array<Waiter> = []
  #orders = 0

  /** The position of a new call; a retried one stays before those that came later. */
  nextOrder(): number {
    return ++this.#orders
  }

  join(order: number): Waiter {
    const waiter = { order, poked: Latch.makeUnsafe() }
    let at = this.waiters.length
    while (at > 0 && this.waiters[at - 1]!.order > order) at--
    this.waiters.splice(at, 0, waiter)
    return waiter
  }

  leave(waiter: Waiter) {
    const at = this.waiters.indexOf(waiter)
    this.waiters.splice(at, 1)
    if (at === 0) this.pokeFirst()
  }

  pokeFirst() {
    this.waiters[0]?.poked.openUnsafe()
  }

  pokeAll() {
    for (const { poked } of this.waiters) poked.openUnsafe()
  }
}
