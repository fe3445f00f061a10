/**
 * What a user waits for and loads: `fileio --version` of the packed command line beside `node -e 0`, and the bytes that core
 * and client add to a browser bundle, beyond what they use of `effect`.
 *
 * `pnpm bench size [--rounds 15]`
 */
import { glob, mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { sizes } from "../tools/browser/bundle.ts"
import { unpackFileio } from "./internal/fileio.ts"
import { compare } from "./internal/measure.ts"

const { values } = parseArgs({ options: { rounds: { type: "string", default: "15" } } })

const folder = await mkdtemp(join(tmpdir(), "fileio-bench-"))
try {
  const program = await unpackFileio(folder)
  let code = 0
  for await (const file of glob("package/dist/**/*.js", { cwd: folder })) {
    code += (await readFile(join(folder, file))).length
  }
  const timed = (name: string, ...args: ReadonlyArray<string>) => ({
    name,
    command: process.execPath,
    args: [join(import.meta.dirname, "internal", "timed.ts"), process.execPath, ...args]
  })
  await compare(
    "size",
    { what: "version", bytes: code },
    [timed("node -e 0", "-e", "0"), timed("fileio --version", program, "--version")],
    "node -e 0",
    Number(values.rounds)
  )

  const { beyondEffect, whole, withoutEffect } = await sizes()
  if (beyondEffect < 5000 || whole < withoutEffect) {
    throw new Error(`something is missing in a bundle of ${whole} bytes`)
  }
  const facts = { bench: "size", what: "bundle", contender: "sdk" }
  console.log(JSON.stringify({ ...facts, gzippedBytes: beyondEffect, ownFiles: withoutEffect, withEffect: whole }))
} finally {
  await rm(folder, { recursive: true, force: true })
}
