import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const project = (name: string, folder: string) => ({
  extends: true as const,
  test: { name, root: fileURLToPath(new URL(folder, import.meta.url)), include: ["test/**/*.test.ts"] }
})

// Vitest keeps a token for its browser interface in the home folder otherwise; nothing here uses it.
process.env.XDG_DATA_HOME = fileURLToPath(new URL("node_modules/.cache", import.meta.url))

export default defineConfig({
  test: {
    pool: "forks",
    // Far beyond what any test takes, so that only a hang ends by it, also on a machine that is ten times slower.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ["default", "./scripts/CountsReporter.ts"],
    projects: [
      project("core", "packages/core"),
      project("client", "packages/client"),
      project("platform-node", "packages/platform-node"),
      project("server", "packages/server"),
      project("promise", "packages/promise"),
      project("cli", "packages/cli"),
      project("examples", "examples"),
      project("tools", "tools")
    ]
  }
})
