/**
 * How near the client comes to a rate limit, and whether it goes beyond it: against a host that counts the arrivals of any
 * sliding second.
 *
 *     pnpm bench rate [--limits 1,3,10,100] [--rtts 0,50,200] [--fibers 1,10,1000] [--processes 1,4] [--jitter 10]
 *                     [--processing 0] [--uplink 0.5] [--seconds 120] [--at-once 6] [--at-least 0]
 *
 * `jitter` is the most that each way takes longer, in milliseconds (never more than a quarter of the round trip each way,
 * but for 0 ms: 1 ms). A case takes two minutes: the start is seen, and does not hide what comes after it.
 * More than one process needs `redis-server` in the path. Where processes wait for a processor, that is measured too: a
 * limit of 100 wants one or two to itself (`--at-once 1`).
 *
 * Prints one line a case. `ofLimit` counts everything from the first arrival to the last, so the learning of the limit and the
 * first connections are in it; `steady` is taken from the time that the limit's number of requests took in the second half.
 * Both are parts of what can be reached: the limit, or what the fibers can do with one request after the other. Ends with an
 * error when the host refused a request, or when `ofLimit` is less than `at-least`. A short case:
 *
 *     pnpm bench rate --limits 20 --rtts 50 --fibers 40 --seconds 5 --at-least 0.8
 */
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { parseArgs } from "node:util"
import type { Report } from "./rate/strictHost.ts"
import type { Work } from "./rate/worker.ts"

const { values } = parseArgs({
  options: {
    limits: { type: "string", default: "1,3,10,100" },
    rtts: { type: "string", default: "0,50,200" },
    fibers: { type: "string", default: "1,10,1000" },
    processes: { type: "string", default: "1,4" },
    jitter: { type: "string", default: "10" },
    processing: { type: "string", default: "0" },
    uplink: { type: "string", default: "0.5" },
    seconds: { type: "string", default: "120" },
    "at-once": { type: "string", default: "6" },
    "at-least": { type: "string", default: "0" }
  }
})
const numbers = (text: string) => text.split(",").map(Number)
const seconds = Number(values.seconds)
const processingMs = Number(values.processing)
const uplink = Number(values.uplink)

const child = (script: string, argument: unknown) =>
  fork(new URL(`./rate/${script}.ts`, import.meta.url), [JSON.stringify(argument)], { stdio: "inherit" })

const message = async <A>(from: ChildProcess): Promise<A> => (await once(from, "message"))[0] as A

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  return typeof address === "object" && address !== null ? address.port : 0
}

/** A Redis for this bench alone, without persistence. */
const startRedis = async () => {
  const port = await freePort()
  const server = spawn("redis-server", [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "no"
  ])
  for await (const line of server.stdout) if (String(line).includes("Ready to accept connections")) break
  server.stdout.resume()
  process.on("exit", () => server.kill())
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
  return { url: `redis://127.0.0.1:${port}`, stop: () => server.kill() }
}

const measure = async (
  one: { readonly limit: number; readonly rttMs: number; readonly fibers: number; readonly processes: number },
  redis: string | undefined
) => {
  const { fibers, limit, processes, rttMs } = one
  const jitterMs = rttMs === 0 ? 1 : Math.min(Number(values.jitter), rttMs / 4)
  const host = child("strictHost", { limit, rttMs, jitterMs, processingMs, uplink })
  const { port } = await message<{ port: number }>(host)
  const work: Work = {
    baseUrl: `http://127.0.0.1:${port}`,
    fibers: Math.max(1, Math.round(fibers / processes)),
    seconds: seconds + 1.5,
    redis: processes === 1 ? undefined : redis
  }
  const workers = Array.from({ length: processes }, () => child("worker", work))
  await Promise.all(workers.map((worker) => once(worker, "exit")))
  host.send("report")
  const { arrivals, rejected, worstWindow } = await message<Report>(host)
  host.disconnect()
  const first = arrivals[0] ?? 0
  const within = (from: number) =>
    arrivals.filter((time) => time >= first + from * 1000 && time < first + seconds * 1000)
  const late = within(seconds / 2)
  const cycles = late.slice(limit).map((time, n) => time - late[n]!)
  const cycle = cycles.reduce((sum, millis) => sum + millis, 0) / cycles.length
  // One fiber, sequentially, makes this many requests per second: a millisecond of work, the round trip, and half the jitter.
  const roundTrip = 1 + rttMs + jitterMs + processingMs / 2
  const reachable = Math.min(limit, work.fibers * processes * 1000 / roundTrip)
  // Between two arrivals there can be as many as may arrive at once, and after that the rate.
  const all = within(0)
  const atOnce = Math.min(limit, work.fibers * processes)
  const ofLimit = (all.length - atOnce) * 1000 / (all.at(-1)! - first) / reachable
  if (rejected > 0 || worstWindow > limit || ofLimit < Number(values["at-least"])) process.exitCode = 1
  const round = (value: number) => Math.round(value * 1000) / 1000
  process.stdout.write(
    `${
      JSON.stringify({
        bench: "rate",
        limit,
        rttMs,
        jitterMs,
        ...(processingMs === 0 ? {} : { processingMs }),
        ...(uplink === 0.5 ? {} : { uplink }),
        fibers,
        processes,
        seconds,
        requests: arrivals.length,
        rejected,
        worstWindow,
        ofLimit: round(ofLimit),
        steady: round(limit * 1000 / cycle / reachable)
      })
    }\n`
  )
}

const cases = numbers(values.limits).flatMap((limit) =>
  numbers(values.rtts).flatMap((rttMs) =>
    numbers(values.fibers).flatMap((fibers) =>
      numbers(values.processes).flatMap((processes) =>
        processes > 1 && fibers < processes ? [] : [{ limit, rttMs, fibers, processes }]
      )
    )
  )
)
const needsRedis = cases.some(({ processes }) => processes > 1)
const hasRedis = needsRedis && spawnSync("redis-server", ["--version"]).status === 0
if (needsRedis && !hasRedis) {
  process.stderr.write("no redis-server in the path: only the cases of one process are run\n")
}
const redis = hasRedis ? await startRedis() : undefined
const queue = cases.filter(({ processes }) => processes === 1 || redis !== undefined)
await Promise.all(Array.from({ length: Number(values["at-once"]) }, async () => {
  for (let one = queue.shift(); one !== undefined; one = queue.shift()) await measure(one, redis?.url)
}))
redis?.stop()
