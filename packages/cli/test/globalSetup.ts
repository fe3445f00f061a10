/** Builds the program, once for all files. */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "vite"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  export interface ProvidedContext {
    /** A folder with the program as it is published, outside the repository, so that it has only its own files. */
    readonly program: string
  }
}

const PACKAGE = fileURLToPath(new URL("..", import.meta.url))

export default async (project: TestProject) => {
  const program = mkdtempSync(join(tmpdir(), "fileio-program-"))
  copyFileSync(join(PACKAGE, "package.json"), join(program, "package.json"))
  await build({ configFile: join(PACKAGE, "vite.config.ts"), build: { outDir: join(program, "dist") } })
  project.provide("program", program)
  return () => rmSync(program, { recursive: true, force: true, maxRetries: 3 })
}
