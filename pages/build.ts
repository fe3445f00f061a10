/** Builds the pages' assets into one file of the server's package. `scripts/bootstrap.mjs` runs it where a source has changed. */
import { createHash } from "node:crypto"
import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { build } from "vite"

const SOURCES = join(import.meta.dirname, "src")
const OUTPUT = join(import.meta.dirname, "../packages/server/web/pages.json")

/** What is left out of the library of age. */
const SHORTENED = ["@noble/post-quantum/hybrid.js", "@noble/post-quantum/ml-kem.js", "@noble/curves/nist.js"]

const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml"
}

const result = await build({
  root: SOURCES,
  configFile: false,
  logLevel: "warn",
  base: "./",
  resolve: {
    alias: Object.fromEntries(SHORTENED.map((name) => [name, join(SOURCES, "withoutCurves.ts")]))
  },
  build: {
    write: false,
    minify: true,
    cssMinify: true,
    target: "es2022",
    modulePreload: false,
    rolldownOptions: {
      input: { page: join(SOURCES, "page.ts"), worker: join(SOURCES, "worker.ts"), style: join(SOURCES, "page.css") },
      output: {
        entryFileNames: "[name]-[hash].js",
        chunkFileNames: "[name]-[hash].js",
        assetFileNames: "[name]-[hash][extname]",
        minify: true
      }
    }
  }
})

const files = new Map<string, { readonly type: string; readonly body: string }>()
const add = (name: string, body: string): void => {
  files.set(name, { type: TYPES[name.split(".").at(-1)!]!, body })
}
for (const output of (Array.isArray(result) ? result : [result]).flatMap((one) => "output" in one ? one.output : [])) {
  const body = output.type === "chunk" ? output.code : String(output.source)
  if (body.trim() !== "") add(output.fileName, body)
}
const icon = await readFile(join(SOURCES, "icon.svg"), "utf8")
add(`icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8)}.svg`, icon)

const named = (start: string, extension: string): string => {
  const name = [...files.keys()].find((file) => file.startsWith(`${start}-`) && file.endsWith(extension))
  if (name === undefined) throw new Error(`the build has no ${start}${extension}`)
  return name
}
const entries = {
  style: named("style", ".css"),
  script: named("page", ".js"),
  worker: named("worker", ".js"),
  icon: named("icon", ".svg")
}

await mkdir(join(OUTPUT, ".."), { recursive: true })
// Two builds at a time each write a whole file.
const partial = `${OUTPUT}.${process.pid}`
await writeFile(partial, JSON.stringify({ entries, files: Object.fromEntries(files) }))
await rename(partial, OUTPUT)
