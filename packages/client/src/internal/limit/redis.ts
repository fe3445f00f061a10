/**
 * Permits in Redis, acquired by one script on the server, by the server's clock.
 *
 * An account has three keys, which a cluster keeps together: `out` (permits whose request may still be counted, by when they
 * were acquired), `counted` (those of requests that were counted, by the latest time of that) and `state` (a hash: until when
 * the account pauses, the last quota that a process knew, and the lowest one to which a refusal has brought a process).
 */
import * as Redis from "effect/persistence/Redis"
import { GUARD, MAX_CONNECT } from "./slidingWindow.ts"

/** How long the reduced quota of one process applies to all, in milliseconds; each of its requests renews it. */
const REDUCED = 10_000

const BEGIN = `
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local out, counted, state = KEYS[1], KEYS[2], KEYS[3]
local function text(millis) return string.format("%.3f", millis) end
-- Whole milliseconds, rounded up: a timer drops a fraction, and would ask before there is room.
local function wait_for(millis) return string.format("%d", math.ceil(millis)) end
local function number(field, default) return tonumber(redis.call("HGET", state, field) or default) end
local function keep(millis)
  millis = math.ceil(millis)
  for _, key in ipairs(KEYS) do
    if redis.call("PTTL", key) < millis then redis.call("PEXPIRE", key, millis) end
  end
end
`

/** Arguments: permit, limit and window (0 if unknown), isReduced. Returns the result, and a wait. */
const ACQUIRE = `${BEGIN}
local permit, limit, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local paused = number("pausedUntil", 0)
if paused > now then return { "Paused", wait_for(paused - now) } end
if limit == 0 then
  limit, window = number("limit", 1), number("window", 1000)
elseif ARGV[4] == "0" then
  redis.call("HSET", state, "limit", ARGV[2], "window", ARGV[3])
end
local reduced, reducedWindow = number("reducedLimit", 1), number("reducedWindow", 1000)
local holds = number("reducedUntil", 0) > now and reduced / reducedWindow <= limit / window
if ARGV[4] == "1" and (not holds or reduced / reducedWindow == limit / window) then
  redis.call("HSET", state, "reducedLimit", ARGV[2], "reducedWindow", ARGV[3], "reducedUntil", text(now + ${REDUCED}))
elseif holds then
  limit, window = reduced, reducedWindow
end
-- Permits that were never released count from when their requests must have arrived.
local last
for _, entry in ipairs(redis.call("ZRANGEBYSCORE", out, "-inf", text(now - ${MAX_CONNECT}), "WITHSCORES")) do
  if last then
    redis.call("ZREM", out, last)
    redis.call("ZADD", counted, text(tonumber(entry) + ${MAX_CONNECT}), last)
    last = nil
  else
    last = entry
  end
end
local longest = math.max(window, number("longest", 0))
redis.call("HSET", state, "longest", text(longest))
redis.call("ZREMRANGEBYSCORE", counted, "-inf", text(now - longest - ${GUARD}))
keep(${MAX_CONNECT} + longest + 1000)
local since = "(" .. text(now - window - ${GUARD})
local surplus = redis.call("ZCARD", out) + redis.call("ZCOUNT", counted, since, "+inf") - limit
if surplus < 0 then
  redis.call("ZADD", out, text(now), permit)
  keep(${MAX_CONNECT} + longest + 1000)
  return { "Acquired", "0" }
end
-- The permit whose end frees one; where that is still out, its response may come at any time.
local nth = redis.call("ZRANGEBYSCORE", counted, since, "+inf", "WITHSCORES", "LIMIT", surplus, 1)
local wait = nth[2] and tonumber(nth[2]) + window + ${GUARD} - now
local first = redis.call("ZRANGE", out, 0, 0, "WITHSCORES")
if first[2] then
  local earliest = math.max(tonumber(first[2]) + window + ${GUARD} - now, 25)
  wait = math.min(wait or earliest, earliest)
end
return { "Full", wait_for(math.max(wait or 25, 1)) }
`

/** Arguments: permit, milliseconds until it is counted. */
const RELEASE = `${BEGIN}
if redis.call("ZREM", out, ARGV[1]) == 1 then
  redis.call("ZADD", counted, text(now + tonumber(ARGV[2])), ARGV[1])
  keep(number("longest", 1000) + tonumber(ARGV[2]) + 1000)
end
return "0"
`

/** Arguments: milliseconds. */
const PAUSE = `${BEGIN}
local from = now + tonumber(ARGV[1])
if number("pausedUntil", 0) < from then redis.call("HSET", state, "pausedUntil", text(from)) end
keep(tonumber(ARGV[1]) + 1000)
return "0"
`

const script = <A = string>(lua: string) =>
  Redis.script(
    (keys: ReadonlyArray<string>, args: ReadonlyArray<string | number>) => [...keys, ...args],
    { lua, numberOfKeys: 3 }
  ).withReturnType<A>()

export const acquire = script<readonly [tag: "Acquired" | "Full" | "Paused", wait: string]>(ACQUIRE)
export const release = script(RELEASE)
export const pause = script(PAUSE)

export const keysOf = (prefix: string, account: string): ReadonlyArray<string> =>
  ["out", "counted", "state"].map((name) => `${prefix}:{${account}}:${name}`)
