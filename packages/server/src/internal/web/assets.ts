/**
 * What the pages load: one style sheet, one script, one icon. They are text in a module, so that the build has nothing to
 * copy, and their names carry a hash, so that browsers may keep them for good.
 */
import { createHash } from "node:crypto"

const css = `:root {
  color-scheme: light dark;
  --page: #f4f5f2;
  --card: #fff;
  --ink: #1d2624;
  --soft: #596663;
  --line: #d9deda;
  --field: #828e8a;
  --tint: #eef3f0;
  --accent: #0b6b57;
  --strong: #085444;
  --on: #fff;
  --bad: #a3241c;
  --shadow: 0 1px 2px #1d26240d, 0 12px 32px -16px #1d262429;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131817;
    --card: #1b2220;
    --ink: #e6ece9;
    --soft: #9fada8;
    --line: #2e3835;
    --field: #74817d;
    --tint: #222b28;
    --accent: #63d3b5;
    --strong: #8be3cb;
    --on: #06231c;
    --bad: #ff9c93;
    --shadow: 0 12px 32px -16px #0009;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0;
  min-height: 100vh;
  min-height: 100dvh;
  display: flex;
  flex-direction: column;
  align-items: center;
  padding: clamp(1rem, 4vw, 2rem);
  gap: clamp(1.5rem, 6vh, 3.5rem);
  background: var(--page);
  color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
header, main, footer { width: 100%; max-width: 38rem; }
.broad > * { max-width: 56rem; }
header { display: flex; justify-content: space-between; align-items: center; }
.brand { display: inline-flex; align-items: center; gap: .6rem; font-weight: 650; color: inherit; text-decoration: none; }
.brand img { display: block; }
header > a, footer { font-size: .9375rem; color: var(--soft); }
footer { margin-top: auto; font-size: .875rem; }
main { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.5rem; }
h1 { margin: 0; font-size: clamp(1.625rem, 5vw, 2.125rem); line-height: 1.2; letter-spacing: -.02em; font-weight: 680; text-wrap: balance; overflow-wrap: anywhere; }
h1:focus { outline: none; }
h2 { margin: 0; font-size: .9375rem; font-weight: 600; }
p { margin: 0; text-wrap: pretty; }
.lead { margin-top: .6rem; color: var(--soft); font-size: 1.0625rem; overflow-wrap: anywhere; }
.card { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.25rem; padding: clamp(1.125rem, 4vw, 1.75rem); background: var(--card); border: 1px solid var(--line); border-radius: 1rem; box-shadow: var(--shadow); }
a { color: var(--accent); text-underline-offset: .2em; text-decoration-thickness: 1px; }
a:hover { color: var(--strong); text-decoration-thickness: 2px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: .5rem; }
.drop { display: grid; grid-template-columns: minmax(0, 1fr); gap: .75rem; justify-items: center; text-align: center; padding: clamp(1.5rem, 6vw, 2.5rem) 1rem; border: 1.5px dashed var(--field); border-radius: .75rem; background: var(--tint); transition: border-color .15s, background-color .15s; }
.drop svg { color: var(--accent); }
.drop.over { border-style: solid; border-color: var(--accent); background: color-mix(in srgb, var(--accent) 14%, var(--card)); }
.drop label { font-weight: 600; font-size: 1.0625rem; }
.drop input { width: 100%; max-width: 22rem; color: var(--soft); font: inherit; font-size: .9375rem; }
::file-selector-button { font: inherit; font-weight: 600; color: var(--accent); background: var(--card); border: 1px solid var(--field); border-radius: .5rem; padding: .4rem .9rem; margin-inline-end: .75rem; cursor: pointer; }
::file-selector-button:hover { border-color: var(--accent); }
.hint { color: var(--soft); font-size: .9375rem; }
.fields { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1rem; }
.field { display: grid; gap: .35rem; }
.field label, summary { font-size: .9375rem; font-weight: 600; }
summary { cursor: pointer; width: fit-content; color: var(--accent); }
select, textarea, .link { width: 100%; font: inherit; color: inherit; background: var(--card); border: 1px solid var(--field); border-radius: .5rem; padding: .6rem .75rem; }
textarea { display: block; margin-top: .75rem; min-height: 8rem; resize: vertical; font: .9375rem/1.5 ui-monospace, Menlo, Consolas, monospace; }
.button { font: inherit; font-weight: 650; display: inline-block; text-align: center; text-decoration: none; color: var(--on); background: var(--accent); border: 1px solid transparent; border-radius: .625rem; padding: .75rem 1.5rem; cursor: pointer; }
.button:hover { background: var(--strong); color: var(--on); }
.wide { width: 100%; font-size: 1.0625rem; }
.quiet { color: var(--accent); background: none; border-color: var(--field); padding: .4rem .9rem; font-size: .9375rem; }
.quiet:hover { background: var(--tint); color: var(--strong); border-color: var(--accent); }
progress { width: 100%; height: .625rem; accent-color: var(--accent); display: block; }
.card-fields { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.25rem; }
.share .card-fields { gap: .75rem; }
.running { display: grid; gap: .75rem; }
.row { display: flex; gap: .75rem; align-items: center; justify-content: space-between; }
.row > :first-child { min-width: 0; flex: 1; }
.note { padding: .75rem 1rem; background: var(--tint); border: 1px solid var(--line); border-radius: .625rem; }
.bad { color: var(--bad); font-weight: 550; }
.facts { margin: 0; display: grid; }
.facts > div { display: flex; justify-content: space-between; gap: 1.5rem; padding: .65rem 0; border-top: 1px solid var(--line); }
.facts > div:first-child { border-top: 0; padding-top: 0; }
.facts > div:last-child { padding-bottom: 0; }
dt { color: var(--soft); flex: none; }
dd { margin: 0; text-align: end; min-width: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
dd small { display: block; color: var(--soft); font-size: .875rem; }
.link { font: 1rem/1.4 ui-monospace, Menlo, Consolas, monospace; text-overflow: ellipsis; }
.share { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 1.5rem; align-items: center; }
.share svg { display: block; width: 9.5rem; height: 9.5rem; border-radius: .625rem; background: #fff; }
.terminal { display: grid; grid-template-columns: minmax(0, 1fr); gap: .5rem; }
pre { margin: 0; padding: .75rem 1rem; background: var(--tint); border: 1px solid var(--line); border-radius: .625rem; font: .875rem/1.6 ui-monospace, Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-size: .9375rem; }
th, td { text-align: start; vertical-align: top; padding: .4rem .75rem .4rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
th { border-top: 0; color: var(--soft); font-weight: 550; overflow-wrap: normal; }
th:first-child { width: 8.5rem; }
th:nth-child(2):not(:last-child) { width: 5rem; }
h3 { margin: 0; font-size: .9375rem; }
.broad h2 { font-size: 1.125rem; }
code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .9em; overflow-wrap: anywhere; }
pre code { font-size: inherit; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: 1rem; padding: .5rem 1rem; background: var(--card); z-index: 1; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 30rem) {
  .share { grid-template-columns: minmax(0, 1fr); justify-items: center; text-align: center; }
  .share > div { width: 100%; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media (forced-colors: active) { .button, .card, .drop { border: 1px solid; } }
`

/** All of it is beside the point: without it the forms and the links do the same. */
const js = `"use strict"
{
  const find = (selector, root = document) => root.querySelector(selector)
  const show = (element, shown) => { if (element) element.hidden = !shown }
  const size = (bytes) => {
    let unit = 0
    for (; bytes >= 999.5 && unit < 4; unit++) bytes /= 1000
    return (unit === 0 || bytes >= 99.5 ? Math.round(bytes) : bytes.toFixed(1)) + " " + ["bytes", "kB", "MB", "GB", "TB"][unit]
  }

  // Times are told in UTC until here.
  const localTimes = () => {
    for (const time of document.querySelectorAll("time")) {
      time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang, { dateStyle: "long", timeStyle: "short" })
    }
  }

  const copyButtons = () => {
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = false
      button.onclick = async () => {
        const source = find(button.dataset.copy)
        const said = find("#said")
        try {
          await navigator.clipboard.writeText(source.value ?? source.textContent)
        } catch {
          // Without https there is no clipboard but the old way.
          if (source.select) source.select()
          else getSelection().selectAllChildren(source)
          document.execCommand("copy")
        }
        button.textContent = "Copied"
        if (said) said.textContent = "Copied to the clipboard"
        setTimeout(() => {
          button.textContent = button.dataset.label
          if (said) said.textContent = ""
        }, 2500)
      }
    }
  }

  const uploads = () => {
    const form = find("form#upload")
    if (!form) return
    const { file: input, text, expires, maxDownloads } = form.elements
    const drop = find(".drop")
    const running = find(".running")
    const problem = find("#problem")
    const status = find("#status")
    const bar = find("progress")
    const most = Number(form.dataset.most)
    let request

    const complain = (words) => {
      problem.textContent = words
      show(problem, words !== "")
    }
    const take = (files, note = "") => {
      if (request || files.length === 0) return
      const one = new DataTransfer()
      one.items.add(files[0])
      input.files = one.files
      input.dispatchEvent(new Event("change"))
      if (files.length > 1) note = "One file at a time: the first one is taken. To send several, pack them into an archive."
      find("#chosen").textContent = files[0].name + ", " + size(files[0].size) + (note && ". " + note)
    }
    const quote = (word) => /^[\\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\\\\''") + "'"
    const curl = () => {
      const file = input.files[0]
      const line = ["curl", "-F", quote("file=@" + (file ? file.name : "FILE"))]
      for (const field of [expires, maxDownloads]) {
        if (field && !field.selectedOptions[0].defaultSelected) line.push("-F", quote(field.name + "=" + field.value))
      }
      find("#curl").textContent = [...line, find("#curl").dataset.url].join(" ")
    }

    form.addEventListener("change", () => {
      complain("")
      curl()
    })
    input.addEventListener("change", () => {
      const file = input.files[0]
      find("#chosen").textContent = file ? file.name + ", " + size(file.size) : ""
      complain(file && file.size > most ? "This file has " + size(file.size) + "; at most " + size(most) + " can be uploaded." : "")
      curl()
    })

    let depth = 0
    const over = (event, change) => {
      if (!event.dataTransfer?.types.includes("Files")) return
      event.preventDefault()
      depth = change === 0 ? 0 : depth + change
      drop.classList.toggle("over", depth > 0 && !request)
    }
    const page = new AbortController()
    const on = (name, listener) => addEventListener(name, listener, { signal: page.signal })
    on("dragenter", (event) => over(event, 1))
    on("dragleave", (event) => over(event, -1))
    on("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault())
    on("drop", (event) => {
      over(event, 0)
      if (event.dataTransfer?.files.length) take(event.dataTransfer.files)
    })
    on("paste", (event) => {
      if (event.target.matches("textarea")) return
      const { files } = event.clipboardData
      const words = event.clipboardData.getData("text")
      if (files.length) take(files, "Pasted.")
      else if (words) take([new File([words], "text.txt", { type: "text/plain" })], "Pasted.")
    })
    on("beforeunload", (event) => request && event.preventDefault())

    const end = (words = "") => {
      request = undefined
      show(running, false)
      show(find("#fields"), true)
      complain(words)
    }

    form.addEventListener("submit", (event) => {
      event.preventDefault()
      if (request) return
      const file = input.files[0]
      if (!file && !text.value) {
        complain("Choose a file first, or write a text.")
        input.focus()
        return
      }
      if (file && file.size === 0) return complain("This file is empty. There is nothing to send.")
      if (file && file.size > most) return complain("This file has " + size(file.size) + "; at most " + size(most) + " can be uploaded.")

      // Settings go before the file, so that a wrong one is refused before the bytes are sent.
      const body = new FormData()
      for (const field of [expires, maxDownloads]) if (field) body.append(field.name, field.value)
      if (file) body.append("file", file)
      else body.append("file", new File([text.value], "text.txt", { type: "text/plain" }))

      request = new XMLHttpRequest()
      complain("")
      show(find("#fields"), false)
      show(running, true)
      bar.removeAttribute("value")
      status.textContent = "Uploading"
      let told = -1
      request.upload.onprogress = ({ loaded, total }) => {
        bar.max = total
        bar.value = loaded
        const percent = Math.floor(loaded / total * 100)
        find("#numbers").textContent = size(loaded) + " of " + size(total)
        // A screen reader hears every quarter, not every packet.
        if (percent - told >= 25) status.textContent = "Uploading, " + (told = percent) + " %"
      }
      request.onload = () => {
        const answer = request.response
        const ok = request.status === 200 && answer && find("main", answer)
        if (!ok) return end((answer && find("#problem", answer)?.textContent) || "The host answered with an error (" + request.status + "). Nothing was uploaded.")
        const address = request.responseURL
        request = undefined
        page.abort()
        find("main").replaceWith(find("main", answer))
        document.title = answer.title
        history.pushState(null, "", address)
        enhance()
        find("h1").focus()
      }
      request.onerror = () => end("The connection broke, and it is not known whether the file arrived. You can upload it again; a copy without its link is deleted when it expires.")
      request.onabort = () => end("The upload was cancelled.")
      request.open("POST", form.action)
      request.setRequestHeader("accept", "text/html")
      request.responseType = "document"
      request.send(body)
    })
    find("#cancel").onclick = () => request?.abort()
    curl()
  }

  const downloads = () => {
    find("form#download")?.addEventListener("submit", () => {
      show(find("#begun"), true)
    })
  }

  const enhance = () => {
    for (const element of document.querySelectorAll("[data-script]")) element.hidden = false
    localTimes()
    copyButtons()
    uploads()
    downloads()
  }
  addEventListener("popstate", () => location.reload())
  enhance()
}
`

const icon =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="9" fill="#0b6b57"/>` +
  `<path d="M16 23V10m-5.5 5L16 9.5l5.5 5.5" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" ` +
  `stroke-linejoin="round"/></svg>`

export interface Asset {
  /** Below `/assets/`. */
  readonly name: string
  readonly type: string
  readonly body: string
}

const make = (name: string, extension: string, type: string, body: string): Asset => {
  const hash = createHash("sha256").update(body).digest("hex").slice(0, 12)
  return { name: `${name}-${hash}.${extension}`, type, body }
}

export const style = make("page", "css", "text/css; charset=utf-8", css)
export const script = make("page", "js", "text/javascript; charset=utf-8", js)
export const logo = make("icon", "svg", "image/svg+xml", icon)

export const byName: ReadonlyMap<string, Asset> = new Map([style, script, logo].map((asset) => [asset.name, asset]))
