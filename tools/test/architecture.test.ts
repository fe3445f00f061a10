import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Path from "node:path"

const ROOT = Path.join(import.meta.dirname, "../..")

/** The files of the repository. */
const files = (): ReadonlyArray<string> =>
  spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: ROOT, encoding: "utf8" })
    .stdout.split("\n")

/** The names of files and folders in the tables of "Where to look", with the folder of the table before them. */
const named = (): ReadonlyArray<readonly [folder: string, name: string]> => {
  const text = readFileSync(Path.join(ROOT, "ARCHITECTURE.md"), "utf8")
  const section = text.slice(text.indexOf("## Where to look"), text.indexOf("## The promise"))
  return section.split(/^\*\*/m).slice(1).flatMap((table) => {
    const folder = /\(`([^`]+)`\)/.exec(table)?.[1] ?? ""
    return Array.from(table.matchAll(/`([\w./-]+(?:\.(?:ts|css|js)|\/))`/g), (match) => [folder, match[1]!] as const)
  })
}

it("the tables of \"Where to look\" name files and folders that exist", () => {
  const all = files()
  const names = named()
  assert.isAtLeast(names.length, 80)
  const missing = names.filter(([folder, name]) =>
    // A name may begin with another package or folder.
    !all.some((file) =>
      [folder, name.split("/")[0]!, `packages/${name.split("/")[0]}`].some((start) => file.startsWith(`${start}/`)) &&
      (name.endsWith("/") ? `/${file}`.includes(`/${name}`) : `/${file}`.endsWith(`/${name}`))
    )
  )
  assert.deepStrictEqual(missing, [])
})
