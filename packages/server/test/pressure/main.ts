/**
 * The long form of the pressure test: `pnpm --filter @effect-fileio/server pressure [--one] [CONNECTIONS] [KIND…]`. Each kind has a
 * server of its own; with `--one` all have the same, one after the other.
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
