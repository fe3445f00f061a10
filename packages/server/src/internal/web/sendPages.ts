/** The pages of senders: the form, and the link of a file that was sent with it. */
import * as PlainText from "@effect-fileio/core/PlainText"
import * as QrCode from "@effect-fileio/core/QrCode"
import * as Duration from "effect/Duration"
import type { FileRecord } from "../../Catalog.ts"
import type { Plan } from "../../Plans.ts"
import type { Anonymous } from "../../ServerOptions.ts"
import { facts } from "./filePages.ts"
import * as Format from "./format.ts"
import { document, heading, running, scriptWords, terminal } from "./frame.ts"
import { foreign, type Html, html, phrase } from "./html.ts"
import type { Language } from "./words/words.ts"

/** A QR code, dark on light in both colour schemes, since many readers do not support the reverse. */
const qrCode = ({ words }: Language, text: string): Html => {
  const rows = QrCode.encode(text)
  const border = 3
  const size = rows.length + 2 * border
  let path = ""
  rows.forEach((row, y) => {
    for (let x = 0; x < row.length;) {
      let end = x
      while (row[end] === true) end++
      if (end > x) path += `M${x + border} ${y + border}h${end - x}v1h-${end - x}z`
      x = end + 1
    }
  })
  return html`<svg viewBox="0 0 ${size} ${size}" role="img" aria-label="${words.qrCode}" shape-rendering="crispEdges"><rect width="${size}" height="${size}" fill="#fff"/><path d="${path}" fill="#10201b"/></svg>`
}

const LIVES: ReadonlyArray<readonly [value: string, count: number, unit: string, duration: Duration.Duration]> = [
  ["1h", 1, "hour", Duration.hours(1)],
  ["1d", 1, "day", Duration.days(1)],
  ["1w", 1, "week", Duration.weeks(1)],
  ["14d", 2, "week", Duration.weeks(2)],
  ["1M", 1, "month", Duration.days(31)],
  ["1y", 1, "year", Duration.days(366)]
]
const DOWNLOADS = [1, 2, 3, 5, 10, 25, 100]

const option = (value: string, label: string, chosen: boolean, limit?: number): Html =>
  html`<option value="${value}"${limit === undefined ? undefined : html` data-limit="${limit}"`}${
    chosen ? html` selected` : undefined
  }>${label}</option>`

/** The form's fields that the plan allows; a field without a choice is left out. `data-limit` is for the script. */
const settings = (language: Language, plan: Pick<Plan, "maxDownloads" | "maxExpires">): Html => {
  const { words } = language
  const lives = LIVES.filter(([, , , duration]) =>
    plan.maxExpires === null || Duration.isLessThanOrEqualTo(duration, plan.maxExpires)
  )
  const standard = lives.findLast(([value]) => ["1h", "1d", "1w", "14d"].includes(value))?.[0]
  const counts = DOWNLOADS.filter((count) => plan.maxDownloads === null || count <= plan.maxDownloads)
  return html`<div class="fields">
${
    standard === undefined ? undefined : html`<div class="field"><label for="expires">${words.deleteAfter}</label>
<select id="expires" name="expires">${
      lives.map(([value, count, unit, duration]) =>
        option(value, Format.duration(language, count, unit), value === standard, Duration.toSeconds(duration))
      )
    }${plan.maxExpires === null ? option("", words.never, false) : undefined}</select></div>`
  }
${
    counts.length < 2 ? undefined : html`<div class="field"><label for="maxDownloads">${words.downloads}</label>
<select id="maxDownloads" name="maxDownloads">${
      counts.map((count) =>
        option(
          String(count),
          count === 1 ? words.onceOption : Format.number(language, count),
          count === 1,
          count
        )
      )
    }${plan.maxDownloads === null ? option("", words.noLimit, false) : undefined}</select></div>`
  }
</div>
${counts.length < 2 ? html`<p class="hint" id="once">${words.onceHint}</p>` : undefined}`
}

/** What needs the script: it shows these fields, and encrypts. */
const protection = ({ words }: Language): Html =>
  html`<div class="card-fields" data-script hidden>
<div class="check"><input id="encrypt" type="checkbox" checked aria-describedby="encrypt-hint"><label for="encrypt">${words.encrypt}</label></div>
<p class="hint" id="encrypt-hint">${words.encryptHint}</p>
<details id="with-passphrase"><summary>${words.passphrase}</summary><div class="field folded"><label class="sr" for="passphrase">${words.passphrase}</label>
<input id="passphrase" type="text" autocomplete="off" autocapitalize="off" spellcheck="false" aria-describedby="passphrase-hint">
<p class="hint" id="passphrase-hint">${words.passphraseHint}</p></div></details>
</div>`

const account = ({ words }: Language, isOpen: boolean): Html =>
  html`<details data-script hidden id="account"${isOpen ? html` open` : undefined}><summary>${words.account}</summary>
<div class="card-fields folded">
<div class="field"><label for="key">${words.apiKey}</label><input id="key" type="password" autocomplete="off" spellcheck="false"></div>
<div class="check"><input id="remember" type="checkbox" aria-describedby="remember-hint"><label for="remember">${words.remember}</label></div>
<p class="hint" id="remember-hint">${words.rememberHint}</p>
</div></details>`

const form = (language: Language, plan: Plan, isKeyNeeded: boolean): Html => {
  const { words } = language
  return html`<form class="card" id="upload" method="post" action="./" enctype="multipart/form-data" data-most="${plan.maxUploadBytes}" data-words="${
    scriptWords(language, "send")
  }"${isKeyNeeded ? html` data-script data-key-needed hidden` : undefined}>
<div id="fields" class="card-fields">
<div class="drop">
<svg width="36" height="36" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M12 16V4m-5 5 5-5 5 5M4 16v2a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-2"/></svg>
<label for="file">${words.files}</label>
<p class="hint" data-script hidden>${words.dropHint}</p>
<input id="file" type="file" name="file" aria-describedby="most">
<button class="button quiet" type="button" id="folder" data-script hidden>${words.chooseFolder}</button>
<p class="hint"><span id="most">${phrase(words.most, { size: Format.size(language, plan.maxUploadBytes) })}</span></p>
</div>
<div id="chosen-part" hidden><p class="sr" id="chosen" role="status"></p><ul class="list" id="chosen-list"></ul></div>
<div class="check" id="archive-part" hidden><input id="archive" type="checkbox"><label for="archive">${words.archive}</label></div>
<details id="text-part"><summary>${words.writeText}</summary><label class="sr" for="text">${words.text}</label><textarea id="text" name="text" spellcheck="false" dir="auto"></textarea></details>
<div id="settings">${settings(language, plan)}</div>
<template id="every-setting">${settings(language, { maxDownloads: null, maxExpires: null })}</template>
${protection(language)}
${account(language, isKeyNeeded)}
<button class="button wide" type="submit">${words.upload}</button>
</div>
${running(language, words.progressOfUpload)}
<p class="bad" id="problem" role="alert" hidden></p>
</form>
<section id="results" class="results" hidden></section>`
}

const yourLinks = ({ words }: Language): Html =>
  html`<section class="card" id="links" hidden>
<h2>${words.yourLinks}</h2>
<ul class="list" id="links-list"></ul>
<div id="links-more" hidden></div>
<p class="hint">${words.yourLinksHint}</p>
</section>`

/** The upload page. `anonymous`: who may upload without a key. */
export const home = (language: Language, plan: Plan, publicUrl: string, anonymous: Anonymous): string => {
  const { words } = language
  const isKeyNeeded = anonymous !== "uploads"
  return document({
    language,
    title: words.sendTitle,
    root: "./",
    script: "send",
    rich: true,
    body: html`${
      heading(
        words.sendTitle,
        anonymous === "uploads"
          ? words.sendLead
          : anonymous === "downloads"
          ? words.uploadsNeedKey
          : words.allNeedsKey
      )
    }
${form(language, plan, isKeyNeeded)}
${yourLinks(language)}
${
      terminal(
        language,
        isKeyNeeded ? words.uploadFromTerminal : words.fromTerminal,
        `curl ${isKeyNeeded ? "-u KEY: " : ""}-F file=@FILE ${publicUrl}/`,
        `${publicUrl}/`
      )
    }`
  })
}

/** Deletes the file: by a button, and by a command that works when this browser has forgotten the token. */
const takeBack = ({ words }: Language, key: string, link: string, token: string): Html =>
  html`<details id="take-back"><summary>${words.takeBack}</summary>
<form class="card-fields folded" method="post" action="${key}">
<p class="hint">${words.takeBackHint}</p>
<pre><code dir="ltr">curl -X DELETE -H 'Delete-Token: ${token}' ${link}</code></pre>
<div><button class="button quiet" type="submit">${words.deleteFile}</button></div>
</form></details>`

/** The page after its button. */
export const deleted = (language: Language): string => {
  const { words } = language
  return document({
    language,
    title: words.deletedTitle,
    root: "../",
    body: html`${heading(words.deletedTitle, words.deletedLead)}
<p><a href="../">${words.sendAnother}</a></p>`
  })
}

/** The page for the sender after an upload without the script: the link to share. */
export const uploaded = (
  language: Language,
  file: FileRecord,
  publicUrl: string,
  now: number,
  isDirect: boolean,
  /** Of the browser that has sent the file. */
  token: string | undefined
): string => {
  const { words } = language
  const link = `${publicUrl}/${file.key}`
  return document({
    language,
    title: `${words.readyTitle}: ${PlainText.strip(file.name)}`,
    root: "../",
    rich: true,
    body: html`${
      heading(
        words.readyTitle,
        phrase(isDirect ? words.readyLeadDirect : words.readyLead, { name: foreign(file.name) })
      )
    }
<div class="card">
<div class="share">
${qrCode(language, link)}
<div class="card-fields">
<div class="field"><label for="link">${words.link}</label><input class="link" id="link" dir="ltr" readonly value="${link}"></div>
<button class="button wide" type="button" data-copy="#link" hidden>${words.copyLink}</button>
<p class="hint"><a href="../download/${file.key}">${words.receiverView}</a></p>
</div>
</div>
${facts(language, file, now)}
</div>
${terminal(language, words.downloadFromTerminal, `curl -f -o ${shellQuoted(file.name)} ${link}`)}
${token === undefined ? undefined : takeBack(language, file.key, link, token)}
<p><a href="../">${words.sendAnother}</a></p>`
  })
}

/** A name for a shell, which neither runs anything nor takes it for an option or a folder. */
const shellQuoted = (name: string): string => {
  const safe = PlainText.strip(name).replaceAll("/", "_")
  const path = /^[-.]/.test(safe) ? `./${safe}` : safe
  return `'${path.replaceAll("'", "'\\''")}'`
}
