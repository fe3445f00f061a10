/** An account with a million files: `node test/large/main.ts [FILES] [EXPIRED]`; prints a table for each engine. */
import { Effect } from "effect"
import { hasPostgres, skipping } from "../engines.ts"
import { run } from "./large.ts"

const [files = 1_000_000, expired = 100_000] = process.argv.slice(2).map(Number)
skipping("a large account in PostgreSQL")
for (const engine of hasPostgres ? ["SQLite", "PostgreSQL"] as const : ["SQLite"] as const) {
  const steps = await Effect.runPromise(Effect.scoped(run({ engine, files, expired })))
  console.log(
    `${engine}, ${files} files, of which ${expired} have expired: milliseconds, and the longest hold of the event loop`
  )
  console.table(steps.map(({ held, millis, name }) => ({ name, millis: Math.round(millis), held: Math.round(held) })))
}
