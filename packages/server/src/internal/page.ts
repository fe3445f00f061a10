import type { FileRecord } from "../Catalog.ts"

const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

const document = (title: string, body: string): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escape(title)}</title>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`

/** The page that a browser gets instead of the bytes; only the button downloads. */
export const file = (file: FileRecord, publicUrl: string): string =>
  document(
    file.name,
    `<h1>${escape(file.title ?? file.name)}</h1>
<p>${escape(file.name)}, ${file.size.toLocaleString("en-US")} bytes</p>
${file.maxDownloads === null ? "" : `<p>Downloads left: ${Math.max(0, file.maxDownloads - file.downloads)}</p>`}
<form action="${escape(`${publicUrl}/${file.key}`)}" method="get">
<input type="hidden" name="download" value="1">
<button type="submit">Download</button>
</form>`
  )

export const gone: string = document(
  "This file is gone",
  "<h1>This file is gone</h1>\n<p>It was never there, has expired, was deleted, or has been downloaded already.</p>"
)
