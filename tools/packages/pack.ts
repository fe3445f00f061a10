/**
 * The packages as they are published: built, packed by pnpm, and served by a local registry, so that a test can install them by
 * name as users do.
 */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { glob, mkdir, readFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

/** The folder of the workspace. */
export const root = fileURLToPath(new URL("../..", import.meta.url))

/** The manifest of a packed package. */
interface Manifest {
  readonly name: string
  readonly version: string
  readonly keywords?: ReadonlyArray<string>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, unknown>>
}

/** A packed package. */
export interface Packed {
  readonly manifest: Manifest
  /** Path of the tarball. */
  readonly tarball: string
  /** Folder of the package in the workspace. */
  readonly folder: string
}

/** The output of a program, and how it ended. */
export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, without this process's own variables. */
export const run = (
  command: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd: string; readonly env?: Readonly<Record<string, string | undefined>> }
): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const { FILEIO_API_KEY: _key, FILEIO_BASE_URL: _url, NODE_OPTIONS: _options, ...env } = process.env
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32"
    })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (chunk) => stdout += chunk)
    child.stderr.on("data", (chunk) => stderr += chunk)
    child.on("error", reject)
    child.on("close", (code) => resolve({ code: code ?? 1, stdout, stderr }))
  })

/** Like `run`, but a failure throws. */
export const must = async (...call: Parameters<typeof run>): Promise<string> => {
  const { code, stderr, stdout } = await run(...call)
  if (code !== 0) throw new Error(`${call[0]} ${call[1].join(" ")} failed (exit code ${code})\n${stdout}${stderr}`)
  return stdout
}

const json = async (path: string): Promise<any> => JSON.parse(await readFile(path, "utf8"))

/** Packs all packages of a workspace into `destination`; each builds itself first. */
export const pack = async (destination: string, workspace: string = root): Promise<ReadonlyArray<Packed>> => {
  await mkdir(destination, { recursive: true })
  const folders = (await Array.fromAsync(glob("packages/*/package.json", { cwd: workspace }))).toSorted()
    .map((path) => join(workspace, path, ".."))
  // npx comes with the machine's npm, not with the Node of this workspace.
  const path = (process.env.PATH ?? "").split(delimiter).filter((entry) =>
    entry !== join(workspace, "node_modules/.bin")
  )
  const { packageManager } = await json(join(workspace, "package.json"))
  await must(
    "npx",
    [
      "--yes",
      "--prefer-offline",
      packageManager,
      "-r",
      "--filter",
      "./packages/*",
      "pack",
      "--pack-destination",
      destination
    ],
    { cwd: workspace, env: { PATH: path.join(delimiter) } }
  )
  return Promise.all(folders.map(async (folder): Promise<Packed> => {
    const { name, version } = await json(join(folder, "package.json"))
    const tarball = join(destination, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`)
    const manifest = JSON.parse(await must("tar", ["-xzOf", tarball, "package/package.json"], { cwd: destination }))
    return { manifest, tarball, folder }
  }))
}

/**
 * Serves the packed packages as a registry on a free port, only for the scope `@effect-fileio`. Their dependencies come from
 * the registry that npm is configured for.
 */
export const serve = async (packed: ReadonlyArray<Packed>) => {
  const documents = new Map<string, Buffer>()
  const server = createServer((request, response) => {
    const found = documents.get(decodeURIComponent(request.url ?? ""))
    response.writeHead(found === undefined ? 404 : 200).end(found ?? "{}")
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  for (const { manifest, tarball } of packed) {
    const { name, version } = manifest
    const content = await readFile(tarball)
    const path = `/${name}/-/${version}.tgz`
    const integrity = `sha512-${createHash("sha512").update(content).digest("base64")}`
    documents.set(path, content)
    documents.set(
      `/${name}`,
      Buffer.from(JSON.stringify({
        name,
        "dist-tags": { latest: version },
        // Yarn and pnpm do not install a version that is younger than a day or so.
        time: { [version]: "2026-01-01T00:00:00.000Z" },
        versions: { [version]: { ...manifest, dist: { tarball: `${url}${path}`, integrity } } }
      }))
    )
  }
  return {
    url,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    }
  }
}
