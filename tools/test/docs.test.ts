import { FileIo, FileTransfer } from "@effect-fileio/client"
import { FileIoError } from "@effect-fileio/core"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { glob, readFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { type Block, collect, folder, write } from "../docs/blocks.ts"
import { gaps, gapsOf } from "../docs/exports.ts"
import { root, run } from "../packages/pack.ts"

describe("code in the documentation", () => {
  let blocks: ReadonlyArray<Block>

  beforeAll(async () => {
    blocks = await collect()
    await write(blocks)
  })

  it("of a package's README imports only what that tells to install", async () => {
    const missing: Array<string> = []
    for (const { code, document } of blocks) {
      if (!/^packages\/[\w-]+\/README\.md$/.test(document)) continue
      const text = await readFile(join(root, document), "utf8")
      const installed = [...text.matchAll(/npm install ([^\n`]+)/g)].flatMap(([, names]) =>
        names!.split(" ").map((name) => name.replace(/(?<=.)@~?\d.*$/, ""))
      )
      for (const [, name] of code.matchAll(/ from "((?:@[\w-]+\/)?[\w.-]+)/g)) {
        if (name!.startsWith(".") || name!.startsWith("node:") || name === "node") continue
        if (!installed.includes(name!)) missing.push(`${document}: ${name}`)
      }
    }
    assert.deepStrictEqual(missing, [])
  })

  const where = (file: string): string => {
    const block = blocks.find((block) => block.file === file)
    return block === undefined ? file : `${block.document}:${block.line}`
  }

  it("is found", () => {
    for (const document of ["README.md", "packages/client/README.md", "packages/client/src/FileIo.ts"]) {
      assert.isTrue(blocks.some((block) => block.document === document), `no code found in ${document}`)
    }
  })

  it("type-checks", { timeout: 600_000 }, async () => {
    const { stdout } = await run(join(root, "node_modules/.bin/tsc"), ["-p", folder, "--pretty", "false"], {
      cwd: root
    })
    const problems = stdout.split("\n").filter((line) => line.startsWith("tools/.docs/"))
      .map((line) =>
        line.replace(/^tools\/\.docs\/(.+?\.(?:md|ts))\.\d+\.\d+\.ts/, (_, name: string) => name.replaceAll("+", "/"))
      )
    assert.deepStrictEqual(problems, [])
  })

  it("runs", { timeout: 600_000 }, async () => {
    const files = blocks.filter((block) => block.run).map((block) => block.file)
    const { stderr, stdout } = await run(process.execPath, [join(root, "tools/docs/run.ts"), ...files], { cwd: root })
    const verdicts = stdout.trim().split("\n").map((line): { file: string; error?: string } => JSON.parse(line))
    assert.strictEqual(verdicts.length, files.length, stderr)
    const failed = verdicts.filter(({ error }) => error !== undefined)
    assert.deepStrictEqual(failed.map(({ error, file }) => `${where(file)}: ${error}`), [], stderr)
  })
})

/** The anchors of a document's headings, as GitHub makes them. */
const anchorsOf = (text: string): ReadonlySet<string> =>
  new Set(
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
      title!.trim().toLowerCase().replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, "").replaceAll(" ", "-")
    )
  )

describe("the documentation", () => {
  it("covers every public export", async () => {
    assert.deepStrictEqual(await gaps(), [])
  })

  it("is asked for by a check that finds gaps", () => {
    const source =
      `/**\n * A module.\n *\n * @since 0.1.0\n */\n\n/** A text. */\nexport const a = 1\nexport interface B { f: () => void }\n`
    assert.deepStrictEqual(gapsOf("x.ts", source), [
      "x.ts:8 a lacks @category",
      "x.ts:8 a lacks @since",
      "x.ts:9 B lacks a doc comment",
      "x.ts:9 B.f lacks a doc comment"
    ])
  })

  it("becomes a reference without warnings", { timeout: 600_000 }, async () => {
    const { code, stderr, stdout } = await run(process.execPath, [join(root, "tools/docs/api.ts"), "--emit", "none"], {
      cwd: root
    })
    assert.strictEqual(code, 0, stdout + stderr)
  })

  it("links only to what is there", async () => {
    const documents = await Array.fromAsync(glob(["*.md", "{docs,examples}/*.md", "packages/*/*.md"], { cwd: root }))
    const read = async (path: string) => (await readFile(path, "utf8")).replaceAll(/^```[^]*?^```$/gm, "")
    const broken: Array<string> = []
    for (const document of documents) {
      const text = await read(join(root, document))
      for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)|\bsrc="([^"]+)"/g)) {
        if (/^(?:https?:|mailto:)/.test(target) || target === "") continue
        const [file = "", anchor] = target.split("#")
        const path = file === "" ? join(root, document) : join(root, dirname(document), file)
        const isThere = existsSync(path) &&
          (anchor === undefined || !path.endsWith(".md") || anchorsOf(await read(path)).has(anchor))
        if (!isThere) broken.push(`${document}: ${target}`)
      }
      for (const [, path = ""] of text.matchAll(/`(?:packages\/)?((?:[a-z-]+)\/(?:src|test)\/[\w./-]+)`/g)) {
        const isThere = existsSync(join(root, "packages", path)) || existsSync(join(root, path))
        if (!isThere && !path.endsWith("/NAME.ts")) broken.push(`${document}: ${path}`)
      }
    }
    assert.deepStrictEqual(broken, [])
  })

  it("names every reason and every call in the README", async () => {
    const readme = await readFile(join(root, "README.md"), "utf8")
    for (const { fields } of FileIoError.Reason.members) {
      assert.include(readme, `\n| \`${fields._tag.schema.literal}\` `, "the table of reasons")
    }
    const services = Effect.gen(function*() {
      return { fileIo: yield* FileIo.FileIo, transfer: yield* FileTransfer.FileTransfer }
    })
    const { fileIo, transfer } = await Effect.runPromise(Effect.provide(services, NodeFileIo.layer()))
    const calls = [
      ...Object.keys(fileIo).map((name) => `fileIo.${name}`),
      ...Object.keys(transfer).map((name) => `transfer.${name}`)
    ]
    assert.deepStrictEqual(calls.filter((call) => !new RegExp(`\\b${call}\\b`).test(readme)), [])
  })

  it("has an index of the examples", async () => {
    const scripts = await Array.fromAsync(glob("*.ts", { cwd: join(root, "examples") }))
    const listed = [...(await readFile(join(root, "examples/README.md"), "utf8")).matchAll(/^\| \[([\w-]+\.ts)\]/gm)]
    assert.deepStrictEqual(listed.map(([, name]) => name!).toSorted(), scripts.toSorted())
  })
})
