/**
 * The long form of the pressure test: `pnpm --filter @effect-fileio/server pressure [--one] [CONNECTIONS] [KIND…]`. Each kind
 * has its own server; with `--one` all use the same, one after another.
 */
import { run } from "./pressure.ts"

const args = process.argv.slice(2)
const onOne = args.includes("--one")
const [connections = "4096", ...names] = args.filter((arg) => arg !== "--one")

await run(Number(connections), {
  onOne,
  ...(names.length === 0 ? {} : { names }),
  onFigures: (figures) => process.stdout.write(`${JSON.stringify(figures)}\n`)
})
