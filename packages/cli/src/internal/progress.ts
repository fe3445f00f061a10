/** Shows the progress of transfers on standard error, redrawn in place if the terminal can. */
import type * as Progress from "@effect-fileio/client/Progress"
import { displayWidth } from "effect/cli/CliOutput"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Stdio } from "./stdio.ts"
import * as Text from "./text.ts"

/** One transfer on the screen. */
export interface Track {
  readonly listener: Progress.Listener
  /** Removes its lines; after a success, a summary stays. */
  readonly end: (outcome: "done" | "failed") => Effect.Effect<void>
}

export interface View {
  readonly track: (name: string, verb: string) => Effect.Effect<Track>
  /** Shows what is awaited, for as long as it takes. */
  readonly waiting: (what: string, millis: number) => Effect.Effect<void>
  /** Runs an effect while the terminal shows no progress. */
  readonly aside: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Clears the screen, at once. */
  readonly clear: () => void
}

/** Redraws in place, or prints one line per finished transfer, or prints nothing. */
type Style = "animated" | "plain" | "none"

export const styleOf = (stdio: Stdio, quiet: boolean): Style =>
  quiet || !stdio.stderr.isTerminal
    ? "none"
    : stdio.env["TERM"] === "dumb" || (stdio.env["CI"] ?? "") !== ""
    ? "plain"
    : "animated"

interface State {
  readonly name: string
  readonly verb: string
  last: Progress.Progress | undefined
  /** Rate of the last seconds, which predicts the remaining time better than the average does. */
  rate: number
  began: number
}

const FRAME_MILLIS = 100
const MOST_LINES = 8
const SHORTEST_WAIT_MILLIS = 300
const NAME_COLUMNS = 24
const MAX_NAME_COLUMNS = 255

const lineOf = (state: State, columns: number, now: number): string => {
  const { last, rate } = state
  const done = last?.bytes ?? 0
  const total = last?.total
  const name = Text.padEnd(Text.fit(state.name, NAME_COLUMNS), Math.min(NAME_COLUMNS, displayWidth(state.name)))
  const speed = `${Text.bytes(rate)}/s`
  if (last === undefined) return Text.fit(`${name}  ${state.verb} ...`, columns)
  if (total === undefined || total === 0) {
    return Text.fit(`${name}  ${Text.bytes(done)}  ${speed}  ${Text.seconds(now - state.began)}`, columns)
  }
  const share = done / total
  const percent = `${String(Math.floor(share * 100)).padStart(3)} %`
  const left = done >= total
    ? "waiting for the host"
    : rate > 0
    ? `${Text.seconds((total - done) * 1000 / rate)} left`
    : ""
  const rest = `${percent}  ${Text.bytes(done)} of ${Text.bytes(total)}  ${speed}  ${left}`
  const room = columns - displayWidth(name) - displayWidth(rest) - 6
  const bar = room >= 8 ? `${Text.bar(share, Math.min(20, room))}  ` : ""
  return Text.fit(`${name}  ${bar}${rest}`, columns)
}

export const make = Effect.fnUntraced(
  function*(stdio: Stdio, style: Style): Effect.fn.Return<View, never, Scope.Scope> {
    const clock = yield* Clock.Clock
    const states = new Set<State>()
    let notice = { what: "", until: 0 }
    let hidden = 0
    let drawn: ReadonlyArray<string> = []

    const erase = (): string => {
      if (drawn.length === 0) return ""
      // A terminal that became narrower has wrapped the previous frame.
      const columns = stdio.stderr.columns()
      const rows = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(displayWidth(line) / columns)), 0)
      drawn = []
      return `\r${rows > 1 ? `\u001B[${rows - 1}A` : ""}\u001B[J`
    }
    const clear = () => {
      const text = erase()
      if (text !== "") stdio.stderr.write(text)
    }
    const draw = () => {
      if (style !== "animated" || hidden > 0) return
      // The last column stays empty: some terminals wrap as soon as it is written.
      const columns = Math.max(1, stdio.stderr.columns() - 1)
      const now = clock.currentTimeMillisUnsafe()
      const shown = Array.from(states).slice(0, MOST_LINES).map((state) => lineOf(state, columns, now))
      if (states.size > MOST_LINES) shown.push(Text.fit(`and ${states.size - MOST_LINES} more`, columns))
      if (notice.until > now) {
        const left = Math.ceil((notice.until - now) / 1000)
        shown.push(Text.fit(`waiting ${Text.seconds(left * 1000)} for ${notice.what}`, columns))
      }
      const text = erase() + shown.join("\n")
      if (text === "") return
      drawn = shown
      stdio.stderr.write(text)
    }

    if (style === "animated") {
      yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.sync(draw), FRAME_MILLIS)))
      yield* Effect.addFinalizer(() => Effect.sync(clear))
    }

    const aside: View["aside"] = (effect) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          hidden++
          clear()
        }),
        () => effect,
        () =>
          Effect.sync(() => {
            hidden--
          })
      )

    const say = (line: string) => aside(Effect.sync(() => stdio.stderr.write(`${line}\n`)))

    return {
      aside,
      clear,
      waiting: (what, millis) =>
        Effect.suspend(() => {
          const until = clock.currentTimeMillisUnsafe() + millis
          // A wait that is over before it can be read is not shown; of several, the longest is.
          if (millis < SHORTEST_WAIT_MILLIS || until <= notice.until) return Effect.void
          const isNew = notice.until <= clock.currentTimeMillisUnsafe()
          notice = { what, until }
          return style === "plain" && isNew ? say(`waiting ${Text.seconds(millis)} for ${what}`) : Effect.sync(draw)
        }),
      track: (name, verb) =>
        Effect.sync(() => {
          if (style === "none") return { listener: () => Effect.void, end: () => Effect.void }
          const state: State = {
            // At most the length of a line, since each frame measures the name again.
            name: Text.fit(Text.visible(name), MAX_NAME_COLUMNS),
            verb,
            last: undefined,
            rate: 0,
            began: clock.currentTimeMillisUnsafe()
          }
          states.add(state)
          const listener: Progress.Listener = (progress) =>
            Effect.sync(() => {
              const before = state.last
              if (progress._tag === "Started" || before === undefined) {
                state.began = clock.currentTimeMillisUnsafe() - progress.elapsedMillis
                state.rate = progress.bytesPerSecond
              } else {
                const millis = progress.elapsedMillis - before.elapsedMillis
                if (millis > 0) {
                  const rate = Math.max(0, progress.bytes - before.bytes) * 1000 / millis
                  const weight = Math.min(1, millis / 2000)
                  state.rate = before.bytes === 0 ? progress.bytesPerSecond : state.rate * (1 - weight) + rate * weight
                }
              }
              state.last = progress
            })
          return {
            listener,
            end: (outcome) =>
              Effect.suspend(() => {
                if (!states.delete(state)) return Effect.void
                const { last } = state
                return outcome === "failed" || last === undefined
                  ? Effect.sync(draw)
                  : say(
                    `${state.name}  ${Text.bytes(last.bytes)} in ${Text.seconds(last.elapsedMillis)}, ${
                      Text.bytes(last.bytesPerSecond)
                    }/s`
                  )
              })
          }
        })
    }
  }
)
