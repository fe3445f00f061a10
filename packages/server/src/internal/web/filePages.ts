/** The pages of receivers: a file without taking it, and why there is none. */
import * as PlainText from "@effect-fileio/core/PlainText"
import type { FileRecord } from "../../Catalog.ts"
import * as Assets from "./assets.ts"
import * as Format from "./format.ts"
import { document, heading, notice, running, scriptWords, terminal } from "./frame.ts"
import { foreign, type Html, html, phrase } from "./html.ts"
import { sentences } from "./sentences.ts"
import type { Language } from "./words/words.ts"

const utc = (language: Language, millis: number): Html =>
  html`<time datetime="${Format.isoTime(millis)}">${Format.dateAndTime(language, millis)} UTC</time>`

const expiry = (language: Language, expires: number | null, now: number): Html =>
  expires === null
    ? html`${language.words.never}`
    : html`${utc(language, expires)}<small>${Format.until(language, expires - now)}</small>`

const downloadsLeft = (language: Language, { downloads, maxDownloads }: FileRecord): string => {
  if (maxDownloads === null) return language.words.unlimited
  const left = maxDownloads - downloads
  return left === 1 ? language.words.onceOption : Format.number(language, left)
}

/** Downloads that began and do not count: somebody may have read nearly all of the file. */
const brokenOff = (language: Language, { attempts, downloads, lastAttempt }: FileRecord): Html | undefined =>
  attempts <= downloads || lastAttempt === null
    ? undefined
    : html`<div><dt>${language.words.begunNotFinished}</dt><dd>${Format.number(language, attempts - downloads)}<small>${
      phrase(language.words.lastBegan, { time: utc(language, lastAttempt) })
    }</small></dd></div>`

export const facts = (language: Language, file: FileRecord, now: number): Html => {
  const { words } = language
  return html`<dl class="facts">
<div><dt>${words.size}</dt><dd><span id="size">${Format.size(language, file.size)}</span>${
    file.size < 1000 ? undefined : html`<small>${Format.exactSize(language, file.size)}</small>`
  }</dd></div>
<div><dt>${words.availableUntil}</dt><dd>${expiry(language, file.expires, now)}</dd></div>
<div><dt>${words.downloadsLeft}</dt><dd>${downloadsLeft(language, file)}</dd></div>
${brokenOff(language, file)}
</dl>`
}

/** Whether a file is one of age, by the name that this project and the age program give. */
export const isEncrypted = ({ name }: Pick<FileRecord, "name">): boolean => /\.age$/i.test(name)

/**
 * Pressed before the script decrypts, the button would take the only copy as it is; so that of an encrypted file waits for the
 * script.
 */
const downloadButton = ({ words }: Language, file: FileRecord): Html =>
  isEncrypted(file)
    ? html`<button class="button wide" type="submit" data-script hidden>${words.download}</button>
<noscript><button class="button wide" type="submit">${words.download}</button></noscript>`
    : html`<button class="button wide" type="submit">${words.download}</button>`

/** A larger text is for an editor. */
const MAX_TEXT_BYTES = 256 * 1024

/** The page that a browser gets instead of the bytes; only its buttons download. */
export const file = (
  language: Language,
  file: FileRecord,
  publicUrl: string,
  now: number,
  isInProgress: boolean,
  /** Milliseconds for which a broken download may be resumed. */
  grace: number
): string => {
  const { words } = language
  const title = PlainText.strip(file.title ?? "").trim()
  const isText = file.size <= MAX_TEXT_BYTES && /^text\/plain\b/.test(file.mimeType)
  return document({
    language,
    title: PlainText.strip(file.name),
    root: "../",
    script: "receive",
    body: html`${
      title === "" || file.title === file.name
        ? heading(foreign(file.name), words.sentToYou)
        : heading(foreign(title), foreign(file.name))
    }
<div class="card">
${facts(language, file, now)}
${isInProgress ? html`<p class="note">${words.someoneDownloading}</p>` : undefined}
${isEncrypted(file) ? html`<p class="note" id="protection">${words.encryptedByName}</p>` : undefined}
<form id="download" class="card-fields" method="get" action="../${file.key}" data-key="${file.key}" data-size="${file.size}" data-name="${
      PlainText.strip(file.name)
    }" data-words="${
      scriptWords(language, "receive", { grace: Format.wait(language, grace) })
    }" data-worker="../assets/${Assets.worker}">
<input type="hidden" name="download" value="1">
<div class="field" id="secret-part" hidden><label for="secret" data-key="${words.secretKey}">${words.secret}</label><input id="secret" type="password" autocomplete="off" spellcheck="false"></div>
${downloadButton(language, file)}
<button class="button wide quiet" type="button" id="show"${
      isText ? html` data-script` : undefined
    } hidden>${words.showText}</button>
</form>
${running(language, words.progressOfDownload)}
<p class="note" id="said" role="status" hidden></p>
<pre id="shown" dir="auto" tabindex="0" hidden></pre>
<p class="bad" id="problem" role="alert" hidden></p>
<p class="hint" id="counting">${
      file.maxDownloads === null ? words.lookingIsFree : sentences(words.lookingIsFree, words.countsWhenSent)
    }</p>
</div>
${
      isEncrypted(file)
        ? terminal(
          language,
          words.decryptInTerminal,
          `curl ${publicUrl}/${file.key} | age -d -i key.txt > ${file.key}`
        )
        : undefined
    }`
  })
}

/** The page of a missing file. */
export const gone = (language: Language, root: string): string => {
  const { words } = language
  return notice(
    { language, root, title: words.goneTitle, lead: words.goneLead },
    html`<p>${words.goneHelp}</p>
<p><a href="${root}">${words.sendYourself}</a></p>`
  )
}

/** The page of a file that somebody else is downloading. */
export const inProgress = (language: Language, root: string, retryAfter: string | undefined): string => {
  const { words } = language
  return notice(
    { language, root, title: words.busyTitle, lead: words.busyLead },
    html`<p>${
      retryAfter === undefined
        ? words.busyHelp
        : phrase(words.busyHelpIn, { time: Format.wait(language, Number(retryAfter) * 1000) })
    }</p>`
  )
}

/** The page of any other error, with the host's message. */
export const problem = (language: Language, root: string, isUpload: boolean, message: string): string => {
  const { words } = language
  return notice(
    { language, root, title: isUpload ? words.notUploaded : words.didNotWork, lead: undefined },
    html`<p class="bad" id="problem">${
      // Messages of the host are English.
      phrase(words.hostSays, {
        reason: html`<span lang="en" dir="ltr">${/[.!?]$/.test(message) ? message : `${message}.`}</span>`
      })}</p>
<p><a href="${root}">${isUpload ? words.tryAgain : words.backToStart}</a></p>`
  )
}
