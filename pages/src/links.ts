/** The links that this browser has sent, and what became of each. */
import { baseUrl, copyOnClick, find, get, isolated, make, show, type Words } from "./dom.ts"

export interface Sent {
  readonly key: string
  readonly name: string
  readonly link: string
  /** In milliseconds; absent: never. */
  readonly expires?: number | undefined
  readonly sentAt: number
}

/** One list for each host and path. */
const storeName = (): string => `fileio-links ${baseUrl()}`
const MOST = 50

const isSent = (value: unknown): value is Sent =>
  typeof value === "object" && value !== null && "key" in value && typeof value.key === "string" &&
  "name" in value && typeof value.name === "string" && "link" in value && typeof value.link === "string" &&
  "sentAt" in value && typeof value.sentAt === "number"

const read = (): ReadonlyArray<Sent> => {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(storeName()) ?? "[]")
    return Array.isArray(list) ? list.filter(isSent) : []
  } catch {
    return []
  }
}

/** A browser that keeps nothing has no list. */
const write = (list: ReadonlyArray<Sent>): void => {
  try {
    localStorage.setItem(storeName(), JSON.stringify(list.slice(0, MOST)))
  } catch {
    // It may be full, or forbidden.
  }
}

export const add = (sent: Sent): void => write([sent, ...read().filter(({ key }) => key !== sent.key)])

const forget = (key: string): void => write(read().filter((sent) => sent.key !== key))

/** Asks the host without taking the file. */
const stateOf = async (words: Words, { expires, key }: Sent): Promise<string> => {
  try {
    const { status } = await fetch(`${baseUrl()}/${key}`, { method: "HEAD", headers: { accept: "*/*" } })
    return status === 200
      ? words.stateWaiting
      : status === 423
      ? words.stateRunning
      : status === 404
      ? expires !== undefined && expires <= Date.now() ? words.stateExpired : words.stateGone
      : ""
  } catch {
    return ""
  }
}

const row = (words: Words, sent: Sent, render: () => void): HTMLElement => {
  const state = make("span", { class: "hint", role: "status" })
  void stateOf(words, sent).then((text) => {
    state.textContent = text
  })
  const copy = make("button", { type: "button", class: "button quiet small" }, words.copyLink)
  copyOnClick(copy, () => sent.link, words.copied, state)
  const remove = make("button", { type: "button", class: "button quiet small" }, words.forget)
  remove.addEventListener("click", () => {
    forget(sent.key)
    render()
    find("#links button")?.focus()
  })
  return make(
    "li",
    {},
    make("span", { class: "name" }, isolated(sent.name), make("br", {}), state),
    copy,
    remove
  )
}

export const render = (words: Words): void => {
  const list = read()
  get("#links-list").replaceChildren(...list.map((sent) => row(words, sent, () => render(words))))
  show(get("#links"), list.length > 0)
}
