/**
 * Removes the output of builds, checks and tests; with `--all` the installed dependencies too.
 */
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
/** @param {string} folder */
const foldersIn = (folder) =>
  readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith(".") && entry.name !== "node_modules")
    .map((entry) => join(folder, entry.name))
const folders = [".", ...foldersIn("."), ...foldersIn("packages")]
const made = [
  "dist",
  ".tsbuild",
  ".docs",
  "coverage",
  ...(process.argv.includes("--all")
    ? ["node_modules"]
    : [join("node_modules", ".cache"), join("node_modules", ".vite")])
]
for (const folder of folders) {
  for (const name of made) rmSync(join(root, folder, name), { recursive: true, force: true })
}
for (const name of ["api", "site"]) rmSync(join(root, "docs", name), { recursive: true, force: true })
