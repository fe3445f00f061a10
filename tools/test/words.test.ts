import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import * as Path from "node:path"

const ROOT = Path.join(import.meta.dirname, "../..")

/** The words of the column "not" in the glossary. */
const forbidden = () => {
  const text = readFileSync(Path.join(ROOT, "docs/glossary.md"), "utf8")
  const rows = text.slice(text.indexOf("| not ")).split("\n").slice(2).filter((line) => line.startsWith("|"))
  return rows.flatMap((row) => row.split("|")[1]!.replace(/\(.*\)/, "").split(",").map((word) => word.trim()))
}

/** Places where a word has its usual meaning. */
const ALLOWED: ReadonlyArray<readonly [word: string, where: RegExp]> = [
  // Of a person at a terminal.
  ["answer", /^packages\/cli\/src\/internal\/run\/delete\.ts$/],
  // Of a thread to a question.
  ["answer", /^packages\/server\/src\/internal\/sql\/sqlite\w+\.ts$/],
  // Only the limiter's permits once had these names.
  ["place", /^(?!packages\/client\/src\/internal\/limit\/)/],
  ["slot", /^(?!packages\/client\/src\/internal\/limit\/)/]
]

const isChecked = (path: string): boolean =>
  /\.(?:ts|tsx|js|css|md|ya?ml|sh|py)$|Dockerfile$/.test(path) && path !== "docs/glossary.md" &&
  !/(?:^|\/)(?:test|fixtures|node_modules)\/|^pnpm-lock|^CHANGELOG|^\.changeset\//.test(path) &&
  existsSync(Path.join(ROOT, path))

/** Words of names and of sentences, also across the lines of a comment. */
const plain = (text: string): string =>
  text.replace(/([a-z])([A-Z])/g, "$1 $2").replace(/\n[ \t]*(?:\/\/|\*|#)?[ \t]*/g, " ").toLowerCase()

it("no source, message or document has a word that the glossary replaces", () => {
  const words = forbidden().map((word) => [word, new RegExp(`\\b${word}(?:s|es|ed|ing)?\\b`)] as const)
  assert.isAtLeast(words.length, 10)
  const { stdout } = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8"
  })
  const found = stdout.split("\n").filter(isChecked).flatMap((path) => {
    const text = plain(readFileSync(Path.join(ROOT, path), "utf8"))
    return words.flatMap(([word, pattern]) => {
      const match = pattern.exec(text)
      return match === null || ALLOWED.some(([allowed, where]) => allowed === word && where.test(path))
        ? []
        : [`${path}: ${text.slice(Math.max(0, match.index - 40), match.index + 40)}`]
    })
  })
  assert.deepStrictEqual(found, [])
})

it("finds names, inflections and phrases that span lines", () => {
  assert.match(plain("const serverAnswer = 1"), /\banswer\b/)
  assert.match(plain("// it stands\n  // still"), /\bstands still\b/)
})
