/** The page of receivers. */
import { sentences } from "../../packages/server/src/internal/web/sentences.ts"
import { baseUrl, duration, fill, find, get, isolated, make, running, show, size, tell, wordsOf } from "./dom.ts"
import type { Secret } from "./download.ts"
import * as Save from "./save.ts"
import { type Status, statusOf } from "./status.ts"

/** A text that is shown in the page. */
const isShownText = (name: string, bytes: number): boolean => /\.(?:txt|md)$/i.test(name) && bytes <= 256 * 1024

/** How long, and how often, the page asks what became of the browser's own download. */
const POLL_MILLIS = 1500
const POLLS = 400

/** Runs for one tab at a time: two would take the download from each other. `run` does not fail. */
const alone = async (key: string, run: () => Promise<void>): Promise<boolean> => {
  try {
    return await navigator.locks.request(`fileio ${key}`, { ifAvailable: true }, async (lock) => {
      if (lock === null) return false
      await run()
      return true
    })
  } catch {
    // A browser without locks, or whose settings forbid what a site may store.
    await run()
    return true
  }
}

interface Page {
  readonly form: HTMLFormElement
  readonly words: ReturnType<typeof wordsOf>
  readonly key: string
  readonly bytes: number
  readonly complain: (text: string, reason?: string) => void
  readonly say: (text: string) => void
}

const end = ({ form, say }: Page, text: string) => {
  say(text)
  for (const button of form.querySelectorAll("button")) button.disabled = true
  show(get("#counting"), false)
}

/**
 * Whether the host knows this browser again: by a cookie. Chromium says so of blocked ones too, but forbids all storage with
 * them.
 */
const isKnownAgain = (): boolean => {
  try {
    return navigator.cookieEnabled && localStorage !== undefined
  } catch {
    return false
  }
}

/** What happened to a download, and who can begin it again. */
const again = (words: Page["words"], what: string): string =>
  sentences(what, isKnownAgain() ? words.yours : words.again)

/** Says that this browser's own download broke, and for how long it may begin again. */
const sayBroken = ({ complain, say, words }: Page, seconds: number | undefined) => {
  say("")
  complain(seconds === undefined ? again(words, words.broken) : fill(words.brokenFor, { time: duration(seconds) }))
}

/** Says what becomes of the browser's own download. */
const follow = async (page: Page) => {
  const { key, say, words } = page
  say(isKnownAgain() ? sentences(words.begun, words.ifBroken) : words.begun)
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

/** The status of this browser's download after it stopped, which the host notices a moment later. */
const settled = async (key: string): Promise<Status | undefined> => {
  for (let poll = 0; poll < 10; poll++) {
    const status = await statusOf(key)
    if (status?.isMine !== true || status.state !== "downloading") return status
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLIS))
  }
  return undefined
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
      if (response.status === 404) return end(page, words.goneNow)
      if (!response.ok) {
        button.disabled = false
        return complain(
          response.status === 423 ? words.someoneDownloading : words.downloadFailed,
          String(response.status)
        )
      }
      const content = new Uint8Array(await response.arrayBuffer())
      if (content.length < bytes) throw new Error("the response is too short")
      reveal(page, content, form.dataset["name"] ?? "")
    } catch {
      button.disabled = false
      complain(again(words, words.broken))
    }
  })
}

/** A text of any encoding that a text file has. */
const textOf = (bytes: Uint8Array): string => {
  const [first, second] = bytes
  const encoding = first === 0xFF && second === 0xFE
    ? "utf-16le"
    : first === 0xFE && second === 0xFF
    ? "utf-16be"
    : "utf-8"
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch {
    return new TextDecoder("windows-1252").decode(bytes)
  }
}

/** Offers what is in memory, since the host may not have it any more. */
const offer = (
  label: string,
  parts: Array<BlobPart>,
  name: string,
  /** The sentence that it belongs to. */
  sentence = get("#said")
): HTMLButtonElement => {
  const button = make("button", { type: "button", class: "button quiet small" }, label)
  button.addEventListener("click", () => Save.saveWhole(parts, name))
  sentence.append(" ", button)
  show(sentence, true)
  return button
}

/** Shows a text, and offers its bytes, since no browser knows every encoding. */
const reveal = (page: Page, content: Uint8Array<ArrayBuffer>, name: string) => {
  const shown = get("#shown")
  shown.textContent = textOf(content)
  show(shown, true)
  end(page, page.words.doneShown)
  offer(page.words.saveText, [content], name)
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

  const Download = await import("./download.ts").catch(() => undefined)
  if (Download === undefined) return complain(words.notLoaded)
  const name = Download.nameOf(link) ?? (form.dataset["name"] ?? "").replace(/\.age$/i, "")
  get("h1").replaceChildren(isolated(name))
  document.title = name
  const needs = Download.needsOf(link)
  if (needs === "Wrong") return complain(words.linkWrong)
  note.textContent = needs === "Passphrase"
    ? words.passphraseNeeded
    : needs === "Identity"
    ? words.identityNeeded
    : words.encryptedInfo
  if (needs === "Identity") {
    const label = get<HTMLLabelElement>("label[for=secret]")
    label.textContent = label.dataset["key"] ?? ""
  }
  show(get("#secret-part"), needs !== "Nothing")
  show(reader, isShownText(name, bytes))
  submit.disabled = false

  const connection = Download.connect(baseUrl(), link)
  let abort: AbortController | undefined
  let held: Uint8Array<ArrayBuffer> | undefined
  /** Whether the page has what the host may not have any more, and nothing else has it. */
  let isOnlyHere = false
  /** Whether the host was asked for the file, or only for its header. */
  let isAsked = false
  const progress = running(words, words.downloadWaiting, () => abort?.abort())

  /** What the receiver entered; `false`: nothing usable, and the page says why. */
  const secretOf = (): Secret | undefined | false => {
    if (needs === "Nothing") return undefined
    // Spaces may be part of a passphrase.
    const text = needs === "Identity" ? secretField.value.trim() : secretField.value
    if (text !== "" && (needs === "Passphrase" || Download.isIdentity(text))) return { _tag: needs, text }
    complain(text === "" ? words.enterSecret : words.keyMistyped)
    secretField.focus()
    return false
  }

  /** Downloads all of it, then decrypts: a wrong secret costs nothing, since the bytes are here. */
  const whole = async (secret: Secret | undefined, isShown: boolean, signal: AbortSignal) => {
    held ??= await connection.bytes(progress.advance, signal)
    isOnlyHere = true
    progress.status(words.decrypting)
    const parts = await connection.decrypt(held, secret, signal)
    isOnlyHere = false
    if (isShown) return reveal(page, new Uint8Array(await new Blob(parts).arrayBuffer()), name)
    Save.saveWhole(parts, name)
    end(page, words.done)
    // The disk may have been full.
    offer(words.saveAgain, parts, name)
  }

  const download = async (secret: Secret | undefined, isShown: boolean, signal: AbortSignal) => {
    isAsked = held !== undefined
    if (!isAsked) {
      await connection.tryOnHeader(secret, signal)
      isAsked = true
      progress.status(words.downloadingDecrypting)
    }
    if (bytes <= Save.WHOLE_BYTES) return whole(secret, isShown, signal)
    const worker = await Save.prepare(form.dataset["worker"]!)
    signal.throwIfAborted()
    if (worker === undefined) {
      return await Save.hasRoom(bytes)
        ? whole(secret, isShown, signal)
        : complain(fill(words.tooLargeHere, { size: size(bytes) }))
    }
    await connection.stream(secret, (_, total) => Save.openSink(worker, name, total), progress.advance, signal)
    end(page, words.done)
  }

  /**
   * The host may have sent its last byte before the browser stopped; for the grace time it gives the same browser all of it
   * again.
   */
  const notSaved = async () => {
    const status = await settled(key)
    const isAgain = status?.isMine === true && status.seconds !== undefined
    if (isAgain) return complain(fill(words.notSaved, { time: duration(status.seconds!) }))
    if (status?.state !== "gone" && status?.state !== "downloaded") return complain(again(words, words.stopped))
    end(page, "")
    complain(words.notSavedGone)
  }

  /** Offers the encrypted file, which the host may not have any more. */
  const offerHeld = (encrypted: Uint8Array<ArrayBuffer>) =>
    offer(words.saveEncrypted, [encrypted], `${name}.age`, get("#problem")).addEventListener("click", () => {
      isOnlyHere = false
    })

  /** The receiver cancelled, or the connection broke; the host may have sent its last byte before, or have no file any more. */
  const stopped = async (what: string) => {
    if (held !== undefined) {
      complain(words.stoppedHere)
      offerHeld(held)
      return
    }
    if (!isAsked) return complain(words.stopped)
    const status = await statusOf(key)
    if (status?.isMine === true && status.state === "downloaded") return sayBroken(page, status.seconds)
    if (status?.state === "gone") return end(page, words.goneNow)
    complain(again(words, what))
  }

  const failed = async (error: unknown, { signal }: AbortController) => {
    if (signal.aborted) return stopped(words.stopped)
    if (error instanceof Save.NotSaved) return notSaved()
    const { _tag, reason } = Download.problemOf(error)
    switch (_tag) {
      case "WrongSecret":
        complain(
          !isAsked && needs === "Nothing"
            ? words.linkOther
            : sentences(
              words.wrongSecret,
              held !== undefined ? words.heldHere : isAsked ? again(words, words.stopped) : words.notTaken
            )
        )
        break
      case "Gone":
        return end(page, words.goneNow)
      case "Busy":
        return complain(words.someoneDownloading)
      case "Broken":
        await stopped(words.broken)
        break
      case "Other":
        complain(isAsked ? words.downloadFailed : sentences(words.notTaken, words.downloadFailed), reason)
    }
    if (held !== undefined) offerHeld(held)
    show(form, true)
    secretField.focus()
  }

  const begin = async (isShown: boolean) => {
    if (abort !== undefined) return
    const secret = secretOf()
    if (secret === false) return
    const controller = new AbortController()
    abort = controller
    complain("")
    say("")
    submit.disabled = reader.disabled = true
    const isAlone = await alone(key, async () => {
      progress.start(held === undefined ? words.checking : words.decrypting)
      submit.disabled = reader.disabled = false
      show(form, false)
      await download(secret, isShown, controller.signal).catch((error: unknown) => failed(error, controller))
      progress.stop()
      show(form, true)
    })
    abort = undefined
    if (isAlone) return
    submit.disabled = reader.disabled = false
    complain(words.otherTab)
  }

  addEventListener("beforeunload", (event) => {
    if (abort !== undefined && isAsked || isOnlyHere) event.preventDefault()
  })
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    void begin(false)
  })
  reader.addEventListener("click", () => void begin(true))
}

export const enhance = (form: HTMLFormElement): void => {
  const [problem, said] = [get("#problem"), get("#said")]
  const page: Page = {
    form,
    words: wordsOf(form),
    key: form.dataset["key"] ?? "",
    bytes: Number(form.dataset["size"]),
    complain: (text, reason) => tell(problem, text, reason),
    say: (text) => tell(said, text)
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
