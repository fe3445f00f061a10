import { FileIoServer } from "@effect-fileio/server"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { existsSync } from "node:fs"
import { cp, glob, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { builtinModules } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { fixturePath, PASSPHRASE, secureHost } from "../../packages/platform-node/test/network.ts"
import { runAll } from "../../packages/server/test/conformance/runAll.ts"
import { bundleOne } from "../browser/bundle.ts"
import { collect } from "../docs/blocks.ts"
import { fileioOf, install, readmeInstall, withHost } from "../packages/install.ts"
import { must, pack, type Packed, root, run } from "../packages/pack.ts"
import { type Program, program } from "../packages/programs.ts"

/** The output of `fixtures/consumer-fetch.ts`. */
const OVER_FETCH = "large.txt, 3000000 bytes\nFileNotFound\n"

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
}, 600_000)

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
    "have keywords, and no link in the README that is broken outside of the repository",
    () =>
      assertEach(async ({ manifest }, unpacked) => {
        const text = (await readFile(join(unpacked, "README.md"), "utf8")).replaceAll(/^```[^]*?^```$/gm, "")
        const links = [...text.matchAll(/\]\((?!https?:|#)([^)]*)\)/g)].map(([link]) => `README.md: ${link}`)
        return manifest.keywords?.includes("file-sharing") ? links : [...links, "package.json has no keywords"]
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
    { timeout: 600_000 },
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

const versionOf = async (project: string, name: string): Promise<string> =>
  JSON.parse(await readFile(join(project, "node_modules", name, "package.json"), "utf8")).version

/** Type-checks, and emits declarations, with the compiler of the workspace or with another command. */
const assertCompiles = async (
  project: string,
  moduleResolution: "node16" | "nodenext" | "bundler",
  files: ReadonlyArray<string>,
  options?: { readonly skipLibCheck?: boolean; readonly tsc?: readonly [string, ...Array<string>] }
) => {
  const config = {
    compilerOptions: {
      target: "es2024",
      lib: ["esnext", "dom", "dom.asynciterable"],
      types: ["node"],
      module: moduleResolution === "bundler" ? "esnext" : moduleResolution,
      moduleResolution,
      strict: true,
      exactOptionalPropertyTypes: true,
      declaration: true,
      emitDeclarationOnly: true,
      outDir: "declarations",
      // Once is enough for the same packages.
      skipLibCheck: options?.skipLibCheck ?? false,
      allowImportingTsExtensions: true
    },
    files
  }
  await writeFile(join(project, "tsconfig.json"), JSON.stringify(config))
  const [command, ...args] = options?.tsc ?? [join(root, "node_modules/.bin/tsc")]
  const { code, stderr, stdout } = await run(command, [...args, "-p", project, "--pretty", "false"], { cwd: project })
  assert.strictEqual(code, 0, stdout + stderr)
}

const withServer = <A>(use: (url: string) => Promise<A>): Promise<A> =>
  FileIoServer.FileIoServer.use(({ url }) => Effect.promise(() => use(url))).pipe(
    Effect.provide(FileIoServer.layerTemporary()),
    Effect.runPromise
  )

/** Copies a program of `fixtures` into a project. */
const copyFixture = (project: string, name: string) =>
  cp(join(import.meta.dirname, "fixtures", name), join(project, name))

/** The first program of README.md, as it stands there. */
const readmeProgram = async (): Promise<string> => {
  const block = (await collect()).find(({ code, document, run }) =>
    document === "README.md" && run && code.includes("NodeFileIo.layerConfig()")
  )
  return block!.code
}

/** Runs the program of README.md in a project, by a command whose last argument is the path of the program. */
const assertReadmeRuns = async (
  project: string,
  command: string,
  args: ReadonlyArray<string>,
  url?: string
): Promise<void> => {
  if (url === undefined) return withServer((url) => assertReadmeRuns(project, command, args, url))
  await writeFile(join(project, "app.ts"), await readmeProgram())
  await rm(join(project, "inbox"), { recursive: true, force: true })
  const printed = await must(command, [...args, "app.ts"], { cwd: project, env: { FILEIO_BASE_URL: url } })
  assert.match(printed, /^http:\S+ http:\S+\n\S*inbox\/package\.json \d+\n$/)
}

/** The key of the hosts that the tests of runtimes start. */
const KEY = "K".repeat(32)

/** Uploads a file and downloads it with the installed command line, run by a command. */
const assertFileio = async (project: string, [command, ...args]: readonly [string, ...Array<string>], url: string) => {
  const fileio = (...given: ReadonlyArray<string>) =>
    must(command, [...args, fileioOf(project), "--base-url", url, ...given], { cwd: project })
  const link = (await fileio("upload", "package.json")).trim()
  await fileio("download", link, "-o", "copy.json")
  assert.strictEqual(
    await readFile(join(project, "copy.json"), "utf8"),
    await readFile(join(project, "package.json"), "utf8")
  )
  await rm(join(project, "copy.json"))
}

describe("a project that installs them", () => {
  it("compiles and runs a program, with one copy of effect", { timeout: 600_000 }, async (test) => {
    const project = join(folder, "scratch")
    const names = ["core", "client", "platform-node", "promise", "server", "cli"].map((name) =>
      `@effect-fileio/${name}`
    )
    const range = packed.find(({ manifest }) => manifest.name === "@effect-fileio/client")!.manifest
      .peerDependencies!["effect"]!
    const others = [`effect@${range}`, `@effect/platform-node@${range}`, "@types/node@24"]
    if (!await install(packed, project, "npm", [...names, ...others])) return test.skip("npm reaches no registry")
    assert.strictEqual(
      (await must("npm", ["ls", "effect", "--parseable"], { cwd: project })).trim().split("\n").length,
      1
    )

    for (const script of ["consumer.ts", "consumer-fetch.ts"]) await copyFixture(project, script)
    await assertCompiles(project, "nodenext", ["consumer.ts"])
    await assertCompiles(project, "bundler", ["consumer.ts"], { skipLibCheck: true })
    const printed = await must(process.execPath, ["consumer.ts"], { cwd: project })
    assert.match(printed, /^saved as report\.pdf, 9 bytes$/m)
    assert.match(printed, /^FileNotFound: no such file/m)

    const help = await must(join(project, "node_modules/.bin/fileio"), ["--help"], { cwd: project })
    assert.match(help, /upload/)
    const published = await withHost(
      project,
      (url) => must(process.execPath, ["consumer-fetch.ts"], { cwd: project, env: { FILEIO_BASE_URL: url } })
    )
    assert.strictEqual(published, OVER_FETCH)
    const hidden = await run(
      process.execPath,
      ["--input-type=module", "--eval", "await import('@effect-fileio/client/internal/exchange')"],
      { cwd: project }
    )
    assert.match(hidden.stderr, /ERR_PACKAGE_PATH_NOT_EXPORTED/)
  })

  it("compiles and runs README.md under pnpm, which hides what is not declared", { timeout: 600_000 }, async (test) => {
    const project = join(folder, "scratch-pnpm")
    if (!await install(packed, project, "pnpm", [...await readmeInstall(), "@types/node@24"])) {
      return test.skip("npm reaches no registry")
    }
    await copyFixture(project, "declarations.ts")
    for (const resolution of ["node16", "bundler"] as const) {
      await assertCompiles(project, resolution, ["declarations.ts"], { skipLibCheck: true })
    }
    await assertReadmeRuns(project, process.execPath, [])

    const promises = join(folder, "scratch-pnpm-promises")
    await install(packed, promises, "pnpm", ["@effect-fileio/promise", "@types/node@24"])
    await copyFixture(promises, "declarations-promise.ts")
    await assertCompiles(promises, "nodenext", ["declarations-promise.ts"], { skipLibCheck: true })
  })

  it("compiles and runs README.md, and a server, under Yarn's Plug'n'Play", { timeout: 600_000 }, async (test) => {
    const project = join(folder, "scratch-yarn")
    const names = [...await readmeInstall(), "@effect-fileio/server", "@types/node@24"]
    // The oldest that reads the declarations of effect; Yarn patches it so that it finds them in archives.
    if (!await install(packed, project, "yarn", [...names, "typescript@npm:5.7.3"])) {
      return test.skip("npm reaches no registry")
    }
    const yarn = [process.execPath, join((await program("yarn"))!, "@yarnpkg/cli-dist/bin/yarn.js")] as const
    await copyFixture(project, "declarations.ts")
    await assertCompiles(project, "nodenext", ["declarations.ts"], { skipLibCheck: true, tsc: [...yarn, "tsc"] })
    await assertReadmeRuns(project, yarn[0], [yarn[1], "node"])
    await copyFixture(project, "consumer.ts")
    const printed = await must(yarn[0], [yarn[1], "node", "consumer.ts"], { cwd: project })
    assert.match(printed, /^saved as report\.pdf, 9 bytes$/m)
  })

  const scratch = () => join(folder, "scratch")
  const runtimes: ReadonlyArray<readonly [string, Program, string, ReadonlyArray<string>]> = [
    ["the oldest Node", "oldestNode", "node", []],
    ["the newest Node", "newestNode", "node", []],
    ["Bun", "bun", "bun", ["run"]],
    ["Deno", "deno", "deno", ["run", "--allow-all"]]
  ]
  it.for(runtimes)(
    "serves, and runs the command line, README.md, files on disk over TLS, promises and fetch on %s",
    { timeout: 600_000 },
    async (row, test) => {
      const [, name, command, args] = row
      const modules = existsSync(join(scratch(), "node_modules")) ? await program(name) : undefined
      if (modules === undefined) return test.skip("npm reaches no registry")
      const executable = join(modules, ".bin", command)
      for (const script of ["consumer-fetch.ts", "consumer-node.ts"]) await copyFixture(scratch(), script)
      const use = async (url: string) => {
        await assertReadmeRuns(scratch(), executable, args, url)
        await assertFileio(scratch(), [executable, ...args], url)
        const over = (script: string, env: Readonly<Record<string, string>>) =>
          must(executable, [...args, script], { cwd: scratch(), env })
        assert.strictEqual(await over("consumer-fetch.ts", { FILEIO_BASE_URL: url }), OVER_FETCH)
        const secure = Effect.flatMap(
          secureHost(url, { wantsCertificate: true }),
          (secureUrl) =>
            Effect.promise(() =>
              over("consumer-node.ts", {
                FILEIO_BASE_URL: secureUrl,
                FILEIO_CA_CERT: fixturePath("ca.crt"),
                FILEIO_CLIENT_CERT: fixturePath("client.crt"),
                FILEIO_CLIENT_KEY: fixturePath("client.key"),
                FILEIO_CLIENT_KEY_PASSPHRASE: Redacted.value(PASSPHRASE)
              })
            )
        )
        const printed = await Effect.runPromise(Effect.scoped(secure))
        assert.strictEqual(printed, "report.pdf, 5400000 bytes\nFileNotFound absent\n".repeat(2))
      }
      const runtime = [executable, ...args] as const
      await withHost(scratch(), use, { runtime })
      const bin = join(scratch(), "node_modules/@effect-fileio/server/dist/bin.js")
      const data = join(folder, `data-${name}`)
      const { failed } = await withHost(scratch(), (url) => Effect.runPromise(runAll(url, KEY)), {
        runtime,
        program: [bin, "--data", data, "--port", "0", "--admin-port", "0", "--anonymous-rate", "none"],
        env: { FILEIO_SERVER_API_KEY: KEY }
      })
      // It needs as much free space on this disk as the plan takes; the other one says that there is too little.
      const mayFail = "upload: of more than the plan takes is refused with 413"
      assert.deepStrictEqual(failed.filter(({ name }) => name !== mayFail), [])
    }
  )

  it.for([["bun", ["run"]], ["deno", ["run", "--allow-all"]]] as const)(
    "runs README.md as %s installs the packages",
    { timeout: 600_000 },
    async ([manager, args], test) => {
      const project = join(folder, `scratch-${manager}`)
      const names = await readmeInstall()
      if (!await install(packed, project, manager, names)) return test.skip("npm reaches no registry")
      await assertReadmeRuns(project, join((await program(manager))!, ".bin", manager), args)
    }
  )

  it(
    "needs no permission of Deno but for the network and the environment, over fetch",
    { timeout: 600_000 },
    async (test) => {
      const modules = existsSync(join(scratch(), "node_modules")) ? await program("deno") : undefined
      if (modules === undefined) return test.skip("npm reaches no registry")
      const args = ["run", "--no-prompt", "--allow-env", "--allow-net=127.0.0.1", "consumer-fetch.ts"]
      const printed = await withServer((url) =>
        must(join(modules, ".bin/deno"), args, { cwd: scratch(), env: { FILEIO_BASE_URL: url } })
      )
      assert.strictEqual(printed, OVER_FETCH)
    }
  )

  it("says on Bun that a proxy needs another client", { timeout: 600_000 }, async (test) => {
    const modules = existsSync(join(scratch(), "node_modules")) ? await program("bun") : undefined
    if (modules === undefined) return test.skip("npm reaches no registry")
    await writeFile(join(scratch(), "app.ts"), await readmeProgram())
    const { code, stderr } = await run(join(modules, ".bin/bun"), ["run", "app.ts"], {
      cwd: scratch(),
      env: { FILEIO_BASE_URL: "http://127.0.0.1:1", HTTP_PROXY: "http://127.0.0.1:2" }
    })
    assert.strictEqual(code, 1)
    assert.match(stderr, /invalid runtime: Bun has no undici/)
  })

  it("uploads and downloads in a worker, on workerd", { timeout: 600_000 }, async (test) => {
    const modules = existsSync(join(scratch(), "node_modules")) ? await program("miniflare") : undefined
    if (modules === undefined) return test.skip("npm reaches no registry")
    await copyFixture(scratch(), "worker.ts")
    const code = await bundleOne(join(scratch(), "worker.ts"))
    assert.notMatch(code, /\bfrom\s*["']node:|import\(["']node:/)
    await writeFile(join(scratch(), "worker.mjs"), code)
    const script = join(import.meta.dirname, "fixtures", "workerd.mjs")
    const miniflare = join(modules, "miniflare/dist/src/index.js")
    const printed = await withServer((url) =>
      must(process.execPath, [script, miniflare, join(scratch(), "worker.mjs"), url], { cwd: scratch() })
    )
    assert.deepStrictEqual(JSON.parse(printed), [
      "large.bin, 3000000 bytes, FileNotFound",
      "see you at eight, FileNotFound"
    ])
  })

  it("uses the promises beside Effect 3", { timeout: 600_000 }, async (test) => {
    const project = join(folder, "scratch-3")
    if (!await install(packed, project, "npm", ["effect@3", "@effect-fileio/promise", "@types/node@24"])) {
      return test.skip("npm reaches no registry")
    }
    assert.match(await versionOf(project, "effect"), /^3\./)
    await cp(join(import.meta.dirname, "fixtures", "consumer-promise.ts"), join(project, "consumer.ts"))
    await assertCompiles(project, "nodenext", ["consumer.ts"])
    const printed = await withServer((url) =>
      must(process.execPath, ["consumer.ts"], { cwd: project, env: { FILEIO_BASE_URL: url } })
    )
    assert.match(printed, /^see you at eight$/m)
    assert.match(printed, /^FileNotFound$/m)
  })
})
