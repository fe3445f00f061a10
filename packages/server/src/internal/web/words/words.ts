/** The words of the pages, and which language a browser asks for. */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { ar } from "./ar.ts"
import { de } from "./de.ts"
import { en, type Words } from "./en.ts"
import { es } from "./es.ts"
import { zh } from "./zh.ts"

export type { Words } from "./en.ts"

/** A language, its words, and how it writes numbers and times. */
export interface Language {
  readonly tag: string
  readonly direction: "ltr" | "rtl"
  readonly words: Words
}

const language = (tag: string, words: Words, direction: "ltr" | "rtl" = "ltr"): Language => ({ tag, direction, words })

export const english: Language = language("en", en)

const known: ReadonlyMap<string, Language> = new Map(
  [english, language("de", de), language("es", es), language("zh", zh), language("ar", ar, "rtl")].map((one) => [
    one.tag,
    one
  ])
)

/** The first known language of an `Accept-Language`, by its qualities; English if there is none. */
const preferred = (header: string): Language =>
  header.toLowerCase().split(",").map((range, index) => {
    const [tag = "", ...parameters] = range.split(";").map((part) => part.trim())
    const quality = parameters.map((parameter) => /^q\s*=\s*(\d(?:\.\d{0,3})?)$/.exec(parameter)?.[1]).find((q) => q)
    return { language: known.get(tag.split("-")[0]!), quality: quality === undefined ? 1 : Number(quality), index }
  }).filter(({ language, quality }) => language !== undefined && quality > 0)
    .toSorted((a, b) => b.quality - a.quality || a.index - b.index)[0]?.language ?? english

export const of = ({ headers }: Pick<HttpServerRequest, "headers">): Language =>
  preferred(headers["accept-language"] ?? "")
