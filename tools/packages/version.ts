/** Writes the next versions and changelogs, by the files in `.changeset`, and formats them. */
import { must, root } from "./pack.ts"

process.stdout.write(
  await must("node", ["tools/node_modules/@changesets/cli/bin.js", "version"], { cwd: root })
)
await must("dprint", ["fmt"], { cwd: root })
