/**
 * The code in the documentation: fenced blocks of the Markdown files, examples in doc comments, and calls in tables.
 *
 * A block is type-checked and run, unless its fence says otherwise: ```` ```ts no-run ```` is only type-checked. A block that
 * ends in `const program = …` (or `test`) is run with `FileIo`, `FileTransfer` and the services of Node; any other is run as it
 * is.
 */
import { glob, mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { root } from "../packages/pack.ts"

/** A piece of code, and its source. */
export interface Block {
  /** Path of the document, relative to the workspace. */
  readonly document: string
  /** Line of the document on which the code begins, from 1. */
  readonly line: number
  readonly code: string
  readonly run: boolean
  /** Path of the generated module. */
  readonly file: string
}

/** Where the modules are written: inside a package that has every dependency. */
export const folder = join(root, "tools", ".docs")

const FENCE = /^(?<margin>[ \t]*(?:\* ?)?)```ts(?<flags>[^\n]*)\n(?<code>[^]*?)^\k<margin>```$/gm

const lineOf = (text: string, index: number): number => text.slice(0, index).split("\n").length

/** A call in a cell of a table, with the names that such a cell may use. */
const fromCell = (code: string): string =>
  [
    "import { FileBody, FileIo, FileTransfer, RateLimit, RetryPolicy } from \"@effect-fileio/client\"",
    "import { type DateTime, type Redacted, Stream } from \"effect\"",
    "declare const fileIo: FileIo.Service, transfer: FileTransfer.Service",
    "declare const key: string, link: string, stream: Stream.Stream<Uint8Array>, sentAt: DateTime.Utc, token: Redacted.Redacted",
    `export const call = () => ${code}`,
    "export const used = [FileBody, FileIo, FileTransfer, RateLimit, RetryPolicy, Stream, key, link, stream]"
  ].join("; ")

const blocksOf = (document: string, text: string): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  const add = (line: number, code: string, run: boolean) => {
    const file = join(folder, `${document.replaceAll("/", "+")}.${line}.${blocks.length}.ts`)
    blocks.push({ document, line, code, run, file })
  }
  for (const match of text.matchAll(FENCE)) {
    const { code = "", flags = "", margin = "" } = match.groups ?? {}
    const bare = code.split("\n").map((line) => line.startsWith(margin) ? line.slice(margin.length) : "")
    add(lineOf(text, match.index) + 1, bare.join("\n"), !flags.includes("no-run"))
  }
  if (!document.endsWith(".md")) return blocks
  for (const match of text.matchAll(/^\|.*$/gm)) {
    for (const [, code] of match[0].matchAll(/`((?:fileIo|transfer)\.[^`]+)`/g)) {
      add(lineOf(text, match.index), fromCell(code!.replaceAll("\\|", "|")), false)
    }
  }
  return blocks
}

/** All code of the documentation. */
export const collect = async (): Promise<ReadonlyArray<Block>> => {
  const documents = await Array.fromAsync(
    glob(["*.md", "docs/*.md", "packages/*/*.md", "packages/*/src/**/*.ts"], { cwd: root })
  )
  const blocks = await Promise.all(
    documents.toSorted().map(async (document) => blocksOf(document, await readFile(join(root, document), "utf8")))
  )
  return blocks.flat()
}

/** Writes each block as a module whose lines are numbered as in its document. */
export const write = async (blocks: ReadonlyArray<Block>): Promise<void> => {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  for (const { code, file, line } of blocks) {
    const program = /^(?:export )?const (program|test) =/m.exec(code)?.[1]
    const exported = program === undefined || /^export const (?:program|test) =/m.test(code)
      ? "export {}"
      : `export { ${program} }`
    await writeFile(file, `${"\n".repeat(line - 1)}${code.trimEnd()}\n${exported}\n`)
  }
  const config = {
    extends: "../../tsconfig.base.json",
    include: ["*.ts"],
    compilerOptions: {
      composite: false,
      incremental: true,
      declarationMap: false,
      sourceMap: false,
      noEmit: true,
      rewriteRelativeImportExtensions: false,
      allowImportingTsExtensions: true,
      tsBuildInfoFile: "../.tsbuild/docs.tsbuildinfo",
      lib: ["esnext", "dom", "dom.asynciterable"],
      types: ["node"],
      plugins: []
    }
  }
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config, undefined, 2))
}
