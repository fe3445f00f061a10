/** A file of the operator's that a running server reads again when it changes. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs/promises"

const MISSING = "missing"

/** Tells one state of the file from another. */
const stateOf = (path: string) =>
  Effect.promise(() => Fs.stat(path).then(({ ino, mtimeMs, size }) => `${ino} ${mtimeMs} ${size}`, () => MISSING))

/** The health has a fault for an hour, so one that stays is noted again before that. */
const NOTED_AGAIN = 30 * 60 * 1000

export interface Options {
  /** What the file is, for the log, such as `file of accounts`. */
  readonly what: string
  /** Runs when it has become one that cannot be used, and every half hour while it stays so. */
  readonly onFault: Effect.Effect<unknown>
}

/**
 * Reads the file, and again within a second of each change. Where it is gone or cannot be used then, what was read last stays, which is
 * logged.
 */
export const watch = <A, E extends { readonly message: string }>(
  path: string,
  read: Effect.Effect<A, E>,
  { onFault, what }: Options
): Effect.Effect<() => A, E, Scope.Scope> =>
  Effect.gen(function*() {
    let state = yield* stateOf(path)
    let current = yield* read

    // A file that cannot be used is read again until it can: what was taken out of it must not stay. It is logged once.
    let noted: { readonly state: string; readonly at: number } | undefined
    const note = Effect.fnUntraced(function*(seen: string, problem: string) {
      const now = yield* Clock.currentTimeMillis
      if (noted?.state === seen && now - noted.at < NOTED_AGAIN) return
      noted = { state: seen, at: now }
      yield* onFault
      yield* Effect.logError(`the ${what} ${path} has changed and cannot be used, so it stays as it was: ${problem}`)
    })
    const refresh = Effect.gen(function*() {
      const seen = yield* stateOf(path)
      if (seen === state) return
      if (seen === MISSING) return yield* note(seen, "it is gone")
      const next = yield* Effect.result(read)
      if (next._tag === "Failure") return yield* note(seen, next.failure.message)
      current = next.success
      state = seen
      noted = undefined
    })
    yield* refresh.pipe(
      Effect.schedule(Schedule.spaced("1 second")),
      Effect.forkScoped
    )
    return () => current
  })
