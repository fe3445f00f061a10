/** Installs the packed packages into a project, as users do, by each package manager. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { must, type Packed, root, run, serve } from "./pack.ts"
import { NPM_INSTALL, OFFLINE, program } from "./programs.ts"

/** A package manager. */
export type Manager = "npm" | "pnpm" | "yarn" | "bun" | "deno"

/** How a manager is started, and its files that name the registry of the scope; `undefined` if the manager is not here. */
const commandOf = async (
  manager: Manager,
  registry: string
): Promise<
  { readonly command: string; readonly args: ReadonlyArray<string>; readonly files: Record<string, string> } | undefined
> => {
  const npmrc = { ".npmrc": `@effect-fileio:registry=${registry}\n` }
  if (manager === "npm") return { command: "npm", args: NPM_INSTALL, files: npmrc }
  if (manager === "pnpm") {
    const { packageManager } = JSON.parse(await readFile(join(root, "package.json"), "utf8"))
    return {
      command: "npx",
      args: ["--yes", "--prefer-offline", packageManager, "add", "--prefer-offline"],
      files: npmrc
    }
  }
  const modules = await program(manager)
  if (modules === undefined) return undefined
  if (manager === "bun") return { command: join(modules, ".bin/bun"), args: ["add"], files: npmrc }
  if (manager === "deno") return { command: join(modules, ".bin/deno"), args: ["add", "--npm"], files: npmrc }
  const url = (await must("npm", ["config", "get", "registry"], { cwd: root })).trim()
  const yarnrc = {
    nodeLinker: "pnp",
    enableTelemetry: false,
    enableGlobalCache: false,
    npmRegistryServer: url,
    npmScopes: { "effect-fileio": { npmRegistryServer: registry } },
    unsafeHttpWhitelist: ["127.0.0.1", new URL(url).hostname]
  }
  // JSON is YAML; an empty lockfile says that the project is not part of a folder above it.
  const files = { ".yarnrc.yml": JSON.stringify(yarnrc), "yarn.lock": "" }
  return { command: process.execPath, args: [join(modules, "@yarnpkg/cli-dist/bin/yarn.js"), "add"], files }
}

/** Installs packages by name into a new project; `false`, with a line that says so, if that is impossible here. */
export const install = async (
  packed: ReadonlyArray<Packed>,
  project: string,
  manager: Manager,
  names: ReadonlyArray<string>
): Promise<boolean> => {
  const registry = await serve(packed)
  try {
    const found = await commandOf(manager, registry.url)
    if (found === undefined) return false
    await mkdir(project, { recursive: true })
    const manifest = JSON.stringify({ name: "scratch", private: true, type: "module" })
    for (const [name, text] of Object.entries({ "package.json": manifest, ...found.files })) {
      await writeFile(join(project, name), text)
    }
    const wanted = manager === "deno" ? names.map((name) => `npm:${name}`) : names
    const { code, stderr, stdout } = await run(found.command, [...found.args, ...wanted], { cwd: project })
    if (code === 0) return true
    if (!OFFLINE.test(stdout + stderr)) {
      throw new Error(`${manager} cannot install ${names.join(" ")}\n${stdout}${stderr}`)
    }
    process.stderr.write(`SKIPPED: ${manager} reaches no registry here, so it did not install the packed packages\n`)
    return false
  } finally {
    await registry.close()
  }
}

/** The packages that a line of README.md installs, as it is written there. */
export const readmeInstall = async (): Promise<ReadonlyArray<string>> => {
  const line = /^npm install (?<names>@effect-fileio\/.+)$/m.exec(await readFile(join(root, "README.md"), "utf8"))
  return line!.groups!["names"]!.split(" ")
}

/**
 * A server of the packages that npm installed into a project, until the function ends: by default `fileio serve`, on the Node
 * that runs this.
 */
export const withHost = async <A>(
  project: string,
  use: (url: string) => Promise<A>,
  options: {
    readonly runtime?: readonly [string, ...Array<string>]
    readonly program?: readonly [string, ...Array<string>]
    readonly env?: Readonly<Record<string, string>>
  } = {}
): Promise<A> => {
  const [command, ...args] = options.runtime ?? [process.execPath]
  const program = options.program ?? [fileioOf(project), "serve", "--port", "0"]
  const host = spawn(command, [...args, ...program], {
    cwd: project,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...options.env }
  })
  const ended = once(host, "close")
  try {
    for await (const line of createInterface(host.stdout)) {
      const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0]
      if (url !== undefined) return await use(url)
    }
    throw new Error(`${program.join(" ")} ended`)
  } finally {
    host.kill()
    await ended
  }
}

/** The command line that was installed into a project. */
export const fileioOf = (project: string): string => join(project, "node_modules/@effect-fileio/cli/dist/fileio.js")
