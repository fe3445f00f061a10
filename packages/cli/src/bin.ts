#!/usr/bin/env node
/**
 * The program. It handles `--version` itself, since loading the commands takes several times as long as starting Node.
 *
 * @since 0.1.0
 */
import { readFileSync } from "node:fs"

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)

if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`fileio: Node ${process.versions.node} is too old\n  Use Node 22.19 or newer.\n`)
  process.exitCode = 1
} else if (process.argv.length === 3 && process.argv[2] === "--version") {
  process.stdout.write(`fileio ${version}\n`)
} else {
  // The arguments of a process can be seen by everybody on the machine; a new title takes their place.
  if (process.argv.some((argument) => /age-secret-key-/i.test(argument))) process.title = "fileio"
  const { main } = await import("./internal/main.ts")
  main(version)
}
