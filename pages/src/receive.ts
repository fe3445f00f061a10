/** The page of receivers. */
import { baseUrl, fill, find, get, isolated, make, running, show, size, wordsOf } from "./dom.ts"
import type { Secret } from "./download.ts"
import * as Save from "./save.ts"
import { statusOf } from "./status.ts"

/** A text that is shown in the page. */
const isShownText = (name: string, bytes: number): boolean => /\.(?:txt|md)$/i.test(name) && bytes <= 256 * 1024

/** How long, and how often, the page asks what became of the browser's own download. */
const POLL_MILLIS = 1500
const POLLS = 400

/** Runs for one tab at a time: two would take the download from each other. */
const alone = async (key: string, run: () => Promise<void>): Promise<boolean> => {
  if (!("locks" in navigator)) {
    await run()
    return true
  }
  return navigator.locks.request(`fileio ${key}`, { ifAvailable: true }, async (lock) => {
    if (lock === null) return false
    await run()
    return true
  })
}

interface Page {
  readonly form: HTMLFormElement
  readonly words: ReturnType<typeof wordsOf>
  readonly key: string
  readonly bytes: number
  readonly complain: (text: string) => void
  readonly say: (text: string) => void
}

const end = ({ form, say }: Page, text: string) => {
  say(text)
  for (const button of form.querySelectorAll("button")) button.disabled = true
}

/** Says that this browser's own download broke, and for how long it may begin again. */
const sayBroken = ({ complain, say, words }: Page, seconds: number | undefined) => {
  say("")
  complain(seconds === undefined ? words.broken : fill(words.brokenFor, { seconds }))
}

/** Says what becomes of the browser's own download. */
const follow = async (page: Page) => {
  const { key, say, words } = page
  say(words.begun)
  let hasBegun = false
  for (let poll = 0; poll < POLLS; poll++) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLIS))
    const status = await statusOf(key)
    if (status?.state === "gone") return end(page, words.goneNow)
    // A small file is available again as soon as its transfer breaks.
    if (hasBegun && status?.state === "available") return sayBroken(page, undefined)
    if (status?.isMine !== true) continue
    hasBegun = true
    if (status.state === "downloaded") return end(page, words.taken)
    if (status.state === "interrupted") return sayBroken(page, status.seconds)
  }
}

/** After a reload in the middle. */
const recall = async (page: Page) => {
  const status = await statusOf(page.key)
  if (status?.isMine === true && status.state === "interrupted") sayBroken(page, status.seconds)
}

/** A plain file is downloaded by the browser itself; a text can be shown. */
const plain = (page: Page) => {
  const { bytes, complain, form, key, words } = page
  let isFollowed = false
  form.addEventListener("submit", () => {
    complain("")
    if (isFollowed) return
    isFollowed = true
    void follow(page).finally(() => {
      isFollowed = false
    })
  })
  const button = get<HTMLButtonElement>("#show")
  if (button.dataset["script"] === undefined) return
  button.addEventListener("click", async () => {
    button.disabled = true
    complain("")
    try {
      const response = await fetch(`${baseUrl()}/${key}?download=1`, { headers: { accept: "*/*" } })
      const content = await response.text()
      if (response.status === 404) return end(page, words.goneNow)
      if (!response.ok || new TextEncoder().encode(content).length < bytes) throw new Error(String(response.status))
      reveal(page, content)
    } catch {
      button.disabled = false
      complain(words.broken)
    }
  })
}

const reveal = (page: Page, content: string) => {
  const shown = get("#shown")
  shown.textContent = content
  show(shown, true)
  end(page, page.words.doneShown)
  shown.focus()
}

/** An encrypted file is decrypted here. */
const encrypted = async (page: Page) => {
  const { bytes, complain, form, key, say, words } = page
  const link = location.href
  const note = find("#protection") ?? form.insertAdjacentElement("beforebegin", make("p", { class: "note" }))!
  const terminal = find("#terminal")
  if (terminal !== undefined) show(terminal, false)
  const secretField = get<HTMLInputElement>("#secret")
  const [submit, reader] = [get<HTMLButtonElement>("[type=submit]", form), get<HTMLButtonElement>("#show")]
  submit.disabled = true

  const Download = await import("./download.ts")
  const name = Download.nameOf(link) ?? (form.dataset["name"] ?? "").replace(/\.age$/i, "")
  get("h1").replaceChildren(isolated(name))
  document.title = name
  const needs = Download.needsOf(link)
  if (needs._tag === "Wrong") {
    complain(fill(words.linkWrong, { reason: needs.reason }))
    return
  }
  note.textContent = needs._tag === "Passphrase"
    ? words.passphraseNeeded
    : needs._tag === "Identity"
    ? words.identityNeeded
    : words.encryptedInfo
  if (needs._tag === "Identity") {
    const label = get<HTMLLabelElement>("label[for=secret]")
    label.textContent = label.dataset["key"] ?? ""
  }
  show(get("#secret-part"), needs._tag !== "Nothing")
  show(reader, isShownText(name, bytes))
  submit.disabled = false

  const connection = Download.connect(baseUrl())
  let abort: AbortController | undefined
  let held: Uint8Array<ArrayBuffer> | undefined
  const progress = running(words, words.downloadWaiting, () => abort?.abort())

  /** What the receiver entered; `false`: nothing usable, and the page says why. */
  const secretOf = (): Secret | undefined | false => {
    if (needs._tag === "Nothing") return undefined
    const text = secretField.value.trim()
    const reason = needs._tag === "Identity" && text !== "" ? Download.wrongIdentity(text) : undefined
    if (text !== "" && reason === undefined) return { _tag: needs._tag, text }
    complain(reason === undefined ? words.enterSecret : fill(words.keyMistyped, { reason }))
    secretField.focus()
    return false
  }

  /** Downloads all of it, then decrypts: a wrong secret costs nothing, since the bytes are here. */
  const whole = async (
    secret: Secret | undefined,
    isShown: boolean,
    { signal }: AbortController
  ) => {
    held ??= await connection.bytes(link, progress.advance, signal)
    progress.status(words.decrypting)
    const parts = await connection.decrypt(held, link, secret, signal)
    if (isShown) return reveal(page, await new Blob(parts).text())
    Save.saveWhole(parts, name)
    end(page, words.done)
  }

  const streamed = async (secret: Secret | undefined, { signal }: AbortController) => {
    const worker = await Save.prepare(form.dataset["worker"]!)
    signal.throwIfAborted()
    await connection.stream(link, secret, (_, total) => Save.openSink(worker, name, total), progress.advance, signal)
    end(page, words.done)
  }

  const saveEncrypted = () => {
    if (held === undefined) return
    const button = make("button", { type: "button", class: "button quiet" }, words.saveEncrypted)
    const bytes = held
    button.addEventListener("click", () => Save.saveWhole([bytes], `${name}.age`))
    const said = get("#said")
    said.replaceChildren(button)
    show(said, true)
  }

  const failed = (error: unknown, { signal }: AbortController) => {
    const { _tag, reason } = Download.problemOf(error)
    if (signal.aborted) return complain(words.stopped)
    switch (_tag) {
      case "WrongSecret":
        complain(held === undefined ? words.wrongSecretStream : words.wrongSecret)
        break
      case "Gone":
        return end(page, words.goneNow)
      case "Busy":
        return complain(words.someoneDownloading)
      case "Broken":
        complain(words.broken)
        break
      case "Other":
        complain(fill(words.downloadFailed, { reason }))
    }
    saveEncrypted()
    if (needs._tag !== "Nothing") secretField.focus()
  }

  const begin = async (isShown: boolean) => {
    if (abort !== undefined) return
    const secret = secretOf()
    if (secret === false) return
    const isWhole = bytes <= Save.WHOLE_BYTES || !Save.canStream()
    if (isWhole && bytes > Save.WHOLE_BYTES_WITHOUT_WORKER) {
      complain(fill(words.tooLargeHere, { size: size(bytes) }))
      return
    }
    complain("")
    say("")
    const controller = new AbortController()
    abort = controller
    submit.disabled = reader.disabled = true
    const isAlone = await alone(key, async () => {
      progress.start(held === undefined ? words.downloadingDecrypting : words.decrypting)
      submit.disabled = reader.disabled = false
      show(form, false)
      await (isWhole ? whole(secret, isShown, controller) : streamed(secret, controller))
        .catch((error: unknown) => failed(error, controller))
      progress.stop()
      show(form, true)
    })
    abort = undefined
    if (isAlone) return
    submit.disabled = reader.disabled = false
    complain(words.otherTab)
  }

  addEventListener("beforeunload", (event) => {
    if (abort !== undefined) event.preventDefault()
  })
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    void begin(false)
  })
  reader.addEventListener("click", () => void begin(true))
}

export const enhance = (form: HTMLFormElement): void => {
  const [problem, said] = [get("#problem"), get("#said")]
  const tell = (element: HTMLElement) => (text: string) => {
    element.textContent = text
    show(element, text !== "")
  }
  const page: Page = {
    form,
    words: wordsOf(form),
    key: form.dataset["key"] ?? "",
    bytes: Number(form.dataset["size"]),
    complain: tell(problem),
    say: tell(said)
  }
  // Another link of the same file, pasted into the address.
  addEventListener("hashchange", () => location.reload())
  void recall(page)
  if (/[#&]age=/.test(location.hash)) {
    void encrypted(page)
    return
  }
  const note = find("#protection")
  if (note !== undefined) note.textContent = page.words.linkCut
  plain(page)
}
