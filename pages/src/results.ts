/** The links of an upload: to copy, to share, as a QR code, and for a terminal. */
import * as QrCode from "@effect-fileio/core/QrCode"
import { copyOnClick, fill, isolated, make, visible, type Words } from "./dom.ts"

const SVG = "http://www.w3.org/2000/svg"

/** Dark on light in both colour schemes, since many readers do not support the reverse. */
const drawing = (text: string, label: string): SVGElement => {
  const rows = QrCode.encode(text)
  const border = 3
  const size = String(rows.length + 2 * border)
  const element = (name: string, attributes: Readonly<Record<string, string>>) => {
    const made = document.createElementNS(SVG, name)
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
    return made as SVGElement
  }
  const path = rows.flatMap((row, y) =>
    row.flatMap((isDark, x) => isDark ? [`M${x + border} ${y + border}h1v1h-1z`] : [])
  ).join("")
  const code = element("svg", {
    viewBox: `0 0 ${size} ${size}`,
    role: "img",
    "aria-label": label,
    "shape-rendering": "crispEdges"
  })
  code.append(
    element("rect", { width: size, height: size, fill: "#fff" }),
    element("path", { d: path, fill: "#10201b" })
  )
  return code
}

/** A name for a shell, which neither runs anything nor takes it for an option or a folder. */
export const shellQuoted = (name: string): string => {
  const safe = visible(name).replaceAll("/", "_")
  return `'${(/^[-.]/.test(safe) ? `./${safe}` : safe).replaceAll("'", "'\\''")}'`
}

/** The line that downloads a file, and decrypts it. */
const terminalLine = (link: string, name: string): string => {
  const [address, fragment = ""] = link.split("#")
  const age = new URLSearchParams(fragment).get("age")
  const output = shellQuoted(name)
  return age === null
    ? `curl -f -o ${output} '${address}'`
    : age === "passphrase"
    ? `curl -f '${address}' | age -d -o ${output}`
    : `curl -f '${address}' | age -d -i <(echo ${age}) -o ${output}`
}

export interface Result {
  readonly name: string
  readonly link: string
}

const copyButton = (words: Words, className: string, label: string, text: () => string) => {
  const button = make("button", { type: "button", class: className }, label)
  copyOnClick(button, text, words.copied)
  return button
}

/** Opens the share sheet of a device that has one. */
const shareButton = (className: string, label: string, data: ShareData): ReadonlyArray<HTMLElement> => {
  if (typeof navigator.share !== "function") return []
  const button = make("button", { type: "button", class: className }, label)
  // A sheet that was closed without a choice is no error.
  button.addEventListener("click", () => void navigator.share(data).catch(() => undefined))
  return [button]
}

/** The line for a terminal, with a button that copies it. */
const terminal = (words: Words, { link, name }: Result): HTMLElement => {
  const line = terminalLine(link, name)
  const code = make("code", { dir: "ltr" }, line)
  return make(
    "section",
    { class: "terminal" },
    make(
      "div",
      { class: "row" },
      make("h2", {}, words.downloadFromTerminal),
      copyButton(words, "button quiet", words.copyLine, () => line)
    ),
    make("pre", {}, code)
  )
}

/** The QR code and the line of one of several links. A code is made when it is asked for: fifty at once are slow. */
const more = (words: Words, result: Result): HTMLElement => {
  const details = make("details", {}, make("summary", {}, words.more))
  details.addEventListener("toggle", () => {
    details.append(make("div", { class: "more" }, drawing(result.link, words.qrCode), terminal(words, result)))
  }, { once: true })
  return details
}

const card = (words: Words, result: Result, isOnly: boolean, index: number): HTMLElement => {
  const { link, name } = result
  const id = `link-${index}`
  const field = make("input", { class: "link", id, dir: "ltr", readonly: "" })
  field.value = link
  const label = make("label", { for: id }, isOnly ? words.link : isolated(name))
  const fields = make(
    "div",
    { class: "card-fields" },
    make("div", { class: "field" }, label, field),
    make(
      "div",
      { class: isOnly ? "buttons" : "row-buttons" },
      copyButton(words, isOnly ? "button wide" : "button quiet", words.copyLink, () => link),
      ...shareButton(isOnly ? "button quiet wide" : "button quiet", words.share, { url: link })
    )
  )
  if (isOnly) {
    return make(
      "div",
      { class: "card" },
      make("p", { class: "name whole" }, isolated(name)),
      make("div", { class: "share" }, drawing(link, words.qrCode), fields)
    )
  }
  field.setAttribute("aria-label", fill(words.linkOf, { name }))
  fields.append(more(words, result))
  return make("div", { class: "card" }, fields)
}

/** The cards of all links, with what copies and shares them together. */
export const cards = (words: Words, results: ReadonlyArray<Result>, again: () => void): Array<HTMLElement> => {
  const isOnly = results.length === 1
  const shown: Array<HTMLElement> = results.map((result, index) => card(words, result, isOnly, index))
  if (isOnly) shown.push(terminal(words, results[0]!))
  else {
    const all = results.map(({ link }) => link).join("\n")
    shown.unshift(make(
      "div",
      { class: "row-buttons" },
      copyButton(words, "button", words.copyAll, () => all),
      ...shareButton("button quiet", words.shareAll, { text: all })
    ))
  }
  const another = make(
    "button",
    { type: "button", class: "button quiet" },
    isOnly ? words.sendAnother : words.sendMore
  )
  another.addEventListener("click", again)
  shown.push(make("div", {}, another))
  return shown
}
