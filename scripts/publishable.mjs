/**
 * Refuses to publish the package in the current folder while its manifest does not say where its sources are:
 * `"prepublishOnly": "node ../../scripts/publishable.mjs"`. npm needs `repository` for the provenance too.
 */
import { readFileSync } from "node:fs"

/** @type {Record<string, unknown>} */
const manifest = JSON.parse(readFileSync("package.json", "utf8"))
const missing = ["repository", "homepage", "bugs"].filter((field) => manifest[field] === undefined)
if (missing.length > 0) {
  process.stderr.write(
    `${manifest.name} cannot be published: its package.json has no ${
      missing.join(", ")
    }. Set them in every package, to the ` +
      `repository's address (CONTRIBUTING.md, "Releases").\n`
  )
  process.exitCode = 1
}
