/**
 * `pnpm bench NAME [--option value ...]`: runs `bench/NAME.ts`, which prints one JSON line a case.
 */
import { readdirSync } from "node:fs"

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts") && file !== "run.ts")
  .map((file) => file.slice(0, -".ts".length))
const [name] = process.argv.slice(2)

if (name === undefined || !names.includes(name)) {
  process.stderr.write(`usage: pnpm bench ${names.join("|")} [--option value ...]\n`)
  process.exitCode = 2
} else {
  process.argv.splice(2, 1)
  await import(`./${name}.ts`)
}
