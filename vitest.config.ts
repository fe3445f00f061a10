import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const project = (name: string, folder: string, options: { readonly globalSetup?: string } = {}) => ({
  extends: true as const,
  test: { name, root: fileURLToPath(new URL(folder, import.meta.url)), include: ["test/**/*.test.ts"], ...options }
})

// Vitest keeps a token for its browser interface in the home folder otherwise; nothing here uses it.
process.env.XDG_DATA_HOME = fileURLToPath(new URL("node_modules/.cache", import.meta.url))

export default defineConfig({
  test: {
    pool: "forks",
    // Far beyond what any test takes, so that only a hang ends by it, also on a machine that is ten times slower.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Vitest leaves one core to itself, and so runs one file at a time on two cores; most files wait for other processes.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    reporters: ["default", "./scripts/SecretsReporter.ts", "./scripts/CountsReporter.ts"],
    projects: [
      project("core", "packages/core"),
      project("client", "packages/client"),
      project("platform-node", "packages/platform-node"),
      project("server", "packages/server"),
      project("promise", "packages/promise"),
      project("cli", "packages/cli", { globalSetup: "test/globalSetup.ts" }),
      project("examples", "examples"),
      project("tools", "tools")
    ]
  }
})
