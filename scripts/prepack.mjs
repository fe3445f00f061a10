/**
 * Builds the package in the current folder, before pnpm packs it: `"prepack": "node ../../scripts/prepack.mjs"`. Build output
 * whose source is gone would be packed with the rest, so it is removed first.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"

for (const file of existsSync("dist") ? readdirSync("dist", { recursive: true, encoding: "utf8" }) : []) {
  const source = /^(?<name>.+?)\.(?:js|d\.ts)(?:\.map)?$/.exec(file)?.groups?.name
  if (source !== undefined && !existsSync(join("src", `${source}.ts`))) rmSync(join("dist", file))
}

const { status } = spawnSync("tsc", ["-b", "tsconfig.src.json"], {
  stdio: "inherit",
  shell: process.platform === "win32"
})
process.exitCode = status ?? 1
