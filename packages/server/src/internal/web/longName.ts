/**
 * Where a long name is split, so that it takes at most three lines and keeps its end. For the pages of the server and their
 * scripts.
 */

/** Letters that take about twice the room of others. */
const WIDE =
  /[@MWmw\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{1F000}-\u{3FFFD}]/u

/**
 * Widths, in narrow letters, of a name that is never shortened, of one that is shown whole on a wide page, and of the end that
 * each keeps.
 */
const SHORT = 36
const MOST = 84
const END = 16

const widthOf = (characters: ReadonlyArray<string>): number =>
  characters.reduce((width, character) => width + (WIDE.test(character) ? 2 : 1), 0)

/** How many of the characters fit. */
const fitting = (characters: ReadonlyArray<string>, width: number): number => {
  let left = width
  const first = characters.findIndex((character) => (left -= widthOf([character])) < 0)
  return first < 0 ? characters.length : first
}

/** The start and the end of a long name, with dots where something between them is left out; `undefined`: the name is short. */
export const split = (name: string): { readonly start: string; readonly end: string } | undefined => {
  const characters = Array.from(name)
  const width = widthOf(characters)
  if (width <= SHORT) return undefined
  const endsAt = characters.length - fitting(characters.toReversed(), END)
  const end = characters.slice(endsAt).join("")
  return width > MOST
    ? { start: `${characters.slice(0, fitting(characters, MOST - END)).join("")}…`, end }
    : { start: characters.slice(0, endsAt).join(""), end }
}
