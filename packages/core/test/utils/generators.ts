/** Values of hosts, senders and callers, including hostile ones. */
import { assert } from "@effect/vitest"
import { Arbitrary, Equal, Schema } from "effect"

/** Equal in structure and class; JSON has no -0, so 0 stands for it. */
export const assertSame = (actual: unknown, expected: object): void => {
  assert.isTrue(Equal.equals(actual, expected), `${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`)
  assert.strictEqual((actual as object).constructor, expected.constructor)
}

export const literals = <const A extends string>(values: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.schema(Schema.Literals(values))

export const int = (minimum: number, maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** Picks one of several generators, each as often as any other. */
export const oneOf = <A>(choices: ReadonlyArray<Arbitrary.Arbitrary<A>>): Arbitrary.Arbitrary<A> =>
  Arbitrary.flatMap(int(0, choices.length - 1), (index) => choices[index]!)

const NASTY = [
  "/",
  "\\",
  ":",
  "..",
  ".",
  "...",
  " ",
  "\t",
  "\r\n",
  "\u0000",
  "\u007F",
  "\u0085",
  "\u00AD",
  "\u061C",
  "\u180E",
  "\u200B",
  "\u200E",
  "\u200F",
  "\u202A",
  "\u202E",
  "\u2066",
  "\u2069",
  "\u2028",
  "\u2044",
  "\u2215",
  "\u29F8",
  "\uFF0F",
  "\uFF3C",
  "\uFEFF",
  "\uFFFE",
  "\uFDD0",
  "\u{1FFFE}",
  "\u{E0041}",
  "\uD800",
  "\uDC00",
  "\u0301",
  "\u0338",
  "e",
  "\u212A",
  "\u1E9B\u0323",
  "\uAC00",
  "\u1100\u1161",
  "\u{1F468}\u200D\u{1F4BB}",
  "\u{2F800}",
  "\u00E9",
  "\u00C3\u00A9",
  "\uFB01",
  "CON",
  "nul",
  "Aux",
  "PRN",
  "COM1",
  "com\u00B9",
  "LPT\u00B3",
  "CONIN$",
  "CLOCK$",
  ".txt",
  ".tar.gz",
  ".tar.",
  "~",
  "_",
  "-",
  "\"",
  "'",
  "%",
  "%41",
  "%zz",
  ";",
  "=",
  ",",
  "*",
  "?",
  "<",
  ">",
  "|",
  "filename=",
  "filename*=UTF-8''",
  "__proto__",
  "C:",
  "$"
] as const

/** Any UTF-16 code unit or code point, lone surrogates included. */
const codePoint = Arbitrary.map(
  oneOf([int(0, 0x7F), int(0x80, 0x7FF), int(0x2000, 0x206F), int(0xD800, 0xDFFF), int(0, 0xFFFF), int(0, 0x10FFFF)]),
  (code) => String.fromCodePoint(code)
)

const repeated = Arbitrary.map(
  Arbitrary.all([oneOf<string>([codePoint, literals(NASTY)]), int(2, 300)]),
  ([piece, times]) => piece.repeat(times)
)

/** Arbitrary text: any characters, especially those that are difficult in file names and headers, sometimes long. */
export const text: Arbitrary.Arbitrary<string> = Arbitrary.map(
  Arbitrary.array(
    oneOf<string>([literals(NASTY), literals(NASTY), codePoint, Arbitrary.schema(Schema.String), repeated]),
    { minLength: 1, maxLength: 8 }
  ),
  (parts) => parts.join("")
)

/** The same without lone surrogates, and never empty. */
export const wellFormed: Arbitrary.Arbitrary<string> = Arbitrary.map(text, (value) => value.toWellFormed() || "x")
