/** The links that this browser has sent, and what became of each. */
import { baseUrl, copyOnClick, fill, find, get, isolated, make, show, tell, type Words } from "./dom.ts"
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
  /** The host has said so. */
  readonly isGone?: boolean | undefined
}

/** The calls of the SDK; `undefined` if the network is away, or the host has other files since it was updated. */
export const loadUpload = () => import("./upload.ts").catch(() => undefined)

/** Links of one host and path. Each has an entry of its own, so that two tabs do not overwrite each other's. */
const prefix = (): string => `fileio-link ${baseUrl()} `

/** The newest links of files that are gone; links of the others are kept as long as the browser has room. */
const MOST_GONE = 50
/** How many are shown at first. */
const FIRST_SHOWN = 20
/** The clock of a computer may be wrong by days. */
const CLOCK_MILLIS = 7 * 86_400_000

const isSent = (value: unknown): value is Sent =>
  typeof value === "object" && value !== null && "key" in value && typeof value.key === "string" &&
  "name" in value && typeof value.name === "string" && "link" in value && typeof value.link === "string" &&
  "sentAt" in value && typeof value.sentAt === "number"

const parse = (entry: string | null): ReadonlyArray<Sent> => {
  try {
    const sent: unknown = JSON.parse(entry ?? "")
    return isSent(sent) ? [sent] : []
  } catch {
    return []
  }
}

/** The newest first. */
const read = (): ReadonlyArray<Sent> => {
  try {
    const start = prefix()
    return Object.keys(localStorage)
      .flatMap((name) => name.startsWith(start) ? parse(localStorage.getItem(name)) : [])
      .toSorted((one, other) => other.sentAt - one.sentAt)
  } catch {
    return []
  }
}

/** Returns whether the browser keeps it: its storage may be full, or forbidden. */
const write = (sent: Sent): boolean => {
  try {
    localStorage.setItem(prefix() + sent.key, JSON.stringify(sent))
    return true
  } catch {
    return false
  }
}

const forget = ({ key }: Sent): void => localStorage.removeItem(prefix() + key)

const isGone = ({ expires, isGone }: Sent): boolean =>
  isGone === true || expires !== undefined && expires < Date.now() - CLOCK_MILLIS

/** Forgets links of files that are gone, except the newest; returns whether there were some. */
const makeRoom = (kept: number): boolean => {
  const old = read().filter(isGone).slice(kept)
  old.forEach(forget)
  return old.length > 0
}

/** Returns whether the browser keeps the link. One that can still be downloaded never goes in its place. */
export const add = (sent: Sent): boolean => {
  makeRoom(MOST_GONE)
  return write(sent) || makeRoom(0) && write(sent)
}

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
const deleteButton = (
  words: Words,
  { key, token }: Sent,
  say: (text: string, reason?: string) => void,
  refresh: () => Promise<void>
): HTMLButtonElement => {
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
      await refresh()
    } catch (error) {
      button.disabled = false
      say(words.deleteFailed, upload.problemOf(error).reason)
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
  const say = (text: string, reason?: string) => tell(state, text, reason)
  const copy = small(words.copyLink)
  copyOnClick(copy, () => sent.link, words.copied)
  const remove = small(words.forget)
  remove.addEventListener("click", () => {
    forget(sent)
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
    if (!isThere) write({ ...sent, link: sent.link.split("#", 1)[0]!, isGone: true })
    if (isThere && sent.token !== undefined) buttons.prepend(deleteButton(words, sent, say, refresh))
  }
  return { element, refresh }
}

export const render = (words: Words, isWhole = false): void => {
  const all = read()
  const again = () => render(words, isWhole)
  const rows = all.slice(0, isWhole ? all.length : FIRST_SHOWN).map((sent) => row(words, sent, again))
  get("#links-list").replaceChildren(...rows.map(({ element }) => element))
  const more = make("button", { type: "button", class: "button quiet" }, fill(words.showAll, { count: all.length }))
  more.addEventListener("click", () => {
    render(words, true)
    find<HTMLButtonElement>(`#links-list > li:nth-child(${FIRST_SHOWN + 1}) button`)?.focus()
  })
  const place = get("#links-more")
  place.replaceChildren(more)
  show(place, rows.length < all.length)
  show(get("#links"), rows.length > 0)
  // One after the other: each counts against the rate limit.
  void rows.reduce((before, { refresh }) => before.then(refresh), Promise.resolve())
}
