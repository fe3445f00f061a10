/**
 * Removes what builds, checks and tests leave; with `--all` the installed dependencies too.
 */
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const folders = [".", "examples", ...readdirSync(join(root, "packages")).map((name) => join("packages", name))]
const made = [
  "dist",
  ".tsbuild",
  "coverage",
  ...(process.argv.includes("--all")
    ? ["node_modules"]
    : [join("node_modules", ".cache"), join("node_modules", ".vite")])
]
for (const folder of folders) {
  for (const name of made) rmSync(join(root, folder, name), { recursive: true, force: true })
}
