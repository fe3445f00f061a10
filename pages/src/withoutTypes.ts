/**
 * In place of Effect's table of media types, which the pages do not need: a browser knows the type of a file that it sends, and
 * the page of receivers does not show the type of what it decrypts.
 */
import * as Option from "effect/Option"

export const getType = (): Option.Option<string> => Option.none()
