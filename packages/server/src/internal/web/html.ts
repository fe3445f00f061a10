/** HTML as text that escapes what is inserted. */
import * as PlainText from "@effect-fileio/core/PlainText"
import * as LongName from "./longName.ts"

/** Text that is HTML already; everything else is escaped when it is inserted. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type Part = Html | string | number | undefined | ReadonlyArray<Html>

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

const render = (part: Part): string => {
  if (part === undefined) return ""
  if (part instanceof Html) return part.text
  if (typeof part === "object") return part.map(render).join("")
  return String(part).replace(/[&<>"']/g, (character) => ENTITIES[character]!)
}

export const html = (strings: TemplateStringsArray, ...parts: ReadonlyArray<Part>): Html =>
  new Html(strings.reduce((text, string, index) => text + render(parts[index - 1]) + string))

/** A sentence with `{name}` in it. */
export const phrase = (text: string, parts: Readonly<Record<string, Part>>): Html =>
  new Html(
    text.split(/\{(\w+)\}/).map((piece, index) => render(index % 2 === 0 ? piece : parts[piece])).join("")
  )

/** Untrusted text, isolated so that it cannot change the direction of the text around it; a long one keeps its end. */
export const foreign = (text: string): Html => {
  const stripped = PlainText.strip(text)
  const long = LongName.split(stripped)
  if (long === undefined) return html`<bdi>${stripped}</bdi>`
  return html`<bdi title="${stripped}"><span class="start">${long.start}</span><span class="end">${long.end}</span></bdi>`
}

/** HTML that was made, and escaped, elsewhere. */
export const trusted = (text: string): Html => new Html(text)
