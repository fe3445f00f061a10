/** Builds the pages' assets into one file of the server's package. `scripts/bootstrap.mjs` runs it where a source has changed. */
import { createHash } from "node:crypto"
import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { brotliCompressSync, constants, gzipSync } from "node:zlib"
import { build } from "vite"
import { en } from "../packages/server/src/internal/web/words/en.ts"

const SOURCES = join(import.meta.dirname, "src")
const OUTPUT = join(import.meta.dirname, "../packages/server/web/pages.json")

/** What no page uses of the libraries: a pattern of the import, and what takes its place. */
const REPLACED: ReadonlyArray<readonly [find: RegExp, file: string]> = [
  [/^effect\/http\/Mime$/, "withoutTypes.ts"],
  [/^effect\/Metric$/, "withoutMetrics.ts"],
  [/\/metrics\.ts$/, "withoutSeries.ts"],
  [/\/observe\/span\.ts$/, "withoutSpans.ts"],
  [/\/shared\/systemError\.ts$/, "withoutSystemErrors.ts"]
]

/** What the page of receivers does not use either: it decodes no JSON, and has no account. */
const REPLACED_TO_RECEIVE: typeof REPLACED = [
  ...REPLACED,
  [/^effect\/Schema$/, "withoutSchema.ts"],
  [/\/credentials\.ts$/, "withoutCredentials.ts"]
]

/** Modules that are loaded together, in one file: few files compress better than many. */
interface Group {
  readonly name: string
  readonly has: RegExp
  /** What is loaded when it is needed. */
  readonly later: RegExp
}

const SDK = "node_modules\\/effect\\/|src\\/without|packages\\/(?:core|client)\\/src\\/"

/** Of a sender, the parts that encrypt are loaded only if the files are to be encrypted. */
const TO_SEND: ReadonlyArray<Group> = [
  {
    name: "sdk",
    has: new RegExp(SDK),
    later:
      /encryption\/(?:armor|chunks|decrypt|encrypt|header|library|newHeader|transform)\.ts|fetchPieces|portableCipher|core\/src\/QrCode/
  },
  {
    name: "encryption",
    has: /encryption\/(?:chunks|header|newHeader|transform)\.ts|portableCipher|@noble\/ciphers/,
    later: /^$/
  }
]

/** The page of receivers loads the SDK only to decrypt. */
const TO_RECEIVE: ReadonlyArray<Group> = [
  {
    name: "sdk",
    has: new RegExp(`${SDK}|pages\\/src\\/download\\.ts|@noble\\/ciphers`),
    later: /encryption\/(?:encrypt|library|newHeader)\.ts|fetchPieces/
  }
]

const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml"
}

interface Asset {
  readonly type: string
  /** The contents in Base64, compressed in two ways. */
  readonly br: string
  readonly gzip: string
}

const files = new Map<string, Asset>()

const add = (name: string, body: string): void => {
  const bytes = Buffer.from(body)
  files.set(name, {
    type: TYPES[name.split(".").at(-1)!]!,
    br: brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }).toString("base64"),
    gzip: gzipSync(bytes, { level: 9 }).toString("base64")
  })
}

/** Adds the files of some entries; each build contains only what its entries use. */
const bundle = async (
  entries: ReadonlyArray<string>,
  groups: ReadonlyArray<Group> = [],
  replaced: typeof REPLACED = REPLACED
): Promise<ReadonlyArray<string>> => {
  const result = await build({
    root: SOURCES,
    configFile: false,
    logLevel: "warn",
    base: "./",
    resolve: {
      alias: replaced.map(([find, file]) => ({
        find: new RegExp(`^.*${find.source}`),
        replacement: join(SOURCES, file)
      }))
    },
    build: {
      write: false,
      minify: true,
      cssMinify: true,
      target: "es2022",
      modulePreload: false,
      // As a library's, an import comes without vite's code that loads style sheets first.
      ...(groups.length === 0 ? {} : { lib: { entry: join(SOURCES, entries[0]!), formats: ["es" as const] } }),
      rolldownOptions: {
        // Without it, what reads a property at its top level stays in the bundle, used or not. No library has such getters.
        treeshake: { propertyReadSideEffects: false },
        preserveEntrySignatures: false,
        checks: {
          // In code that is left out.
          importIsUndefined: false,
          // What one page loads later, another has in the same file.
          ineffectiveDynamicImport: false
        },
        input: entries.map((entry) => join(SOURCES, entry)),
        output: {
          entryFileNames: "[name]-[hash].js",
          chunkFileNames: "[name]-[hash].js",
          assetFileNames: "[name]-[hash][extname]",
          ...(groups.length === 0 ? {} : {
            codeSplitting: {
              // What the page loads at once stays in its script.
              includeDependenciesRecursively: false,
              groups: groups.map(({ has, later, name }) => ({
                name,
                test: (id: string) => has.test(id) && !later.test(id)
              }))
            }
          }),
          minify: true,
          comments: false
        }
      }
    }
  })
  const bodies: Array<string> = []
  for (
    const output of (Array.isArray(result) ? result : [result]).flatMap((one) => "output" in one ? one.output : [])
  ) {
    const body = output.type === "chunk" ? output.code : String(output.source)
    bodies.push(body)
    if (body.trim() !== "") add(output.fileName, body)
  }
  return bodies
}

/** The words that scripts use; a page carries no others. */
const wordsIn = (bodies: ReadonlyArray<string>): ReadonlyArray<string> => {
  const used = new Set(bodies.flatMap((body) => body.match(/\b[a-z]\w+\b/gi) ?? []))
  return Object.keys(en.script).filter((name) => used.has(name))
}

await bundle(["entry/page.ts", "worker.ts", "page.css"])
await bundle(["send.css"])
const words = {
  send: wordsIn(await bundle(["entry/send.ts"], TO_SEND)),
  receive: wordsIn(await bundle(["entry/receive.ts"], TO_RECEIVE, REPLACED_TO_RECEIVE))
}
const icon = await readFile(join(SOURCES, "icon.svg"), "utf8")
add(`icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8)}.svg`, icon)

const named = (start: string, extension: string): string => {
  const name = [...files.keys()].find((file) => file.startsWith(`${start}-`) && file.endsWith(extension))
  if (name === undefined) throw new Error(`the build has no ${start}${extension}`)
  return name
}
const entries = {
  style: named("page", ".css"),
  sendStyle: named("send", ".css"),
  page: named("page", ".js"),
  send: named("send", ".js"),
  receive: named("receive", ".js"),
  worker: named("worker", ".js"),
  icon: named("icon", ".svg")
}

await mkdir(join(OUTPUT, ".."), { recursive: true })
// Two builds at a time each write a whole file.
const partial = `${OUTPUT}.${process.pid}`
await writeFile(partial, JSON.stringify({ entries, words, files: Object.fromEntries(files) }))
await rename(partial, OUTPUT)
