/** The page of senders. */
import { account } from "./account.ts"
import { type Choice, choice, type Chosen } from "./choose.ts"
import { baseUrl, fill, find, get, make, running, show, size, tell, visible, wordsOf } from "./dom.ts"
import * as Links from "./links.ts"
import * as Results from "./results.ts"
import type * as Upload from "./upload.ts"

type Body = Parameters<Upload.Connection["upload"]>[0]

/** What an upload sends: a file, a text, or an archive. */
interface Item {
  readonly name: string
  readonly size: number
  /** How many of the chosen files it has. */
  readonly files: number
  readonly body: (upload: typeof Upload) => Body | Promise<Body>
}

/** Bytes that the encryption adds: a header, and 16 bytes to each 64 KiB. */
const sealedSize = (bytes: number): number => bytes + 512 + Math.ceil(bytes / 65_536) * 16

const itemsOf = (files: ReadonlyArray<Chosen>, text: string, isArchive: boolean): ReadonlyArray<Item> => {
  const texts: ReadonlyArray<Item> = text === ""
    ? []
    : [{ name: "text.txt", size: new Blob([text]).size, files: 0, body: (upload) => upload.text(text) }]
  if (isArchive && files.length > 1) {
    const name = `${files.length} files.zip`
    // Its headers are small beside the files; the exact size is checked by the host.
    const total = files.reduce((sum, { file, path }) => sum + file.size + 2 * path.length + 128, 0)
    const body = () => import("./archive.ts").then(({ archive }) => archive(files, name))
    return [{ name, size: total, files: files.length, body }, ...texts]
  }
  const each = files.map((one): Item => ({
    name: one.file.name,
    size: one.file.size,
    files: 1,
    body: (upload) => upload.single(one)
  }))
  return [...each, ...texts]
}

/** The fields of the form. */
const settingsOf = (form: HTMLFormElement): Upload.Settings => {
  const field = (name: string) => find<HTMLSelectElement>(`#${name}`, form)?.value
  return {
    expires: field("expires"),
    maxDownloads: field("maxDownloads"),
    isEncrypted: get<HTMLInputElement>("#encrypt").checked,
    passphrase: get<HTMLInputElement>("#passphrase").value
  }
}

/** Offers what a plan allows. */
const offer = ({ maxDownloads, maxExpires }: Upload.Limits): void => {
  const choices = get<HTMLTemplateElement>("#every-setting").content.cloneNode(true) as DocumentFragment
  for (const [name, most] of [["expires", maxExpires], ["maxDownloads", maxDownloads]] as const) {
    for (const option of choices.querySelectorAll<HTMLOptionElement>(`#${name} option`)) {
      const limit = option.dataset["limit"]
      if (most !== undefined && (limit === undefined || Number(limit) > most)) option.remove()
    }
  }
  for (const select of choices.querySelectorAll("select")) {
    if (select.options.length < 2) select.closest(".field")?.remove()
    else if (!Array.from(select.options).some((option) => option.defaultSelected)) {
      select.options[select.options.length - 1]!.selected = true
    }
  }
  get("#settings").replaceChildren(choices)
}

/** A name as `curl -F` reads it, where some characters separate parts. */
const forCurl = (name: string): string => /[;,"\\]/.test(name) ? `"${name.replace(/["\\]/g, "\\$&")}"` : name

/**
 * The line for a terminal follows the form. A name that does not show all its characters is not in it: it would deceive, or
 * miss the file.
 */
const showLine = (form: HTMLFormElement, files: ReadonlyArray<Chosen>): void => {
  const code = get("#curl")
  const name = files[0]?.file.name
  const line = [
    "curl",
    "-F",
    name === undefined || name !== visible(name) ? "file=@FILE" : Results.shellQuoted(`file=@${forCurl(name)}`)
  ]
  for (const select of form.querySelectorAll("select")) {
    const { selectedOptions: [option], value } = select
    if (option?.defaultSelected === false) line.push("-F", `${select.name}=${value}`)
  }
  code.textContent = [...line, code.dataset["url"] ?? ""].join(" ")
}

export const enhance = (form: HTMLFormElement): void => {
  const words = wordsOf(form)
  const [fields, problem, results] = [get("#fields"), get("#problem"), get("#results")]
  const anonymousMost = Number(form.dataset["most"])
  const anonymousSettings = Array.from(get("#settings").childNodes, (node) => node.cloneNode(true))
  let most = anonymousMost
  /** Bytes that the account may still store. */
  let left = Infinity
  let abort: AbortController | undefined

  const complain = (text: string, reason?: string) => tell(problem, text, reason)
  const progress = running(words, words.waiting, () => abort?.abort())
  const who = account(() => void applyPlan())
  const chosen: Choice = choice(words, {
    isBusy: () => abort !== undefined || !results.hidden,
    onChange: () => {
      complain(wrong(chosen?.files() ?? []) ?? "")
      showLine(form, chosen?.files() ?? [])
    },
    onUnreadable: () => complain(words.unreadable),
    onText: (text) => {
      get<HTMLDetailsElement>("#text-part").open = true
      get<HTMLTextAreaElement>("#text").value = text
    }
  })

  /** Why a file cannot be sent, before anything is. */
  const wrong = (files: ReadonlyArray<Chosen>): string | undefined => {
    const isEncrypted = get<HTMLInputElement>("#encrypt").checked
    let total = 0
    for (const { name, size: bytes } of itemsOf(files, "", get<HTMLInputElement>("#archive").checked)) {
      if (bytes === 0) return fill(words.empty, { name })
      const sent = isEncrypted ? sealedSize(bytes) : bytes
      if (sent > most) return fill(words.tooLarge, { name, size: size(bytes), most: size(most) })
      total += sent
    }
    return total > left ? fill(words.noRoom, { left: size(left), size: size(total) }) : undefined
  }

  const applyPlan = async () => {
    const key = who.key()
    complain("")
    if (key === undefined) {
      most = anonymousMost
      left = Infinity
      get("#settings").replaceChildren(...anonymousSettings.map((node) => node.cloneNode(true)))
      return
    }
    const upload = await Links.loadUpload()
    if (upload === undefined) return complain(words.notLoaded)
    try {
      const connection = upload.connect(baseUrl(), key)
      const limits = await connection.limits()
      if (key !== who.key()) return
      most = limits.maxUploadBytes ?? Infinity
      left = limits.storageLeft ?? Infinity
      offer(limits)
      complain(wrong(chosen.files()) ?? "")
    } catch (error) {
      const { isKeyWrong, reason } = upload.problemOf(error)
      complain(isKeyWrong ? words.keyWrong : words.notChecked, reason)
    }
  }
  if (who.key() !== undefined) void applyPlan()

  /** Whether a link is only in this page: the browser keeps none. */
  let isOnlyHere = false
  /** What was sent since the form was last empty: an upload of several files may fail at one of them, and go on with the rest. */
  const sent: Array<Results.Result> = []
  const beginning = [get("h1").textContent, get("#lead").textContent, document.title] as const

  const finish = (settings: Upload.Settings) => {
    const heading = get("h1")
    heading.textContent = document.title = sent.length === 1 ? words.ready : words.readyMany
    const isOne = sent.length === 1
    get("#lead").textContent = !settings.isEncrypted
      ? isOne ? words.readyLead : words.readyLeadMany
      : settings.passphrase !== ""
      ? isOne ? words.readyPassphrase : words.readyPassphraseMany
      : isOne
      ? words.readyEncrypted
      : words.readyEncryptedMany
    show(form, false)
    show(get("#terminal"), false)
    results.replaceChildren(...Results.cards(words, sent, () => {
      ;[heading.textContent, get("#lead").textContent, document.title] = beginning
      sent.length = 0
      isOnlyHere = false
      results.replaceChildren()
      show(results, false)
      show(form, true)
      show(get("#terminal"), true)
      form.reset()
      chosen.drop(Infinity)
      get("#file").focus()
    }))
    if (isOnlyHere) results.prepend(make("p", { class: "note" }, words.notKept))
    show(results, true)
    heading.focus()
  }

  const send = async (items: ReadonlyArray<Item>, settings: Upload.Settings, { signal }: AbortController) => {
    const upload = await Links.loadUpload()
    if (upload === undefined) return complain(words.notLoaded)
    let filesSent = 0
    const total = items.reduce((sum, item) => sum + item.size, 0)
    let before = 0
    try {
      const connection = upload.connect(baseUrl(), who.key())
      for (const [index, item] of items.entries()) {
        signal.throwIfAborted()
        const what = settings.isEncrypted ? words.encrypting : words.uploading
        progress.status(
          items.length === 1 ? what : `${what}: ${fill(words.uploadingOne, { number: index + 1, count: items.length })}`
        )
        const body = await item.body(upload)
        const { expires, key, link, token } = await connection.upload(
          body,
          settings,
          (bytes, of) => {
            progress.advance(before + bytes, items.length === 1 ? of : Math.max(total, before + bytes))
          },
          (reason) => progress.hold(reason === undefined ? words.waiting : words.hostError, reason),
          signal
        )
        before += item.size
        left -= settings.isEncrypted ? sealedSize(item.size) : item.size
        filesSent += item.files
        sent.push({ name: item.name, link })
        if (!Links.add({ key, name: item.name, link, expires, token, sentAt: Date.now() })) isOnlyHere = true
      }
      finish(settings)
    } catch (error) {
      const { isHostFull, isKeyWrong, isMaybeStored, isUnreadable, reason } = upload.problemOf(error)
      chosen.drop(filesSent)
      if (sent.length > 0) {
        // What was sent has its links; the rest can be sent again.
        finish(settings)
        show(form, true)
      }
      complain(
        signal.aborted
          ? sent.length > 0 ? "" : words.cancelled
          : isKeyWrong
          ? words.keyWrong
          : isHostFull
          ? words.hostFull
          : isUnreadable
          ? words.unreadable
          : isMaybeStored
          ? words.uploadUnknown :
          words.uploadFailed,
        reason
      )
    }
  }

  addEventListener("beforeunload", (event) => {
    if (abort !== undefined || isOnlyHere) event.preventDefault()
  })
  form.addEventListener("change", () => {
    complain(wrong(chosen.files()) ?? "")
    show(get("#with-passphrase"), get<HTMLInputElement>("#encrypt").checked)
    showLine(form, chosen.files())
  })
  form.addEventListener("reset", () => setTimeout(() => show(get("#with-passphrase"), true)))
  form.addEventListener("submit", async (event) => {
    event.preventDefault()
    if (abort !== undefined) return
    const items = itemsOf(
      chosen.files(),
      get<HTMLTextAreaElement>("#text").value,
      get<HTMLInputElement>("#archive").checked
    )
    if (items.length === 0) {
      complain(words.chooseFirst)
      get("#file").focus()
      return
    }
    const reason = form.dataset["keyNeeded"] !== undefined && who.key() === undefined
      ? words.keyFirst
      : wrong(chosen.files())
    complain(reason ?? "")
    if (reason !== undefined) return
    abort = new AbortController()
    show(fields, false)
    progress.start(words.uploading)
    await send(items, settingsOf(form), abort)
    abort = undefined
    progress.stop()
    show(fields, true)
    Links.render(words)
  })
  showLine(form, [])
  Links.render(words)
}
