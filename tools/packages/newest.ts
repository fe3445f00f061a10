/**
 * Tries the newest `effect` that the peer range allows: if it is newer than the pinned one, a copy of the workspace is
 * installed with it, type-checked and tested. Ends with 0 if there is nothing newer, or no registry to ask.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { must, root, run } from "./pack.ts"
import { copyWorkspace } from "./releaseCopy.ts"

const say = (line: string) => process.stdout.write(`${line}\n`)

const settings = await readFile(join(root, "pnpm-workspace.yaml"), "utf8")
const names = ["effect", "@effect/platform-node"]
const pattern = (name: string) => new RegExp(`^  (?:"${name}"|${name}): (\\d+\\.\\d+\\.\\d+)$`, "m")

/** The newest version that `~pinned` allows; `undefined` if the registry cannot be asked. */
const newest = async (name: string, pinned: string): Promise<string | undefined> => {
  const { code, stdout } = await run("npm", ["view", `${name}@~${pinned}`, "version", "--json", "--loglevel=error"], {
    cwd: root
  })
  if (code !== 0) return undefined
  const versions = [JSON.parse(stdout) as string | Array<string>].flat()
  return versions.toSorted((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1)
}

let changed = settings
for (const name of names) {
  const pinned = pattern(name).exec(settings)?.[1]
  if (pinned === undefined) throw new Error(`pnpm-workspace.yaml pins no ${name}`)
  const found = await newest(name, pinned)
  if (found === undefined) {
    say(`SKIPPED: npm reaches no registry here, so the newest ${name} is not known`)
    process.exit(0)
  }
  say(`${name}: pinned to ${pinned}, newest allowed ${found}`)
  changed = changed.replace(pattern(name), (line) => line.replace(pinned, found))
}
if (changed === settings) {
  say("There is nothing newer to try.")
  process.exit(0)
}

const copy = await mkdtemp(join(tmpdir(), "fileio-newest-"))
try {
  await copyWorkspace(copy)
  await writeFile(join(copy, "pnpm-workspace.yaml"), changed)
  await must("node", ["scripts/bootstrap.mjs", "pnpm", "install", "--no-frozen-lockfile"], { cwd: copy })
  const { code, stderr, stdout } = await run("npm", ["test"], { cwd: copy })
  process.stdout.write(stdout + stderr)
  process.exitCode = code
} finally {
  await rm(copy, { recursive: true, force: true })
}
