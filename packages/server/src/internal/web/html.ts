/** HTML as text that escapes what is inserted. */
import * as PlainText from "@effect-fileio/core/PlainText"

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

/** Characters of a name that is shown whole, and of the end that a longer one keeps. */
const MOST_CHARACTERS = 84
const END_CHARACTERS = 24

/** Untrusted text, isolated so that it cannot change the direction of the text around it; a long one keeps its end. */
export const foreign = (text: string): Html => {
  const stripped = PlainText.strip(text)
  const characters = Array.from(stripped)
  if (characters.length <= MOST_CHARACTERS) return html`<bdi>${stripped}</bdi>`
  const start = characters.slice(0, MOST_CHARACTERS - END_CHARACTERS).join("")
  return html`<bdi title="${stripped}">${start}…${characters.slice(-END_CHARACTERS).join("")}</bdi>`
}

/** HTML that was made, and escaped, elsewhere. */
export const trusted = (text: string): Html => new Html(text)
