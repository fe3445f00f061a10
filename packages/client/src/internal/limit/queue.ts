/** The calls that wait for a permit, in order. */
import * as Effect from "effect/Effect"

export class Waiter {
  readonly order: number
  /** Whether something has happened since this was last set to false. */
  isPoked = false
  #resume: (() => void) | undefined

  constructor(order: number) {
    this.order = order
  }

  poke() {
    this.isPoked = true
    this.#resume?.()
  }

  /** Sleeps for this many milliseconds, or until it is poked. */
  sleep(millis: number): Effect.Effect<void> {
    const poked = Effect.callback<void>((resume) => {
      if (this.isPoked) return resume(Effect.void)
      this.#resume = () => resume(Effect.void)
      return Effect.sync(() => {
        this.#resume = undefined
      })
    })
    // Node's timers round down; asking a window too early only means asking twice.
    return Number.isFinite(millis) ? Effect.raceFirst(Effect.sleep(Math.max(1, Math.ceil(millis))), poked) : poked
  }
}

export class Queue {
  readonly #waiters: Array<Waiter> = []
  #orders = 0

  get length(): number {
    return this.#waiters.length
  }

  /** The position of a new call; a retried one stays before those that came later. */
  nextOrder(): number {
    return ++this.#orders
  }

  join(order: number): Waiter {
    const waiter = new Waiter(order)
    let at = this.#waiters.length
    while (at > 0 && this.#waiters[at - 1]!.order > order) at--
    this.#waiters.splice(at, 0, waiter)
    return waiter
  }

  leave(waiter: Waiter) {
    const at = this.#waiters.indexOf(waiter)
    this.#waiters.splice(at, 1)
    if (at === 0) this.pokeFirst()
  }

  /** Number of calls before this one. */
  ahead(waiter: Waiter): number {
    return this.#waiters.indexOf(waiter)
  }

  isFirst(waiter: Waiter): boolean {
    return this.#waiters[0] === waiter
  }

  pokeFirst() {
    this.#waiters[0]?.poke()
  }

  pokeAll() {
    for (const waiter of this.#waiters) waiter.poke()
  }
}
