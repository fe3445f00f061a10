/**
 * Draws `docs/quickstart.svg`, the terminal of the README: runs the quickstart and shows its output.
 */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { must, root } from "../packages/pack.ts"

const COLUMNS = 84
const LINE = 17

const printed = await must(process.execPath, [join(root, "examples/quickstart.ts")], { cwd: root })
const lines = ["$ npm start", ...printed.trimEnd().split("\n")]
  // Intermediate steps add nothing in a picture.
  .join("\n").replace(/\nUpload README[^]*?\n\n(?=Upload 64)/, "\n").replace(/\nMe:[^]*?\n\n(?=Download: 64)/, "\n")
  .split("\n")
  // On a terminal, a bar is drawn over itself.
  .filter((line) => !/\[#*\.+\]/.test(line))
  .map((line) => line.length > COLUMNS ? `${line.slice(0, COLUMNS - 1)}…` : line)

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
const colour = (line: string) =>
  line.startsWith("$")
    ? "#8bd5a0"
    : /^\S/.test(line)
    ? "#ffffff"
    : line.includes("FileNotFound")
    ? "#f2b179"
    : "#b8c0cc"
const rows = lines.map((line, row) =>
  line === ""
    ? ""
    : `<text x="16" y="${30 + row * LINE}" fill="${colour(line)}" style="white-space:pre">${escape(line)}</text>`
)
const height = 30 + lines.length * LINE
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="720" viewBox="0 0 720 ${height}" font-size="13.2"
  font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace">
<title>The quickstart: a file goes up, is downloaded once, and is gone</title>
<rect width="720" height="${height}" rx="8" fill="#1b1f27"/>
${rows.filter((row) => row !== "").join("\n")}
</svg>
`
await writeFile(join(root, "docs/quickstart.svg"), svg)
