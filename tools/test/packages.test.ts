import { FileIoServer } from "@effect-fileio/server"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { cp, glob, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { builtinModules } from "node:module"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { must, pack, type Packed, root, run, serve } from "../packages/pack.ts"

const bin = (name: string) => join(import.meta.dirname, "..", "node_modules", ".bin", name)

let folder: string
let packed: ReadonlyArray<Packed>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fileio-packages-"))
  packed = await pack(join(folder, "tarballs"))
  for (const { manifest, tarball } of packed) {
    const unpacked = join(folder, "unpacked", manifest.name)
    await mkdir(unpacked, { recursive: true })
    await must("tar", ["-xzf", tarball, "-C", unpacked, "--strip-components=1"], { cwd: folder })
  }
  return () => rm(folder, { recursive: true, force: true })
}, 240_000)

/** Fails with all problems that a check finds, in any package. */
const assertEach = async (check: (packed: Packed, unpacked: string) => Promise<ReadonlyArray<string>>) => {
  const problems = await Promise.all(packed.map(async (one) => {
    const found = await check(one, join(folder, "unpacked", one.manifest.name))
    return found.map((problem) => `${one.manifest.name}: ${problem}`)
  }))
  assert.deepStrictEqual(problems.flat(), [])
}

/** The modules that a file imports, as written. */
const imports = (source: string): ReadonlyArray<string> => {
  const code = source.replaceAll(/\/\*[^]*?\*\//g, "")
  const specifier =
    /^\s*(?:import|export)\s(?:[\w*{},\s$]*?\sfrom\s*)?["']([^"'\n]+)["']|\bimport\(["']([^"'\n]+)["']\)/gm
  return [...code.matchAll(specifier)].map((match) => match[1] ?? match[2]!)
}

const filesOf = (unpacked: string, pattern: string) => Array.fromAsync(glob(pattern, { cwd: unpacked }))

describe("the packed packages", () => {
  it(
    "hold what a package needs and nothing else",
    () =>
      assertEach(async ({ manifest }, unpacked) => {
        const files = await filesOf(unpacked, "**/*.*")
        const wanted = [
          "README.md",
          "package.json",
          ...(manifest.exports["."] ? ["dist/index.js", "dist/index.d.ts"] : [])
        ]
        const problems = wanted.filter((file) => !files.includes(file)).map((file) => `${file} is missing`)
        if ((await filesOf(unpacked, "LICENSE")).length === 0) problems.push("LICENSE is missing")
        for (const file of files) {
          if (/\.test\.|tsbuildinfo|\.env/.test(file)) problems.push(`${file} does not belong in it`)
          const text = await readFile(join(unpacked, file), "utf8").catch(() => "")
          if (text.includes(root)) problems.push(`${file} tells where it was built`)
        }
        return problems
      })
  )

  it(
    "import only what they declare",
    () =>
      assertEach(async ({ manifest }, unpacked) => {
        const declared = new Set([
          manifest.name,
          ...Object.keys(manifest.dependencies ?? {}),
          ...Object.keys(manifest.peerDependencies ?? {})
        ])
        const problems: Array<string> = []
        for (const file of await filesOf(unpacked, "dist/**/*.{js,d.ts}")) {
          for (const name of imports(await readFile(join(unpacked, file), "utf8"))) {
            if (name.startsWith(".") || name.startsWith("node:")) continue
            const owner = name.split("/").slice(0, name.startsWith("@") ? 2 : 1).join("/")
            if (builtinModules.includes(owner)) problems.push(`${file} imports ${name} without node:`)
            else if (!declared.has(owner)) problems.push(`${file} imports ${name}, which is not declared`)
            if (name.includes("/internal/")) problems.push(`${file} imports ${name}`)
          }
        }
        return problems
      })
  )

  it(
    "keep what is internal out of their public declarations",
    () =>
      assertEach(async (_, unpacked) => {
        const problems: Array<string> = []
        for (const file of await filesOf(unpacked, "dist/{*,testing/*}.d.ts")) {
          for (const name of imports(await readFile(join(unpacked, file), "utf8"))) {
            if (name.includes("/internal/")) problems.push(`${file} shows ${name}`)
          }
        }
        return problems
      })
  )

  it(
    "allow only the effect that they were written for",
    () =>
      assertEach(async ({ manifest }) => {
        const ranges = { ...manifest.dependencies, ...manifest.peerDependencies }
        return ["effect", "@effect/platform-node"]
          .filter((name) => ranges[name] !== undefined && !/^~\d+\.\d+\.\d+$/.test(ranges[name]))
          .map((name) => `${name} ${ranges[name]}: a minor may change the modules that Effect marks unstable`)
      })
  )

  it(
    "are clean to publint",
    () =>
      assertEach(async ({ tarball }) => {
        const content = await readFile(tarball)
        const { messages, pkg } = await publint({
          pack: { tarball: content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength) },
          level: "suggestion",
          strict: true
        })
        return messages.map((message) => formatMessage(message, pkg) ?? message.code)
      })
  )

  it(
    "are clean to arethetypeswrong",
    { timeout: 180_000 },
    () =>
      assertEach(async ({ tarball }) => {
        const { code, stderr, stdout } = await run(
          bin("attw"),
          [tarball, "--profile", "esm-only", "--no-color", "--no-emoji", "--format", "ascii"],
          { cwd: folder }
        )
        return code === 0 ? [] : [`${stdout}${stderr}`]
      })
  )
})

/** npm's message without a network. */
const OFFLINE = /ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ENETUNREACH|ETIMEDOUT|ENOTCACHED|network (?:timeout|connectivity)/

/** Installs packages by name, as from npm; `false` if that is impossible here. */
const install = async (project: string, names: ReadonlyArray<string>): Promise<boolean> => {
  const registry = await serve(packed)
  try {
    await mkdir(project, { recursive: true })
    await writeFile(join(project, "package.json"), JSON.stringify({ name: "scratch", private: true, type: "module" }))
    await writeFile(join(project, ".npmrc"), `@effect-fileio:registry=${registry.url}\n`)
    const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    const { code, stderr, stdout } = await run("npm", ["install", ...flags, ...names], { cwd: project })
    if (code === 0) return true
    if (!OFFLINE.test(stdout + stderr)) assert.fail(`npm install ${names.join(" ")} failed\n${stdout}${stderr}`)
    process.stderr.write("SKIPPED: the packed packages were not installed, since npm reaches no registry here\n")
    return false
  } finally {
    await registry.close()
  }
}

const versionOf = async (project: string, name: string): Promise<string> =>
  JSON.parse(await readFile(join(project, "node_modules", name, "package.json"), "utf8")).version

const typecheck = async (project: string, moduleResolution: string, files: ReadonlyArray<string>) => {
  const module = moduleResolution === "nodenext" ? "nodenext" : "esnext"
  const config = {
    compilerOptions: {
      target: "es2024",
      lib: ["esnext", "dom", "dom.asynciterable"],
      types: ["node"],
      module,
      moduleResolution,
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      skipLibCheck: false,
      allowImportingTsExtensions: true
    },
    files
  }
  await writeFile(join(project, "tsconfig.json"), JSON.stringify(config))
  const { code, stdout } = await run(join(root, "node_modules/.bin/tsc"), ["-p", project, "--pretty", "false"], {
    cwd: project
  })
  assert.strictEqual(code, 0, stdout)
}

const onPath = (name: string): string | undefined =>
  (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name)).find((path) => existsSync(path))

const withServer = <A>(use: (url: string) => Promise<A>): Promise<A> =>
  FileIoServer.FileIoServer.use(({ url }) => Effect.promise(() => use(url))).pipe(
    Effect.provide(FileIoServer.layerTemporary()),
    Effect.runPromise
  )

describe("a project that installs them", () => {
  it("compiles and runs a program, with one copy of effect", { timeout: 240_000 }, async (test) => {
    const project = join(folder, "scratch")
    const names = ["core", "client", "platform-node", "server", "cli"].map((name) => `@effect-fileio/${name}`)
    const range = packed.find(({ manifest }) => manifest.name === "@effect-fileio/client")!.manifest
      .peerDependencies!["effect"]!
    const others = [`effect@${range}`, `@effect/platform-node@${range}`, "@types/node@24"]
    if (!await install(project, [...names, ...others])) return test.skip("npm reaches no registry")
    assert.strictEqual(
      (await must("npm", ["ls", "effect", "--parseable"], { cwd: project })).trim().split("\n").length,
      1
    )

    await cp(join(import.meta.dirname, "fixtures", "consumer.ts"), join(project, "consumer.ts"))
    await typecheck(project, "nodenext", ["consumer.ts"])
    await typecheck(project, "bundler", ["consumer.ts"])
    const printed = await must(process.execPath, ["consumer.ts"], { cwd: project })
    assert.match(printed, /^saved as report\.pdf, 9 bytes$/m)
    assert.match(printed, /^FileNotFound: no such file/m)

    const help = await must(join(project, "node_modules/.bin/fileio"), ["--help"], { cwd: project })
    assert.match(help, /upload/)
    const hidden = await run(
      process.execPath,
      ["--input-type=module", "--eval", "await import('@effect-fileio/client/internal/exchange')"],
      { cwd: project }
    )
    assert.match(hidden.stderr, /ERR_PACKAGE_PATH_NOT_EXPORTED/)
  })

  it("calls over fetch, also on Bun and Deno where they are", { timeout: 60_000 }, async (test) => {
    const project = join(folder, "scratch")
    if (!existsSync(join(project, "node_modules"))) return test.skip("the packages could not be installed")
    const script = "consumer-fetch.ts"
    await cp(join(import.meta.dirname, "fixtures", script), join(project, script))
    const runtimes: ReadonlyArray<readonly [string, string | undefined, ReadonlyArray<string>]> = [
      ["node", process.execPath, []],
      ["bun", onPath("bun"), ["run"]],
      ["deno", onPath("deno"), ["run", "--allow-env", "--allow-net=127.0.0.1", "--no-check"]]
    ]
    for (const [name, command, args] of runtimes) {
      if (command === undefined) {
        process.stderr.write(`SKIPPED: no ${name} on this machine, so the client was not run on it\n`)
        continue
      }
      const printed = await withServer((url) =>
        must(command, [...args, script], { cwd: project, env: { FILEIO_BASE_URL: url } })
      )
      assert.strictEqual(printed, "large.txt, 3000000 bytes\nFileNotFound\n", name)
    }
  })

  it("uses the promises beside Effect 3", { timeout: 240_000 }, async (test) => {
    const project = join(folder, "scratch-3")
    if (!await install(project, ["effect@3", "@effect-fileio/promise", "@types/node@24"])) {
      return test.skip("npm reaches no registry")
    }
    assert.match(await versionOf(project, "effect"), /^3\./)
    await cp(join(import.meta.dirname, "fixtures", "consumer-promise.ts"), join(project, "consumer.ts"))
    await typecheck(project, "nodenext", ["consumer.ts"])
    const printed = await withServer((url) =>
      must(process.execPath, ["consumer.ts"], { cwd: project, env: { FILEIO_BASE_URL: url } })
    )
    assert.match(printed, /^see you at eight$/m)
    assert.match(printed, /^FileNotFound$/m)
  })
})
