/**
 * Gives up what nothing happens in for too long. One fiber looks after all that is under way by the same clock: a timer for
 * each chunk, or a race for each call, costs more than the call itself.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** Something that is looked after. */
export interface Watched {
  /** When something last happened, in milliseconds; `Infinity` while nobody waits for anything. */
  at: number
  /** How long nothing may happen, as things are now. */
  readonly patience: () => Duration.Duration
  /** Gives it up. */
  expire: (after: Duration.Duration) => void
}

const nothing = () => {}

export const watched = (patience: () => Duration.Duration): Watched => ({ at: Infinity, patience, expire: nothing })

/** What may become impatient only later is looked at now and then. */
const LOOK_MILLIS = 1000
/**
 * A look that comes this much later than it was to come, in milliseconds, finds that this process stood still: it was stopped,
 * the machine slept, or something kept the event loop busy. What came meanwhile was not read yet, so nothing is too late.
 */
const STALL_MILLIS = 1000

class Watchdog {
  readonly #all = new Set<Watched>()
  readonly #clock: Clock.Clock
  #fiber: Fiber.Fiber<void> | undefined
  #wakesAt = Infinity
  #mayRest = false

  constructor(clock: Clock.Clock) {
    this.#clock = clock
  }

  #deadline(one: Watched, now: number): number {
    const patience = Duration.toMillis(one.patience())
    return Number.isFinite(patience) ? Math.min(one.at, now) + patience : now + LOOK_MILLIS
  }

  add(one: Watched, parent: Fiber.Fiber<unknown, unknown>) {
    this.#all.add(one)
    const deadline = this.#deadline(one, this.#clock.currentTimeMillisUnsafe())
    if (deadline >= this.#wakesAt) return
    this.#fiber?.interruptUnsafe()
    this.#wakesAt = deadline
    this.#fiber = Effect.runForkWith(parent.context)(this.#look)
  }

  remove(one: Watched) {
    this.#all.delete(one)
    if (this.#all.size > 0 || this.#mayRest || this.#fiber === undefined) return
    // A timer that nobody needs would keep the program alive. One for each of a row of calls would cost as much as they do.
    this.#mayRest = true
    this.#fiber.currentDispatcher.scheduleTask(this.#rest, 0)
  }

  readonly #rest = () => {
    this.#mayRest = false
    if (this.#all.size > 0) return
    const fiber = this.#fiber
    this.#fiber = undefined
    this.#wakesAt = Infinity
    fiber?.interruptUnsafe()
  }

  readonly #look: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.#clock.currentTimeMillisUnsafe()
    const hasStalled = now - this.#wakesAt >= STALL_MILLIS
    let next = Infinity
    for (const one of this.#all) {
      if (hasStalled && one.at < now) one.at = now
      const deadline = this.#deadline(one, now)
      if (deadline > now) next = Math.min(next, deadline)
      else {
        this.#all.delete(one)
        one.expire(one.patience())
      }
    }
    this.#wakesAt = next
    return next === Infinity ? Effect.void : Effect.andThen(Effect.sleep(next - now), this.#look)
  })
}

const watchdogs = new WeakMap<Clock.Clock, Watchdog>()

/** Looks after something until the function is called that it gives. */
export const add = (one: Watched, clock: Clock.Clock, parent: Fiber.Fiber<unknown, unknown>): () => void => {
  let watchdog = watchdogs.get(clock)
  if (watchdog === undefined) watchdogs.set(clock, watchdog = new Watchdog(clock))
  watchdog.add(one, parent)
  return () => watchdog.remove(one)
}

/** Runs an effect that ends by itself when it is told that nothing has happened in it for too long. */
export const attend = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  one: Watched,
  clock: Clock.Clock
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let remove: (() => void) | undefined
    const begun = Effect.withFiber((fiber) => {
      one.at = clock.currentTimeMillisUnsafe()
      remove = add(one, clock, fiber)
      return effect
    })
    return Effect.onExitPrimitive(begun, () => {
      remove?.()
      return undefined
    })
  })

/**
 * Runs any effect, in a fiber of its own, and interrupts it once nothing happens in it for too long. Something that `isAdded`
 * is looked after already, and is only waited for now and then.
 */
export const guard = <A, E, R, E2>(
  effect: Effect.Effect<A, E, R>,
  one: Watched,
  clock: Clock.Clock,
  onExpiry: (after: Duration.Duration) => E2,
  isAdded = false
): Effect.Effect<A, E | E2, R> =>
  Effect.withFiber<A, E | E2, R>((parent) =>
    Effect.callback<A, E | E2, R>((resume) => {
      one.at = clock.currentTimeMillisUnsafe()
      const fiber = Effect.runForkWith(parent.context as Context.Context<R>)(effect)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) {
        one.at = Infinity
        return resume(exit)
      }
      one.expire = (after) => resume(Effect.andThen(Fiber.interrupt(fiber), Effect.fail(onExpiry(after))))
      const remove = isAdded ? undefined : add(one, clock, parent)
      fiber.addObserver((exit) => {
        one.at = Infinity
        remove?.()
        resume(exit)
      })
      return Fiber.interrupt(fiber)
    })
  )
