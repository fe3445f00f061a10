/**
 * Runtimes and package managers that users have and this workspace does not: each in a folder of its own under
 * `node_modules/.cache/programs`, installed from the npm registry when a test first needs it. They are no dependencies of the
 * workspace, since together they have 700 MB, which `npm start` would wait for.
 */
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { root, run } from "./pack.ts"

/** The versions, as npm names them. The two of Node are the oldest that the packages allow, and the newest. */
export const PROGRAMS = {
  bun: "bun@1.4.5",
  deno: "deno@2.9.6",
  miniflare: "miniflare@4.20260426.0",
  newestNode: "node@26.10.0",
  oldestNode: "node@22.19.0",
  vitepress: "vitepress@1.6.4",
  yarn: "@yarnpkg/cli-dist@4.18.1"
} as const

/** npm's message, and those of the other package managers, without a network. */
export const OFFLINE =
  /ENOTFOUND|ECONNREFUSED|ECONNRESET|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ENOTCACHED|\bE50[234]\b|network (?:timeout|connectivity)|dns error/

/** Flags of `npm install` for a test. */
export const NPM_INSTALL = [
  "install",
  "--prefer-offline",
  "--no-audit",
  "--no-fund",
  "--no-update-notifier",
  "--loglevel=error"
]

/** The name of a program. */
export type Program = keyof typeof PROGRAMS

/** The folder `node_modules` that has the program; `undefined`, with a line that says so, if it cannot be installed here. */
export const program = async (name: Program): Promise<string | undefined> => {
  const spec = PROGRAMS[name]
  const cache = join(root, "node_modules/.cache/programs")
  const folder = join(cache, spec.replace("/", "+"))
  const modules = join(folder, "node_modules")
  if (existsSync(folder)) return modules
  await mkdir(cache, { recursive: true })
  const fresh = await mkdtemp(join(cache, ".new-"))
  try {
    await writeFile(join(fresh, "package.json"), JSON.stringify({ private: true }))
    const { code, stderr, stdout } = await run("npm", [...NPM_INSTALL, spec], { cwd: fresh })
    if (code === 0) {
      await rename(fresh, folder).catch((cause: unknown) => {
        // Another run was faster.
        if (!existsSync(folder)) throw cause
      })
      return modules
    }
    if (!OFFLINE.test(stdout + stderr)) throw new Error(`npm install ${spec} failed\n${stdout}${stderr}`)
    process.stderr.write(`SKIPPED: npm reaches no registry here, so nothing was run with ${spec}\n`)
    return undefined
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
}
