import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"

const ROOT = Path.join(import.meta.dirname, "../..")
const rules = { "max-lines": ["error", 500], "max-lines-per-function": ["error", 120] }

it("no source has more than 500 lines, and no function more than 120 lines", () => {
  const folder = mkdtempSync(Path.join(tmpdir(), "fileio-sizes-"))
  try {
    const config = Path.join(folder, "oxlint.json")
    writeFileSync(config, JSON.stringify({ categories: { correctness: "off" }, rules }))
    const oxlint = Path.join(ROOT, "node_modules/oxlint/bin/oxlint")
    const args = [oxlint, "--config", config, "--format", "unix", "packages/"]
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" })
    const found = stdout.split("\n").filter((line) => /^packages\/[\w-]+\/src\/.*\blines\b/.test(line))
    assert.deepStrictEqual(found, [])
    // Tests have longer ones, so the linter finds some for certain.
    assert.strictEqual(status, 1, stdout)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

it("no comment is wider than 130 columns, and no line of a document wider than 140, except in tables", () => {
  const { stdout } = spawnSync("git", ["ls-files", "*.ts", "*.mjs", "*.md"], { cwd: ROOT, encoding: "utf8" })
  const files = stdout.trim().split("\n").filter((file) => !/fixtures|\.github|\.changeset/.test(file))
  assert.isAtLeast(files.length, 600)
  const wide = files.flatMap((file) => {
    const [isLine, columns] = file.endsWith(".md")
      ? [/^(?!\||!?\[)/, 140] as const
      : [/^\s*(?:\*|\/\/|\/\*)/, 130] as const
    return readFileSync(Path.join(ROOT, file), "utf8").split("\n").flatMap((line, at) =>
      isLine.test(line) && line.length > columns ? [`${file}:${at + 1}`] : []
    )
  })
  assert.deepStrictEqual(wide, [])
})
