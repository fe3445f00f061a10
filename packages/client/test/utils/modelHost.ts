import { FileIo } from "@effect-fileio/client"
import { Clock, Effect, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { json, refusal, respond } from "./strictHost.ts"

/** Behaviour of the model host. */
export interface ModelOptions {
  /** The host takes this many requests … */
  readonly limit: number
  /** … in any window of this length. @default 1000 */
  readonly window?: number
  /** The rate limit that `me` reports. */
  readonly reported: number
  /** Whether a refused request counts as well. */
  readonly countsRefused: boolean
  /** Whether a refusal has a `Retry-After` in whole seconds. */
  readonly hasRetryAfter: boolean
  /** The shortest round trip, half of it each way. */
  readonly roundTrip?: number
  /** The most that each way takes longer. */
  readonly jitter?: number
  readonly seed?: number
}

/** A small generator of random numbers from 0 to 1, the same for the same seed. */
export const generator = (seed: number) => () => {
  seed = (seed + 0x6D2B79F5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

interface Arrival {
  readonly client: string
  readonly at: number
  readonly refused: boolean
}

let hosts = 0

/** A host that counts the requests of one account in a sliding window; the first part of the path names the client. */
export const modelHost = (options: ModelOptions) => {
  const { countsRefused, hasRetryAfter, jitter = 0, limit, roundTrip = 0, reported, window = 1000 } = options
  const host = `model${++hosts}.localhost`
  const random = generator(options.seed ?? 1)
  const arrivals: Array<Arrival> = []
  let counted: Array<number> = []
  const http = HttpClient.make((request, url) =>
    Effect.gen(function*() {
      const [, client = "", path = ""] = url.pathname.split("/")
      yield* Effect.sleep(roundTrip / 2 + jitter * random())
      const now = Number(yield* Clock.currentTimeNanos) / 1e6
      counted = counted.filter((time) => now - time < window)
      const refused = counted.length >= limit
      if (!refused || countsRefused) counted.push(now)
      arrivals.push({ client, at: now, refused })
      const wait = refused ? counted[counted.length - limit]! + window - now : 0
      yield* Effect.sleep(roundTrip / 2 + jitter * random())
      return respond(
        request,
        refused
          ? refusal(hasRetryAfter ? { "retry-after": String(Math.max(1, Math.ceil(wait / 1000))) } : {})
          : path === "me"
          ? json(200, { success: true, status: 200, rateLimit: reported })
          : json(200, { success: true, status: 200, nodes: [], count: 0, size: 0 })
      )
    })
  )
  return {
    /** An independent client, which shares only the account with others. */
    client: (name: string) =>
      FileIo.make({ baseUrl: `http://${host}/${name}`, apiKey: Redacted.make("KEY") }).pipe(
        Effect.provideService(HttpClient.HttpClient, http)
      ),
    /** Requests of one client, or of all, within a time range. */
    share: (from: number, to: number, client?: string) => {
      const those = arrivals.filter(({ at, client: of }) => at >= from && at < to && (client ?? of) === of)
      const refused = those.filter(({ refused }) => refused).length
      return { served: those.length - refused, refused, refusedPart: those.length === 0 ? 0 : refused / those.length }
    }
  }
}
