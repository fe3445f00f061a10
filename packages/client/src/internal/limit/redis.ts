/**
 * Permits in Redis, acquired by one Lua script in Redis, by Redis' clock.
 *
 * An account has two keys, which a cluster keeps together: `permits` (by the latest time at which the host counts their
 * requests) and `state` (a hash: until when the account pauses, the last quota that a process knew, and the lowest one to which
 * a refusal has brought a process).
 */
import * as Redis from "effect/persistence/Redis"
import { ARRIVES_WITHIN, GUARD } from "./slidingWindow.ts"

/** How long the reduced quota of one process applies to all, in milliseconds; each of its requests renews it. */
const REDUCED = 10_000

const BEGIN = `
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local permits, state = KEYS[1], KEYS[2]
local function text(millis) return string.format("%.3f", millis) end
-- Whole milliseconds, rounded up: a timer drops a fraction, and would ask before there is room.
local function wait_for(millis) return string.format("%d", math.max(1, math.ceil(millis))) end
local function number(field, default) return tonumber(redis.call("HGET", state, field) or default) end
local function keep(millis)
  for _, key in ipairs(KEYS) do
    if redis.call("PTTL", key) < millis then redis.call("PEXPIRE", key, math.ceil(millis)) end
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
local longest = math.max(window, number("longest", 0))
redis.call("HSET", state, "longest", text(longest))
redis.call("ZREMRANGEBYSCORE", permits, "-inf", text(now - longest - ${GUARD}))
local since = "(" .. text(now - window - ${GUARD})
local surplus = redis.call("ZCOUNT", permits, since, "+inf") - limit
-- A permit that is never released counts from when its request has arrived.
if surplus < 0 then redis.call("ZADD", permits, text(now + ${ARRIVES_WITHIN}), permit) end
keep(${ARRIVES_WITHIN} + longest + 1000)
if surplus < 0 then return { "Acquired", "0" } end
-- The permit that ends first among the surplus; if its request has no response yet, ask again after one window at most.
local nth = redis.call("ZRANGEBYSCORE", permits, since, "+inf", "WITHSCORES", "LIMIT", surplus, 1)
return { "Full", wait_for(math.min(tonumber(nth[2]) - now, 0) + window + ${GUARD}) }
`

/** Arguments: permit. */
const RENEW = `${BEGIN}
redis.call("ZADD", permits, text(now + ${ARRIVES_WITHIN}), ARGV[1])
keep(${ARRIVES_WITHIN} + math.max(number("window", 1000), number("longest", 0)) + 1000)
return "0"
`

/** Arguments: permit, milliseconds until it is counted. */
const RELEASE = `${BEGIN}
local score, countedBy = redis.call("ZSCORE", permits, ARGV[1]), now + tonumber(ARGV[2])
if score and tonumber(score) > countedBy then redis.call("ZADD", permits, text(countedBy), ARGV[1]) end
return "0"
`

/** Arguments: milliseconds. */
const PAUSE = `${BEGIN}
local untilTime = now + tonumber(ARGV[1])
if number("pausedUntil", 0) < untilTime then redis.call("HSET", state, "pausedUntil", text(untilTime)) end
keep(tonumber(ARGV[1]) + 1000)
return "0"
`

const script = <A = string>(lua: string) =>
  Redis.script(
    (keys: ReadonlyArray<string>, args: ReadonlyArray<string | number>) => [...keys, ...args],
    { lua, numberOfKeys: 2 }
  ).withReturnType<A>()

export const acquire = script<readonly [tag: "Acquired" | "Full" | "Paused", wait: string]>(ACQUIRE)
export const renew = script(RENEW)
export const release = script(RELEASE)
export const pause = script(PAUSE)

export const keysOf = (prefix: string, account: string): ReadonlyArray<string> =>
  ["permits", "state"].map((name) => `${prefix}:{${account}}:${name}`)
