/** The faults of the lab, in an order that follows from the seed. */
import { Effect } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import type { Ledger, Random } from "./ledger.ts"
import type { Fault, Proxy } from "./proxy.ts"
import type { Server } from "./server.ts"

/** Prefix of each file's name. It is in the statements that store a file or its new content, and in no other. */
export const NAME = "file-of-the-lab-"

/** How long to wait for a request that a fault is to meet. */
const PATIENCE = 500
/** A server waits 5 seconds for its transfers, and as long as a silent engine may take. */
const STOP_LIMIT = 60_000
/** Clocks of machines that keep time badly, but well enough for the store to take their signatures. */
const CLOCK_OFFSET = 10 * 60 * 1000

export interface Engines {
  readonly postgres: { readonly crash: Effect.Effect<void> }
  readonly redis: { readonly crash: Effect.Effect<void> }
}

/** Words in some requests to PostgreSQL, and to the store. */
const WORDS: ReadonlyArray<ReadonlyArray<string>> = [
  ["INSERT INTO leases", "UPDATE leases", "COMMIT", "DELETE FROM", NAME],
  ["PUT /files", "GET /files", "HEAD /files", "POST /files", "uploadId", "DELETE /files"]
]

export const makeFault = (
  servers: ReadonlyArray<Server>,
  { postgres, redis }: Engines,
  ledger: Ledger,
  random: Random,
  counts: Record<string, number>
) => {
  const meet = (line: Proxy, how: Fault, words: string) => Promise.race([line.meet(how, words), sleep(PATIENCE)])

  const faults: Record<string, (server: Server, line: Proxy) => Promise<void>> = {
    silence: async (_, line) => {
      line.setMode("silent")
      await sleep(200 + random.below(4000))
      line.setMode("pass")
    },
    "silence of what is open": async (_, line) => line.silenceOpen(),
    cut: async (_, line) => line.cut(),
    refusal: async (_, line) => {
      line.setMode("refuse")
      line.cut()
      await sleep(200 + random.below(2000))
      line.setMode("pass")
    },
    "a request that is met": async ({ lines }) => {
      const engine = random.below(WORDS.length)
      for (let i = 0; i < 5; i++) {
        await meet(lines[engine]!, random.pick(["lose", "swallow", "cut"]), random.pick(WORDS[engine]!))
      }
    },
    "lost answers to uploads": async ({ lines }) => {
      for (let i = 0; i < 10; i++) await meet(lines[0]!, "lose", NAME)
    },
    "lost answers to uploads, and no new connections": async ({ lines }) => {
      await meet(lines[0]!, "lose", NAME)
      lines[0]!.setMode("refuse")
      lines[0]!.cut()
      await sleep(3000)
      lines[0]!.setMode("pass")
    },
    kill: async (server) => {
      await server.kill()
      await server.start(random.below(2 * CLOCK_OFFSET) - CLOCK_OFFSET)
    },
    "stop, with an engine that is silent": async (server, line) => {
      line.setMode("silent")
      const stopped = await server.stop(STOP_LIMIT)
      if (!stopped) ledger.violated("call without end", `a server did not stop within ${STOP_LIMIT} ms`)
      line.setMode("pass")
      await server.start(random.below(2 * CLOCK_OFFSET) - CLOCK_OFFSET)
    },
    pause: async (server) => server.pause(200 + random.below(6000)),
    "crash of PostgreSQL": () => Effect.runPromise(postgres.crash),
    "crash of Redis": () => Effect.runPromise(redis.crash)
  }

  return async () => {
    const [name, fault] = random.pick(Object.entries(faults))
    counts[name] = (counts[name] ?? 0) + 1
    const server = random.pick(servers)
    await fault(server, random.pick(server.lines))
  }
}
