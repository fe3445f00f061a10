/** Parses the JSON of a response. */
import * as Result from "effect/Result"

/** The most levels of arrays and objects. The contract has three; recursive code overflows its stack at some thousands. */
const MAX_DEPTH = 64

const QUOTE = 34
const BACKSLASH = 92

/** Whether a text nests arrays and objects more deeply than any valid response. */
const isTooDeep = (text: string): boolean => {
  let depth = 0
  let isInText = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (isInText) {
      if (code === BACKSLASH) i++
      else if (code === QUOTE) isInText = false
    } else if (code === QUOTE) isInText = true
    // `[` and `{`, then `]` and `}`
    else if (code === 91 || code === 123) {
      if (++depth > MAX_DEPTH) return true
    } else if (code === 93 || code === 125) depth--
  }
  return false
}

/** The parsed value, or what is wrong with the text. */
export const parse = (text: string): Result.Result<unknown, string> => {
  if (isTooDeep(text)) return Result.fail(`the JSON is nested more than ${MAX_DEPTH} levels deep`)
  try {
    return Result.succeed(JSON.parse(text))
  } catch {
    return Result.fail("the body is not JSON")
  }
}
