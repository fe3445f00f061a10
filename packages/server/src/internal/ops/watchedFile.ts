/** A file of the operator's that a running server reads again when it changes. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs/promises"

const MISSING = "missing"

/** Distinguishes versions of the file. */
const stateOf = (path: string) =>
  Effect.promise(() => Fs.stat(path).then(({ ino, mtimeMs, size }) => `${ino} ${mtimeMs} ${size}`, () => MISSING))

/** The health keeps a fault for an hour, so a lasting one is recorded again before that. */
const NOTED_AGAIN = 30 * 60 * 1000

export interface Options {
  /** Description of the file for the log, such as `file of accounts`. */
  readonly what: string
  /** Runs when the file has become unusable, and every half hour while it stays so. */
  readonly onFault: Effect.Effect<unknown>
}

/**
 * Reads the file, and again within a second of each change. If it is missing or unusable then, the previous content stays, and
 * the problem is logged.
 */
export const watch = <A, E extends { readonly message: string }>(
  path: string,
  read: Effect.Effect<A, E>,
  { onFault, what }: Options
): Effect.Effect<() => A, E, Scope.Scope> =>
  Effect.gen(function*() {
    let state = yield* stateOf(path)
    let current = yield* read

    // An unusable file is read again until it is usable: its removed entries must not stay. It is logged once.
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
