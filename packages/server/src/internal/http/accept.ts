/** Distinguishes a person's browser from a program, by the `Accept` of a request. */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"

/** Whether the client accepts a type: without parameters, unless its quality is 0. */
const typesOf = (accept: string): ReadonlyArray<string> =>
  accept.toLowerCase().split(",").flatMap((range) => {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim())
    return parameters.some((parameter) => /^q\s*=\s*0(?:\.0*)?$/.test(parameter)) ? [] : [type]
  })

const HTML = new Set(["text/html", "application/xhtml+xml"])

/**
 * Whether a request is for a page. Browsers name XHTML beside HTML, or say that they navigate. A program that names HTML among
 * other types, as `URL.openStream` of Java does, would save the page in place of the file.
 */
export const wantsPage = ({ headers }: Pick<HttpServerRequest, "headers">): boolean => {
  const accept = headers["accept"] ?? ""
  // What programs send has not even the word.
  if (!/html/i.test(accept)) return false
  const types = typesOf(accept)
  if (!types.includes("text/html")) return false
  if (types.includes("application/xhtml+xml") || headers["sec-fetch-mode"] === "navigate") return true
  return types.every((type) => HTML.has(type) || type.includes("*"))
}
