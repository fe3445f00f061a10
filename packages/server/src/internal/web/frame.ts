/** What all pages share: plain HTML, complete without the script. */
import * as Assets from "./assets.ts"
import { type Html, html, type Part } from "./html.ts"
import type { Language } from "./words/words.ts"

interface Frame {
  readonly language: Language
  readonly title: string
  /** The relative path from the page to `/`, such as `../`: the pages work below any path of a proxy. */
  readonly root: string
  readonly body: Html
  /** The script; without one, that of all other pages. */
  readonly script?: keyof typeof Assets.scripts
  /** With the styles of lists, forms and tables, which receivers do not load. */
  readonly rich?: boolean
  /** For tables. */
  readonly broad?: boolean
}

/** A whole page around its content. The tags for previews tell nothing of a file. */
export const document = ({ body, broad, language, rich = false, root, script = "page", title }: Frame): string => {
  const { direction, tag, words } = language
  return html`<!doctype html>
<html lang="${tag}" dir="${direction}" data-root="${root}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<meta property="og:title" content="${words.brand}">
<meta property="og:type" content="website">
<meta property="og:description" content="${words.footer}">
<meta name="description" content="${words.footer}">
<title>${title}</title>
<link rel="icon" href="${root}assets/${Assets.icon}">
<link rel="stylesheet" href="${root}assets/${Assets.style}">
${rich ? html`<link rel="stylesheet" href="${root}assets/${Assets.sendStyle}">` : undefined}
<script src="${root}assets/${Assets.scripts[script]}" type="module"></script>
</head>
<body${broad === true ? html` class="broad"` : undefined}>
<a class="skip" href="#main">${words.skip}</a>
<header>
<a class="brand" href="${root}"><img src="${root}assets/${Assets.icon}" width="28" height="28" alt="">${words.brand}</a>
<a href="${root}developers">${words.api}</a>
</header>
<main id="main">
${body}
</main>
<footer><p>${words.footer}</p></footer>
</body>
</html>
`.text
}

export const heading = (title: Part, lead: Part): Html =>
  html`<div><h1 tabindex="-1">${title}</h1><p class="lead" id="lead"${
    lead === undefined ? html` hidden` : undefined
  }>${lead}</p></div>`

/** A line for a terminal, with a button that copies it. */
export const terminal = ({ words }: Language, title: string, line: string, url?: string): Html =>
  html`<section class="terminal" id="terminal">
<div class="row"><h2>${title}</h2><button class="button quiet" type="button" data-copy="#curl" hidden>${words.copyLine}</button></div>
<pre><code id="curl" dir="ltr"${url === undefined ? undefined : html` data-url="${url}"`}>${line}</code></pre>
</section>`

/** The words that a script uses, for the script. `values` are known when the page is made. */
export const scriptWords = (
  { words }: Language,
  script: keyof typeof Assets.words,
  values: Readonly<Record<string, string>> = {}
): string =>
  Object.entries(values).reduce(
    (text, [name, value]) => text.replaceAll(`{${name}}`, value),
    JSON.stringify(
      Object.fromEntries(Object.entries(words.script).filter(([name]) => Assets.words[script].includes(name)))
    )
  )

/** Where the script shows how a transfer goes, with the button that ends it. `label` names its bar. */
export const running = ({ words }: Language, label: string): Html =>
  html`<div class="running" hidden>
<p class="row"><span id="status" role="status"></span><span class="hint" id="numbers"></span></p>
<progress aria-label="${label}" max="1"></progress>
<div class="row"><span class="hint" id="left"></span><button class="button quiet" type="button" id="cancel">${words.cancel}</button></div>
</div>`

/** A page that says one thing. */
export const notice = (
  frame: Pick<Frame, "language" | "root"> & { readonly title: string; readonly lead: Part },
  body: Html
): string =>
  document({
    ...frame,
    body: html`${heading(frame.title, frame.lead)}
<div class="card">
${body}
</div>`
  })
