/**
 * A host that counts the requests of any sliding second at the moment they arrive, and refuses what is beyond the limit.
 * The way to it takes half the round trip and a random part of the jitter, and so does the way back; a new connection
 * takes one more round trip, as TCP does. Runs as a child process: `strictHost.ts '{"limit":…,"rttMs":…,"jitterMs":…}'`.
 */
import { createServer } from "node:http"

interface Options {
  readonly limit: number
  readonly rttMs: number
  /** The most that each way takes beyond its half of the round trip. */
  readonly jitterMs: number
  /** The most that the host itself takes for a request. */
  readonly processingMs?: number
  /** The way to the host takes this part of the round trip. */
  readonly uplink?: number
}

export interface Report {
  readonly arrivals: ReadonlyArray<number>
  readonly rejected: number
  readonly worstWindow: number
}

const options = JSON.parse(process.argv[2] ?? "{}") as Options
const { jitterMs, limit, processingMs = 0, rttMs, uplink = 0.5 } = options
const arrivals: Array<number> = []
let rejected = 0
let worstWindow = 0
const known = new WeakSet<object>()

const later = (millis: number, run: () => void) => {
  if (millis <= 0) run()
  else setTimeout(run, millis)
}

const server = createServer({ keepAliveTimeout: 30_000 }, (request, response) => {
  const isCold = !known.has(request.socket)
  known.add(request.socket)
  const up = rttMs * uplink + jitterMs * Math.random() + (isCold ? rttMs : 0)
  const down = rttMs * (1 - uplink) + jitterMs * Math.random() + processingMs * Math.random()
  later(up, () => {
    const now = performance.now()
    arrivals.push(now)
    let inWindow = 1
    for (let n = arrivals.length - 2; n >= 0 && now - arrivals[n]! < 1000; n--) inWindow++
    worstWindow = Math.max(worstWindow, inWindow)
    const isTooMany = inWindow > limit
    if (isTooMany) rejected++
    const body = isTooMany
      ? { success: false, status: 429, code: "TOO_MANY_REQUESTS", message: "Too many requests", key: null }
      : request.url === "/me"
      ? { success: true, status: 200, planId: 1, rateLimit: limit }
      : { success: true, status: 200, nodes: [], count: 0, size: 0, screeningStatus: "passed" }
    request.resume()
    later(down, () => {
      response.writeHead(isTooMany ? 429 : 200, { "content-type": "application/json" })
      response.end(JSON.stringify(body))
    })
  })
})

process.on("message", () => {
  process.send?.({ arrivals, rejected, worstWindow } satisfies Report)
})
process.on("disconnect", () => process.exit())
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  process.send?.({ port: typeof address === "object" ? address?.port : undefined })
})
