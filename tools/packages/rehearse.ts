/**
 * Rehearses a release, without publishing: in a copy of what git has, writes the next versions and changelogs, and packs the
 * packages as a fresh clone does. With `--pack-only` that is all, since `packages.test.ts` does the rest with the packages of
 * this workspace: serves them as a registry, and installs them with each package manager. Each then runs the first program of
 * README.md, on its own runtime, against the server of the packed command line.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { collect } from "../docs/blocks.ts"
import { install, type Manager, readmeInstall, withHost } from "./install.ts"
import { must, pack, type Packed } from "./pack.ts"
import { program } from "./programs.ts"
import { releaseCopy } from "./releaseCopy.ts"

const say = (line: string) => process.stdout.write(`${line}\n`)

const folder = await mkdtemp(join(tmpdir(), "fileio-rehearsal-"))
const clone = join(folder, "clone")

/** The command that runs a program in a project of the manager. */
const runnerOf = async (manager: Manager): Promise<readonly [string, ...Array<string>]> => {
  const modules = manager === "npm" || manager === "pnpm" ? undefined : await program(manager)
  if (modules === undefined) return [process.execPath]
  if (manager === "yarn") return [process.execPath, join(modules, "@yarnpkg/cli-dist/bin/yarn.js"), "node"]
  return [join(modules, ".bin", manager), "run", ...(manager === "deno" ? ["--allow-all"] : [])]
}

/** Installs the packages with each package manager, and runs the program of README.md. */
const installEach = async (packed: ReadonlyArray<Packed>) => {
  const names = await readmeInstall()
  const readme = (await collect()).find(({ code, document }) =>
    document === "README.md" && code.includes("NodeFileIo.layerConfig()")
  )!
  const host = join(folder, "host")
  if (!await install(packed, host, "npm", ["@effect-fileio/cli"])) return
  await withHost(host, async (url) => {
    for (const manager of ["npm", "pnpm", "yarn", "bun", "deno"] as const) {
      const project = join(folder, manager)
      if (!await install(packed, project, manager, names)) continue
      await writeFile(join(project, "app.ts"), readme.code)
      const [command, ...args] = await runnerOf(manager)
      const printed = await must(command, [...args, "app.ts"], { cwd: project, env: { FILEIO_BASE_URL: url } })
      if (!/^http:\S+ http:\S+\n\S*inbox\/package\.json \d+\n$/.test(printed)) throw new Error(printed)
      say(`${manager}: installed, ran the program of README.md`)
    }
  })
}

/** Packs the copy, and checks its versions. */
const rehearse = async () => {
  const packed = await pack(join(folder, "tarballs"), clone)
  const versions = new Set(packed.map(({ manifest }) => manifest.version))
  for (const { folder, manifest } of packed) {
    const log = await readFile(join(folder, "CHANGELOG.md"), "utf8")
    if (!log.includes(`## ${manifest.version}\n`)) {
      throw new Error(`the changelog of ${manifest.name} has no ${manifest.version}`)
    }
  }
  if (versions.size !== 1 || versions.has("0.0.0")) throw new Error(`the versions are ${[...versions].join(", ")}`)
  say(`packed ${packed.length} packages, version ${[...versions].join()}`)

  if (!process.argv.includes("--pack-only")) await installEach(packed)
}

try {
  if (await releaseCopy(clone)) await rehearse()
} finally {
  await rm(folder, { recursive: true, force: true })
}
