import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Progress from "../src/internal/progress.ts"
import type { Stdio } from "../src/internal/stdio.ts"
import * as Text from "../src/internal/text.ts"
import { Screen } from "./screen.ts"

const terminal = (columns: number) => {
  const screen = new Screen(columns)
  const stdio: Stdio = {
    args: [],
    env: {},
    platform: "linux",
    home: "/",
    stdin: { isTerminal: true, bytes: Stream.empty, ask: () => Effect.succeed("") },
    // Like a terminal, and unlike a pipe.
    stdout: {
      isTerminal: true,
      write: (text) => Effect.sync(() => screen.write(String(text).replaceAll("\n", "\r\n"))),
      finish: Effect.void
    },
    stderr: {
      isTerminal: true,
      columns: () => screen.columns,
      write: (text) => screen.write(text.replaceAll("\n", "\r\n")),
      writeLink: (text) => screen.write(text.replaceAll("\n", "\r\n"))
    }
  }
  return { stdio, screen }
}

const at = (bytes: number, total: number | undefined, elapsedMillis: number) => ({
  _tag: "Advanced" as const,
  bytes,
  total,
  elapsedMillis,
  bytesPerSecond: elapsedMillis === 0 ? 0 : Math.round(bytes * 1000 / elapsedMillis)
})

describe("progress", () => {
  it.effect("shows name, bar, bytes, rate and time left of several files, and leaves a line of each", () =>
    Effect.scoped(Effect.gen(function*() {
      const { stdio, screen } = terminal(80)
      const view = yield* Progress.make(stdio, "animated")
      const one = yield* view.track("one.bin", "sending")
      const two = yield* view.track("two \u001B[2J.bin", "sending")
      yield* one.listener(at(5_000_000, 10_000_000, 2000))
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(screen.shown(), [
        "one.bin  [##########..........]   50 %  5.0 MB of 10.0 MB  2.5 MB/s  2 s left",
        "two \uFFFD[2J.bin  sending ..."
      ])
      yield* two.listener(at(1_500_000, undefined, 1000))
      yield* one.end("done")
      yield* view.aside(stdio.stdout.write("http://host/KEY\n"))
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(screen.shown(), [
        "one.bin  5.0 MB in 2 s, 2.5 MB/s",
        "http://host/KEY",
        "two \uFFFD[2J.bin  1.5 MB  1.5 MB/s  1.1 s"
      ])
      yield* two.end("failed")
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(screen.shown(), ["one.bin  5.0 MB in 2 s, 2.5 MB/s", "http://host/KEY"])
    })))

  it.effect("shows what is awaited, and for how long", () =>
    Effect.scoped(Effect.gen(function*() {
      const { stdio, screen } = terminal(80)
      const view = yield* Progress.make(stdio, "animated")
      const track = yield* view.track("w.bin", "sending")
      yield* view.waiting("the account's limit of 3/s", 1900)
      assert.deepStrictEqual(screen.shown(), ["w.bin  sending ...", "waiting 2 s for the account's limit of 3/s"])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(screen.shown()[1], "waiting 1 s for the account's limit of 3/s")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(screen.shown(), ["w.bin  sending ..."])
      yield* track.end("failed")
    })))

  for (const [from, to] of [[120, 40], [40, 120], [80, 15], [30, 29]] as const) {
    it.effect(`leaves nothing behind when ${from} columns become ${to}`, () =>
      Effect.scoped(Effect.gen(function*() {
        const { stdio, screen } = terminal(from)
        stdio.stderr.write("$ fileio upload\n")
        const view = yield* Progress.make(stdio, "animated")
        const tracks = yield* Effect.forEach([1, 2, 3], (n) =>
          view.track(`a rather long name of a file ${n}.bin`, "sending"))
        for (const [index, columns] of [from, to, from, to].entries()) {
          screen.resize(columns)
          for (const track of tracks) {
            yield* track.listener(at(index * 1_000_000, 9_000_000, 1000 + index * 500))
          }
          yield* TestClock.adjust("100 millis")
          assert.strictEqual(screen.shown().length, 4, screen.shown().join("\n"))
          assert.isTrue(
            screen.shown().slice(1).every((line) =>
              line.length < columns
            )
          )
        }
        for (const track of tracks) yield* track.end("failed")
        yield* TestClock.adjust("100 millis")
        assert.deepStrictEqual(screen.shown(), ["$ fileio upload"])
      })))
  }

  it("is animated, plain or absent by the terminal", () => {
    const { stdio } = terminal(80)
    assert.strictEqual(Progress.styleOf(stdio, false), "animated")
    assert.strictEqual(Progress.styleOf(stdio, true), "none")
    assert.strictEqual(Progress.styleOf({ ...stdio, env: { TERM: "dumb" } }, false), "plain")
    assert.strictEqual(Progress.styleOf({ ...stdio, env: { CI: "true" } }, false), "plain")
    assert.strictEqual(Progress.styleOf({ ...stdio, stderr: { ...stdio.stderr, isTerminal: false } }, false), "none")
  })
})

describe("text", () => {
  it("writes sizes and times as people read them", () => {
    assert.deepStrictEqual([0, 999, 1000, 999_949, 999_950, 1.5e9].map(Text.bytes), [
      "0 B",
      "999 B",
      "1.0 kB",
      "999.9 kB",
      "1.0 MB",
      "1.5 GB"
    ])
    assert.deepStrictEqual([0, 320, 2000, 12_400, 200_000, 7_500_000].map(Text.seconds), [
      "0 s",
      "0.3 s",
      "2 s",
      "12 s",
      "3 m 20 s",
      "2 h 5 m"
    ])
  })

  it("shortens in the middle, by columns", () => {
    assert.strictEqual(Text.fit("short.txt", 20), "short.txt")
    assert.strictEqual(
      Text.fit("a-very-long-name-of-a-file.tar.gz", 12),
      "a-very\u2026tar.gz".slice(0, 6) + "\u2026ar.gz"
    )
    assert.strictEqual(Text.fit("長い名前のファイル.txt", 10).length <= 10, true)
  })

  it("shortens a text of any length in linear time, and between characters as they are seen", () => {
    const family = "\u{1F468}\u200D\u{1F469}\u200D\u{1F467}"
    assert.strictEqual(Text.fit(`${family.repeat(20)}.jpg`, 10), `${family}${family}\u2026.jpg`)
    for (const piece of ["a", "\u0301", "a\u0301", "\u9577", family, " .", "\u200D", "\uFFFD"]) {
      const began = performance.now()
      for (const columns of [2, 24, 500]) Text.fit(piece.repeat(100_000), columns)
      assert.isBelow(performance.now() - began, 20_000, JSON.stringify(piece))
    }
  })

  it("quotes text that a shell would split", () => {
    assert.strictEqual(Text.quoted("plain/file.txt", false), "plain/file.txt")
    assert.strictEqual(Text.quoted("it's here", false), "'it'\\''s here'")
    assert.strictEqual(Text.quoted("C:\\plain\\file.txt", true), "C:\\plain\\file.txt")
    assert.strictEqual(Text.quoted("C:\\it's here & there", true), "\"C:\\it's here & there\"")
  })
})
