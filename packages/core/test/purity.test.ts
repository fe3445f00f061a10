/** Core runs wherever Effect does: it needs no platform, no global but the language's own and the web's `URL`s and encoders. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))
const src = Path.join(root, "src")
const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts")).toSorted()

/** The code without comments, whose examples may import anything. */
const code = (file: string): string =>
  readFileSync(Path.join(src, file), "utf8").replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")

const imports = (file: string): ReadonlyArray<string> =>
  [...code(file).matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)["']([^"']+)["']/g)].map((match) =>
    match[1]!
  )

describe("the sources of core", () => {
  it("are found", () => {
    assert.includeMembers(files, ["Expires.ts", "FileIoError.ts", "FileKey.ts", "FileName.ts", "index.ts"])
    assert.include(imports("Expires.ts"), "effect/Schema")
    assert.include(imports("FileSettings.ts"), "./Expires.ts")
  })

  it.each(files)("%s imports only modules of effect and files of core", (file) => {
    for (const specifier of imports(file)) {
      if (specifier.startsWith(".")) {
        const target = Path.relative(src, Path.resolve(src, Path.dirname(file), specifier))
        assert.include(files, target, `${file} imports ${specifier}`)
      } else {
        assert.match(specifier, /^effect\/[A-Za-z-]+(?:\/[A-Za-z]+)?$/, `${file} imports ${specifier}`)
        assert.notMatch(specifier, /^effect\/(?:testing|internal)/)
      }
    }
  })

  it.each(files)("%s takes the time, randomness and settings from Effect, and nothing from Node", (file) => {
    assert.notMatch(
      code(file),
      /\bprocess\.|\bBuffer\b|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bconsole\.|\bfetch\(|__dirname/
    )
  })

  it("index.ts has every module of the folder", () => {
    const modules = files.filter((file) => /^[A-Z]\w*\.ts$/.test(file))
    const exported = [...code("index.ts").matchAll(/^export \* as (\w+) from "\.\/(\w+)\.ts"$/gm)]
    for (const [, name, file] of exported) assert.strictEqual(name, file)
    assert.sameMembers(exported.map((match) => `${match[2]}.ts`), modules)
  })

  it("package.json needs effect and nothing else", () => {
    const manifest = JSON.parse(readFileSync(Path.join(root, "package.json"), "utf8"))
    assert.deepStrictEqual(Object.keys(manifest.peerDependencies), ["effect"])
    assert.isUndefined(manifest.dependencies)
    assert.strictEqual(manifest.exports["./internal/*"], null)
  })
})
