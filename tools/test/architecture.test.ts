import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Path from "node:path"

const ROOT = Path.join(import.meta.dirname, "../..")

const COMMENT = /\/\*[\s\S]*?\*\/|\/\/.*/g

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

it("documents name sources that exist", () => {
  const all = files()
  const documents = all.filter((file) => /^(?:[A-Z]+|docs\/[\w-]+|packages\/\w[\w-]*\/README)\.md$/.test(file))
  const names = documents.flatMap((document) =>
    Array.from(
      readFileSync(Path.join(ROOT, document), "utf8").matchAll(/`([\w./-]+\.(?:ts|mjs|css))`/g),
      (match) => [document, match[1]!] as const
    )
  ).filter(([document, name]) => document !== "CHANGELOG.md" && !name.includes("NAME"))
  assert.isAtLeast(names.length, 200)
  const missing = names.filter(([, name]) => {
    // A name may begin with a package, which has the rest in its sources.
    const [first, ...rest] = name.split("/")
    return !all.some((file) =>
      `/${file}`.endsWith(`/${name}`) ||
      (rest.length > 0 && file.startsWith(`packages/${first}/`) && file.endsWith(`/${rest.join("/")}`))
    )
  })
  assert.deepStrictEqual(missing, [])
})

it("the commands of CONTRIBUTING find their tests", () => {
  const tests = files().filter((file) => file.endsWith(".test.ts"))
  const commands = Array.from(
    readFileSync(Path.join(ROOT, "CONTRIBUTING.md"), "utf8").matchAll(/^npm run pnpm -- exec vitest run (.*)$/gm),
    (match) => match[1]!
  )
  assert.isAtLeast(commands.length, 10)
  for (const command of commands) {
    const [, project, parts] = /^(?:--project ([\w-]+) ?)?([\w ]*?)(?: ?-t ".*")?$/.exec(command)!
    const ofProject = tests.filter((file) => project === undefined || RegExp(`(?:^|/)${project}/`).test(file))
    assert.isNotEmpty(ofProject, command)
    for (const part of parts!.split(" ")) assert.isTrue(ofProject.some((file) => file.includes(part)), command)
  }
})

it("public modules have names in PascalCase, and internal ones in camelCase", () => {
  const modules = files().flatMap((file) => {
    const [, path] = /^packages\/[\w-]+\/src\/(.+)\.ts$/.exec(file) ?? []
    return path === undefined || ["index", "testing/index", "bin", "node"].includes(path) ? [] : [path]
  })
  assert.isAtLeast(modules.length, 300)
  const wrong = modules.filter((path) => {
    const isInternal = path.startsWith("internal/")
    return /^[A-Z]/.test(Path.basename(path)) === isInternal
  })
  assert.deepStrictEqual(wrong, [])
})

it("comments and documents name members that the module of that name has", () => {
  const texts = files().filter((file) => /\.(?:ts|md)$/.test(file) && !/CHANGELOG|comparison|fixtures/.test(file))
    .map((file) => [file, readFileSync(Path.join(ROOT, file), "utf8")] as const)
  const members = new Map<string, Set<string>>()
  for (const [file, text] of texts) {
    const [, name] = /^packages\/[\w-]+\/src\/(?:.+\/)?([A-Z]\w*)\.ts$/.exec(file) ?? []
    if (name === undefined) continue
    const known = members.get(name) ?? new Set()
    for (const [word] of text.replace(COMMENT, "").matchAll(/\w+/g)) known.add(word)
    members.set(name, known)
  }
  const named = texts.flatMap(([file, text]) =>
    (file.endsWith(".ts") ? text.match(COMMENT) ?? [] : [text]).flatMap((comment) =>
      Array.from(comment.matchAll(/`([A-Z]\w+)\.([a-z]\w+)\b/gi), ([, module, member]) => ({ file, module, member }))
    )
  ).filter(({ member, module }) => members.has(module!) && member !== "ts")
  assert.isAtLeast(named.length, 80)
  assert.deepStrictEqual(named.filter(({ member, module }) => !members.get(module!)!.has(member!)), [])
})
