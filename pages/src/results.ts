/** The links of an upload: to copy, to share, as a QR code, and for a terminal. */
import { encode } from "uqr"
import { copyOnClick, fill, isolated, make, type Words } from "./dom.ts"

const SVG = "http://www.w3.org/2000/svg"

/** Dark on light in both colour schemes, since many readers do not support the reverse. */
const qrCode = (text: string, label: string): SVGElement => {
  const { data, size } = encode(text, { ecc: "L", border: 3 })
  const element = (name: string, attributes: Readonly<Record<string, string>>) => {
    const made = document.createElementNS(SVG, name)
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
    return made as SVGElement
  }
  const path = data.flatMap((row, y) => row.flatMap((dark, x) => dark ? [`M${x} ${y}h1v1h-1z`] : [])).join("")
  const code = element("svg", {
    viewBox: `0 0 ${size} ${size}`,
    role: "img",
    "aria-label": label,
    "shape-rendering": "crispEdges"
  })
  code.append(
    element("rect", { width: String(size), height: String(size), fill: "#fff" }),
    element("path", { d: path, fill: "#10201b" })
  )
  return code
}

/** A name for a shell, which neither runs anything nor takes it for an option or a folder. */
export const shellQuoted = (name: string): string => {
  const safe = name.replace(/[\p{Cc}/]/gu, "_")
  return `'${(/^[-.]/.test(safe) ? `./${safe}` : safe).replaceAll("'", "'\\''")}'`
}

/** The line that downloads a file, and decrypts it. */
const terminalLine = (link: string, name: string): string => {
  const [address, fragment = ""] = link.split("#")
  const age = new URLSearchParams(fragment).get("age")
  const output = shellQuoted(name)
  return age === null
    ? `curl -o ${output} '${address}'`
    : age === "passphrase"
    ? `curl '${address}' | age -d -o ${output}`
    : `curl '${address}' | age -d -i <(echo ${age}) -o ${output}`
}

export interface Result {
  readonly name: string
  readonly link: string
}

const copyButton = (words: Words, className: string, label: string, text: () => string, select: Node) => {
  const button = make("button", { type: "button", class: className }, label)
  copyOnClick(button, text, words.copied, select)
  return button
}

/** The card of one link. Only a single one has a QR code: a page of them is no help. */
const card = (words: Words, { link, name }: Result, isOnly: boolean, index: number): HTMLElement => {
  const id = `link-${index}`
  const field = make("input", { class: "link", id, dir: "ltr", readonly: "" })
  field.value = link
  const buttons = make("div", { class: "buttons" })
  buttons.append(copyButton(words, "button wide", words.copyLink, () => link, field))
  if (typeof navigator.share === "function") {
    const share = make("button", { type: "button", class: "button quiet wide" }, words.share)
    share.addEventListener("click", () => void navigator.share({ url: link }).catch(() => undefined))
    buttons.append(share)
  }
  const label = make("label", { for: id })
  label.append(isOnly ? words.link : isolated(name))
  const fields = make(
    "div",
    { class: "card-fields" },
    make("div", { class: "field" }, label, field),
    buttons
  )
  if (isOnly) {
    return make(
      "div",
      { class: "card" },
      make("p", { class: "name whole" }, isolated(name)),
      make("div", { class: "share" }, qrCode(link, words.qrCode), fields)
    )
  }
  field.setAttribute("aria-label", fill(words.linkOf, { name }))
  return make("div", { class: "card" }, fields)
}

/** The cards of all links, and the line for a terminal of a single one. */
export const cards = (words: Words, results: ReadonlyArray<Result>, again: () => void): Array<HTMLElement> => {
  const isOnly = results.length === 1
  const shown: Array<HTMLElement> = results.map((result, index) => card(words, result, isOnly, index))
  if (isOnly) {
    const line = terminalLine(results[0]!.link, results[0]!.name)
    const code = make("code", { dir: "ltr" }, line)
    shown.push(make(
      "section",
      { class: "terminal" },
      make(
        "div",
        { class: "row" },
        make("h2", {}, words.downloadFromTerminal),
        copyButton(words, "button quiet", words.copyLine, () => line, code)
      ),
      make("pre", {}, code)
    ))
  } else {
    const all = results.map(({ link }) => link).join("\n")
    const button = copyButton(words, "button quiet", words.copyAll, () => all, document.body)
    shown.unshift(make("div", {}, button))
  }
  const another = make("button", { type: "button", class: "button quiet" }, words.sendAnother)
  another.addEventListener("click", again)
  shown.push(make("div", {}, another))
  return shown
}
