/** The links that this browser has sent, and what became of each. */
import { baseUrl, copyOnClick, fill, find, get, isolated, make, show, type Words } from "./dom.ts"
import { type Status, statusOf } from "./status.ts"

interface Sent {
  readonly key: string
  readonly name: string
  readonly link: string
  /** In milliseconds; absent: never. */
  readonly expires?: number | undefined
  /** Deletes the file. */
  readonly token?: string | undefined
  readonly sentAt: number
}

/** The calls of the SDK; `undefined` if the network is away, or the host has other files since it was updated. */
export const loadUpload = () => import("./upload.ts").catch(() => undefined)

/** One list for each host and path. */
const storeName = (): string => `fileio-links ${baseUrl()}`
/** The newest links that are kept. An older one loses its deletion token; its file ends when it expires. */
const MOST_LINKS = 50

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

/** Returns whether the browser keeps it: its storage may be full, or forbidden. */
const write = (list: ReadonlyArray<Sent>): boolean => {
  try {
    localStorage.setItem(storeName(), JSON.stringify(list.slice(0, MOST_LINKS)))
    return true
  } catch {
    return false
  }
}

/** Returns whether the browser keeps the link. */
export const add = (sent: Sent): boolean => write([sent, ...read().filter(({ key }) => key !== sent.key)])

const forget = (key: string): boolean => write(read().filter((sent) => sent.key !== key))

const wordOf = (words: Words, { expires }: Sent, state: Status["state"]): string => {
  switch (state) {
    case "available":
      return words.stateWaiting
    case "downloading":
      return words.stateRunning
    case "interrupted":
      return words.stateInterrupted
    case "downloaded":
      return words.stateDownloaded
    case "expired":
      return words.stateExpired
    case "deleted":
      return words.stateDeleted
    case "gone":
      return expires !== undefined && expires <= Date.now() ? words.stateExpired : words.stateGone
  }
}

const small = (label: string): HTMLButtonElement =>
  make("button", { type: "button", class: "button quiet small" }, label)

/** Deletes at the second press. */
const deleteButton = (words: Words, { key, token }: Sent, say: (text: string) => void): HTMLButtonElement => {
  const button = small(words.deleteNow)
  let isSure = false
  button.addEventListener("click", async () => {
    if (!isSure) {
      isSure = true
      button.textContent = words.deleteSure
      return
    }
    button.disabled = true
    const upload = await loadUpload()
    if (upload === undefined) {
      button.disabled = false
      return say(words.notLoaded)
    }
    try {
      await upload.connect(baseUrl(), undefined).remove(key, token!)
      say(words.stateDeleted)
      button.remove()
    } catch (error) {
      button.disabled = false
      say(fill(words.deleteFailed, { reason: upload.problemOf(error).reason }))
    }
  })
  button.addEventListener("blur", () => {
    isSure = false
    button.textContent = words.deleteNow
  })
  return button
}

const row = (words: Words, sent: Sent, render: () => void) => {
  const state = make("span", { class: "hint", role: "status" })
  const say = (text: string) => {
    state.textContent = text
  }
  const copy = small(words.copyLink)
  copyOnClick(copy, () => sent.link, words.copied)
  const remove = small(words.forget)
  remove.addEventListener("click", () => {
    forget(sent.key)
    render()
    find("#links button")?.focus()
  })
  const buttons = make("div", { class: "row-buttons" }, copy, remove)
  const element = make(
    "li",
    {},
    make("div", { class: "about" }, make("span", { class: "name" }, isolated(sent.name)), state),
    buttons
  )
  /** Asks what became of the file, without taking it. */
  const refresh = async () => {
    const status = await statusOf(sent.key, sent.token)
    if (status === undefined || !element.isConnected) return
    say(wordOf(words, sent, status.state))
    const isThere = ["available", "downloading", "interrupted"].includes(status.state)
    copy.hidden = !isThere
    if (!isThere) write(read().map((one) => one.key === sent.key ? { ...one, link: one.link.split("#", 1)[0]! } : one))
    if (isThere && sent.token !== undefined) buttons.prepend(deleteButton(words, sent, say))
  }
  return { element, refresh }
}

export const render = (words: Words): void => {
  const rows = read().map((sent) => row(words, sent, () => render(words)))
  get("#links-list").replaceChildren(...rows.map(({ element }) => element))
  show(get("#links"), rows.length > 0)
  // One after the other: each counts against the rate limit.
  void rows.reduce((before, { refresh }) => before.then(refresh), Promise.resolve())
}
