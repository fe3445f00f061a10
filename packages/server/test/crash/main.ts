/** The long form of the crash test: `pnpm --filter @effect-fileio/server soak [KILLS] [SERVERS] [SEED]`. */
import { run } from "./crash.ts"

const [kills = 300, servers = 1, seed = 1] = process.argv.slice(2).map(Number)

const summary = await run({
  kills,
  servers,
  seed,
  onRound: (round) => {
    if (round % 10 === 0) process.stdout.write(`${round} of ${kills} kills\n`)
  }
})
process.stdout.write(`${JSON.stringify(summary)}\n`)
