/** What all pages share: plain HTML, complete without the script. */
import * as Assets from "./assets.ts"
import { type Html, html, type Part } from "./html.ts"
import type { Language } from "./words/words.ts"

export interface Frame {
  readonly language: Language
  readonly title: string
  /** The relative path from the page to `/`, such as `../`: the pages work below any path of a proxy. */
  readonly root: string
  readonly body: Html
  /** For tables. */
  readonly broad?: boolean
}

/** A whole page around its content. The tags for previews tell nothing of a file. */
export const document = ({ body, broad, language, root, title }: Frame): string => {
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
<script src="${root}assets/${Assets.script}" type="module"></script>
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

/** The words of the script, for the script. */
export const scriptWords = ({ words }: Language): string => JSON.stringify(words.script)
