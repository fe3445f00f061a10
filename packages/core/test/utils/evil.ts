import { assert } from "@effect/vitest"

/** Inputs that make a pattern or a loop quadratic, by name. */
export const EVIL: ReadonlyArray<readonly [name: string, piece: string]> = [
  ["letters", "a"],
  ["blanks", " "],
  ["dots", "."],
  ["dots and blanks", ". "],
  ["semicolons", "; "],
  ["parameters", ";a="],
  ["quotes", "\""],
  ["open quotes", ";a=\""],
  ["backslashes", "\\"],
  ["percent signs", "%4"],
  ["escapes", "%41"],
  ["slashes", "/"],
  ["schemes", "http://"],
  ["digits", "9"],
  ["brackets", "<(["],
  ["encoded words", "=?u?B?"],
  ["marks", "\u0301"],
  ["marks out of order", "\u0301\u0327"],
  ["ligatures", "\uFDFA"],
  ["joiners", "\u0628\u200D"],
  ["flags", "\u{1F3F4}\u{E0067}"],
  ["archives", ".tar.a"],
  ["line breaks", "\n > "]
]

const MEBIBYTE = 1024 * 1024
/** Some hundred times what linear work takes. Quadratic work on a mebibyte takes minutes. */
const BOUND_MILLIS = 5000

/** Runs `work` on a sixteenth first, where quadratic work fails within seconds instead of hanging. */
export const assertLinear = (piece: string, work: (text: string) => unknown): void => {
  for (const size of [MEBIBYTE / 16, MEBIBYTE]) {
    for (const end of ["", "x", "!"]) {
      const text = `x${piece.repeat(size / piece.length)}${end}`
      const began = performance.now()
      work(text)
      assert.isBelow(performance.now() - began, BOUND_MILLIS, `${text.length} characters`)
    }
  }
}
