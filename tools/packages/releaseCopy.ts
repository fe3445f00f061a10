/** A fresh copy of the workspace, as a release has it: of what git has, with the next versions and changelogs. */
import { copyFile, mkdir } from "node:fs/promises"
import { dirname, join } from "node:path"
import { must, root, run } from "./pack.ts"
import { OFFLINE } from "./programs.ts"

/** Copies what git has or would add. */
export const copyWorkspace = async (folder: string): Promise<void> => {
  const files = await must("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: root })
  for (const file of files.trim().split("\n")) {
    await mkdir(join(folder, dirname(file)), { recursive: true })
    // A file that is deleted in the working tree is still listed.
    await copyFile(join(root, file), join(folder, file)).catch(() => {})
  }
}

/** Makes the copy in a new folder; `false`, with a line that says so, if its dependencies cannot be installed here. */
export const releaseCopy = async (folder: string): Promise<boolean> => {
  await copyWorkspace(folder)
  // `changeset version` needs a repository.
  await must("git", ["init", "--quiet", "--initial-branch=main"], { cwd: folder })
  const identity = ["-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.com"]
  await must("git", ["add", "--all"], { cwd: folder })
  await must("git", [...identity, "commit", "--quiet", "--message=everything"], { cwd: folder })
  const { code, stderr, stdout } = await run("npm", ["run", "--silent", "release:version"], { cwd: folder })
  if (code === 0) return true
  if (!OFFLINE.test(stdout + stderr)) throw new Error(`npm run release:version failed\n${stdout}${stderr}`)
  process.stderr.write("SKIPPED: npm reaches no registry here, so no release was rehearsed\n")
  return false
}
