/**
 * The media type of a file, such as `text/plain; charset=utf-8`, from an untrusted source.
 *
 * @since 0.1.0
 */

import { parameters } from "./internal/disposition.ts"

/**
 * The type of unknown bytes.
 *
 * @category constants
 * @since 0.1.0
 */
export const UNKNOWN = "application/octet-stream"

const TYPE = /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}/
const PARAMETER = /[\t ]*;[\t ]*[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|"[\t !#-[\]-~]*")/y
const MAX_LENGTH = 255

/**
 * The type in a form that is valid in a header, of at most 255 characters: invalid parameters are left out, and an
 * invalid type becomes `application/octet-stream`.
 *
 * @category parsing
 * @since 0.1.0
 */
export const sanitize = (raw: string): string => {
  const text = raw.trim()
  const type = TYPE.exec(text)?.[0]
  if (type === undefined || !/^[\t ]*(?:;|$)/.test(text.slice(type.length, type.length + 64))) return UNKNOWN
  let end = type.length
  PARAMETER.lastIndex = end
  for (let found = PARAMETER.exec(text); found !== null; found = PARAMETER.exec(text)) {
    if (PARAMETER.lastIndex > MAX_LENGTH) break
    end = PARAMETER.lastIndex
  }
  return text.slice(0, end)
}

/**
 * A parameter of a media type, such as the `boundary` of a form; `undefined` if it is absent or given twice.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parameter = (type: string, name: string): string | undefined => {
  const [found, second] = parameters(type).filter((parameter) => parameter.name === name)
  if (found === undefined || second !== undefined) return undefined
  return found.isQuoted ? found.raw.replace(/\\([\s\S])/g, "$1") : found.raw
}
