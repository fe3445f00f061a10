/** The pages for people: plain HTML, complete without the script. */
import * as PlainText from "@effect-fileio/core/PlainText"
import * as Duration from "effect/Duration"
import { encode } from "uqr"
import type { FileRecord } from "../../Catalog.ts"
import type { Plan } from "../../Plans.ts"
import * as Assets from "./assets.ts"

/** Text that is HTML already; everything else is escaped when it is inserted. */
class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Part = Html | string | number | undefined | ReadonlyArray<Html>

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

const html = (strings: TemplateStringsArray, ...parts: ReadonlyArray<Part>): Html =>
  new Html(strings.reduce((text, string, index) => text + render(parts[index - 1]) + string))

/** Untrusted text, isolated so that it cannot change the direction of the text around it. */
const foreign = (text: string): Html => html`<bdi>${PlainText.strip(text)}</bdi>`

/** HTML that was made, and escaped, elsewhere. */
export const trusted = (text: string): Html => new Html(text)

export interface Frame {
  readonly title: string
  /** The relative path from the page to `/`, such as `../`: the pages work below any path of a proxy. */
  readonly root: string
  readonly body: Html
  /** For tables. */
  readonly broad?: boolean
}

/** A whole page around its content. */
export const document = ({ body, broad, root, title }: Frame): string =>
  html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="${root}assets/${Assets.logo.name}">
<link rel="stylesheet" href="${root}assets/${Assets.style.name}">
<script src="${root}assets/${Assets.script.name}" defer></script>
</head>
<body${broad === true ? html` class="broad"` : undefined}>
<a class="skip" href="#main">Skip to the content</a>
<header>
<a class="brand" href="${root}"><img src="${root}assets/${Assets.logo.name}" width="28" height="28" alt="">One-time files</a>
<a href="${root}developers">API</a>
</header>
<main id="main">
${body}
</main>
<footer><p>Files are deleted when they are downloaded or expire. Only people with the link can find them.</p></footer>
</body>
</html>
`.text

const UNITS = ["bytes", "kB", "MB", "GB", "TB"]

/** Such as `1.5 MB`. */
export const formatSize = (bytes: number): string => {
  let value = bytes
  let unit = 0
  for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1000
  const digits = unit === 0 || value >= 99.5 ? 0 : 1
  return unit === 0 && value === 1 ? "1 byte" : `${value.toFixed(digits)} ${UNITS[unit]}`
}

const exact = new Intl.NumberFormat("en")
const dateAndTime = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" })
const relative = new Intl.RelativeTimeFormat("en")

const STEPS: ReadonlyArray<readonly [unit: Intl.RelativeTimeFormatUnit, millis: number]> = [
  ["year", 365.25 * 86_400_000],
  ["month", 30.4375 * 86_400_000],
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000]
]

/** Such as `in 14 days`. From two units on, so that rounding loses little. */
const until = (millis: number): string => {
  for (const [unit, length] of STEPS) {
    if (millis >= 1.9 * length) return relative.format(Math.round(millis / length), unit)
  }
  return relative.format(Math.max(1, Math.round(millis / 1000)), "second")
}

const isoTime = (millis: number): string => {
  const iso = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium", timeZone: "UTC" })
  return `${iso.format(millis).replace(" ", "T")}Z`
}

const expiry = (expires: number | null, now: number): Html =>
  expires === null
    ? html`Never`
    : html`<time datetime="${isoTime(expires)}">${dateAndTime.format(expires)} UTC</time><small>${
      until(expires - now)
    }</small>`

const downloadsLeft = ({ downloads, maxDownloads }: FileRecord): string => {
  if (maxDownloads === null) return "As many as you like"
  const left = maxDownloads - downloads
  return left === 1 ? "1, then it is gone" : exact.format(left)
}

/** Downloads that began and do not count: somebody may have read nearly all of the file. */
const brokenOff = ({ attempts, downloads, lastAttempt }: FileRecord): Html | undefined =>
  attempts <= downloads || lastAttempt === null
    ? undefined
    : html`<div><dt>Begun, but not finished</dt><dd>${
      exact.format(attempts - downloads)
    }<small>the last download began <time datetime="${isoTime(lastAttempt)}">${
      dateAndTime.format(lastAttempt)
    } UTC</time></small></dd></div>`

const facts = (file: FileRecord, now: number): Html =>
  html`<dl class="facts">
<div><dt>Size</dt><dd>${formatSize(file.size)}${
    file.size < 1000 ? undefined : html`<small>${exact.format(file.size)} bytes</small>`
  }</dd></div>
<div><dt>Available until</dt><dd>${expiry(file.expires, now)}</dd></div>
<div><dt>Downloads left</dt><dd>${downloadsLeft(file)}</dd></div>
${brokenOff(file)}
</dl>`

const heading = (title: Part, lead: Part) =>
  html`<div><h1 tabindex="-1">${title}</h1>${lead === undefined ? undefined : html`<p class="lead">${lead}</p>`}</div>`

const copyButton = (selector: string, label: string) =>
  html`<button class="button quiet" type="button" data-copy="${selector}" data-label="${label}" hidden>${label}</button>`

const terminal = (title: string, line: string, url?: string): Html =>
  html`<section class="terminal">
<div class="row"><h2>${title}</h2>${copyButton("#curl", "Copy")}</div>
<pre><code id="curl" data-url="${url}">${line}</code></pre>
</section>`

/** A QR code, dark on light in both colour schemes, since many readers do not support the reverse. */
const qrCode = (text: string): Html => {
  const { data, size } = encode(text, { ecc: "M", border: 3 })
  let path = ""
  data.forEach((row, y) => {
    for (let x = 0; x < size;) {
      let end = x
      while (row[end] === true) end++
      if (end > x) path += `M${x} ${y}h${end - x}v1h-${end - x}z`
      x = end + 1
    }
  })
  return html`<svg viewBox="0 0 ${size} ${size}" role="img" aria-label="QR code of the link" shape-rendering="crispEdges"><rect width="${size}" height="${size}" fill="#fff"/><path d="${path}" fill="#10201b"/></svg>`
}

const LIVES: ReadonlyArray<readonly [value: string, label: string, duration: Duration.Duration]> = [
  ["1h", "1 hour", Duration.hours(1)],
  ["1d", "1 day", Duration.days(1)],
  ["1w", "1 week", Duration.weeks(1)],
  ["14d", "2 weeks", Duration.weeks(2)],
  ["1M", "1 month", Duration.days(31)],
  ["1y", "1 year", Duration.days(366)]
]
const DOWNLOADS = [1, 2, 3, 5, 10, 25, 100]

const option = (value: string, label: string, chosen: boolean): Html =>
  html`<option value="${value}"${chosen ? html` selected` : undefined}>${label}</option>`

/** The form's fields that the plan allows; a field without a choice is left out. */
const settings = (plan: Plan): Html => {
  const lives = LIVES.filter(([, , duration]) =>
    plan.maxExpires === null || Duration.isLessThanOrEqualTo(duration, plan.maxExpires)
  )
  const standard = lives.findLast(([value]) => ["1h", "1d", "1w", "14d"].includes(value))?.[0]
  const counts = DOWNLOADS.filter((count) => plan.maxDownloads === null || count <= plan.maxDownloads)
  return html`<div class="fields">
${
    standard === undefined ? undefined : html`<div class="field"><label for="expires">Delete after</label>
<select id="expires" name="expires">${lives.map(([value, label]) => option(value, label, value === standard))}${
      plan.maxExpires === null ? option("", "Never", false) : undefined
    }</select></div>`
  }
${
    counts.length < 2 ? undefined : html`<div class="field"><label for="maxDownloads">Downloads</label>
<select id="maxDownloads" name="maxDownloads">${
      counts.map((count) => option(String(count), count === 1 ? "1, then it is gone" : String(count), count === 1))
    }${plan.maxDownloads === null ? option("", "No limit", false) : undefined}</select></div>`
  }
</div>
${counts.length < 2 ? html`<p class="hint">The file can be downloaded once, and is gone then.</p>` : undefined}`
}

/** The upload page. */
export const home = (plan: Plan, publicUrl: string): string =>
  document({
    title: "Send a file once",
    root: "./",
    body: html`${
      heading(
        "Send a file once",
        "You get a link to share. When the file has been downloaded, the link stops working and the file is deleted."
      )
    }
<form class="card" id="upload" method="post" action="./" enctype="multipart/form-data" data-most="${plan.maxUploadBytes}">
<div id="fields" class="card-fields">
<div class="drop">
<svg width="36" height="36" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M12 16V4m-5 5 5-5 5 5M4 16v2a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-2"/></svg>
<label for="file">The file</label>
<p class="hint" data-script hidden>Drop it here, paste it, or choose it.</p>
<input id="file" type="file" name="file" aria-describedby="most">
<p class="hint"><span id="most">At most ${
      formatSize(plan.maxUploadBytes)
    }.</span> <span class="sr" id="chosen" role="status"></span></p>
</div>
<details><summary>Write a text instead</summary><label class="sr" for="text">Text</label><textarea id="text" name="text" spellcheck="false"></textarea></details>
${settings(plan)}
<button class="button wide" type="submit">Upload</button>
</div>
<div class="running" hidden>
<p class="row"><span id="status" role="status"></span><span class="hint" id="numbers"></span></p>
<progress aria-label="Progress of the upload" max="1"></progress>
<div><button class="button quiet" type="button" id="cancel">Cancel</button></div>
</div>
<p class="bad" id="problem" role="alert" hidden></p>
</form>
${terminal("The same from a terminal", `curl -F file=@FILE ${publicUrl}/`, `${publicUrl}/`)}`
  })

/** The page at `/` if uploads need a key. */
export const keyNeeded = (rule: string, publicUrl: string): string =>
  document({
    title: "Send a file once",
    root: "./",
    body: html`${heading("Send a file once", `${rule}.`)}
${terminal("Upload from a terminal", `curl -u KEY: -F file=@FILE ${publicUrl}/`, `${publicUrl}/`)}`
  })

/** The page for the sender: the link to share. */
export const uploaded = (file: FileRecord, publicUrl: string, now: number, direct: boolean): string => {
  const link = `${publicUrl}/${file.key}`
  return document({
    title: `Your link is ready: ${PlainText.strip(file.name)}`,
    root: "../",
    body: html`${
      heading(
        "Your link is ready",
        direct
          ? html`Share it. Anybody with the link can download ${foreign(file.name)}.`
          : html`Share it. Opening it shows a page; only its button downloads ${foreign(file.name)}.`
      )
    }
<div class="card">
<div class="share">
${qrCode(link)}
<div class="card-fields">
<div class="field"><label for="link">Link</label><input class="link" id="link" readonly value="${link}"></div>
<button class="button wide" type="button" data-copy="#link" data-label="Copy the link" hidden>Copy the link</button>
<p class="sr" id="said" role="status"></p>
<p class="hint"><a href="../download/${file.key}">See what the receiver sees</a></p>
</div>
</div>
${facts(file, now)}
</div>
${terminal("Download from a terminal", `curl -OJ ${link}`)}
<p><a href="../">Send another file</a></p>`
  })
}

/** The page that a browser gets instead of the bytes; only the button downloads. */
export const file = (file: FileRecord, now: number, inProgress: boolean): string => {
  const title = PlainText.strip(file.title ?? "").trim()
  return document({
    title: PlainText.strip(file.name),
    root: "../",
    body: html`${
      title === "" || file.title === file.name
        ? heading(foreign(file.name), "Somebody sent you this file.")
        : heading(foreign(title), foreign(file.name))
    }
<div class="card">
${facts(file, now)}
${
      !inProgress
        ? undefined
        : html`<p class="note">Somebody else is downloading it right now. If that breaks off, the file is available again.</p>`
    }
<form id="download" method="get" action="../${file.key}">
<input type="hidden" name="download" value="1">
<button class="button wide" type="submit">Download</button>
</form>
<p id="begun" role="status" hidden>The download has begun. If the connection breaks, resume it in your browser: for a short while the file stays yours.</p>
<p class="hint">Looking at this page uses nothing up.${
      file.maxDownloads === null ? undefined : " The file counts as downloaded once all of it has been sent."
    }</p>
</div>`
  })
}

/** The page of a missing file. */
export const gone = (root: string): string =>
  document({
    title: "This file is gone",
    root,
    body: html`${
      heading(
        "This file is gone",
        "It has been downloaded as often as its sender allowed, has expired, or was deleted. It cannot be restored."
      )
    }
<div class="card">
<p>If you still need it, ask the sender to upload it again. If it never worked, compare the link with the one you were sent: it may be missing its end.</p>
<p><a href="${root}">Send a file yourself</a></p>
</div>`
  })

/** The page of a file that somebody else is downloading. */
export const inProgress = (root: string, retryAfter: string | undefined): string =>
  document({
    title: "Somebody else is downloading this file",
    root,
    body: html`${
      heading(
        "Somebody else is downloading this file",
        "One receiver at a time can download it, and it is deleted when they have all of it."
      )
    }
<div class="card">
<p>If that download does not succeed, the file is available again${
      retryAfter === undefined ? undefined : html` in about ${retryAfter} seconds`
    }. Then reload this page.</p>
</div>`
  })

/** The page of any other error, with the host's message. */
export const problem = (root: string, uploading: boolean, message: string): string =>
  document({
    title: uploading ? "The file was not uploaded" : "This did not work",
    root,
    body: html`${heading(uploading ? "The file was not uploaded" : "This did not work", undefined)}
<div class="card">
<p class="bad" id="problem">${/[.!?]$/.test(message) ? message : `${message}.`}</p>
<p><a href="${root}">${uploading ? "Try again" : "Back to the start"}</a></p>
</div>`
  })
