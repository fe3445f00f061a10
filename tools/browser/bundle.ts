/** Bundles of core and client for browsers, and their sizes. */
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { build, type BuildOptions } from "vite"

const APP = join(import.meta.dirname, "app.ts")

/** Builds for browsers, in memory. */
const chunksOf = async (options: BuildOptions) => {
  const result = await build({
    root: import.meta.dirname,
    configFile: false,
    logLevel: "warn",
    build: { ...options, write: false, target: "es2022", modulePreload: false }
  })
  const outputs = Array.isArray(result) ? result : [result]
  return outputs.flatMap((output) => "output" in output ? output.output : []).filter((chunk) => chunk.type === "chunk")
}

/** A bundle: what a page loads at once, and what it loads later, such as the code of encryption. */
export interface Bundle {
  /** Path of the file that a page loads. */
  readonly entry: string
  /** The code of each file, by its path. */
  readonly files: ReadonlyMap<string, string>
  /** The code of the entry, and of each file that it imports at once. */
  readonly initial: ReadonlyArray<string>
}

/** `external` keeps `effect` out of it. */
export const bundle = async (
  options: { readonly external: boolean; readonly input?: string; readonly minify?: boolean }
): Promise<Bundle> => {
  const minify = options.minify ?? true
  const chunks = await chunksOf({
    minify,
    rolldownOptions: {
      input: options.input ?? APP,
      external: options.external ? /^effect(?:\/|$)/ : [],
      output: { minify }
    }
  })
  const entry = chunks.find(({ isEntry }) => isEntry)
  if (entry === undefined) throw new Error("the bundle has no entry")
  const initial = new Set([entry.fileName])
  for (const name of initial) {
    for (const imported of chunks.find(({ fileName }) => fileName === name)?.imports ?? []) initial.add(imported)
  }
  return {
    entry: `/${entry.fileName}`,
    files: new Map(chunks.map(({ code, fileName }) => [`/${fileName}`, code])),
    initial: chunks.filter(({ fileName }) => initial.has(fileName)).map(({ code }) => code)
  }
}

/** A module and all that it imports, in one file, as a worker is deployed. */
export const bundleOne = async (input: string): Promise<string> => {
  const chunks = await chunksOf({
    minify: false,
    lib: { entry: input, formats: ["es"] },
    rolldownOptions: { output: { codeSplitting: false } }
  })
  if (chunks.length !== 1) throw new Error(`the worker has ${chunks.length} files`)
  return chunks[0]!.code
}

/** Bytes of files after gzip, as a host would send them. */
export const gzipped = (files: ReadonlyArray<string>): number => gzipSync(files.join("\n"), { level: 9 }).length

/** A module that contains the same parts of `effect` as a chunk of a page, and nothing else. */
const effectAlone = (chunk: string): string => {
  const code = chunk.replace(/^\s*(?:\/\*\*|\*|\/\/).*$/gm, "")
  const imports: Array<string> = []
  const used = new Set<string>()
  for (const [statement, name] of code.matchAll(/^import \* as (\w+) from "effect\/[^"]+";$/gm)) {
    imports.push(statement)
    for (const [member] of code.matchAll(new RegExp(`\\b${name}\\.[A-Za-z_$][\\w$]*`, "g"))) used.add(member)
  }
  for (const [statement, names] of code.matchAll(/^import \{ ([^}]+) \} from "effect[^"]*";$/gm)) {
    imports.push(statement)
    for (const name of names!.split(",")) used.add(name.split(" as ").at(-1)!.trim())
  }
  return `${imports.join("\n")}\nObject.assign(globalThis, { used: [...(globalThis.used ?? []), ${
    [...used].join(", ")
  }] })\n`
}

/** Sizes after gzip, in bytes, of what a page loads at once. */
interface Sizes {
  /** A page with core and client. */
  readonly whole: number
  /** The part that core and client add to `effect`. */
  readonly beyondEffect: number
  /** Their own files, with every name of `effect` written out. */
  readonly withoutEffect: number
  /** A page that only uploads, and one that only downloads. */
  readonly uploads: number
  readonly downloads: number
}

export const sizes = async (): Promise<Sizes> => {
  const folder = await mkdtemp(join(import.meta.dirname, ".alone-"))
  try {
    const input = join(folder, "alone.ts")
    const chunks = (await bundle({ external: true, minify: false })).initial
    const modules = chunks.map((_, index) => `./${index}.ts`)
    for (const [index, chunk] of chunks.entries()) await writeFile(join(folder, modules[index]!), effectAlone(chunk))
    await writeFile(input, modules.map((module) => `import "${module}"\n`).join(""))
    const whole = gzipped((await bundle({ external: false })).initial)
    const page = async (name: string) =>
      gzipped((await bundle({ external: false, input: join(import.meta.dirname, name) })).initial)
    return {
      whole,
      beyondEffect: whole - gzipped((await bundle({ external: false, input })).initial),
      withoutEffect: gzipped((await bundle({ external: true })).initial),
      uploads: await page("uploads.ts"),
      downloads: await page("downloads.ts")
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
