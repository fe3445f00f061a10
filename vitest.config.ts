import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const project = (name: string, folder: string) => ({
  extends: true as const,
  test: { name, root: fileURLToPath(new URL(folder, import.meta.url)), include: ["test/**/*.test.ts"] }
})

export default defineConfig({
  test: {
    pool: "forks",
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ["default", "./scripts/CountsReporter.ts"],
    projects: [
      project("core", "packages/core"),
      project("client", "packages/client"),
      project("platform-node", "packages/platform-node"),
      project("server", "packages/server"),
      project("cli", "packages/cli"),
      project("examples", "examples")
    ]
  }
})
